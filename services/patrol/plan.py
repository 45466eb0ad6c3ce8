"""Cells to a wayline: what each cell needs to be seen whole, and one path over several of them."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import shapely
from shapely.geometry import MultiPolygon, Polygon

from domain.device import Dock, Drone
from domain.district import District
from domain.mission import Wayline, Waypoint
from domain.place import Airspace, Position
from geo.airspace import closed_ground, open_sky, volumes
from geo.coverage import NoSweep, Sweep, swath_m, sweep
from geo.frames import LocalFrame
from geo.routes import FlightModel, Point, flight_time_s, length_m
from geo.shapes import local_geometry
from geo.terrain import FlatTerrain, Terrain
from services.patrol.fleet.timetable import PlannedSortie
from services.patrol.fleet.ways import Ways
from services.patrol.policy import PatrolPolicy
from services.patrol.refusal import Refusal

_LEFT_OUT_SHARE = 0.001
_APART_M = 0.5
_PICTURE_RATIO = 0.75
"""The sensor's height over its width; a flatter picture is wider at its nearer edge."""
_GUESS = 1.3
"""Seconds of a sweep over those of its strip alone, as seen on cells of a few lines."""


@dataclass(frozen=True, slots=True)
class CellPath:
    """How one cell (or one portion of a large one) is swept. `left_out` is the share of it that
    lies under closed airspace or cannot be reached, and so is not covered."""

    code: str
    path: tuple[Point, ...]
    time_s: float
    coverage: float
    left_out: float


@dataclass(frozen=True, slots=True)
class Sortie:
    """One flight's path over its cells, dock to dock. `stops` are the points of the path it hovers
    over, with the site below and the seconds."""

    cell_codes: tuple[str, ...]
    path: tuple[Point, ...]
    marks: tuple[str | None, ...]
    length_m: float
    time_s: float
    stops: Mapping[int, tuple[str, float]] = field(default_factory=dict)


class PatrolGround:
    """A district as patrol flies it: cells, docks and open sky in local metres.

    Holds sweeps once worked out; the answers depend only on the district and the policy.
    """

    def __init__(
        self,
        district: District,
        policy: PatrolPolicy,
        terrain: Terrain | None = None,
        zones: Sequence[Airspace] = (),
    ) -> None:
        """`zones` are closed for now, beside the district's own airspaces; without a terrain
        model the ground is flat, as low as the lowest dock stands."""
        self.district = district
        self.policy = policy
        self.zones = tuple(zones)
        lowest = min((d.height_ellipsoid_m for d in district.docks), default=0.0)
        self.terrain: Terrain = terrain or FlatTerrain(lowest)
        self.frame = LocalFrame(district.origin)
        self.cells = {c.code: local_geometry(c.area, self.frame) for c in district.cells}
        self.centres = {
            code: (shape.centroid.x, shape.centroid.y) for code, shape in self.cells.items()
        }
        self.docks = {d.sn: self.local(d.position) for d in district.docks}
        lasting = [a for a in district.airspaces if a.valid_from is None and a.valid_to is None]
        self.volumes = volumes([*lasting, *zones], self.frame, self.terrain)
        docks = shapely.MultiPoint(list(self.docks.values()))
        extent = shapely.union_all([docks, *map(shapely.envelope, self.cells.values())])
        self.closed = closed_ground(self.volumes, policy.height_agl_m, policy.sky)
        self.sky = open_sky(extent, self.closed)
        self.ways = Ways(self.sky)
        # A look is flown lower.
        look_closed = closed_ground(self.volumes, policy.look_height_agl_m, policy.sky)
        self.look_ways = Ways(open_sky(extent, look_closed))
        self._paths: dict[tuple[str, int, float, float], CellPath | NoSweep] = {}
        # What the gate would say of flights from a dock by a model over one stop (`reach.py`).
        self.judged: dict[tuple[str, str, tuple[Point, ...]], Refusal | None] = {}

    def local(self, position: Position) -> Point:
        """Return a position in local metres."""
        x, y = self.frame.to_local(position.lat_deg, position.lon_deg)
        return (float(x), float(y))

    def height_rel_m(self, dock: Dock, point: Point, height_agl_m: float) -> float:
        """Return the height above a dock that is `height_agl_m` above the ground at a point."""
        above_dock_m = self.terrain.height_m(*point) - dock.height_ellipsoid_m
        return round(height_agl_m + above_dock_m, 2)

    def model(self, drone: Drone) -> FlightModel:
        """Return how a drone flies a patrol."""
        policy = self.policy
        return FlightModel(drone.cruise_m_s, policy.accel_m_s2, policy.corner_cut_m)

    def swath_m(self, drone: Drone) -> float:
        """Return the spacing of a drone's lines: the picture's width at its nearer edge."""
        policy = self.policy
        half_up = math.atan(_PICTURE_RATIO * math.tan(math.radians(drone.hfov_deg) / 2.0))
        tilt = math.radians(90.0 + policy.gimbal_pitch_deg)
        nearer = math.cos(half_up) / math.cos(tilt - half_up)
        return swath_m(policy.height_agl_m, drone.hfov_deg, policy.overlap) * nearer

    def portions(self, code: str, drone: Drone) -> int:
        """Return how many sorties a cell takes: 1 unless it is too large for one."""
        sweep_s = float(self.cells[code].area) / self.swath_m(drone) / drone.cruise_m_s
        return max(1, math.ceil(sweep_s / self.policy.portion_limit_s))

    def cell_path(self, code: str, portion: int, drone: Drone) -> CellPath | NoSweep:
        """Return the sweep of a cell's portion, or why there is none."""
        key = (code, portion, drone.hfov_deg, drone.cruise_m_s)
        if key not in self._paths:
            self._paths[key] = self._sweep(code, portion, drone)
        return self._paths[key]

    def is_swept(self, code: str, portion: int, drone: Drone) -> bool:
        """Tell whether a portion's sweep has been worked out; that takes a while each."""
        return (code, portion, drone.hfov_deg, drone.cruise_m_s) in self._paths

    def middle(self, code: str) -> Point | None:
        """Return a point of a cell that may be flown over, or None where it is all closed."""
        area = self.cells[code].difference(self.closed)
        if area.area <= 1.0:
            return None
        point = area.representative_point()
        return (point.x, point.y)

    def guessed_s(self, code: str, drone: Drone) -> float:
        """Return about how long a portion's sweep takes, before it is worked out."""
        area = float(self.cells[code].difference(self.closed).area) / self.portions(code, drone)
        return _GUESS * area / self.swath_m(drone) / drone.cruise_m_s

    def _sweep(self, code: str, portion: int, drone: Drone) -> CellPath | NoSweep:
        whole = _portion(self.cells[code], portion, self.portions(code, drone))
        area = whole.difference(self.closed)
        area = _areas_only(area)
        if area.is_empty:
            return NoSweep("closed_airspace", f"cell {code} lies under closed airspace")
        found = sweep(
            area,
            self.swath_m(drone),
            sky=self.sky,
            wanted=self.policy.coverage_wanted,
            model=self.model(drone),
            effort=self.policy.sweep_effort,
        )
        if isinstance(found, NoSweep):
            return found
        return _cell_path(code, whole, area, found)


