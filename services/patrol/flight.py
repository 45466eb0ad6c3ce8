"""The life of one mission: what the ledger says of it (evolve) and what comes next (decide).

At most once: a step is first intended in the ledger, then sent, and an intended step is never sent
again. Without an answer its outcome is unknown; the dock's own progress, or a dock seen idle long
enough, resolves it. Asking an aircraft to come home is no take-off and may be asked anew, as a new
step with its own transaction.
"""

from collections.abc import Sequence
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
    MissionPurpose,
    MissionState,
)

_AIRBORNE_STEP = 24
_TERMINAL = {
    "ok": MissionOutcome.COMPLETED,
    "task_finish": MissionOutcome.COMPLETED,
    "partially_done": MissionOutcome.PARTIAL,
    "failed": MissionOutcome.FAILED,
    "rejected": MissionOutcome.FAILED,
    "timeout": MissionOutcome.FAILED,
    "canceled": MissionOutcome.CANCELLED,
}
_MACHINE = "patrol"
_LOST_WAY = ("wayline_failed", "wayline_cancel")


class Step(StrEnum):
    """A command whose loss must never be answered by sending it twice."""

    PREPARE = "prepare"
    EXECUTE = "execute"
    UNDO = "undo"
    TAKEOFF_TO_POINT = "takeoff_to_point"
    GRAB_AUTHORITY = "grab_authority"
    FLY_TO_POINT = "fly_to_point"
    FLY_TO_POINT_STOP = "fly_to_point_stop"
    PAUSE = "pause"
    RECOVERY = "recovery"
    RETURN_HOME = "return_home"


class Order(StrEnum):
    """What a person, or a rule of recall, tells a flight to do."""

    PAUSE = "pause"
    RESUME = "resume"
    RETURN_HOME = "return_home"


TAKE_OFFS = (Step.EXECUTE, Step.TAKEOFF_TO_POINT)
_DEPARTURES = (Step.EXECUTE, Step.TAKEOFF_TO_POINT, Step.FLY_TO_POINT)


@dataclass(frozen=True, slots=True)
class SentStep:
    """One step: intended, perhaps sent, and what came back. `answered_at` with `result` None means
    that no answer came in time."""

    step: str
    transaction_id: str
    intended_at: datetime
    answered_at: datetime | None = None
    result: int | None = None


