"""What stands over the district now: ground stop, temporary zones, approvals, drones in hand.

Each is one row folded from its own ledger stream (`ground_stop/<district>`, `airspace/<code>`,
`application/<id>`, `control/<drone_sn>`); a flight is judged by all of them together. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from domain.clearance import ApplicationState, FlightApplication, StandingApproval
from domain.command import ControlReleased, ControlTaken, GroundStopLifted, GroundStopOrdered
from domain.events import (
    AirspaceAnnounced,
    AirspaceWithdrawn,
    ApplicationDecided,
    ApplicationFiled,
    ApplicationWithdrawn,
    Event,
    TakeOffConfirmed,
)
from domain.place import Airspace

CONFIRMATIONS_LIMIT = 64
STREAMS = ("ground_stop", "airspace", "application", "control")


@dataclass(frozen=True, slots=True)
class GroundStop:
    """停飞. Nothing takes off until a person lifts it; `all_home` also calls home what flies."""

    by: str
    at: datetime
    reason: str
    all_home: bool


@dataclass(frozen=True, slots=True)
class Control:
    """A person commands this drone; automatic commands to it stop."""

    drone_sn: str
    by: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Confirmation:
    """Take-offs from `from_at` up to `until_at` were confirmed."""

    from_at: datetime
    until_at: datetime
    reported_at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Clearance:
    """An application with what became of it."""

    application: FlightApplication
    state: ApplicationState
    filed_at: datetime
    filed_by: str
    number: str = ""
    decided_at: datetime | None = None
    confirmations: tuple[Confirmation, ...] = ()


@dataclass(frozen=True, slots=True)
class Zone:
    """A temporary zone as it was announced; `emergency` zones may be announced at short notice."""

    airspace: Airspace
    announced_at: datetime
    by: str
    emergency: bool = False


State = GroundStop | Control | Zone | Clearance


@dataclass(frozen=True, slots=True)
class SkyRow:
    """One stream folded. `state` None: nothing stands (any more)."""

    stream: str
    version: int
    state: State | None

    @property
    def until(self) -> datetime | None:
        """Return when it stops to matter by itself."""
        match self.state:
            case Zone(airspace=airspace):
                return airspace.valid_to
            case Clearance(application=application):
                return application.ends_at
            case _:
                return None


@dataclass(frozen=True, slots=True)
class SkyNow:
    """Everything that stands."""

    stop: GroundStop | None = None
    announced: tuple[Zone, ...] = ()
    clearances: tuple[Clearance, ...] = ()
    controls: Mapping[str, Control] | None = None

    @property
    def zones(self) -> tuple[Airspace, ...]:
        return tuple(zone.airspace for zone in self.announced)

    def control(self, drone_sn: str) -> Control | None:
        return (self.controls or {}).get(drone_sn)


def state_type(stream: str) -> type[State]:
    """Return what a stream folds into. Raises ValueError for a stream of another kind."""
    kind = stream.partition("/")[0]
    match kind:
        case "ground_stop":
            return GroundStop
        case "airspace":
            return Zone
        case "application":
            return Clearance
        case "control":
            return Control
        case _:
            raise ValueError(f"{stream} is not about the sky")


def evolve(state: State | None, event: Event, actor: str, at: datetime) -> State | None:
    """Fold one event of a stream; what does not concern it changes nothing."""
    match event:
        case GroundStopOrdered():
            return GroundStop(actor, at, event.reason, event.all_home)
        case AirspaceAnnounced():
            return Zone(event.airspace, at, actor, event.emergency)
        case ControlTaken():
            return Control(event.drone_sn, actor, at, event.reason)
        case GroundStopLifted() | AirspaceWithdrawn() | ControlReleased():
            return None
        case ApplicationFiled():
            return Clearance(event.application, ApplicationState.FILED, at, actor)
        case _ if isinstance(state, Clearance):
            return _clearance(state, event, actor, at)
        case _:
            return state


def _clearance(clearance: Clearance, event: Event, actor: str, at: datetime) -> Clearance:
    match event:
        case ApplicationDecided():
            state = ApplicationState.APPROVED if event.approved else ApplicationState.REJECTED
            return replace(clearance, state=state, number=event.number, decided_at=at)
        case TakeOffConfirmed():
            given = Confirmation(event.from_at, event.until_at, event.reported_at, actor)
            kept = (*clearance.confirmations, given)[-CONFIRMATIONS_LIMIT:]
            return replace(clearance, confirmations=kept)
        case ApplicationWithdrawn():
            return replace(clearance, state=ApplicationState.WITHDRAWN)
        case _:
            return clearance


def sky_now(
    rows: tuple[SkyRow, ...], approvals: tuple[StandingApproval, ...], at: datetime
) -> SkyNow:
    """Return what stands at a time: rows, and the approvals registered with the district."""
    stop: GroundStop | None = None
    zones, controls = [], {}
    clearances = [
        Clearance(a.application, ApplicationState.APPROVED, a.application.starts_at, "", a.number)
        for a in approvals
        if a.application.ends_at > at
    ]
    for row in rows:
        match row.state:
            case GroundStop():
                stop = row.state
            case Control():
                controls[row.state.drone_sn] = row.state
            case Zone() if row.until is None or row.until > at:
                zones.append(row.state)
            case Clearance() if row.state.application.ends_at > at:
                clearances.append(row.state)
            case _:
                pass
    return SkyNow(stop, tuple(zones), tuple(clearances), controls)