def _cell_path(
    code: str, whole: Polygon | MultiPolygon, area: Polygon | MultiPolygon, found: Sweep
) -> CellPath:
    seen_m2 = found.coverage * area.area
    left_out = max(0.0, 1.0 - seen_m2 / whole.area)
    left_out = left_out if left_out > _LEFT_OUT_SHARE else 0.0
    return CellPath(code, found.path, found.time_s, found.coverage, left_out)


def _areas_only(shape: shapely.Geometry) -> Polygon | MultiPolygon:
    parts = [p for p in shapely.get_parts(shape) if isinstance(p, Polygon) and p.area > 1.0]
    return parts[0] if len(parts) == 1 else MultiPolygon(parts)


def _portion(shape: Polygon | MultiPolygon, portion: int, of: int) -> Polygon | MultiPolygon:
    """Cut a large cell into `of` bands across its longer side; return one."""
    if of == 1:
        return shape
    x0, y0, x1, y1 = shape.bounds
    if x1 - x0 >= y1 - y0:
        step = (x1 - x0) / of
        band = shapely.box(x0 + portion * step, y0, x0 + (portion + 1) * step, y1)
    else:
        step = (y1 - y0) / of
        band = shapely.box(x0, y0 + portion * step, x1, y0 + (portion + 1) * step)
    return _areas_only(shape.intersection(band))


def sortie_of(ground: PatrolGround, drone: Drone, planned: PlannedSortie) -> Sortie:
    """Join a planned sortie's ways and sweeps into one path, each point marked with its cell."""
    path: list[Point] = list(planned.ways[0])
    marks: list[str | None] = [None] * len(path)
    stops: dict[int, tuple[str, float]] = {}
    for visit, way in zip(planned.visits, planned.ways[1:], strict=True):
        if visit.hold_s > 0.0 and visit.cell_code is None:
            stops[len(path) - 1] = (visit.task_id, visit.hold_s)
        path += visit.path[1:]
        marks[-1] = visit.cell_code
        marks += [visit.cell_code] * (len(visit.path) - 1)
        path += way[1:]
        marks += [None] * (len(way) - 1)
    model = ground.model(drone)
    return Sortie(
        planned.cell_codes,
        tuple(path),
        tuple(marks),
        length_m(path),
        _time_s(path, stops, model),
        stops,
    )


def _time_s(
    path: Sequence[Point], stops: Mapping[int, tuple[str, float]], model: FlightModel
) -> float:
    """Return the seconds of a path that comes to rest at its stops."""
    ends = sorted({0, *stops, len(path) - 1})
    flown_s = sum(flight_time_s(path[a : b + 1], model) for a, b in itertools.pairwise(ends))
    return flown_s + sum(hover_s for _, hover_s in stops.values())


def wayline(ground: PatrolGround, drone: Drone, flown: Sortie) -> Wayline:
    """Return a sortie as a wayline at the height above ground and camera pitch of `ground`.

    The aircraft climbs above its dock first, so the wayline starts at the second point.
    """
    dock = next(d for d in ground.district.docks if d.drone_sn == drone.sn)
    points = list(zip(flown.path, flown.marks, strict=True))
    kept = [1]
    for i in range(2, len(points)):
        if math.dist(points[kept[-1]][0], points[i][0]) > _APART_M:
            kept.append(i)
        elif i in flown.stops and kept[-1] not in flown.stops:
            kept[-1] = i
    return Wayline(
        tuple(
            Waypoint(
                position=ground.frame.to_position(*point),
                height_rel_m=ground.height_rel_m(dock, point, ground.policy.height_agl_m),
                speed_m_s=drone.cruise_m_s,
                gimbal_pitch_deg=ground.policy.gimbal_pitch_deg,
                hover_s=flown.stops[i][1] if i in flown.stops else 0.0,
                cell_code=mark,
                site_code=flown.stops[i][0] if i in flown.stops else None,
            )
            for i, (point, mark) in ((i, points[i]) for i in kept)
        ),
        round(flown.length_m, 1),
        round(flown.time_s, 1),
    )
