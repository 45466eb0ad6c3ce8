"""How to sweep an area with a strip of given width, and how much of it a path really covers.

Covered is what lies inside the strip of the whole flown path: a flat-ended rectangle per segment
and a disc of half a width at each turn. It is always computed exactly, by polygon union. The
planner is a plain boustrophedon: parallel lines at the best of a few angles, joined by the shortest
ways over open ground, with visits to the pockets the lines missed.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from shapely import affinity
from shapely.geometry import LineString, MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import nearest_points

from geo.routes import FlightModel, OpenSky, Point, flight_time_s, length_m

_DISC_QUARTER_SEGMENTS = 16
_REPAIR_ROUNDS = 60
_ANGLE_STEP_DEG = 15.0
_ANGLES_PLANNED = 3
_MIN_POCKET_M2 = 0.01
_VISITS_TRIED = 16
_SAME_M = 1e-6
_IMPROVEMENT_ROUNDS = 20

Segment = tuple[Point, Point]
Run = tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Sweep:
    """A path over an area. `uncovered` is what it leaves out (empty where it covers all)."""

    path: tuple[Point, ...]
    swath_m: float
    swaths: int
    coverage: float
    length_m: float
    time_s: float
    angle_deg: float
    uncovered: BaseGeometry


@dataclass(frozen=True, slots=True)
class NoSweep:
    """Why an area cannot be swept: `code` for programs, `message` names the field and the cure."""

    code: str
    message: str


def swath_m(height_agl_m: float, hfov_deg: float, overlap: float) -> float:
    """Return the spacing of lines for a nadir camera: the footprint's width less the overlap."""
    if not 0.0 < hfov_deg < 180.0:
        raise ValueError(f"hfov_deg must lie in 0..180, got {hfov_deg!r}")
    if not 0.0 <= overlap < 1.0:
        raise ValueError(f"overlap must lie in 0..1, got {overlap!r}")
    return 2.0 * height_agl_m * math.tan(math.radians(hfov_deg) / 2.0) * (1.0 - overlap)


def covered(path: Sequence[Point], width_m: float) -> BaseGeometry:
    """Return the ground inside the strip of a path (flat ends, discs at turns)."""
    points = [path[0], *(b for a, b in pairwise(path) if math.dist(a, b) > 1e-6)]
    if len(points) < 2:
        return Polygon()
    lines = shapely.linestrings([[a, b] for a, b in pairwise(points)])
    strips = shapely.buffer(lines, width_m / 2.0, cap_style="flat")
    discs = shapely.buffer(
        shapely.points(points[1:-1] or np.empty((0, 2))),
        width_m / 2.0,
        quad_segs=_DISC_QUARTER_SEGMENTS,
    )
    return shapely.union_all(np.concatenate([strips, discs]))


def coverage_share(area: BaseGeometry, path: Sequence[Point], width_m: float) -> float:
    """Return the share of `area` inside the strip of `path`, 0..1, by exact polygon union."""
    return float(area.intersection(covered(path, width_m)).area / area.area)


def sweep(
    area: Polygon | MultiPolygon,
    width_m: float,
    *,
    sky: OpenSky | None = None,
    wanted: float = 0.99,
    model: FlightModel | None = None,
) -> Sweep | NoSweep:
    """Plan a path whose strip covers at least `wanted` of `area` (local metres).

    `sky` is where one may fly; None keeps the path within the area itself and out of its holes.
    The fastest plan that covers enough is returned; where none does, the one that covers most,
    for the caller to judge by `coverage` and `uncovered`.
    """
    refused = _unfit(area, width_m, wanted)
    if refused is not None:
        return refused
    if isinstance(area, MultiPolygon) and len(area.geoms) == 1:
        area = area.geoms[0]
    model = model or FlightModel()
    sky = sky or OpenSky(_own_sky(area))
    plans = [
        plan
        for angle in _likely_angles(area, width_m)
        if (plan := _sweep_at(area, width_m, angle, sky, wanted, model)) is not None
    ]
    if not plans:
        return NoSweep("not_reachable", "no part of the area can be flown over: widen the sky")
    enough = [plan for plan in plans if plan.coverage >= wanted]
    if enough:
        return min(enough, key=lambda plan: (plan.time_s, plan.angle_deg))
    return max(plans, key=lambda plan: (plan.coverage, -plan.angle_deg))


