"""Columns say what the messages said: keys, flags, newest states, and the bytes of the COPY."""

import random
import struct
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from domain.device import DeviceKind
from domain.observation import FlightPhase, Telemetry
from domain.place import Position
from geo.cells import CellIndex, CellRaster
from services.ingest.columns import (
    COPY_HEAD,
    COPY_TAIL,
    OUT_OF_ORDER,
    REDELIVERED,
    UNBELIEVED_TIME,
    Columns,
    Gathered,
    microseconds,
)
from services.ingest.newest import merge, newest
from services.ingest.sample import Sample
from simulators.district import generate

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
AT_MS = microseconds(AT) // 1000
KINDS = {"D1": DeviceKind.DRONE, "DOCK-2": DeviceKind.DOCK}
DISTRICT = generate(7)
FIELDS = ("speed_m_s", "battery_pct")


def of(gathered: Gathered) -> Columns:
    return Columns.of(gathered, KINDS, AT)


def samples(*told: dict[str, Any], sn: str = "D1", again: bool = False) -> Gathered:
    made = [Sample(**{"at": AT_MS, **each}) for each in told]
    return Gathered([], made, [(sn, len(made), again)])


def test_a_sample_meets_its_copy_and_nothing_else() -> None:
    columns = of(
        samples({"speed_m_s": 1.0}, {"speed_m_s": 1.0}, {"climb_m_s": 1.0}, {"phase": "idle"}, {})
    )
    keys = columns.key.tolist()
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4
    packed_otherwise = of(samples({"speed_m_s": 1.0}, again=True))
    assert packed_otherwise.key.tolist() == keys[:1]
    assert packed_otherwise.flags.tolist() == [REDELIVERED]


def test_odd_times_are_flagged_and_count_for_nothing() -> None:
    columns = of(samples({"at": AT_MS + 400_000}, {"at": AT_MS}, {"at": AT_MS - 5}, {"at": 1}))
    known = columns.mark_out_of_order({"D1": 0})
    assert columns.flags.tolist() == [UNBELIEVED_TIME, 0, OUT_OF_ORDER, UNBELIEVED_TIME]
    assert known == {"D1": AT_MS * 1000}
    later = of(samples({"at": AT_MS - 1}))
    later.mark_out_of_order(known)
    assert later.flags.tolist() == [OUT_OF_ORDER]
    assert newest([columns])["D1"].at_us == microseconds(AT), "what is not believed is of now"


def test_messages_and_samples_become_rows_that_read_back_as_they_were() -> None:
    place = Position(22.5, 113.3)
    row = Telemetry(
        "DOCK-2", DeviceKind.DOCK, AT - timedelta(seconds=1), -5, AT, place, wind_m_s=2.0
    )
    gathered = samples({"latitude": 22.25, "longitude": 113.5, "phase": "idle"}, {"latitude": 1.0})
    gathered.rows.append(row)
    columns = of(gathered)
    assert columns.message(0) is row
    told = columns.message(1)
    assert (told.device_sn, told.position, told.phase) == (
        "D1",
        Position(22.25, 113.5),
        FlightPhase.IDLE,
    )
    assert columns.message(2).position is None, "a lone half is no fix"
    columns.cell_codes, columns.cell = ("cell-1",), np.array([0, -1, -1])
    encoded = columns.copy_rows()
    assert encoded.startswith(COPY_HEAD)
    assert encoded.endswith(COPY_TAIL)
    first, second, third = rows_of(encoded)
    assert (first[0], first[14], second[13]) == (b"DOCK-2", b"cell-1", b"idle")
    assert first[2] == struct.pack(">q", -5)
    assert second[4] == struct.pack(">d", 22.25)
    assert third[4:15] == [None] * 11
    assert [len(each) for each in (first, second, third)] == [16, 16, 16]


def rows_of(encoded: bytes) -> list[list[bytes | None]]:
    """Read the binary COPY format by its description."""
    at, rows = len(COPY_HEAD), []
    while (count := struct.unpack_from(">h", encoded, at)[0]) >= 0:
        at += 2
        fields: list[bytes | None] = []
        for _ in range(count):
            (length,) = struct.unpack_from(">i", encoded, at)
            at += 4
            fields.append(None if length < 0 else encoded[at : at + length])
            at += max(length, 0)
        rows.append(fields)
    return rows


def test_the_newest_state_of_a_batch_is_that_of_its_messages_one_by_one() -> None:
    dice = random.Random(3)
    told = [
        {"at": AT_MS - dice.randrange(5_000)}
        | {
            name: dice.uniform(0, 50)
            for name in ("speed_m_s", "battery_pct")
            if dice.random() < 0.5
        }
        for _ in range(60)
    ]
    whole = newest([of(samples(*told))])["D1"]
    fields: dict[str, Any] = {}
    stamps: dict[str, int] = {}
    for each in told:
        fields, stamps = merge(fields, stamps, newest([of(samples(each))])["D1"])
    assert (whole.fields, whole.told_us) == (fields, stamps)
    halves = newest([of(samples(*told[:30])), of(samples(*told[30:]))])
    assert (halves["D1"].fields, halves["D1"].told_us) == (fields, stamps)


def test_the_raster_answers_as_the_exact_test_does() -> None:
    index = CellIndex(DISTRICT.cells)
    bounds = index.bounds
    assert bounds is not None
    west, south, east, north = bounds
    rng = np.random.default_rng(5)
    lat = rng.uniform(south - 0.002, north + 0.002, 6_000)
    lon = rng.uniform(west - 0.002, east + 0.002, 6_000)
    corners = [p for cell in DISTRICT.cells for rings in cell.area.polygons for p in rings[0]]
    lat = np.append(lat, [lat_deg for _, lat_deg in corners])
    lon = np.append(lon, [lon_deg for lon_deg, _ in corners])
    raster = CellRaster(index)
    plain = index.assign(lat, lon)
    for _ in range(2):
        codes, found = raster.assign(lat, lon)
        assert [None if i < 0 else codes[i] for i in found.tolist()] == plain
        raster.draw()
    assert raster.assign(np.array([np.nan]), np.array([np.nan]))[1].tolist() == [-1]
