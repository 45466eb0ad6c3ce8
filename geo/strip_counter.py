"""The compiled counter behind the search: which cells of a raster a path's strip covers, and how
often.

Everything is in cells of the raster (one cell = 1.0). Each cell counts how many rectangles and
discs of the strip hold its sample; changing a shape touches only the cells that change. The counter
guides the search and nothing else: geo.strip judges exactly.

numba's cache watches only the file a function stands in: `gridwing.prepare` empties the cache when
one of the compiled files (strip_counter, path_moves, search_kernel) changes.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from numba import njit
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])
Floats = NDArray[np.float64]
Counts = NDArray[np.int16]
Marks = NDArray[np.uint8]
Ints = NDArray[np.int64]
Draws = NDArray[np.uint64]

OFFSETS = 1024
"""Each row samples its cells at its own offset (limits[row, 2] of so many parts), so that a thin
slanted gap cannot run between the samples of many rows."""
NONE, RECTANGLE, DISC = 0.0, 1.0, 2.0
WIDE = 1e15
# Strip parameters, all in cells: half width, reach beyond the ends of a segment, shortest segment
# that counts, 1.0 where turns have discs.
RADIUS, REACH, SHORTEST, DISCS = 0, 1, 2, 3


def compiled(function: F) -> F:
    """Compile with numba and keep the result beside the function's file."""
    return cast(F, njit(cache=True, error_model="numpy", nogil=True)(function))


@compiled
def put_segment(
    shapes: Floats, at: int, ax: float, ay: float, bx: float, by: float, strip: Floats
) -> None:
    """Describe a segment's rectangle. Symmetric in a and b, to the last bit."""
    dx, dy = bx - ax, by - ay
    length = math.sqrt(dx * dx + dy * dy)
    half = length / 2.0 + strip[REACH]
    shape = shapes[at]
    if length < strip[SHORTEST] or length < 1e-9 or half <= 0.0:
        shape[7] = NONE
        return
    ux, uy = abs(dx) / length, abs(dy) / length
    shape[0], shape[1] = (ax + bx) / 2.0, (ay + by) / 2.0
    shape[2] = half * uy + strip[RADIUS] * ux
    shape[3], shape[4] = (0.0, WIDE) if uy < 1e-9 else (dx / dy, strip[RADIUS] / uy)
    shape[5], shape[6] = (0.0, WIDE) if ux < 1e-9 else (-dy / dx, half / ux)
    shape[7] = RECTANGLE


@compiled
def put_disc(shapes: Floats, at: int, x: float, y: float, radius: float) -> None:
    shape = shapes[at]
    shape[0], shape[1], shape[2], shape[7] = x, y, radius, DISC


@compiled
def _span(
    shape: Floats, y: float, offset: float, left: int, right: int
) -> tuple[int, int]:
    """Return the cells [lo, hi) of a row whose samples, `offset` into each, lie in the shape."""
    d = y - shape[1]
    if shape[7] == NONE or abs(d) > shape[2]:
        return 0, 0
    if shape[7] == DISC:
        half = math.sqrt(shape[2] * shape[2] - d * d)
        lo, hi = shape[0] - half, shape[0] + half
    else:
        one, two = shape[0] + shape[3] * d, shape[0] + shape[5] * d
        lo = max(one - shape[4], two - shape[6])
        hi = min(one + shape[4], two + shape[6])
    lo = max(lo - offset, float(left))
    hi = min(hi - offset, float(right))
    if lo >= hi:
        return 0, 0
    return math.ceil(lo), math.ceil(hi)


@compiled
def _add(counts: Counts, inside: Marks, row: int, lo: int, hi: int) -> int:
    gained = 0
    for x in range(lo, hi):
        c = counts[row, x]
        if c == 0:
            gained += inside[row, x]
        counts[row, x] = c + 1
    return -gained


@compiled
def _take(counts: Counts, inside: Marks, row: int, lo: int, hi: int) -> int:
    lost = 0
    for x in range(lo, hi):
        c = counts[row, x] - 1
        if c == 0:
            lost += inside[row, x]
        counts[row, x] = c
    return lost


@compiled
def _log(journal: Ints, row: int, lo: int, hi: int, sign: int) -> None:
    at = journal[0, 0] + 1
    journal[at, 0], journal[at, 1], journal[at, 2], journal[at, 3] = row, lo, hi, sign
    journal[0, 0] = at


