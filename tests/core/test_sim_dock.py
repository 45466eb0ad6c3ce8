"""A dock's conversation as a machine: what it agrees to, refuses, flies and tells."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.codec import from_plain, to_plain
from domain.device import Dock, Drone
from domain.place import Position
from geo.frames import LocalFrame
from simulators.dock import DockMachine
from simulators.dock_commands import (
    BAD_PARAMETER,
    BATTERY_TOO_LOW,
    BUSY,
    NOT_FLYING,
    NOT_READY,
    OK,
    UNKNOWN_FLIGHT,
    answer,
    start_refusal,
)
from simulators.dock_memory import DockPolicy, DockState, Said, new_state
from simulators.kinematics import Wind
from simulators.return_fault import ReturnFault
from simulators.sortie import RESOURCE
from simulators.wayline import FilePoint, FileWayline
from simulators.weather import Sky, Weather

AT = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
HOME = Position(22.54, 113.35)
FRAME = LocalFrame(HOME)
DOCK = Dock("DOCK1", "机场", HOME, 12.0, "DRONE1")
DRONE = Drone("DRONE1", "无人机", "M3TD", "DOCK1", True)
EAST = FRAME.to_position(300.0, 0.0)


class Flown:
    """A machine with its clock, and everything it said."""

    def __init__(self, battery_pct: float = 95.0, policy: DockPolicy | None = None) -> None:
        policy = policy or DockPolicy()
        self.counts: list[str] = []
        state = new_state(DOCK, FRAME, AT, policy, battery_pct)
        self.machine = DockMachine(
            DOCK, DRONE, FRAME, Weather(3), state, policy, 3, self.counts.append
        )
        self.said: list[Said] = []

    @property
    def at(self) -> datetime:
        return self.machine.state.at

    def call(self, method: str, **data: Any) -> int:
        return answer(self.machine, method, data, self.at).result

    def run(self, seconds: float, give_file: bool = True) -> None:
        """Live on, answering what the dock asks before take-off."""
        end = self.at + timedelta(seconds=seconds)
        while self.at < end:
            said = self.machine.advance(min(end, self.at + timedelta(seconds=1)))
            self.said += said
            for one in said:
                if one.kind == "ask" and one.method != RESOURCE:
                    self.machine.answered(one.method, None)
                elif one.kind == "ask" and give_file:
                    self.machine.supply(one.data["flight_id"], square())

    def told(self, method: str) -> list[str]:
        """The statuses told under a method, without repetitions."""
        rows: list[str] = []
        for one in self.said:
            if one.kind == "event" and one.method == method:
                output = one.data.get("output", one.data)
                if not rows or rows[-1] != output["status"]:
                    rows.append(output["status"])
        return rows

    def prepare(self, flight_id: str = "F1", off_s: float = 0.0, **more: Any) -> int:
        ms = round((self.at.timestamp() + off_s) * 1000)
        data = {"execute_time": ms, "task_type": 0, "rth_altitude": 80, **more}
        return self.call("flighttask_prepare", flight_id=flight_id, **data)

    def take_off_to(self, flight_id: str = "L1") -> int:
        return self.call(
            "takeoff_to_point",
            flight_id=flight_id,
            target_latitude=EAST.lat_deg,
            target_longitude=EAST.lon_deg,
            target_height=72.0,
            security_takeoff_height=40,
            max_speed=12,
            rth_altitude=70,
        )


def square() -> FileWayline:
    corners = [(60.0, 60.0), (260.0, 60.0), (260.0, 110.0), (60.0, 110.0)]
    points = tuple(
        FilePoint(FRAME.to_position(x, y), 60.0, False, 10.0, -90.0, 0.0) for x, y in corners
    )
    return FileWayline(30.0, 12.0, 70.0, True, points)


def test_a_wayline_is_prepared_flown_and_told_to_its_end() -> None:
    flown = Flown()
    assert flown.prepare() == OK
    assert flown.call("flighttask_execute", flight_id="F1") == OK
    flown.run(300)
    assert flown.told("flighttask_progress") == ["in_progress", "ok"]
    ends = [o for o in flown.said if o.method == "flighttask_progress"][-1]
    assert ends.data["output"]["progress"]["percent"] == 100
    assert ends.data["output"]["ext"]["current_waypoint_index"] == 3
    steps = {
        o.data["output"]["progress"]["current_step"]
        for o in flown.said
        if o.method == "flighttask_progress"
    }
    assert {5, 7, 16, 18, 24, 25, 26, 27, 28, 29} <= steps
    assert flown.counts == ["takeoffs", "landings"]
    asked = [o.method for o in flown.said if o.kind == "ask"]
    assert asked == ["flight_areas_get", "offline_map_get", RESOURCE]
    assert sum(o.kind == "frame" for o in flown.said) > 20
    assert flown.machine.sortie is None


def test_paused_for_a_look_and_resumed_at_its_break_point() -> None:
    flown = Flown()
    flown.prepare()
    flown.call("flighttask_execute", flight_id="F1")
    flown.run(55)
    assert flown.call("flighttask_pause") == OK
    point = {"latitude": EAST.lat_deg, "longitude": EAST.lon_deg, "height": 62.0}
    assert flown.call("fly_to_point", fly_to_id="L1", max_speed=12, points=[point]) == OK
    flown.run(60)
    assert flown.told("fly_to_point_progress") == ["wayline_progress", "wayline_ok"]
    assert flown.call("flighttask_recovery") == OK
    flown.run(250)
    assert flown.told("flighttask_progress") == ["in_progress", "paused", "in_progress", "ok"]
    assert flown.counts == ["takeoffs", "landings"]


def test_a_look_takes_off_hovers_over_its_point_and_comes_home_when_told() -> None:
    flown = Flown()
    assert flown.take_off_to() == OK
    flown.run(120)
    over = ["task_ready", "wayline_progress", "wayline_ok"]
    assert flown.told("takeoff_to_point_progress") == over
    m = flown.machine.state.flying.motion
    assert abs(m.x_m - 300) < 2
    assert abs(m.z_m - 60) < 1
    assert flown.call("return_home") == OK
    flown.run(120)
    assert flown.told("takeoff_to_point_progress") == [*over, "task_finish"]


def test_the_camera_obeys_who_took_it_in_hand_and_its_photograph_is_told() -> None:
    flown = Flown()
    mine, spot = {"payload_index": "81-0-0"}, FRAME.to_position(320.0, 0.0)
    place = {"latitude": spot.lat_deg, "longitude": spot.lon_deg, "height": 12.0, "locked": True}
    assert flown.call("payload_authority_grab", **mine) == NOT_FLYING
    flown.take_off_to()
    flown.run(120)
    before = flown.machine.state.flying
    assert flown.call("camera_look_at", **mine, **place) == BAD_PARAMETER
    assert flown.call("camera_photo_take", **mine) == BAD_PARAMETER
    assert flown.call("payload_authority_grab", payload_index="66-0-0") == BAD_PARAMETER
    assert flown.machine.state.flying == before
    assert before.pitch_deg == -90.0
    assert flown.call("payload_authority_grab", **mine) == OK
    assert flown.call("camera_look_at", **mine, **{**place, "height": 1.0}) == BAD_PARAMETER
    assert flown.call("camera_look_at", **mine, **place) == OK
    flying = flown.machine.state.flying
    assert (round(flying.pitch_deg), round(flying.camera_yaw_deg)) == (-72, 90)
    assert flown.call("camera_photo_take", **mine) == OK
    assert [o.kind for o in flown.machine.advance(flown.at)] == ["frame"]
    flown.call("return_home")
    flown.run(120)
    (media,) = [o.data for o in flown.said if o.method == "file_upload_callback"]
    assert media["flight_task"] == {
        "uploaded_file_count": 1, "expected_file_count": 1, "flight_type": 1,
    }  # fmt: skip
    assert media["file"]["name"].endswith("_0001_V.JPG")
    assert flown.call("payload_authority_grab", **mine) == NOT_FLYING
    assert not flown.machine.state.payload_held


def test_a_return_broken_off_hovers_and_the_wayline_can_be_resumed() -> None:
    flown = Flown()
    assert flown.call("return_home_cancel") == NOT_FLYING
    flown.prepare()
    flown.call("flighttask_execute", flight_id="F1")
    flown.run(55)
    assert flown.call("return_home_cancel") == NOT_FLYING
    assert flown.call("return_home") == OK
    flown.run(5)
    assert flown.call("return_home_cancel") == OK
    flown.run(30)
    assert flown.machine.state.flying.airborne
    assert flown.told("flighttask_progress")[-1] == "paused"
    assert flown.call("flighttask_recovery") == OK
    flown.run(250)
    assert flown.told("flighttask_progress")[-1] == "ok"
    assert flown.counts == ["takeoffs", "landings"]


@pytest.mark.parametrize("called", [True, False])
def test_a_return_given_up_hovers_is_told_and_goes_on_when_asked_anew(called: bool) -> None:
    """Called home in the middle, or on its way home after the last waypoint."""
    flown = Flown(policy=DockPolicy(return_faults=(ReturnFault(DOCK.sn, 1, 3, 4.0),)))
    flown.prepare()
    flown.call("flighttask_execute", flight_id="F1")
    flown.run(60)
    if called:
        assert flown.call("return_home") == OK
    flown.run(100)
    told = [o.data for o in flown.said if o.method == "device_exit_homing_notify"]
    assert told == [{"sn": DOCK.sn, "action": 1, "reason": 3}]
    flying = flown.machine.state.flying
    assert (flying.airborne, flying.mode in (9, 10)) == (True, False)
    assert flown.told("flighttask_progress")[-1] == "paused"
    assert flown.call("flighttask_recovery") == (OK if called else NOT_FLYING)
    flown.run(3)
    assert flown.call("return_home") == OK
    flown.run(2)
    assert flown.machine.state.flying.mode == 9
    flown.run(120)
    actions = [o.data["action"] for o in flown.said if o.method == "device_exit_homing_notify"]
    assert actions == [1, 0]
    assert flown.told("flighttask_progress")[-1] == ("partially_done" if called else "ok")
    assert flown.counts == ["takeoffs", "landings"]


def test_low_battery_ends_a_flight_in_part_and_brings_it_home() -> None:
    flown = Flown(battery_pct=31.0)
    flown.prepare()
    assert flown.call("flighttask_execute", flight_id="F1") == OK
    motion = replace(flown.machine.state.flying.motion, battery_pct=22.0)
    flown.machine.state = replace(
        flown.machine.state, flying=replace(flown.machine.state.flying, motion=motion)
    )
    flown.run(300)
    assert flown.told("flighttask_progress")[-1] == "partially_done"
    last = [o for o in flown.said if o.method == "flighttask_progress"][-1]
    assert last.data["output"]["ext"]["break_point"]["break_reason"] == 773
    assert flown.machine.state.flying.motion.battery_pct > 15


def test_a_flight_broken_off_is_gone_on_with_from_its_break_point() -> None:
    flown = Flown()
    flown.prepare()
    flown.call("flighttask_execute", flight_id="F1")
    flown.run(60)
    assert flown.call("return_home") == OK
    flown.run(200)
    last = [o for o in flown.said if o.method == "flighttask_progress"][-1]
    left = last.data["output"]["ext"]["break_point"]
    assert 0.0 < left["progress"] < 1.0
    assert left["state"] == 0
    told = {key: left[key] for key in ("index", "state", "progress", "wayline_id")}
    begun = len(flown.said)
    flown.prepare("F2", break_point=told)
    assert flown.call("flighttask_execute", flight_id="F2") == OK
    flown.run(300)
    rest = [o for o in flown.said[begun:] if o.method == "flighttask_progress"]
    assert rest[-1].data["output"]["status"] == "ok"
    indices = [o.data["output"]["ext"]["current_waypoint_index"] for o in rest]
    assert min(i for i in indices if i) == left["index"] + 1
    assert flown.counts == ["takeoffs", "landings"] * 2


def test_a_break_point_that_is_not_on_the_wayline_fails_on_the_ground() -> None:
    flown = Flown()
    flown.prepare(break_point={"index": 77, "state": 0, "progress": 0.5, "wayline_id": 0})
    assert flown.call("flighttask_execute", flight_id="F1") == OK
    flown.run(60)
    last = [o for o in flown.said if o.method == "flighttask_progress"][-1]
    assert (last.data["output"]["status"], last.data["result"]) == ("failed", 322558)
    assert flown.counts == []
    wrong = {"index": 1, "state": 7, "progress": 0.5}
    now_ms = int(flown.at.timestamp() * 1000)
    called = flown.call(
        "flighttask_prepare", flight_id="F3", execute_time=now_ms, break_point=wrong
    )
    assert called == BAD_PARAMETER


def test_a_flight_to_a_point_is_sent_elsewhere_under_way() -> None:
    flown = Flown()
    flown.prepare()
    flown.call("flighttask_execute", flight_id="F1")
    flown.run(55)
    point = {"latitude": EAST.lat_deg, "longitude": EAST.lon_deg, "height": 62.0}
    assert flown.call("fly_to_point_update", fly_to_id="L1", points=[point]) == NOT_FLYING
    assert flown.call("fly_to_point", fly_to_id="L1", max_speed=12, points=[point]) == OK
    flown.run(3)
    north = FRAME.to_position(0.0, 150.0)
    other = {"latitude": north.lat_deg, "longitude": north.lon_deg, "height": 62.0}
    assert flown.call("fly_to_point_update", fly_to_id="L9", points=[other]) == BAD_PARAMETER
    assert flown.call("fly_to_point_update", fly_to_id="L1", points=[other]) == OK
    flown.run(60)
    m = flown.machine.state.flying.motion
    assert m.x_m == pytest.approx(0.0, abs=2)
    assert m.y_m == pytest.approx(150.0, abs=2)
    assert flown.told("fly_to_point_progress") == ["wayline_progress", "wayline_ok"]


def test_a_file_that_never_comes_fails_the_flight_on_the_ground() -> None:
    flown = Flown()
    flown.prepare()
    flown.call("flighttask_execute", flight_id="F1")
    flown.run(90, give_file=False)
    assert flown.told("flighttask_progress") == ["in_progress", "failed"]
    assert flown.counts == []


def test_undone_before_take_off_it_stays() -> None:
    flown = Flown()
    flown.prepare()
    flown.call("flighttask_execute", flight_id="F1")
    flown.run(5)
    assert flown.call("flighttask_undo", flight_ids=["F1"]) == OK
    flown.run(5)
    assert flown.told("flighttask_progress")[-1] == "canceled"
    assert flown.counts == []


def test_what_a_dock_refuses() -> None:
    flown = Flown()
    assert flown.prepare(off_s=-31) == BAD_PARAMETER
    assert flown.prepare(off_s=40) == BAD_PARAMETER
    assert flown.prepare(off_s=29) == OK
    assert flown.call("flighttask_execute", flight_id="unknown") == UNKNOWN_FLIGHT
    for method in ("flighttask_pause", "flighttask_recovery", "return_home", "fly_to_point"):
        assert flown.call(method) == NOT_FLYING
    assert flown.call("takeoff_to_point", flight_id="L") == BAD_PARAMETER
    assert flown.call("no_such_service") == BAD_PARAMETER
    assert Flown(battery_pct=29.0).prepare() == BATTERY_TOO_LOW
    assert Flown(battery_pct=29.0).take_off_to() == BATTERY_TOO_LOW


@pytest.mark.parametrize(
    ("battery_pct", "sky", "result"),
    [
        (30.0, Sky(Wind(0, 12), 1, 25, 60), OK),
        (29.9, Sky(Wind(), 0, 25, 60), BATTERY_TOO_LOW),
        (90.0, Sky(Wind(0, 12.1), 0, 25, 60), NOT_READY),
        (90.0, Sky(Wind(), 2, 25, 90), NOT_READY),
    ],
)
def test_charge_wind_and_rain_decide_a_take_off(battery_pct: float, sky: Sky, result: int) -> None:
    assert start_refusal(battery_pct, sky) == result


def test_nothing_takes_off_twice() -> None:
    flown = Flown()
    flown.prepare()
    assert flown.call("flighttask_execute", flight_id="F1") == OK
    assert flown.call("flighttask_execute", flight_id="F1") == BUSY
    assert flown.take_off_to() == BUSY
    assert flown.prepare("F2") == BUSY
    flown.run(300)
    assert flown.call("flighttask_execute", flight_id="F1") == UNKNOWN_FLIGHT
    assert flown.counts == ["repeated_commands", "takeoffs", "landings", "repeated_commands"]


def test_a_take_off_that_did_happen_twice_is_counted() -> None:
    flown = Flown()
    for _ in range(2):
        flown.take_off_to("L1")
        flown.run(100)
        flown.call("return_home")
        flown.run(120)
    assert flown.counts.count("double_takeoffs") == 1


def test_a_dock_killed_in_flight_goes_on_from_its_memory() -> None:
    flown = Flown()
    flown.prepare()
    flown.call("flighttask_execute", flight_id="F1")
    flown.run(60)
    kept = from_plain(DockState, to_plain(flown.machine.state))
    assert kept == flown.machine.state
    again = Flown()
    again.machine.state = kept
    again.machine.skip_to(kept.at + timedelta(seconds=20))
    again.run(250)
    assert again.told("flighttask_progress")[-1] == "ok"
    assert again.counts == ["landings"]


def test_properties_come_in_fragments_and_poses_at_5_hz_in_flight() -> None:
    flown = Flown()
    flown.run(20)
    by_sn = [o.sn for o in flown.said if o.kind == "osd"]
    assert (by_sn.count("DOCK1"), by_sn.count("DRONE1")) == (30, 20)
    assert not any(o.kind == "drc" for o in flown.said)
    flown.take_off_to()
    flown.run(40)
    flown.said.clear()
    flown.run(10)
    assert sum(o.kind == "drc" for o in flown.said) == 50
    assert flown.call("drc_mode_enter", osd_frequency=1, hsi_frequency=1) == OK
    flown.said.clear()
    flown.run(10)
    assert sum(o.kind == "drc" for o in flown.said) == 10


def test_charge_grows_in_the_dock() -> None:
    flown = Flown(battery_pct=50.0)
    flown.run(600)
    assert 68 < flown.machine.state.flying.motion.battery_pct < 76
