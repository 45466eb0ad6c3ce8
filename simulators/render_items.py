"""How each kind of thing looks: a colour patch with an alpha mask, placed in the picture.

Looks come from the item's seed alone, time only makes flames flicker and smoke drift. Shapes,
palettes and sizes vary widely, so that no colour gives a kind away.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from geo.camera import Pinhole

Floats = NDArray[np.float64]
PATCH_LIMIT_PX = 900
PATCH_LEAST_PX = 3


class Placed(Protocol):
    """What of an item its looks depend on."""

    @property
    def kind(self) -> str: ...
    @property
    def x_m(self) -> float: ...
    @property
    def y_m(self) -> float: ...
    @property
    def size_m(self) -> float: ...
    @property
    def heading_deg(self) -> float: ...
    @property
    def seed(self) -> int: ...
    @property
    def growth(self) -> float: ...


class Eye(Protocol):
    @property
    def x_m(self) -> float: ...
    @property
    def y_m(self) -> float: ...
    @property
    def height_agl_m(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Sketch:
    """A patch with its top-left pixel. `alpha` (h, w) in 0..1, `colour` (h, w, 3) BGR 0..255."""

    x0_px: int
    y0_px: int
    alpha: NDArray[np.float32]
    colour: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where an item stands in the picture: contact pixel, scale, how steeply we look at it."""

    u_px: float
    v_px: float
    px_per_m: float
    down: float
    """0 when looking along the ground, 1 when straight down."""
    pinhole: Pinhole
    offset: Floats


def sketch(item: Placed, eye: Eye, pinhole: Pinhole, at_s: float) -> Sketch | None:
    """Return the item's patch, or None when it is behind the lens, too small or too near."""
    offset = np.array([item.x_m - eye.x_m, item.y_m - eye.y_m, -eye.height_agl_m])
    pixel, depth = pinhole.project(offset)
    if not np.isfinite(pixel).all() or depth < 1.0:
        return None
    px_per_m = pinhole.focal_px / float(depth)
    if not PATCH_LEAST_PX <= item.size_m * px_per_m <= PATCH_LIMIT_PX:
        return None
    down = float(eye.height_agl_m / np.linalg.norm(offset))
    spot = _Spot(float(pixel[0]), float(pixel[1]), px_per_m, down, pinhole, offset)
    rng = np.random.default_rng(item.seed)
    return LOOKS[item.kind](item, spot, rng, at_s)


def _patch(spot: _Spot, width_m: float, height_m: float, base: float) -> tuple[int, int, int, int]:
    """Return (x0, y0, w, h) of a patch whose contact point is at share `base` of its height."""
    w = max(PATCH_LEAST_PX, round(width_m * spot.px_per_m))
    h = max(PATCH_LEAST_PX, round(height_m * spot.px_per_m))
    return round(spot.u_px - w / 2), round(spot.v_px - base * h), w, h


def _blobs(
    w: int, h: int, centres: Floats, radii: Floats, aspect: float = 1.0
) -> NDArray[np.float32]:
    """Return a soft union of round blobs: centres (n, 2) and radii (n) as shares of the patch."""
    mask = np.zeros((h, w), np.float32)
    layer = np.zeros((h, w), np.float32)
    for (cx, cy), r in zip(centres, radii, strict=True):
        axes = (max(1, round(r * w)), max(1, round(r * w * aspect)))
        layer[:] = 0
        cv2.ellipse(layer, (round(cx * w), round(cy * h)), axes, 0, 0, 360, 1.0, -1)
        np.maximum(mask, layer, out=mask)
    blur = max(1, round(w * 0.035)) * 2 + 1
    return cv2.GaussianBlur(mask, (blur, blur), 0).astype(np.float32)


def _noise(w: int, h: int, rng: np.random.Generator, cells: int) -> NDArray[np.float32]:
    coarse = rng.random((max(2, cells), max(2, cells))).astype(np.float32)
    return cv2.resize(coarse, (w, h), interpolation=cv2.INTER_CUBIC).astype(np.float32)