@compiled
def _change(
    counts: Counts, inside: Marks, row: int, lo: int, hi: int, sign: int, journal: Ints
) -> int:
    _log(journal, row, lo, hi, sign)
    if sign > 0:
        return _add(counts, inside, row, lo, hi)
    return _take(counts, inside, row, lo, hi)


@compiled
def swap(
    counts: Counts, inside: Marks, limits: Ints, old: Floats, new: Floats, journal: Ints
) -> int:
    """Replace a shape by another; return how many more cells are missed."""
    low, high = WIDE, -WIDE
    if old[7] != NONE:
        low, high = old[1] - old[2], old[1] + old[2]
    if new[7] != NONE:
        low, high = min(low, new[1] - new[2]), max(high, new[1] + new[2])
    more = 0
    for row in range(max(0, int(low - 0.5)), min(counts.shape[0], int(high + 0.5) + 1)):
        left, right = limits[row, 0], limits[row, 1]
        offset = limits[row, 2] / OFFSETS
        olo, ohi = _span(old, row + 0.5, offset, left, right)
        nlo, nhi = _span(new, row + 0.5, offset, left, right)
        if olo >= ohi or nlo >= nhi or nlo >= ohi or nhi <= olo:
            if nlo < nhi:
                more += _change(counts, inside, row, nlo, nhi, 1, journal)
            if olo < ohi:
                more += _change(counts, inside, row, olo, ohi, -1, journal)
            continue
        if nlo < olo:
            more += _change(counts, inside, row, nlo, olo, 1, journal)
        elif olo < nlo:
            more += _change(counts, inside, row, olo, nlo, -1, journal)
        if nhi > ohi:
            more += _change(counts, inside, row, ohi, nhi, 1, journal)
        elif nhi < ohi:
            more += _change(counts, inside, row, nhi, ohi, -1, journal)
    return more


@compiled
def undo(counts: Counts, journal: Ints) -> None:
    for at in range(journal[0, 0], 0, -1):
        row, lo, hi = journal[at, 0], journal[at, 1], journal[at, 2]
        step = -journal[at, 3]
        for x in range(lo, hi):
            counts[row, x] += step


@compiled
def lay(path: Floats, size: int, counts: Counts, inside: Marks, limits: Ints, strip: Floats,
        journal: Ints) -> int:  # fmt: skip
    """Count a whole path's strip into an empty raster; return the cells it misses."""
    shapes = np.zeros((2, 8))
    missing = 0
    for row in range(inside.shape[0]):
        for x in range(limits[row, 0], limits[row, 1]):
            missing += inside[row, x]
    counts[:, :] = 0
    for i in range(size - 1):
        journal[0, 0] = 0
        put_segment(shapes, 1, path[i, 0], path[i, 1], path[i + 1, 0], path[i + 1, 1], strip)
        missing += swap(counts, inside, limits, shapes[0], shapes[1], journal)
        if i > 0 and strip[DISCS] > 0.0:
            journal[0, 0] = 0
            put_disc(shapes, 1, path[i, 0], path[i, 1], strip[RADIUS])
            missing += swap(counts, inside, limits, shapes[0], shapes[1], journal)
    return missing


@compiled
def fill(edges: Floats, inside: Marks, limits: Ints) -> None:
    """Mark the cells whose centres lie within rings given as edges (even–odd), row by row."""
    crossings = np.zeros(edges.shape[0] + 1)
    for row in range(inside.shape[0]):
        y, found = row + 0.5, 0
        for e in range(edges.shape[0]):
            ay, by = edges[e, 1], edges[e, 3]
            if (ay > y) != (by > y):
                ax, bx = edges[e, 0], edges[e, 2]
                crossings[found] = ax + (y - ay) / (by - ay) * (bx - ax)
                found += 1
        crossings[:found].sort()
        limits[row, 0], limits[row, 1] = 0, 0
        for pair in range(0, found - 1, 2):
            offset = limits[row, 2] / OFFSETS
            lo = max(0, math.ceil(crossings[pair] - offset))
            hi = min(inside.shape[1], math.ceil(crossings[pair + 1] - offset))
            if lo < hi:
                if limits[row, 1] == 0:
                    limits[row, 0] = lo
                limits[row, 1] = hi
                inside[row, lo:hi] = 1
