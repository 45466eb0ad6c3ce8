"""From routes to a timetable that may be flown: nothing leaves the planner that the judge flags."""

from collections.abc import Callable, Sequence

from geo.routes import Point
from services.patrol.fleet.judge import Aircraft, Rules, Verdict, judge
from services.patrol.fleet.problem import Fleet, Timing, packed
from services.patrol.fleet.routing import Plan
from services.patrol.fleet.timetable import PlannedSortie, PlannedVisit

WayOf = Callable[[Point, Point], tuple[Point, ...] | None]

_ROUNDS = 16
_DELAY_S = 15.0
_MENDED_BY_DELAY = frozenset({"too_near", "dock_occupied", "below_reserve", "not_ready"})


def sorties(
    fleet: Fleet, plan: Plan, way_of: WayOf, heights_agl_m: Sequence[float]
) -> list[PlannedSortie]:
    """Return a plan's sorties, each as early as charging allows, neighbours in the fleet at
    different heights where there are several; one that cannot be flown is left out."""
    found = []
    timings = packed(fleet, plan.slots, plan.routes)
    for slot, route, flown in zip(plan.slots, plan.routes, timings, strict=True):
        if flown is None:
            continue
        height = heights_agl_m[slot.craft % len(heights_agl_m)]
        made = _sortie(fleet, slot.craft, route, flown, way_of, height)
        if made is not None:
            found.append(made)
    return sorted(found, key=lambda s: (s.leaves_s, s.drone_sn))


def _sortie(
    fleet: Fleet,
    index: int,
    route: Sequence[int],
    flown: Timing,
    way_of: WayOf,
    height_agl_m: float,
) -> PlannedSortie | None:
    craft = fleet.crafts[index]
    ways, visits, here = [], [], craft.home
    for number, starts in zip(route, flown.visits_s, strict=True):
        task = fleet.tasks[number]
        handling = task.handlings[craft.kind]
        if handling is None:
            return None
        ways.append(way_of(here, handling.entry))
        hold_s = handling.service_s if len(handling.path) == 1 else 0.0
        visits.append(
            PlannedVisit(
                task.task_id,
                task.cell_code,
                handling.path,
                hold_s,
                task.opens_s,
                task.closes_s,
                starts,
                starts + handling.service_s,
            )
        )
        here = handling.exit
    ways.append(way_of(here, craft.home))
    open_ways = tuple(way for way in ways if way is not None)
    if len(open_ways) != len(ways):
        return None
    return PlannedSortie(
        craft.drone_sn,
        craft.dock_sn,
        height_agl_m,
        flown.leaves_s,
        flown.lands_s,
        tuple(visits),
        open_ways,
    )


def released(
    planned: Sequence[PlannedSortie], aircraft: Sequence[Aircraft], rules: Rules
) -> tuple[tuple[PlannedSortie, ...], Verdict]:
    """Return what the judge lets go, and its verdict, which has no violations.

    Sorties that come too near, or leave too soon, wait a little; one that cannot be mended so is
    struck, and so is every one still flagged after a few rounds: fewer flights, never a bad one.
    """
    kept = list(planned)
    for turn in range(2 * _ROUNDS):
        verdict = judge(kept, aircraft, rules)
        if not verdict.violations:
            return tuple(kept), verdict
        struck: set[int] = set()
        delayed: set[int] = set()
        for violation in verdict.violations:
            mends = violation.code in _MENDED_BY_DELAY and turn < _ROUNDS
            (delayed if mends else struck).add(violation.sortie)
        kept = [
            kept[i].delayed(_DELAY_S) if i in delayed else kept[i]
            for i in range(len(kept))
            if i not in struck
        ]
    return (), judge((), aircraft, rules)
