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
Rows = NDArray[np.int32]
Ledger = tuple[Rows, Rows, Rows]
"""Of one change: each row's cells before and after it (2, rows, 2); what was added and what is to
be taken away, as (row, from, up to), the first row of each being how many follow."""

LEFT, RIGHT, SHIFT = 0, 1, 2
"""Of a row's limits: its first cell inside, the one after its last, and 1 less where in its cells
it takes its samples, each row elsewhere: a thin slanted gap cannot run between those of many."""
NONE, RECTANGLE, DISC = 0.0, 1.0, 2.0
WIDE = 1e15
# Strip parameters, all in cells: half width, reach beyond the ends of a segment, shortest segment
# that counts, 1.0 where turns have discs.
RADIUS, REACH, SHORTEST, DISCS = 0, 1, 2, 3


def compiled(function: F) -> F:
    """Compile with numba and keep the result beside the function's file."""
    return cast(F, njit(cache=True, error_model="numpy", nogil=True)(function))


def uncounted(function: F) -> F:
    """Compile what makes no arrays of its own, without counting references to those it is given:
    the counting took a quarter of a search. numba refuses, when it compiles, what does make one.
    """
    return cast(F, njit(cache=True, error_model="numpy", nogil=True, _nrt=False)(function))


@uncounted
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


@uncounted
def put_disc(shapes: Floats, at: int, x: float, y: float, radius: float) -> None:
    shape = shapes[at]
    shape[0], shape[1], shape[2], shape[7] = x, y, radius, DISC


@uncounted
def _spans(shape: Floats, first: int, end: int, limits: Floats, spans: Rows, side: int) -> None:
    """Write the cells [lo, hi) of each row whose samples lie in a shape."""
    for row in range(first, end):
        spans[side, row, 0], spans[side, row, 1] = 0, 0
    if shape[7] == NONE:
        return
    top = max(first, int(shape[1] - shape[2] + 0.5))
    bottom = min(end, int(shape[1] + shape[2] + 0.5))
    for row in range(top, bottom):
        d = row + 0.5 - shape[1]
        if shape[7] == DISC:
            half = math.sqrt(max(0.0, shape[2] * shape[2] - d * d))
            lo, hi = shape[0] - half, shape[0] + half
        else:
            one, two = shape[0] + shape[3] * d, shape[0] + shape[5] * d
            lo = max(one - shape[4], two - shape[6])
            hi = min(one + shape[4], two + shape[6])
        left, right, shift = limits[row, LEFT], limits[row, RIGHT], limits[row, SHIFT]
        lo = max(lo + shift, left)
        hi = min(hi + shift, right)
        if lo < hi:
            spans[side, row, 0], spans[side, row, 1] = int(lo), int(hi)


@uncounted
def _add(counts: Counts, inside: Marks, row: int, lo: int, hi: int) -> int:
    gained = 0
    line, marks = counts[row, lo:hi], inside[row, lo:hi]
    for x in range(line.size):
        gained += marks[x] * (line[x] == 0)
        line[x] += 1
    return gained


@uncounted
def _take(counts: Counts, inside: Marks, row: int, lo: int, hi: int) -> int:
    lost = 0
    line, marks = counts[row, lo:hi], inside[row, lo:hi]
    for x in range(line.size):
        line[x] -= 1
        lost += marks[x] * (line[x] == 0)
    return lost


@uncounted
def _put(counts: Counts, row: int, lo: int, hi: int, more: int) -> None:
    line = counts[row, lo:hi]
    for x in range(line.size):
        line[x] += more


@uncounted
def _log(journal: Rows, row: int, lo: int, hi: int) -> None:
    at = journal[0, 0] + 1
    journal[at, 0], journal[at, 1], journal[at, 2] = row, lo, hi
    journal[0, 0] = at


