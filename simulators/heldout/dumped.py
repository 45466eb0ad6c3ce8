"""Rubbish, spoil, debris on water, and water on roads."""

from math import cos, sin

import numpy as np
from numpy.typing import NDArray

from simulators.heldout.canvas import Canvas, Thing
from simulators.heldout.palettes import Colour, Palette
from simulators.heldout.solids import Convex, Ellipsoid, Heap, mottled, plain, turned
from simulators.heldout.texture import cells, f32, fractal, nearest, ramp, smooth
from simulators.heldout.town import PAVEMENT, ROAD, WATER, Town

F32 = NDArray[np.float32]
CARDBOARD: tuple[Colour, ...] = ((0.30, 0.46, 0.60), (0.38, 0.54, 0.68), (0.24, 0.38, 0.52))


def _scattered(
    canvas: Canvas, thing: Thing, x: float, y: float, spread_m: float, piece_m: float,
    colours: tuple[Colour, ...], share: float, on: NDArray[np.bool_], level_m: float = 0.0,
) -> None:  # fmt: skip
    """Strew flat pieces over the ground about a place: Voronoi cells, each of one colour."""
    corners = np.array(
        [
            [x + a * spread_m * 1.5, y + b * spread_m * 1.5, level_m]
            for a in (-1, 1)
            for b in (-1, 1)
        ],
        np.float32,
    )
    rect, _ = canvas.view.rect(corners)
    if rect is None:
        return
    window = np.s_[rect[1] : rect[3], rect[0] : rect[2]]
    gx, gy = _ground(canvas, window, level_m)
    bare = canvas.depth[window] * np.abs(canvas.view.rays[window][..., 2]) > (
        canvas.view.height_agl_m - 0.45
    )
    far = np.hypot(gx - x, gy - y) / np.float32(spread_m)
    rough = smooth(fractal(1.4, 41), gx, gy, spread_m * 3.2) - np.float32(0.5)
    dense = share * (1 - ramp(0.45, 1.05, far + 1.3 * rough))
    distance, name = cells(2600, 2)
    tile_m = piece_m * np.sqrt(2600)
    which = nearest(np.asarray(name, np.float32), gx, gy, tile_m)
    inner = nearest(distance, gx, gy, tile_m)
    drawn = np.mod(which * 37, 1021) / 1021
    # A pixel larger than a piece sees a mixture: fade the edges of pieces, not the pieces.
    seen = (drawn < dense) & (inner < 0.52) & on[window] & bare
    table = np.array(colours, np.float32)
    colour = (
        table[np.asarray(which, np.int32) % len(table)]
        * (0.75 + 0.5 * np.mod(which * 13, 17) / 17)[..., None]
    )
    colour = colour * (1 - 0.5 * ramp(0.3, 0.55, inner))[..., None]
    canvas.colour[window][seen] = colour[seen]
    canvas.shine[window][seen] = 0.0
    canvas.normal[window][seen] = (0, 0, 1)
    canvas.owner[window][seen] = thing.number
    thing.alone[window] |= seen


def _ground(canvas: Canvas, window: tuple[slice, slice], level_m: float) -> tuple[F32, F32]:
    rays = canvas.view.rays[window]
    reach = (level_m - canvas.view.height_agl_m) / np.minimum(rays[..., 2], -0.004)
    return f32(rays[..., 0] * reach), f32(rays[..., 1] * reach)


