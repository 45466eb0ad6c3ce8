"""What somebody has to be told after an incident's events. Pure: codes and ids, no free text."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.codec import to_plain
from domain.events import (
    DispatchOffered,
    DispatchShort,
    DispatchWithdrawn,
    Event,
    IncidentEscalated,
    IncidentReported,
    IncidentReworked,
)
from domain.ids import derive
from domain.incident import Incident

DISPATCHERS = "role:dispatcher"


@dataclass(frozen=True, slots=True)
class Message:
    """One row of the outbox. `audience` is `responder:<id>` or `role:<role>`."""

    message_id: str
    incident_id: str
    audience: str
    kind: str
    data: dict[str, object]
    created_at: datetime


def messages(
    incident: Incident, events: Sequence[Event], first_version: int, at: datetime
) -> tuple[Message, ...]:
    """Return the messages of events numbered from `first_version` that led to `incident`."""
    told = []
    for version, event in enumerate(events, first_version):
        audience = _audience(incident, event)
        if audience is not None:
            told.append(_message(incident, event, version, audience, at))
    return tuple(told)


def _audience(incident: Incident, event: Event) -> str | None:
    if isinstance(event, DispatchOffered):
        return f"responder:{event.responder_id}"
    if isinstance(event, DispatchWithdrawn):
        by_id = {d.dispatch_id: d.responder_id for d in incident.dispatches}
        return f"responder:{by_id[event.dispatch_id]}"
    told = IncidentReported | DispatchShort | IncidentEscalated | IncidentReworked
    return DISPATCHERS if isinstance(event, told) else None


def _message(
    incident: Incident, event: Event, version: int, audience: str, at: datetime
) -> Message:
    data: dict[str, object] = {
        "kind": incident.kind.value,
        "severity": incident.severity.value,
        "position": to_plain(incident.position),
        "level": incident.level,
        "event": to_plain(event),
    }
    message_id = derive("message", incident.incident_id, str(version))
    return Message(message_id, incident.incident_id, audience, event.KIND, data, at)
