"""The demo district: the nine real communities of 西区街道 on schematic geometry.

Names and division codes are real; every outline, road and building is made up from a seed and
says so (`District.schematic`). Equal seeds give equal districts.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import atan2, cos, degrees, radians, sin
from pathlib import Path
from random import Random

from shapely import LineString, Polygon, STRtree, box, union_all
from shapely.geometry import Point
from shapely.geometry.base import BaseGeometry

from domain.clearance import ApplicationKind, FlightApplication, StandingApproval
from domain.device import Camera, Dock, Drone
from domain.district import District
from domain.place import (
    Airspace,
    AirspaceKind,
    Community,
    GridCell,
    PoliceGrid,
    Position,
    Site,
    SiteKind,
    Zone,
    ZoneKind,
)
from domain.responder import Force, Responder
from geo.frames import LocalFrame
from geo.shapes import local_to_area

CODE = "442000004"
NAME = "中山市西区街道"
ORIGIN = Position(22.54, 113.35)
HALF_WIDTH_M, HALF_HEIGHT_M = 2000.0, 1800.0
COLUMNS, ROWS = 12, 9
JITTER_M = 38.0
ROAD_WIDTH_M = 14.0
BLOCK_M = (500.0, 450.0)
LOT_M = (96.0, 104.0)
RIVER_WIDTH_M = 46.0
CAMERA_HEIGHT_M = 8.0
COMMUNITIES_FILE = Path(__file__).parent / "data" / "communities.csv"
CameraAddress = Callable[[str, int], str]


def on_the_bus(sn: str, index: int) -> str:
    """Give cameras the address of their own MQTT frame topic: for a run inside one process."""
    return f"mqtt:gridwing/frame/{sn}"


def generate(seed: int = 7, camera_address: CameraAddress = on_the_bus) -> District:
    """Return the district. `camera_address(sn, index)` says where each camera is read."""
    random = Random(seed)
    frame = LocalFrame(ORIGIN)
    town = _town(random)
    cells, communities = _cells(random, frame)
    police = _police_grids(random, frame)
    docks, drones = _fleet(frame)
    return District(
        code=CODE,
        name=NAME,
        version=0,
        schematic=True,
        origin=ORIGIN,
        communities=communities,
        cells=cells,
        police_grids=police,
        sites=_sites(random, frame, town, docks),
        airspaces=_airspaces(frame),
        zones=_zones(frame, town),
        docks=docks,
        drones=drones,
        cameras=_cameras(random, frame, town, camera_address),
        responders=_responders(random, frame, cells, police),
        approvals=_approvals(drones),
    )


@dataclass(frozen=True, slots=True)
class _Town:
    """What stands on the ground, in local metres."""

    river: Polygon
    roads: tuple[Polygon, ...]
    buildings: tuple[tuple[Polygon, float], ...]
    greens: tuple[Polygon, ...]
    plazas: tuple[Polygon, ...]
    fire_lanes: tuple[Polygon, ...]


def _lines(half_m: float, step_m: float) -> list[float]:
    return [-half_m + step_m * i for i in range(int(2 * half_m / step_m) + 1)]


def _town(random: Random) -> _Town:
    bend = [(760 + 170 * sin(y / 520) + 60 * sin(y / 190), y) for y in range(-1900, 1901, 100)]
    river = LineString(bend).buffer(RIVER_WIDTH_M / 2, cap_style="flat")
    assert isinstance(river, Polygon)
    half = ROAD_WIDTH_M / 2
    xs, ys = _lines(HALF_WIDTH_M, BLOCK_M[0]), _lines(HALF_HEIGHT_M, BLOCK_M[1])
    roads = [box(x - half, -HALF_HEIGHT_M, x + half, HALF_HEIGHT_M) for x in xs]
    roads += [box(-HALF_WIDTH_M, y - half, HALF_WIDTH_M, y + half) for y in ys]
    town = _Town(river, tuple(roads), (), (), (), ())
    kept = river.buffer(24)
    for x in xs[:-1]:
        for y in ys[:-1]:
            town = _fill_block(random, town, kept, x + half + 6, y + half + 6)
    return town


def _fill_block(random: Random, town: _Town, keep_off: BaseGeometry, x: float, y: float) -> _Town:
    buildings, greens = list(town.buildings), list(town.greens)
    plazas, lanes = list(town.plazas), list(town.fire_lanes)
    lane_lot, plaza_lot = random.randrange(20), random.randrange(60)
    for lot in range(20):
        left, low = x + LOT_M[0] * (lot % 5), y + LOT_M[1] * (lot // 5)
        whole = box(left, low, left + LOT_M[0] - 10, low + LOT_M[1] - 10)
        draw = random.random()
        if whole.intersects(keep_off):
            continue
        if lot == plaza_lot:
            plazas.append(whole)
        elif lot == lane_lot or draw < 0.58:
            w, h = random.uniform(38, 64), random.uniform(32, 66)
            at = (left + random.uniform(4, 12), low + random.uniform(14, 22))
            height_m = random.choice((6.0, 9.0, 15.0, 21.0, 33.0))
            buildings.append((box(*at, at[0] + w, at[1] + h), height_m))
            if lot == lane_lot:
                lanes.append(box(at[0], at[1] - 8, at[0] + w, at[1] - 2))
        elif draw < 0.8:
            greens.append(whole)
    return _Town(
        town.river, town.roads, tuple(buildings), tuple(greens), tuple(plazas), tuple(lanes)
    )


def _zones(frame: LocalFrame, town: _Town) -> tuple[Zone, ...]:
    kinds: list[tuple[ZoneKind, str, list[tuple[Polygon, float]]]] = [
        (ZoneKind.RIVER, "RV", [(town.river, 0.0)]),
        (ZoneKind.ROAD, "RD", [(p, 0.0) for p in town.roads]),
        (ZoneKind.GREEN, "GR", [(p, 0.0) for p in town.greens]),
        (ZoneKind.PLAZA, "PZ", [(p, 0.0) for p in town.plazas]),
        (ZoneKind.FIRE_LANE, "FL", [(p, 0.0) for p in town.fire_lanes]),
        (ZoneKind.BUILDING, "BD", list(town.buildings)),
    ]
    return tuple(
        Zone(f"{prefix}{i:04d}", kind, local_to_area(shape, frame), height_m)
        for kind, prefix, shapes in kinds
        for i, (shape, height_m) in enumerate(shapes, 1)
    )


def _lattice(random: Random) -> list[list[tuple[float, float]]]:
    """Return (ROWS + 1) rows of (COLUMNS + 1) corners, north first; inner ones pushed about."""
    width, height = 2 * HALF_WIDTH_M / COLUMNS, 2 * HALF_HEIGHT_M / ROWS
    grid = []
    for r in range(ROWS + 1):
        row = []
        for c in range(COLUMNS + 1):
            dx = 0.0 if c in (0, COLUMNS) else random.uniform(-JITTER_M, JITTER_M)
            dy = 0.0 if r in (0, ROWS) else random.uniform(-JITTER_M, JITTER_M)
            row.append((c * width - HALF_WIDTH_M + dx, HALF_HEIGHT_M - r * height + dy))
        grid.append(row)
    return grid


def _cells(random: Random, frame: LocalFrame) -> tuple[tuple[GridCell, ...], tuple[Community, ...]]:
    with COMMUNITIES_FILE.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    corners = _lattice(random)
    cells, communities = [], []
    for i, row in enumerate(rows):
        first_column, first_row = 4 * (i % 3), 3 * (i // 3)
        shapes = []
        for serial in range(12):
            r, c = first_row + serial // 4, first_column + serial % 4
            ring = [corners[r][c], corners[r][c + 1], corners[r + 1][c + 1], corners[r + 1][c]]
            shapes.append(Polygon(ring))
            cells.append(
                GridCell(
                    code=f"{row['division_code']}{serial + 1:03d}",
                    name=f"{row['community'].removesuffix('社区')}网格{serial + 1:02d}",
                    community_code=row["division_code"],
                    area=local_to_area(shapes[-1], frame),
                    risk=random.choice((1.0, 1.0, 1.5, 2.0, 3.0)),
                )
            )
        outline = local_to_area(union_all(shapes), frame)
        communities.append(Community(row["division_code"], row["community"], outline))
    return tuple(cells), tuple(communities)


def _police_grids(random: Random, frame: LocalFrame) -> tuple[PoliceGrid, ...]:
    width, height = 2 * HALF_WIDTH_M / 5, 2 * HALF_HEIGHT_M / 3
    grids = []
    for i in range(15):
        x, y = -HALF_WIDTH_M + width * (i % 5), HALF_HEIGHT_M - height * (i // 5)
        push = [random.uniform(20, 90) for _ in range(4)]
        shape = box(x - push[0], y - height - push[1], x + width + push[2], y + push[3])
        inside = shape.intersection(box(-HALF_WIDTH_M, -HALF_HEIGHT_M, HALF_WIDTH_M, HALF_HEIGHT_M))
        code = f"JG{i + 1:02d}"
        grids.append(PoliceGrid(code, f"警格{i + 1:02d}", local_to_area(inside, frame)))
    return tuple(grids)


_DOCKS_M = ((-1250.0, -240.0), (80.0, 690.0), (1300.0, -620.0))


def _fleet(frame: LocalFrame) -> tuple[tuple[Dock, ...], tuple[Drone, ...]]:
    docks, drones = [], []
    for i, (x, y) in enumerate(_DOCKS_M, 1):
        sn, drone_sn = f"SIMDOCK{i:06d}", f"1581F6SIM{i:05d}"
        docks.append(Dock(sn, f"机场{i}", frame.to_position(x, y), 12.0, drone_sn))
        drones.append(Drone(drone_sn, f"无人机{i}", "M3TD", sn, docked=True))
    for i in range(1, 4):
        gateway, sn = f"SIMRC{i:08d}", f"1581F6SIM{i + 10:05d}"
        drones.append(Drone(sn, f"无人机{i + 3}", "M3T", gateway, docked=False))
    return tuple(docks), tuple(drones)


_NO_FLY_M = (("医院停机坪", -620.0, 1180.0, 110.0), ("变电站", 1490.0, 820.0, 90.0),
             ("学校", -1500.0, -1130.0, 80.0))  # fmt: skip


def _airspaces(frame: LocalFrame) -> tuple[Airspace, ...]:
    return tuple(
        Airspace(
            f"NF{i:02d}",
            name,
            AirspaceKind.NO_FLY,
            local_to_area(Point(x, y).buffer(r, quad_segs=6), frame),
            0.0,
            120.0,
        )
        for i, (name, x, y, r) in enumerate(_NO_FLY_M, 1)
    )


def _approvals(drones: tuple[Drone, ...]) -> tuple[StandingApproval, ...]:
    """A simulated standing approval: a long-term one whose take-off confirmation stands."""
    asked = FlightApplication(
        "application-simulated",
        ApplicationKind.LONG_TERM,
        tuple(d.sn for d in drones if d.docked),
        datetime(2020, 1, 1, tzinfo=UTC),
        datetime(2100, 1, 1, tzinfo=UTC),
        120.0,
        confirmation_needed=False,
    )
    return (StandingApproval("SIM-0001", asked),)


_SITE_NAMES = {
    SiteKind.SCHOOL: "学校",
    SiteKind.MARKET: "市场",
    SiteKind.HOSPITAL: "卫生服务中心",
    SiteKind.FIRE_POST: "微型消防站",
    SiteKind.COMMAND_CENTRE: "综合应急指挥中心",
    SiteKind.FACTORY: "厂区",
}


def _sites(
    random: Random, frame: LocalFrame, town: _Town, docks: tuple[Dock, ...]
) -> tuple[Site, ...]:
    kinds = [SiteKind.COMMAND_CENTRE, *[SiteKind.SCHOOL] * 6, *[SiteKind.MARKET] * 5]
    kinds += [*[SiteKind.HOSPITAL] * 3, *[SiteKind.FIRE_POST] * 4, *[SiteKind.FACTORY] * 4]
    chosen = random.sample(town.buildings, len(kinds))
    sites = [Site(f"ST{i:02d}", d.name, SiteKind.DOCK, d.position) for i, d in enumerate(docks, 1)]
    for i, (kind, (shape, _)) in enumerate(zip(kinds, chosen, strict=True), 1):
        centre = frame.to_position(shape.centroid.x, shape.centroid.y)
        sites.append(Site(f"ST{i + 3:02d}", f"{_SITE_NAMES[kind]}{i:02d}", kind, centre))
    return tuple(sites)


def _cameras(
    random: Random, frame: LocalFrame, town: _Town, address: CameraAddress
) -> tuple[Camera, ...]:
    """Return 24 poles that really see a road, a fire lane, a plaza or the river."""
    walls = STRtree([shape for shape, _ in town.buildings])
    river = [
        Point(760 + 170 * sin(y / 520) + 60 * sin(y / 190), y) for y in range(-1500, 1501, 250)
    ]
    junctions = [
        Point(x, y)
        for x in _lines(HALF_WIDTH_M, BLOCK_M[0])[1:-1]
        for y in _lines(HALF_HEIGHT_M, BLOCK_M[1])[1:-1]
    ]
    targets = [
        *[("路口", p, 30.0) for p in random.sample(junctions, 8)],
        *[("消防通道", p.centroid, 22.0) for p in random.sample(town.fire_lanes, 6)],
        *[("广场", p.centroid, 34.0) for p in random.sample(town.plazas, 5)],
        *[("河岸", p, 38.0) for p in random.sample(river, 5)],
    ]
    cameras = []
    for i, (name, target, range_m) in enumerate(targets):
        x, y, yaw_deg = _stand(random, walls, target, range_m)
        sn = f"CAM{i + 1:03d}"
        cameras.append(
            Camera(
                sn=sn,
                name=f"{name}{i + 1:02d}",
                position=frame.to_position(x, y),
                height_agl_m=CAMERA_HEIGHT_M,
                yaw_deg=round(yaw_deg, 2),
                pitch_deg=round(-degrees(atan2(CAMERA_HEIGHT_M, range_m)) - 2.0, 2),
                hfov_deg=70.0,
                width_px=640,
                height_px=360,
                address=address(sn, i),
            )
        )
    return tuple(cameras)


def _stand(
    random: Random, walls: STRtree, target: Point, range_m: float
) -> tuple[float, float, float]:
    """Return (x_m, y_m, yaw_deg) of a pole with a free view of the target."""
    start = random.uniform(0, 360)
    best: tuple[float, float, float] | None = None
    for turn in range(0, 360, 15):
        bearing = radians(start + turn)
        x, y = target.x - range_m * sin(bearing), target.y - range_m * cos(bearing)
        sight = LineString([(x, y), (target.x, target.y)]).buffer(3.0)
        if best is None:
            best = (x, y, (start + turn) % 360)
        if len(walls.query(sight, predicate="intersects")) == 0:
            return x, y, (start + turn) % 360
    assert best is not None
    return best


_FORCES = (
    (Force.GRID, "网格员", "grid", 12),
    (Force.POLICE_GRID, "警格民警", "police", 6),
    (Force.FIRE_POST, "消防站", "fire", 4),
    (Force.URBAN_MANAGEMENT, "城管队", "urban", 3),
    (Force.WATER, "水务队", "water", 3),
    (Force.SAFETY, "安监队", "safety", 2),
)


def _responders(
    random: Random, frame: LocalFrame, cells: tuple[GridCell, ...], police: tuple[PoliceGrid, ...]
) -> tuple[Responder, ...]:
    """Return 30 responders by role. Professional forces serve the whole district: no areas."""
    people = []
    for force, sign, account, count in _FORCES:
        for i in range(count):
            areas: tuple[str, ...] = ()
            x, y = random.uniform(-1700, 1700), random.uniform(-1500, 1500)
            if force is Force.GRID:
                own = cells[i * 9 : i * 9 + 9]
                areas = tuple(c.code for c in own)
                lon, lat = own[4].area.polygons[0][0][0]
                x, y = frame.to_local(lat, lon)
            elif force is Force.POLICE_GRID:
                areas = tuple(p.code for p in police[i::6])
                lon, lat = police[i].area.polygons[0][0][0]
                x, y = (0.9 * v for v in frame.to_local(lat, lon))
            name = f"{account}{i + 1:02d}"
            home = frame.to_position(x, y)
            people.append(Responder(f"R-{name}", f"{sign}{i + 1:02d}", force, areas, home, name))
    return tuple(people)
