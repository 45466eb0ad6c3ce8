"""The compiled search for coverage paths: annealing on one path's vertices, in raster cells."""

import math

import numpy as np

from geo.path_moves import (
    CARRY,
    CARRY_TURNED,
    LISTED,
    PATH_LIMIT,
    SPLICE,
    build,
    list_missed,
    list_move,
    propose,
    uniform,
)
from geo.strip_counter import (
    DISCS,
    NONE,
    RADIUS,
    WIDE,
    Counts,
    Draws,
    Floats,
    Ints,
    Ledger,
    Marks,
    clear,
    compiled,
    lay,
    put_disc,
    put_segment,
    settle,
    swap,
    uncounted,
)

# Cost parameters: cells of width, allowed missing cells, whether time counts, the flight model in
# cells and seconds, and what each vertex costs in widths (for a path without idle wiggles).
WIDTH, ALLOWED, TIMED, CRUISE, ACCEL, CUT, BEND = 0, 1, 2, 3, 4, 5, 6
_WINDOW = 8
_REFRESHED, _MISSED = 1024, 4096
"""After how many moves the missed cells are listed anew, and how many."""


@uncounted
def _crosses(edges: Floats, ax: float, ay: float, bx: float, by: float) -> bool:
    """Tell whether a segment meets any edge of the open sky; touching counts."""
    x0, x1 = min(ax, bx), max(ax, bx)
    y0, y1 = min(ay, by), max(ay, by)
    dx, dy = bx - ax, by - ay
    for e in range(edges.shape[0]):
        cx, cy, ex, ey = edges[e, 0], edges[e, 1], edges[e, 2], edges[e, 3]
        if max(cx, ex) < x0 or min(cx, ex) > x1 or max(cy, ey) < y0 or min(cy, ey) > y1:
            continue
        c = dx * (cy - ay) - dy * (cx - ax)
        d = dx * (ey - ay) - dy * (ex - ax)
        if (c > 0.0 and d > 0.0) or (c < 0.0 and d < 0.0):
            continue
        fx, fy = ex - cx, ey - cy
        a = fx * (ay - cy) - fy * (ax - cx)
        b = fx * (by - cy) - fy * (bx - cx)
        if (a > 0.0 and b > 0.0) or (a < 0.0 and b < 0.0):
            continue
        return True
    return False


@uncounted
def _lists_length(lists: Floats, which: int, sizes: Ints) -> float:
    total = 0.0
    for s in range(sizes[which]):
        dx = lists[which, s, 2] - lists[which, s, 0]
        dy = lists[which, s, 3] - lists[which, s, 1]
        total += math.sqrt(dx * dx + dy * dy)
    return total


@uncounted
def _is_open(lists: Floats, sizes: Ints, edges: Floats) -> bool:
    for s in range(sizes[1]):
        new = lists[1, s]
        known = False
        for t in range(sizes[0]):
            old = lists[0, t]
            if old[0] == new[0] and old[1] == new[1] and old[2] == new[2] and old[3] == new[3]:
                known = True
        if not known and _crosses(edges, new[0], new[1], new[2], new[3]):
            return False
    return True


@uncounted
def _same(a: Floats, b: Floats, numbers: int) -> bool:
    for i in range(numbers):  # noqa: SIM110
        if a[i] != b[i]:
            return False
    return True


