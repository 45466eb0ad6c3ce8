"""事件的一生: which command is legal when. Pure; `fold.evolve` says what each event makes of it.

reported → filed → dispatched → handling → feedback → verifying → closed, with dismissed before
dispatch and rework back to dispatched. Nothing closes as handled but by an independent check:
`IncidentVerified` and `IncidentClosed(handled)` are decided together, from one conclusion.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from domain.events import (
    DispatchAccepted,
    DispatchArrived,
    DispatchHandedBack,
    DispatchOffered,
    DispatchRefused,
    DispatchShort,
    DispatchWithdrawn,
    Event,
    IncidentAcknowledged,
    IncidentClosed,
    IncidentDismissed,
    IncidentEscalated,
    IncidentFiled,
    IncidentFused,
    IncidentReported,
    IncidentReworked,
    IncidentVerified,
    VerificationRequested,
)
from domain.hazard import HazardKind
from domain.ids import derive
from domain.incident import CloseOutcome, Incident, IncidentState, VerifiedBy
from domain.mission import LookOutcome
from domain.responder import Dispatch, DispatchState
from services.alerts.commands import (
    Accept,
    Acknowledge,
    Arrive,
    Close,
    Command,
    ConcludeLook,
    Dismiss,
    Escalate,
    FallShort,
    File,
    Fuse,
    HandBack,
    Offer,
    Open,
    Refuse,
    Refused,
    RequestVerification,
    VerifyByDevice,
    VerifyByPerson,
)

S = IncidentState
ENDED = frozenset({S.CLOSED, S.DISMISSED, S.MERGED})
BEFORE_DISPATCH = frozenset({S.REPORTED, S.FILED})
AWAITING_CHECK = frozenset({S.FEEDBACK, S.VERIFYING})
TO_BE_HANDLED = frozenset({S.FILED, S.DISPATCHED, S.HANDLING, S.REWORK})
WITHOUT_HANDLING = frozenset({CloseOutcome.FALSE_ALARM, CloseOutcome.UNFOUNDED})
ACTING = frozenset({DispatchState.ACCEPTED, DispatchState.ARRIVED})
LIVE = ACTING | {DispatchState.OFFERED}

SKEW_LIMIT_S = 60.0
"""How far two machines' clocks may differ before a command is refused."""

Decided = tuple[Event, ...] | Refused


def alarm_id(device_sn: str, code: str, component: str) -> str:
    """Return the id of one alarm of one device, the same each time it stands."""
    return derive("alarm", device_sn, code, component)


def is_open(incident: Incident) -> bool:
    return incident.state not in ENDED


def live(incident: Incident) -> tuple[Dispatch, ...]:
    """Return the dispatches somebody may still act on."""
    return tuple(d for d in incident.dispatches if d.state in LIVE)


def this_round(incident: Incident) -> tuple[Dispatch, ...]:
    """Return the dispatches offered since the last rework."""
    since = incident.reworked_at
    return tuple(d for d in incident.dispatches if since is None or d.offered_at >= since)


def decide(incident: Incident | None, command: Command, at: datetime) -> Decided:
    """Return the events the command leads to: none when it is already so; Refused when illegal.

    `at` is the instant the events will carry.
    """
    if isinstance(command, Open):
        return _open(incident, command)
    if incident is None:
        return Refused("unknown_incident", "incident_id", "give the id of an existing incident")
    if incident.state in ENDED:
        return _after_the_end(incident, command)
    if (incident.opened_at - at).total_seconds() > SKEW_LIMIT_S:
        return Refused("clock_behind", "at", "set this machine's clock: it is behind the others")
    return _DECISIONS[type(command)](incident, command)


def _after_the_end(incident: Incident, command: Command) -> Decided:
    repeated = (
        isinstance(command, Close)
        and incident.state is S.CLOSED
        and command.outcome is incident.outcome
    ) or (
        isinstance(command, Dismiss)
        and incident.state is S.DISMISSED
        and command.outcome is incident.outcome
    )
    if repeated:
        return ()
    return Refused("ended", "incident_id", f"the incident is {incident.state}; report it anew")


def _open(incident: Incident | None, c: Open) -> Decided:
    if incident is not None:
        return Refused("exists", "incident_id", "fuse into the incident that is there")
    return (
        IncidentReported(
            c.incident_id,
            c.kind,
            c.severity,
            c.position,
            c.cell_code,
            c.police_code,
            c.source,
            c.cause,
            c.evidence,
            c.ellipse,
        ),
    )


