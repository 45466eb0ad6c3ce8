"""How near two of our own flights come: exact for straight legs flown at even speed.

Both paths are points with a time; between two points the aircraft moves evenly. So does one as
seen from the other, between any two times of either path, and the closest approach is the lowest
point of a parabola, not the nearest of some samples.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import shapely
from shapely.geometry import LineString

Timed = tuple[float, float, float, float]
"""(t_s, x_m, y_m, z_m)."""

_STILL_M2_S2 = 1e-12


@dataclass(frozen=True, slots=True)
class Separation:
    """Nearer than both of these at one moment is too near. `time_s` is how far a flight may run
    ahead of its plan or behind it."""

    lateral_m: float
    vertical_m: float
    time_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Conflict:
    """The first moment two flights are too near, and how near they come sideways while less than
    the vertical minimum apart."""

    at_s: float
    lateral_m: float


def conflict(a: Sequence[Timed], b: Sequence[Timed], least: Separation) -> Conflict | None:
    """Return where two timed paths come too near, or None.

    Times are in order and may repeat (a hover is two points at one place). With `time_s`, `b` is
    also taken early and late by that much, in steps no longer than it takes to cross the lateral
    minimum at the fastest speed of either. Raises ValueError for an empty path or unordered times.
    """
    for name, path in (("a", a), ("b", b)):
        if not path:
            raise ValueError(f"{name} must have at least one point")
        if any(q[0] < p[0] for p, q in pairwise(path)):
            raise ValueError(f"the times of {name} must not run back")
    if _lines_apart_m(a, b) >= least.lateral_m:
        return None
    found: list[Conflict] = []
    for shift_s in _shifts(a, b, least):
        moved = [(t + shift_s, x, y, z) for t, x, y, z in b]
        met = _first(a, moved, least)
        if met is not None:
            found.append(met)
    return min(found, key=lambda c: (c.lateral_m, c.at_s), default=None)


def closest_m(a: Sequence[Timed], b: Sequence[Timed]) -> float:
    """Return the least distance in space between two timed paths while both fly; inf if never."""
    least = math.inf
    for start, end in _intervals(a, b):
        p, v = _relative(a, b, start, end)
        speed2 = sum(c * c for c in v)
        approach = -sum(i * j for i, j in zip(p, v, strict=True))
        t = min(end - start, max(0.0, approach / speed2)) if speed2 > _STILL_M2_S2 else 0.0
        least = min(least, math.hypot(*(i + t * j for i, j in zip(p, v, strict=True))))
    return least


def _lines_apart_m(a: Sequence[Timed], b: Sequence[Timed]) -> float:
    """Return how near the two lines on the ground come, whenever that is."""
    return float(shapely.distance(_line(a), _line(b)))


def _line(path: Sequence[Timed]) -> LineString:
    points = [p[1:3] for p in path]
    return LineString(points if len(points) > 1 else points * 2)


def _shifts(a: Sequence[Timed], b: Sequence[Timed], least: Separation) -> list[float]:
    if least.time_s <= 0.0:
        return [0.0]
    fastest = max(_fastest_m_s(a), _fastest_m_s(b), 0.1)
    steps = max(1, math.ceil(least.time_s * fastest / max(least.lateral_m, 1.0)))
    return [least.time_s * i / steps for i in range(-steps, steps + 1)]


def _fastest_m_s(path: Sequence[Timed]) -> float:
    legs = pairwise(path)
    return max((math.dist(p[1:3], q[1:3]) / max(q[0] - p[0], 1e-3) for p, q in legs), default=0.0)


def _first(a: Sequence[Timed], b: Sequence[Timed], least: Separation) -> Conflict | None:
    first: Conflict | None = None
    for start, end in _intervals(a, b):
        p, v = _relative(a, b, start, end)
        level = _while_within(p[2], v[2], least.vertical_m, end - start)
        if level is None:
            continue
        low, high = level
        speed2 = v[0] ** 2 + v[1] ** 2
        t = low
        if speed2 > _STILL_M2_S2:
            t = min(high, max(low, -(p[0] * v[0] + p[1] * v[1]) / speed2))
        lateral_m = math.hypot(p[0] + t * v[0], p[1] + t * v[1])
        if lateral_m >= least.lateral_m:
            continue
        if first is None:
            first = Conflict(start + t, lateral_m)
        elif lateral_m < first.lateral_m:
            first = Conflict(first.at_s, lateral_m)
    return first


def _while_within(z: float, v: float, limit: float, lasts: float) -> tuple[float, float] | None:
    """Return when |z + v·t| < limit within 0..lasts."""
    if abs(v) < 1e-9:
        return (0.0, lasts) if abs(z) < limit else None
    low, high = sorted(((-limit - z) / v, (limit - z) / v))
    low, high = max(0.0, low), min(lasts, high)
    # Touching the limit is not being within it.
    return (low, high) if low < high or (low == high and abs(z + v * low) < limit) else None


def _intervals(a: Sequence[Timed], b: Sequence[Timed]) -> list[tuple[float, float]]:
    """Return the stretches of time in which neither path turns, while both last."""
    start, end = max(a[0][0], b[0][0]), min(a[-1][0], b[-1][0])
    if start > end:
        return []
    times = sorted({start, end, *(p[0] for p in (*a, *b) if start < p[0] < end)})
    return list(pairwise(times)) or [(start, end)]


def _relative(
    a: Sequence[Timed], b: Sequence[Timed], start: float, end: float
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return where b is from a at `start`, and how it moves from there until `end`."""
    (pa, va), (pb, vb) = _motion(a, start, end), _motion(b, start, end)
    return (
        (pb[0] - pa[0], pb[1] - pa[1], pb[2] - pa[2]),
        (vb[0] - va[0], vb[1] - va[1], vb[2] - va[2]),
    )


def _motion(
    path: Sequence[Timed], start: float, end: float
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    middle = (start + end) / 2.0
    after = bisect_right(path, middle, key=lambda p: p[0])
    if 0 < after < len(path):
        p, q = path[after - 1], path[after]
        lasts, since = q[0] - p[0], start - p[0]
        v = ((q[1] - p[1]) / lasts, (q[2] - p[2]) / lasts, (q[3] - p[3]) / lasts)
        return (p[1] + v[0] * since, p[2] + v[1] * since, p[3] + v[2] * since), v
    return path[min(after, len(path)) - 1][1:], (0.0, 0.0, 0.0)
