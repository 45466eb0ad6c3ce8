"""Any bytes on any topic: observations or a refusal, never an exception."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.mission import BreakPoint
from domain.observation import (
    AlarmSet,
    DeviceRequest,
    FlightPhase,
    FlightReport,
    Refusal,
    Telemetry,
    Topology,
)
from geo.frames import wgs84_to_gcj02
from services.ingest.decode import decode
from services.ingest.devices import Devices
from services.ingest.fields import UNDATED
from services.ingest.heard import Heard
from simulators.district import generate

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
STAMP = int(AT.timestamp() * 1000)
DISTRICT = generate(7)
DEVICES = Devices.of(DISTRICT)
DOCK, DRONE = DISTRICT.docks[0].sn, DISTRICT.docks[0].drone_sn
CAMERA = DISTRICT.cameras[0].sn
OSD = f"thing/product/{DRONE}/osd"


def heard(topic: str, body: object) -> Heard:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    result = decode(topic, payload, AT, DEVICES)
    assert isinstance(result, Heard), result
    return result


def refused(topic: str, body: object) -> str:
    payload = body if isinstance(body, bytes) else json.dumps(body).encode()
    result = decode(topic, payload, AT, DEVICES)
    assert isinstance(result, Refusal)
    return result.reason


def aircraft(**data: object) -> Telemetry:
    message = {"tid": "t", "bid": "b", "timestamp": STAMP, "gateway": DOCK, "data": data}
    (telemetry,) = heard(OSD, message).observations
    assert isinstance(telemetry, Telemetry)
    return telemetry


def test_an_osd_fragment_gives_only_what_it_carried() -> None:
    t = aircraft(latitude=22.5, longitude=113.3, height=121.4, elevation=99.8, attitude_head=-87.5,
                 mode_code=5, horizontal_speed=8.2)  # fmt: skip
    assert (t.height_ellipsoid_m, t.height_rel_m, t.height_agl_m) == (121.4, 99.8, None)
    assert (t.heading_deg, t.phase, t.battery_pct) == (272.5, FlightPhase.ON_TASK, None)


def test_the_gimbal_key_is_named_like_its_payload() -> None:
    t = aircraft(**{"80-0-0": {"gimbal_pitch": -60.0, "gimbal_yaw": -87.0}})
    assert (t.gimbal_pitch_deg, t.gimbal_yaw_deg) == (-60.0, 273.0)


def test_zero_zero_is_no_fix() -> None:
    assert aircraft(latitude=0, longitude=0).position is None


@pytest.mark.parametrize("key", ["timestamp", "timestamp:"])
def test_the_vendors_misspelt_timestamp_is_taken(key: str) -> None:
    (t,) = heard(OSD, {key: STAMP, "data": {"mode_code": 0}}).observations
    assert isinstance(t, Telemetry)
    assert (t.at, t.time_clamped) == (AT, False)


@pytest.mark.parametrize("stamp", [None, "x", True, 0, STAMP + 400_000, STAMP - 8 * 86_400_000])
def test_a_time_not_believed_is_flagged_and_comes_from_the_payload_alone(stamp: object) -> None:
    (t,) = heard(OSD, {"timestamp": stamp, "data": {}}).observations
    assert isinstance(t, Telemetry)
    told_ms = stamp if isinstance(stamp, int) and stamp > 1 else 0
    assert t.at == UNDATED + timedelta(milliseconds=told_ms)
    assert (t.time_clamped, t.state_at) == (True, AT)


def test_topology_waits_for_its_reply() -> None:
    body = {"tid": "t", "bid": "b", "timestamp": STAMP, "data": {"sub_devices": [{"sn": DRONE}]}}
    result = heard(f"sys/product/{DOCK}/status", body)
    assert result.observations == (Topology(DOCK, AT, (DRONE,)),)
    assert result.reply is not None
    assert (result.reply.topic, result.reply.tid) == (f"sys/product/{DOCK}/status_reply", "t")


def test_flight_progress_is_read_from_its_ext() -> None:
    output = {"status": "in_progress", "progress": {"current_step": 25, "percent": 40},
              "ext": {"flight_id": "m-1", "current_waypoint_index": 7,
                      "break_point": {"break_reason": "0"}}}  # fmt: skip
    body = {"method": "flighttask_progress", "need_reply": 1, "timestamp": STAMP, "tid": "t",
            "bid": "b", "gateway": DOCK, "data": {"result": 0, "output": output}}  # fmt: skip
    result = heard(f"thing/product/{DOCK}/events", body)
    (report,) = result.observations
    assert isinstance(report, FlightReport)
    assert (report.flight_id, report.step, report.waypoint_index) == ("m-1", 25, 7)
    assert report.break_reason == 0
    assert result.reply is not None


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ({"index": 3, "state": 0, "progress": 0.25, "wayline_id": 0}, BreakPoint(3, 0, 0.25)),
        ({"index": "3", "state": "1"}, BreakPoint(3, 1, 0.0)),
        ({"index": 3, "state": 0, "progress": 7.0}, None),
        ({"index": -1, "state": 0}, None),
        ({"state": 0}, None),
    ],
)
def test_a_break_point_is_kept_where_it_can_be_one(
    told: dict[str, Any], kept: BreakPoint | None
) -> None:
    ext = {"flight_id": "m-1", "break_point": told}
    body = {"method": "flighttask_progress", "timestamp": STAMP, "gateway": DOCK,
            "data": {"output": {"status": "partially_done", "ext": ext}}}  # fmt: skip
    (report,) = heard(f"thing/product/{DOCK}/events", body).observations
    assert isinstance(report, FlightReport)
    assert (report.status, report.break_point) == ("partially_done", kept)


def test_hms_is_the_whole_current_set() -> None:
    alarm = {"code": "0x16100083", "level": 2, "args": {"component_index": 0, "sensor_index": 1}}
    body = {"method": "hms", "timestamp": STAMP, "data": {"list": [alarm]}}
    (alarms,) = heard(f"thing/product/{DOCK}/events", body).observations
    assert isinstance(alarms, AlarmSet)
    assert [(a.code, a.level, a.component) for a in alarms.alarms] == [("0x16100083", 2, "0/1")]


@pytest.mark.parametrize(
    ("data", "reasons"),
    [
        # The vendor's own example has its reason as text.
        ({"sn": DOCK, "action": 1, "reason": "3"}, ["3"]),
        ({"sn": DOCK, "action": 0, "reason": 3}, []),
        ({"sn": DOCK, "action": 0}, []),
    ],
)
def test_a_return_given_up_is_an_alarm_of_the_aircraft(
    data: dict[str, Any], reasons: list[str]
) -> None:
    body = {"method": "device_exit_homing_notify", "tid": "t", "bid": "b", "need_reply": 1,
            "timestamp:": STAMP, "data": data}  # fmt: skip
    told = heard(f"thing/product/{DOCK}/events", body)
    (alarms,) = told.observations
    assert isinstance(alarms, AlarmSet)
    assert alarms.device_sn == DRONE
    assert [(a.code, a.level, a.component) for a in alarms.alarms] == [
        ("device_exit_homing_notify", 3, reason) for reason in reasons
    ]
    assert told.reply is not None
    assert (told.reply.topic, told.reply.tid) == (f"thing/product/{DOCK}/events_reply", "t")


def test_a_request_is_kept_for_its_answer() -> None:
    body = {"method": "config", "tid": "t", "bid": "b", "timestamp": STAMP, "data": {}}
    (request,) = heard(f"thing/product/{DOCK}/requests", body).observations
    assert isinstance(request, DeviceRequest)
    assert request.method == "config"


def test_an_array_of_our_own_samples_gives_one_telemetry_each() -> None:
    samples = [{"at": STAMP + i, "latitude": 22.5, "longitude": 113.3} for i in range(10)]
    assert len(heard(f"gridwing/telemetry/{DRONE}", samples).samples) == 10


def test_a_drc_pose_is_its_gateways_aircrafts() -> None:
    pose = {"attitude_head": -87.5, "latitude": 22.5, "longitude": 113.3, "height": 112.0,
            "speed_x": 3.0, "speed_y": -4.0, "speed_z": 0.5, "gimbal_pitch": -60.0}  # fmt: skip
    body = {"method": "osd_info_push", "timestamp": STAMP, "seq": 1, "data": pose}
    (t,) = heard(f"thing/product/{DOCK}/drc/up", body).observations
    assert isinstance(t, Telemetry)
    assert (t.device_sn, t.speed_m_s, t.climb_m_s) == (DRONE, 5.0, 0.5)
    assert (t.heading_deg, t.phase, t.battery_pct) == (272.5, None, None)


@pytest.mark.parametrize("name", ["takeoff_to_point_progress", "fly_to_point_progress"])
def test_a_looks_progress_is_a_flight_report(name: str) -> None:
    key = "flight_id" if name.startswith("takeoff") else "fly_to_id"
    data = {"result": 0, "output": {"status": "wayline_progress", key: "m-2", "way_point_index": 1}}
    for told in (data, data["output"]):
        body = {"method": name, "timestamp": STAMP, "data": told}
        (report,) = heard(f"thing/product/{DOCK}/events", body).observations
        assert isinstance(report, FlightReport)
        assert (report.flight_id, report.status) == ("m-2", "wayline_progress")
        assert report.waypoint_index == 1


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        (OSD, b"{", "not JSON"),
        (OSD, b"[" * 100_000, "not JSON"),
        (OSD, b'{"data": {"latitude": 1e400}}', ""),
        (OSD, b'{"data": {"latitude": NaN}}', "not JSON"),
        (OSD, b'{"data": {"height": true}}', "height must be a number"),
        (OSD, b'{"data": {"latitude": 91, "longitude": 0}}', "latitude must lie in"),
        (OSD, b'{"data": [1]}', "data must be an object"),
        (OSD, b'{"timestamp": ' + b"9" * 5000 + b"}", ""),
        (OSD, b'"\xff\xfe"', "not JSON"),
        (OSD, b'{"data": {"a": "\\ud800"}}', "not JSON"),
        (OSD, b"x" * 300_000, "the limit is"),
        ("thing/product/STRANGER/osd", b'{"data": {}}', "not registered"),
        (
            f"thing/product/{DOCK}/events",
            b'{"gateway": "OTHER", "data": {}}',
            "speaks on the topic",
        ),
        (f"thing/product/{DOCK}/events", b'{"method": "hms", "data": {"list": 1}}', "hms list"),
        (
            f"thing/product/{DOCK}/events",
            b'{"method": "device_exit_homing_notify", "data": {"action": 1}}',
            "a reason with 1",
        ),
        (f"gridwing/telemetry/{DRONE}", b'{"at": 1, "device_sn": "X"}', "speaks on the topic"),
        (OSD, b'{"gateway": "SOMEDOCK", "data": {}}', "does not speak for"),
        (OSD, b"{}", "no data"),
        ("sys/product/STRANGER/status", b'{"data": {"sub_devices": []}}', "not registered"),
        (f"sys/product/{DOCK}/status", b'{"data": {}}', "sub_devices must be a list"),
        (f"gridwing/telemetry/{DRONE}", b'{"latitude": 22.5}', "`at`"),
        (f"gridwing/telemetry/{DRONE}", b'{"at": 1, "phase": "up"}', "$.phase"),
        (f"gridwing/telemetry/{DRONE}", b"[]", "length >= 1"),
        ("some/other/topic", b"{}", "nobody reads"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_its_reason(
    topic: str, payload: bytes, reason: str
) -> None:
    assert reason in refused(topic, payload)


def image(offset_m: float = 0.0) -> dict[str, float]:
    """The GCJ-02 image of the first dock's place, so many metres north of it."""
    at = wgs84_to_gcj02(DISTRICT.docks[0].position)
    return {"latitude": at.lat_deg + offset_m / 111_000, "longitude": at.lon_deg}


