"""Missions to the simulated vehicle by MAVLink's mission protocol, over a line that loses much."""

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.mission import Wayline, Waypoint
from domain.place import Position
from services.patrol.aircraft.mission_items import (
    RETURN,
    TAKE_OFF,
    WAYPOINT,
    MissionItem,
    measured,
    mission_items,
    wayline_of,
)
from services.patrol.aircraft.mission_upload import (
    Download,
    Peer,
    ProtocolPolicy,
    Upload,
    begin_download,
    begin_upload,
    hear_download,
    hear_upload,
    item_message,
    item_of,
    same_items,
    tick_download,
    tick_upload,
)
from services.patrol.aircraft.qgc_plan import Plan, RallyPoint, fence_items, keep_out, rally_items
from simulators.mavlink_commands import hear
from simulators.mavlink_vehicle import MavlinkVehicle, Message, VehicleOptions
from tests.core.patrol_scene import no_fly

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
HOME = Position(22.5251, 113.3558)
GROUND = 255
PEER = Peer(1)
STEP_S = 0.05


def route(count: int = 6, height_m: float = 30.0) -> Wayline:
    return measured(
        tuple(
            Waypoint(
                Position(HOME.lat_deg + 0.0004 * (i % 2), HOME.lon_deg + 0.0003 * i),
                height_m, 8.0, -60.0, None, 2.0 if i == 2 else 0.0,
            )
            for i in range(count)
        )
    )  # fmt: skip


ITEMS = mission_items(route(), HOME)


class Line:
    """The vehicle and a ground station, with a bad radio between them."""

    def __init__(self, seed: int = 1, lost: float = 0.0, twice: float = 0.0, late: float = 0.0):
        self.vehicle = MavlinkVehicle(VehicleOptions(1, HOME), AT)
        self.chance = random.Random(seed)
        self.lost, self.twice, self.late = lost, twice, late
        self.now_s = 0.0
        self.on_way: list[tuple[float, int, bool, Message]] = []
        self.number = itertools.count()
        self.asked: list[int] = []
        self.said: list[Message] = []

    def put(self, to_vehicle: bool, messages: list[Message]) -> None:
        for message in messages:
            copies = 0 if self.chance.random() < self.lost else 1
            copies += self.chance.random() < self.twice
            for _ in range(copies):
                delay_s = 0.3 * self.chance.random() if self.chance.random() < self.late else 0.01
                self.on_way.append((self.now_s + delay_s, next(self.number), to_vehicle, message))

    def arrived(self) -> Iterator[tuple[bool, Message]]:
        due = sorted(m for m in self.on_way if m[0] <= self.now_s)
        self.on_way = [m for m in self.on_way if m[0] > self.now_s]
        for _, _, to_vehicle, message in due:
            yield to_vehicle, message

    def step(self) -> list[Message]:
        """Let 50 ms pass; return what reached the ground station."""
        self.now_s += STEP_S
        told = [*self.vehicle.advance_to(AT + timedelta(seconds=self.now_s))]
        self.said += told
        self.put(False, [m for m in told if m[0] in ("MISSION_REQUEST_INT", "MISSION_ACK")])
        heard = []
        for to_vehicle, (name, fields) in self.arrived():
            if to_vehicle:
                self.put(False, hear(self.vehicle, name, fields, GROUND))
            else:
                heard.append((name, fields))
                if name == "MISSION_REQUEST_INT":
                    self.asked.append(fields["seq"])
        return heard

    def upload(self, items: tuple[MissionItem, ...] = ITEMS, kind: int = 0) -> Upload:
        state, out = begin_upload(PEER, items, self.now_s, kind)
        self.put(True, out)
        for _ in range(20_000):
            for name, said in self.step():
                state, out = hear_upload(state, name, said, self.now_s)
                self.put(True, out)
            state, out = tick_upload(state, self.now_s)
            self.put(True, out)
            if state.done or state.failed:
                return state
        raise AssertionError("the upload never ended")

    def download(self, kind: int = 0) -> Download:
        state, out = begin_download(PEER, self.now_s, kind)
        self.put(True, out)
        for _ in range(20_000):
            for name, said in self.step():
                state, out = hear_download(state, name, said, self.now_s)
                self.put(True, out)
            state, out = tick_download(state, self.now_s)
            self.put(True, out)
            if state.done or state.failed:
                return state
        raise AssertionError("the download never ended")


