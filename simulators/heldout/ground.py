"""What the ground looks like: asphalt, slabs, grass, earth, water, and rain on them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.heldout.canvas import Canvas
from simulators.heldout.texture import cells, f32, fractal, nearest, ramp, smooth
from simulators.heldout.town import BANK, GRASS, PAVED, PAVEMENT, ROAD, SOIL, WATER, Strip, Town

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Surfaces:
    """Colours (BGR 0..1) of one picture's ground, and how wet it is (0..1)."""

    asphalt: F32
    slabs: F32
    grass: F32
    earth: F32
    water: F32
    wet: float
    puddles: float
    worn: float
    ripple: float


def surfaces_of(rng: np.random.Generator, wet: float) -> Surfaces:
    def grey(low: float, high: float, tint: float = 0.04) -> F32:
        return np.asarray(rng.uniform(low, high) + rng.normal(0, tint / 2, 3), np.float32)

    grass = np.array([rng.uniform(0.06, 0.14), rng.uniform(0.24, 0.36), rng.uniform(0.14, 0.27)])
    earth = np.array([0.22, 0.32, 0.42]) * rng.uniform(0.8, 1.25) + rng.normal(0, 0.02, 3)
    waters = ((0.20, 0.26, 0.17), (0.13, 0.22, 0.22), (0.24, 0.24, 0.18), (0.12, 0.15, 0.13))
    water = np.array(waters[rng.integers(4)]) * rng.uniform(0.8, 1.2)
    asphalt, slabs = grey(0.16, 0.34, 0.015), grey(0.36, 0.58)
    return Surfaces(
        asphalt, slabs, f32(grass), f32(earth), f32(water),
        wet, float(rng.uniform(0.0, 0.5)) if wet else 0.0, float(rng.uniform(0, 1)),
        float(rng.uniform(0.3, 1.0)),
    )  # fmt: skip


def lay_ground(canvas: Canvas, town: Town, surfaces: Surfaces) -> NDArray[np.uint8]:
    """Fill colour, normal, depth and shine of everything below the horizon. Returns the kinds."""
    view = canvas.view
    down = view.rays[..., 2]
    below = down < -0.004
    reach = np.where(below, -view.height_agl_m / np.minimum(down, -0.004), 1e4).astype(np.float32)
    reach = np.minimum(reach, np.float32(1500))
    x, y = view.rays[..., 0] * reach, view.rays[..., 1] * reach
    kind, _, beyond = town.kinds(x, y)
    # How much ground one pixel covers: what is finer is not drawn, or it would sparkle.
    grain_m = reach / np.float32(view.focal_px) * np.float32(1.5)
    canvas.depth[below] = reach[below]
    fine = (smooth(fractal(0.55, 11), x, y, 6.0) - 0.5) * np.clip(0.08 / grain_m, 0.15, 1)
    middle = smooth(fractal(1.1, 12), x, y, 23.0) - np.float32(0.5)
    broad = smooth(fractal(1.6, 13), x, y, 140.0) - np.float32(0.5)
    shade = (1 + _FINE[kind] * fine + _MIDDLE[kind] * middle) * (1 + np.float32(0.35) * broad)
    _crack(shade, kind == ROAD, surfaces, x, y, middle, grain_m)
    _joint(shade, kind == PAVEMENT, x, y, grain_m)
    colour = _colours(surfaces)[kind] * shade[..., None]
    _grow(colour, kind, surfaces, middle)
    for road in town.roads:
        _mark(colour, kind, road, x, y, grain_m, surfaces)
    kerb = (np.abs(beyond) < np.maximum(0.09, 0.4 * grain_m)) & (kind != WATER)
    colour[kerb] = colour[kerb] * 0.4 + 0.33
    _wet(canvas, surfaces, kind, middle, broad, colour)
    water = kind == WATER
    if water.any():
        _ripple(canvas, surfaces, water, x, y, grain_m)
    canvas.colour[:] = colour
    return kind


def _ripple(
    canvas: Canvas, surfaces: Surfaces, water: NDArray[np.bool_], x: F32, y: F32, grain_m: F32
) -> None:
    canvas.shine[water] = 0.75
    ripple = surfaces.ripple * np.clip(0.25 / grain_m, 0.1, 1)
    for axis, tile in ((0, 21), (1, 22)):
        wave = smooth(fractal(1.25, tile), x, y, 7.0) - np.float32(0.5)
        canvas.normal[..., axis][water] = (0.22 * ripple * wave)[water]


# By kind: grass, hard ground, road, water, earth, pavement, bank.
_FINE = np.array([1.5, 0.4, 0.5, 0.0, 0.9, 0.35, 0.6], np.float32)
_MIDDLE = np.array([0.6, 0.45, 0.35, 0.25, 0.5, 0.25, 0.5], np.float32)


