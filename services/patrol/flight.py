"""The life of one mission: what the ledger says of it (evolve). next_step.py decides by it."""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from domain.events import (
    Event,
    FlightProgressed,
    LookConcluded,
    LookStarted,
    MissionDiverted,
    MissionEnded,
    MissionOrdered,
    MissionPlanned,
    MissionStepAnswered,
    MissionStepIntended,
)
from domain.mission import (
    BreakPoint,
    LookOutcome,
    Mission,
    MissionOutcome,
    MissionState,
)
from domain.mission_return import ReturnGivenUp, ReturnRegained

_AIRBORNE_STEP = 24


class Step(StrEnum):
    """A command whose loss must never be answered by sending it twice."""

    PREPARE = "prepare"
    EXECUTE = "execute"
    UNDO = "undo"
    TAKEOFF_TO_POINT = "takeoff_to_point"
    GRAB_AUTHORITY = "grab_authority"
    FLY_TO_POINT = "fly_to_point"
    FLY_TO_POINT_STOP = "fly_to_point_stop"
    GRAB_PAYLOAD = "grab_payload"
    LOOK_AT = "look_at"
    TAKE_PHOTO = "take_photo"
    PAUSE = "pause"
    RECOVERY = "recovery"
    RETURN_HOME = "return_home"
    CANCEL_RETURN = "cancel_return"


class Order(StrEnum):
    """What a person, or a rule of recall, tells a flight to do. Only people cancel a return."""

    PAUSE = "pause"
    RESUME = "resume"
    RETURN_HOME = "return_home"
    CANCEL_RETURN = "cancel_return"


TAKE_OFFS = (Step.EXECUTE, Step.TAKEOFF_TO_POINT)
_DEPARTURES = (Step.EXECUTE, Step.TAKEOFF_TO_POINT, Step.FLY_TO_POINT)


@dataclass(frozen=True, slots=True)
class SentStep:
    """One step: intended, perhaps sent, and what came back. `answered_at` with `result` None means
    that no answer came in time; `reason` says why it was sent, where the step alone does not."""

    step: str
    transaction_id: str
    intended_at: datetime
    answered_at: datetime | None = None
    result: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ordered:
    """The latest order to a flight: by whom and why, and how many steps came before it."""

    order: Order
    by: str
    reason: str
    at: datetime
    after_steps: int


@dataclass(frozen=True, slots=True)
class GivenUp:
    """The aircraft gave up its return home: why (the vendor's reason), and after how many steps."""

    reason: int
    at: datetime
    after_steps: int