@dataclass(frozen=True, slots=True)
class Ordered:
    """The latest order to a flight: by whom and why, and how many steps came before it."""

    order: Order
    by: str
    reason: str
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

    def pending(self) -> SentStep | None:
        """Return the step that awaits its answer."""
        return next((s for s in self.steps if s.answered_at is None), None)

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
    sent = SentStep(event.step, event.transaction_id, at)
    return replace(flight, state=state, steps=(*flight.steps, sent), changed_at=at)


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


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for what, in clock seconds (see PatrolPolicy)."""

    reply_s: float
    plan_stale_s: float
    quiet_s: float
    idle_enough_s: float
    look_s: float
    look_grace_s: float
    look_reach_s: float
    home_retry_s: float
    home_tries: int


@dataclass(frozen=True, slots=True)
class View:
    """What a decision sees besides the flight itself.

    `dock_idle_since` is None unless the dock is heard and idle with its aircraft inside; `other`
    is the carrier of a look that rides on a patrol, or the look a patrol is turned aside for;
    `in_flight` are the transactions whose answers this process is waiting for. `home_asked_by`
    called everything home; `controlled_by` has the drone in hand, and automatic steps stop.
    """

    dock_idle_since: datetime | None = None
    over_target: bool = False
    other: Flight | None = None
    can_finish: bool = True
    home_asked_by: str | None = None
    controlled_by: str | None = None
    in_flight: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Intend:
    """Commit the intent to the ledger, then send the step once."""

    step: Step
    actor: str = "patrol"


@dataclass(frozen=True, slots=True)
class GiveUpAnswer:
    """No answer came for a step: its outcome is unknown."""

    step: str
    transaction_id: str


@dataclass(frozen=True, slots=True)
class StartLook:
    """The drone is over its target."""


@dataclass(frozen=True, slots=True)
class End:
    """The sortie is over."""

    outcome: MissionOutcome
    reason: str


Next = Intend | GiveUpAnswer | StartLook | End | None


def decide(flight: Flight, view: View, at: datetime, patience: Patience) -> Next:
    """Return what comes next for an open mission, or None to wait. Pure."""
    if not flight.open:
        return None
    pending = flight.pending()
    if pending is not None and pending.transaction_id not in view.in_flight:
        overdue = (at - pending.intended_at).total_seconds() > patience.reply_s
        if overdue:
            return GiveUpAnswer(pending.step, pending.transaction_id)
    ended = _ended(flight, view, at, patience)
    if ended is not None:
        return _undone_first(flight, ended)
    if pending is not None:
        return None
    told = _told(flight, view, at, patience)
    if not isinstance(told, _Free):
        return told
    if flight.mission.purpose is MissionPurpose.PATROL:
        return _patrol(flight, view, at, patience)
    if flight.carrier_id is not None:
        return _carried_look(flight, view, at, patience)
    if flight.mission.by_wayline:
        return _wayline_look(flight, view)
    return _look(flight, view, at, patience)


class _Free:
    """Nobody has told the flight anything that still holds."""


def _told(flight: Flight, view: View, at: datetime, patience: Patience) -> Next | _Free:
    """What was ordered comes before what was planned; a drone in a person's hand does only that."""
    ordered, asked_by = flight.ordered, _called_home_by(flight, view)
    by_a_person = ordered is not None and ordered.by != _MACHINE
    if view.controlled_by is not None and view.home_asked_by is None and not by_a_person:
        return None
    if asked_by is not None and flight.carrier_id is None:
        if flight.airborne():
            return None if _homeward(flight) else _home(flight, at, patience, asked_by)
        if not any(s.step in TAKE_OFFS for s in flight.steps):
            return _undone_first(flight, End(MissionOutcome.CANCELLED, "called_home"))
        if flight.state is MissionState.EXECUTING and flight.last(Step.EXECUTE) is not None:
            # The dock is still checking: the flight is called off before its take-off.
            return Intend(Step.UNDO, asked_by) if flight.last(Step.UNDO) is None else None
    if ordered is not None and ordered.order is Order.PAUSE and flight.airborne():
        wanted = flight.state is MissionState.FLYING and flight.since_order(Step.PAUSE) is None
        return Intend(Step.PAUSE, ordered.by) if wanted else None
    resumed = ordered is not None and ordered.order is Order.RESUME and flight.airborne()
    if ordered is not None and resumed and flight.status == "paused":
        if flight.since_order(Step.RECOVERY) is None:
            return Intend(Step.RECOVERY, ordered.by)
        return None
    return None if view.controlled_by is not None else _Free()


def _called_home_by(flight: Flight, view: View) -> str | None:
    ordered = flight.ordered
    homeward = ordered is not None and ordered.order is Order.RETURN_HOME
    return view.home_asked_by or (ordered.by if ordered and homeward else None)