@uncounted
def _exchange(
    lists: Floats, sizes: Ints, old: int, strip: Floats, shapes: Floats, counts: Counts,
    inside: Marks, limits: Floats, ledger: Ledger,
) -> int:  # fmt: skip
    """Swap the old list's shapes for the new list's, alike ones paired; return cells gained."""
    numbers = 4 if old == 0 else 2
    olds, news = sizes[old], sizes[old + 1]
    head = 0
    while head < min(olds, news) and _same(lists[old, head], lists[old + 1, head], numbers):
        head += 1
    while min(olds, news) > head and _same(
        lists[old, olds - 1], lists[old + 1, news - 1], numbers
    ):
        olds -= 1
        news -= 1
    gained = 0
    for s in range(head, max(olds, news)):
        shapes[0, 7] = NONE
        shapes[1, 7] = NONE
        for side in range(2):
            if s < (olds if side == 0 else news):
                one = lists[old + side, s]
                if old == 0:
                    put_segment(shapes, side, one[0], one[1], one[2], one[3], strip)
                else:
                    put_disc(shapes, side, one[0], one[1], strip[RADIUS])
        gained += swap(counts, inside, limits, shapes[0], shapes[1], ledger)
    return gained


@uncounted
def _corner_speed(a: Floats, b: Floats, c: Floats, cost: Floats) -> float:
    """The speed at corner b by geo.routes: √(accel · radius), from half-angle formulas."""
    ux, uy, vx, vy = b[0] - a[0], b[1] - a[1], c[0] - b[0], c[1] - b[1]
    one, two = math.sqrt(ux * ux + uy * uy), math.sqrt(vx * vx + vy * vy)
    if one < 1e-9 or two < 1e-9:
        return 0.0
    cosine = (ux * vx + uy * vy) / (one * two)
    if cosine > 1.0 - 1e-12:
        return float(cost[CRUISE])
    if cosine < -1.0 + 1e-12:
        return 0.0
    by_cut = cost[CUT] / (math.sqrt(2.0 / (1.0 + cosine)) - 1.0)
    by_leg = min(one, two) / 2.0 / math.sqrt((1.0 - cosine) / (1.0 + cosine))
    return float(min(cost[CRUISE], math.sqrt(cost[ACCEL] * min(by_cut, by_leg))))


@uncounted
def _leg_time(leg: float, start: float, end: float, cost: Floats) -> float:
    accel, top = cost[ACCEL], cost[CRUISE]
    peak = math.sqrt(accel * leg + (start * start + end * end) / 2.0)
    if peak <= top:
        return float((2.0 * peak - start - end) / accel)
    ramps = (2.0 * top * top - start * start - end * end) / (2.0 * accel)
    return float((2.0 * top - start - end) / accel + (leg - ramps) / top)


@uncounted
def window_time(path: Floats, size: int, lo: int, hi: int, cost: Floats, speeds: Floats) -> float:
    """Return the seconds from vertex lo to vertex hi; both ends keep the speed in `speeds`."""
    accel = cost[ACCEL]
    for i in range(lo + 1, hi):
        speeds[i] = _corner_speed(path[i - 1], path[i], path[i + 1], cost)
    for i in range(lo, hi):
        dx, dy = path[i + 1, 0] - path[i, 0], path[i + 1, 1] - path[i, 1]
        leg = math.sqrt(dx * dx + dy * dy)
        reachable = math.sqrt(speeds[i] * speeds[i] + 2.0 * accel * leg)
        speeds[i + 1] = min(speeds[i + 1], reachable)
    total = 0.0
    for i in range(hi - 1, lo - 1, -1):
        dx, dy = path[i + 1, 0] - path[i, 0], path[i + 1, 1] - path[i, 1]
        leg = math.sqrt(dx * dx + dy * dy)
        reachable = math.sqrt(speeds[i + 1] * speeds[i + 1] + 2.0 * accel * leg)
        speeds[i] = min(speeds[i], reachable)
        total += _leg_time(leg, speeds[i], speeds[i + 1], cost)
    return total


@uncounted
def whole_time(path: Floats, size: int, cost: Floats, speeds: Floats) -> float:
    """Return the seconds of a path from rest to rest; `speeds` holds each vertex's after it."""
    speeds[0] = 0.0
    speeds[size - 1] = 0.0
    return window_time(path, size, 0, size - 1, cost, speeds)


