"""What may be asked of an incident, by a person or by the loop, and how it is refused."""

from dataclasses import dataclass
from datetime import datetime

from domain.hazard import HazardKind, Severity
from domain.incident import CloseOutcome
from domain.mission import LookOutcome
from domain.place import ErrorEllipse, Position
from domain.responder import Force


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a command was not taken: a code the screens explain, the field at fault, the cure."""

    code: str
    field: str
    cure: str


@dataclass(frozen=True, slots=True)
class Open:
    incident_id: str
    kind: HazardKind
    severity: Severity
    position: Position
    cell_code: str | None
    police_code: str | None
    source: str
    cause: str
    evidence: tuple[str, ...]
    ellipse: ErrorEllipse | None


@dataclass(frozen=True, slots=True)
class Fuse:
    """Another sighting of the same happening; score 0..1 and its two distances."""

    cause: str
    distance_m: float
    apart_s: float
    score: float
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class File:
    pass


@dataclass(frozen=True, slots=True)
class Dismiss:
    """不予立案: before anybody was dispatched."""

    outcome: CloseOutcome


@dataclass(frozen=True, slots=True)
class Acknowledge:
    pass


@dataclass(frozen=True, slots=True)
class Offer:
    dispatch_id: str
    responder_id: str
    force: Force
    reason: str
    distance_m: float


@dataclass(frozen=True, slots=True)
class FallShort:
    force: Force
    reason: str


@dataclass(frozen=True, slots=True)
class Accept:
    dispatch_id: str


@dataclass(frozen=True, slots=True)
class Refuse:
    dispatch_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Arrive:
    dispatch_id: str


@dataclass(frozen=True, slots=True)
class HandBack:
    dispatch_id: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Escalate:
    """`level` is the one to be reached: the present one plus one."""

    level: int


@dataclass(frozen=True, slots=True)
class RequestVerification:
    """`attempt` is the one to be made: those made in this round plus one."""

    attempt: int


@dataclass(frozen=True, slots=True)
class ConcludeLook:
    """A verification flight saw the place at `concluded_at`."""

    outcome: LookOutcome
    concluded_at: datetime
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VerifyByPerson:
    """Somebody else went or looked. `responder_id` is None for staff of the command centre."""

    gone: bool
    responder_id: str | None
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VerifyByDevice:
    """The device's complete alarm set no longer holds any alarm of this fault."""


@dataclass(frozen=True, slots=True)
class Close:
    """结案 without handling: false_alarm or unfounded. Handled closes through verification."""

    outcome: CloseOutcome


Command = (
    Open
    | Fuse
    | File
    | Dismiss
    | Acknowledge
    | Offer
    | FallShort
    | Accept
    | Refuse
    | Arrive
    | HandBack
    | Escalate
    | RequestVerification
    | ConcludeLook
    | VerifyByPerson
    | VerifyByDevice
    | Close
)
