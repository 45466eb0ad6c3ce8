"""Which cells are flown next, by what path, and who looks at a target."""

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from shapely.geometry import LineString

from domain.device import Drone
from geo.airspace import breaches
from geo.coverage import NoSweep, coverage_share
from geo.routes import FlightModel, flight_time_s
from services.patrol import divert, schedule
from services.patrol.demand import CellVisits, idleness
from services.patrol.dock_state import DeviceNow, heard
from services.patrol.fleet.timetable import NoPlan, Timetable
from services.patrol.gate import Stand, airtime_s, battery_after_pct, refusals
from services.patrol.look_way import look_wayline, turns
from services.patrol.plan import PatrolGround, Sortie, sortie_of, wayline
from services.patrol.policy import PatrolPolicy
from services.patrol.schedule import Standing, Wanted
from tests.core.patrol_scene import EPOCH, cell, district, dock_and_drone, no_fly

POLICY = PatrolPolicy()
DISTRICT = district(docks=2, cells=12)
GROUND = PatrolGround(DISTRICT, POLICY)
DRONE = DISTRICT.drones[0]
DOCK = DISTRICT.docks[0]


def standing(number: int = 0, battery_pct: float = 95.0) -> Standing:
    dock = DISTRICT.docks[number]
    return Standing(dock, DISTRICT.drones[number], battery_pct)


def flown(
    battery_pct: float = 95.0,
    visits: dict[str, CellVisits] | None = None,
    ground: PatrolGround = GROUND,
) -> Sortie:
    wanted = Wanted(visits or {}, {}, {})
    found = schedule.plan(ground, [standing(0, battery_pct)], wanted, EPOCH)
    assert isinstance(found, Timetable), found
    return sortie_of(ground, DRONE, found.of_dock(DOCK.sn)[0])


def test_a_sortie_covers_every_cell_it_names() -> None:
    sortie = flown()
    assert len(sortie.cell_codes) >= 4
    for code in sortie.cell_codes:
        share = coverage_share(GROUND.cells[code], sortie.path, GROUND.swath_m(DRONE))
        assert share >= 0.99, code


def test_a_sortie_starts_and_ends_at_its_dock_within_its_limit() -> None:
    sortie = flown()
    assert sortie.path[0] == sortie.path[-1] == GROUND.docks[DOCK.sn]
    assert sortie.time_s <= POLICY.sortie_limit_s
    found = wayline(GROUND, DRONE, sortie)
    assert {w.cell_code for w in found.waypoints} - {None} == set(sortie.cell_codes)
    assert {w.height_rel_m for w in found.waypoints} == {90.0}


def test_less_battery_means_a_shorter_sortie() -> None:
    full, low = flown(95.0), flown(66.0)
    assert low.time_s < full.time_s
    assert low.time_s <= airtime_s(DRONE, 66.0, POLICY)


def test_a_low_drone_charges_first() -> None:
    found = schedule.plan(GROUND, [standing(0, 30.0)], Wanted({}, {}, {}), EPOCH)
    assert isinstance(found, Timetable)
    first = found.of_dock(DOCK.sn)[0]
    assert first.leaves_s >= (POLICY.patrol_battery_pct - 30.0) / POLICY.charge_pct_s - 1.0
    assert schedule.due(found, DOCK.sn, EPOCH, 60.0) is None


def test_reserve_is_left_at_home() -> None:
    for battery in (66.0, 75.0, 95.0):
        found = schedule.plan(GROUND, [standing(0, battery)], Wanted({}, {}, {}), EPOCH)
        assert isinstance(found, Timetable), found
        planned = found.of_dock(DOCK.sn)[0]
        # It charges until it leaves.
        leaving = min(100.0, battery + planned.leaves_s * POLICY.charge_pct_s)
        sortie = sortie_of(GROUND, DRONE, planned)
        assert battery_after_pct(DRONE, leaving, sortie.time_s, POLICY) >= DRONE.reserve_pct - 1e-6


def test_cells_in_the_air_are_left_to_who_flies_them() -> None:
    in_air = dict.fromkeys(flown().cell_codes, 600.0)
    found = schedule.plan(GROUND, [standing(1)], Wanted({}, in_air, {}), EPOCH)
    assert isinstance(found, Timetable)
    visits = [v for s in found.sorties for v in s.visits if v.cell_code in in_air]
    assert all(v.starts_s >= 600.0 + POLICY.due_share * 3600.0 - 1.0 for v in visits)


def test_two_drones_take_different_cells_at_a_time() -> None:
    ground = PatrolGround(district(docks=2, cells=24), POLICY)
    found = schedule.plan(ground, [standing(0), standing(1)], Wanted({}, {}, {}), EPOCH)
    assert isinstance(found, Timetable)
    one, other = found.of_dock("DOCK1")[0], found.of_dock("DOCK2")[0]
    assert max(one.leaves_s, other.leaves_s) < 1.0
    assert not set(one.cell_codes) & set(other.cell_codes)


