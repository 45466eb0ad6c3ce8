"""What the ledger may say. Each kind is one dataclass with its name and schema number.

No personal data, free text or evidence bytes stand here: ids and content hashes only.
Streams: hazard/<id> look/<mission> device/<sn> cell/<code> flight/<id> mission/<id> incident/<id>
erasure/<ref> ground_stop/<district> airspace/<code> application/<id> control/<drone_sn>
sight-rule/<code> calibration/<sn> reference/<sn>.
A person's own words are an erasable body; `note_ref` names it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from domain.clearance import FlightApplication
from domain.command import ControlReleased, ControlTaken, GroundStopLifted, GroundStopOrdered
from domain.evidence import EvidenceUnsealed, EvidenceViewed
from domain.hazard import Hazard, HazardKind, Severity
from domain.incident import CloseOutcome, VerifiedBy
from domain.mission import BreakPoint, LookOutcome, Mission, MissionOutcome, MissionPurpose
from domain.mission_return import ReturnGivenUp, ReturnRegained
from domain.observation import EventSeverity, EventState
from domain.place import Airspace, ErrorEllipse, Position
from domain.responder import Force
from domain.sight import (
    CameraCalibrated,
    ChangeSeen,
    ReferenceAccepted,
    ReferenceTaken,
    SightRuleChanged,
)


@dataclass(frozen=True, slots=True)
class HazardRaised:
    """watch: a hazard stood the vote and was placed on the ground. Stream hazard/<id>."""

    KIND: ClassVar[str] = "hazard.raised"
    SCHEMA: ClassVar[int] = 1
    hazard: Hazard


@dataclass(frozen=True, slots=True)
class HazardRenewed:
    """watch: the same hazard is still in sight, at most once per renewal interval."""

    KIND: ClassVar[str] = "hazard.renewed"
    SCHEMA: ClassVar[int] = 1
    hazard_id: str
    last_seen_at: datetime
    score: float


@dataclass(frozen=True, slots=True)
class LookConcluded:
    """watch: what a drone sent to look at a point saw there. Stream look/<mission>."""

    KIND: ClassVar[str] = "look.concluded"
    SCHEMA: ClassVar[int] = 1
    mission_id: str
    purpose: MissionPurpose
    incident_id: str | None
    hazard_id: str | None
    outcome: LookOutcome
    frames: int
    positive_frames: int
    evidence: tuple[str, ...]
    concluded_at: datetime


@dataclass(frozen=True, slots=True)
class CellSeen:
    """watch: a cell's ground was covered by a drone's frames. Stream cell/<code>.

    `share` is of the ground that may be flown, `whole_share` of the whole cell; the frames are of
    `began_at` to `seen_at`. Metres a pixel are those of the sharpest frame of each place, in the
    worse direction: the worst and the median over what was seen. None in entries of before.
    """

    KIND: ClassVar[str] = "cell.seen"
    SCHEMA: ClassVar[int] = 1
    cell_code: str
    flight_id: str
    drone_sn: str
    share: float
    seen_at: datetime
    began_at: datetime | None = None
    whole_share: float | None = None
    worst_m_per_px: float | None = None
    median_m_per_px: float | None = None


@dataclass(frozen=True, slots=True)
class DeviceAlarmRaised:
    """ingest: an alarm appeared in a device's current set. Stream device/<sn>."""

    KIND: ClassVar[str] = "device.alarm_raised"
    SCHEMA: ClassVar[int] = 1
    device_sn: str
    code: str
    level: int
    component: str
    at: datetime
    position: Position | None


@dataclass(frozen=True, slots=True)
class DeviceAlarmCleared:
    """ingest: an alarm is missing from the device's next complete set. Stream device/<sn>."""

    KIND: ClassVar[str] = "device.alarm_cleared"
    SCHEMA: ClassVar[int] = 1
    device_sn: str
    code: str
    component: str
    at: datetime


