"""People and vehicles, built of solids."""

from collections.abc import Callable
from math import cos, sin

import numpy as np
from numpy.typing import NDArray

from simulators.heldout.canvas import Canvas
from simulators.heldout.solids import Convex, Ellipsoid, Paint, plain, turned
from simulators.heldout.texture import f32

F32 = NDArray[np.float32]
Colour = tuple[float, float, float]
CARS: tuple[Colour, ...] = (
    (0.80, 0.80, 0.80),
    (0.06, 0.06, 0.06),
    (0.45, 0.46, 0.46),
    (0.22, 0.22, 0.23),
    (0.10, 0.08, 0.48),
    (0.42, 0.20, 0.08),
    (0.70, 0.74, 0.78),
    (0.15, 0.25, 0.12),
    (0.16, 0.30, 0.42),
)
VANS: tuple[Colour, ...] = (
    (0.82, 0.82, 0.82),
    (0.62, 0.62, 0.6),
    (0.45, 0.28, 0.1),
    (0.12, 0.45, 0.7),
)
CLOTHES: tuple[Colour, ...] = (
    (0.10, 0.10, 0.10),
    (0.75, 0.75, 0.75),
    (0.45, 0.22, 0.12),
    (0.15, 0.12, 0.50),
    (0.20, 0.42, 0.20),
    (0.12, 0.55, 0.70),
    (0.55, 0.45, 0.50),
    (0.30, 0.28, 0.26),
    (0.10, 0.45, 0.80),
)
SKINS: tuple[Colour, ...] = ((0.42, 0.56, 0.75), (0.34, 0.48, 0.68), (0.22, 0.33, 0.50))
BOXES: tuple[Colour, ...] = (
    (0.75, 0.75, 0.73),
    (0.5, 0.3, 0.12),
    (0.2, 0.4, 0.25),
    (0.2, 0.25, 0.6),
)
BUSES: tuple[Colour, ...] = (
    (0.2, 0.5, 0.15),
    (0.55, 0.3, 0.12),
    (0.1, 0.35, 0.75),
    (0.75, 0.76, 0.78),
)
GLASS = (0.12, 0.11, 0.09)


def _any(colours: tuple[Colour, ...], rng: np.random.Generator) -> Colour:
    return colours[int(rng.integers(len(colours)))]


def _cabin(colour: F32, pillar_m: float) -> Paint:
    """Roof in the body's colour, glass round it, pillars between."""

    def paint(own: F32, normals: F32) -> F32:
        roof = normals[:, 2] > 0.8
        pillar = np.mod(own[:, 0] + np.float32(pillar_m / 2), pillar_m) < 0.09
        painted = (roof | pillar)[:, None]
        return np.asarray(np.where(painted, colour, f32(GLASS)), np.float32)

    return paint


def _body(colour: F32, half_length_m: float) -> Paint:
    """Lamps at both ends, a dark sill, and lines where doors shut."""

    def paint(own: F32, normals: F32) -> F32:
        end = own[:, 0] / np.float32(half_length_m)
        corner = (np.abs(own[:, 1]) > 0.52) & (np.abs(own[:, 2]) < 0.16)
        low = own[:, 2] < -0.24
        door = (np.abs(np.mod(own[:, 0], 1.15)) < 0.035) & (np.abs(normals[:, 1]) > 0.5)
        out = np.where((low | door)[:, None], colour * 0.35, colour)
        out = np.where(((end > 0.97) & corner)[:, None], f32([0.9, 0.95, 0.95]), out)
        return np.asarray(
            np.where(((end < -0.97) & corner)[:, None], f32([0.08, 0.06, 0.65]), out),
            np.float32,
        )

    return paint


At = Callable[[float, float, float], tuple[float, float, float]]
_SIZES_M = {
    "car": (4.5, 1.82, 0.33),
    "van": (5.2, 1.95, 0.36),
    "truck": (7.4, 2.35, 0.48),
    "bus": (10.8, 2.55, 0.5),
}
"""Kind -> length, width, radius of a wheel."""


def put_vehicle(
    canvas: Canvas, x: float, y: float, way: float, kind: str, rng: np.random.Generator
) -> None:
    """Draw a car, van, truck or bus whose front looks along `way` (radians from x)."""
    thing = canvas.thing("vehicle")
    axes = turned(way)

    def at(along: float, side: float, z: float) -> tuple[float, float, float]:
        dx, dy, _ = np.array([along, side, 0], np.float32) @ axes
        return x + float(dx), y + float(dy), z

    length, wide, wheel = _SIZES_M[kind]
    tyre = plain((0.05, 0.05, 0.05))
    for along in (-0.32, 0.32):
        for side in (-0.5, 0.5):
            place = at(along * length, side * (wide - 0.16), wheel)
            canvas.put(Ellipsoid(place, (wheel, 0.14, wheel), tyre, axes), thing)
    for part in _PARTS[kind](at, axes, length / 2, wide / 2, rng):
        canvas.put(part, thing, shine=0.16)
        canvas.casters.append(part)


