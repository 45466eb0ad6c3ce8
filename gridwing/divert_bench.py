"""How long a diversion takes: who goes, and the plan mended, with 6, 30 and 100 drones.

Each trial takes a moment of a planned day, drones in docks and in the air as the plan has them, and
a hazard somewhere; the production code decides and repairs.
"""

import math
import random
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
from shapely.geometry import box

from domain.device import Dock, Drone
from domain.district import District
from domain.place import Airspace, AirspaceKind, Position
from geo.frames import LocalFrame
from geo.routes import FlightModel, Point, flight_time_s
from geo.shapes import local_to_area
from services.patrol import divert, schedule
from services.patrol.fleet.problem import tenths_up
from services.patrol.fleet.repair import Docked, repaired
from services.patrol.fleet.timetable import PlannedSortie, PlannedVisit, Timetable
from services.patrol.plan import PatrolGround
from services.patrol.policy import PatrolPolicy
from services.patrol.schedule import Standing

TRIALS = {6: 2000, 30: 500, 100: 200}
LOOK_S = 120.0
_AT = datetime(2026, 3, 1, 1, tzinfo=UTC)
_ORIGIN = Position(22.54, 113.35)
_CELLS_PER_DRONE = 12
_CELL_M = 220.0
_SORTIES = 3
_CHARGED_PCT = 86.0
"""What a dock charges to for a sortie of the usual length."""
_MODEL = FlightModel(12.0, 2.5, 2.0)


@dataclass(frozen=True)
class Scene:
    """A district of docks round closed airspace, and its planned day."""

    ground: PatrolGround
    fleet: dict[str, Docked]
    table: Timetable
    side_m: float


def run(drones: int, trials: int) -> dict[str, float]:
    """Return p50 and p99 of decision + repair in wall milliseconds, and the p99 of its CPU."""
    scene = scene_of(drones)
    rng = random.Random(drones)
    took_ms, cpu_ms = [], []
    for _ in range(trials):
        now_s = rng.uniform(0.0, scene.table.horizon_s * 0.7)
        target = _open_point(rng, scene)
        candidates, flying = _standing(scene, now_s)
        began, worked = time.perf_counter(), time.thread_time()
        choice = divert.choose(scene.ground, target, candidates, LOOK_S)
        if isinstance(choice, divert.Choice):
            sn = choice.candidate.drone.sn
            ahead = () if choice.resumes or sn not in flying else flying[sn]
            repaired(
                scene.table,
                scene.fleet,
                scene.ground.ways,
                schedule.rules(scene.ground),
                drone_sn=sn,
                now_s=now_s,
                busy_s=choice.busy_s,
                released=ahead,
            )
        took_ms.append(1000.0 * (time.perf_counter() - began))
        cpu_ms.append(1000.0 * (time.thread_time() - worked))
    p50, p99 = np.percentile(took_ms, [50, 99])
    cpu_p99 = np.percentile(cpu_ms, 99)
    return {
        "p50_ms": round(float(p50), 2),
        "p99_ms": round(float(p99), 2),
        "cpu_p99_ms": round(float(cpu_p99), 2),
    }


