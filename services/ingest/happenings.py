"""What a camera's analytics tell: names that are safe to keep, and what is news. Pure."""

import re
from dataclasses import dataclass

from domain.device import DeviceKind
from domain.observation import DeviceEvent, EventSeverity, EventState
from services.ingest.devices import Devices
from services.ingest.fields import SERIAL, Unreadable

STALE_EVENT_S = 300.0
HAZARD_LABELS = ("fire", "smoke")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True, slots=True)
class EventTold:
    """What the ledger knows of one happening."""

    label: str
    state: EventState
    severity: EventSeverity


def camera(sn: str, devices: Devices) -> str:
    """Return the serial of a registered camera. Raises Unreadable."""
    if not SERIAL.fullmatch(sn):
        raise Unreadable(f"camera must be a serial number of letters and digits, got {sn[:64]!r}")
    if devices.kinds.get(sn) is not DeviceKind.CAMERA:
        raise Unreadable(f"camera {sn} is not registered: name it there as it is registered here")
    return sn


def name(value: object, field: str) -> str:
    """Return a label or zone as lower-case letters, digits, `_`, `-`. Raises Unreadable."""
    said = value.strip().lower().replace(" ", "_") if isinstance(value, str) else None
    if said is None or not _NAME.fullmatch(said):
        raise Unreadable(f"{field} must be a name of up to 64 letters and digits")
    return said


def is_stale(event: DeviceEvent) -> bool:
    """Tell whether it came too late, or with too odd a time, to send anybody."""
    return event.time_clamped or (event.received_at - event.at).total_seconds() > STALE_EVENT_S


def event_news(before: EventTold | None, event: DeviceEvent) -> EventTold | None:
    """Return what is to be told of a happening now, None where that is nothing new.

    News is a beginning, a severity raised, an alert under another label, and an end; what ended
    stays so. An update of something never told is news if it is an alert.
    """
    now = EventTold(event.label, event.state, event.severity)
    alert = event.severity is EventSeverity.ALERT
    if before is None:
        return now if alert or event.state is not EventState.UPDATED else None
    if before.state in (EventState.ENDED, EventState.INSTANT):
        return None
    raised = alert and (before.severity, before.label) != (event.severity, event.label)
    return now if raised or event.state is EventState.ENDED else None
