"""A patrol that came home early is flown on from where it was left, where that makes sense."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from domain.events import FlightProgressed, MissionEnded, MissionPlanned
from domain.mission import (
    BreakPoint,
    Mission,
    MissionOutcome,
    MissionPurpose,
    Wayline,
    Waypoint,
)
from services.patrol.break_point import cells_left, rest_s, resumed, share_left
from services.patrol.dock_codes import BUSY, RESUMABLE, may_ask_again_s, words
from services.patrol.flight import Flight, Step, evolve, opened
from services.patrol.orders import Resource, order
from services.patrol.plan import PatrolGround
from services.patrol.policy import PatrolPolicy
from services.patrol.schedule import CellVisits
from tests.core.patrol_scene import EPOCH, FRAME, district, dock_and_drone

POINTS = tuple(
    Waypoint(FRAME.to_position(100.0 * i, 0.0), 90.0, 12.0, cell_code=f"c{i // 2}")
    for i in range(9)
)
PATROL = Mission(
    "m1", MissionPurpose.PATROL, "DOCK1", "DRONE1", EPOCH, ("c0", "c1", "c2", "c3", "c4"),
    Wayline(POINTS, 800.0, 80.0),
)  # fmt: skip
LEFT = BreakPoint(3, 0, 0.5)


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def came_home(
    reason: int = 773, left: BreakPoint | None = LEFT, mission: Mission = PATROL
) -> Flight:
    flight = opened(MissionPlanned(mission), EPOCH, None)
    told = FlightProgressed("m1", "DOCK1", "partially_done", 29, 40, 3, reason, 0, EPOCH, left)
    flight = evolve(flight, told, at(100))
    return evolve(flight, MissionEnded("m1", MissionOutcome.PARTIAL, ""), at(101))


def test_the_rest_is_flown_with_the_break_point_in_the_next_prepare() -> None:
    rest = resumed(came_home(), {}, (), 3600.0, at(1500))
    assert rest is not None
    assert (rest.resumes_id, rest.break_point, rest.wayline) == ("m1", LEFT, PATROL.wayline)
    assert rest.mission_id != "m1"
    assert rest.cell_codes == ("c1", "c2", "c3", "c4")
    dock, drone = dock_and_drone(1, 0.0, 0.0)
    file = Resource("http://t/x.kmz", "0" * 32)
    told = order(Step.PREPARE, rest, dock, drone, file, EPOCH, PatrolPolicy())
    assert told["break_point"] == {"index": 3, "state": 0, "progress": 0.5, "wayline_id": 0}
    whole = order(Step.PREPARE, PATROL, dock, drone, file, EPOCH, PatrolPolicy())
    assert "break_point" not in whole


@pytest.mark.parametrize("reason", sorted(RESUMABLE))
def test_every_resumable_reason_resumes(reason: int) -> None:
    assert resumed(came_home(reason), {}, (), 3600.0, at(200)) is not None


def test_what_is_not_flown_on() -> None:
    seen = {c: CellVisits(seen_at=at(150)) for c in ("c1", "c2", "c3", "c4")}
    assert resumed(came_home(1283), {}, (), 3600.0, at(200)) is None, "called home"
    assert resumed(came_home(left=None), {}, (), 3600.0, at(200)) is None, "no break point"
    assert resumed(came_home(), {}, (), 3600.0, at(9000)) is None, "too old"
    assert resumed(came_home(), {}, ("c4",), 3600.0, at(200)) is None, "another flies there"
    assert resumed(came_home(), seen, (), 3600.0, at(200)) is None, "seen meanwhile"
    late = came_home(left=BreakPoint(7, 0, 0.9))
    assert resumed(late, {}, (), 3600.0, at(200)) is None, "hardly anything is left"
    beyond = came_home(left=BreakPoint(8, 1, 0.0))
    assert resumed(beyond, {}, (), 3600.0, at(200)) is None
    again = replace(PATROL, break_point=LEFT, resumes_id="m0")
    assert resumed(came_home(mission=again), {}, (), 3600.0, at(200)) is None, "no farther"
    released = replace(came_home(), released_cells=("c4",))
    assert resumed(released, {}, (), 3600.0, at(200)) is None
    open_still = opened(MissionPlanned(PATROL), EPOCH, None)
    assert resumed(open_still, {}, (), 3600.0, at(200)) is None


def test_the_rest_is_measured_from_the_dock() -> None:
    assert share_left(PATROL, LEFT) == pytest.approx(1.0 - 3.5 / 8)
    assert cells_left(PATROL, BreakPoint(7, 1, 0.0)) == ("c3", "c4")
    ground = PatrolGround(district(), PatrolPolicy())
    needed_s = rest_s(ground, came_home(), LEFT, 12.0)
    assert needed_s > 80.0 * share_left(PATROL, LEFT)


def test_a_busy_dock_is_asked_after_growing_waits_that_end() -> None:
    waits = [may_ask_again_s(n, 20.0, 640.0) for n in range(1, 9)]
    assert waits == [20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 640.0, 640.0]
    assert may_ask_again_s(10**9, 20.0, 640.0) == 640.0


def test_every_code_has_words_in_both_languages() -> None:
    ends = ("ok", "partially_done", "failed", "rejected", "timeout", "canceled", "task_finish")
    for status in (*ends, "sent", "in_progress", "paused", "wayline_failed", "task_ready"):
        told = words("status", status)
        assert told is not None
        assert told.zh
        assert told.en
        assert "unknown" not in told.en
    for code in (*BUSY, 314004, 316009, 325012):
        told = words("result", code)
        assert told is not None
        assert "unknown" not in told.en
    odd = words("break_reason", 4711)
    assert odd is not None
    assert (odd.zh, odd.en) == ("未知代码 4711", "unknown code 4711")
    assert words("step", None) is None