@dataclass(frozen=True, slots=True)
class DeviceEventNoted:
    """ingest: a camera's analytics began, raised or ended something. Stream device/<sn>.

    `stale`: told too late, or with a time nobody believes; nobody is sent for it.
    """

    KIND: ClassVar[str] = "device.event_noted"
    SCHEMA: ClassVar[int] = 1
    device_sn: str
    key: str
    label: str
    state: EventState
    severity: EventSeverity
    at: datetime
    position: Position | None
    stale: bool


@dataclass(frozen=True, slots=True)
class DeviceLinked:
    """ingest: a gateway told which aircraft it reaches now. Stream device/<gateway_sn>."""

    KIND: ClassVar[str] = "device.linked"
    SCHEMA: ClassVar[int] = 1
    gateway_sn: str
    drone_sns: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, slots=True)
class FlightProgressed:
    """ingest: a dock told of a flight's progress; on change of status, step or waypoint.

    Stream flight/<flight_id>. `status` is the vendor's word: sent in_progress ok paused rejected
    failed canceled timeout partially_done.
    """

    KIND: ClassVar[str] = "flight.progressed"
    SCHEMA: ClassVar[int] = 1
    flight_id: str
    gateway_sn: str
    status: str
    step: int | None
    percent: int | None
    waypoint_index: int | None
    break_reason: int | None
    result: int
    at: datetime
    break_point: BreakPoint | None = None


@dataclass(frozen=True, slots=True)
class MissionPlanned:
    """patrol: a mission was decided on. Stream mission/<id>."""

    KIND: ClassVar[str] = "mission.planned"
    SCHEMA: ClassVar[int] = 1
    mission: Mission


@dataclass(frozen=True, slots=True)
class MissionStepIntended:
    """patrol: about to send a command whose loss must never be answered by sending it twice.

    `step` is prepare, execute, undo, takeoff_to_point, grab_authority, fly_to_point,
    fly_to_point_stop, grab_payload, look_at, take_photo, pause, recovery, return_home or
    cancel_return;
    `transaction_id` is the tid the command will carry; `lease` the fencing token of the commander;
    `reason` why, where the step alone does not say (an undo after the take-off gate refused).
    """

    KIND: ClassVar[str] = "mission.step_intended"
    SCHEMA: ClassVar[int] = 1
    mission_id: str
    dock_sn: str
    step: str
    transaction_id: str
    lease: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MissionStepAnswered:
    """patrol: the dock answered, or no answer came in time (`result` None: outcome unknown)."""

    KIND: ClassVar[str] = "mission.step_answered"
    SCHEMA: ClassVar[int] = 1
    mission_id: str
    step: str
    transaction_id: str
    result: int | None


@dataclass(frozen=True, slots=True)
class LookStarted:
    """patrol: a drone is over the target; watch shall judge the frames from here on."""

    KIND: ClassVar[str] = "mission.look_started"
    SCHEMA: ClassVar[int] = 1
    mission_id: str
    purpose: MissionPurpose
    drone_sn: str
    target: Position
    kind: HazardKind
    radius_m: float
    incident_id: str | None
    hazard_id: str | None
    deadline_at: datetime


@dataclass(frozen=True, slots=True)
class MissionDiverted:
    """patrol: a flying patrol was turned aside for a look; its remaining cells are released."""

    KIND: ClassVar[str] = "mission.diverted"
    SCHEMA: ClassVar[int] = 1
    mission_id: str
    for_mission_id: str
    released_cells: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class MissionEnded:
    """patrol: the sortie is over."""

    KIND: ClassVar[str] = "mission.ended"
    SCHEMA: ClassVar[int] = 1
    mission_id: str
    outcome: MissionOutcome
    reason: str


@dataclass(frozen=True, slots=True)
class MissionOrdered:
    """A flight is told to pause, resume, return_home or cancel_return (people only): by a person,
    or by a rule of recall.

    `by` is the account, or patrol; `where` the airspace the rule met. Stream mission/<id>.
    """

    KIND: ClassVar[str] = "mission.ordered"
    SCHEMA: ClassVar[int] = 1
    mission_id: str
    order: str
    by: str
    reason: str
    where: str | None = None
    note_ref: str | None = None