def _fill(shape: tuple[int, int], colour: Floats) -> NDArray[np.float32]:
    return np.broadcast_to(np.asarray(colour, np.float32), (*shape, 3)).copy()


def _fire(item: Placed, spot: _Spot, rng: np.random.Generator, at_s: float) -> Sketch | None:
    size_m = item.size_m * (0.45 + 0.55 * item.growth)
    tall = (1.0 - 0.55 * spot.down) * rng.uniform(0.9, 1.6)
    x0, y0, w, h = _patch(spot, size_m, size_m * tall, 0.94 - 0.42 * spot.down)
    n = int(rng.integers(4, 9))
    bases = rng.uniform(0.2, 0.8, n)
    heights = rng.uniform(0.35, 1.0, n)
    widths = rng.uniform(0.10, 0.24, n)
    phase = rng.uniform(0, 6.28, n)
    heights *= 0.85 + 0.15 * np.sin(phase + at_s * 7)
    yy, xx = np.mgrid[0:h, 0:w].astype(np.float32)
    yy, xx = yy / h, xx / w
    heat = np.zeros((h, w), np.float32)
    for base, top, width, p in zip(bases, heights, widths, phase, strict=True):
        rise = np.clip((1 - yy) / top, 0, 1)
        sway = base + 0.06 * np.sin(9 * yy + p + at_s * 5) * rise
        tongue = np.exp(-(((xx - sway) / (width * (1.05 - rise))) ** 2)) * (rise < 1)
        heat = np.maximum(heat, tongue * (1 - 0.75 * rise))
    heat *= 0.75 + 0.5 * _noise(w, h, rng, 7)
    heat = np.clip(heat, 0, 1.2)
    hot = rng.uniform(0.75, 1.0)
    colour = np.stack(
        [
            np.clip((heat - 0.55) * 460 * hot, 0, 235),
            np.clip((heat - 0.12) * 330 * hot, 20, 250),
            np.clip(120 + heat * 300, 0, 255),
        ],
        axis=-1,
    ).astype(np.float32)
    return Sketch(x0, y0, np.clip(heat * 2.4 - 0.15, 0, 1).astype(np.float32), colour)


def _smoke(item: Placed, spot: _Spot, rng: np.random.Generator, at_s: float) -> Sketch | None:
    size_m = item.size_m * (0.5 + 0.5 * item.growth)
    tall = 1.9 - 1.0 * spot.down
    x0, y0, w, h = _patch(spot, size_m * 1.3, size_m * tall, 0.96 - 0.4 * spot.down)
    n = 14
    rise = np.sort(rng.random(n))
    lean = rng.uniform(-0.35, 0.35)
    drift = 0.03 * np.sin(at_s * 0.9 + np.arange(n))
    centres = np.stack([0.5 + lean * rise + drift + rng.normal(0, 0.05, n), 0.95 - 0.8 * rise], 1)
    radii = 0.07 + 0.19 * rise * rng.uniform(0.8, 1.2, n)
    body = _blobs(w, h, centres, radii, aspect=rng.uniform(0.7, 1.1))
    wisps = 0.45 + 0.8 * _noise(w, h, rng, 9) * _noise(w, h, rng, 4)
    blur = max(1, round(w * 0.06)) * 2 + 1
    alpha = cv2.GaussianBlur(body, (blur, blur), 0) * np.clip(wisps, 0, 1) * rng.uniform(0.65, 0.95)
    grey = rng.uniform(45, 225)
    tint = np.array([rng.normal(4, 5), rng.normal(0, 3), rng.normal(-2, 5)])
    shade = grey + 40 * (_noise(w, h, rng, 6) - 0.5)
    colour = np.clip(shade[..., None] + tint, 0, 255).astype(np.float32)
    return Sketch(x0, y0, np.clip(alpha, 0, 1).astype(np.float32), colour)


