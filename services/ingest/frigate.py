"""Frigate's reviews and events, its camera names being registered serials. Pure.

Only the fields named here are read: sub-labels, number plates and descriptions stop at this door.
"""

from datetime import datetime
from typing import Any

from domain.observation import DeviceEvent, EventSeverity, EventState
from services.ingest.devices import Devices
from services.ingest.fields import (
    Unreadable,
    device_time,
    json_object,
    number,
    section,
    text,
    told_time,
)
from services.ingest.frames import JPEG_START
from services.ingest.happenings import HAZARD_LABELS, camera, name
from services.ingest.heard import Heard

REVIEWS = "frigate/reviews"
EVENTS = "frigate/events"
NAMES_LIMIT = 100
LATEST_S = 2.0**33
KEY_LIMIT_CHARACTERS = 64

STATES = {"new": EventState.BEGUN, "update": EventState.UPDATED, "end": EventState.ENDED}
SEVERITIES = {"alert": EventSeverity.ALERT, "detection": EventSeverity.NOTICE}


def read(topic: str, payload: bytes, received_at: datetime, devices: Devices) -> Heard:
    """Decode frigate/reviews, frigate/events or a snapshot. Raises Unreadable."""
    if topic not in (REVIEWS, EVENTS):
        if not payload.startswith(JPEG_START):
            raise Unreadable("snapshot must be a JPEG")
        return Heard()
    body = json_object(payload)
    state = STATES.get(text(body, "type") or "")
    if state is None:
        raise Unreadable("type must be new, update or end")
    after = section(body, "after")
    if after.get("false_positive") is True:
        return Heard()
    sn = camera(text(after, "camera") or "", devices)
    key = _identity(after.get("id"), "after.id")
    if topic == REVIEWS:
        data = section(after, "data")
        label, zone, score = _review_label(data), _first(data, "zones"), None
        severity = SEVERITIES.get(text(after, "severity") or "")
        if severity is None:
            raise Unreadable("after.severity must be alert or detection")
        told_s = _review_time_s(after, data, state)
    else:
        label, zone = name(after.get("label"), "after.label"), _first(after, "current_zones")
        # Whether it matters is for the review to say, which holds the same happening.
        severity, score = EventSeverity.NOTICE, number(after, "score", 0.0, 1.0)
        told_s = _seconds(after, "frame_time") or _seconds(after, "start_time")
    stamp_ms = int(told_s * 1000)
    _, clamped = device_time(stamp_ms, received_at)
    # Boxes are pixels of a stream whose size is not told.
    event = DeviceEvent(
        sn, told_time(stamp_ms), key, label, state, severity, score, zone, None,
        received_at, clamped,
    )  # fmt: skip
    return Heard((event,))


def _identity(value: Any, field: str) -> str:
    if (
        not isinstance(value, str)
        or not 0 < len(value) <= KEY_LIMIT_CHARACTERS
        or not all(c.isascii() and (c.isalnum() or c in ".-_") for c in value)
    ):
        raise Unreadable(f"{field} must be an id of up to {KEY_LIMIT_CHARACTERS} characters")
    return value


def _seconds(data: dict[str, Any], key: str) -> float:
    return number(data, key, 0.0, LATEST_S) or 0.0


def _names(data: dict[str, Any], key: str) -> list[Any]:
    value = data.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > NAMES_LIMIT:
        raise Unreadable(f"{key} must be a list of at most {NAMES_LIMIT}")
    return value


def _first(data: dict[str, Any], key: str) -> str | None:
    return next((name(zone, key) for zone in _names(data, key)), None)


def _review_label(data: dict[str, Any]) -> str:
    """Return the gravest thing a review holds: fire or smoke, else the first object or sound."""
    seen = [
        name(said, "data.objects").removesuffix("-verified") for said in _names(data, "objects")
    ]
    heard = [name(said, "data.audio") for said in _names(data, "audio")]
    labels = [*(label for label in HAZARD_LABELS if label in seen), *seen, *heard]
    if not labels:
        raise Unreadable("data.objects and data.audio are both empty")
    return labels[0]


def _review_time_s(after: dict[str, Any], data: dict[str, Any], state: EventState) -> float:
    """Return the newest time a review tells: a detection's id begins with when it began."""
    times_s = [_seconds(after, "start_time")]
    if state is EventState.ENDED:
        times_s.append(_seconds(after, "end_time"))
    for said in _names(data, "detections"):
        began = _identity(said, "data.detections").partition("-")[0]
        if began.replace(".", "", 1).isdigit():
            times_s.append(min(float(began), LATEST_S))
    return max(times_s)