@dataclass(frozen=True, slots=True)
class AirspaceAnnounced:
    """A temporary zone was made known; an `emergency` one may be at short notice (art. 20).
    Stream airspace/<code>."""

    KIND: ClassVar[str] = "airspace.announced"
    SCHEMA: ClassVar[int] = 1
    airspace: Airspace
    emergency: bool = False


@dataclass(frozen=True, slots=True)
class AirspaceWithdrawn:
    KIND: ClassVar[str] = "airspace.withdrawn"
    SCHEMA: ClassVar[int] = 1
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class ApplicationFiled:
    """A flight application went to the authority. Stream application/<id>."""

    KIND: ClassVar[str] = "application.filed"
    SCHEMA: ClassVar[int] = 1
    application: FlightApplication


@dataclass(frozen=True, slots=True)
class ApplicationDecided:
    """What the authority said; `number` is its own."""

    KIND: ClassVar[str] = "application.decided"
    SCHEMA: ClassVar[int] = 1
    application_id: str
    approved: bool
    number: str


@dataclass(frozen=True, slots=True)
class TakeOffConfirmed:
    """The authority confirmed take-offs between two times, reported to it at `reported_at`."""

    KIND: ClassVar[str] = "application.take_off_confirmed"
    SCHEMA: ClassVar[int] = 1
    application_id: str
    from_at: datetime
    until_at: datetime
    reported_at: datetime


@dataclass(frozen=True, slots=True)
class ApplicationWithdrawn:
    KIND: ClassVar[str] = "application.withdrawn"
    SCHEMA: ClassVar[int] = 1
    application_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class IncidentReported:
    """alerts: something happened. Stream incident/<id>. `cause` is a hazard, alarm or report id."""

    KIND: ClassVar[str] = "incident.reported"
    SCHEMA: ClassVar[int] = 1
    incident_id: str
    kind: HazardKind
    severity: Severity
    position: Position
    cell_code: str | None
    police_code: str | None
    source: str
    cause: str
    evidence: tuple[str, ...]
    ellipse: ErrorEllipse | None = None


@dataclass(frozen=True, slots=True)
class IncidentFused:
    """alerts: another sighting of the same happening, and why it was taken for the same."""

    KIND: ClassVar[str] = "incident.fused"
    SCHEMA: ClassVar[int] = 1
    incident_id: str
    cause: str
    distance_m: float
    apart_s: float
    score: float
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IncidentFiled:
    KIND: ClassVar[str] = "incident.filed"
    SCHEMA: ClassVar[int] = 1
    incident_id: str


@dataclass(frozen=True, slots=True)
class IncidentDismissed:
    KIND: ClassVar[str] = "incident.dismissed"
    SCHEMA: ClassVar[int] = 1
    incident_id: str
    outcome: CloseOutcome


@dataclass(frozen=True, slots=True)
class IncidentAcknowledged:
    KIND: ClassVar[str] = "incident.acknowledged"
    SCHEMA: ClassVar[int] = 1
    incident_id: str


@dataclass(frozen=True, slots=True)
class DispatchOffered:
    """alerts: a responder was asked; `reason` is a code the screens explain, never free text."""

    KIND: ClassVar[str] = "dispatch.offered"
    SCHEMA: ClassVar[int] = 1
    incident_id: str
    dispatch_id: str
    responder_id: str
    force: Force
    level: int
    reason: str
    distance_m: float


@dataclass(frozen=True, slots=True)
class DispatchShort:
    """alerts: nobody could be asked, and why (nobody_on_duty, all_busy, no_rule)."""

    KIND: ClassVar[str] = "dispatch.short"
    SCHEMA: ClassVar[int] = 1
    incident_id: str
    force: Force
    reason: str


@dataclass(frozen=True, slots=True)
class DispatchAccepted:
    KIND: ClassVar[str] = "dispatch.accepted"
    SCHEMA: ClassVar[int] = 1
    incident_id: str
    dispatch_id: str


