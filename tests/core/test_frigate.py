"""Frigate: reviews begin, are raised and end; nothing of a face or a plate gets in."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from domain.observation import DeviceEvent, EventSeverity, EventState, Refusal
from services.ingest.decode import decode
from services.ingest.devices import Devices
from services.ingest.happenings import EventTold, event_news, is_stale
from services.ingest.heard import Heard
from simulators.district import generate

FOLDER = Path(__file__).parent.parent / "data/frigate"
AT = datetime.fromtimestamp(1795421002, UTC)
DISTRICT = generate(7)
DEVICES = Devices.of(DISTRICT)
CAMERA = DISTRICT.cameras[0].sn
PRIVATE = ("FACE-NAME", "PLATE-TEXT", "DESCRIPTION", "verified")


def payload(name: str, camera: str = CAMERA) -> bytes:
    return (FOLDER / f"{name}.json").read_bytes().replace(b"CAMERA", camera.encode())


def event(topic: str, name: str, at: datetime = AT) -> DeviceEvent:
    heard = decode(topic, payload(name), at, DEVICES)
    assert isinstance(heard, Heard), heard
    assert not any(word in repr(heard) for word in PRIVATE)
    (said,) = heard.observations
    assert isinstance(said, DeviceEvent)
    return said


def test_a_review_begins_is_raised_and_ends_under_one_key() -> None:
    told = [event("frigate/reviews", f"review-{n}") for n in ("1-new", "2-update", "3-end")]
    assert [e.state for e in told] == [EventState.BEGUN, EventState.UPDATED, EventState.ENDED]
    assert [(e.label, e.severity.value) for e in told] == [
        ("person", "notice"), ("smoke", "alert"), ("smoke", "alert"),
    ]  # fmt: skip
    assert {(e.device_sn, e.key, e.zone) for e in told} == {
        (CAMERA, "1795421000.250000-r1v2w3", "gate_1")
    }
    assert (told[2].at - told[0].at).total_seconds() == 40.25


def test_an_event_is_a_notice_with_its_score() -> None:
    said = event("frigate/events", "event-new")
    assert (said.label, said.severity, said.score) == ("car", EventSeverity.NOTICE, 0.81)
    assert (said.zone, said.box, said.time_clamped) == ("gate", None, False)


def test_what_came_late_or_from_an_odd_clock_is_stale() -> None:
    for late_s, stale in ((0, False), (290, False), (310, True), (8 * 86400, True), (-400, True)):
        said = event("frigate/reviews", "review-1-new", AT + timedelta(seconds=late_s))
        assert is_stale(said) is stale, late_s


def test_only_a_change_is_news() -> None:
    begun = event("frigate/reviews", "review-1-new")
    raised = event("frigate/reviews", "review-2-update")
    ended = event("frigate/reviews", "review-3-end")
    before: EventTold | None = None
    news = []
    for said in (begun, begun, raised, raised, begun, ended, ended, raised, begun):
        now = event_news(before, said)
        news.append(now is not None)
        before = now or before
    assert news == [True, False, True, False, False, True, False, False, False]
    quiet = replace(raised, severity=EventSeverity.NOTICE)
    assert event_news(None, quiet) is None
    assert event_news(None, raised) is not None


def test_a_snapshot_is_acknowledged_if_it_is_a_picture() -> None:
    topic = f"frigate/{CAMERA}/person/snapshot"
    assert decode(topic, b"\xff\xd8\xff\xe0", AT, DEVICES) == Heard()
    assert isinstance(decode(topic, b"GIF89a", AT, DEVICES), Refusal)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"camera": "STRANGER"}, "STRANGER is not registered"),
        ({"camera": "a b"}, "camera must be a serial"),
        ({"id": 7}, "after.id"),
        ({"severity": "high"}, "after.severity"),
        ({"data": {"objects": []}}, "both empty"),
        ({"data": {"objects": [{"a": 1}]}}, "data.objects"),
        ({"start_time": "now"}, "start_time"),
    ],
)
def test_a_refusal_names_the_field_and_keeps_no_bytes(change: dict[str, Any], reason: str) -> None:
    body = json.loads(payload("review-1-new"))
    body["after"] |= change
    said = decode("frigate/reviews", json.dumps(body).encode(), AT, DEVICES)
    assert isinstance(said, Refusal)
    assert reason in said.reason
    assert said.payload.startswith(b"not kept; SHA-256 ")
