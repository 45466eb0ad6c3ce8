"""What a diversion does to the plan, mended at once: visits that no longer fit go elsewhere.

Cheapest insertion into sorties that have not left; what that makes of a drone's day is held
against the judge, and undone where it breaks a rule. The whole plan is made anew in the background.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from geo.routes import FlightModel, Point, flight_time_s
from services.patrol.fleet.judge import Aircraft, Rules, judge
from services.patrol.fleet.problem import Craft, tenths_up
from services.patrol.fleet.timetable import PlannedSortie, PlannedVisit, Timetable
from services.patrol.fleet.ways import Ways

_TRIED = 3
_VISITS_LIMIT = 64


@dataclass(frozen=True, slots=True)
class Docked:
    """A drone of the plan: what the planner and what the judge know of it."""

    craft: Craft
    aircraft: Aircraft
    model: FlightModel


@dataclass(frozen=True, slots=True)
class Repaired:
    """The mended timetable; what moved, as (task, drone), and what found no place for now."""

    timetable: Timetable
    moved: tuple[tuple[str, str], ...]
    dropped: tuple[str, ...]


def repaired(
    table: Timetable,
    fleet: Mapping[str, Docked],
    ways: Ways,
    rules: Rules,
    *,
    drone_sn: str,
    now_s: float,
    busy_s: float,
    released: Sequence[PlannedVisit],
) -> Repaired:
    """Return the timetable after a drone is away for `busy_s` from `now_s` on.

    Its own sorties wait until it is charged again; those that would then end beyond the horizon
    are dissolved. Their visits, and those `released` by the flight turned aside, are inserted where
    they cost least.
    """
    away = fleet[drone_sn].craft
    back_s = tenths_up(now_s + busy_s) + away.recharge_s(busy_s)
    kept: list[PlannedSortie] = []
    loose = list(released)
    wait_s = 0.0
    for sortie in sorted(table.sorties, key=lambda s: s.leaves_s):
        if sortie.drone_sn != drone_sn or sortie.leaves_s < now_s:
            kept.append(sortie)
            continue
        wait_s = wait_s or max(0.0, back_s - sortie.leaves_s)
        later = sortie.delayed(wait_s)
        late = any(v.starts_s > v.closes_s for v in later.visits)
        if later.lands_s > table.horizon_s or late:
            # A theme's visits are of its own height; it is due again in the next plan.
            loose += sortie.visits if sortie.theme is None else ()
        else:
            kept.append(later)
    before = list(kept)
    moved: list[tuple[str, str]] = []
    dropped: list[str] = []
    for visit in sorted(loose, key=lambda v: (v.closes_s, v.task_id))[:_VISITS_LIMIT]:
        place = _insert(kept, visit, fleet, ways, now_s)
        if place is None:
            dropped.append(visit.task_id)
            continue
        index, sortie = place
        kept[index] = sortie
        moved.append((visit.task_id, sortie.drone_sn))
    for sn in sorted({sn for _, sn in moved}):
        own = [s for s in kept if s.drone_sn == sn and s.leaves_s > now_s]
        if judge(own, [fleet[sn].aircraft], rules).violations:
            kept = [b if k.drone_sn == sn else k for k, b in zip(kept, before, strict=True)]
            dropped += [task for task, by in moved if by == sn]
            moved = [(task, by) for task, by in moved if by != sn]
    dropped += [v.task_id for v in loose[_VISITS_LIMIT:]]
    left = tuple(dict.fromkeys((*table.unserved, *dropped)))
    return Repaired(
        replace(table, sorties=tuple(kept), unserved=left), tuple(moved), tuple(dropped)
    )


def _insert(
    sorties: Sequence[PlannedSortie],
    visit: PlannedVisit,
    fleet: Mapping[str, Docked],
    ways: Ways,
    now_s: float,
) -> tuple[int, PlannedSortie] | None:
    """Return the cheapest sortie that still takes a visit, with it, and its index."""
    places = []
    for index, sortie in enumerate(sorties):
        docked = fleet.get(sortie.drone_sn)
        if docked is None or sortie.leaves_s <= now_s or sortie.theme is not None:
            continue
        speed = docked.model.cruise_m_s
        room_s = docked.craft.usable_s - (sortie.lands_s - sortie.leaves_s)
        stays_s = visit.ends_s - visit.starts_s
        if stays_s > room_s:
            continue
        stops = _stops(sortie)
        for at in range(len(sortie.visits) + 1):
            before, after = stops[at][1], stops[at + 1][0]
            detour_m = (
                math.dist(before, visit.path[0])
                + math.dist(visit.path[-1], after)
                - math.dist(before, after)
            )
            cost_s = detour_m / speed + stays_s
            if cost_s <= room_s:
                places.append((cost_s, index, at))
    for _, index, at in sorted(places)[:_TRIED]:
        longer = _with(sorties[index], visit, at, fleet[sorties[index].drone_sn], ways)
        if longer is not None and _in_time(longer, sorties, fleet[longer.drone_sn].craft):
            return index, longer
    return None


def _in_time(longer: PlannedSortie, sorties: Sequence[PlannedSortie], craft: Craft) -> bool:
    """Tell whether a drone is charged again before the next sortie it has."""
    later = [s.leaves_s for s in sorties if s.drone_sn == longer.drone_sn]
    ready_s = longer.lands_s + craft.recharge_s(longer.lands_s - longer.leaves_s)
    return all(leaves_s <= longer.leaves_s or leaves_s >= ready_s for leaves_s in later)


def _stops(sortie: PlannedSortie) -> list[tuple[Point, Point]]:
    home = sortie.ways[0][0]
    return [(home, home), *((v.path[0], v.path[-1]) for v in sortie.visits), (home, home)]


def _with(
    sortie: PlannedSortie, visit: PlannedVisit, at: int, docked: Docked, ways: Ways
) -> PlannedSortie | None:
    """Return a sortie with one visit more, timed anew."""
    stops = _stops(sortie)
    into = ways.way(stops[at][1], visit.path[0])
    out = ways.way(visit.path[-1], stops[at + 1][0])
    if into is None or out is None:
        return None
    visits = [*sortie.visits[:at], visit, *sortie.visits[at:]]
    legs = [*sortie.ways[:at], into, out, *sortie.ways[at + 1 :]]
    clock, timed = sortie.leaves_s, []
    for leg, one in zip(legs, visits, strict=False):
        stays_s = one.ends_s - one.starts_s
        clock = max(tenths_up(clock + _leg_s(leg, docked.model)), one.opens_s)
        if clock > one.closes_s:
            return None
        timed.append(replace(one, starts_s=clock, ends_s=clock + stays_s))
        clock += stays_s
    lands_s = tenths_up(clock + _leg_s(legs[-1], docked.model))
    if lands_s - sortie.leaves_s > docked.craft.usable_s:
        return None
    return replace(sortie, visits=tuple(timed), ways=tuple(legs), lands_s=lands_s)


def _leg_s(leg: Sequence[Point], model: FlightModel) -> float:
    return flight_time_s(leg, model) if len(leg) > 1 else 0.0