@dataclass(frozen=True, slots=True)
class Flight:
    """A mission folded from the ledger. `version` is that of its stream mission/<id>.

    `carrier_id` is the patrol a look rides on (None: it took off for the look itself);
    `diverted_for` is the look a patrol is turned aside for.
    """

    mission: Mission
    version: int
    state: MissionState
    changed_at: datetime
    steps: tuple[SentStep, ...] = ()
    status: str | None = None
    progressed_at: datetime | None = None
    current_step: int | None = None
    percent: int | None = None
    waypoint_index: int | None = None
    break_reason: int | None = None
    break_point: BreakPoint | None = None
    result: int = 0
    carrier_id: str | None = None
    diverted_for: str | None = None
    steps_before_diversion: int = 0
    released_cells: tuple[str, ...] = ()
    look_started_at: datetime | None = None
    look_deadline_at: datetime | None = None
    concluded: LookOutcome | None = None
    outcome: MissionOutcome | None = None
    reason: str = ""
    ordered: Ordered | None = None
    given_up: GivenUp | None = None

    @property
    def open(self) -> bool:
        return self.state is not MissionState.ENDED

    def last(self, step: Step) -> SentStep | None:
        """Return the latest step of a kind."""
        return next((s for s in reversed(self.steps) if s.step == step), None)

    def since_diversion(self, step: Step) -> SentStep | None:
        """Return the latest step of a kind sent since the patrol was last turned aside."""
        recent = self.steps[self.steps_before_diversion :]
        return next((s for s in reversed(recent) if s.step == step), None)

    def since_order(self, step: Step) -> SentStep | None:
        """Return the latest step of a kind sent since the latest order."""
        recent = self.steps[self.ordered.after_steps if self.ordered else 0 :]
        return next((s for s in reversed(recent) if s.step == step), None)

    def since_return_cancelled(self) -> tuple[SentStep, ...]:
        """Return the steps sent after the dock last agreed to break off a return, or after the
        aircraft gave up the one it was on."""
        ends = [
            i + 1
            for i, s in enumerate(self.steps)
            if s.step == Step.CANCEL_RETURN and s.result == 0
        ]
        ends.append(self.given_up.after_steps if self.given_up is not None else 0)
        return self.steps[max(ends) :]

    def called_home(self) -> SentStep | None:
        """Return the latest call home, unless that return was broken off."""
        recent = reversed(self.since_return_cancelled())
        return next((s for s in recent if s.step == Step.RETURN_HOME), None)

    def return_agreed(self) -> bool:
        """Tell whether the dock agreed to a call home that still stands."""
        called = self.called_home()
        return called is not None and called.result == 0

    def homeward(self) -> bool:
        """Tell whether it comes home as called. One that gave up does when it is seen doing so,
        not when its dock agrees to ask it again."""
        return self.given_up is None and self.return_agreed()

    def helpless(self) -> bool:
        """Tell whether it gave up its return and nobody has told it anything since."""
        lost, told = self.given_up, self.ordered
        return lost is not None and (told is None or told.at <= lost.at)

    def pending(self) -> SentStep | None:
        """Return the step that awaits its answer."""
        return next((s for s in self.steps if s.answered_at is None), None)

    @property
    def points_sent(self) -> int:
        """How many of the points it is flown to the dock has been told."""
        return sum(s.step == Step.FLY_TO_POINT for s in self.steps)

    def airborne(self) -> bool:
        """Tell whether the aircraft may be off its dock."""
        return self.state in (MissionState.FLYING, MissionState.DIVERTED)


def touched(event: Event) -> tuple[str, ...]:
    """Return the missions an event changes."""
    match event:
        case MissionPlanned():
            return (event.mission.mission_id,)
        case MissionDiverted():
            return (event.mission_id,)
        case FlightProgressed():
            return (event.flight_id,)
        case (
            MissionStepIntended()
            | MissionStepAnswered()
            | MissionOrdered()
            | LookStarted()
            | MissionEnded()
            | LookConcluded()
            | ReturnGivenUp()
            | ReturnRegained()
        ):
            return (event.mission_id,)
        case _:
            return ()


def opened(event: MissionPlanned, at: datetime, carrier_id: str | None) -> Flight:
    """Return the flight a plan opens."""
    return Flight(event.mission, 1, MissionState.PLANNED, at, carrier_id=carrier_id)


def evolve(flight: Flight, event: Event, at: datetime) -> Flight:
    """Fold one event of a mission; what does not concern it changes nothing. Pure."""
    if not flight.open and not isinstance(event, LookConcluded):
        return flight
    match event:
        case MissionStepIntended():
            return _intended(flight, event, at)
        case MissionStepAnswered():
            return _answered(flight, event, at)
        case FlightProgressed():
            return _progressed(flight, event, at)
        case MissionDiverted():
            return replace(
                flight,
                state=MissionState.DIVERTED,
                diverted_for=event.for_mission_id,
                steps_before_diversion=len(flight.steps),
                released_cells=event.released_cells,
                changed_at=at,
            )
        case MissionOrdered():
            ordered = Ordered(
                Order(event.order), event.by, event.reason, at, after_steps=len(flight.steps)
            )
            return replace(flight, ordered=ordered)
        case ReturnGivenUp():
            return replace(flight, given_up=GivenUp(event.reason, at, len(flight.steps)))
        case ReturnRegained():
            return replace(flight, given_up=None)
        case LookStarted():
            return replace(
                flight, look_started_at=at, look_deadline_at=event.deadline_at, changed_at=at
            )
        case LookConcluded():
            return replace(flight, concluded=event.outcome)
        case MissionEnded():
            return replace(
                flight,
                state=MissionState.ENDED,
                outcome=event.outcome,
                reason=event.reason,
                changed_at=at,
            )
        case _:
            return flight


