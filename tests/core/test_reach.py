"""What a dock's drone can see to over hills, and a judge of its own for heights and ways home."""

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.district import District
from domain.mission import Mission, MissionPurpose
from geo.terrain import GridTerrain
from services.patrol import schedule
from services.patrol.departure import planned_return, reasons
from services.patrol.fleet.judge import Violation, judge
from services.patrol.fleet.timetable import NoPlan, PlannedSortie, Timetable
from services.patrol.plan import PatrolGround, sortie_of, wayline
from services.patrol.policy import PatrolPolicy
from services.patrol.schedule import Standing, Wanted
from services.patrol.sky.rules import RULES, read_sky_rules
from services.patrol.sky.standing import sky_now
from tests.core.patrol_scene import EPOCH, district, dock_and_drone, no_fly, standing

POLICY = replace(PatrolPolicy(), exchanges=200)
REFUSING = RULES.read_text("utf-8").replace('when_closed = "fly"', 'when_closed = "refuse"')
STRICT = replace(POLICY, rules=read_sky_rules(REFUSING))
WEST, EAST = (-400.0, 100.0), (1000.0, 100.0)


def relief(hill_m: float, at: tuple[int, int] = (6, 5), base_m: float = 20.0) -> GridTerrain:
    """Posts each 100 m from (-700, 600) on, with one hill a column of them wide."""
    heights = np.full((12, 22), base_m)
    heights[at[1], at[0]] = hill_m
    corner, down = np.array([-700.0, 600.0]), np.array([1.0, -1.0])
    return GridTerrain(heights, lambda p: (p - corner) * down / 100.0, 100.0)


def scene(*docks: tuple[float, float], cells: int = 2, **change: Any) -> District:
    """Cells of 200 m from the origin east, a dock at each of some places."""
    pairs = [dock_and_drone(i + 1, *place) for i, place in enumerate(docks)]
    drones = tuple(drone for _, drone in pairs)
    return replace(
        district(1, cells),
        docks=tuple(dock for dock, _ in pairs),
        drones=drones,
        approvals=(standing(*(d.sn for d in drones)),),
        **change,
    )


def planned(ground: PatrolGround) -> Timetable | NoPlan:
    here = ground.district
    fleet = [Standing(k, r, 95.0) for k, r in zip(here.docks, here.drones, strict=True)]
    return schedule.plan(ground, fleet, Wanted({}, {}, {}), EPOCH)


def at_the_gate(ground: PatrolGround, sortie: PlannedSortie) -> set[str]:
    """What the take-off gate says of a planned sortie."""
    here = ground.district
    drone = next(d for d in here.drones if d.sn == sortie.drone_sn)
    dock = next(d for d in here.docks if d.sn == sortie.dock_sn)
    path = wayline(ground, drone, sortie_of(ground, drone, sortie))
    flown = Mission(
        "m", MissionPurpose.PATROL, dock.sn, drone.sn, EPOCH, sortie.cell_codes, path
    )
    sky = sky_now((), here.approvals, EPOCH)
    flown = planned_return(ground, flown, drone, dock, sky, EPOCH)
    return {r.code for r in reasons(ground, flown, drone, dock, sky, (), EPOCH)}


def broken(ground: PatrolGround, table: Timetable) -> list[Violation]:
    here = ground.district
    fleet = [Standing(k, r, 95.0) for k, r in zip(here.docks, here.drones, strict=True)]
    known = [schedule.aircraft(ground, s) for s in fleet]
    return list(judge(table.sorties, known, schedule.rules(ground)).violations)


def told(table: Timetable) -> list[tuple[str, str]]:
    return [(o.task_id, o.code) for o in table.left_out]


def test_cells_behind_a_hill_are_named_where_the_only_dock_is_on_its_other_side() -> None:
    """The hill stands at x = -100, so high that no one height clears it and keeps the ceiling."""
    ground = PatrolGround(scene(WEST), POLICY, relief(120.0))
    found = planned(ground)
    assert isinstance(found, NoPlan)
    assert found.code == "nothing_due"
    assert "over the lowest ground" in found.message or "true height" in found.message


def test_another_dock_takes_the_cells_a_hill_keeps_from_the_first() -> None:
    ground = PatrolGround(scene(WEST, EAST), POLICY, relief(120.0))
    found = planned(ground)
    assert isinstance(found, Timetable)
    assert {s.dock_sn for s in found.sorties} == {"DOCK2"}
    assert {c for s in found.sorties for c in s.cell_codes} == {
        c.code for c in ground.district.cells
    }
    assert told(found) == []
    assert broken(ground, found) == []
    assert all(at_the_gate(ground, s) == set() for s in found.sorties)


