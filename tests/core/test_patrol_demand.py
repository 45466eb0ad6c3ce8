"""What past incidents make of a cell's risk, and key sites as errands of the plan."""

from dataclasses import replace
from datetime import timedelta

import pytest

from domain.events import IncidentClosed, IncidentDismissed, IncidentReported
from domain.hazard import HazardKind, Severity
from domain.incident import CloseOutcome
from domain.mission import Mission, MissionPurpose
from domain.place import Site, SiteKind
from services.patrol import schedule
from services.patrol.aircraft.wpml import airframe, kmz
from services.patrol.aircraft.wpml_check import check
from services.patrol.fleet.judge import judge
from services.patrol.fleet.timetable import Timetable
from services.patrol.history import (
    PastIncident,
    counted,
    counts_from,
    learned,
    together,
    was_none,
)
from services.patrol.plan import PatrolGround, sortie_of, wayline
from services.patrol.policy import PatrolPolicy
from services.patrol.schedule import Standing, Wanted
from services.patrol.sites import errands, load_site_rules, read_site_rules, sites_of
from tests.core.patrol_scene import EPOCH, FRAME, ORIGIN, district, no_fly

POLICY = PatrolPolicy()
HALF_LIFE = timedelta(seconds=POLICY.history_half_life_s)
RULES = load_site_rules()
SITES = (
    Site("ST1", "学校", SiteKind.SCHOOL, FRAME.to_position(300.0, 100.0)),
    Site("ST2", "厂区", SiteKind.FACTORY, FRAME.to_position(480.0, 220.0)),
    Site("ST3", "机巢", SiteKind.DOCK, FRAME.to_position(-150.0, -100.0)),
    Site("ST4", "医院", SiteKind.HOSPITAL, FRAME.to_position(700.0, 300.0)),
)
SCENE = replace(
    district(cells=8, airspaces=(no_fly(680.0, 280.0, 720.0, 320.0),)), sites=SITES
)
GROUND = PatrolGround(SCENE, POLICY)


def incident(code: str, days: float, number: int = 0) -> PastIncident:
    return PastIncident(f"i{number}", code, EPOCH - timedelta(days=days))


def test_an_incident_raises_its_cells_risk_and_is_slowly_forgotten() -> None:
    at, half = EPOCH, POLICY.history_half_life_s / 86_400.0
    assert learned([], at, POLICY) == {}
    assert learned([incident("a", 0.0)], at, POLICY) == {"a": 1.25}
    assert learned([incident("a", half)], at, POLICY) == {"a": 1.125}
    both = learned([incident("a", 0.0), incident("b", 2 * half, 1)], at, POLICY)
    assert both == {"a": 1.25, "b": 1.0625}
    # A clock that runs ahead makes nothing count for more than a new one.
    assert learned([incident("a", -1.0)], at, POLICY) == {"a": 1.25}


def test_many_incidents_raise_it_only_so_far() -> None:
    many = [incident("a", 0.0, i) for i in range(500)]
    assert learned(many, EPOCH, POLICY) == {"a": POLICY.history_limit}
    oldest = PastIncident("i", "a", counts_from(EPOCH, POLICY))
    assert learned([oldest], EPOCH, POLICY)["a"] < 1.001


def test_what_counts_has_a_cell_and_is_no_fault_of_a_device() -> None:
    told = IncidentReported(
        "i1", HazardKind.FIRE, Severity.HIGH, ORIGIN, "a", None, "drone", "h1", ()
    )
    assert counted(told, EPOCH) == PastIncident("i1", "a", EPOCH)
    assert counted(replace(told, cell_code=None), EPOCH) is None
    assert counted(replace(told, kind=HazardKind.DEVICE_FAULT), EPOCH) is None
    assert was_none(IncidentDismissed("i1", CloseOutcome.HANDED_OVER))
    assert was_none(IncidentClosed("i1", CloseOutcome.FALSE_ALARM))
    assert not was_none(IncidentClosed("i1", CloseOutcome.HANDLED))