def _intended(flight: Flight, event: MissionStepIntended, at: datetime) -> Flight:
    state = flight.state
    if event.step == Step.PREPARE:
        state = MissionState.PREPARING
    elif event.step in _DEPARTURES:
        state = MissionState.EXECUTING
    sent = SentStep(event.step, event.transaction_id, at, reason=event.reason)
    # What was said of the point before says nothing of this one.
    status = None if event.step == Step.FLY_TO_POINT else flight.status
    return replace(flight, state=state, status=status, steps=(*flight.steps, sent), changed_at=at)


def _answered(flight: Flight, event: MissionStepAnswered, at: datetime) -> Flight:
    known = next((s for s in flight.steps if s.transaction_id == event.transaction_id), None)
    if known is None or known.result is not None:
        return flight
    steps = tuple(
        replace(s, answered_at=at, result=event.result)
        if s.transaction_id == event.transaction_id and s.result is None
        else s
        for s in flight.steps
    )
    flight = replace(flight, steps=steps, changed_at=at)
    waiting = flight.state in (
        MissionState.PREPARING,
        MissionState.EXECUTING,
        MissionState.UNKNOWN,
    )
    if event.step == Step.PREPARE and waiting:
        state = MissionState.UNKNOWN if event.result is None else MissionState.PREPARED
        return replace(flight, state=state)
    if event.step in _DEPARTURES and waiting:
        state = MissionState.UNKNOWN if event.result is None else MissionState.EXECUTING
        return replace(flight, state=state)
    if event.step == Step.RECOVERY and flight.state is MissionState.DIVERTED:
        pause = flight.since_diversion(Step.PAUSE)
        never_paused = pause is None or pause.result not in (0, None)
        if event.result == 0 or (event.result is not None and never_paused):
            return replace(flight, state=MissionState.FLYING, diverted_for=None)
    return flight


def _progressed(flight: Flight, event: FlightProgressed, at: datetime) -> Flight:
    if event.status == "sent":
        return flight
    state = flight.state
    departed = any(s.step in _DEPARTURES for s in flight.steps)
    if departed and state is not MissionState.DIVERTED:
        off_ground = event.step is None or event.step >= _AIRBORNE_STEP
        state = MissionState.FLYING if off_ground else MissionState.EXECUTING
    recovery, diverted_for = flight.since_diversion(Step.RECOVERY), flight.diverted_for
    resumed = recovery is not None and at > recovery.intended_at and event.status == "in_progress"
    if state is MissionState.DIVERTED and resumed:
        state, diverted_for = MissionState.FLYING, None
    return replace(
        flight,
        state=state,
        diverted_for=diverted_for,
        status=event.status,
        progressed_at=at,
        current_step=flight.current_step if event.step is None else event.step,
        percent=flight.percent if event.percent is None else event.percent,
        waypoint_index=(
            flight.waypoint_index if event.waypoint_index is None else event.waypoint_index
        ),
        break_reason=event.break_reason or flight.break_reason,
        break_point=_break_point(flight, event),
        result=event.result or flight.result,
    )


def _break_point(flight: Flight, event: FlightProgressed) -> BreakPoint | None:
    """The last one told stands, until the wayline is flown on."""
    flies_on = event.status == "in_progress"
    return event.break_point if event.break_point is not None or flies_on else flight.break_point