def test_a_mission_is_asked_for_item_by_item_and_read_back() -> None:
    line = Line()
    sent = line.upload()
    assert sent.done
    assert not sent.failed
    assert sent.resent == 0
    assert line.asked == list(range(len(ITEMS)))
    held = line.download()
    assert same_items(held.items, ITEMS)
    assert held.opaque_id == sent.opaque_id
    assert sent.opaque_id is not None


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), lost=st.floats(0, 0.3), twice=st.floats(0, 0.5),
       late=st.floats(0, 0.6))  # fmt: skip
def test_lost_doubled_and_late_messages_leave_no_wrong_mission(
    seed: int, lost: float, twice: float, late: float
) -> None:
    line = Line(seed, lost, twice, late)
    sent = line.upload()
    if sent.done:
        stored = [i.command for i in line.vehicle.missions.items]
        assert stored == [i.command for i in ITEMS]
        line.lost = line.late = 0.0
        assert same_items(line.download().items, ITEMS)
    else:
        assert "cancelled" in sent.failed or "no answer" in sent.failed
        assert line.vehicle.missions.items in ((), line.vehicle.missions.items)


def test_on_a_bad_line_most_missions_arrive() -> None:
    arrived = [Line(seed, 0.2, 0.2, 0.3).upload().done for seed in range(60)]
    assert sum(arrived) >= 57


def test_silence_ends_after_five_tries_and_says_so() -> None:
    line = Line(lost=1.0)
    sent = line.upload()
    assert "MISSION_COUNT" in sent.failed
    assert "5 times" in sent.failed
    assert line.now_s == pytest.approx(5 * 1.5, abs=0.3)
    line.download().failed.index("MISSION_REQUEST_LIST")


def test_items_asked_out_of_order_and_twice_are_given() -> None:
    state, _ = begin_upload(PEER, ITEMS, 0.0)
    for seq in (0, 2, 1, 1, 2):
        state, ((name, fields),) = hear_upload(state, "MISSION_REQUEST_INT", {"seq": seq}, 0.1)
        assert (name, fields["seq"], fields["command"]) == (
            "MISSION_ITEM_INT", seq, ITEMS[seq].command,
        )  # fmt: skip
    assert state.resent == 2
    assert state.asked == {0, 1, 2}


def test_an_old_acknowledgement_ends_nothing_and_a_wrong_question_does() -> None:
    state, _ = begin_upload(PEER, ITEMS, 0.0)
    state, _ = hear_upload(state, "MISSION_ACK", {"type": 0, "mission_type": 0}, 0.1)
    assert not state.done
    state, _ = hear_upload(state, "MISSION_ACK", {"type": 13, "mission_type": 0}, 0.1)
    assert not state.failed
    other, _ = hear_upload(state, "MISSION_ACK", {"type": 4, "mission_type": 1}, 0.1)
    assert other == state
    full, _ = hear_upload(state, "MISSION_ACK", {"type": 4, "mission_type": 0}, 0.1)
    assert full.failed == "no space left"
    wrong, out = hear_upload(state, "MISSION_REQUEST_INT", {"seq": 99}, 0.1)
    assert "asked for item 99" in wrong.failed
    assert out[0][1]["type"] == 13


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"command": 31000}, "command not supported"),
        ({"frame": 10}, "frame not supported"),
        ({"x": 123.0}, "x (param5) invalid"),
        ({"y": 200.0}, "y (param6) invalid"),
        ({"z": math.nan}, "z (param7) invalid"),
        ({"z": 501.0}, "z (param7) invalid"),
        ({"p1": -1.0}, "param1 invalid"),
    ],
)
def test_a_vehicle_refuses_what_it_cannot_fly_and_keeps_the_old(
    change: dict[str, Any], reason: str
) -> None:
    line = Line()
    assert line.upload().done
    bad = tuple(replace(i, **change) if i.command == WAYPOINT else i for i in ITEMS)
    refused = line.upload(bad)
    assert refused.failed == reason
    assert same_items(line.download().items, ITEMS)