_LITTER = np.array(
    [
        [30, 30, 32], [240, 240, 240], [190, 120, 50], [60, 60, 190], [70, 150, 90], [90, 170, 200],
        [120, 130, 140], [60, 90, 130], [200, 190, 180], [40, 120, 190],
    ],
    np.float64,
)  # fmt: skip


def _rubbish(item: Placed, spot: _Spot, rng: np.random.Generator, at_s: float) -> Sketch | None:
    flat = 0.32 + 0.6 * spot.down
    x0, y0, w, h = _patch(spot, item.size_m, item.size_m * flat, 0.5)
    alpha = np.zeros((h, w), np.float32)
    colour = _fill((h, w), np.array([90.0, 95.0, 100.0]))
    mix = rng.choice(len(_LITTER), size=int(rng.integers(3, 8)), replace=False)
    for _ in range(int(rng.integers(26, 70))):
        cx, cy = rng.normal(0.5, 0.19, 2)
        rx, ry = rng.uniform(0.03, 0.13), rng.uniform(0.04, 0.16)
        corners = int(rng.integers(4, 8))
        angles = np.sort(rng.uniform(0, 6.28, corners))
        reach = rng.uniform(0.6, 1.0, corners)
        points = np.stack(
            [(cx + rx * reach * np.cos(angles)) * w, (cy + ry * reach * np.sin(angles)) * h], 1
        )
        base = _LITTER[rng.choice(mix)] * rng.uniform(0.6, 1.15)
        tone = np.clip(base, 0, 255)
        shape = [np.round(points * 8).astype(np.int32)]
        cv2.fillPoly(colour, shape, tone.tolist(), cv2.LINE_AA, 3)
        cv2.fillPoly(alpha, shape, 1.0, cv2.LINE_AA, 3)
    return Sketch(x0, y0, alpha, colour)


def _flood(item: Placed, spot: _Spot, rng: np.random.Generator, at_s: float) -> Sketch | None:
    flat = 0.12 + 0.8 * spot.down
    x0, y0, w, h = _patch(spot, item.size_m, item.size_m * flat, 0.5)
    n = int(rng.integers(6, 12))
    centres = np.stack([rng.uniform(0.25, 0.75, n), rng.uniform(0.3, 0.7, n)], 1)
    mask = _blobs(w, h, centres, rng.uniform(0.12, 0.26, n), aspect=h / w)
    edge = _noise(w, h, rng, 12)
    alpha = np.clip((mask + 0.45 * (edge - 0.5)) * 2.2 - 0.6, 0, 1) * rng.uniform(0.72, 0.95)
    muddy = np.array([rng.uniform(70, 150), rng.uniform(90, 160), rng.uniform(95, 170)])
    sky = np.array([215.0, 205.0, 195.0]) * rng.uniform(0.7, 1.0)
    mirror = np.clip(_noise(w, h, rng, 5) * 1.5 - 0.3, 0, 1) * rng.uniform(0.35, 0.9)
    ripple = 9 * np.sin(np.linspace(0, rng.uniform(20, 60), h) + at_s * 2)[:, None]
    colour = muddy * (1 - mirror[..., None]) + sky * mirror[..., None] + ripple[..., None]
    return Sketch(x0, y0, alpha.astype(np.float32), np.clip(colour, 0, 255).astype(np.float32))


