"""A live stream's pictures get the pose their aircraft told for when they were taken."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from domain.device import DeviceKind, Drone
from domain.observation import FlightPhase, Frame, Telemetry
from domain.place import Position
from geo.locate import GroundPoint, ground_point
from runtime.bus import MemoryBus
from runtime.clock import Clock, VirtualLoop
from runtime.topics import osd
from services.ingest.devices import Devices
from services.ingest.flown_stream import FlownStream, flown_streams, hear_states
from services.ingest.sight.live_pose import LivePoses, StreamTiming
from services.ingest.sources import FLOWN_LIMIT, FrameInbox
from tests.core.patrol_scene import EPOCH, district

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
BEHIND = timedelta(seconds=40)
"""The aircraft's clock goes this much after ours."""
TIMING = StreamTiming(latency_s=1.0, spread_s=0.5)


def state(second: float, *, under_way_s: float = 0.1, yaw_deg: float = 30.0) -> Telemetry:
    """Flying north at some 11 m/s."""
    at = AT + timedelta(seconds=second)
    place = Position(22.54 + 0.0001 * second, 113.35)
    heard_at = at + timedelta(seconds=under_way_s)
    row = Telemetry("D1", DeviceKind.DRONE, at - BEHIND, 0, heard_at, place)
    return replace(
        row, height_rel_m=80.0, gimbal_yaw_deg=yaw_deg, gimbal_pitch_deg=-90.0,
        phase=FlightPhase.ON_TASK,
    )  # fmt: skip


def poses(*seconds: float) -> LivePoses:
    made = LivePoses("D1", 66.0, TIMING)
    for second in seconds:
        made.hear(state(second))
    return made


def test_a_picture_is_older_than_its_arrival_and_the_clocks_need_not_agree() -> None:
    live = poses(0, 2, 4)
    taken_at = live.taken_at(AT + timedelta(seconds=4.1))
    pose = live.at(taken_at)
    assert pose is not None
    assert pose.at == taken_at
    assert pose.position.lat_deg == pytest.approx(22.54 + 0.0001 * 3.0, abs=1e-6)


def test_delay_and_age_widen_the_ellipse() -> None:
    live = poses(0, 2, 4)
    near, between = (live.at(AT + timedelta(seconds=0.1 + s)) for s in (2.0, 3.0))
    assert near is not None
    assert between is not None
    # What a flight bends between states is in the accuracy; the age is that of the delay alone.
    assert (near.age_s, between.age_s) == pytest.approx((0.5, 0.5), abs=0.01)
    assert near.accuracy is not None
    assert between.accuracy is not None
    assert between.accuracy.horizontal_m > near.accuracy.horizontal_m
    sharp = ground_point(replace(near, age_s=0.0), 320, 300, 640, 480)
    one, other = (ground_point(p, 320, 300, 640, 480) for p in (near, between))
    assert isinstance(sharp, GroundPoint)
    assert isinstance(one, GroundPoint)
    assert isinstance(other, GroundPoint)
    assert sharp.ellipse.semi_major_m < one.ellipse.semi_major_m < other.ellipse.semi_major_m
    # 11 m/s over a spread of half a second: 2.45 σ of 5.5 m in the direction flown.
    assert one.ellipse.semi_major_m == pytest.approx(2.45 * 5.6, rel=0.15)


def test_it_waits_for_the_next_state_but_not_for_ever() -> None:
    live = poses(0, 2)
    taken_at = AT + timedelta(seconds=3)
    assert not live.is_ready(taken_at, AT + timedelta(seconds=4))
    assert live.is_ready(taken_at, AT + timedelta(seconds=7))
    live.hear(state(4))
    assert live.is_ready(taken_at, AT + timedelta(seconds=4.1))


def test_over_a_gap_there_is_no_pose_and_a_new_flight() -> None:
    live = poses(0, 2)
    first = live.flight_id
    live.hear(state(200))
    live.hear(state(202))
    assert live.at(AT + timedelta(seconds=100)) is None
    assert live.flight_id not in (None, first)


def test_a_late_state_and_one_nobody_believes_change_nothing() -> None:
    live = poses(0, 2)
    live.hear(state(1, yaw_deg=90.0))
    live.hear(replace(state(3, yaw_deg=90.0), time_clamped=True))
    pose = live.at(AT + timedelta(seconds=1.1))
    assert pose is not None
    assert pose.yaw_deg == pytest.approx(30.0)


def test_a_message_without_the_height_above_take_off_keeps_what_changed() -> None:
    live = LivePoses("D1", 66.0, TIMING)
    live.hear(replace(state(0), height_ellipsoid_m=100.0))
    live.hear(replace(state(2), height_rel_m=None, height_ellipsoid_m=103.0))
    pose = live.at(AT + timedelta(seconds=2.1))
    assert pose is not None
    assert pose.height_agl_m == pytest.approx(83.0)


class Told:
    def __init__(self) -> None:
        self.why: list[str] = []

    def __call__(self, source: str, why: str) -> None:
        self.why.append(why)


def picture(at: datetime) -> Frame:
    return Frame("D1", at, b"\xff\xd8", None)


def test_pictures_that_no_state_follows_are_bounded_and_counted() -> None:
    loop = VirtualLoop()
    told, inbox = Told(), FrameInbox()
    stream = FlownStream(LivePoses("D1", 66.0), inbox, loop.clock(EPOCH, 1.0), told)
    for i in range(FLOWN_LIMIT + 3):
        stream.put(picture(EPOCH + timedelta(milliseconds=i)))
    assert (stream.refused, inbox.refused, inbox.taken) == (3, 3, 0)
    assert "too slowly" in told.why[0]
    loop.close()


def test_a_stream_is_posed_by_what_its_aircraft_tells_on_the_bus() -> None:
    loop = VirtualLoop()
    clock = loop.clock(EPOCH, 1.0)
    try:
        loop.run_until_complete(_flown(clock))
    finally:
        loop.close()


async def _flown(clock: Clock) -> None:
    import asyncio

    here = district(docks=1)
    (one, *_) = here.drones
    drone: Drone = replace(one, address="rtsp://127.0.0.1/live")
    told, inbox, bus = Told(), FrameInbox(), MemoryBus()
    streams = flown_streams([drone], inbox, clock, told)
    hearing = asyncio.create_task(
        hear_states(bus, streams, Devices.of(replace(here, drones=(drone,))), clock)
    )
    await clock.sleep(0.1)
    for i in range(4):
        await bus.publish(osd(drone.sn), _osd(clock.now(), i), qos=0)
        await clock.sleep(1.0)
        streams[drone.sn].put(Frame(drone.sn, clock.now(), b"\xff\xd8", None))
    await clock.sleep(0.1)
    frame = await inbox.take()
    assert frame.pose is not None
    assert frame.pose.pitch_deg == -90.0
    assert frame.flight_id is not None
    assert told.why == []
    hearing.cancel()
    await asyncio.gather(hearing, return_exceptions=True)


def _osd(at: datetime, i: int) -> bytes:
    data = {
        "latitude": 22.54 + 0.0001 * i, "longitude": 113.35, "height": 100.0, "elevation": 80.0,
        "attitude_head": 30.0, "horizontal_speed": 11.0, "mode_code": 5,
        "81-0-0": {"gimbal_pitch": -90.0, "gimbal_yaw": 30.0, "payload_index": "81-0-0"},
    }  # fmt: skip
    stamp = int(at.timestamp() * 1000)
    told = {"tid": "t", "bid": "b", "timestamp": stamp, "gateway": "DOCK1", "data": data}
    return json.dumps(told).encode()
