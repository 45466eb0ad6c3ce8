"""What stands in a town and is no hazard: houses with roofs, trees, poles, lamps."""

from math import cos, sin

import numpy as np
from numpy.typing import NDArray

from simulators.heldout.canvas import Canvas
from simulators.heldout.light import Light
from simulators.heldout.solids import Convex, Ellipsoid, Paint, mottled, plain, turned
from simulators.heldout.texture import f32, fractal, nearest

F32 = NDArray[np.float32]
WALLS = (
    (0.72, 0.78, 0.82),
    (0.60, 0.70, 0.78),
    (0.55, 0.60, 0.66),
    (0.80, 0.82, 0.82),
    (0.48, 0.56, 0.72),
    (0.62, 0.62, 0.60),
    (0.42, 0.46, 0.58),
    (0.70, 0.66, 0.58),
)
FLAT_ROOFS = ((0.55, 0.56, 0.56), (0.42, 0.43, 0.44), (0.68, 0.68, 0.66), (0.40, 0.46, 0.36))
PITCHED_ROOFS = (
    (0.20, 0.26, 0.58),
    (0.16, 0.28, 0.66),
    (0.28, 0.28, 0.30),
    (0.58, 0.38, 0.18),
    (0.26, 0.34, 0.48),
    (0.18, 0.18, 0.50),
)


def _facade(wall: F32, storey_m: float, bay_m: float, lit: float, seed: int) -> Paint:
    def paint(own: F32, normals: F32) -> F32:
        u = own[:, 0] + own[:, 1]
        z = own[:, 2] + np.float32(0.5)
        noise = nearest(fractal(1.0, 31), u, z, 9.0)[:, None] - np.float32(0.5)
        colour = wall * (1 + 0.25 * noise)
        a, b = np.mod(u / bay_m, 1), np.mod(z / storey_m, 1)
        window = (a > 0.24) & (a < 0.78) & (b > 0.35) & (b < 0.82)
        frame = window & ((np.abs(a - 0.51) < 0.02) | (a < 0.27) | (a > 0.75))
        room = (np.floor(u / bay_m) * 37 + np.floor(z / storey_m) * 101 + seed) % 17
        glass = np.where((room < 17 * lit)[:, None], f32([0.9, 1.8, 2.4]), f32([0.16, 0.14, 0.11]))
        glass = glass * (0.7 + 0.04 * room)[:, None]
        colour = np.where(window[:, None], glass, colour)
        colour = np.where(frame[:, None], np.float32(0.6), colour)
        ledge = (b > 0.97) | (b < 0.03)
        return np.asarray(np.where(ledge[:, None], colour * 0.8, colour), np.float32)

    return paint


def _tiles(colour: F32, pitch_m: float) -> Paint:
    def paint(own: F32, normals: F32) -> F32:
        line = 0.82 + 0.18 * np.cos(own[:, 0] * np.float32(6.28 / pitch_m))
        noise = nearest(fractal(1.0, 32), own[:, 0], own[:, 1] * 1.3, 14.0) + np.float32(0.5)
        return np.asarray(colour * (line * noise)[:, None], np.float32)

    return paint