def _ended(flight: Flight, view: View, at: datetime, patience: Patience) -> End | None:
    """Terminal words of the dock, refusals, stale plans, and docks found idle."""
    own_sortie = flight.carrier_id is None
    if own_sortie and flight.status in _TERMINAL:
        return End(_outcome(flight, _TERMINAL[flight.status]), f"dock_{flight.status}")
    for step in (Step.PREPARE, Step.EXECUTE, Step.TAKEOFF_TO_POINT):
        sent = flight.last(step)
        if sent is not None and sent.result not in (0, None) and flight.progressed_at is None:
            return End(MissionOutcome.FAILED, f"{step.value}_refused_{sent.result}")
    waits = flight.state in (MissionState.PLANNED, MissionState.PREPARED)
    undo, execute = flight.last(Step.UNDO), flight.last(Step.EXECUTE)
    called_off = undo is not None and undo.answered_at is not None and execute is None
    stale = waits and _age_s(flight.changed_at, at) > patience.plan_stale_s
    if stale or (called_off and _called_home_by(flight, view) is None):
        return End(MissionOutcome.NEVER_FLOWN, "plan_stale")
    if not own_sortie or not flight.steps or view.dock_idle_since is None:
        return None
    quiet_since = max(flight.progressed_at or flight.changed_at, flight.changed_at)
    if _age_s(quiet_since, at) < patience.quiet_s:
        return None
    # Idle must have been seen after the last word, not before it.
    if _age_s(max(view.dock_idle_since, quiet_since), at) < patience.idle_enough_s:
        return None
    if flight.progressed_at is None:
        return End(MissionOutcome.NEVER_FLOWN, "dock_idle")
    return End(_outcome(flight, MissionOutcome.PARTIAL), "dock_idle")


def _undone_first(flight: Flight, ended: End) -> Next:
    """A flight that the dock agreed to and never began is undone before it is forgotten."""
    prepared, execute = flight.last(Step.PREPARE), flight.last(Step.EXECUTE)
    agreed = prepared is not None and prepared.result == 0 and flight.progressed_at is None
    if not agreed or (execute is not None and execute.result in (0, None)):
        return ended
    undo = flight.last(Step.UNDO)
    if undo is None:
        return Intend(Step.UNDO)
    return ended if undo.answered_at is not None else None


def _outcome(flight: Flight, told: MissionOutcome) -> MissionOutcome:
    """A look is complete when it was judged, whatever the dock calls the flight home."""
    if flight.mission.purpose is MissionPurpose.PATROL:
        return told
    return MissionOutcome.COMPLETED if flight.concluded is not None else MissionOutcome.FAILED


def _patrol(flight: Flight, view: View, at: datetime, patience: Patience) -> Next:
    match flight.state:
        case MissionState.PLANNED:
            return Intend(Step.PREPARE)
        case MissionState.PREPARED if flight.last(Step.UNDO) is None:
            return Intend(Step.EXECUTE)
        case MissionState.DIVERTED if not _homeward(flight):
            return _turned_aside(flight, view, at, patience)
        case _:
            return None


def _turned_aside(flight: Flight, view: View, at: datetime, patience: Patience) -> Next:
    look = view.other
    pause, recovery = flight.since_diversion(Step.PAUSE), flight.since_diversion(Step.RECOVERY)
    if look is not None and look.open:
        return Intend(Step.PAUSE) if pause is None else None
    if not view.can_finish:
        return _home(flight, at, patience)
    if recovery is None:
        return Intend(_back_to_wayline(flight, look))
    # Refused, or without an answer and without a word of progress: come home.
    late = _age_s(recovery.intended_at, at) > patience.reply_s * 3.0
    return _home(flight, at, patience) if recovery.result is not None or late else None


def _back_to_wayline(flight: Flight, look: Flight | None) -> Step:
    """A flight to a point that was not reached is stopped before the wayline goes on."""
    sent = look.last(Step.FLY_TO_POINT) if look is not None else None
    under_way = sent is not None and sent.result in (0, None)
    arrived = look is not None and look.status in ("wayline_ok", *_LOST_WAY)
    stopped = flight.since_diversion(Step.FLY_TO_POINT_STOP) is not None
    return Step.FLY_TO_POINT_STOP if under_way and not (arrived or stopped) else Step.RECOVERY


def _wayline_look(flight: Flight, view: View) -> Next:
    """A look whose way bends is a wayline: it circles over the target and comes home by itself."""
    if flight.state is MissionState.PLANNED:
        return Intend(Step.PREPARE)
    if flight.state is MissionState.PREPARED:
        return Intend(Step.EXECUTE)
    begins = flight.look_started_at is None and view.over_target and flight.airborne()
    return StartLook() if begins else None