def test_a_cell_nobody_can_come_home_from_is_named_with_each_docks_reason() -> None:
    """The patrol's own path is free; the triangle between a far leg and the dock is not."""
    terrain = relief(20.0)
    terrain.heights_m[5, 9] = 130.0
    ground = PatrolGround(scene(WEST, EAST, cells=4), POLICY, terrain)
    found = planned(ground)
    assert isinstance(found, Timetable)
    flown = {c for s in found.sorties for c in s.cell_codes}
    out = {o.task_id: o for o in found.left_out}
    assert out
    assert flown | set(out) == {c.code for c in ground.district.cells}
    assert all("DOCK1" in o.message and "DOCK2" in o.message for o in out.values())
    assert not flown & set(found.unserved)
    assert broken(ground, found) == []


def test_flat_ground_leaves_out_nothing() -> None:
    ground = PatrolGround(scene(WEST, EAST, cells=8), POLICY)
    found = planned(ground)
    assert isinstance(found, Timetable)
    assert found.left_out == ()
    assert ground.judged
    assert not any(ground.judged.values())


def test_cells_at_heights_that_do_not_go_together_are_flown_apart() -> None:
    """Each of two cells can be come home from; both in one flight cannot: 22 m and 18 m off."""
    terrain = relief(20.0)
    terrain.heights_m[:, :8] = 38.0
    terrain.heights_m[:, 14:] = 0.0
    ground = PatrolGround(scene((500.0, -100.0), cells=4), POLICY, terrain)
    found = planned(ground)
    assert isinstance(found, Timetable)
    assert broken(ground, found) == []
    assert all(at_the_gate(ground, s) == set() for s in found.sorties)


def test_closed_airspace_on_the_way_home_bars_a_dock_where_the_rules_refuse_it() -> None:
    between = no_fly(-200.0, -300.0, -100.0, 260.0)
    for policy, docks in ((POLICY, {"DOCK1", "DOCK2"}), (STRICT, {"DOCK2"})):
        here = scene((-400.0, 0.0), EAST, cells=4, airspaces=(between,))
        ground = PatrolGround(here, policy)
        found = planned(ground)
        assert isinstance(found, Timetable)
        assert {s.dock_sn for s in found.sorties} == docks
        assert broken(ground, found) == []
        assert all(at_the_gate(ground, s) == set() for s in found.sorties)


def test_a_cell_too_far_for_a_battery_is_named() -> None:
    ground = PatrolGround(scene((-9000.0, 0.0)), POLICY)
    found = planned(ground)
    assert isinstance(found, NoPlan)
    assert "of 1000 s a sortie" in found.message


def test_the_judge_sees_hills_that_the_planner_was_not_told_of() -> None:
    flat = PatrolGround(scene(WEST), POLICY)
    found = planned(flat)
    assert isinstance(found, Timetable)
    assert broken(flat, found) == []
    hills = PatrolGround(scene(WEST), POLICY, relief(105.0, base_m=10.0))
    assert {v.code for v in broken(hills, found)} == {"too_low", "no_way_home"}
    walled = PatrolGround(
        scene(WEST, airspaces=(no_fly(-150.0, -250.0, -50.0, -240.0),)), STRICT
    )
    assert broken(walled, found) == []
    across = PatrolGround(scene(WEST, airspaces=(no_fly(-150.0, 0.0, -50.0, 200.0),)), STRICT)
    assert "no_way_home" in {v.code for v in broken(across, found)}


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), steep_m=st.integers(5, 60))
def test_over_any_hills_what_is_released_is_let_go_at_the_gate(seed: int, steep_m: int) -> None:
    rng = np.random.default_rng(seed)
    terrain = relief(20.0)
    terrain.heights_m[:] = rng.uniform(0.0, steep_m, terrain.heights_m.shape)
    ground = PatrolGround(scene((-100.0, -100.0), (900.0, 300.0), cells=4), POLICY, terrain)
    found = planned(ground)
    if isinstance(found, NoPlan):
        assert found.code == "nothing_due"
        return
    assert broken(ground, found) == []
    assert all(at_the_gate(ground, s) == set() for s in found.sorties)
    flown = {c for s in found.sorties for c in s.cell_codes}
    out = {o.task_id for o in found.left_out}
    assert flown | out | set(found.unserved) == {c.code for c in ground.district.cells}
