"""What may be taken for a hazard and is none: flags, awnings, tidy bins, lily pads, cones."""

from math import cos, sin

import numpy as np
from numpy.typing import NDArray

from simulators.heldout.canvas import Canvas
from simulators.heldout.furniture import put_tree
from simulators.heldout.light import Light
from simulators.heldout.solids import Convex, Ellipsoid, Paint, plain, turned
from simulators.heldout.texture import f32

F32 = NDArray[np.float32]
DRY = ("flags", "awning", "bins", "boxes", "umbrella", "flowers", "autumn", "cones")


def put_decoy(
    canvas: Canvas,
    kind: str,
    x: float,
    y: float,
    way: float,
    light: Light,
    rng: np.random.Generator,
) -> None:
    """Draw one decoy of DRY, or `lilies` on water."""
    _DRAWN[kind](canvas, x, y, way, rng)


def _flags(canvas: Canvas, x: float, y: float, way: float, rng: np.random.Generator) -> None:
    colours = ((0.10, 0.08, 0.78), (0.08, 0.45, 0.90), (0.10, 0.10, 0.72), (0.10, 0.65, 0.92))
    for i in range(int(rng.integers(2, 6))):
        px, py = x + 1.8 * i * cos(way), y + 1.8 * i * sin(way)
        canvas.put(Convex((px, py, 2.2), (0.04, 0.04, 2.2), (), plain((0.7, 0.7, 0.7))))
        cloth = _waved(colours[int(rng.integers(4))])
        axes = turned(way + 0.4)
        at = px + 0.6 * cos(way + 0.4), py + 0.6 * sin(way + 0.4), 3.8
        canvas.put(Convex(at, (0.6, 0.03, 0.42), (), cloth, axes))


def _waved(colour: tuple[float, float, float]) -> Paint:
    def paint(own: F32, normals: F32) -> F32:
        fold = 0.8 + 0.3 * np.sin(own[:, 0] * 9 + own[:, 2] * 2)
        return np.asarray(f32(colour) * fold[:, None], np.float32)

    return paint


def _striped(one: tuple[float, float, float], other: tuple[float, float, float]) -> Paint:
    def paint(own: F32, normals: F32) -> F32:
        band = (np.mod(own[:, 0], 0.8) < 0.4)[:, None]
        return np.asarray(np.where(band, f32(one), f32(other)), np.float32)

    return paint


def _awning(canvas: Canvas, x: float, y: float, way: float, rng: np.random.Generator) -> None:
    pairs = (
        ((0.12, 0.1, 0.6), (0.8, 0.8, 0.8)),
        ((0.55, 0.3, 0.1), (0.5, 0.28, 0.1)),
        ((0.2, 0.45, 0.15), (0.8, 0.8, 0.8)),
        ((0.1, 0.35, 0.85), (0.1, 0.3, 0.8)),
    )
    paint = _striped(*pairs[int(rng.integers(4))])
    axes = turned(way)
    for side in (-1.8, 1.8):
        canvas.put(
            Convex(
                (x + side * cos(way), y + side * sin(way), 1.2),
                (0.05, 0.05, 1.2),
                (),
                plain((0.6, 0.6, 0.6)),
            )
        )
    slope = ((0.0, 0.35, 1.0, 0.12), (0.0, -0.35, 1.0, 0.12))
    roof = Convex((x, y, 2.6), (2.1, 1.5, 0.3), slope, paint, axes)
    canvas.put(roof)
    canvas.casters.append(roof)
    canvas.put(Convex((x, y, 0.4), (1.7, 0.5, 0.4), (), plain((0.35, 0.45, 0.52)), axes))


def _bins(canvas: Canvas, x: float, y: float, way: float, rng: np.random.Generator) -> None:
    colours = ((0.16, 0.38, 0.12), (0.50, 0.28, 0.10), (0.28, 0.28, 0.28), (0.12, 0.10, 0.50))
    axes = turned(way)
    for i in range(int(rng.integers(2, 5))):
        bx, by = x + 0.75 * i * cos(way), y + 0.75 * i * sin(way)
        colour = colours[i % 4] if rng.random() < 0.5 else colours[0]
        canvas.put(Convex((bx, by, 0.48), (0.29, 0.34, 0.48), (), plain(colour), axes))
        lid = tuple(c * 0.75 for c in colour)
        canvas.put(
            Convex(
                (bx, by, 1.0),
                (0.32, 0.38, 0.05),
                ((0.0, 0.3, 1.0, 0.1),),
                plain((lid[0], lid[1], lid[2])),
                axes,
            ),
            shine=0.1,
        )


