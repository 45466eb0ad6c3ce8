"""What comes next for one mission (decide), by what the ledger and the dock say of it. Pure.

At most once: a step is first intended in the ledger, then sent, and an intended step is never sent
again. Without an answer its outcome is unknown; the dock's own progress, or a dock seen idle long
enough, resolves it. Asking an aircraft to come home is no take-off and may be asked anew, as a new
step with its own transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from domain.mission import MissionOutcome, MissionPurpose, MissionState
from services.patrol.flight import TAKE_OFFS, Flight, Order, SentStep, Step

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
    called everything home, at `home_asked_at`; `controlled_by` has the drone in hand, and
    automatic steps stop. `camera` tells whether the aircraft's camera can be named to its dock.
    """

    dock_idle_since: datetime | None = None
    over_target: bool = False
    other: Flight | None = None
    can_finish: bool = True
    home_asked_by: str | None = None
    home_asked_at: datetime | None = None
    controlled_by: str | None = None
    camera: bool = False
    in_flight: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Intend:
    """Commit the intent to the ledger, then send the step once. `reason` is kept with it."""

    step: Step
    actor: str = "patrol"
    reason: str = ""


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
    if flight.helpless() and not _all_home_since(flight, view):
        # What it could not do for itself it is not asked to do again by a machine.
        return None
    if asked_by is not None and flight.carrier_id is None:
        if flight.airborne():
            return None if flight.homeward() else _home(flight, at, patience, asked_by)
        if not any(s.step in TAKE_OFFS for s in flight.steps):
            return _undone_first(flight, End(MissionOutcome.CANCELLED, "called_home"))
        if flight.state is MissionState.EXECUTING and flight.last(Step.EXECUTE) is not None:
            # The dock is still checking: the flight is called off before its take-off.
            return Intend(Step.UNDO, asked_by) if flight.last(Step.UNDO) is None else None
    if ordered is not None and ordered.order is Order.PAUSE and flight.airborne():
        wanted = flight.state is MissionState.FLYING and flight.since_order(Step.PAUSE) is None
        return Intend(Step.PAUSE, ordered.by) if wanted else None
    if ordered is not None and ordered.order is Order.CANCEL_RETURN and flight.airborne():
        # Then it hovers until a person says what comes next.
        wanted = flight.return_agreed() and flight.since_order(Step.CANCEL_RETURN) is None
        return Intend(Step.CANCEL_RETURN, ordered.by) if wanted else None
    resumed = ordered is not None and ordered.order is Order.RESUME and flight.airborne()
    if ordered is not None and resumed and flight.status == "paused":
        if flight.since_order(Step.RECOVERY) is None:
            return Intend(Step.RECOVERY, ordered.by)
        return None
    return None if view.controlled_by is not None else _Free()


def _all_home_since(flight: Flight, view: View) -> bool:
    asked_at, lost = view.home_asked_at, flight.given_up
    return asked_at is not None and lost is not None and asked_at > lost.at


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
        why = undo.reason if undo is not None else ""
        return End(MissionOutcome.NEVER_FLOWN, why or "plan_stale")
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
        case MissionState.DIVERTED if not flight.homeward():
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
    if flight.state is MissionState.PREPARED and flight.last(Step.UNDO) is None:
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
            return _camera_first(flight, view, at, patience)
        return _home(flight, at, patience) if flight.airborne() and (lost or late) else None
    return _home(flight, at, patience) if _judged(flight, at, patience) else _photo(flight)


def _carried_look(flight: Flight, view: View, at: datetime, patience: Patience) -> Next:
    carrier = view.other
    judged = flight.look_started_at is not None and _judged(flight, at, patience)
    if judged and not flight.mission.turns_back:
        return End(_outcome(flight, MissionOutcome.PARTIAL), "look_over")
    left = carrier is None or carrier.homeward() or carrier.given_up is not None
    if carrier is None or left or not carrier.open:
        return End(_outcome(flight, MissionOutcome.FAILED), "carrier_left")
    if judged:
        return _turned_back(flight, view, at, patience)
    if flight.look_started_at is not None:
        return _photo(flight)
    if flight.state is MissionState.PLANNED:
        pause = carrier.since_diversion(Step.PAUSE)
        if pause is None or pause.answered_at is None:
            return None
        if pause.result == 0 or carrier.status == "paused":
            return _under_own_control(flight, at, patience)
        return End(MissionOutcome.FAILED, f"pause_refused_{pause.result}")
    if view.over_target:
        turns_left = flight.points_sent <= len(flight.mission.turns)
        if turns_left:
            return Intend(Step.FLY_TO_POINT)
        return _camera_first(flight, view, at, patience)
    why = _not_there(flight, at, patience)
    return None if why is None else End(MissionOutcome.FAILED, why)


