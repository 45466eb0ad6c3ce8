"""Where the search for a coverage path begins: spirals along the contour, and sweeps.

A start need not cover everything nor be short; it must stay in the open sky and have the shape of
a good path. Each function gives local metres.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LinearRing, LineString, MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import nearest_points

from geo.routes import OpenSky, Point

Segment = tuple[Point, Point]
_RINGS_LIMIT = 400
_IMPROVEMENT_ROUNDS = 20
_IMPROVED_SEGMENTS = 120


def spiral(
    area: Polygon | MultiPolygon, width_m: float, first_m: float, spacing_m: float, sky: OpenSky,
    outward: bool = False,
) -> list[Point] | None:  # fmt: skip
    """Follow the contour at `first_m` inside, then each ring `spacing_m` further in.

    A ring is left before it closes and the nearest ring not yet flown comes next. None where no
    ring fits or one cannot be reached.
    """
    rings = _rings(area, width_m, first_m, spacing_m)
    if not rings:
        return None
    first = rings.pop(-1 if outward else 0)
    path = _round(first, 0.0, spacing_m)
    while rings:
        here = shapely.Point(path[-1])
        gaps = [here.distance(ring) for ring in rings]
        ring = rings.pop(int(np.argmin(gaps)))
        way = sky.way(path[-1], _on_sky(ring.interpolate(ring.project(here)), sky))
        if way is None:
            return None
        path.extend(way[1:-1])
        path.extend(_round(ring, ring.project(here), spacing_m))
    return _walk(path, sky)


def _rings(
    area: Polygon | MultiPolygon, width_m: float, first_m: float, spacing_m: float
) -> list[LinearRing]:
    """Contours of the area from outside in; tiny ones become nothing (the search sees to them)."""
    rings: list[LinearRing] = []
    depth = first_m
    while len(rings) < _RINGS_LIMIT:
        inside = area.buffer(-depth, join_style="mitre", mitre_limit=2.0)
        inner = inside.simplify(width_m * 0.03)
        if inner.is_empty:
            break
        for part in shapely.get_parts(inner):
            if isinstance(part, Polygon):
                found = [part.exterior, *part.interiors]
                rings.extend(LinearRing(r) for r in found if r.length > width_m)
        depth += spacing_m
    return rings


def _round(ring: LinearRing, at_m: float, gap_m: float) -> list[Point]:
    """The ring from a place on it and once round, ended a gap before it closes."""
    length = ring.length
    corners = [ring.project(shapely.Point(c)) for c in ring.coords[:-1]]
    end = max(length - gap_m, length * 0.6)
    stops = sorted({(c - at_m) % length for c in corners})
    stops = [0.0, *(s for s in stops if 0.01 * gap_m < s < end), end]
    points = [ring.interpolate((at_m + s) % length) for s in stops]
    return [(p.x, p.y) for p in points]


def _on_sky(point: shapely.Point, sky: OpenSky) -> Point:
    if sky.holds((point.x, point.y)):
        return (float(point.x), float(point.y))
    near = nearest_points(sky.free, point)[0]
    return (float(near.x), float(near.y))


def _walk(path: Sequence[Point], sky: OpenSky) -> list[Point] | None:
    """Bring every vertex into the sky and every leg round what is closed."""
    points = [_on_sky(shapely.Point(p), sky) for p in path]
    walked = [points[0]]
    for a, b in pairwise(points):
        if math.dist(a, b) < 1e-6:
            continue
        way = sky.way(a, b)
        if way is None:
            return None
        walked.extend(way[1:])
    return walked if len(walked) > 1 else None


def sweep_lines(
    edges: NDArray[np.float64], width_m: float, angle_deg: float, count_more: int = 0
) -> list[Segment]:
    """Lay evenly spread parallel lines across rings given as edges (n, 4); chords inside them."""
    turn = math.radians(angle_deg)
    c, s = math.cos(turn), math.sin(turn)
    ax, ay = edges[:, 0] * c + edges[:, 1] * s, edges[:, 1] * c - edges[:, 0] * s
    bx, by = edges[:, 2] * c + edges[:, 3] * s, edges[:, 3] * c - edges[:, 2] * s
    low, high = min(ay.min(), by.min()), max(ay.max(), by.max())
    count = max(1, math.ceil((high - low) / width_m - 1e-9) + count_more)
    step = (high - low) / count
    found: list[Segment] = []
    for i in range(count):
        y = low + (i + 0.5) * step
        met = (ay > y) != (by > y)
        x = np.sort(ax[met] + (y - ay[met]) / (by[met] - ay[met]) * (bx[met] - ax[met]))
        for x0, x1 in zip(x[0::2].tolist(), x[1::2].tolist(), strict=True):
            found.append(((x0 * c - y * s, x0 * s + y * c), (x1 * c - y * s, x1 * s + y * c)))
    return found


def sweep(segments: Sequence[Segment], width_m: float, sky: OpenSky) -> list[Point] | None:
    """Fly parallel lines in a short order, each cut to the open sky."""
    flown: list[Segment] = []
    for a, b in segments:
        flown.extend(s for s in open_parts(a, b, sky) if math.dist(*s) > 0.1 * width_m)
    if not flown:
        return None
    return join(order(flown), sky)


def open_parts(a: Point, b: Point, sky: OpenSky) -> list[Segment]:
    """Return what of a leg lies over open ground."""
    if sky.clear(a, b):
        return [(a, b)]
    inside = LineString([a, b]).intersection(sky.free)
    lines = [p for p in shapely.get_parts(inside) if isinstance(p, LineString) and p.length > 0.1]
    return [((p.coords[0][0], p.coords[0][1]), (p.coords[-1][0], p.coords[-1][1])) for p in lines]


def order(segments: Sequence[Segment], start: Point | None = None) -> list[Segment]:
    """Order and orient segments for a short tour: nearest next, then reversals that shorten it."""
    firsts = [start] if start is not None else [p for s in (segments[0], segments[-1]) for p in s]
    tours = [_improve(_nearest_next(segments, first), start) for first in firsts]
    return min(tours, key=lambda tour: _gaps_m(tour, start))


def _nearest_next(segments: Sequence[Segment], first: Point) -> list[Segment]:
    ends = np.asarray(segments, float)
    left = np.ones(len(segments), bool)
    tour: list[Segment] = []
    here = np.asarray(first)
    for _ in range(len(segments)):
        far = np.hypot(ends[:, :, 0] - here[0], ends[:, :, 1] - here[1])
        far[~left] = np.inf
        pick, turned = np.unravel_index(int(np.argmin(far)), far.shape)
        a, b = segments[int(pick)]
        tour.append((a, b) if turned == 0 else (b, a))
        left[pick] = False
        here = np.asarray(tour[-1][1])
    return tour


def _gaps_m(tour: Sequence[Segment], start: Point | None) -> float:
    gaps = sum(math.dist(s[1], t[0]) for s, t in pairwise(tour))
    return gaps + (math.dist(start, tour[0][0]) if start is not None else 0.0)


def _improve(tour: list[Segment], start: Point | None) -> list[Segment]:
    """2-opt: reverse stretches while that shortens the gaps between segments."""
    size = len(tour)
    for _ in range(_IMPROVEMENT_ROUNDS if size <= _IMPROVED_SEGMENTS else 1):
        better = False
        for i in range(size):
            before = tour[i - 1][1] if i > 0 else start
            for j in range(i, size):
                after = tour[j + 1][0] if j + 1 < size else None
                old = _gap_m(before, tour[i][0]) + _gap_m(tour[j][1], after)
                new = _gap_m(before, tour[j][1]) + _gap_m(tour[i][0], after)
                if new < old - 1e-6:
                    tour[i : j + 1] = [(b, a) for a, b in reversed(tour[i : j + 1])]
                    better = True
        if not better:
            break
    return tour


def _gap_m(a: Point | None, b: Point | None) -> float:
    return 0.0 if a is None or b is None else math.dist(a, b)


def join(tour: Sequence[Segment], sky: OpenSky) -> list[Point] | None:
    """Join ordered segments by the shortest open ways; None where one cannot be reached."""
    path = [tour[0][0]]
    for a, b in tour:
        way = sky.way(path[-1], a)
        if way is None:
            return None
        path.extend(way[1:])
        if math.dist(a, b) > 1e-6:
            path.append(b)
    return [p for i, p in enumerate(path) if i == 0 or math.dist(path[i - 1], p) > 1e-6]


def ring_edges(shape: BaseGeometry) -> NDArray[np.float64]:
    """Return every edge of a polygon's rings as rows (ax, ay, bx, by)."""
    rows = []
    for part in shapely.get_parts(shape):
        if isinstance(part, Polygon):
            for ring in (part.exterior, *part.interiors):
                xy = shapely.get_coordinates(ring)
                rows.append(np.hstack([xy[:-1], xy[1:]]))
    return np.concatenate(rows) if rows else np.empty((0, 4))