@dataclass(frozen=True, slots=True)
class DispatchRefused:
    KIND: ClassVar[str] = "dispatch.refused"
    SCHEMA: ClassVar[int] = 1
    incident_id: str
    dispatch_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class DispatchArrived:
    KIND: ClassVar[str] = "dispatch.arrived"
    SCHEMA: ClassVar[int] = 1
    incident_id: str
    dispatch_id: str


@dataclass(frozen=True, slots=True)
class DispatchHandedBack:
    KIND: ClassVar[str] = "dispatch.handed_back"
    SCHEMA: ClassVar[int] = 1
    incident_id: str
    dispatch_id: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DispatchWithdrawn:
    KIND: ClassVar[str] = "dispatch.withdrawn"
    SCHEMA: ClassVar[int] = 1
    incident_id: str
    dispatch_id: str


@dataclass(frozen=True, slots=True)
class IncidentEscalated:
    """alerts: nobody acted in time; the next level is told. One per (incident, level)."""

    KIND: ClassVar[str] = "incident.escalated"
    SCHEMA: ClassVar[int] = 1
    incident_id: str
    level: int


@dataclass(frozen=True, slots=True)
class VerificationRequested:
    """alerts: patrol is asked to look whether the hazard is gone. `attempt` counts from 1."""

    KIND: ClassVar[str] = "incident.verification_requested"
    SCHEMA: ClassVar[int] = 1
    incident_id: str
    kind: HazardKind
    position: Position
    attempt: int


@dataclass(frozen=True, slots=True)
class IncidentVerified:
    """alerts: found gone by an independent check (`by`), with the after-picture."""

    KIND: ClassVar[str] = "incident.verified"
    SCHEMA: ClassVar[int] = 1
    incident_id: str
    by: VerifiedBy
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IncidentReworked:
    """alerts: still there; back to dispatched."""

    KIND: ClassVar[str] = "incident.reworked"
    SCHEMA: ClassVar[int] = 1
    incident_id: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IncidentClosed:
    KIND: ClassVar[str] = "incident.closed"
    SCHEMA: ClassVar[int] = 1
    incident_id: str
    outcome: CloseOutcome


@dataclass(frozen=True, slots=True)
class PersonalDataErased:
    """An erasable body was deleted with its salt; `ref` is all that remains."""

    KIND: ClassVar[str] = "personal_data.erased"
    SCHEMA: ClassVar[int] = 1
    ref: str


Event = (
    HazardRaised
    | HazardRenewed
    | LookConcluded
    | CellSeen
    | DeviceAlarmRaised
    | DeviceAlarmCleared
    | DeviceEventNoted
    | DeviceLinked
    | FlightProgressed
    | MissionPlanned
    | MissionStepIntended
    | MissionStepAnswered
    | LookStarted
    | MissionDiverted
    | MissionEnded
    | MissionOrdered
    | ReturnGivenUp
    | ReturnRegained
    | GroundStopOrdered
    | GroundStopLifted
    | AirspaceAnnounced
    | AirspaceWithdrawn
    | ApplicationFiled
    | ApplicationDecided
    | TakeOffConfirmed
    | ApplicationWithdrawn
    | ControlTaken
    | ControlReleased
    | IncidentReported
    | IncidentFused
    | IncidentFiled
    | IncidentDismissed
    | IncidentAcknowledged
    | DispatchOffered
    | DispatchShort
    | DispatchAccepted
    | DispatchRefused
    | DispatchArrived
    | DispatchHandedBack
    | DispatchWithdrawn
    | IncidentEscalated
    | VerificationRequested
    | IncidentVerified
    | IncidentReworked
    | IncidentClosed
    | SightRuleChanged
    | CameraCalibrated
    | ReferenceTaken
    | ChangeSeen
    | ReferenceAccepted
    | EvidenceViewed
    | EvidenceUnsealed
    | PersonalDataErased
)

KINDS: dict[str, type[Event]] = {cls.KIND: cls for cls in Event.__args__}
