"""Visits to what a path left out, found exactly: the last resort where the search falls short."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import shapely
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import nearest_points

from geo.routes import OpenSky, Point
from geo.strip import Strip, covered

_ROUNDS = 60
_LEAST_M2 = 0.01
_VISITS_TRIED = 16
_SAME_M = 1e-6

Run = tuple[Point, ...]


def polygons(shape: BaseGeometry, least_m2: float = 0.0) -> list[Polygon]:
    """Return the polygons of a shape that are larger than `least_m2`."""
    parts = shapely.get_parts(shape)
    return [p for p in parts if isinstance(p, Polygon) and p.area > least_m2]


def visit_pockets(
    area: Polygon | MultiPolygon, path: list[Point], strip: Strip, sky: OpenSky, wanted: float
) -> list[Point]:
    """Lead the path to the largest pockets it missed, while that covers more of the area."""
    given_up: list[Point] = []
    seen = covered(path, strip)
    least_m2 = min(_LEAST_M2, 1e-6 * area.area)
    for _ in range(_ROUNDS):
        missed = area.difference(seen)
        if 1.0 - missed.area / area.area >= wanted:
            break
        pockets = [
            p
            for p in polygons(missed, least_m2)
            if not any(p.distance(shapely.Point(g)) < 1e-6 for g in given_up)
        ]
        if not pockets:
            break
        pocket = max(pockets, key=lambda p: p.area)
        for longer in _with_visit(path, pocket, sky, strip):
            wider = covered(longer, strip)
            if area.difference(wider).area < missed.area - least_m2:
                path, seen = longer, wider
                break
        else:
            point = pocket.representative_point()
            given_up.append((point.x, point.y))
    return path


def _with_visit(
    path: Sequence[Point], pocket: Polygon, sky: OpenSky, strip: Strip
) -> Iterator[list[Point]]:
    """Give paths with a run along the pocket's long axis, the cheapest first.

    The run leaves the path at a leg's nearest point and comes back to it, or replaces the leg,
    whose own strip is then lost.
    """
    a, b = _long_axis(pocket, sky, strip.shortest_m * 1.01)
    options: list[tuple[float, int, Run, Point, Point, Run]] = []
    for i, (p, q) in enumerate(pairwise(path)):
        for one, two in ((a, b), (b, a)):
            run = math.dist(one, two)
            foot = _nearest_on(p, q, one)
            aside_m = math.dist(foot, one) + run + math.dist(two, foot)
            options.append((aside_m, i, (p, foot), one, two, (foot, q)))
            instead_m = math.dist(p, one) + run + math.dist(two, q) - math.dist(p, q)
            options.append((instead_m, i, (p,), one, two, (q,)))
    for _, i, before, one, two, after in sorted(options)[:_VISITS_TRIED]:
        there, back = sky.way(before[-1], one), sky.way(two, after[0])
        if there is not None and back is not None:
            middle = [*before[:-1], *there, *([] if one == two else [two]), *back[1:], *after[1:]]
            whole = [*path[:i], *middle, *path[i + 2 :]]
            yield [
                point
                for k, point in enumerate(whole)
                if k == 0 or math.dist(whole[k - 1], point) > _SAME_M
            ]


def _long_axis(pocket: Polygon, sky: OpenSky, least_m: float) -> tuple[Point, Point]:
    """The middle line of the pocket's smallest box, where one may fly; a point failing that."""
    box = shapely.get_coordinates(pocket.minimum_rotated_rectangle)[:4]
    middle = nearest_on_sky(sky, pocket.representative_point())
    if len(box) < 4:
        return middle, middle
    middles = [(box[k] + box[(k + 1) % 4]) / 2 for k in range(4)]
    across = (middles[0], middles[2]), (middles[1], middles[3])
    one, two = max(across, key=lambda pair: math.dist(*pair))
    length = max(math.dist(one, two), 1e-9)
    stretch = max(0.0, least_m - length) / 2.0 * (two - one) / length
    a, b = (nearest_on_sky(sky, shapely.Point(*end)) for end in (one - stretch, two + stretch))
    return (a, b) if sky.clear(a, b) else (middle, middle)


def _nearest_on(p: Point, q: Point, to: Point) -> Point:
    """Return the point of the leg p → q nearest to `to`."""
    dx, dy = q[0] - p[0], q[1] - p[1]
    square = dx * dx + dy * dy
    if square == 0.0:
        return p
    t = max(0.0, min(1.0, ((to[0] - p[0]) * dx + (to[1] - p[1]) * dy) / square))
    return (p[0] + t * dx, p[1] + t * dy)


def nearest_on_sky(sky: OpenSky, point: shapely.Point) -> Point:
    """Return a point, or the nearest place that may be flown over."""
    if sky.holds((point.x, point.y)):
        return (float(point.x), float(point.y))
    near = nearest_points(sky.free, point)[0]
    return (float(near.x), float(near.y))
