"""DJI subtitles: every family, what is put nowhere, and what is wrong with a file said."""

import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.device import DeviceKind
from domain.place import Position
from services.ingest.fields import Unreadable
from services.ingest.srt import read
from services.ingest.track import Flown, Track, history

REAL = Path(__file__).resolve().parents[3] / "shared/data/real/dji_srt"
NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
FLOWN = Flown("D1", DeviceKind.DRONE, NOW, ZoneInfo("Asia/Shanghai"))
BRACKETS = (
    '<font size="28">FrameCnt: 1, DiffTime: 33ms\n2026-05-01 09:30:00.250\n[focal_len: 24.00]'
    " [latitude: 22.525100] [longitude: 113.355800] [rel_alt: 61.300 abs_alt: 70.902]"
    " [gb_yaw: -90.0 gb_pitch: -45.5 gb_roll: 0.0] </font>"
)
ONE_LINE = (
    "F/5.6, SS 400, ISO 100, EV +0.7, GPS (113.3558, 22.5251, 16), HOME (113.3500, 22.5200, 7.6m),"
    " D 153.32m, H 17.39m, H.S 1.84m/s, V.S 0.50m/s, F.PRY (-8.9°, 2.9°, -75.0°),"
    " G.PRY (-27.3°, 0.0°, -76.0°)"
)


def subtitles(*texts: str, step_s: float = 1.0, end: str = "\n") -> bytes:
    blocks = []
    for i, text in enumerate(texts):
        cue = f"00:00:{i * step_s:06.3f}".replace(".", ",")
        blocks.append(f"{i + 1}\n{cue} --> 00:01:00,000\n{text}\n")
    return "\n".join(blocks).replace("\n", end).encode()


def dated(second: int, gps: str = "GPS(113.3558,22.5251,16) BAROMETER:1.9") -> str:
    return f"HOME(113.3550,22.5250) 2026.5.1 09:30:{second:02d}\n{gps}\nISO:100 Shutter:60"


def test_named_values_are_read_and_sea_level_is_put_nowhere() -> None:
    (row,) = read(subtitles(BRACKETS), FLOWN).rows
    assert row.at == datetime(2026, 5, 1, 1, 30, 0, 250_000, UTC), "a camera's clock is local"
    assert row.position == Position(22.5251, 113.3558)
    assert (row.height_rel_m, row.height_ellipsoid_m, row.height_agl_m) == (61.3, None, None)
    assert (row.gimbal_pitch_deg, row.gimbal_yaw_deg) == (-45.5, 270.0)
    assert not row.time_clamped


def test_the_first_models_misspelt_longitude_and_told_microseconds() -> None:
    text = "2026-05-01 09:30:00,720,764\n[latitude : 31.45] [longtitude : 74.39] [altitude: 213.9]"
    (row,) = read(subtitles(text), FLOWN).rows
    assert row.at.microsecond == 720_764
    assert (row.position, row.height_rel_m) == (Position(31.45, 74.39), None)


def test_blocks_without_a_cue_are_blocks() -> None:
    text = b"1\n2026.05.01 09:30:00,393,525,393,525\n[latitude : -20.25] [longtitude : 149.02]\n"
    assert read(text, FLOWN).rows[0].position == Position(-20.25, 149.02)


def test_home_is_never_taken_for_the_aircraft() -> None:
    made = read(subtitles(dated(0), dated(1, "")), FLOWN)
    assert (made.found, made.read) == (2, 1)
    assert made.rows[0].position == Position(22.5251, 113.3558)
    assert made.rows[0].height_rel_m == 1.9
    assert made.notes == ("1 of 2 blocks read; first bad at block 2: it tells no position",)


@pytest.mark.parametrize(
    ("gps", "lat", "lon"),
    [
        ("GPS(113.3558,22.5251,16)", 22.5251, 113.3558),
        ("GPS(22.5251,113.3558,16)", 22.5251, 113.3558),
        # Nothing beyond 90°: satellites come after the longitude first, metres after the latitude.
        ("GPS (8.2090, 47.4692, 18)", 47.4692, 8.2090),
        ("GPS(36.6146,-6.1120,0.0M) BAROMETER:0.3M", 36.6146, -6.1120),
        ("GPS(36.6146,-6.1120,69.800) BAROMETER(91.2)", 36.6146, -6.1120),
    ],
)
def test_the_order_of_gps_differs_by_model(gps: str, lat: float, lon: float) -> None:
    assert read(subtitles(dated(0, gps)), FLOWN).rows[0].position == Position(lat, lon)


def test_both_orders_in_one_file_are_not_guessed_at() -> None:
    mixed = subtitles(dated(0), dated(1, "GPS(22.5251,113.3558,16)"))
    with pytest.raises(Unreadable, match="in both orders"):
        read(mixed, FLOWN)