def _car(at: At, axes: F32, long: float, wide: float, rng: np.random.Generator) -> list[Convex]:
    colour = f32(_any(CARS, rng))
    slope = ((0.5, 0.0, 1.0, 1.25), (-0.5, 0.0, 1.0, 1.3))
    tall = float(rng.choice([0.30, 0.30, 0.42]))
    back = float(rng.choice([0.9, 2.0]))
    ends = ((0.9, 0.0, 1.0, 1.12), (-back, 0.0, 1.0, 1.2 * back))
    glass = (*ends, (0.0, 0.5, 1.0, 0.62), (0.0, -0.5, 1.0, 0.62))
    top = at(-0.25, 0, 0.96 + tall)
    return [
        Convex(at(0, 0, 0.62), (long, wide, 0.36), slope, _body(colour, long), axes),
        Convex(top, (1.45, wide - 0.06, tall), glass, _cabin(colour, 1.15), axes),
    ]


def _van(at: At, axes: F32, long: float, wide: float, rng: np.random.Generator) -> list[Convex]:
    colour = f32(_any(VANS, rng))
    nose = ((0.9, 0.0, 1.0, 2.55), (0.0, 0.25, 1.0, 1.15), (0.0, -0.25, 1.0, 1.15))
    return [
        Convex(at(0, 0, 0.75), (long, wide, 0.45), (), _body(colour, long), axes),
        Convex(at(-0.2, 0, 1.6), (long - 0.2, wide, 0.42), nose, _cabin(colour, 1.3), axes),
    ]


def _truck(at: At, axes: F32, long: float, wide: float, rng: np.random.Generator) -> list[Convex]:
    colour = f32(_any(VANS, rng))
    box = plain(_any(BOXES, rng))
    screen = ((0.4, 0.0, 1.0, 0.65),)
    head = at(long - 0.95, 0, 1.85)
    return [
        Convex(at(long - 0.9, 0, 0.95), (0.9, wide, 0.5), (), _body(colour, 0.9), axes),
        Convex(head, (0.85, wide, 0.45), screen, _cabin(colour, 1.6), axes),
        Convex(at(-1.0, 0, 1.75), (long - 1.05, wide + 0.03, 1.05), (), box, axes),
    ]


def _bus(at: At, axes: F32, long: float, wide: float, rng: np.random.Generator) -> list[Convex]:
    colour = f32(_any(BUSES, rng))
    return [
        Convex(at(0, 0, 0.95), (long, wide, 0.6), (), _body(colour, long), axes),
        Convex(at(0, 0, 2.2), (long, wide - 0.02, 0.65), (), _cabin(colour, 1.5), axes),
        Convex(at(0, 0, 2.95), (long, wide, 0.1), (), plain(tuple(colour * 1.05)), axes),
        Convex(at(-1.5, 0, 3.1), (1.3, 0.8, 0.12), (), plain((0.7, 0.7, 0.7)), axes),
    ]


_PARTS = {"car": _car, "van": _van, "truck": _truck, "bus": _bus}


def put_person(
    canvas: Canvas, x: float, y: float, way: float, rng: np.random.Generator, base_m: float = 0.0
) -> None:
    """Draw somebody standing or walking, 1.55 to 1.85 m tall."""
    thing = canvas.thing("person")
    tall = float(rng.uniform(1.55, 1.85))
    top, legs = plain(_any(CLOTHES, rng)), plain(_any(CLOTHES, rng))
    skin = plain(_any(SKINS, rng))
    hair = plain((0.04, 0.04, 0.05)) if rng.random() < 0.75 else plain(_any(CLOTHES, rng))
    k = tall / 1.7
    c, s = cos(way), sin(way)
    stride = float(rng.uniform(-0.22, 0.22))

    def at(ahead: float, side: float, z: float) -> tuple[float, float, float]:
        return x + (ahead * c - side * s) * k, y + (ahead * s + side * c) * k, base_m + z * k

    def limb(
        place: tuple[float, float, float], half: float, thick: float, lean: float, paint: Paint
    ) -> None:
        axes = turned(way, 1.5708 - lean)
        canvas.put(Ellipsoid(place, (half * k, thick * k, thick * k), paint, axes), thing)

    for side in (-1, 1):
        limb(at(side * stride / 2, side * 0.1, 0.42), 0.46, 0.1, -side * stride, legs)
        canvas.put(
            Ellipsoid(
                at(side * stride + 0.05, side * 0.1, 0.06),
                (0.14 * k, 0.06 * k, 0.06 * k),
                plain((0.08, 0.08, 0.08)),
                turned(way),
            ),
            thing,
        )
        limb(at(-side * stride * 0.6, side * 0.26, 1.12), 0.33, 0.068, side * stride, top)
        canvas.put(
            Ellipsoid(
                at(-side * stride * 1.1, side * 0.27, 0.8), (0.07 * k, 0.05 * k, 0.08 * k), skin
            ),
            thing,
        )
    canvas.put(Ellipsoid(at(0, 0, 1.15), (0.15 * k, 0.24 * k, 0.38 * k), top, turned(way)), thing)
    canvas.put(
        Ellipsoid(at(0.03, 0, 1.58), (0.1 * k, 0.09 * k, 0.13 * k), skin, turned(way)), thing
    )
    canvas.put(
        Ellipsoid(at(-0.02, 0, 1.63), (0.11 * k, 0.1 * k, 0.11 * k), hair, turned(way)), thing
    )
    canvas.casters.append(Ellipsoid(at(0, 0, 0.85), (0.2, 0.25, 0.85 * k), plain((0, 0, 0))))
