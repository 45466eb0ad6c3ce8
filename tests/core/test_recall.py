"""What the rules of recall order a flight: values only."""

from dataclasses import replace
from datetime import timedelta

import pytest
from shapely.geometry import box

from domain.events import MissionOrdered, MissionPlanned, MissionStepAnswered, MissionStepIntended
from domain.mission import Mission, MissionPurpose, MissionState, Wayline, Waypoint
from geo.airspace import Volume
from geo.terrain import FlatTerrain, Point3
from services.patrol.flight import Flight, Order, evolve, opened
from services.patrol.recall import Recall, Situation, recall
from services.patrol.sky.rules import RecallRule, load_sky_rules
from tests.core.patrol_scene import EPOCH, FRAME

LAW = load_sky_rules()
POINTS = tuple(Waypoint(FRAME.to_position(x, 0.0), 90.0, 12.0) for x in (0.0, 400.0, 0.0))
MISSION = Mission(
    "m1", MissionPurpose.PATROL, "D", "R", EPOCH, ("c",), Wayline(POINTS, 800.0, 70.0)
)
FLYING = replace(opened(MissionPlanned(MISSION), EPOCH, None), state=MissionState.FLYING)
AHEAD: tuple[Point3, ...] = ((0.0, 0.0, 90.0), (400.0, 0.0, 90.0), (0.0, 0.0, 90.0))
CALM = Situation(AHEAD, (AHEAD[0], AHEAD[-1]), 3.0, 0, 1.0)
FAR_END = Volume("TZ1", "temporary", box(300.0, -50.0, 500.0, 50.0), 0.0, 120.0)


def told(
    flight: Flight = FLYING,
    situation: Situation = CALM,
    zones: tuple[Volume, ...] = (),
    rule: RecallRule = LAW.recall,
    later_s: float = 0.0,
) -> Recall | None:
    at = EPOCH + timedelta(seconds=later_s)
    return recall(flight, situation, zones, rule, LAW.policy(), FlatTerrain(), 30.0, at)


def ordered(order: Order, by: str = "patrol", reason: str = "link_lost") -> Flight:
    return evolve(FLYING, MissionOrdered("m1", order.value, by, reason), EPOCH)


SILENT = replace(CALM, silent_s=31.0)
WINDY = replace(CALM, wind_m_s=12.1)


@pytest.mark.parametrize(
    ("situation", "zones", "expected"),
    [
        (CALM, (), None),
        (CALM, (FAR_END,), Recall(Order.RETURN_HOME, "new_zone", "TZ1")),
        (replace(CALM, ahead=(), way_home=()), (FAR_END,), None),
        (WINDY, (), Recall(Order.RETURN_HOME, "wind_over_limit")),
        (replace(CALM, wind_m_s=12.0), (), None),
        (replace(CALM, rain_level=2), (), Recall(Order.RETURN_HOME, "rain_over_limit")),
        (SILENT, (), Recall(Order.PAUSE, "link_lost")),
    ],
)
def test_each_rule(
    situation: Situation, zones: tuple[Volume, ...], expected: Recall | None
) -> None:
    assert told(situation=situation, zones=zones) == expected


def test_a_zone_above_or_behind_is_nobodys_concern() -> None:
    assert told(zones=(replace(FAR_END, floor_agl_m=110.0, ceiling_agl_m=120.0),)) is None
    home = replace(CALM, ahead=(AHEAD[0], (100.0, 0.0, 90.0), AHEAD[0]))
    assert told(situation=home, zones=(FAR_END,)) is None


def test_where_the_way_home_is_closed_too_it_waits_for_a_person() -> None:
    beyond = ((600.0, 0.0, 90.0), (700.0, 0.0, 90.0), (0.0, 0.0, 90.0))
    cut_off = Situation(beyond, (beyond[0], beyond[-1]), 3.0, 0, 1.0)
    assert told(situation=cut_off, zones=(FAR_END,)) == Recall(Order.PAUSE, "new_zone", "TZ1")
    # In the zone itself, the way home is the way out.
    inside = ((400.0, 0.0, 90.0), *beyond[1:])
    caught = replace(cut_off, ahead=inside, way_home=(inside[0], inside[-1]))
    assert told(situation=caught, zones=(FAR_END,)) == Recall(Order.RETURN_HOME, "new_zone", "TZ1")


def test_a_hold_ends_when_its_cause_does_or_with_patience() -> None:
    held = ordered(Order.PAUSE)
    limit_s = LAW.recall.hold_limit_s
    assert told(held, SILENT, later_s=limit_s) is None
    assert told(held, SILENT, later_s=limit_s + 1.0) == Recall(Order.RETURN_HOME, "link_lost")
    assert told(held, CALM, later_s=5.0) == Recall(Order.RESUME, "clear")
    assert told(held, WINDY) == Recall(Order.RETURN_HOME, "wind_over_limit")


def test_a_persons_pause_is_not_ended_by_a_rule_but_danger_still_calls_home() -> None:
    paused = ordered(Order.PAUSE, "op-1", "safety")
    assert told(paused, CALM) is None
    assert told(paused, SILENT, later_s=9e3) is None
    assert told(paused, WINDY) == Recall(Order.RETURN_HOME, "wind_over_limit")


def test_a_hold_that_the_dock_will_not_end_ends_at_home() -> None:
    flight = replace(ordered(Order.RESUME, reason="clear"), status="paused")
    assert told(flight) is None
    flight = evolve(flight, MissionStepIntended("m1", "D", "recovery", "t1"), EPOCH)
    flight = evolve(flight, MissionStepAnswered("m1", "recovery", "t1", 325012), EPOCH)
    assert told(flight) == Recall(Order.RETURN_HOME, "resume_refused")


def test_what_cannot_be_paused_comes_home() -> None:
    aside = replace(FLYING, state=MissionState.DIVERTED, diverted_for="m2")
    look = replace(FLYING, mission=replace(MISSION, purpose=MissionPurpose.VERIFY))
    for flight in (aside, look):
        assert told(flight, SILENT) == Recall(Order.RETURN_HOME, "link_lost")


def test_nothing_is_ordered_of_who_is_down_carried_or_on_its_way() -> None:
    down = replace(FLYING, state=MissionState.PREPARED)
    carried = replace(FLYING, carrier_id="m0")
    homeward = evolve(FLYING, MissionStepIntended("m1", "D", "return_home", "t1"), EPOCH)
    kept_out = ordered(Order.CANCEL_RETURN, "op-1", "safety")
    for flight in (down, carried, homeward, ordered(Order.RETURN_HOME), kept_out):
        assert told(flight, WINDY, (FAR_END,)) is None


def test_a_rule_may_say_nothing() -> None:
    mute = replace(LAW.recall, new_zone="nothing", wind="nothing", link_lost="nothing")
    everything = replace(WINDY, silent_s=99.0)
    assert told(situation=everything, zones=(FAR_END,), rule=mute) is None
