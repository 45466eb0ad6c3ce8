"""Sorties flown for a theme: who flies which of its cells next, at its height. Pure.

They come first in a plan and the rest is planned round them, as round flights in the air; where
that would leave any cell beyond its floor, none is flown. A dock flies for a theme at most every
other time, and only a share of the fleet does so at once.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from services.patrol import schedule
from services.patrol.demand import CellVisits, began_at, demand
from services.patrol.fleet.timetable import NoPlan, PlannedSortie, Timetable
from services.patrol.plan import PatrolGround
from services.patrol.schedule import Standing, Wanted
from services.patrol.themes import Theme

_DUE = 1.0
"""Revisit intervals after which a cell is flown for its theme again."""


@dataclass(frozen=True, slots=True)
class ThemeTurn:
    """A theme that is on: the ground at its height (`schedule.themed`), when its cells were flown
    for it, and which of them are being flown over for it now."""

    theme: Theme
    ground: PatrolGround
    visits: Mapping[str, CellVisits]
    in_air: frozenset[str] = frozenset()


def plan(
    ground: PatrolGround,
    fleet: Sequence[Standing],
    wanted: Wanted,
    turns: Sequence[ThemeTurn],
    rested: Collection[str],
    at: datetime,
) -> Timetable | NoPlan:
    """Return the timetable from `at` on, with the sorties of themes that fit into it. `rested` are
    the docks (serials) that did not fly for a theme last."""
    free = [
        s
        for s in fleet
        if s.dock.sn in rested and not s.refused and s.battery_pct is not None and s.busy_s == 0.0
    ]
    able = sum(not s.refused and s.battery_pct is not None for s in fleet)
    room = max(1, int(ground.policy.theme_share * able)) - sum(bool(t.in_air) for t in turns)
    chosen = theme_sorties(turns, free, room, at)
    if chosen:
        made = schedule.plan(ground, fleet, replace(wanted, themed=chosen), at)
        if isinstance(made, Timetable):
            return made
    return schedule.plan(ground, fleet, wanted, at)


def theme_sorties(
    turns: Sequence[ThemeTurn], fleet: Sequence[Standing], room: int, at: datetime
) -> tuple[PlannedSortie, ...]:
    """Return at most `room` sorties that leave soon, one for each theme and drone; the theme that
    has waited longest chooses first."""
    asked = [(t, _due(t, fleet[0], at)) for t in turns] if fleet else []
    asked = sorted((a for a in asked if a[1]), key=lambda a: (-max(a[1].values()), a[0].theme.code))
    free, found = list(fleet), list[PlannedSortie]()
    for turn, due in asked:
        if len(found) >= room:
            break
        wanted = Wanted(turn.visits, {}, {}, only=frozenset(due))
        made = schedule.plan(turn.ground, free, wanted, at)
        sorties = made.sorties if isinstance(made, Timetable) else ()
        first = min(sorties, key=lambda s: (s.leaves_s, s.drone_sn), default=None)
        if first is None or first.leaves_s > turn.ground.policy.exact_s:
            continue
        found.append(replace(first, theme=turn.theme.of_mission()))
        free = [s for s in free if s.drone.sn != first.drone_sn]
    return tuple(found)


def _due(turn: ThemeTurn, standing: Standing, at: datetime) -> dict[str, float]:
    """Return the theme's cells that are due, with the revisit intervals they have waited."""
    ground, since = turn.ground, began_at(turn.visits, at)
    found: dict[str, float] = {}
    for cell in ground.district.cells:
        if cell.code in turn.in_air:
            continue
        portions = ground.portions(cell.code, standing.drone)
        visits = turn.visits.get(cell.code, CellVisits())
        asked = demand(cell, visits, portions, since, at, 1.0, ground.policy)
        waited = asked.age_s / asked.revisit_s
        if waited >= _DUE or visits.flown_count % portions:
            found[cell.code] = waited
    return found
