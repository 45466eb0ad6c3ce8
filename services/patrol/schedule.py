"""Who flies next: the whole fleet's sorties over the horizon, planned anew every few minutes.

From what each dock's drone can do and what each cell asks for to a timetable the judge lets go.
Flights in the air stay as they are: their cells count as seen when they land, their docks as free
once charged again.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from domain.device import Dock, Drone
from geo.coverage import NoSweep
from geo.routes import Point
from geo.terrain import FlatTerrain
from services.patrol.demand import CellVisits, began_at, demand
from services.patrol.fleet.idleness import Watch, worst
from services.patrol.fleet.judge import Aircraft, Closed, Flown, Rules
from services.patrol.fleet.problem import Craft, Fleet, Handling, Task, tenths_up
from services.patrol.fleet.release import released, sorties
from services.patrol.fleet.repair import Docked
from services.patrol.fleet.rota import RotaPolicy, plan_rota
from services.patrol.fleet.timetable import (
    LeftOut,
    NoPlan,
    PlannedSortie,
    PlannedVisit,
    Timetable,
)
from services.patrol.gate import airtime_s
from services.patrol.plan import PatrolGround
from services.patrol.policy import PatrolPolicy
from services.patrol.reach import one_by_one, within_reach
from services.patrol.sites import Errand
from services.patrol.sky.rules import REFUSE
from services.patrol.themes import Theme, cells_of

_TOLD = 3
"""How many of the cells nobody can see to are named where there is no plan."""
_THEME_SORTIES = 2.0
"""How many of the longest sorties a plan for a theme looks ahead."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A dock and its drone as they are now. `refused` says why no flight of it may be planned;
    `busy_s` is how long its present flight still takes, `battery_pct` what it has (at landing)."""

    dock: Dock
    drone: Drone
    battery_pct: float | None
    busy_s: float = 0.0
    refused: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked of a plan: visits so far, cells in the air with the seconds until they are
    seen, what the day makes of each cell's risk, and errands besides the cells. `only` these cells
    are asked for, if given; room is made for the sorties of themes, which were chosen before."""

    visits: Mapping[str, CellVisits]
    in_air_s: Mapping[str, float]
    factors: Mapping[str, float]
    errands: tuple[Errand, ...] = ()
    only: frozenset[str] | None = None
    themed: tuple[PlannedSortie, ...] = ()


def plan(
    ground: PatrolGround, fleet: Sequence[Standing], wanted: Wanted, at: datetime
) -> Timetable | NoPlan:
    """Return the timetable from `at` on, free of violations, or why there is none."""
    refusal = unfit(ground, fleet)
    if refusal is not None:
        return refusal
    policy = ground.policy
    flying = [s for s in fleet if not s.refused and s.battery_pct is not None]
    known = [aircraft(ground, s) for s in flying]
    given, verdict = released(wanted.themed, known, rules(ground))
    away = {s.drone_sn: flown for s, flown in zip(given, verdict.flown, strict=True)}
    flying = [_back(s, away.get(s.drone.sn), policy) for s in flying]
    taken_s = {code: s.lands_s for s in given for code in s.cell_codes}
    wanted = replace(wanted, in_air_s={**taken_s, **wanted.in_air_s})
    kinds = list(dict.fromkeys((s.drone.cruise_m_s, s.drone.hfov_deg) for s in flying))
    typical = [
        next(s.drone for s in flying if (s.drone.cruise_m_s, s.drone.hfov_deg) == kind)
        for kind in kinds
    ]
    crafts = tuple(
        craft(ground, s, kinds.index((s.drone.cruise_m_s, s.drone.hfov_deg))) for s in flying
    )
    for _ in range(policy.exact_rounds):
        tasks, watches, shut = _cells(ground, typical, wanted, at)
        hovers = [_hover(errand, len(typical)) for errand in wanted.errands]
        housed = [(s.drone, s.dock) for s in flying]
        problem = problem_of(ground, (*tasks, *hovers), crafts, typical)
        problem, out = within_reach(ground, problem, housed)
        left_out = (*shut, *out.values())
        if len(out) == len(problem.tasks):
            told = "; ".join(f"{o.task_id}: {o.message}" for o in left_out[:_TOLD])
            return NoPlan("nothing_due", f"cells: none is in reach ({told or 'there are none'})")
        watches = [w for w in watches if w.task not in out]
        rota_policy = RotaPolicy(
            policy.idleness_wanted, policy.fill_s, policy.route_iterations, policy.exchanges
        )
        found = plan_rota(problem, watches, policy.plan_seed, rota_policy)
        flights = one_by_one(ground, problem, found.plan, housed)
        planned = sorties(problem, flights, ground.ways.way, (policy.height_agl_m,))
        soon = [s for s in planned if s.leaves_s <= policy.exact_s]
        rough = _rough(ground, typical, wanted, soon)
        if not rough:
            break
        for code in rough:
            _swept(ground, typical, wanted, code)
    else:
        planned = [s for s in planned if not set(s.cell_codes) & set(rough)]
    kept, _ = released([*given, *planned], known, rules(ground))
    for cell in _rough(ground, typical, wanted, planned)[: policy.exact_more]:
        _swept(ground, typical, wanted, cell)
    seen: dict[int, list[float]] = {}
    index = {task.task_id: i for i, task in enumerate(problem.tasks)}
    for sortie in kept:
        # What a theme's sortie sees counts when it lands, as what is in the air does.
        for visit in sortie.visits if sortie.theme is None else ():
            seen.setdefault(index[visit.task_id], []).append(visit.ends_s)
    floors = [replace(w, weight=1.0 / w.floor_s) for w in watches]
    if given and worst(floors, seen, problem.horizon_s) > 1.0:
        return NoPlan("below_floor", "themes: a cell would wait beyond its floor; fly none for now")
    achieved = worst(watches, seen, problem.horizon_s)
    later = tuple(t.task_id for i, t in enumerate(problem.tasks) if i not in seen and i not in out)
    return Timetable(at, problem.horizon_s, kept, achieved, found.lower_bound, later, left_out)