def put_house(
    canvas: Canvas,
    x: float,
    y: float,
    way: float,
    size: tuple[float, float, float],
    lit: float,
    rng: np.random.Generator,
) -> None:
    """Draw a house of (length, depth, height) with a flat or a pitched roof."""
    length, deep, high = size
    wall = f32(WALLS[rng.integers(len(WALLS))]) * np.float32(rng.uniform(0.8, 1.1))
    axes = turned(way)
    paint = _facade(wall, 3.1, float(rng.uniform(2.2, 3.6)), lit, int(rng.integers(99)))
    body = Convex((x, y, high / 2), (length / 2, deep / 2, high / 2), (), paint, axes)
    canvas.put(body, shine=0.0)
    canvas.casters.append(body)
    if high < 12 and rng.random() < 0.55:
        rise = deep * float(rng.uniform(0.2, 0.32))
        slope = (0.0, rise / (deep / 2 + 0.4))
        planes = tuple((0.0, s * slope[1], 1.0, rise / 2) for s in (-1.0, 1.0))
        colour = f32(PITCHED_ROOFS[rng.integers(len(PITCHED_ROOFS))])
        roof = Convex(
            (x, y, high + rise / 2),
            (length / 2 + 0.4, deep / 2 + 0.4, rise / 2),
            planes,
            _tiles(colour, float(rng.choice([0.35, 0.5]))),
            axes,
        )
        canvas.put(roof)
        canvas.casters.append(roof)
        return
    flat = f32(FLAT_ROOFS[rng.integers(len(FLAT_ROOFS))])
    cover = mottled(flat * 0.8, flat * 1.15, 17.0, 33)
    canvas.put(Convex((x, y, high + 0.02), (length / 2, deep / 2, 0.02), (), cover, axes))
    rim = plain(wall * 0.95)
    for sign in (-1, 1):
        for off, half in (
            ((0, sign * deep / 2), (length / 2, 0.12, 0.4)),
            ((sign * length / 2, 0), (0.12, deep / 2, 0.4)),
        ):
            at = np.array([*off, 0], np.float32) @ axes
            canvas.put(Convex((x + at[0], y + at[1], high + 0.4), half, (), rim, axes))
    for _ in range(int(rng.integers(0, 5))):
        at = np.array([rng.uniform(-0.4, 0.4) * length, rng.uniform(-0.35, 0.35) * deep, 0]) @ axes
        s = float(rng.uniform(0.5, 1.3))
        tank = Convex(
            (x + at[0], y + at[1], high + s), (s, s * 0.7, s), (), plain((0.6, 0.6, 0.58)), axes
        )
        canvas.put(tank)
        canvas.casters.append(tank)


LEAVES = ((0.07, 0.24, 0.12), (0.05, 0.20, 0.09), (0.09, 0.28, 0.18), (0.10, 0.30, 0.24))
AUTUMN = ((0.05, 0.32, 0.72), (0.06, 0.22, 0.62), (0.06, 0.45, 0.75), (0.10, 0.16, 0.50))


def put_tree(
    canvas: Canvas, x: float, y: float, high: float, rng: np.random.Generator, autumn: bool = False
) -> None:
    """Draw a trunk and a crown of several leafy ellipsoids."""
    canvas.put(Convex((x, y, high * 0.3), (0.12, 0.12, high * 0.3), (), plain((0.16, 0.2, 0.25))))
    kinds = AUTUMN if autumn else LEAVES
    leaf = f32(kinds[rng.integers(len(kinds))]) * np.float32(rng.uniform(0.7, 1.2))
    wide = high * float(rng.uniform(0.22, 0.34))
    for i in range(int(rng.integers(3, 6))):
        way, out = rng.uniform(0, 6.28), wide * 0.55 * (i > 0)
        size = wide * float(rng.uniform(0.5, 0.8))
        at = (x + out * cos(way), y + out * sin(way), high * float(rng.uniform(0.58, 0.85)))
        paint = mottled(leaf * 0.45, leaf * 1.6, size * 1.4, 34)
        canvas.put(Ellipsoid(at, (size, size, size * 0.8), paint, bump=0.9, holes=0.45))
    canvas.casters.append(
        Ellipsoid((x, y, high * 0.7), (wide, wide, high * 0.25), plain((0, 0, 0)), holes=0.35)
    )


def put_lamp(canvas: Canvas, x: float, y: float, way: float, light: Light) -> None:
    """Draw a street lamp 7 m high; it glows where the light has lamps."""
    steel = plain((0.45, 0.45, 0.45))
    canvas.put(Convex((x, y, 3.5), (0.07, 0.07, 3.5), (), steel))
    tip = x + 1.2 * cos(way), y + 1.2 * sin(way)
    canvas.put(
        Convex(
            (x + 0.6 * cos(way), y + 0.6 * sin(way), 7.0), (0.6, 0.05, 0.05), (), steel, turned(way)
        )
    )
    glow = 3.0 if light.lamps else 0.0
    head = plain((0.7, 0.88, 1.0)) if light.lamps else plain((0.75, 0.75, 0.72))
    canvas.put(Ellipsoid((*tip, 6.92), (0.32, 0.16, 0.1), head, turned(way)), glow=glow)