def _fuse(incident: Incident, c: Fuse) -> Decided:
    return (
        IncidentFused(incident.incident_id, c.cause, c.distance_m, c.apart_s, c.score, c.evidence),
    )


def _file(incident: Incident, _: File) -> Decided:
    return (IncidentFiled(incident.incident_id),) if incident.state is S.REPORTED else ()


def _dismiss(incident: Incident, c: Dismiss) -> Decided:
    if incident.state not in BEFORE_DISPATCH:
        return Refused("dispatched", "incident_id", "somebody was sent: close it instead")
    if c.outcome not in WITHOUT_HANDLING:
        return _no_outcome()
    return (IncidentDismissed(incident.incident_id, c.outcome),)


def _acknowledge(incident: Incident, _: Acknowledge) -> Decided:
    if incident.acknowledged_at is not None:
        return ()
    return (IncidentAcknowledged(incident.incident_id),)


def _offer(incident: Incident, c: Offer) -> Decided:
    if incident.state not in TO_BE_HANDLED:
        return Refused("not_filed", "incident_id", f"it is {incident.state}: nobody is sent now")
    if any(d.dispatch_id == c.dispatch_id for d in incident.dispatches):
        return ()
    if any(d.responder_id == c.responder_id for d in live(incident)):
        return Refused("already_asked", "responder_id", "choose somebody not asked yet")
    return (
        DispatchOffered(
            incident.incident_id,
            c.dispatch_id,
            c.responder_id,
            c.force,
            incident.level,
            c.reason,
            c.distance_m,
        ),
    )


def _fall_short(incident: Incident, c: FallShort) -> Decided:
    if incident.state not in TO_BE_HANDLED:
        return Refused("not_filed", "incident_id", f"it is {incident.state}: nobody is sent now")
    if c.force in incident.short:
        return ()
    return (DispatchShort(incident.incident_id, c.force, c.reason),)


def _accept(incident: Incident, c: Accept) -> Decided:
    dispatch = _dispatch(incident, c.dispatch_id)
    if isinstance(dispatch, Refused):
        return dispatch
    if dispatch.state in ACTING or dispatch.state is DispatchState.HANDED_BACK:
        return ()
    if dispatch.state is not DispatchState.OFFERED:
        return Refused(dispatch.state, "dispatch_id", "this dispatch is no longer yours to take")
    others = (
        DispatchWithdrawn(incident.incident_id, d.dispatch_id)
        for d in incident.dispatches
        if d.state is DispatchState.OFFERED
        and d.force is dispatch.force
        and d.dispatch_id != dispatch.dispatch_id
    )
    return (DispatchAccepted(incident.incident_id, dispatch.dispatch_id), *others)


def _refuse(incident: Incident, c: Refuse) -> Decided:
    dispatch = _dispatch(incident, c.dispatch_id)
    if isinstance(dispatch, Refused):
        return dispatch
    if dispatch.state is DispatchState.REFUSED:
        return ()
    if dispatch.state not in LIVE:
        return Refused(dispatch.state, "dispatch_id", "this dispatch is already over")
    return (DispatchRefused(incident.incident_id, dispatch.dispatch_id, c.reason),)


def _arrive(incident: Incident, c: Arrive) -> Decided:
    dispatch = _dispatch(incident, c.dispatch_id)
    if isinstance(dispatch, Refused):
        return dispatch
    if dispatch.state in (DispatchState.ARRIVED, DispatchState.HANDED_BACK):
        return ()
    if dispatch.state is not DispatchState.ACCEPTED:
        return Refused("not_accepted", "dispatch_id", "accept the dispatch first")
    return (DispatchArrived(incident.incident_id, dispatch.dispatch_id),)


def _hand_back(incident: Incident, c: HandBack) -> Decided:
    dispatch = _dispatch(incident, c.dispatch_id)
    if isinstance(dispatch, Refused):
        return dispatch
    if dispatch.state is DispatchState.HANDED_BACK:
        return ()
    if dispatch.state is not DispatchState.ARRIVED:
        return Refused("not_arrived", "dispatch_id", "say that you arrived first")
    waiting = (
        DispatchWithdrawn(incident.incident_id, d.dispatch_id)
        for d in incident.dispatches
        if d.state is DispatchState.OFFERED
    )
    back = DispatchHandedBack(incident.incident_id, dispatch.dispatch_id, c.evidence)
    return (back, *waiting)


def _escalate(incident: Incident, c: Escalate) -> Decided:
    if incident.level >= c.level:
        return ()
    if c.level != incident.level + 1:
        return Refused("level_skipped", "level", f"the next level is {incident.level + 1}")
    return (IncidentEscalated(incident.incident_id, c.level),)