def _rough(
    ground: PatrolGround,
    typical: Sequence[Drone],
    wanted: Wanted,
    planned: Sequence[PlannedSortie],
) -> list[str]:
    """Return the cells of some sorties whose sweeps are only guessed, in the plan's order."""
    codes = dict.fromkeys(code for sortie in planned for code in sortie.cell_codes)
    return [
        code
        for code in codes
        if any(not ground.is_swept(code, _portion(ground, code, wanted, d), d) for d in typical)
    ]


def _swept(ground: PatrolGround, typical: Sequence[Drone], wanted: Wanted, code: str) -> None:
    for drone in typical:
        ground.cell_path(code, _portion(ground, code, wanted, drone), drone)


def _portion(ground: PatrolGround, code: str, wanted: Wanted, drone: Drone) -> int:
    visits = wanted.visits.get(code, CellVisits())
    return visits.flown_count % ground.portions(code, drone)


def _back(standing: Standing, away: Flown | None, policy: PatrolPolicy) -> Standing:
    """Return a drone as it is after its theme's sortie, if it flies one."""
    if away is None:
        return standing
    busy_s = away.lands_s + policy.climb_and_land_s
    return replace(standing, busy_s=busy_s, battery_pct=away.battery_after_pct)


def themed(ground: PatrolGround, theme: Theme) -> PatrolGround:
    """Return the ground for patrols of one theme alone: its cells with its revisit interval, at
    its height and camera pitch."""
    codes = cells_of(theme, ground.district)
    cells = tuple(
        replace(c, revisit_s=theme.revisit_s) for c in ground.district.cells if c.code in codes
    )
    policy = replace(
        ground.policy,
        height_agl_m=theme.height_agl_m,
        gimbal_pitch_deg=theme.gimbal_pitch_deg,
        # Of its plan only what leaves next is flown.
        horizon_s=min(ground.policy.horizon_s, _THEME_SORTIES * ground.policy.sortie_limit_s),
    )
    district = replace(ground.district, cells=cells)
    return PatrolGround(district, policy, ground.terrain, ground.zones)


