"""MAVLink values become samples: units, signs, and what is not known or not fresh is not said."""

from collections.abc import Mapping
from datetime import UTC, datetime

import orjson
import pytest

from domain.device import DeviceKind
from services.ingest.compact import read
from services.ingest.devices import Devices
from services.ingest.mavlink import (
    CLOCK_SET_US,
    FRESH_S,
    MOVING_FRESH_S,
    REBOOTED_MS,
    Vehicle,
    merge,
    phase,
    sample,
    told_at_ms,
)

Message = tuple[str, Mapping[str, float]]

POSITION = {
    "time_boot_ms": 60_000, "lat": 225251000, "lon": 1133558000, "alt": 91000,
    "relative_alt": 80000, "vx": 300, "vy": -400, "vz": -150, "hdg": 27250,
}  # fmt: skip
FIX = {"fix_type": 3, "alt": 88000, "alt_ellipsoid": 83500}
NOW_S, NOW_MS = 1000.0, 1795401600123
DEVICES = Devices({"MAV1": DeviceKind.DRONE}, {}, {})


def told(*messages: Message, heard_s: float = NOW_S) -> Vehicle:
    vehicle = Vehicle()
    for name, fields in messages:
        vehicle = merge(vehicle, name, fields, heard_s)
    return vehicle


def test_units_and_signs_and_the_ingest_part_reads_the_sample() -> None:
    vehicle = told(
        ("GLOBAL_POSITION_INT", POSITION),
        ("GPS_RAW_INT", FIX),
        ("SYS_STATUS", {"battery_remaining": 63}),
        ("EXTENDED_SYS_STATE", {"landed_state": 2}),
        ("MISSION_CURRENT", {"mission_state": 3}),
        ("HEARTBEAT", {"autopilot": 12, "base_mode": 129, "system_status": 4}),
    )
    said = sample(vehicle, NOW_MS, NOW_S)
    assert said == {
        "at": NOW_MS, "latitude": 22.5251, "longitude": 113.3558, "height_rel_m": 80.0,
        "height_ellipsoid_m": 86.5, "heading_deg": 272.5, "speed_m_s": 5.0, "climb_m_s": 1.5,
        "battery_pct": 63, "phase": "on_task",
    }  # fmt: skip
    at = datetime.fromtimestamp(NOW_MS / 1000, UTC)
    heard = read("gridwing/telemetry/MAV1", orjson.dumps([said]), at, DEVICES)
    assert [(s.at, s.latitude, s.phase) for s in heard.samples] == [(NOW_MS, 22.5251, "on_task")]


@pytest.mark.parametrize("fix_type", [0, 1, 2])
def test_without_a_3d_fix_there_is_no_position(fix_type: int) -> None:
    fix = {**FIX, "fix_type": fix_type}
    said = sample(told(("GLOBAL_POSITION_INT", POSITION), ("GPS_RAW_INT", fix)), 1, NOW_S)
    assert not {"latitude", "longitude", "height_ellipsoid_m"} & said.keys()


def test_a_height_above_the_sea_is_never_one_above_the_ellipsoid() -> None:
    for fix in ({**FIX, "alt_ellipsoid": 0}, {**FIX, "alt_ellipsoid": 500_000}):
        said = sample(told(("GPS_RAW_INT", fix), ("GLOBAL_POSITION_INT", POSITION)), 1, NOW_S)
        assert ("height_ellipsoid_m" in said, "latitude" in said) == (False, True)


def test_what_the_vehicle_does_not_know_is_not_said() -> None:
    vehicle = told(
        ("GLOBAL_POSITION_INT", {**POSITION, "hdg": 65535}),
        ("SYS_STATUS", {"battery_remaining": -1}),
        ("BATTERY_STATUS", {"id": 1, "battery_remaining": 50}),
    )
    assert not {"heading_deg", "battery_pct"} & sample(vehicle, 1, NOW_S).keys()
    assert sample(Vehicle(), 1, NOW_S) == {"at": 1}


@pytest.mark.parametrize(
    ("name", "fields", "absent"),
    [
        ("GLOBAL_POSITION_INT", {**POSITION, "lat": 900000001}, {"latitude", "longitude"}),
        ("GLOBAL_POSITION_INT", {**POSITION, "lon": -1800000001}, {"latitude", "longitude"}),
        ("GLOBAL_POSITION_INT", {**POSITION, "lat": 0, "lon": 0}, {"latitude", "longitude"}),
        ("GLOBAL_POSITION_INT", {**POSITION, "relative_alt": 9_000_001}, {"height_rel_m"}),
        ("GLOBAL_POSITION_INT", {**POSITION, "vx": 32767}, {"speed_m_s"}),
        ("GLOBAL_POSITION_INT", {**POSITION, "vz": -32768}, {"climb_m_s"}),
        ("GLOBAL_POSITION_INT", {**POSITION, "hdg": 36000}, {"heading_deg"}),
        ("GLOBAL_POSITION_INT", {**POSITION, "alt": -600_000}, {"height_ellipsoid_m"}),
        ("BATTERY_STATUS", {"id": 0, "battery_remaining": 101}, {"battery_pct"}),
        ("ATTITUDE", {"time_boot_ms": 1, "yaw": float("nan")}, {"heading_deg"}),
        ("VFR_HUD", {"groundspeed": float("inf"), "climb": float("nan")},
         {"speed_m_s", "climb_m_s"}),
    ],
)  # fmt: skip
def test_what_is_out_of_range_is_not_taken_and_nothing_else_is_lost(
    name: str, fields: dict[str, float], absent: set[str]
) -> None:
    first = ("GPS_RAW_INT", FIX)
    said = sample(told(first, (name, fields)), NOW_MS, NOW_S)
    assert not absent & said.keys()
    if name == "GLOBAL_POSITION_INT":
        every = sample(told(first, (name, POSITION)), NOW_MS, NOW_S)
        assert said == {key: value for key, value in every.items() if key not in absent}
    at = datetime.fromtimestamp(NOW_MS / 1000, UTC)
    read("gridwing/telemetry/MAV1", orjson.dumps([said]), at, DEVICES)


