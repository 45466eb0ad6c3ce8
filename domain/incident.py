"""事件: the record of one happening, from report to close."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.hazard import HazardKind, Severity
from domain.place import Position
from domain.responder import Dispatch


class IncidentState(StrEnum):
    REPORTED = "reported"
    FILED = "filed"
    DISPATCHED = "dispatched"
    HANDLING = "handling"
    FEEDBACK = "feedback"
    VERIFYING = "verifying"
    CLOSED = "closed"
    DISMISSED = "dismissed"
    MERGED = "merged"
    DEFERRED = "deferred"
    SUSPENDED = "suspended"
    REWORK = "rework"


class CloseOutcome(StrEnum):
    HANDLED = "handled"
    FALSE_ALARM = "false_alarm"
    UNFOUNDED = "unfounded"
    HANDED_OVER = "handed_over"


class VerifiedBy(StrEnum):
    FLIGHT = "flight"
    PERSON = "person"


@dataclass(frozen=True, slots=True)
class Incident:
    """Everything the ledger says of one incident; folded by services/alerts."""

    incident_id: str
    version: int
    state: IncidentState
    kind: HazardKind
    severity: Severity
    position: Position
    cell_code: str | None
    police_code: str | None
    opened_at: datetime
    changed_at: datetime
    source: str
    hazard_ids: tuple[str, ...]
    evidence: tuple[str, ...]
    dispatches: tuple[Dispatch, ...] = ()
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    level: int = 0
    rework_count: int = 0
    verified_by: VerifiedBy | None = None
    outcome: CloseOutcome | None = None
    closed_at: datetime | None = None
