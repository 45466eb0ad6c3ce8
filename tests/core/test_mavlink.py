"""MAVLink values become samples: units, signs, and what is not known is not said."""

import orjson
import pytest

from services.ingest.compact import _DECODER
from services.ingest.mavlink import Vehicle, merge, phase, sample

POSITION = {
    "lat": 225251000, "lon": 1133558000, "alt": 91000, "relative_alt": 80000,
    "vx": 300, "vy": -400, "vz": -150, "hdg": 27250,
}  # fmt: skip
FIX = {"fix_type": 3, "alt": 91000, "alt_ellipsoid": 86500}


def told(*messages: tuple[str, dict[str, int]]) -> Vehicle:
    vehicle = Vehicle()
    for name, fields in messages:
        vehicle = merge(vehicle, name, fields)
    return vehicle


def test_units_and_signs_and_the_ingest_part_reads_the_sample() -> None:
    vehicle = told(
        ("GLOBAL_POSITION_INT", POSITION),
        ("GPS_RAW_INT", FIX),
        ("SYS_STATUS", {"battery_remaining": 63}),
        ("EXTENDED_SYS_STATE", {"landed_state": 2}),
        ("MISSION_CURRENT", {"mission_state": 3}),
        ("HEARTBEAT", {"custom_mode": 4}),
    )
    said = sample(vehicle, 1795401600123)
    assert said == {
        "at": 1795401600123, "latitude": 22.5251, "longitude": 113.3558, "height_rel_m": 80.0,
        "height_ellipsoid_m": 86.5, "heading_deg": 272.5, "speed_m_s": 5.0, "climb_m_s": 1.5,
        "battery_pct": 63, "phase": "on_task",
    }  # fmt: skip
    _DECODER.decode(orjson.dumps([said]))


@pytest.mark.parametrize("fix_type", [0, 1, 2])
def test_without_a_3d_fix_there_is_no_position(fix_type: int) -> None:
    said = sample(
        told(("GLOBAL_POSITION_INT", POSITION), ("GPS_RAW_INT", {**FIX, "fix_type": fix_type})), 1
    )
    assert not {"latitude", "longitude", "height_ellipsoid_m"} & said.keys()


def test_a_height_above_the_sea_is_never_one_above_the_ellipsoid() -> None:
    said = sample(told(("GPS_RAW_INT", {"fix_type": 3, "alt": 91000})), 1)
    assert "height_ellipsoid_m" not in said


def test_what_the_vehicle_does_not_know_is_not_said() -> None:
    vehicle = told(
        ("GLOBAL_POSITION_INT", {**POSITION, "hdg": 65535}),
        ("SYS_STATUS", {"battery_remaining": -1}),
    )
    assert not {"heading_deg", "battery_pct"} & sample(vehicle, 1).keys()
    assert sample(Vehicle(), 1) == {"at": 1}


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
    assert phase(Vehicle(landed_state=landed, mission_state=mission)) == wanted