def test_what_was_just_seen_is_not_due() -> None:
    visits = {c.code: CellVisits(EPOCH, EPOCH, 1) for c in DISTRICT.cells}
    found = schedule.plan(GROUND, [standing()], Wanted(visits, {}, {}), EPOCH)
    assert isinstance(found, Timetable)
    assert schedule.due(found, DOCK.sn, EPOCH, 60.0) is None


def test_one_seed_gives_one_plan() -> None:
    fleet, wanted = [standing(0), standing(1)], Wanted({}, {}, {})
    assert schedule.plan(GROUND, fleet, wanted, EPOCH) == schedule.plan(
        PatrolGround(DISTRICT, POLICY), fleet, wanted, EPOCH
    )


def test_risk_comes_first() -> None:
    far = replace(cell("442000004001099", 900.0, 900.0), risk=8.0)
    ground = PatrolGround(replace(DISTRICT, cells=(*DISTRICT.cells, far)), POLICY)
    assert far.code in flown(ground=ground).cell_codes


def test_the_hour_can_make_a_cell_matter_more() -> None:
    last = DISTRICT.cells[-1].code
    wanted = Wanted({}, {}, {last: 20.0})
    found = schedule.plan(GROUND, [standing()], wanted, EPOCH)
    assert isinstance(found, Timetable)
    assert last in found.sorties[0].cell_codes


@pytest.mark.parametrize(
    ("change", "fleet", "code", "field"),
    [
        ({"docks": ()}, [], "no_docks", "docks"),
        ({"drones": ()}, [standing()], "drone_without_dock", "drone_sn"),
        (
            {"docks": (DOCK, replace(DISTRICT.docks[1], drone_sn=DOCK.drone_sn))},
            [standing()],
            "dock_full",
            "drone_sn",
        ),
        ({}, [replace(standing(), refused=("wind_over_limit",))], "wind_over_limit", "wait"),
        ({}, [replace(standing(), refused=("no_approval",))], "no_approval", "approval"),
        ({}, [replace(standing(), battery_pct=None)], "battery_unknown", "battery"),
    ],
)
def test_a_refusal_names_the_field_and_the_cure(
    change: dict[str, object], fleet: list[Standing], code: str, field: str
) -> None:
    ground = PatrolGround(replace(DISTRICT, **change), POLICY)  # type: ignore[arg-type]
    found = schedule.plan(ground, fleet, Wanted({}, {}, {}), EPOCH)
    assert isinstance(found, NoPlan)
    assert found.code == code
    assert field in found.message


def test_a_cell_too_large_for_one_sortie_is_flown_in_portions() -> None:
    large = cell("442000004001077", 0.0, 0.0, size_m=1500.0)
    ground = PatrolGround(replace(DISTRICT, cells=(large,)), POLICY)
    portions = ground.portions(large.code, DRONE)
    assert portions > 1
    union = None
    for number in range(portions):
        path = ground.cell_path(large.code, number, DRONE)
        assert not isinstance(path, NoSweep)
        union = path.path if union is None else (*union, *path.path)
    assert union is not None
    assert coverage_share(ground.cells[large.code], union, ground.swath_m(DRONE)) >= 0.99
    visits = CellVisits(None, EPOCH, 1)
    at = EPOCH + timedelta(seconds=60)
    midway = idleness(large, visits, portions, EPOCH, at, POLICY)
    whole = idleness(large, visits, 1, EPOCH, at, POLICY)
    assert midway > whole


def test_closed_airspace_is_left_out_said_and_flown_round() -> None:
    closed = no_fly(150.0, 150.0, 260.0, 260.0)
    ground = PatrolGround(replace(DISTRICT, airspaces=(closed,)), POLICY)
    path = ground.cell_path(DISTRICT.cells[0].code, 0, DRONE)
    assert not isinstance(path, NoSweep)
    assert path.left_out > 0.05
    sortie = flown(ground=ground)
    heights = [POLICY.height_agl_m] * len(sortie.path)
    assert breaches(sortie.path, heights, ground.volumes, POLICY.sky) == ()
    assert not LineString(sortie.path).intersects(ground.closed.buffer(-0.1))


def test_a_cell_wholly_under_closed_airspace_has_no_sweep() -> None:
    closed = no_fly(-50.0, -50.0, 250.0, 250.0)
    ground = PatrolGround(replace(DISTRICT, airspaces=(closed,)), POLICY)
    found = ground.cell_path(DISTRICT.cells[0].code, 0, DRONE)
    assert isinstance(found, NoSweep)
    assert found.code == "closed_airspace"


# Who looks