def _unfit(area: Polygon | MultiPolygon, width_m: float, wanted: float) -> NoSweep | None:
    if not (math.isfinite(width_m) and width_m > 0.0):
        return NoSweep("bad_swath", f"swath must be a positive number of metres, got {width_m!r}")
    if not 0.0 < wanted <= 1.0:
        return NoSweep("bad_coverage", f"coverage must lie in 0..1, got {wanted!r}")
    if area.is_empty or area.area <= 0.0:
        return NoSweep("empty_area", "the area has no extent: give a polygon with an area")
    if not area.is_valid:
        why = shapely.is_valid_reason(area)
        return NoSweep("invalid_area", f"the area is not a valid polygon ({why}): mend its rings")
    return None


def _own_sky(area: Polygon | MultiPolygon) -> Polygon | MultiPolygon:
    """Between separate parts one flies straight; holes of a part stay closed."""
    if isinstance(area, Polygon):
        return area
    filled = shapely.union_all([Polygon(part.exterior) for part in area.geoms])
    holes = filled.difference(area)
    open_ground = area.convex_hull.difference(holes)
    assert isinstance(open_ground, Polygon | MultiPolygon)
    return open_ground


def _likely_angles(area: Polygon | MultiPolygon, width_m: float) -> list[float]:
    """Return the few angles whose lines promise the least flying: few, and without gaps."""
    hull = shapely.get_coordinates(area.convex_hull)
    steps = np.diff(hull, axis=0)
    long_ones = steps[np.argsort(-np.hypot(steps[:, 0], steps[:, 1]))][:6]
    edges = [round(math.degrees(math.atan2(dy, dx)) % 180.0, 3) for dx, dy in long_ones]
    grid = [i * _ANGLE_STEP_DEG for i in range(int(180.0 / _ANGLE_STEP_DEG))]
    scored = sorted({(_promise_m(area, width_m, a), a) for a in (*edges, *grid)})
    return [angle for _, angle in scored[:_ANGLES_PLANNED]]


def _promise_m(area: Polygon | MultiPolygon, width_m: float, angle_deg: float) -> float:
    """Metres of line at an angle, each line costing a turn of a swath and a stop."""
    stop_m = 60.0
    segments = _lines(area, width_m, angle_deg)
    return sum(math.dist(a, b) + width_m + stop_m for a, b in segments)


def _lines(area: Polygon | MultiPolygon, width_m: float, angle_deg: float) -> list[Segment]:
    """Cut the area into even bands and lay one line along each connected piece of each band.

    A line spans its piece from end to end, so its flat-ended strip covers the piece whole, slanted
    borders included.
    """
    pivot = area.centroid
    level = affinity.rotate(area, -angle_deg, origin=pivot)
    x0, y0, x1, y1 = level.bounds
    count = max(1, math.ceil((y1 - y0) / width_m - 1e-9))
    step = (y1 - y0) / count
    segments: list[Segment] = []
    for i in range(count):
        low = y0 + i * step
        band = level.intersection(shapely.box(x0 - 1.0, low, x1 + 1.0, low + step))
        for piece in sorted(_polygons(band), key=lambda p: p.bounds):
            middle = low + step / 2.0
            line = LineString([(piece.bounds[0], middle), (piece.bounds[2], middle)])
            back = affinity.rotate(line, angle_deg, origin=pivot)
            a, b = back.coords
            segments.append(((a[0], a[1]), (b[0], b[1])))
    return segments


def _polygons(shape: BaseGeometry) -> list[Polygon]:
    parts = shapely.get_parts(shape)
    return [p for p in parts if isinstance(p, Polygon) and p.area > _MIN_POCKET_M2]