def _debris(item: Placed, spot: _Spot, rng: np.random.Generator, at_s: float) -> Sketch | None:
    flat = 0.2 + 0.75 * spot.down
    x0, y0, w, h = _patch(spot, item.size_m, item.size_m * flat, 0.5)
    alpha = np.zeros((h, w), np.float32)
    colour = _fill((h, w), np.array([70.0, 80.0, 70.0]))
    weed = rng.uniform(0.3, 1.0)
    tones = np.array([[60, 120, 90], [70, 95, 115], [225, 228, 230], [90, 150, 190], [45, 60, 70]])
    for _ in range(int(rng.integers(35, 110))):
        along, across = rng.normal(0.5, 0.2), rng.normal(0.5, 0.14)
        length = rng.uniform(0.015, 0.075)
        tone = tones[0] if rng.random() < weed * 0.6 else tones[rng.integers(len(tones))]
        tone = np.clip(tone * rng.uniform(0.7, 1.2), 0, 255)
        axes = (max(1, round(length * w)), max(1, round(length * w * rng.uniform(0.3, 0.8))))
        centre, turn = (round(along * w), round(across * h)), rng.uniform(0, 180)
        cv2.ellipse(colour, centre, axes, turn, 0, 360, tone.tolist(), -1, cv2.LINE_AA)
        cv2.ellipse(alpha, centre, axes, turn, 0, 360, 1.0, -1, cv2.LINE_AA)
    return Sketch(x0, y0, alpha, colour)


def _prism(
    item: Placed,
    spot: _Spot,
    size_m: tuple[float, float, float],
    paint: Callable[[NDArray[np.float32], NDArray[np.float32], Floats], None],
) -> Sketch | None:
    """Draw a box of (length, width, height) turned by its heading; `paint` gets its corners.

    Corners: 0–3 on the ground, 4–7 above them; x along the heading.
    """
    length_m, width_m, height_m = size_m
    turn = np.radians(item.heading_deg)
    ahead = np.array([np.sin(turn), np.cos(turn), 0.0]) * length_m / 2
    aside = np.array([np.cos(turn), -np.sin(turn), 0.0]) * width_m / 2
    up = np.array([0.0, 0.0, height_m])
    ground = [ahead + aside, ahead - aside, -ahead - aside, -ahead + aside]
    corners = np.array([*ground, *(g + up for g in ground)]) + spot.offset
    pixels, depth = spot.pinhole.project(corners)
    if not np.isfinite(pixels).all():
        return None
    low = np.floor(pixels.min(0)).astype(int) - 1
    high = np.ceil(pixels.max(0)).astype(int) + 2
    w, h = (high - low).tolist()
    if max(w, h) > PATCH_LIMIT_PX:
        return None
    alpha = np.zeros((h, w), np.float32)
    colour = np.zeros((h, w, 3), np.float32)
    paint(alpha, colour, np.column_stack([pixels - low, depth]))
    return Sketch(int(low[0]), int(low[1]), alpha, colour)


_FACES = ((0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7), (4, 5, 6, 7))


def _faces(
    alpha: NDArray[np.float32],
    colour: NDArray[np.float32],
    corners: Floats,
    tones: tuple[Floats, ...],
) -> None:
    order = sorted(range(len(_FACES) - 1), key=lambda f: -corners[list(_FACES[f]), 2].mean())
    for f in (*order, len(_FACES) - 1):
        ring = [np.round(corners[list(_FACES[f]), :2] * 8).astype(np.int32)]
        cv2.fillPoly(colour, ring, np.clip(tones[f], 0, 255).tolist(), cv2.LINE_AA, 3)
        cv2.fillPoly(alpha, ring, 1.0, cv2.LINE_AA, 3)


def _between(corners: Floats, face: tuple[int, ...], share: tuple[float, ...]) -> Floats:
    """Return a quad inside a face: share = (u0, v0, u1, v1) along its first two edges."""
    a, b, c, d = corners[list(face), :2]
    u0, v0, u1, v1 = share

    def at(u: float, v: float) -> Floats:
        point: Floats = a * (1 - u) * (1 - v) + b * u * (1 - v) + c * u * v + d * (1 - u) * v
        return point

    return np.array([at(u0, v0), at(u1, v0), at(u1, v1), at(u0, v1)])