def _look(flight: Flight, view: View, at: datetime, patience: Patience) -> Next:
    if flight.state is MissionState.PLANNED:
        return Intend(Step.TAKEOFF_TO_POINT)
    if flight.look_started_at is None:
        takeoff = flight.last(Step.TAKEOFF_TO_POINT)
        lost = flight.status in _LOST_WAY
        late = takeoff is not None and (_age_s(takeoff.intended_at, at) > patience.look_reach_s)
        if view.over_target and flight.airborne():
            return StartLook()
        return _home(flight, at, patience) if flight.airborne() and (lost or late) else None
    return _home(flight, at, patience) if _judged(flight, at, patience) else None


def _carried_look(flight: Flight, view: View, at: datetime, patience: Patience) -> Next:
    carrier = view.other
    if flight.look_started_at is not None and _judged(flight, at, patience):
        return End(_outcome(flight, MissionOutcome.PARTIAL), "look_over")
    if carrier is None or not carrier.open or _homeward(carrier):
        return End(_outcome(flight, MissionOutcome.FAILED), "carrier_left")
    if flight.look_started_at is not None:
        return None
    if flight.state is MissionState.PLANNED:
        pause = carrier.since_diversion(Step.PAUSE)
        if pause is None or pause.answered_at is None:
            return None
        if pause.result == 0 or carrier.status == "paused":
            return _under_own_control(flight, at, patience)
        return End(MissionOutcome.FAILED, f"pause_refused_{pause.result}")
    if view.over_target:
        return StartLook()
    sent = flight.last(Step.FLY_TO_POINT)
    if sent is not None and sent.result not in (0, None):
        return End(MissionOutcome.FAILED, f"fly_to_point_refused_{sent.result}")
    lost = flight.status in _LOST_WAY
    late = sent is not None and _age_s(sent.intended_at, at) > patience.look_reach_s / 2.0
    return End(MissionOutcome.FAILED, "target_not_reached") if lost or late else None


def _under_own_control(flight: Flight, at: datetime, patience: Patience) -> Next:
    """Flight control is taken before a flight to a point; a dock that will not is asked again."""
    asked = [s for s in flight.steps if s.step == Step.GRAB_AUTHORITY]
    if not asked:
        return Intend(Step.GRAB_AUTHORITY)
    if asked[-1].result == 0:
        return Intend(Step.FLY_TO_POINT)
    if len(asked) >= patience.home_tries:
        return End(MissionOutcome.FAILED, f"authority_refused_{asked[-1].result}")
    rested = _age_s(asked[-1].intended_at, at) > patience.reply_s
    return Intend(Step.GRAB_AUTHORITY) if rested else None


def _judged(flight: Flight, at: datetime, patience: Patience) -> bool:
    if flight.concluded is not None:
        return True
    deadline = flight.look_deadline_at
    return deadline is not None and _age_s(deadline, at) > patience.look_grace_s


def _homeward(flight: Flight) -> bool:
    sent = flight.last(Step.RETURN_HOME)
    return sent is not None and sent.result == 0


def _home(flight: Flight, at: datetime, patience: Patience, actor: str = "patrol") -> Next:
    """Ask the aircraft home, again after a while if the dock refused or did not answer."""
    told = flight.ordered
    since = told.after_steps if told is not None and told.order is Order.RETURN_HOME else 0
    asked: Sequence[SentStep] = [s for s in flight.steps[since:] if s.step == Step.RETURN_HOME]
    if not asked:
        return Intend(Step.RETURN_HOME, actor)
    if asked[-1].result == 0 or len(asked) >= patience.home_tries:
        return None
    rested = _age_s(asked[-1].intended_at, at) > patience.home_retry_s
    return Intend(Step.RETURN_HOME, actor) if rested else None


def _age_s(then: datetime, at: datetime) -> float:
    return (at - then).total_seconds()