@pytest.mark.parametrize("offset_m", [0.0, 40.0])
def test_gcj02_where_wgs84_is_declared_is_known_by_the_docks_place(offset_m: float) -> None:
    told = image(offset_m)
    dock = {"timestamp": STAMP, "gateway": DOCK, "data": told}
    idle = {"timestamp": STAMP, "gateway": DOCK, "data": {**told, "mode_code": 0}}
    ours = {"at": STAMP, **told, "phase": "idle"}
    for topic, body in (
        (f"thing/product/{DOCK}/osd", dock),
        (OSD, idle),
        (f"gridwing/telemetry/{DRONE}", [{"at": STAMP}, ours]),
    ):
        assert "GCJ-02 would put it" in refused(topic, body)


def test_an_aircraft_may_fly_where_gcj02_would_put_its_dock() -> None:
    assert aircraft(**image(), mode_code=5).position is not None
    assert aircraft(**image()).position is not None
    assert aircraft(**image(100.0), mode_code=0).position is not None


TOPICS = [OSD, f"thing/product/{DOCK}/events", f"thing/product/{DOCK}/drc/up",
          f"thing/product/{DOCK}/requests", f"sys/product/{DOCK}/status",
          f"gridwing/telemetry/{DRONE}", "thing/product//osd", "frigate/reviews",
          "frigate/events", f"onvif/{CAMERA}/onvif-ej/A/B",
          f"onvif/{CAMERA}/onvif-mj/VideoAnalytics",
          "frigate/a/b/snapshot"]  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    "data",
                    "timestamp",
                    "method",
                    "list",
                    "latitude",
                    "longitude",
                    "output",
                    "ext",
                    "flight_id",
                    "status",
                    "sub_devices",
                    "sn",
                    "need_reply",
                    "gateway",
                    "after",
                    "camera",
                    "id",
                    "objects",
                    "start_time",
                    "UtcTime",
                    "Data",
                    "Frame",
                    "Object",
                    "Appearance",
                    "Class",
                    "Type",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
)


@given(st.sampled_from(TOPICS), st.binary(max_size=200))
def test_no_bytes_raise(topic: str, payload: bytes) -> None:
    decode(topic, payload, AT, DEVICES)


@given(st.sampled_from(TOPICS), values, st.sampled_from(["hms", "flighttask_progress", "config"]))
def test_no_json_raises(topic: str, value: object, method: str) -> None:
    body = {"method": method, "data": value, "timestamp": STAMP, "type": "new", "after": value}
    decode(topic, json.dumps(body).encode(), AT + timedelta(seconds=1), DEVICES)
    decode(topic, json.dumps(value).encode(), AT, DEVICES)
