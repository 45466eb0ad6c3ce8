"""PX4 logs: positions in both spellings, times from the receiver, damage told."""

import random
import struct
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from domain.device import DeviceKind
from domain.place import Position
from services.ingest.fields import Unreadable
from services.ingest.track import Flown, Track
from services.ingest.ulog import MAGIC, read

REAL = Path(__file__).resolve().parents[3] / "shared/data/real/flight_logs"
NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
FLOWN = Flown("D1", DeviceKind.DRONE, NOW, ZoneInfo("Asia/Shanghai"))
BEGAN = datetime(2026, 5, 1, 1, 30, tzinfo=UTC)
BEGAN_US = int(BEGAN.timestamp()) * 1_000_000
BOOT_US = 20_000_000
CODES = {"uint64_t": "Q", "int32_t": "i", "uint8_t": "B", "float": "f", "double": "d"}

OLD_GPS = {
    "timestamp": "uint64_t", "time_utc_usec": "uint64_t", "lat": "int32_t", "lon": "int32_t",
    "alt": "int32_t", "alt_ellipsoid": "int32_t", "vel_m_s": "float", "vel_d_m_s": "float",
    "fix_type": "uint8_t",
}  # fmt: skip
NEW_GPS = {
    "timestamp": "uint64_t", "time_utc_usec": "uint64_t", "latitude_deg": "double",
    "longitude_deg": "double", "altitude_msl_m": "double", "altitude_ellipsoid_m": "double",
    "fix_type": "uint8_t",
}  # fmt: skip
GLOBAL = {
    "timestamp": "uint64_t", "lat": "double", "lon": "double", "alt": "float",
    "alt_ellipsoid": "float",
}  # fmt: skip
HOME = {"timestamp": "uint64_t", "alt": "float", "valid_alt": "uint8_t"}
LOCAL = {"timestamp": "uint64_t", "vx": "float", "vy": "float", "vz": "float"}
ATTITUDE = {"timestamp": "uint64_t"} | {f"q{i}": "float" for i in range(4)}
BATTERY = {"timestamp": "uint64_t", "remaining": "float"}

Topic = tuple[str, dict[str, str], Sequence[Sequence[float]]]


def message(kind: str, body: bytes) -> bytes:
    return struct.pack("<HB", len(body), ord(kind)) + body


def ulog(*topics: Topic) -> bytes:
    """Write a log as the format's definition has it: formats, subscriptions, data."""
    made = MAGIC + b"\x01" + struct.pack("<Q", BOOT_US) + message("B", bytes(40))
    for name, fields, _ in topics:
        form = "".join(f"{kind} {field};" for field, kind in fields.items())
        # A quaternion is an array in the format.
        form = form.replace("float q0;float q1;float q2;float q3;", "float[4] q;")
        made += message("F", f"{name}:{form}".encode())
    for i, (name, _, _) in enumerate(topics):
        made += message("A", struct.pack("<BH", 0, i) + name.encode())
    for i, (_, fields, rows) in enumerate(topics):
        codes = "<" + "".join(CODES[kind] for kind in fields.values())
        for row in rows:
            said = [v if c in "fd" else int(v) for v, c in zip(row, codes[1:], strict=True)]
            made += message("D", struct.pack("<H", i) + struct.pack(codes, *said))
    return made


def times(count: int, step_us: int = 1_000_000) -> list[int]:
    return [BOOT_US + i * step_us for i in range(count)]


def old_gps(count: int, fix: int = 3, step_us: int = 1_000_000) -> Topic:
    rows = [
        (t, BEGAN_US + t - BOOT_US, 225_251_000 + i, 1_133_558_000, 66_814, 106_766, 1.5, -0.5, fix)
        for i, t in enumerate(times(count, step_us))
    ]
    return "vehicle_gps_position", OLD_GPS, rows


def test_a_receivers_scaled_integers_become_degrees_and_metres() -> None:
    made = read(ulog(old_gps(3)), FLOWN)
    assert (made.found, made.read, made.notes) == (3, 3, ())
    first = made.rows[0]
    assert first.at == BEGAN
    assert first.position is not None
    assert first.position.lat_deg == pytest.approx(22.5251)
    assert first.position.lon_deg == pytest.approx(113.3558)
    assert first.height_ellipsoid_m == pytest.approx(106.766)
    assert (first.speed_m_s, first.climb_m_s) == (1.5, 0.5)
    assert (first.height_rel_m, first.battery_pct, first.heading_deg) == (None, None, None)


def test_degrees_of_later_versions_are_taken_as_they_are() -> None:
    gps = [(t, BEGAN_US + t - BOOT_US, 22.5, 113.3, 66.8, 106.7, 3) for t in times(2)]
    first, _ = read(ulog(("vehicle_gps_position", NEW_GPS, gps)), FLOWN).rows
    assert (first.position, first.height_ellipsoid_m) == (Position(22.5, 113.3), 106.7)