@uncounted
def _time_change(path: Floats, size: int, move: Ints, fresh: Floats, cost: Floats, speeds: Floats,
                 now: float, trial: Floats, trial_speeds: Floats) -> float:  # fmt: skip
    """Seconds a move adds: exact for reordering, within a window of vertices for splices."""
    after = build(path, size, move, fresh, trial)
    if move[0] != SPLICE or size < 4 * _WINDOW:
        return whole_time(trial, after, cost, trial_speeds) - now
    lo, hi = max(0, move[1] - _WINDOW), min(size - 1, move[2] + _WINDOW)
    before = 0.0
    for i in range(lo, hi):
        dx, dy = path[i + 1, 0] - path[i, 0], path[i + 1, 1] - path[i, 1]
        before += _leg_time(math.sqrt(dx * dx + dy * dy), speeds[i], speeds[i + 1], cost)
    top = hi + after - size
    trial_speeds[lo] = speeds[lo]
    trial_speeds[top] = speeds[hi]
    if hi == size - 1:
        trial_speeds[top] = 0.0
    return window_time(trial, after, lo, top, cost, trial_speeds) - before


@uncounted
def _leg(path: Floats, i: int) -> float:
    dx, dy = path[i + 1, 0] - path[i, 0], path[i + 1, 1] - path[i, 1]
    return math.sqrt(dx * dx + dy * dy)


@uncounted
def _blunts(path: Floats, size: int, move: Ints, fresh: Floats, least: float,
            trial: Floats) -> bool:  # fmt: skip
    """Tell whether a move shortens the first or last leg below `least`: see geo.strip.discs."""
    lo, hi = move[1], move[2]
    if move[0] == CARRY or move[0] == CARRY_TURNED:
        lo, hi = min(lo, move[3]), max(hi, move[3] + 1)
    if lo > 1 and hi < size - 2:
        return False
    after = build(path, size, move, fresh, trial)
    first, last = _leg(trial, 0), _leg(trial, after - 2)
    return (first < least and first < _leg(path, 0)) or (
        last < least and last < _leg(path, size - 2)
    )


@uncounted
def _excess(missing: int, cost: Floats) -> float:
    """Missing area beyond what is allowed, in squared widths."""
    return float(max(0.0, missing - cost[ALLOWED]) / (cost[WIDTH] * cost[WIDTH]))


@uncounted
def _length(path: Floats, size: int) -> float:
    total = 0.0
    for i in range(size - 1):
        dx, dy = path[i + 1, 0] - path[i, 0], path[i + 1, 1] - path[i, 1]
        total += math.sqrt(dx * dx + dy * dy)
    return total


@uncounted
def _added(path: Floats, size: int, move: Ints, fresh: Floats, lists: Floats, sizes: Ints,
           cost: Floats, speeds: Floats, now: float, trial: Floats,
           trial_speeds: Floats) -> float:  # fmt: skip
    """What a move adds in widths: of length or of cruise, and for its vertices."""
    bends = 0.0
    if move[0] == SPLICE:
        bends = cost[BEND] * (move[3] - move[2] + move[1])
    if cost[TIMED] > 0.0:
        seconds = _time_change(path, size, move, fresh, cost, speeds, now, trial, trial_speeds)
        return float(seconds * cost[CRUISE] / cost[WIDTH] + bends)
    lengthened = _lists_length(lists, 1, sizes) - _lists_length(lists, 0, sizes)
    return float(lengthened / cost[WIDTH] + bends)


@uncounted
def _price(path: Floats, size: int, cost: Floats, speeds: Floats) -> float:
    """What a path costs in widths. `speeds` holds each vertex's after it, where time counts."""
    if cost[TIMED] > 0.0:
        seconds = whole_time(path, size, cost, speeds)
        return float(seconds * cost[CRUISE] / cost[WIDTH] + cost[BEND] * size)
    return float(_length(path, size) / cost[WIDTH] + cost[BEND] * size)