@uncounted
def swap(
    counts: Counts, inside: Marks, limits: Floats, old: Floats, new: Floats, ledger: Ledger
) -> int:
    """Replace a shape by another, but for what is to be taken away: that is put down for `settle`.

    Return how many cells fewer are missed.
    """
    spans, added, owed = ledger
    low, high = WIDE, -WIDE
    if old[7] != NONE:
        low, high = old[1] - old[2], old[1] + old[2]
    if new[7] != NONE:
        low, high = min(low, new[1] - new[2]), max(high, new[1] + new[2])
    first, end = max(0, int(low - 0.5)), min(counts.shape[0], int(high + 0.5) + 1)
    _spans(old, first, end, limits, spans, 0)
    _spans(new, first, end, limits, spans, 1)
    gained = 0
    for row in range(first, end):
        olo, ohi, nlo, nhi = spans[0, row, 0], spans[0, row, 1], spans[1, row, 0], spans[1, row, 1]
        if olo >= ohi or nlo >= nhi or nlo >= ohi or nhi <= olo:
            if nlo < nhi:
                gained += _add(counts, inside, row, nlo, nhi)
                _log(added, row, nlo, nhi)
            if olo < ohi:
                _log(owed, row, olo, ohi)
            continue
        if nlo < olo:
            gained += _add(counts, inside, row, nlo, olo)
            _log(added, row, nlo, olo)
        elif olo < nlo:
            _log(owed, row, olo, nlo)
        if nhi > ohi:
            gained += _add(counts, inside, row, ohi, nhi)
            _log(added, row, ohi, nhi)
        elif nhi < ohi:
            _log(owed, row, nhi, ohi)
    return gained


@uncounted
def settle(counts: Counts, inside: Marks, ledger: Ledger, most: int) -> int:
    """Take away what is owed; return the cells lost. Past `most`, everything is undone."""
    _, added, owed = ledger
    lost, at = 0, 0
    while at < owed[0, 0] and lost <= most:
        at += 1
        lost += _take(counts, inside, owed[at, 0], owed[at, 1], owed[at, 2])
    if lost > most:
        for back in range(1, at + 1):
            _put(counts, owed[back, 0], owed[back, 1], owed[back, 2], 1)
        for back in range(1, added[0, 0] + 1):
            _put(counts, added[back, 0], added[back, 1], added[back, 2], -1)
    return lost


@uncounted
def clear(ledger: Ledger) -> None:
    ledger[1][0, 0] = 0
    ledger[2][0, 0] = 0


@compiled
def lay(path: Floats, size: int, counts: Counts, inside: Marks, limits: Floats, strip: Floats,
        ledger: Ledger) -> int:  # fmt: skip
    """Count a whole path's strip into an empty raster; return the cells it misses."""
    shapes = np.zeros((2, 8))
    missing = 0
    for row in range(inside.shape[0]):
        missing += inside[row].sum()
    counts[:, :] = 0
    for i in range(size - 1):
        clear(ledger)
        put_segment(shapes, 1, path[i, 0], path[i, 1], path[i + 1, 0], path[i + 1, 1], strip)
        missing -= swap(counts, inside, limits, shapes[0], shapes[1], ledger)
        if i > 0 and strip[DISCS] > 0.0:
            clear(ledger)
            put_disc(shapes, 1, path[i, 0], path[i, 1], strip[RADIUS])
            missing -= swap(counts, inside, limits, shapes[0], shapes[1], ledger)
    return missing


@compiled
def fill(edges: Floats, inside: Marks, limits: Floats) -> None:
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
        limits[row, LEFT], limits[row, RIGHT] = 0.0, 0.0
        for pair in range(0, found - 1, 2):
            lo = max(0, int(crossings[pair] + limits[row, SHIFT]))
            hi = min(inside.shape[1], int(crossings[pair + 1] + limits[row, SHIFT]))
            if lo < hi:
                if limits[row, RIGHT] == 0.0:
                    limits[row, LEFT] = lo
                limits[row, RIGHT] = hi
                inside[row, lo:hi] = 1