def test_attitude_and_hud_stand_in_where_the_position_message_is_missing_or_does_not_know() -> None:
    vehicle = told(
        ("ATTITUDE", {"time_boot_ms": 60_000, "yaw": -1.5707963}),
        ("VFR_HUD", {"groundspeed": 7.5, "climb": -0.5}),
    )
    assert sample(vehicle, 1, NOW_S) == {
        "at": 1, "heading_deg": 270.0, "speed_m_s": 7.5, "climb_m_s": -0.5,
    }  # fmt: skip
    vehicle = merge(vehicle, "GLOBAL_POSITION_INT", {**POSITION, "hdg": 65535}, NOW_S)
    said = sample(vehicle, 1, NOW_S)
    assert (said["heading_deg"], said["speed_m_s"]) == (270.0, 5.0)


def test_what_was_told_long_ago_is_not_said_again() -> None:
    vehicle = told(
        ("GPS_RAW_INT", FIX), ("GLOBAL_POSITION_INT", POSITION),
        ("SYS_STATUS", {"battery_remaining": 63}), ("EXTENDED_SYS_STATE", {"landed_state": 1}),
    )  # fmt: skip
    later = sample(vehicle, 1, NOW_S + MOVING_FRESH_S + 0.1)
    assert later == {"at": 1, "battery_pct": 63, "phase": "idle"}
    assert sample(vehicle, 1, NOW_S + FRESH_S + 0.1) == {"at": 1}


def test_one_battery_message_does_not_take_back_what_the_other_told() -> None:
    vehicle = told(
        ("BATTERY_STATUS", {"id": 0, "battery_remaining": 80}),
        ("SYS_STATUS", {"battery_remaining": -1}),
    )
    assert sample(vehicle, 1, NOW_S)["battery_pct"] == 80


@pytest.mark.parametrize(
    ("landed", "mission", "wanted"),
    [
        (0, 3, None),
        (1, 3, "idle"),
        (2, 3, "on_task"),
        (2, 4, "holding"),
        (3, 3, "taking_off"),
        (4, 5, "landing"),
    ],
)
def test_phase_is_told_by_landed_and_mission_state(
    landed: int, mission: int, wanted: str | None
) -> None:
    vehicle = told(
        ("EXTENDED_SYS_STATE", {"landed_state": landed}),
        ("MISSION_CURRENT", {"mission_state": mission}),
    )
    assert phase(vehicle, NOW_S) == wanted


@pytest.mark.parametrize(
    ("base_mode", "status", "wanted"),
    [(1, 3, "idle"), (129, 4, None), (129, 6, "fault"), (1, 8, "fault"), (129, 5, None)],
)
def test_where_landing_is_not_told_the_heartbeat_tells_rest_and_fault(
    base_mode: int, status: int, wanted: str | None
) -> None:
    beat = {"autopilot": 3, "base_mode": base_mode, "system_status": status}
    assert phase(told(("HEARTBEAT", beat)), NOW_S) == wanted


def test_the_vehicles_own_time_counts_once_it_has_told_it() -> None:
    unset = ("SYSTEM_TIME", {"time_unix_usec": 5_000_000, "time_boot_ms": 5_000})
    assert told_at_ms(told(unset), NOW_S, NOW_MS) == NOW_MS
    unix_ms = NOW_MS - 250
    clock = ("SYSTEM_TIME", {"time_unix_usec": unix_ms * 1000, "time_boot_ms": 5_000})
    vehicle = told(clock)
    assert told_at_ms(vehicle, NOW_S, NOW_MS) == unix_ms
    assert told_at_ms(vehicle, NOW_S + 1.5, NOW_MS) == unix_ms + 1500
    vehicle = merge(vehicle, "GLOBAL_POSITION_INT", {**POSITION, "time_boot_ms": 5_200}, NOW_S + 9)
    assert told_at_ms(vehicle, NOW_S + 9, NOW_MS) == unix_ms + 200, "the position's own instant"
    late = merge(vehicle, "ATTITUDE", {"time_boot_ms": 5_100, "yaw": 0.0}, NOW_S + 9)
    assert told_at_ms(late, NOW_S + 9, NOW_MS) == unix_ms + 200, "a late message moves no clock"
    absurd = {"time_unix_usec": 2**64 - 1, "time_boot_ms": 5_300}
    assert told_at_ms(merge(vehicle, "SYSTEM_TIME", absurd, NOW_S), NOW_S, NOW_MS) == NOW_MS


def test_after_a_reboot_nothing_of_before_counts() -> None:
    clock = ("SYSTEM_TIME", {"time_unix_usec": CLOCK_SET_US * 1.4, "time_boot_ms": 60_000})
    vehicle = told(clock, ("SYS_STATUS", {"battery_remaining": 63}))
    again = merge(vehicle, "ATTITUDE", {"time_boot_ms": 60_000 - REBOOTED_MS, "yaw": 0.0}, NOW_S)
    assert told_at_ms(again, NOW_S, NOW_MS) == NOW_MS
    assert "battery_pct" not in sample(again, 1, NOW_S)