def _sweep_at(
    area: Polygon | MultiPolygon,
    width_m: float,
    angle_deg: float,
    sky: OpenSky,
    wanted: float,
    model: FlightModel,
) -> Sweep | None:
    flown: list[Segment] = []
    for a, b in _lines(area, width_m, angle_deg):
        flown.extend(_open_parts(a, b, sky))
    if not flown:
        start = _nearest(sky, area.representative_point())
        flown = [(start, start)]
    path = join(order(flown), sky)
    if path is None:
        return None
    path = _visit_pockets(area, path, width_m, sky, wanted)
    strip = covered(path, width_m)
    return Sweep(
        path=tuple(path),
        swath_m=width_m,
        swaths=len(flown),
        coverage=float(area.intersection(strip).area / area.area),
        length_m=length_m(path),
        time_s=flight_time_s(path, model),
        angle_deg=angle_deg,
        uncovered=area.difference(strip),
    )


def _open_parts(a: Point, b: Point, sky: OpenSky) -> list[Segment]:
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
    left, tour, here = list(range(len(segments))), [], first
    while left:
        _, pick, turned = min(
            (math.dist(here, segments[i][end]), i, end) for i in left for end in (0, 1)
        )
        segment = segments[pick]
        tour.append(segment if turned == 0 else (segment[1], segment[0]))
        here = tour[-1][1]
        left.remove(pick)
    return tour


def _gaps_m(tour: Sequence[Segment], start: Point | None) -> float:
    gaps = sum(math.dist(s[1], t[0]) for s, t in pairwise(tour))
    return gaps + (math.dist(start, tour[0][0]) if start is not None else 0.0)


def _improve(tour: list[Segment], start: Point | None) -> list[Segment]:
    """2-opt: reverse stretches while that shortens the gaps between segments."""
    size = len(tour)
    for _ in range(_IMPROVEMENT_ROUNDS):
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


def _visit_pockets(
    area: Polygon | MultiPolygon, path: list[Point], width_m: float, sky: OpenSky, wanted: float
) -> list[Point]:
    """Lead the path to the largest pockets it missed, while that covers more of the area."""
    given_up: list[Point] = []
    strip = covered(path, width_m)
    for _ in range(_REPAIR_ROUNDS):
        missed = area.difference(strip)
        if 1.0 - missed.area / area.area >= wanted:
            break
        pockets = [
            p
            for p in _polygons(missed)
            if not any(p.distance(shapely.Point(g)) < 1e-6 for g in given_up)
        ]
        if not pockets:
            break
        pocket = max(pockets, key=lambda p: p.area)
        for longer in _with_visit(path, pocket, sky):
            wider = covered(longer, width_m)
            if area.difference(wider).area < missed.area - _MIN_POCKET_M2:
                path, strip = longer, wider
                break
        else:
            point = pocket.representative_point()
            given_up.append((point.x, point.y))
    return path


def _with_visit(path: list[Point], pocket: Polygon, sky: OpenSky) -> Iterator[list[Point]]:
    """Give paths with a run along the pocket's long axis, the cheapest first.

    The run leaves the path at a leg's nearest point and comes back to it, or replaces the leg,
    whose own strip is then lost.
    """
    a, b = _long_axis(pocket, sky)
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


def _long_axis(pocket: Polygon, sky: OpenSky) -> Segment:
    """The middle line of the pocket's smallest box, where one may fly."""
    box = shapely.get_coordinates(pocket.minimum_rotated_rectangle)[:4]
    if len(box) < 4:
        point = _nearest(sky, pocket.representative_point())
        return point, point
    middles = [(box[k] + box[(k + 1) % 4]) / 2 for k in range(4)]
    across = (middles[0], middles[2]), (middles[1], middles[3])
    ends = max(across, key=lambda pair: math.dist(*pair))
    a, b = (_nearest(sky, shapely.Point(*end)) for end in ends)
    if sky.clear(a, b):
        return a, b
    point = _nearest(sky, pocket.representative_point())
    return point, point


def _nearest_on(p: Point, q: Point, to: Point) -> Point:
    """Return the point of the leg p → q nearest to `to`."""
    dx, dy = q[0] - p[0], q[1] - p[1]
    square = dx * dx + dy * dy
    if square == 0.0:
        return p
    t = max(0.0, min(1.0, ((to[0] - p[0]) * dx + (to[1] - p[1]) * dy) / square))
    return (p[0] + t * dx, p[1] + t * dy)


def _nearest(sky: OpenSky, point: shapely.Point) -> Point:
    if sky.holds((point.x, point.y)):
        return (point.x, point.y)
    near = nearest_points(sky.free, point)[0]
    return (float(near.x), float(near.y))
