"""ONVIF Profile M events and metadata as JSON over MQTT, with TopicPrefix `onvif/{sn}`. Pure.

Only the fields named here are read: places of objects, number plates and faces stop at this door.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from domain.ids import derive
from domain.observation import DeviceEvent, EventSeverity, EventState, ImageBox
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
from services.ingest.happenings import HAZARD_LABELS, camera, name
from services.ingest.heard import Heard

FRAMES_LIMIT = 100
OBJECTS_LIMIT = 200
ALERT_LIKELIHOOD = 0.5
"""Least likelihood at which a camera's fire or smoke is an alert."""
PROPERTIES = ("state", "isinside", "ismotion", "active", "failed", "value")
PRIVATE_CLASSES = ("humanface", "licenseplate")
TRUTHS = {"true": True, "1": True, "false": False, "0": False}
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NUMBER = re.compile(r"-?\d{1,9}(\.\d{1,12})?")


def read(topic: str, payload: bytes, received_at: datetime, devices: Devices) -> Heard:
    """Decode onvif/{sn}/onvif-ej/… or onvif/{sn}/onvif-mj/…. Raises Unreadable."""
    _, sn, way, *local = topic.split("/")
    sn = camera(sn, devices)
    if payload.lstrip().startswith(b"<"):
        raise Unreadable(
            "payload is XML: on the camera, set the event broker (AddEventBroker) to publish JSON,"
            f" topic prefix onvif/{sn}, topics onvif-ej and onvif-mj"
        )
    body = json_object(payload)
    if way == "onvif-ej":
        return Heard((_event(topic, sn, local, body, received_at),))
    if local[:1] != ["VideoAnalytics"]:
        return Heard()
    return Heard(tuple(_seen(topic, sn, body, received_at)))


def _event(
    topic: str, sn: str, local: list[str], body: dict[str, Any], received_at: datetime
) -> DeviceEvent:
    said = _folded(section(body, "message") or body)
    data, key = _folded(section(said, "data")), _folded(section(said, "key"))
    at, clamped = _time(body.get("UtcTime", body.get("timestamp")), "UtcTime", received_at)
    path = local[: next((i for i, level in enumerate(local) if level.startswith("&")), None)]
    classes = str(data.get("classtypes", "")).lower().split()
    label = next((h for h in HAZARD_LABELS if h in classes), None) or name(
        "_".join(_HUMP.sub("_", level) for level in path[-2:]), "topic"
    )
    thing = data.get("objectid", key.get("objectid", ""))
    identity = derive("onvif", topic, at.isoformat(), str(thing))
    state = EventState.INSTANT
    for word in PROPERTIES:
        truth = TRUTHS.get(str(data.get(word)).lower())
        if truth is not None:
            state = EventState.BEGUN if truth else EventState.ENDED
            break
    if str(said.get("propertyoperation", "")).lower() == "deleted":
        state = EventState.ENDED
    return DeviceEvent(
        sn, at, identity, label, state, _severity(label, None), None, None, None,
        received_at, clamped,
    )  # fmt: skip


def _seen(
    topic: str, sn: str, body: dict[str, Any], received_at: datetime
) -> Iterator[DeviceEvent]:
    for frame in _listed(body, "Frame", FRAMES_LIMIT):
        at, clamped = _time(frame.get("@UtcTime"), "@UtcTime", received_at)
        for thing in _listed(frame, "Object", OBJECTS_LIMIT):
            looks = section(thing, "Appearance")
            label, score = _class(looks)
            if label is None:
                continue
            who = str(thing.get("@UUID") or thing.get("@ObjectId", ""))
            # An object is named anew in many frames a second; a number is taken again some day.
            hour = at.replace(minute=0, second=0, microsecond=0)
            yield DeviceEvent(
                sn, at, derive("onvif", topic, hour.isoformat(), who), label, EventState.UPDATED,
                _severity(label, score), score, None, _box(frame, looks), received_at, clamped,
            )  # fmt: skip


def _severity(label: str, score: float | None) -> EventSeverity:
    sure = score is None or score >= ALERT_LIKELIHOOD
    return EventSeverity.ALERT if sure and label in HAZARD_LABELS else EventSeverity.NOTICE


def _class(looks: dict[str, Any]) -> tuple[str | None, float | None]:
    """Return the likeliest class of an object that is neither a face nor a number plate."""
    best: tuple[str | None, float | None] = None, None
    for said in _listed(section(looks, "Class"), "Type", OBJECTS_LIMIT):
        label = name(said.get("#text"), "Class.Type")
        score = _number(said, "@Likelihood", 0.0, 1.0)
        if label not in PRIVATE_CLASSES and (best[0] is None or (score or 0) > (best[1] or 0)):
            best = label, score
    return best


def _box(frame: dict[str, Any], looks: dict[str, Any]) -> ImageBox | None:
    """Return a box as shares of the picture; the camera's are -1..1 with y up."""
    box = section(section(looks, "Shape"), "BoundingBox")
    if not box:
        return None
    moved = section(frame, "Transformation")
    scale, shift = section(moved, "Scale"), section(moved, "Translate")

    def along(key: str, axis: str) -> float:
        value = _number(box, key, -1e6, 1e6)
        if value is None:
            raise Unreadable(f"BoundingBox {key} is missing")
        by, plus = _number(scale, axis, -1e6, 1e6), _number(shift, axis, -1e6, 1e6)
        return min(1.0, max(-1.0, value * (1.0 if by is None else by) + (plus or 0.0)))

    x_a, x_b = sorted((along("@left", "@x"), along("@right", "@x")))
    y_a, y_b = sorted((along("@bottom", "@y"), along("@top", "@y")))
    return ImageBox((x_a + 1) / 2, (1 - y_b) / 2, (x_b + 1) / 2, (1 - y_a) / 2)


def _listed(data: dict[str, Any], key: str, limit: int) -> list[dict[str, Any]]:
    """Return a list of objects; one alone may stand without its list."""
    value = data.get(key)
    value = [] if value is None else value if isinstance(value, list) else [value]
    if len(value) > limit or not all(isinstance(one, dict) for one in value):
        raise Unreadable(f"{key} must be a list of at most {limit} objects")
    return value


def _number(data: dict[str, Any], key: str, low: float, high: float) -> float | None:
    """Return a number; text that spells one counts, as XML's attributes become in JSON."""
    value = data.get(key)
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return number({key: float(value)}, key, low, high)
    return number(data, key, low, high)


def _folded(data: dict[str, Any]) -> dict[str, Any]:
    return {key.lower(): value for key, value in data.items()}


def _time(value: Any, key: str, received_at: datetime) -> tuple[datetime, bool]:
    """Return (told time, whether it is not believed)."""
    stamp_ms = value
    if isinstance(value, str):
        try:
            at = datetime.fromisoformat(text({key: value}, key) or "")
        except ValueError:
            raise Unreadable(f"{key} must be an ISO 8601 time") from None
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        stamp_ms = int(at.timestamp() * 1000)
    return told_time(stamp_ms), device_time(stamp_ms, received_at)[1]
