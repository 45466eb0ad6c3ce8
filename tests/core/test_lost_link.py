"""What an aircraft does without its link: the file, prepare and takeoff_to_point say the same."""

from dataclasses import replace

import pytest

from domain.hazard import HazardKind
from domain.mission import Mission, MissionPurpose, Wayline, Waypoint
from services.patrol.aircraft.wpml_check import check
from services.patrol.aircraft.wpml_read import open_kmz, text_of
from services.patrol.flight import Step
from services.patrol.fold import Fold
from services.patrol.lost_link import LostLink
from services.patrol.orders import Resource, order
from services.patrol.policy import PatrolPolicy
from services.patrol.sky.rules import RULES, load_sky_rules, read_sky_rules
from services.patrol.store_memory import MemoryPatrolStore
from tests.core.patrol_scene import EPOCH, FRAME, district

HERE = district()
WAY = tuple(Waypoint(FRAME.to_position(x, 0.0), 60.0, 10.0) for x in (0.0, 200.0, 400.0))
FILE = {"return_home": "goBack", "hover": "hover", "land": "landing"}
TASK = {"return_home": 0, "hover": 1, "land": 2}
POINT = {"return_home": 2, "hover": 0, "land": 1}


def policy(action: LostLink) -> PatrolPolicy:
    rules = load_sky_rules()
    return PatrolPolicy(rules=replace(rules, lost_link=replace(rules.lost_link, action=action)))


@pytest.mark.parametrize("action", LostLink)
def test_the_file_the_task_and_the_flight_to_a_point_agree(action: LostLink) -> None:
    by, dock, drone = policy(action), HERE.docks[0], HERE.drones[0]
    patrol = Mission(
        "m1", MissionPurpose.PATROL, dock.sn, drone.sn, EPOCH, ("c1",), Wayline(WAY, 400.0, 60.0)
    )
    data = Fold(MemoryPatrolStore(), HERE, by).wayline_file(patrol)
    assert data is not None
    assert check(data) == []
    file = open_kmz(data)
    for document in (file.template, file.waylines):
        told = text_of(document)
        assert "<wpml:exitOnRCLost>executeLostAction</wpml:exitOnRCLost>" in told
        assert f"<wpml:executeRCLostAction>{FILE[action]}</wpml:executeRCLostAction>" in told
    task = order(Step.PREPARE, patrol, dock, drone, Resource("http://x", "md5"), EPOCH, by)
    assert (task["exit_wayline_when_rc_lost"], task["out_of_control_action"]) == (1, TASK[action])
    look = replace(
        patrol, purpose=MissionPurpose.CONFIRM, wayline=Wayline(WAY[:1], 0.0, 20.0),
        target=WAY[0].position, kind=HazardKind.FIRE,
    )  # fmt: skip
    point = order(Step.TAKEOFF_TO_POINT, look, dock, drone, None, EPOCH, by)
    assert (point["commander_mode_lost_action"], point["rc_lost_action"]) == (1, POINT[action])


def test_the_rule_is_to_come_home_and_flying_on_cannot_be_chosen() -> None:
    assert load_sky_rules().lost_link.action is LostLink.RETURN_HOME
    text = RULES.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="lost_link"):
        read_sky_rules(text.replace('\naction = "return_home"', '\naction = "fly_on"'))