def scene_of(drones: int) -> Scene:
    """Return a seeded scene: docks spread evenly, a closed square near every third."""
    rng, frame = random.Random(drones), LocalFrame(_ORIGIN)
    side = math.ceil(math.sqrt(drones * _CELLS_PER_DRONE))
    side_m = side * _CELL_M
    per_row = math.ceil(math.sqrt(drones))
    homes = [
        ((i % per_row + 0.5) * side_m / per_row, (i // per_row + 0.5) * side_m / per_row)
        for i in range(drones)
    ]
    closed = []
    for number, (x, y) in enumerate(homes[::3]):
        corner = (x + rng.uniform(200.0, 500.0), y + rng.uniform(-300.0, 300.0))
        shape = box(*corner, corner[0] + 250.0, corner[1] + 250.0)
        area = local_to_area(shape, frame)
        closed.append(Airspace(f"NF{number}", "", AirspaceKind.NO_FLY, area, 0.0, 120.0))
    docks = tuple(
        Dock(f"DOCK{i}", f"DOCK{i}", frame.to_position(*home), 20.0, f"DRONE{i}")
        for i, home in enumerate(homes)
    )
    aircraft = tuple(Drone(d.drone_sn, d.drone_sn, "M3TD", d.sn, docked=True) for d in docks)
    nothing = District("", "", 1, True, _ORIGIN, (), (), (), (), tuple(closed), (), docks, aircraft,
                       (), ())  # fmt: skip
    ground = PatrolGround(nothing, PatrolPolicy())
    standing = [Standing(d, a, 100.0) for d, a in zip(docks, aircraft, strict=True)]
    fleet = schedule.docked(ground, standing)
    return Scene(ground, fleet, _day(ground, standing, fleet, side), side_m)


def _day(
    ground: PatrolGround, standing: list[Standing], fleet: dict[str, Docked], side: int
) -> Timetable:
    """Return each drone flying the cells nearest to it, in sorties one after the other."""
    cells = [
        ((x + 0.5) * _CELL_M, (y + 0.5) * _CELL_M) for x in range(side) for y in range(side)
    ]
    near: dict[str, list[Point]] = {s.dock.sn: [] for s in standing}
    for cell in cells:
        sn = min(near, key=lambda sn: math.dist(cell, ground.docks[sn]))
        if ground.ways.way(ground.docks[sn], cell) is not None:
            near[sn].append(cell)
    sorties = []
    for number, one in enumerate(standing):
        craft, left = fleet[one.drone.sn].craft, near[one.dock.sn]
        clock = 60.0 * (number % 20)
        for _ in range(_SORTIES):
            made, left = _sortie(ground, one, left, clock, 0.8 * craft.usable_s)
            if not made.visits:
                break
            sorties.append(made)
            clock = made.lands_s + craft.recharge_s(made.lands_s - made.leaves_s)
    return Timetable(_AT, max(7200.0, *(s.lands_s for s in sorties)), tuple(sorties), 0.0, 0.0)


def _sortie(
    ground: PatrolGround, one: Standing, cells: list[Point], leaves_s: float, limit_s: float
) -> tuple[PlannedSortie, list[Point]]:
    home = ground.docks[one.dock.sn]
    here, clock, visits, ways, left = home, leaves_s, [], [], list(cells)
    while left:
        cell = min(left, key=lambda c: math.dist(here, c))
        half = _CELL_M / 2.0 - 20.0
        corners = ((-half, -55.0), (half, -55.0), (half, 55.0), (-half, 55.0))
        path = tuple((cell[0] + dx, cell[1] + dy) for dx, dy in corners)
        way, back = ground.ways.way(here, path[0]), ground.ways.way(path[-1], home)
        left.remove(cell)
        if way is None or back is None:
            continue
        stays_s = tenths_up(flight_time_s(path, _MODEL))
        begins = tenths_up(clock + flight_time_s(way, _MODEL))
        if begins + stays_s + flight_time_s(back, _MODEL) - leaves_s > limit_s:
            left.append(cell)
            break
        name = f"{cell[0]:.0f},{cell[1]:.0f}"
        visits.append(
            PlannedVisit(name, name, path, 0.0, 0.0, math.inf, begins, begins + stays_s)
        )
        ways.append(way)
        here, clock = path[-1], begins + stays_s
    back = ground.ways.way(here, home) or (here, home)
    lands_s = tenths_up(clock + (flight_time_s(back, _MODEL) if visits else 0.0))
    made = PlannedSortie(
        one.drone.sn, one.dock.sn, 90.0, leaves_s, lands_s, tuple(visits), (*ways, back)
    )
    return made, left


def _standing(
    scene: Scene, now_s: float
) -> tuple[list[divert.Candidate], dict[str, tuple[PlannedVisit, ...]]]:
    """Return every drone as a candidate at a moment of the plan, and what those flying still do."""
    drones = {d.sn: d for d in scene.ground.district.drones}
    policy = scene.ground.policy
    found, ahead = {}, {}
    for sn, docked in scene.fleet.items():
        dock_sn, home = docked.craft.dock_sn, docked.craft.home
        found[sn] = divert.Candidate(dock_sn, drones[sn], home, home, _CHARGED_PCT)
    for sortie in scene.table.sorties:
        if not sortie.leaves_s <= now_s < sortie.lands_s:
            continue
        done = [v for v in sortie.visits if v.starts_s <= now_s]
        left_s = sortie.lands_s - now_s
        here = done[-1].path[0] if done else sortie.ways[0][0]
        battery = _CHARGED_PCT - 100.0 * policy.time_margin * (now_s - sortie.leaves_s) / 2100.0
        found[sortie.drone_sn] = replace(
            found[sortie.drone_sn],
            here=here,
            battery_pct=battery,
            patrol_id=f"m{sortie.drone_sn}",
            remaining_s=left_s,
        )
        ahead[sortie.drone_sn] = tuple(v for v in sortie.visits if v.starts_s > now_s)
    return list(found.values()), ahead


def _open_point(rng: random.Random, scene: Scene) -> Point:
    while True:
        point = (rng.uniform(0.0, scene.side_m), rng.uniform(0.0, scene.side_m))
        if scene.ground.look_ways.way(point, point) is not None:
            return point
