"""Dataclasses to JSON and back, and what is refused on the way."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.codec import canonical, from_plain, instant_text, to_plain
from domain.events import CellSeen, IncidentReported
from domain.hazard import Detection, HazardKind, Severity
from domain.place import Area, ErrorEllipse, Position

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
REPORT = IncidentReported(
    "i", HazardKind.SMOKE, Severity.HIGH, Position(22.5, 113.3), None, "p", "watch", "h",
    ("aa", "bb"), ErrorEllipse(3.0, 2.0, 40.0),
)  # fmt: skip
finite = st.floats(allow_nan=False, allow_infinity=False)
detections = st.builds(Detection, st.text(), finite, finite, finite, finite, finite)
times = st.datetimes(timezones=st.just(UTC))


@given(st.builds(CellSeen, st.text(), st.text(), st.text(), finite, times))
def test_what_goes_out_comes_back(seen: CellSeen) -> None:
    assert from_plain(CellSeen, json.loads(canonical(seen))) == seen


@given(detections)
def test_numbers_and_text_survive(detection: Detection) -> None:
    assert from_plain(Detection, json.loads(canonical(detection))) == detection


def test_nested_values_survive() -> None:
    assert from_plain(IncidentReported, json.loads(canonical(REPORT))) == REPORT
    ring = ((1.0, 2.0), (3.0, 4.0), (1.0, 2.0))
    assert from_plain(Area, to_plain(Area(((ring,),)))) == Area(((ring,),))


def test_canonical_text_is_one_text() -> None:
    assert canonical({"b": 1, "a": "网格"}) == '{"a":"网格","b":1}'


def test_times_are_utc_with_microseconds() -> None:
    east = AT.astimezone(timezone(timedelta(hours=8)))
    assert instant_text(east) == "2026-11-23T08:00:00.000000Z"
    with pytest.raises(ValueError, match="zone"):
        instant_text(AT.replace(tzinfo=None))


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_json_does_not_know_are_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        canonical(number)


@pytest.mark.parametrize(
    ("field", "value", "where"),
    [
        ("kind", "flood", "kind must be one of"),
        ("position", {"lat_deg": 91.0, "lon_deg": 0.0}, "lat_deg"),
        ("position", {"lat_deg": "22", "lon_deg": 0.0}, "position.lat_deg must be float"),
        ("position", None, "position must be an object"),
        ("evidence", "aa", "evidence must be a list"),
        ("evidence", [1], r"evidence\[0\] must be str"),
        ("incident_id", True, "incident_id must be str"),
    ],
)
def test_a_field_that_does_not_fit_is_named(field: str, value: Any, where: str) -> None:
    with pytest.raises(ValueError, match=where):
        from_plain(IncidentReported, to_plain(REPORT) | {field: value})


def test_a_missing_field_is_named() -> None:
    with pytest.raises(ValueError, match="seen_at"):
        from_plain(CellSeen, {"cell_code": "1", "flight_id": "f", "drone_sn": "d", "share": 1})