def _turned_back(flight: Flight, view: View, at: datetime, patience: Patience) -> Next:
    """After the look, back round closed airspace, a flight to a point at a time; where one fails
    the patrol goes on, or home, from where it is."""
    done = End(_outcome(flight, MissionOutcome.PARTIAL), "look_over")
    back = flight.points_sent - len(flight.mission.turns) - 1
    if back == 0:
        return Intend(Step.FLY_TO_POINT)
    if view.over_target:
        left = back < len(flight.mission.turns_back)
        return Intend(Step.FLY_TO_POINT) if left else done
    return None if _not_there(flight, at, patience) is None else done


def _not_there(flight: Flight, at: datetime, patience: Patience) -> str | None:
    """Return why the point last flown to is not reached, or None while it may be."""
    sent = flight.last(Step.FLY_TO_POINT)
    if sent is not None and sent.result not in (0, None):
        return f"fly_to_point_refused_{sent.result}"
    late = sent is not None and _age_s(sent.intended_at, at) > patience.look_reach_s / 2.0
    return "target_not_reached" if flight.status in _LOST_WAY or late else None


def _camera_first(flight: Flight, view: View, at: datetime, patience: Patience) -> Next:
    """The camera is taken in hand and pointed at the target before it is looked through. Where its
    dock will not give it, the look begins with it as it hangs: its pictures tell their worth."""
    if not view.camera or flight.called_home() is not None:
        return StartLook()
    asking = _asking(flight, Step.GRAB_PAYLOAD, at, patience)
    if asking is _Asked.AGREED:
        return Intend(Step.LOOK_AT) if flight.last(Step.LOOK_AT) is None else StartLook()
    if asking is _Asked.REFUSED:
        return StartLook()
    return Intend(Step.GRAB_PAYLOAD) if asking is _Asked.TO_ASK else None


def _photo(flight: Flight) -> Next:
    """One photograph of what the camera was pointed at, beside the pictures that are judged."""
    pointed = flight.last(Step.LOOK_AT)
    if pointed is None or pointed.result != 0 or flight.called_home() is not None:
        return None
    return Intend(Step.TAKE_PHOTO) if flight.last(Step.TAKE_PHOTO) is None else None


def _under_own_control(flight: Flight, at: datetime, patience: Patience) -> Next:
    """Flight control is taken before a flight to a point; a dock that will not is asked again."""
    asking = _asking(flight, Step.GRAB_AUTHORITY, at, patience)
    if asking is _Asked.AGREED:
        return Intend(Step.FLY_TO_POINT)
    if asking is _Asked.REFUSED:
        last = flight.last(Step.GRAB_AUTHORITY)
        result = last.result if last is not None else None
        return End(MissionOutcome.FAILED, f"authority_refused_{result}")
    return Intend(Step.GRAB_AUTHORITY) if asking is _Asked.TO_ASK else None


class _Asked(Enum):
    """How asking for control of something stands."""

    TO_ASK = "to_ask"
    RESTING = "resting"
    AGREED = "agreed"
    REFUSED = "refused"


def _asking(flight: Flight, step: Step, at: datetime, patience: Patience) -> _Asked:
    """Control may be asked for again: a few times, with a rest between."""
    asked = [s for s in flight.steps if s.step == step]
    if not asked:
        return _Asked.TO_ASK
    if asked[-1].result == 0:
        return _Asked.AGREED
    if len(asked) >= patience.home_tries:
        return _Asked.REFUSED
    rested = _age_s(asked[-1].intended_at, at) > patience.reply_s
    return _Asked.TO_ASK if rested else _Asked.RESTING


def _judged(flight: Flight, at: datetime, patience: Patience) -> bool:
    if flight.concluded is not None:
        return True
    deadline = flight.look_deadline_at
    return deadline is not None and _age_s(deadline, at) > patience.look_grace_s


def _home(flight: Flight, at: datetime, patience: Patience, actor: str = "patrol") -> Next:
    """Ask the aircraft home, again after a while if the dock refused or did not answer."""
    told = flight.ordered
    since = told.after_steps if told is not None and told.order is Order.RETURN_HOME else 0
    recent = min(flight.steps[since:], flight.since_return_cancelled(), key=len)
    asked: Sequence[SentStep] = [s for s in recent if s.step == Step.RETURN_HOME]
    if not asked:
        return Intend(Step.RETURN_HOME, actor)
    if asked[-1].result == 0 or len(asked) >= patience.home_tries:
        return None
    rested = _age_s(asked[-1].intended_at, at) > patience.home_retry_s
    return Intend(Step.RETURN_HOME, actor) if rested else None


def _age_s(then: datetime, at: datetime) -> float:
    return (at - then).total_seconds()