def docked(number: int = 1, battery_pct: float = 90.0) -> divert.Candidate:
    dock, drone = dock_and_drone(number, -150.0 + 700.0 * (number - 1), -100.0)
    here = GROUND.local(dock.position)
    return divert.Candidate(dock.sn, drone, here, here, battery_pct)


def airborne_at(here: tuple[float, float]) -> divert.Candidate:
    return replace(airborne(replace(DRONE, sn="DRONE9")), here=here)


def airborne(drone: Drone, battery_pct: float = 80.0) -> divert.Candidate:
    return divert.Candidate(
        "DOCK9", drone, (100.0, 100.0), (-150.0, -100.0), battery_pct, "m9", 300.0
    )


def test_the_nearest_docked_drone_looks() -> None:
    choice = divert.choose(GROUND, (500.0, 0.0), [docked(1), docked(2)], 60.0)
    assert isinstance(choice, divert.Choice)
    assert choice.candidate.dock_sn == "DOCK2"
    assert choice.reason.startswith("eta_s=")
    assert "battery_pct=90" in choice.reason


def test_a_low_drone_is_passed_over_and_named() -> None:
    choice = divert.choose(GROUND, (500.0, 0.0), [docked(1), docked(2, 32.0)], 60.0)
    assert isinstance(choice, divert.Choice)
    assert choice.candidate.dock_sn == "DOCK1"
    assert "sooner=DRONE2:below_reserve" in choice.reason
    candidates = [docked(1), docked(2, 32.0)]
    (other,) = divert.passed_over(choice, candidates, {"DRONE1": "dock_busy"})
    assert (other.drone_sn, other.code) == ("DRONE2", "below_reserve")
    assert other.eta_s is not None
    assert other.eta_s < choice.eta_s
    assert other.battery_after_pct is not None


def test_who_is_too_far_off_or_kept_in_its_dock_is_told_too() -> None:
    far = replace(docked(2), here=(4000.0, 0.0), drone=replace(DRONE, sn="DRONE9"))
    candidates = [docked(1), far]
    choice = divert.choose(GROUND, (0.0, 0.0), candidates, 60.0)
    assert isinstance(choice, divert.Choice)
    against = {"DRONE7": "battery_low", "DRONE5": "docked_first", "DRONE9": "dock_busy"}
    told = divert.passed_over(choice, candidates, against)
    assert [(p.drone_sn, p.code) for p in told] == [
        ("DRONE9", "later"),
        ("DRONE5", "docked_first"),
        ("DRONE7", "battery_low"),
    ]


def test_a_patrol_is_turned_aside_when_nobody_is_docked() -> None:
    other = replace(DRONE, sn="DRONE9")
    choice = divert.choose(GROUND, (150.0, 150.0), [airborne(other)], 60.0)
    assert isinstance(choice, divert.Choice)
    assert choice.candidate.patrol_id == "m9"
    assert choice.resumes
    tired = divert.choose(GROUND, (150.0, 150.0), [airborne(other, 45.0)], 60.0)
    assert isinstance(tired, divert.Choice)
    assert not tired.resumes


WALL = PatrolGround(replace(DISTRICT, airspaces=(no_fly(0, -150, 100, 0),)), POLICY)


def test_a_docked_drone_flies_round_closed_airspace_there_and_back() -> None:
    choice = divert.choose(WALL, (400.0, -100.0), [docked(1)], 60.0)
    assert isinstance(choice, divert.Choice)
    assert not choice.straight
    straight = divert.choose(GROUND, (400.0, -100.0), [docked(1)], 60.0)
    assert isinstance(straight, divert.Choice)
    assert choice.eta_s > straight.eta_s
    line = look_wayline(WALL, DOCK, choice, 40.0)
    path = [GROUND.docks[DOCK.sn], *(WALL.local(w.position) for w in line.waypoints)]
    path.append(path[0])
    assert breaches(path, [60.0] * len(path), WALL.volumes, POLICY.sky) == ()
    over = [p for p in path if math.dist(p, (400.0, -100.0)) <= POLICY.over_target_m]
    assert flight_time_s(over, WALL.model(DRONE)) >= 38.0


def test_a_straight_look_is_a_single_point() -> None:
    choice = divert.choose(GROUND, (400.0, -100.0), [docked(1)], 60.0)
    assert isinstance(choice, divert.Choice)
    assert len(look_wayline(GROUND, DOCK, choice, 40.0).waypoints) == 1


