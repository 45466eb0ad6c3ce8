"""A seeded day of patrols in virtual time: planned anew at every landing, flown by the judge.

No cell is left alone beyond its floor, no sortie lands under its reserve, nothing released breaks
a rule.
"""

from dataclasses import replace
from datetime import timedelta

from domain.place import GridCell
from services.patrol import schedule
from services.patrol.demand import CellVisits
from services.patrol.fleet.judge import judge
from services.patrol.fleet.timetable import PlannedSortie, Timetable
from services.patrol.plan import PatrolGround
from services.patrol.policy import PatrolPolicy
from services.patrol.schedule import Standing, Wanted
from tests.core.patrol_scene import EPOCH, district, no_fly

HOURS = 6.0
REVISIT_S = 3600.0
SCENE = district(docks=2, cells=16, airspaces=(no_fly(330.0, 330.0, 430.0, 430.0),))


def cells() -> tuple[GridCell, ...]:
    return tuple(
        replace(cell, risk=(1.0, 1.0, 2.0, 3.0)[i % 4], revisit_s=REVISIT_S)
        for i, cell in enumerate(SCENE.cells)
    )


def test_a_day_in_which_no_cell_starves_and_no_drone_lands_under_its_reserve() -> None:
    policy = PatrolPolicy()
    ground = PatrolGround(replace(SCENE, cells=cells()), policy)
    drones = {d.sn: d for d in ground.district.drones}
    standing = [Standing(d, drones[d.drone_sn], 95.0) for d in ground.district.docks]
    whole = [schedule.aircraft(ground, s) for s in standing]
    visits: dict[str, CellVisits] = {}
    seen: dict[str, list[float]] = {code: [0.0] for code in ground.cells}
    flown: list[PlannedSortie] = []
    free_s = {s.dock.sn: (0.0, 95.0) for s in standing}
    now_s, until_s = 0.0, HOURS * 3600.0
    while now_s < until_s:
        fleet = [_now(s, *free_s[s.dock.sn], now_s, policy) for s in standing]
        at = EPOCH + timedelta(seconds=now_s)
        in_air = {
            c: s.lands_s - now_s for s in flown if s.lands_s > now_s for c in s.cell_codes
        }
        made = schedule.plan(ground, fleet, Wanted(visits, in_air, {}), at)
        assert isinstance(made, Timetable), made
        assert made.lower_bound <= made.worst_idleness + 1e-9
        for dock_sn in list(free_s):
            sortie = schedule.due(made, dock_sn, at, policy.leave_early_s)
            if sortie is None:
                continue
            gone = sortie.delayed(now_s)
            flown.append(gone)
            path_s = gone.lands_s - gone.leaves_s
            drone = drones[gone.drone_sn]
            used = 100.0 * (path_s * policy.time_margin + policy.climb_and_land_s)
            before = min(100.0, _charged(*free_s[dock_sn], gone.leaves_s, policy))
            free_s[dock_sn] = (gone.lands_s, before - used / drone.endurance_s)
            for visit in gone.visits:
                code = visit.task_id
                seen[code].append(visit.ends_s)
                count = visits.get(code, CellVisits()).flown_count + 1
                when = EPOCH + timedelta(seconds=visit.ends_s)
                visits[code] = CellVisits(when, when, count)
        now_s += policy.replan_s
    verdict = judge(flown, whole, schedule.rules(ground))
    assert verdict.violations == ()
    assert min(f.battery_after_pct for f in verdict.flown) >= 25.0
    gaps = {
        code: max(b - a for a, b in zip(times, [*times[1:], until_s], strict=True))
        for code, times in seen.items()
    }
    assert max(gaps.values()) <= policy.floor_revisits * REVISIT_S, gaps
    assert all(len(times) > 1 for times in seen.values())


def _charged(since_s: float, battery_pct: float, at_s: float, policy: PatrolPolicy) -> float:
    rested_s = max(0.0, at_s - since_s - (policy.turnaround_s if since_s > 0.0 else 0.0))
    return battery_pct + rested_s * policy.charge_pct_s


def _now(
    standing: Standing, free_s: float, battery_pct: float, now_s: float, policy: PatrolPolicy
) -> Standing:
    if free_s > now_s:
        return replace(standing, battery_pct=battery_pct, busy_s=free_s - now_s)
    # What it lacks of its turnaround it waits for as for a flight's end.
    rest_s = max(0.0, free_s + policy.turnaround_s - now_s) if free_s > 0.0 else 0.0
    battery = min(100.0, _charged(free_s, battery_pct, now_s, policy))
    return replace(standing, battery_pct=battery, busy_s=rest_s)