def put_rubbish(
    canvas: Canvas, x: float, y: float, size_m: float, palette: Palette, rng: np.random.Generator
) -> None:
    """Draw a pile of tied bags with boxes and litter about it; size_m is the pile's radius."""
    thing = canvas.thing("exposed_rubbish")
    litter = (*palette.bags, *CARDBOARD, (0.7, 0.7, 0.7))
    bare = canvas.owner == 0
    _scattered(canvas, thing, x, y, size_m * 1.1, 0.16 if size_m < 2 else 0.26, litter, 0.45, bare)
    count = int(np.clip(16 * size_m**1.5, 9, 46))
    for _ in range(count):
        out = size_m * float(rng.beta(1.2, 2.4))
        way = float(rng.uniform(0, 6.28))
        bag = float(rng.uniform(0.24, 0.42)) * max(1.0, size_m / 2.4)
        bx, by = x + out * cos(way), y + out * sin(way)
        lift = max(0.0, (1 - out / size_m) * size_m * float(rng.uniform(0, 0.55)))
        axes = turned(float(rng.uniform(0, 3)), float(rng.normal(0, 0.3)))
        if rng.random() < 0.2:
            card = plain(CARDBOARD[int(rng.integers(3))])
            half = bag * 0.9, bag * 0.7, bag * float(rng.uniform(0.15, 0.7))
            canvas.put(Convex((bx, by, lift + half[2]), half, (), card, axes), thing)
            continue
        colour = f32(palette.bags[int(rng.integers(len(palette.bags)))])
        paint = mottled(colour * 0.7, colour * 1.25 + 0.02, 0.9, 42)
        body = Ellipsoid(
            (bx, by, lift + bag * 0.72),
            (bag, bag * float(rng.uniform(0.75, 1)), bag * 0.8),
            paint,
            axes,
            0.75,
        )
        canvas.put(body, thing, shine=0.16)
        knot = (
            bx + float(axes[2, 0]) * bag * 0.9,
            by + float(axes[2, 1]) * bag * 0.9,
            lift + bag * 1.55,
        )
        canvas.put(Ellipsoid(knot, (0.06, 0.06, 0.11), plain(tuple(colour)), bump=0.5), thing)
    canvas.casters.append(
        Ellipsoid((x, y, 0.2), (size_m * 0.75, size_m * 0.75, 0.5 * size_m), plain((0, 0, 0)))
    )


def put_spoil(
    canvas: Canvas, x: float, y: float, size_m: float, palette: Palette, rng: np.random.Generator
) -> None:
    """Draw a heap of earth with broken concrete on and about it; size_m is its radius."""
    thing = canvas.thing("construction_spoil")
    dark, bright = palette.earth
    between = (
        0.5 * (dark[0] + bright[0]),
        0.5 * (dark[1] + bright[1]),
        0.5 * (dark[2] + bright[2]),
    )
    grain = (dark, bright, between)
    _scattered(canvas, thing, x, y, size_m * 1.0, 0.2, grain, 0.5, canvas.owner == 0)
    n = 96
    axis = np.linspace(-1, 1, n, dtype=np.float32)
    gx, gy = np.meshgrid(axis, axis)
    heights = np.zeros((n, n), np.float32)
    for i in range(int(rng.integers(2, 5))):
        cx, cy = rng.uniform(-0.35, 0.35, 2) if i else (0.0, 0.0)
        wide, high = rng.uniform(0.6, 0.8), rng.uniform(0.4, 0.62) * (1.0 if i else 1.2)
        cone = high * (1 - np.hypot(gx - cx, (gy - cy) * rng.uniform(0.8, 1.2)) / wide)
        heights = np.maximum(heights, f32(cone))
    shift = float(rng.uniform(0, 50))
    rough = smooth(fractal(1.25, 43), gx + np.float32(shift), gy, 2.6) - np.float32(0.5)
    lumps = smooth(fractal(0.8, 44), gx + np.float32(shift), gy, 2.0) - np.float32(0.5)
    heights = (
        np.maximum(0, heights * (1 + 0.7 * rough) + (heights > 0) * 0.1 * lumps) * size_m * 1.05
    )
    heap = Heap((x, y, 0.0), size_m, f32(heights), mottled(dark, bright, size_m * 1.1, 45))
    canvas.put(heap, thing)
    canvas.casters.append(heap)
    for _ in range(int(np.clip(8 * size_m, 8, 26))):
        out, way = size_m * float(rng.uniform(0.3, 1.1)), float(rng.uniform(0, 6.28))
        bx, by = x + out * cos(way), y + out * sin(way)
        z = float(heap.height_at(np.array([[bx - x, by - y, 0]], np.float32))[0])
        s = float(rng.uniform(0.07, 0.24)) * min(1.6, 0.6 + 0.3 * size_m)
        chip = tuple((rng.normal(0, 0.5), rng.normal(0, 0.5), 1.0, s * 0.8) for _ in range(3))
        grey = float(rng.uniform(0.35, 0.62))
        block = plain((grey, grey, grey) if rng.random() < 0.6 else bright)
        axes = turned(float(rng.uniform(0, 3)), float(rng.normal(0, 0.5)))
        canvas.put(Convex((bx, by, z + s * 0.3), (s * 1.5, s, s * 0.6), chip, block, axes), thing)


