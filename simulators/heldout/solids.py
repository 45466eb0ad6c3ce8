"""Ellipsoids, convex solids, height fields, and where rays meet them. Metres; rays are (n, 3)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import cos, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulators.heldout.texture import fractal, nearest

F32 = NDArray[np.float32]
NOWHERE = np.float32(1e9)
Paint = Callable[[F32, F32], F32]
"""(places in the solid's own metres, normals there) -> colours, BGR 0..1."""


def turned(angle_rad: float, tilt_rad: float = 0.0) -> F32:
    """Return rows = a solid's own axes in the world: turned about z, then its x axis tilted up."""
    c, s, ct, st = cos(angle_rad), sin(angle_rad), cos(tilt_rad), sin(tilt_rad)
    return np.array([[c * ct, s * ct, st], [-s, c, 0], [-c * st, -s * st, ct]], np.float32)


@dataclass(frozen=True)
class Ellipsoid:
    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    paint: Paint
    axes: F32 = field(default_factory=lambda: np.eye(3, dtype=np.float32))
    bump: float = 0.0
    """How much fractal noise bends its normals: 0 is a ball, 0.8 a full plastic bag."""
    holes: float = 0.0
    """Share of its rim that is let through: leaves."""

    def corners(self) -> F32:
        return _box_corners(self.centre, self.radii, self.axes)

    def meet(self, origin: F32, rays: F32) -> tuple[F32, F32, F32]:
        """Return (reach, own places, world normals); NOWHERE where a ray passes by."""
        inward = self.axes / np.array(self.radii, np.float32)[:, None]
        o = (origin - np.array(self.centre, np.float32)) @ inward.T
        d = rays @ inward.T
        a = np.einsum("ij,ij->i", d, d)
        b = np.einsum("ij,ij->i", d, np.broadcast_to(o, d.shape))
        c = np.einsum("...i,...i->...", o, o) - 1
        inside = b * b - a * c
        reach = np.where(inside > 0, (-b - np.sqrt(np.maximum(inside, 0))) / a, NOWHERE)
        reach = np.where(reach > 0, reach, NOWHERE).astype(np.float32)
        unit = o + np.where(reach < NOWHERE, reach, 0)[:, None] * d
        own = np.asarray(unit * np.array(self.radii, np.float32), np.float32)
        normal = np.asarray(unit @ inward, np.float32)
        if self.bump or self.holes:
            reach, normal = self._roughened(reach, own, normal, a, inside)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
        return reach, own, np.asarray(normal, np.float32)

    def _roughened(self, reach: F32, own: F32, normal: F32, a: F32, inside: F32) -> tuple[F32, F32]:
        size = 2.2 * max(self.radii)
        shift = np.float32(self.centre[0] * 3.1 + self.centre[1] * 1.7)
        x, y = own[:, 0] + shift, own[:, 1] + own[:, 2] * np.float32(1.3)
        rough = nearest(fractal(1.15, 1), x, y, size) - np.float32(0.5)
        rough2 = nearest(fractal(1.15, 2), x, y, size) - np.float32(0.5)
        length = np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
        bent = normal / length + np.float32(2 * self.bump) * np.stack([rough, rough2, -rough], 1)
        if self.holes:
            rim = 1 - np.maximum(inside, 0) / a
            reach = np.where(rough + 0.5 < (rim - 1 + self.holes) * 1.6, NOWHERE, reach)
        return np.asarray(reach, np.float32), np.asarray(bent, np.float32)


@dataclass(frozen=True)
class Convex:
    """What lies below every one of some planes, given in its own axes about its centre."""

    centre: tuple[float, float, float]
    reach_m: tuple[float, float, float]
    """Half its extent along its own axes: its box."""
    planes: tuple[tuple[float, float, float, float], ...]
    """(nx, ny, nz, k): n · p <= k. The six sides of the box are always among them."""
    paint: Paint
    axes: F32 = field(default_factory=lambda: np.eye(3, dtype=np.float32))

    def corners(self) -> F32:
        return _box_corners(self.centre, self.reach_m, self.axes)

    def meet(self, origin: F32, rays: F32) -> tuple[F32, F32, F32]:
        """Return (reach, own places, world normals); NOWHERE where a ray passes by."""
        a, b, c = self.reach_m
        sides = (
            (1, 0, 0, a),
            (-1, 0, 0, a),
            (0, 1, 0, b),
            (0, -1, 0, b),
            (0, 0, 1, c),
            (0, 0, -1, c),
        )
        planes = np.array([*sides, *self.planes], np.float32)
        o = (origin - np.array(self.centre, np.float32)) @ self.axes.T
        d = rays @ self.axes.T
        along = d @ planes[:, :3].T
        along = np.where(np.abs(along) < 1e-6, np.float32(1e-6), along)
        met = (planes[:, 3] - o @ planes[:, :3].T) / along
        entering = np.where(along < 0, met, -NOWHERE)
        side = np.argmax(entering, axis=1)
        enter = np.take_along_axis(entering, side[:, None], 1)[:, 0]
        leave = np.where(along > 0, met, NOWHERE).min(axis=1)
        hit = (enter < leave) & (leave > 0)
        reach = np.where(hit, np.maximum(enter, 1e-3), NOWHERE).astype(np.float32)
        own = o + np.where(hit, enter, 0)[:, None] * d
        outward = planes[:, :3] / np.linalg.norm(planes[:, :3], axis=1, keepdims=True)
        normal = outward[side] @ self.axes
        return reach, np.asarray(own, np.float32), np.asarray(normal, np.float32)


@dataclass(frozen=True)
class Heap:
    """A height field over a square: earth, sand, rubble. Marched, then refined once."""

    centre: tuple[float, float, float]
    half_m: float
    heights_m: F32
    paint: Paint

    def corners(self) -> F32:
        top = float(self.heights_m.max())
        x, y, z = self.centre
        return _box_corners(
            (x, y, z + top / 2), (self.half_m, self.half_m, top / 2), np.eye(3, dtype=np.float32)
        )

    def meet(self, origin: F32, rays: F32) -> tuple[F32, F32, F32]:
        """Return (reach, own places, world normals); NOWHERE where a ray passes by."""
        o = origin - np.array(self.centre, np.float32)
        top = float(self.heights_m.max())
        down = np.where(np.abs(rays[:, 2]) < 1e-4, np.float32(-1e-4), rays[:, 2])
        first, last = (top - o[..., 2]) / down, -o[..., 2] / down
        # A ray that comes in by the side starts there.
        for axis in (0, 1):
            d = np.where(np.abs(rays[:, axis]) < 1e-6, np.float32(1e-6), rays[:, axis])
            one, two = (-self.half_m - o[..., axis]) / d, (self.half_m - o[..., axis]) / d
            first = np.maximum(first, np.minimum(one, two))
            last = np.minimum(last, np.maximum(one, two))
        reach = np.full(len(rays), NOWHERE, np.float32)
        steps = 26
        before = first
        for step in range(1, steps + 1):
            now = first + (last - first) * np.float32(step / steps)
            own = o + now[:, None] * rays
            under = (own[:, 2] <= self.height_at(own)) & (reach == NOWHERE) & (first < last)
            reach[under] = (0.5 * (before + now))[under]
            before = now
        own = o + np.where(reach < NOWHERE, reach, 0)[:, None] * rays
        high = self.height_at(own)
        reach[high < 0.03] = NOWHERE
        e = np.float32(2 * self.half_m / len(self.heights_m) * 1.5)
        gx = self.height_at(own + np.array([e, 0, 0], np.float32)) - high
        gy = self.height_at(own + np.array([0, e, 0], np.float32)) - high
        normal = np.stack([-gx / e, -gy / e, np.ones_like(gx)], 1)
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        return reach, np.asarray(own, np.float32), np.asarray(normal, np.float32)

    def height_at(self, own: NDArray[Any]) -> F32:
        n = len(self.heights_m)
        scale = np.float32(n / (2 * self.half_m))
        i = np.clip(((own[:, 1] + self.half_m) * scale).astype(np.int32), 0, n - 1)
        j = np.clip(((own[:, 0] + self.half_m) * scale).astype(np.int32), 0, n - 1)
        return self.heights_m[i, j]


Solid = Ellipsoid | Convex | Heap


def _box_corners(centre: Sequence[float], half: Sequence[float], axes: F32) -> F32:
    signs = np.array(list(product((-1, 1), repeat=3)), np.float32)
    return np.asarray(
        np.array(centre, np.float32) + (signs * np.array(half, np.float32)) @ axes, np.float32
    )


def plain(colour: Sequence[float] | F32) -> Paint:
    """Return a paint of one colour (BGR 0..1)."""
    flat = np.array(colour, np.float32)
    return lambda own, _: np.broadcast_to(flat, own.shape)


def mottled(
    one: Sequence[float] | F32, other: Sequence[float] | F32, size_m: float, seed: int = 3
) -> Paint:
    """Return a paint between two colours by fractal noise."""
    a, b = np.array(one, np.float32), np.array(other, np.float32)

    def paint(own: F32, normals: F32) -> F32:
        mix = nearest(fractal(1.0, seed), own[:, 0] + own[:, 2], own[:, 1] - own[:, 2], size_m)
        return np.asarray(a + (b - a) * mix[:, None], np.float32)

    return paint