def test_a_patrol_turned_aside_goes_round_closed_airspace_turn_by_turn() -> None:
    here, target = (-100.0, -100.0), (400.0, -100.0)
    choice = divert.choose(WALL, target, [airborne_at(here)], 60.0)
    assert isinstance(choice, divert.Choice)
    assert choice.resumes
    assert choice.back == choice.there[::-1]
    there, back = turns(WALL, DOCK, choice)
    assert there
    assert back == there[::-1]
    path = [here, *(WALL.local(w.position) for w in there), target]
    assert breaches(path, [60.0] * len(path), WALL.volumes, POLICY.sky) == ()
    assert len(look_wayline(WALL, DOCK, choice, 40.0).waypoints) == 1
    # At rest at each turn, and told of the next.
    assert choice.eta_s > flight_time_s(path, WALL.model(DRONE)) + 5.0 * len(there)
    beyond = replace(airborne_at(here), stops_at=(150.0, -75.0))
    found = divert.choose(WALL, target, [beyond], 60.0)
    assert found == divert.NoDrone((("DRONE9", "closed_airspace_between"),))


def test_a_patrol_too_tired_to_go_on_comes_home_round_closed_airspace() -> None:
    tired = replace(airborne_at((300.0, -100.0)), battery_pct=46.0)
    choice = divert.choose(WALL, (400.0, -100.0), [tired], 60.0)
    assert isinstance(choice, divert.Choice)
    assert not choice.resumes
    there, back = turns(WALL, DOCK, choice)
    assert there == ()
    assert choice.back[-1] == tired.home
    assert len(back) == len(choice.back) - 2 > 0


def test_who_is_there_soonest_goes_and_the_words_say_why_not_the_others() -> None:
    near = airborne_at((420.0, 0.0))
    choice = divert.choose(GROUND, (500.0, 0.0), [docked(1), docked(2, 32.0), near], 60.0)
    assert isinstance(choice, divert.Choice)
    assert choice.candidate.patrol_id == "m9"
    spared = divert.choose(GROUND, (500.0, 0.0), [docked(1), near], 60.0, docked_first=True)
    assert isinstance(spared, divert.Choice)
    assert spared.candidate.dock_sn == "DOCK1"
    low = divert.choose(GROUND, (500.0, 0.0), [docked(1), docked(2, 32.0)], 60.0)
    assert isinstance(low, divert.Choice)
    assert low.why.startswith("why: eta ")
    assert "battery 90 % → " in low.why
    assert "drone DRONE2 would be " in low.why
    assert low.why.endswith("s sooner but lands below reserve")


# The take-off gate


def ready() -> Stand:
    dock = DeviceNow("DOCK1", EPOCH, 90.0, True, 0, 0, 3.0, idle_since=EPOCH)
    return Stand(dock, None)


def test_a_ready_dock_is_let_go() -> None:
    assert refusals(ready(), EPOCH, 30.0, POLICY) == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"idle_since": None}, "dock_not_idle"),
        ({"battery_pct": None}, "battery_unknown"),
        ({"battery_pct": 20.0}, "battery_low"),
        ({"wind_m_s": 13.0}, "wind_over_limit"),
        ({"rain_level": 2}, "rain_over_limit"),
    ],
)
def test_each_reason_against_a_take_off(change: dict[str, object], reason: str) -> None:
    dock = ready().dock
    assert dock is not None
    stand = Stand(replace(dock, **change), None)  # type: ignore[arg-type]
    (refusal,) = refusals(stand, EPOCH, 30.0, POLICY)
    assert refusal.code == reason
    assert refusal.field
    assert refusal.cure


def test_a_silent_dock_is_not_let_go() -> None:
    at = EPOCH + timedelta(seconds=31)
    silent = refusals(ready(), at, 30.0, POLICY)
    assert [r.code for r in silent] == ["dock_silent"]
    assert refusals(Stand(None, None), EPOCH, 30.0, POLICY) == silent


def test_fragments_are_merged_and_nonsense_changes_nothing() -> None:
    now = heard(None, "DOCK1", b'{"data": {"mode_code": 0, "drone_in_dock": "1"}}', EPOCH)
    assert now is not None
    assert now.idle_since == EPOCH
    soon = EPOCH + timedelta(seconds=2)
    now = heard(now, "DOCK1", b'{"data": {"wind_speed": 4.5, "rainfall": 1}}', soon)
    assert now is not None
    assert (now.wind_m_s, now.rain_level, now.idle_since) == (4.5, 1, EPOCH)
    for nonsense in (b"", b"[]", b"\xff", b'{"data": 3}'):
        assert heard(now, "DOCK1", nonsense, soon) == now
    odd = heard(now, "DOCK1", b'{"data": {"wind_speed": "x", "latitude": 999}}', soon)
    assert odd is not None
    assert odd.wind_m_s == 4.5
    flying = heard(now, "DOCK1", b'{"data": {"mode_code": 4}}', soon)
    assert flying is not None
    assert flying.idle_since is None


def test_the_model_of_flight_is_the_drones() -> None:
    assert GROUND.model(DRONE) == FlightModel(12.0, POLICY.accel_m_s2, POLICY.corner_cut_m)