def test_the_fused_position_comes_first_and_the_rest_stands_beside_it() -> None:
    fused = [(t, 22.5, 113.3, 80.0, 90.0) for t in times(3)]
    half = 2**-0.5
    made = read(
        ulog(
            old_gps(3),
            ("vehicle_global_position", GLOBAL, fused),
            ("home_position", HOME, [(BOOT_US - 1, 55.0, 0), (BOOT_US, 60.0, 1)]),
            ("vehicle_local_position", LOCAL, [(t, 3.0, 4.0, -2.0) for t in times(3)]),
            ("vehicle_attitude", ATTITUDE, [(t, half, 0.0, 0.0, -half) for t in times(3)]),
            ("battery_status", BATTERY, [(BOOT_US, 0.63), (BOOT_US + 2_000_000, -1.0)]),
        ),
        FLOWN,
    )
    first, _, last = made.rows
    assert first.position == Position(22.5, 113.3)
    assert (first.height_ellipsoid_m, first.height_rel_m) == (90.0, 20.0)
    assert (first.speed_m_s, first.climb_m_s) == (5.0, 2.0)
    assert first.heading_deg == pytest.approx(270.0)
    assert first.battery_pct == pytest.approx(63.0)
    assert last.battery_pct is None, "-1 is PX4's word for not known"


def test_ten_a_second_become_five_and_a_second_reading_the_same() -> None:
    data = ulog(old_gps(50, step_us=100_000))
    made = read(data, FLOWN)
    assert (made.read, len(made.rows)) == (50, 25)
    assert read(data, FLOWN).rows == made.rows


def test_without_utc_the_start_is_wanted() -> None:
    data = ulog(("vehicle_global_position", GLOBAL, [(t, 22.5, 113.3, 1.0, 1.0) for t in times(2)]))
    with pytest.raises(Unreadable, match="--start"):
        read(data, FLOWN)
    flown = Flown("D1", DeviceKind.DRONE, NOW, FLOWN.zone, BEGAN)
    assert read(data, flown).rows[0].at == BEGAN


def test_positions_that_cannot_be_are_left_out_and_told() -> None:
    places = [(22.5, 113.3), (0.0, 0.0), (95.0, 113.3), (float("nan"), 113.3), (22.6, 113.3)]
    fused = [(t, *place, 1.0, 1.0) for t, place in zip(times(5), places, strict=True)]
    made = read(ulog(old_gps(1), ("vehicle_global_position", GLOBAL, fused)), FLOWN)
    assert (made.found, made.read, len(made.rows)) == (5, 2, 2)
    assert "2 of 5 positions read; first bad at position 2" in made.notes[0]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no ULog file"),
        (MAGIC + b"\x01", "damaged"),
        (ulog(("battery_status", BATTERY, [(BOOT_US, 0.5)])), "no position"),
        (ulog(old_gps(3, fix=1)), "no position"),
    ],
)
def test_what_is_no_track_is_refused_with_the_reason(data: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=why):
        read(data, FLOWN)


def test_a_log_cut_off_keeps_what_was_written() -> None:
    whole = ulog(old_gps(20))
    made = read(whole[: len(whole) - 500], FLOWN)
    assert 0 < made.read < 20


@pytest.mark.parametrize("seed", range(40))
def test_damaged_bytes_are_a_track_or_a_refusal(seed: int) -> None:
    rng = random.Random(seed)
    data = bytearray(ulog(old_gps(20), ("battery_status", BATTERY, [(BOOT_US, 0.5)])))
    for _ in range(rng.choice([1, 4, 40])):
        data[rng.randrange(len(data))] = rng.randrange(256)
    with suppress(Unreadable):
        assert isinstance(read(bytes(data[: rng.randrange(len(data))]), FLOWN), Track)


@pytest.mark.skipif(
    not REAL.is_dir(), reason="the shared real flight logs are not beside this tree"
)
def test_the_real_logs_are_tracks() -> None:
    small = read((REAL / "sample_log_small.ulg").read_bytes(), FLOWN)
    assert (small.found, small.read) == (32, 32)
    assert small.rows[0].at.isoformat().startswith("2021-04-21T06:30:58.6")
    assert small.rows[0].height_ellipsoid_m == pytest.approx(106.766)
    assert small.notes == ("the logger dropped 1 times, 0.0 s in all",)
    flown = read((REAL / "sample_px4_events_SIMULATED.ulg").read_bytes(), FLOWN)
    assert (flown.found, flown.rows[0].at.date().isoformat()) == (109, "2024-03-18")
    assert flown.rows[-1].height_rel_m == pytest.approx(0.1, abs=0.01)
    with pytest.raises(Unreadable, match="no ULog file"):
        read((REAL / "sample_info.txt").read_bytes(), FLOWN)