def unfit(ground: PatrolGround, fleet: Sequence[Standing]) -> NoPlan | None:
    """Return why nothing can be planned with this fleet at all; names the field and the cure."""
    district = ground.district
    if not district.docks:
        return NoPlan("no_docks", "docks: none is registered; register the dock of each drone")
    housed = [d.drone_sn for d in district.docks]
    double = sorted({sn for sn in housed if housed.count(sn) > 1})
    if double:
        return NoPlan("dock_full", f"docks.drone_sn: {double[0]} is housed twice; keep one dock")
    known = {d.sn for d in district.drones}
    lost = [d for d in district.docks if d.drone_sn not in known]
    if len(lost) == len(district.docks):
        return NoPlan(
            "drone_without_dock",
            f"docks.drone_sn: dock {lost[0].sn} names {lost[0].drone_sn}, which is not registered;"
            " register the drone",
        )
    if all(s.refused or s.battery_pct is None for s in fleet):
        told = "; ".join(
            f"{s.dock.sn}: {' '.join(s.refused) or 'battery_unknown'}" for s in fleet
        )
        return NoPlan(_commonest(fleet), f"fleet: no drone may fly ({told}); {_CURE}")
    return None


_CURE = "wait for wind, rain and battery, or register the approval that is missing"


def _commonest(fleet: Sequence[Standing]) -> str:
    codes = [code for s in fleet for code in (s.refused or ("battery_unknown",))]
    return max(sorted(set(codes)), key=codes.count) if codes else "no_drone"


def _cells(
    ground: PatrolGround, typical: Sequence[Drone], wanted: Wanted, at: datetime
) -> tuple[list[Task], list[Watch], list[LeftOut]]:
    """Return each cell that some drone can sweep as a task, and as a watch with its age; and the
    cells nobody can sweep."""
    policy, since = ground.policy, began_at(wanted.visits, at)
    tasks: list[Task] = []
    watches: list[Watch] = []
    shut: list[LeftOut] = []
    for cell in ground.district.cells:
        visits = wanted.visits.get(cell.code, CellVisits())
        if wanted.only is not None and cell.code not in wanted.only:
            continue
        handlings = tuple(_handling(ground, cell.code, wanted, drone) for drone in typical)
        if all(h is None for h in handlings):
            shut.append(_shut(ground, cell.code, wanted, typical[0]))
            continue
        asked = demand(
            cell,
            visits,
            ground.portions(cell.code, typical[0]),
            since,
            at,
            wanted.factors.get(cell.code, 1.0),
            policy,
        )
        in_air_s = wanted.in_air_s.get(cell.code)
        age_s = asked.age_s if in_air_s is None else -in_air_s
        watches.append(
            Watch(
                len(tasks),
                asked.weight,
                age_s,
                policy.due_share * asked.revisit_s,
                policy.floor_revisits * asked.revisit_s,
            )
        )
        tasks.append(Task(cell.code, handlings, 0.0, cell_code=cell.code))
    return tasks, watches, shut


def _shut(ground: PatrolGround, code: str, wanted: Wanted, drone: Drone) -> LeftOut:
    """Return why no sweep of a cell is flown."""
    portion = _portion(ground, code, wanted, drone)
    if ground.is_swept(code, portion, drone):
        found = ground.cell_path(code, portion, drone)
        if isinstance(found, NoSweep):
            return LeftOut(code, found.code, found.message)
    return LeftOut(code, "closed_airspace", f"cell {code} lies under closed airspace: open it")


def _hover(errand: Errand, kinds: int) -> Task:
    """Return an errand as a task; every camera serves."""
    handling = Handling((errand.point,), tenths_up(errand.hover_s))
    return Task(errand.site_code, (handling,) * kinds, errand.prize)


def _handling(
    ground: PatrolGround, code: str, wanted: Wanted, drone: Drone
) -> Handling | None:
    """Return a cell's sweep, or a guess of its length until it is worked out."""
    portion = _portion(ground, code, wanted, drone)
    if not ground.is_swept(code, portion, drone):
        middle = ground.middle(code)
        if middle is None:
            return None
        return Handling((middle,), tenths_up(ground.guessed_s(code, drone)))
    found = ground.cell_path(code, portion, drone)
    return None if isinstance(found, NoSweep) else Handling(found.path, tenths_up(found.time_s))


def craft(ground: PatrolGround, standing: Standing, kind: int) -> Craft:
    """Return what a drone can do: from now if it is charged enough, else from when it will be."""
    policy, drone = ground.policy, standing.drone
    battery = standing.battery_pct or 0.0
    wait_s = max(0.0, policy.patrol_battery_pct - battery) / policy.charge_pct_s
    rest_s = policy.turnaround_s if standing.busy_s > 0.0 else 0.0
    fixed_pct = 100.0 * policy.climb_and_land_s / drone.endurance_s
    return Craft(
        drone.sn,
        standing.dock.sn,
        ground.docks[standing.dock.sn],
        kind,
        min(policy.sortie_limit_s, airtime_s(drone, 100.0, policy)),
        tenths_up(standing.busy_s + rest_s + wait_s),
        airtime_s(drone, max(battery, policy.patrol_battery_pct), policy),
        tenths_up(policy.turnaround_s + fixed_pct / policy.charge_pct_s),
        100.0 * policy.time_margin / drone.endurance_s / policy.charge_pct_s,
    )