def _request_verification(incident: Incident, c: RequestVerification) -> Decided:
    if incident.kind is HazardKind.DEVICE_FAULT:
        return Refused("not_by_flight", "kind", "a device's fault is checked by a person")
    if incident.state not in AWAITING_CHECK:
        return Refused("not_handled", "incident_id", "verification follows a hand-back")
    if incident.verification_attempts >= c.attempt:
        return ()
    if c.attempt != incident.verification_attempts + 1:
        following = incident.verification_attempts + 1
        return Refused("attempt_skipped", "attempt", f"the next attempt is {following}")
    return (
        VerificationRequested(incident.incident_id, incident.kind, incident.position, c.attempt),
    )


def _conclude_look(incident: Incident, c: ConcludeLook) -> Decided:
    if incident.state is not S.VERIFYING:
        return Refused("not_verifying", "incident_id", f"it is {incident.state}: look kept aside")
    returned = [d.handed_back_at for d in incident.dispatches if d.handed_back_at is not None]
    if returned and c.concluded_at < max(returned):
        return Refused("stale_look", "concluded_at", "look again after the hand-back")
    if c.outcome is LookOutcome.UNCLEAR:
        return ()
    if c.outcome is LookOutcome.CONFIRMED:
        return (IncidentReworked(incident.incident_id, c.evidence),)
    return _found_gone(incident, VerifiedBy.FLIGHT, c.evidence)


def _verify_by_person(incident: Incident, c: VerifyByPerson) -> Decided:
    if incident.state not in AWAITING_CHECK:
        return Refused("not_handled", "incident_id", "verification follows a hand-back")
    took_part = {d.responder_id for d in incident.dispatches if d.accepted_at is not None}
    if c.responder_id in took_part:
        return Refused("own_work", "responder_id", "somebody who did not handle it must check")
    if not c.gone:
        return (IncidentReworked(incident.incident_id, c.evidence),)
    return _found_gone(incident, VerifiedBy.PERSON, c.evidence)


def _verify_by_device(incident: Incident, _: VerifyByDevice) -> Decided:
    if incident.kind is not HazardKind.DEVICE_FAULT:
        return Refused("not_a_device_fault", "kind", "only a device's fault clears by itself")
    if incident.standing:
        return Refused("still_standing", "standing", "wait until the device clears every alarm")
    if incident.state is S.HANDLING:
        return Refused("being_handled", "incident_id", "wait for the hand-back")
    return _found_gone(incident, VerifiedBy.DEVICE, ())


def _close(incident: Incident, c: Close) -> Decided:
    if c.outcome is CloseOutcome.HANDLED:
        return Refused("needs_verification", "outcome", "verify by a flight or a second person")
    if c.outcome not in WITHOUT_HANDLING:
        return _no_outcome()
    return (*_withdrawals(incident), IncidentClosed(incident.incident_id, c.outcome))


def _found_gone(incident: Incident, by: VerifiedBy, evidence: tuple[str, ...]) -> Decided:
    return (
        IncidentVerified(incident.incident_id, by, evidence),
        *_withdrawals(incident),
        IncidentClosed(incident.incident_id, CloseOutcome.HANDLED),
    )


def _withdrawals(incident: Incident) -> tuple[Event, ...]:
    return tuple(DispatchWithdrawn(incident.incident_id, d.dispatch_id) for d in live(incident))


def _no_outcome() -> Refused:
    allowed = ", ".join(sorted(WITHOUT_HANDLING))
    return Refused("outcome_not_allowed", "outcome", f"choose one of {allowed}")


def _dispatch(incident: Incident, dispatch_id: str) -> Dispatch | Refused:
    for dispatch in incident.dispatches:
        if dispatch.dispatch_id == dispatch_id:
            return dispatch
    return Refused("unknown_dispatch", "dispatch_id", "give the id of one of your dispatches")


_DECISIONS: dict[type[Command], Callable[[Incident, Any], Decided]] = {
    Fuse: _fuse,
    File: _file,
    Dismiss: _dismiss,
    Acknowledge: _acknowledge,
    Offer: _offer,
    FallShort: _fall_short,
    Accept: _accept,
    Refuse: _refuse,
    Arrive: _arrive,
    HandBack: _hand_back,
    Escalate: _escalate,
    RequestVerification: _request_verification,
    ConcludeLook: _conclude_look,
    VerifyByPerson: _verify_by_person,
    VerifyByDevice: _verify_by_device,
    Close: _close,
}
