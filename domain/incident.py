"""事件: the record of one happening, from report to close."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.hazard import HazardKind, Severity
from domain.place import ErrorEllipse, Position
from domain.responder import Dispatch, Force


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
    """The independent check. DEVICE: the device's own complete alarm set lacks the fault now."""

    FLIGHT = "flight"
    PERSON = "person"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class Incident:
    """Everything the ledger says of one incident; folded by services/alerts.

    `sightings` counts every report of it, duplicates too. `short` names the forces nobody could be
    found for. `standing` are the device alarms not yet cleared (device faults only). `looks` are
    the missions that looked at it. A dispatch offered before `reworked_at` belongs to an earlier
    round of handling.
    """

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
    ellipse: ErrorEllipse | None = None
    last_seen_at: datetime | None = None
    sightings: int = 1
    short: tuple[Force, ...] = ()
    verification_attempts: int = 0
    reworked_at: datetime | None = None
    standing: tuple[str, ...] = ()
    looks: tuple[str, ...] = ()