_PAINTS = np.array(
    [
        [235, 235, 235], [40, 40, 42], [150, 150, 152], [60, 50, 150], [150, 80, 40], [90, 90, 95],
        [60, 110, 190], [70, 130, 90], [200, 200, 190], [40, 120, 210],
    ],
    np.float64,
)  # fmt: skip


def _vehicle(item: Placed, spot: _Spot, rng: np.random.Generator, at_s: float) -> Sketch | None:
    length_m = item.size_m
    van = rng.random() < 0.3
    height_m = length_m * (rng.uniform(0.45, 0.6) if van else rng.uniform(0.30, 0.36))
    base = _PAINTS[rng.integers(len(_PAINTS))] * rng.uniform(0.75, 1.1)

    def paint(alpha: NDArray[np.float32], colour: NDArray[np.float32], corners: Floats) -> None:
        side, front = base * 0.72, base * 0.85
        _faces(alpha, colour, corners, (front, side, front, side, base))
        glass = [40.0, 38.0, 36.0]
        quads = [
            _between(corners, _FACES[4], (0.08, 0.14, 0.92, 0.30)),
            _between(corners, _FACES[4], (0.10, 0.76, 0.90, 0.88)),
            _between(corners, _FACES[1], (0.18, 0.5, 0.86, 0.88)),
            _between(corners, _FACES[3], (0.14, 0.5, 0.82, 0.88)),
            _between(corners, _FACES[0], (0.1, 0.5, 0.9, 0.88)),
        ]
        order = np.argsort([-corners[list(_FACES[f]), 2].mean() for f in range(4)])
        visible = {4, *order[2:].tolist()}
        for quad, face in zip(quads, (4, 4, 1, 3, 0), strict=True):
            if face in visible and not (van and face == 4):
                cv2.fillPoly(colour, [np.round(quad * 8).astype(np.int32)], glass, cv2.LINE_AA, 3)

    return _prism(item, spot, (length_m, length_m * 0.41, height_m), paint)


def _structure(item: Placed, spot: _Spot, rng: np.random.Generator, at_s: float) -> Sketch | None:
    """A shed in the making: bare posts, a corrugated or tarpaulin roof, walls half up."""
    length_m = item.size_m
    width_m, height_m = length_m * rng.uniform(0.5, 0.9), rng.uniform(2.4, 4.0)
    roof = np.array(
        [[190, 110, 40], [70, 70, 170], [150, 150, 150], [110, 150, 70], [190, 190, 200]]
    )[rng.integers(5)] * rng.uniform(0.75, 1.15)
    wall = np.array([120.0, 140.0, 165.0]) * rng.uniform(0.6, 1.1)
    ribs = int(rng.integers(7, 16))

    def paint(alpha: NDArray[np.float32], colour: NDArray[np.float32], corners: Floats) -> None:
        _faces(alpha, colour, corners, (wall * 0.7, wall * 0.85, wall * 0.75, wall * 0.9, roof))
        for i in range(1, ribs):
            a = _between(corners, _FACES[4], (0, i / ribs, 1, i / ribs))
            line = np.round(a[:2] * 8).astype(np.int32)
            cv2.polylines(colour, [line], False, (roof * 0.62).tolist(), 1, cv2.LINE_AA, 3)
        for face in range(4):
            for u in (0.0, 0.33, 0.66):
                quad = _between(corners, _FACES[face], (u, 0, u + 0.06, 1))
                shape = [np.round(quad * 8).astype(np.int32)]
                cv2.fillPoly(colour, shape, (70.0, 95.0, 120.0), cv2.LINE_AA, 3)
        ring = [np.round(corners[list(_FACES[4]), :2] * 8).astype(np.int32)]
        cv2.fillPoly(colour, ring, roof.tolist(), cv2.LINE_AA, 3)
        for i in range(1, ribs):
            a = _between(corners, _FACES[4], (0, i / ribs, 1, i / ribs))
            line = np.round(a[:2] * 8).astype(np.int32)
            cv2.polylines(colour, [line], False, (roof * 0.62).tolist(), 1, cv2.LINE_AA, 3)

    return _prism(item, spot, (length_m, width_m, height_m), paint)