def put_debris(
    canvas: Canvas, x: float, y: float, size_m: float, way: float, palette: Palette,
    kind: NDArray[np.uint8], rng: np.random.Generator,
) -> None:  # fmt: skip
    """Draw a raft of bottles, foam, branches and leaves on water; size_m is its radius."""
    thing = canvas.thing("floating_debris")
    water = (kind == WATER) & (canvas.owner == 0)
    piece = 0.22 if size_m < 4 else 0.4
    _scattered(canvas, thing, x, y, size_m, piece, palette.raft, 0.95, water)
    if size_m * canvas.view.px_per_m(x, y) / 6 < 8 * 0.3:
        return
    for _ in range(int(np.clip(16 * size_m, 14, 46))):
        out, turn = size_m * float(rng.beta(1.5, 2.2)), float(rng.uniform(0, 6.28))
        bx, by = x + out * cos(turn), y + out * sin(turn)
        colour = palette.raft[int(rng.integers(len(palette.raft)))]
        axes = turned(float(rng.uniform(0, 3)), float(rng.normal(0, 0.08)))
        draw = rng.random()
        if draw < 0.4:
            canvas.put(
                Ellipsoid((bx, by, 0.02), (0.2, 0.08, 0.08), plain(colour), axes), thing, shine=0.2
            )
        elif draw < 0.6:
            half = float(rng.uniform(0.15, 0.4)), float(rng.uniform(0.1, 0.3)), 0.07
            canvas.put(Convex((bx, by, 0.03), half, (), plain(colour), axes), thing)
        elif draw < 0.8:
            canvas.put(
                Ellipsoid(
                    (bx, by, 0.03),
                    (float(rng.uniform(0.4, 1.3)), 0.05, 0.05),
                    plain((0.12, 0.18, 0.24)),
                    axes,
                ),
                thing,
            )
        else:
            canvas.put(
                Ellipsoid((bx, by, 0.05), (0.3, 0.22, 0.14), plain(colour), axes, bump=0.7),
                thing,
                shine=0.1,
            )


def put_flood(
    canvas: Canvas, town: Town, road_at: int, along_m: float, length_m: float, palette: Palette,
    kind: NDArray[np.uint8], rng: np.random.Generator,
) -> None:  # fmt: skip
    """Stand water on a road from kerb to kerb and over it; what is in it stands in it."""
    thing = canvas.thing("flooded_road")
    road = town.roads[road_at]
    level_m = float(rng.uniform(0.1, 0.35))
    x, y = _ground(canvas, np.s_[:, :], level_m)
    below = canvas.view.rays[..., 2] < -0.02
    along, off = road.along_and_off(x, y)
    edge = (smooth(fractal(1.5, 46), x, y, 34.0) - np.float32(0.5)) * np.float32(1.1)
    over = float(rng.uniform(0.3, 2.4))
    side = float(rng.choice([0.0, 0.0, 0.35])) * road.half_m * float(rng.choice([-1, 1]))
    inside = np.hypot(
        (along - along_m) / np.float32(length_m / 2), (off - side) / np.float32(road.half_m + over)
    )
    depth = 1 - inside**2 + edge
    wet = (
        (depth > 0)
        & below
        & ((kind == ROAD) | (kind == PAVEMENT) | (inside < 0.9))
        & (kind != WATER)
    )
    thing.alone |= wet
    reach = (level_m - canvas.view.height_agl_m) / np.minimum(canvas.view.rays[..., 2], -0.004)
    wet &= (reach < canvas.depth) & (canvas.owner == 0)
    deep = ramp(0.0, 0.35, f32(depth))[..., None]
    swirl = smooth(fractal(1.3, 47), x, y, 13.0)[..., None] - np.float32(0.5)
    rim = (depth > -0.28) & (depth <= 0) & below & (reach < canvas.depth * 1.01) & (kind != WATER)
    canvas.colour[rim] *= 0.62
    canvas.shine[rim] = 0.3
    colour = f32(palette.flood) * (0.72 + 0.5 * swirl)
    mixed = canvas.colour + (colour - canvas.colour) * (0.55 + 0.4 * deep)
    canvas.colour[wet] = mixed[wet]
    canvas.depth[wet] = f32(reach)[wet]
    canvas.shine[wet] = (0.8 + 0.15 * deep[..., 0])[wet]
    grain = np.maximum(reach / canvas.view.focal_px, 1e-3)
    for axis, tile in ((0, 48), (1, 49)):
        wave = (smooth(fractal(1.2, tile), x, y, 4.5) - np.float32(0.5)) * np.clip(
            0.2 / grain, 0.08, 1
        )
        canvas.normal[..., axis][wet] = (0.3 * wave)[wet]
    canvas.owner[wet] = thing.number