def _colours(s: Surfaces) -> F32:
    table = np.zeros((7, 3), np.float32)
    table[GRASS], table[PAVED], table[ROAD] = s.grass, s.slabs * 0.9 + 0.03, s.asphalt
    table[WATER], table[SOIL], table[PAVEMENT], table[BANK] = (
        s.water,
        s.earth,
        s.slabs,
        s.slabs * 0.8,
    )
    return table


def _crack(
    shade: F32, here: NDArray[np.bool_], s: Surfaces, x: F32, y: F32, middle: F32, grain_m: F32
) -> None:
    """Darken asphalt along the borders of Voronoi cells."""
    cracked, _ = cells(420, 1)
    bend = 3 * middle[here]
    edge = nearest(cracked, x[here] + bend, y[here] + bend, 40.0)
    shade[here] -= (
        ramp(0.62, 0.72, edge) * np.clip(0.1 / grain_m[here], 0, 1) * np.float32(0.3 * s.worn)
    )


def _joint(shade: F32, here: NDArray[np.bool_], x: F32, y: F32, grain_m: F32) -> None:
    """Darken the joints of paving slabs where they are wide enough to be seen."""
    near = here & (grain_m < 0.12)
    u, v = x[near], y[near]
    joint = (np.mod(u + 0.4 * v, 1.2) < 0.06) | (np.mod(v - 0.4 * u, 1.2) < 0.06)
    shade[near] -= np.where(joint, np.float32(0.22), np.float32(0))


def _grow(colour: F32, kind: NDArray[np.uint8], s: Surfaces, middle: F32) -> None:
    """Let some grass be dry, and some of the earth overgrown."""
    grass = kind == GRASS
    dry = np.clip(0.3 + 1.5 * middle[grass], 0, 1)[:, None] * f32([0.03, 0.06, 0.12])
    colour[grass] = np.maximum(colour[grass] + dry, 0.01)
    earth = kind == SOIL
    bare = colour[earth]
    colour[earth] = bare + (s.grass - bare) * ramp(0.12, 0.3, middle[earth])[:, None] * 0.8


def _mark(
    colour: F32, kind: NDArray[np.uint8], road: Strip, x: F32, y: F32, grain_m: F32, s: Surfaces
) -> None:
    """Paint lines and a zebra crossing, worn by noise."""
    here = kind == ROAD
    x, y, grain_m = x[here], y[here], grain_m[here]
    along, off = road.along_and_off(x, y)
    width = np.maximum(np.float32(0.16), grain_m * 0.7)
    strength = np.clip(0.16 / width, 0.25, 1) * np.float32(0.8)
    paint = np.zeros(x.shape, np.float32)
    dashed = np.mod(along, 6.0) < 3.0
    middle = np.abs(off) < width / 2
    paint[middle & (dashed | (road.lanes > 2))] = 1
    if road.lanes > 2:
        lane = np.abs(np.abs(off) - np.float32(road.half_m / 2)) < width / 2
        paint[lane & dashed] = 1
        paint[np.abs(np.abs(off) - np.float32(road.half_m - 0.35)) < width / 2] = 1
    zebra = (np.abs(along - 14) < 1.8) & (np.mod(off, 1.0) < 0.5)
    paint[zebra & (np.abs(off) < road.half_m - 0.4)] = 1
    wear = nearest(fractal(0.9, 14), x, y, 11.0)
    paint *= ramp(0.25, 0.55, wear + np.float32(0.3 * (1 - s.worn))) * strength
    yellow = f32([0.25, 0.62, 0.78]) if road.lanes > 2 else f32([0.75, 0.77, 0.78])
    painted = colour[here]
    colour[here] = painted + (yellow - painted) * paint[:, None]


def _wet(
    canvas: Canvas, s: Surfaces, kind: NDArray[np.uint8], middle: F32, broad: F32, colour: F32
) -> None:
    """Darken hard ground that rain has wetted, let it shine, and leave puddles a stride wide."""
    if not s.wet:
        return
    hard = (kind == ROAD) | (kind == PAVED) | (kind == PAVEMENT)
    puddle = ramp(0.27, 0.31, middle + np.float32(0.08 * s.puddles)) * np.float32(s.puddles > 0.15)
    shine = np.clip(0.35 * s.wet * (0.7 + broad) + 0.5 * puddle, 0, 0.85)
    canvas.shine[hard] = shine[hard]
    colour[hard] *= (1 - 0.38 * s.wet - 0.2 * puddle)[hard][:, None]
