"""Which cells are flown next, by what path, and who looks at a target."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from shapely.geometry import LineString

from domain.device import Drone
from geo.airspace import breaches
from geo.coverage import NoSweep, coverage_share
from geo.routes import FlightModel
from services.patrol import divert, schedule
from services.patrol.dock_state import DeviceNow, heard
from services.patrol.gate import Stand, airtime_s, battery_after_pct, refusals
from services.patrol.plan import PatrolGround, Sortie, wayline
from services.patrol.policy import PatrolPolicy
from services.patrol.schedule import CellVisits, NoSortie
from tests.core.patrol_scene import EPOCH, cell, district, dock_and_drone, no_fly

POLICY = PatrolPolicy()
DISTRICT = district(docks=2, cells=12)
GROUND = PatrolGround(DISTRICT, POLICY)
DRONE = DISTRICT.drones[0]
DOCK = DISTRICT.docks[0]


def flown(battery_pct: float = 95.0, visits: dict[str, CellVisits] | None = None) -> Sortie:
    found = schedule.choose(GROUND, DOCK, DRONE, battery_pct, visits or {}, (), EPOCH)
    assert isinstance(found, Sortie), found
    return found


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
    full, low = flown(95.0), flown(60.0)
    assert low.time_s < full.time_s
    assert low.time_s <= airtime_s(DRONE, 60.0, POLICY)
    found = schedule.choose(GROUND, DOCK, DRONE, 30.0, {}, (), EPOCH)
    assert found == NoSortie("battery_low")


def test_reserve_is_left_at_home() -> None:
    for battery in (60.0, 75.0, 95.0):
        sortie = flown(battery)
        assert battery_after_pct(DRONE, battery, sortie.time_s, POLICY) >= DRONE.reserve_pct - 1e-6


def test_taken_cells_are_left_to_who_took_them() -> None:
    taken = flown().cell_codes[:2]
    second = schedule.choose(GROUND, DISTRICT.docks[1], DISTRICT.drones[1], 95.0, {}, taken, EPOCH)
    assert isinstance(second, Sortie)
    assert not set(taken) & set(second.cell_codes)


def test_what_was_just_seen_is_not_due() -> None:
    visits = {c.code: CellVisits(EPOCH, EPOCH, 1) for c in DISTRICT.cells}
    found = schedule.choose(GROUND, DOCK, DRONE, 95.0, visits, (), EPOCH)
    assert found == NoSortie("nothing_due")


def test_no_cell_starves() -> None:
    """Flown round by round, the longest gap of any cell stays within a few rounds."""
    ground = PatrolGround(district(docks=1, cells=24), POLICY)
    dock, drone = ground.district.docks[0], ground.district.drones[0]
    visits: dict[str, CellVisits] = {}
    seen: dict[str, list[int]] = {c.code: [] for c in ground.district.cells}
    at = EPOCH
    for turn in range(16):
        sortie = schedule.choose(ground, dock, drone, 95.0, visits, (), at)
        assert isinstance(sortie, Sortie)
        for code in sortie.cell_codes:
            known = visits.get(code, CellVisits())
            visits[code] = CellVisits(at, at, known.flown_count + 1)
            seen[code].append(turn)
        at += timedelta(seconds=1800)
    assert all(len(turns) >= 2 for turns in seen.values())
    assert max(b - a for t in seen.values() for a, b in itertools.pairwise(t)) <= 8


def test_risk_comes_first() -> None:
    far = replace(cell("442000004001099", 900.0, 900.0), risk=8.0)
    ground = PatrolGround(replace(DISTRICT, cells=(*DISTRICT.cells, far)), POLICY)
    sortie = schedule.choose(ground, DOCK, DRONE, 95.0, {}, (), EPOCH)
    assert isinstance(sortie, Sortie)
    assert far.code in sortie.cell_codes


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
    midway = schedule.weight(large, visits, portions, EPOCH, at, POLICY)
    whole = schedule.weight(large, visits, 1, EPOCH, at, POLICY)
    assert midway > whole


def test_closed_airspace_is_left_out_said_and_flown_round() -> None:
    closed = no_fly(150.0, 150.0, 260.0, 260.0)
    ground = PatrolGround(replace(DISTRICT, airspaces=(closed,)), POLICY)
    path = ground.cell_path(DISTRICT.cells[0].code, 0, DRONE)
    assert not isinstance(path, NoSweep)
    assert path.left_out > 0.05
    sortie = schedule.choose(ground, DOCK, DRONE, 95.0, {}, (), EPOCH)
    assert isinstance(sortie, Sortie)
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


def test_a_patrol_is_turned_aside_when_nobody_is_docked() -> None:
    other = replace(DRONE, sn="DRONE9")
    choice = divert.choose(GROUND, (150.0, 150.0), [airborne(other)], 60.0)
    assert isinstance(choice, divert.Choice)
    assert choice.candidate.patrol_id == "m9"
    assert choice.resumes
    tired = divert.choose(GROUND, (150.0, 150.0), [airborne(other, 45.0)], 60.0)
    assert isinstance(tired, divert.Choice)
    assert not tired.resumes


def test_nobody_flies_through_closed_airspace() -> None:
    ground = PatrolGround(replace(DISTRICT, airspaces=(no_fly(0, -150, 100, 0),)), POLICY)
    found = divert.choose(ground, (400.0, -100.0), [docked(1)], 60.0)
    assert found == divert.NoDrone((("DRONE1", "closed_airspace_between"),))


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