def _person(item: Placed, spot: _Spot, rng: np.random.Generator, at_s: float) -> Sketch | None:
    tall_m = item.size_m
    shirt = _PAINTS[rng.integers(len(_PAINTS))] * rng.uniform(0.7, 1.1)
    legs = np.array([60.0, 55.0, 50.0]) * rng.uniform(0.5, 1.9)
    skin = np.array([120.0, 150.0, 200.0]) * rng.uniform(0.55, 1.1)
    hair = np.array([30.0, 30.0, 34.0])
    upright = float(np.sqrt(max(0.0, 1 - spot.down**2)))
    height_m = tall_m * (0.30 + 0.70 * upright)
    x0, y0, w, h = _patch(spot, tall_m * 0.36, height_m, 0.5 + 0.47 * upright)
    alpha = np.zeros((h, w), np.float32)
    colour = _fill((h, w), shirt)

    def oval(cy: float, ry: float, rx: float, tone: Floats) -> None:
        centre, axes = (w // 2, round(cy * h)), (max(1, round(rx * w)), max(1, round(ry * h)))
        value = np.clip(tone, 0, 255).tolist()
        cv2.ellipse(colour, centre, axes, 0, 0, 360, value, -1, cv2.LINE_AA)
        cv2.ellipse(alpha, centre, axes, 0, 0, 360, 1.0, -1, cv2.LINE_AA)

    if upright > 0.35:
        oval(0.72, 0.27, 0.30, legs)
    oval(0.42, 0.24 + 0.18 * spot.down, 0.46, shirt)
    oval(0.13 + 0.3 * spot.down, 0.12, 0.24, skin)
    oval(0.09 + 0.32 * spot.down, 0.08, 0.24, hair)
    return Sketch(x0, y0, alpha, colour)


def _puddle(item: Placed, spot: _Spot, rng: np.random.Generator, at_s: float) -> Sketch | None:
    """Harmless: a small wet patch, darker than the ground, without mud or waves."""
    flat = 0.15 + 0.8 * spot.down
    x0, y0, w, h = _patch(spot, item.size_m, item.size_m * flat, 0.5)
    mask = _blobs(w, h, np.array([[0.4, 0.5], [0.62, 0.48]]), np.array([0.25, 0.2]), h / w)
    colour = _fill((h, w), np.array([60.0, 58.0, 56.0]) * rng.uniform(0.7, 1.2))
    return Sketch(x0, y0, mask * np.float32(0.5), colour)


def _lamp(item: Placed, spot: _Spot, rng: np.random.Generator, at_s: float) -> Sketch | None:
    """Harmless: an orange or white glow, as street lamps and headlights give at dusk."""
    x0, y0, w, h = _patch(spot, item.size_m, item.size_m, 0.5)
    yy, xx = np.mgrid[0:h, 0:w].astype(np.float32)
    r = np.hypot((xx - w / 2) / w, (yy - h / 2) / h) * 2
    alpha = np.clip(1 - r, 0, 1) ** 1.6
    colour = _fill((h, w), np.array([rng.uniform(90, 240), rng.uniform(190, 245), 255.0]))
    return Sketch(x0, y0, alpha.astype(np.float32), colour)


LOOKS: dict[str, Callable[[Placed, _Spot, np.random.Generator, float], Sketch | None]] = {
    "fire": _fire,
    "smoke": _smoke,
    "exposed_rubbish": _rubbish,
    "flooded_road": _flood,
    "floating_debris": _debris,
    "illegal_structure": _structure,
    "vehicle": _vehicle,
    "person": _person,
    "puddle": _puddle,
    "lamp": _lamp,
}