def test_a_file_without_a_date_wants_the_start() -> None:
    with pytest.raises(Unreadable, match="--start"):
        read(subtitles(ONE_LINE), FLOWN)
    start = datetime(2026, 5, 1, 9, 30, tzinfo=FLOWN.zone)
    first, second = read(
        subtitles(ONE_LINE, ONE_LINE), Flown("D1", DeviceKind.DRONE, NOW, FLOWN.zone, start)
    ).rows
    assert (first.at, (second.at - first.at).total_seconds()) == (start, 1.0)
    assert first.position == Position(22.5251, 113.3558)
    told = (first.height_rel_m, first.speed_m_s, first.heading_deg, first.climb_m_s)
    assert told == (17.39, 1.84, 285.0, None)
    assert (first.gimbal_pitch_deg, first.gimbal_yaw_deg) == (-27.3, 284.0)


def test_a_frame_rate_is_thinned_to_five_a_second() -> None:
    texts = [
        f"2026-05-01 09:30:00.{ms:03d}\n[latitude: 22.5] [longitude: 113.3]"
        for ms in range(0, 1000, 33)
    ]
    made = read(subtitles(*texts), FLOWN)
    assert (made.read, len(made.rows)) == (31, 5)
    assert made.notes == ()


def test_rows_come_in_time_order_with_the_same_keys_each_time() -> None:
    data = subtitles(dated(9), dated(3), dated(6))
    first, again = read(data, FLOWN), read(data.replace(b"\n", b"\r\n"), FLOWN)
    assert [row.at.second for row in first.rows] == [3, 6, 9]
    assert history(first.rows).key.tolist() == history(again.rows).key.tolist()


def test_history_is_believed_however_old() -> None:
    columns = history(read(subtitles(dated(0), dated(1)), FLOWN).rows)
    assert columns.flags.tolist() == [0, 0]
    assert columns.state_us().tolist() == columns.at_us.tolist()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no subtitle blocks"),
        (b"\x00\xff\xfe" * 50, "no subtitle blocks"),
        (b"1\n00:00:00,000 --> 00:00:01,000\nHello\n", "it tells no position"),
        (subtitles(dated(0, "GPS(0.0,0.0,0)")), "0, 0"),
        (subtitles(dated(0, "GPS(95.0,22.5,16)").replace("2026.5.1", "2026.13.1")), "is no time"),
        (subtitles(dated(0, "GPS(1113.35,22.5,16)")), "no place on Earth"),
        (subtitles(dated(0, "GPS(113.3,22.5,16) BAROMETER:99999")), "height must lie"),
        (subtitles(dated(0).replace("2026.5.1", "2027.5.1")), "--timezone"),
        (subtitles(dated(0).replace("2026.5.1", "0001.1.1")), "is no time"),
    ],
)
def test_what_is_no_track_is_refused_with_the_reason(data: bytes, why: str) -> None:
    with pytest.raises(Unreadable, match=re.escape(why)):
        read(data, FLOWN)


@given(st.lists(st.sampled_from([BRACKETS, ONE_LINE, dated(1), "[", "GPS(", "\x00", "2026-"])),
       st.integers(0, 400), st.binary(max_size=20))  # fmt: skip
def test_any_bytes_are_a_track_or_a_refusal(texts: list[str], at: int, noise: bytes) -> None:
    data = subtitles(*texts)
    with suppress(Unreadable):
        assert isinstance(read(data[:at] + noise + data[at:], FLOWN), Track)


REFUSED = {
    "mavic_air.SRT": "tells no position",
    "mavic_mini.SRT": "--start",
    "p4p_sample.SRT": "--start",
}
PLACES = {
    "air2s.srt": (17, 41.42, 2.23),
    "broken_incomplete.SRT": (19, -34.74, -58.46),
    "m2zoom.SRT": (7113, 31.45, 74.40),
    "mavic_2_style.SRT": (468, -20.25, 149.03),
    "mavic_pro.SRT": (468, -20.25, 149.03),
    "mix_p4rtk_mavic2pro.srt": (6, -34.65, -59.41),
    "old_format.SRT": (468, -20.25, 149.03),
}


@pytest.mark.skipif(not REAL.is_dir(), reason="the shared real subtitles are not beside this tree")
def test_every_real_file_is_a_track_or_refused_with_the_reason() -> None:
    files = [path for path in sorted(REAL.iterdir()) if path.suffix.lower() == ".srt"]
    assert {path.name for path in files} == REFUSED.keys() | PLACES.keys()
    for path in files:
        if path.name in REFUSED:
            with pytest.raises(Unreadable, match=REFUSED[path.name]):
                read(path.read_bytes(), FLOWN)
            continue
        made = read(path.read_bytes(), FLOWN)
        where = made.rows[0].position
        assert where is not None
        blocks, lat, lon = PLACES[path.name]
        assert (made.read, round(where.lat_deg, 2), round(where.lon_deg, 2)) == (blocks, lat, lon)
        assert (made.read < made.found) == bool(made.notes)


@pytest.mark.skipif(not REAL.is_dir(), reason="the shared real subtitles are not beside this tree")
@pytest.mark.parametrize(("name", "rows"), [("mavic_mini.SRT", 117), ("p4p_sample.SRT", 5)])
def test_real_files_without_a_date_import_with_a_start(name: str, rows: int) -> None:
    flown = Flown("D1", DeviceKind.DRONE, NOW, FLOWN.zone, datetime(2026, 1, 1, tzinfo=UTC))
    assert len(read((REAL / name).read_bytes(), flown).rows) == rows