def aircraft(ground: PatrolGround, standing: Standing) -> Aircraft:
    """Return the same drone as the judge sees it, from its registered figures."""
    policy, drone, model = ground.policy, standing.drone, ground.model(standing.drone)
    battery = standing.battery_pct or 0.0
    return Aircraft(
        drone.sn,
        standing.dock.sn,
        ground.docks[standing.dock.sn],
        model.cruise_m_s,
        model.accel_m_s2,
        model.corner_cut_m,
        drone.endurance_s,
        drone.reserve_pct,
        policy.climb_and_land_s,
        policy.turnaround_s,
        policy.charge_pct_s,
        standing.busy_s,
        battery,
        policy.time_margin,
    )


def docked(ground: PatrolGround, fleet: Sequence[Standing]) -> dict[str, Docked]:
    """Return by serial what a repair of the timetable needs to know of each drone."""
    return {
        s.drone.sn: Docked(craft(ground, s, 0), aircraft(ground, s), ground.model(s.drone))
        for s in fleet
        if not s.refused and s.battery_pct is not None
    }


def visits_of(
    ground: PatrolGround, drone: Drone, codes: Sequence[str]
) -> tuple[PlannedVisit, ...]:
    """Return cells whose sweeps are known as visits that want a place; their times are lengths."""
    found = []
    for code in codes:
        # A cell of several portions waits for the next plan, which counts them.
        if ground.portions(code, drone) != 1 or not ground.is_swept(code, 0, drone):
            continue
        path = ground.cell_path(code, 0, drone)
        if not isinstance(path, NoSweep):
            stays_s = tenths_up(path.time_s)
            found.append(
                PlannedVisit(code, code, path.path, 0.0, 0.0, math.inf, 0.0, stays_s)
            )
    return tuple(found)


def rules(ground: PatrolGround) -> Rules:
    """Return what the judge holds a plan to."""
    policy = ground.policy
    closed = tuple(
        Closed(v.code, v.ground, v.floor_agl_m, v.ceiling_agl_m) for v in ground.volumes
    )
    flat = isinstance(ground.terrain, FlatTerrain)
    return Rules(
        closed,
        policy.sky.margin_m,
        policy.sky.ceiling_agl_m,
        policy.apart_m,
        policy.apart_height_m,
        policy.sky.floor_agl_m,
        None if flat else ground.terrain.surface_m,
        policy.rules.way_home.when_closed == REFUSE,
    )


def problem_of(
    ground: PatrolGround,
    tasks: tuple[Task, ...],
    crafts: tuple[Craft, ...],
    typical: Sequence[Drone],
) -> Fleet:
    """Return the routing problem with its travel times round closed airspace."""
    homes = [c.home for c in crafts]
    models = tuple(ground.model(drone) for drone in typical)
    travel = []
    for kind, model in enumerate(models):
        exits = [*homes, *(_end(t, kind, -1) for t in tasks)]
        entries = [*homes, *(_end(t, kind, 0) for t in tasks)]
        travel.append(ground.ways.seconds(exits, entries, model))
    policy = ground.policy
    return Fleet(tasks, crafts, models, tuple(travel), policy.horizon_s, policy.cells_limit)


def _end(task: Task, kind: int, which: int) -> Point:
    handling = task.handlings[kind] or next(h for h in task.handlings if h is not None)
    return handling.path[which]


def due(timetable: Timetable, dock_sn: str, at: datetime, early_s: float) -> PlannedSortie | None:
    """Return the sortie a dock should send off now, if the plan has one."""
    now_s = (at - timetable.made_at).total_seconds()
    for sortie in timetable.of_dock(dock_sn):
        if sortie.leaves_s <= now_s + early_s:
            return sortie
        break
    return None


def without(timetable: Timetable, sortie: PlannedSortie) -> Timetable:
    """Return the timetable once a sortie of it is in the air."""
    return replace(timetable, sorties=tuple(s for s in timetable.sorties if s is not sortie))