def test_fence_and_rally_are_missions_of_their_own() -> None:
    line = Line()
    closed = keep_out([no_fly(0.0, 0.0, 100.0, 50.0)])
    plan = Plan((), HOME, polygons=closed, rally=(RallyPoint(HOME, 20.0),))
    fence, rally = fence_items(plan), rally_items(plan)
    assert [line.upload(i, k).done for i, k in ((ITEMS, 0), (fence, 1), (rally, 2))] == [True] * 3
    assert [len(line.download(k).items) for k in (0, 1, 2)] == [len(ITEMS), 4, 1]
    assert all(item.p1 == 4.0 for item in line.download(1).items)
    cleared = line.upload((), 1)
    assert cleared.done
    assert line.download(1).items == ()


def test_another_ground_station_does_not_break_in() -> None:
    line = Line()
    count = {"target_system": 1, "target_component": 1, "mission_type": 0, "count": 3}
    assert hear(line.vehicle, "MISSION_COUNT", count, GROUND)[0][0] == "MISSION_REQUEST_INT"
    ((name, said),) = hear(line.vehicle, "MISSION_COUNT", count, 254)
    assert (name, said["type"], said["target_system"]) == ("MISSION_ACK", 14, 254)


def test_the_uploaded_mission_is_flown_and_told_of() -> None:
    line = Line()
    assert line.upload().done
    for _ in range(int(2 / STEP_S)):
        line.step()
    arm = {"target_system": 1, "target_component": 1, "command": 400, "param1": 1.0} | {
        f"param{i}": 0.0 for i in range(2, 8)
    }
    start = arm | {"command": 300, "param1": 0.0}
    refused = hear(line.vehicle, "COMMAND_LONG", start, GROUND)[0][1]
    assert refused["result"] == 1, "not armed"
    assert hear(line.vehicle, "COMMAND_LONG", arm, GROUND)[0][1]["result"] == 0
    assert hear(line.vehicle, "COMMAND_LONG", start, GROUND)[0][1]["result"] == 0
    for _ in range(int(240 / STEP_S)):
        line.step()
    reached = [f["seq"] for n, f in line.said if n == "MISSION_ITEM_REACHED"]
    flown = [i for i, item in enumerate(ITEMS) if item.command in (TAKE_OFF, WAYPOINT)]
    assert reached == [*flown, len(ITEMS) - 1]
    assert ITEMS[-1].command == RETURN
    current = [f for n, f in line.said if n == "MISSION_CURRENT"]
    states = [k for k, _ in itertools.groupby(f["mission_state"] for f in current)]
    assert states == [1, 2, 3, 5]
    assert current[-1]["total"] == len(ITEMS)
    assert line.vehicle.flying.motion.z_m == 0.0
    assert not line.vehicle.armed


def test_a_mission_is_paused_by_another_order_and_goes_on_where_it_was() -> None:
    line = Line()
    assert line.upload().done
    line.vehicle.arm()
    assert line.vehicle.start_mission()
    for _ in range(int(60 / STEP_S)):
        line.step()
        if line.vehicle.mission_seq >= 4:
            break
    assert line.vehicle.mission_seq >= 4
    line.vehicle.hold()
    for _ in range(100):
        line.step()
    assert line.vehicle.mission_current()[1]["mission_state"] == 4
    before = line.vehicle.mission_seq
    assert line.vehicle.start_mission()
    line.step()
    assert line.vehicle.mission_seq == before
    assert line.vehicle.mission_current()[1]["mission_state"] == 3


def test_a_wayline_survives_its_items() -> None:
    line = route(9, 55.0)
    again = wayline_of(mission_items(line, HOME), 1.0)
    assert again == line
    message = item_message(PEER, 3, ITEMS[3])[1]
    assert same_items((item_of(message),), (ITEMS[3],))
    with pytest.raises(ValueError, match="frame 11"):
        wayline_of((MissionItem(WAYPOINT, 11, x=22.0, y=113.0, z=5.0),), 5.0)
    with pytest.raises(ValueError, match="at least one waypoint"):
        mission_items(Wayline((), 0.0, 0.0), HOME)
    with pytest.raises(ValueError, match="at most"):
        begin_upload(PEER, ITEMS * 10_000, 0.0, policy=ProtocolPolicy())