def _boxes(canvas: Canvas, x: float, y: float, way: float, rng: np.random.Generator) -> None:
    """A neat stack on a pallet."""
    axes = turned(way)
    canvas.put(Convex((x, y, 0.08), (0.9, 0.6, 0.08), (), plain((0.25, 0.4, 0.55)), axes))
    shade = float(rng.uniform(0.8, 1.1))
    for i in range(3):
        for j in range(int(rng.integers(2, 4))):
            off = (i - 1) * 0.58
            at = x + off * cos(way), y + off * sin(way), 0.4 + 0.48 * j
            canvas.put(
                Convex(
                    at,
                    (0.28, 0.5, 0.23),
                    (),
                    plain((0.34 * shade, 0.5 * shade, 0.62 * shade)),
                    axes,
                )
            )


def _umbrella(canvas: Canvas, x: float, y: float, way: float, rng: np.random.Generator) -> None:
    colour = ((0.10, 0.10, 0.75), (0.55, 0.30, 0.10), (0.1, 0.4, 0.9), (0.25, 0.5, 0.2))[
        int(rng.integers(4))
    ]
    canvas.put(Convex((x, y, 1.1), (0.03, 0.03, 1.1), (), plain((0.7, 0.7, 0.7))))
    top = Ellipsoid((x, y, 2.2), (1.35, 1.35, 0.42), _striped(colour, colour))
    canvas.put(top)
    canvas.casters.append(top)


def _flowers(canvas: Canvas, x: float, y: float, way: float, rng: np.random.Generator) -> None:
    colours = ((0.15, 0.12, 0.75), (0.15, 0.70, 0.90), (0.55, 0.25, 0.75), (0.10, 0.40, 0.90))
    pick = colours[int(rng.integers(4))]
    axes = turned(way)
    canvas.put(Convex((x, y, 0.2), (2.0, 0.6, 0.2), (), plain((0.55, 0.57, 0.58)), axes))
    for _ in range(26):
        a, b = rng.uniform(-1.8, 1.8), rng.uniform(-0.45, 0.45)
        at = x + a * cos(way) - b * sin(way), y + a * sin(way) + b * cos(way), 0.5
        green = plain((0.08, 0.3, 0.12)) if rng.random() < 0.45 else plain(pick)
        canvas.put(Ellipsoid(at, (0.22, 0.22, 0.16), green, bump=0.5))


def _autumn(canvas: Canvas, x: float, y: float, way: float, rng: np.random.Generator) -> None:
    put_tree(canvas, x, y, float(rng.uniform(4.5, 8)), rng, autumn=True)


def _cones(canvas: Canvas, x: float, y: float, way: float, rng: np.random.Generator) -> None:
    for i in range(int(rng.integers(3, 7))):
        cx, cy = x + 1.6 * i * cos(way), y + 1.6 * i * sin(way)
        canvas.put(Convex((cx, cy, 0.03), (0.2, 0.2, 0.03), (), plain((0.08, 0.08, 0.08))))
        planes = tuple(
            (float(a), float(b), 0.28, 0.13)
            for a, b in (
                (1, 0),
                (-1, 0),
                (0, 1),
                (0, -1),
                (0.7, 0.7),
                (-0.7, 0.7),
                (0.7, -0.7),
                (-0.7, -0.7),
            )
        )
        canvas.put(Convex((cx, cy, 0.4), (0.18, 0.18, 0.36), planes, _ringed))


def _ringed(own: F32, normals: F32) -> F32:
    ring = (np.abs(own[:, 2] - 0.05) < 0.09)[:, None]
    return np.asarray(np.where(ring, np.float32(0.85), f32([0.05, 0.28, 0.9])), np.float32)


def _lilies(canvas: Canvas, x: float, y: float, way: float, rng: np.random.Generator) -> None:
    for _ in range(30):
        lx, ly = x + float(rng.normal(0, 1.8)), y + float(rng.normal(0, 1.8))
        size = float(rng.uniform(0.2, 0.42))
        green = float(rng.uniform(0.8, 1.2))
        canvas.put(
            Ellipsoid(
                (lx, ly, 0.02),
                (size, size, 0.015),
                plain((0.12 * green, 0.42 * green, 0.2 * green)),
            )
        )
        if rng.random() < 0.2:
            canvas.put(Ellipsoid((lx, ly, 0.12), (0.11, 0.11, 0.12), plain((0.75, 0.6, 0.9))))


_DRAWN = {
    "flags": _flags, "awning": _awning, "bins": _bins, "boxes": _boxes, "umbrella": _umbrella,
    "flowers": _flowers, "autumn": _autumn, "cones": _cones, "lilies": _lilies,
}  # fmt: skip