def test_a_cell_with_a_history_is_flown_before_a_quiet_one() -> None:
    codes = [c.code for c in SCENE.cells]
    standing = [Standing(SCENE.docks[0], SCENE.drones[0], 95.0)]
    past = [incident(codes[7], 0.0, i) for i in range(4)]
    risks = together({codes[0]: 1.5}, learned(past, EPOCH, POLICY))
    assert risks == {codes[0]: 1.5, codes[7]: 2.0}
    ground = PatrolGround(SCENE, replace(POLICY, cells_limit=1))
    found = schedule.plan(ground, standing, Wanted({}, {}, risks), EPOCH)
    assert isinstance(found, Timetable)
    assert found.sorties[0].cell_codes == (codes[7],)


def test_sites_come_due_again_and_weigh_more_the_longer_they_wait() -> None:
    school_s = RULES["school"].revisit_s
    first = errands(GROUND, RULES, {}, (), EPOCH, EPOCH)
    # The dock's own site is not visited, and the hospital's lies under closed airspace.
    assert [e.site_code for e in first] == ["ST1", "ST2"]
    assert {e.prize for e in first} == {POLICY.site_worth_s}
    visited = {"ST1": EPOCH, "ST2": EPOCH}
    assert errands(GROUND, RULES, visited, (), EPOCH, EPOCH) == ()
    later = EPOCH + timedelta(seconds=2 * school_s)
    again = {e.site_code: e.prize for e in errands(GROUND, RULES, visited, (), EPOCH, later)}
    assert again["ST1"] == 4 * POLICY.site_worth_s
    assert again["ST1"] > again["ST2"] > POLICY.site_worth_s
    left = errands(GROUND, RULES, visited, {"ST1"}, EPOCH, later)
    assert [e.site_code for e in left] == ["ST2"]


def test_a_sortie_hovers_over_the_sites_it_was_sent_to() -> None:
    due = errands(GROUND, RULES, {}, (), EPOCH, EPOCH)
    standing = Standing(SCENE.docks[0], SCENE.drones[0], 95.0)
    found = schedule.plan(GROUND, [standing], Wanted({}, {}, {}, due), EPOCH)
    assert isinstance(found, Timetable)
    verdict = judge(
        found.sorties, [schedule.aircraft(GROUND, standing)], schedule.rules(GROUND)
    )
    assert verdict.violations == ()
    drone = SCENE.drones[0]
    visited: list[str] = []
    for planned in found.sorties:
        sortie = sortie_of(GROUND, drone, planned)
        path = wayline(GROUND, drone, sortie)
        stops = [w for w in path.waypoints if w.site_code is not None]
        assert [w.hover_s for w in stops] == [RULES["school"].hover_s] * len(stops)
        assert all(w.hover_s == 0.0 for w in path.waypoints if w.site_code is None)
        # The plan counts every visit from rest to rest, so its landing is never too early.
        assert sortie.time_s <= planned.lands_s - planned.leaves_s + 1.0
        mission = Mission(
            "m1", MissionPurpose.PATROL, "DOCK1", drone.sn, EPOCH, sortie.cell_codes, path
        )
        frame = airframe(drone.model)
        assert frame is not None
        assert check(kmz(mission, frame, GROUND.model(drone))) == []
        assert sites_of(mission) == tuple(w.site_code for w in stops)
        visited += sites_of(mission)
    assert sorted(visited) == ["ST1", "ST2"]


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("[default]\nrevisit_s = -1\nhover_s = 5.0\n", "default.revisit_s"),
        ("[default]\nrevisit_s = 60\nhover_s = 0.0\n", "default.hover_s"),
        ("[default]\nrevisit_s = 60\nhover_s = 900.0\n", "default.hover_s"),
        ("[castle]\nrevisit_s = 60\nhover_s = 5.0\n", "castle"),
        ("[school]\nrevisit_s = 60\nhover_s = 5.0\n", "default"),
    ],
)
def test_a_site_rule_that_does_not_fit_is_refused(text: str, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        read_site_rules(text)
