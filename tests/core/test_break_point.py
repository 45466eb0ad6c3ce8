"""A patrol that came home early is flown on from where it was left, where that makes sense."""

import itertools
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

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
from services.patrol.demand import CellVisits
from services.patrol.dock_codes import BUSY, RESUMABLE, may_ask_again_s, words
from services.patrol.flight import Flight, Step, evolve, opened
from services.patrol.orders import Resource, order
from services.patrol.plan import PatrolGround
from services.patrol.policy import PatrolPolicy
from tests.core.patrol_scene import EPOCH, FRAME, CountingDock, district, dock_and_drone
from tests.core.test_patrol_at_most_once import run, scene_now

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


@dataclass
class TiredDock(CountingDock):
    """Its first flight comes home after 60 s on low battery; it keeps what prepares carry."""

    prepares: list[dict[str, Any]] = field(default_factory=list)
    tired: bool = True

    async def _do(self, method: str, data: dict[str, Any]) -> int:
        if method == "flighttask_prepare":
            self.prepares.append(data)
        return await super()._do(method, data)

    async def _fly(self) -> None:
        if not self.tired or self.flying is None or self.left_s > self.flight_s - 60.0:
            await super()._fly()
            return
        self.tired, flown, self.flying = False, self.flying, None
        now, left = self.clock.now(), BreakPoint(1, 0, 0.5)
        told = FlightProgressed(flown, self.sn, "partially_done", 29, 20, 1, 773, 0, now, left)
        async with self.ledger.transaction() as tx:
            await tx.append(f"flight/{flown}", [told], at=now, actor="ingest")


def test_a_patrol_broken_off_by_its_battery_is_flown_on_by_the_next_prepare() -> None:
    async def story() -> None:
        scene = scene_now()
        one = scene.district.docks[0]
        dock = TiredDock(
            one.sn, scene.bus, scene.ledger, scene.clock, one.position, one.drone_sn
        )
        scene.docks = [dock]
        await scene.play(400.0)
        first, second = (p.mission for p in (await scene.events(MissionPlanned))[:2])
        assert second.resumes_id == first.mission_id
        assert second.wayline == first.wayline
        assert [p.get("break_point", {}).get("index") for p in dock.prepares[:2]] == [None, 1]
        # The same file, so that the break point is a place in it.
        files = [p["file"]["fingerprint"] for p in dock.prepares[:2]]
        assert files[0] == files[1]
        assert dock.takeoffs == {first.mission_id: 1, second.mission_id: 1}
        ended = await scene.events(MissionEnded)
        assert [e.outcome for e in ended[:2]] == [MissionOutcome.PARTIAL, MissionOutcome.COMPLETED]

    run(story())


def test_a_busy_dock_is_left_alone_for_longer_each_time() -> None:
    async def story() -> None:
        scene = scene_now()
        scene.docks[0].refuse["flighttask_prepare"] = 319001
        asked: list[float] = []

        async def note() -> None:
            while True:
                await scene.clock.sleep(1.0)
                count = sum(m == "flighttask_prepare" for m, _ in scene.docks[0].heard)
                while len(asked) < count:
                    asked.append((scene.clock.now() - EPOCH).total_seconds())

        await scene.play(2400.0, note())
        waits = [b - a for a, b in itertools.pairwise(asked)]
        # The plan may leave more time between; never less than the dock is owed.
        assert 2 <= len(waits) <= 7
        for n, wait_s in enumerate(waits, 1):
            assert wait_s >= may_ask_again_s(n, 20.0, 640.0) - 1.0
        assert scene.docks[0].takeoffs == {}

    run(story())
