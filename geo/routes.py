"""Paths over the ground in local metres: length, flight time, and the shortest way round what is
closed to flight.

The time model, stated once and used everywhere: the aircraft accelerates and brakes at
`accel_m_s2` up to `cruise_m_s`, starts and ends at rest, and passes a corner at √(a·r), where r is
the radius of the arc that leaves the path by at most `corner_cut_m` and uses at most half of the
shorter leg. Cutting a corner into small steps therefore gains nothing: the steps describe the arc.
"""

import heapq
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from shapely.geometry import MultiPolygon, Polygon

Point = tuple[float, float]
_TOLERANCE_M = 1e-6


@dataclass(frozen=True, slots=True)
class FlightModel:
    """How an aircraft moves. Raises ValueError for a speed or acceleration that is not positive."""

    cruise_m_s: float = 12.0
    accel_m_s2: float = 2.5
    corner_cut_m: float = 1.0

    def __post_init__(self) -> None:
        for name in ("cruise_m_s", "accel_m_s2", "corner_cut_m"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise ValueError(f"{name} must be a positive number, got {value!r}")


def length_m(path: Sequence[Point]) -> float:
    """Return the length of a polyline in metres."""
    return sum(math.dist(a, b) for a, b in itertools.pairwise(path))


def turn_rad(a: Point, b: Point, c: Point) -> float:
    """Return the change of heading at `b` on the way a → b → c, in 0..π."""
    ux, uy, vx, vy = b[0] - a[0], b[1] - a[1], c[0] - b[0], c[1] - b[1]
    return abs(math.atan2(ux * vy - uy * vx, ux * vx + uy * vy))


def corner_radius_m(a: Point, b: Point, c: Point, model: FlightModel) -> float:
    """Return the radius of the arc flown at corner `b`; 0 for a full turn, infinite if straight."""
    half = turn_rad(a, b, c) / 2.0
    if half < 1e-6:
        return math.inf
    if half > math.pi / 2.0 - 1e-6:
        return 0.0
    by_cut = model.corner_cut_m / (1.0 / math.cos(half) - 1.0)
    by_leg = min(math.dist(a, b), math.dist(b, c)) / 2.0 / math.tan(half)
    return min(by_cut, by_leg)


def corner_reach_m(a: Point, b: Point, c: Point, model: FlightModel) -> float:
    """Return how far before `b` the arc begins (DJI waypointTurnDampingDist), in metres."""
    radius = corner_radius_m(a, b, c, model)
    if math.isinf(radius):
        return 0.0
    return radius * math.tan(turn_rad(a, b, c) / 2.0)


def flight_time_s(path: Sequence[Point], model: FlightModel) -> float:
    """Return the seconds a path takes from rest to rest under `model`."""
    points = [path[0], *(b for a, b in itertools.pairwise(path) if math.dist(a, b) > 1e-9)]
    if len(points) < 2:
        return 0.0
    accel = model.accel_m_s2
    speeds = [0.0]
    for a, b, c in zip(points, points[1:], points[2:], strict=False):
        arc = math.sqrt(accel * min(corner_radius_m(a, b, c, model), 1e9))
        speeds.append(min(model.cruise_m_s, arc))
    speeds.append(0.0)
    legs = [math.dist(a, b) for a, b in itertools.pairwise(points)]
    for i, leg in enumerate(legs):
        speeds[i + 1] = min(speeds[i + 1], math.sqrt(speeds[i] ** 2 + 2.0 * accel * leg))
    for i in range(len(legs) - 1, -1, -1):
        speeds[i] = min(speeds[i], math.sqrt(speeds[i + 1] ** 2 + 2.0 * accel * legs[i]))
    return sum(_leg_time_s(leg, speeds[i], speeds[i + 1], model) for i, leg in enumerate(legs))


def _leg_time_s(leg_m: float, start_m_s: float, end_m_s: float, model: FlightModel) -> float:
    accel = model.accel_m_s2
    peak = math.sqrt(accel * leg_m + (start_m_s**2 + end_m_s**2) / 2.0)
    if peak <= model.cruise_m_s:
        return (2.0 * peak - start_m_s - end_m_s) / accel
    top = model.cruise_m_s
    ramps_m = (2.0 * top**2 - start_m_s**2 - end_m_s**2) / (2.0 * accel)
    return (2.0 * top - start_m_s - end_m_s) / accel + (leg_m - ramps_m) / top


class OpenSky:
    """The ground one may fly over, and the shortest ways within it.

    `free` is a polygon (or several) in local metres; its border may be followed.
    """

    def __init__(self, free: Polygon | MultiPolygon) -> None:
        if free.is_empty:
            raise ValueError("free must have an area: nothing is open to flight")
        self.free = free
        self._inside = free.buffer(_TOLERANCE_M * 10.0, join_style="mitre")
        shapely.prepare(self._inside)
        self._corners = _corners(free)
        self._seen: dict[int, list[tuple[int, float]]] = {}

    def holds(self, point: Point) -> bool:
        """Tell whether a point may be flown over."""
        return bool(shapely.covers(self._inside, shapely.Point(point)))

    def clear(self, a: Point, b: Point) -> bool:
        """Tell whether the straight leg from `a` to `b` stays over open ground."""
        return bool(shapely.covers(self._inside, shapely.LineString([a, b])))

    def way(self, a: Point, b: Point) -> list[Point] | None:
        """Return the shortest way from `a` to `b`, both included, or None where there is none."""
        if self.clear(a, b):
            return [a, b]
        if not (self.holds(a) and self.holds(b)):
            return None
        return self._search(a, b)

    def _search(self, a: Point, b: Point) -> list[Point] | None:
        """Dijkstra over a, the corners and b; legs between corners are worked out when met."""
        goal, start = len(self._corners), len(self._corners) + 1
        last = dict(self._visible_from(b))
        best = {start: 0.0}
        came: dict[int, int] = {}
        queue = [(0.0, start)]
        while queue:
            cost, node = heapq.heappop(queue)
            if node == goal:
                return self._unwind(came, a, b)
            if cost > best[node]:
                continue
            legs = self._visible_from(a) if node == start else self._legs(node)
            if node in last:
                legs = [*legs, (goal, last[node])]
            for other, leg in legs:
                if cost + leg < best.get(other, math.inf):
                    best[other], came[other] = cost + leg, node
                    heapq.heappush(queue, (cost + leg, other))
        return None

    def _unwind(self, came: dict[int, int], a: Point, b: Point) -> list[Point]:
        node, way = came[len(self._corners)], [b]
        while node < len(self._corners):
            way.append(self._corners[node])
            node = came[node]
        return [a, *reversed(way)]

    def _legs(self, node: int) -> list[tuple[int, float]]:
        if node not in self._seen:
            self._seen[node] = self._visible_from(self._corners[node])
        return self._seen[node]

    def _visible_from(self, point: Point) -> list[tuple[int, float]]:
        if not self._corners:
            return []
        ends = np.asarray(self._corners)
        pairs = np.stack([np.broadcast_to(np.asarray(point), ends.shape), ends], axis=1)
        clear = shapely.covers(self._inside, shapely.linestrings(pairs))
        far = np.hypot(ends[:, 0] - point[0], ends[:, 1] - point[1])
        return [(int(i), float(far[i])) for i in np.flatnonzero(clear) if far[i] > _TOLERANCE_M]


def _corners(free: Polygon | MultiPolygon) -> list[Point]:
    """Corners a shortest way may bend at: reflex ones of outlines, convex ones of holes."""
    polygons = free.geoms if isinstance(free, MultiPolygon) else [free]
    corners: list[Point] = []
    for polygon in polygons:
        oriented = shapely.geometry.polygon.orient(polygon, 1.0)
        for ring in (oriented.exterior, *oriented.interiors):
            points = [(float(x), float(y)) for x, y in ring.coords[:-1]]
            for i, b in enumerate(points):
                a, c = points[i - 1], points[(i + 1) % len(points)]
                bend = (b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0])
                if bend < 0.0:
                    corners.append(b)
    return corners