@uncounted
def _apply(path: Floats, size: int, move: Ints, fresh: Floats, trial: Floats) -> int:
    """Make a move; return the path's vertices."""
    kind, i, j, k = move[0], move[1], move[2], move[3]
    if kind == SPLICE and k == j - i:
        for s in range(k):
            path[i + s, 0], path[i + s, 1] = fresh[s, 0], fresh[s, 1]
        return size
    after = build(path, size, move, fresh, trial)
    for s in range(after):
        path[s, 0], path[s, 1] = trial[s, 0], trial[s, 1]
    return after


@compiled
def anneal(
    path: Floats, size: int, counts: Counts, inside: Marks, limits: Floats, edges: Floats,
    strip: Floats, cost: Floats, heat: Floats, moves: int, rng: Draws, ledger: Ledger, best: Floats,
) -> tuple[int, float, int]:  # fmt: skip
    """Search from `path` (PATH_LIMIT + 8, 2); the cheapest that misses few enough goes into `best`.

    `heat` holds temperature first and last (widths), penalty first and last (widths per squared
    width missing too much), step first and last (widths). Returns (vertices of best, its cost in
    widths, its missing cells); where nothing was good enough, of the last path.
    """
    lists, sizes = np.zeros((4, LISTED, 4)), np.zeros(4, np.int64)
    fresh, move, shapes = np.zeros((8, 2)), np.zeros(4, np.int64), np.zeros((2, 8))
    trial = np.zeros((PATH_LIMIT + 8, 2))
    speeds, trial_speeds = np.zeros(PATH_LIMIT + 8), np.zeros(PATH_LIMIT + 8)
    width = cost[WIDTH]
    missing = lay(path, size, counts, inside, limits, strip, ledger)
    now = _price(path, size, cost, speeds)
    missed, listed = np.zeros((_MISSED, 2), np.int32), 0
    best_size, best_cost, best_missing = 0, WIDE, missing
    for step in range(moves):
        share = step / moves
        temperature = heat[0] * (heat[1] / heat[0]) ** share
        penalty = heat[2] * (heat[3] / heat[2]) ** share
        widest = width * heat[4] * (heat[5] / heat[4]) ** share
        if step % _REFRESHED == 0:
            listed = list_missed(counts, inside, rng, missed)
            now = _price(path, size, cost, speeds)
        if not propose(path, size, widest, width, counts, missed, listed, rng, move, fresh):
            continue
        list_move(path, size, move, fresh, lists, sizes)
        bound = penalty * _excess(missing, cost) - temperature * math.log(1.0 - uniform(rng))
        seconds = (now - cost[BEND] * size) * width / cost[CRUISE]
        added = _added(path, size, move, fresh, lists, sizes, cost, speeds, seconds, trial,
                       trial_speeds)  # fmt: skip
        # What costs too much even if it left nothing missing is not worth counting.
        if added > bound or not _is_open(lists, sizes, edges):
            continue
        if strip[DISCS] > 0.0 and _blunts(path, size, move, fresh, 1.0001 * strip[RADIUS], trial):
            continue
        clear(ledger)
        gained = _exchange(lists, sizes, 0, strip, shapes, counts, inside, limits, ledger)
        if strip[DISCS] > 0.0:
            gained += _exchange(lists, sizes, 2, strip, shapes, counts, inside, limits, ledger)
        bearable = int(cost[ALLOWED] + (bound - added) / penalty * width * width)
        most = bearable - missing + gained
        lost = settle(counts, inside, ledger, most)
        if lost > most:
            continue
        missing += lost - gained
        size = _apply(path, size, move, fresh, trial)
        now = _price(path, size, cost, speeds) if cost[TIMED] > 0.0 else now + added
        if missing <= cost[ALLOWED] and now < best_cost - 1e-9:
            best_size, best_cost, best_missing = size, now, missing
            best[:size] = path[:size]
    if best_size == 0:
        best[:size] = path[:size]
        return size, now, missing
    return best_size, best_cost, best_missing
