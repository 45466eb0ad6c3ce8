"""What each ledger event makes of an incident. Pure.

Events of other streams that touch an incident (a hazard renewed, a device alarm cleared, a look
concluded) change what is known about it, never its state or version.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from domain.events import (
    DeviceAlarmCleared,
    DispatchAccepted,
    DispatchArrived,
    DispatchHandedBack,
    DispatchOffered,
    DispatchRefused,
    DispatchShort,
    DispatchWithdrawn,
    Event,
    HazardRenewed,
    IncidentAcknowledged,
    IncidentClosed,
    IncidentDismissed,
    IncidentEscalated,
    IncidentFiled,
    IncidentFused,
    IncidentReported,
    IncidentReworked,
    IncidentVerified,
    LookConcluded,
    VerificationRequested,
)
from domain.hazard import HazardKind
from domain.incident import Incident, IncidentState, VerifiedBy
from domain.responder import Dispatch, DispatchState
from services.alerts.life import ACTING, TO_BE_HANDLED, alarm_id

S = IncidentState
EVIDENCE_LIMIT = 24
"""Pictures kept on the incident itself: the first and the newest. The timeline keeps them all."""
CAUSES_LIMIT = 200
"""Hazards named on the incident itself: the first and the newest."""


def evolve(incident: Incident | None, event: Event, at: datetime, actor: str) -> Incident:
    """Return the incident after `event`, said by `actor` at `at`.

    Raises ValueError when the event does not belong to an incident in this condition: the ledger
    and the fold disagree, which nobody may paper over.
    """
    if isinstance(event, IncidentReported):
        if incident is not None:
            raise ValueError(f"incident_id {event.incident_id} was reported twice")
        return _reported(event, at)
    if incident is None:
        raise ValueError(f"{event.KIND} came before incident.reported")
    from_elsewhere = _ELSEWHERE.get(type(event))
    if from_elsewhere is not None:
        return from_elsewhere(incident, event)
    step = _STEPS.get(type(event))
    if step is None:
        raise ValueError(f"{event.KIND} says nothing about an incident")
    after = step(incident, event, at, actor)
    return replace(after, version=incident.version + 1)


def _reported(e: IncidentReported, at: datetime) -> Incident:
    return Incident(
        incident_id=e.incident_id,
        version=1,
        state=S.REPORTED,
        kind=e.kind,
        severity=e.severity,
        position=e.position,
        cell_code=e.cell_code,
        police_code=e.police_code,
        opened_at=at,
        changed_at=at,
        source=e.source,
        hazard_ids=(e.cause,),
        evidence=_kept(e.evidence, EVIDENCE_LIMIT),
        ellipse=e.ellipse,
        last_seen_at=at,
        standing=(e.cause,) if e.kind is HazardKind.DEVICE_FAULT else (),
    )


def _kept(values: tuple[str, ...], limit: int) -> tuple[str, ...]:
    unique = tuple(dict.fromkeys(values))
    return unique if len(unique) <= limit else (unique[0], *unique[1 - limit :])


def _with_evidence(incident: Incident, evidence: tuple[str, ...]) -> tuple[str, ...]:
    return _kept(incident.evidence + evidence, EVIDENCE_LIMIT)


def _fused(i: Incident, e: IncidentFused, at: datetime, _: str) -> Incident:
    standing = i.standing
    if i.kind is HazardKind.DEVICE_FAULT and e.cause not in standing:
        standing = (*standing, e.cause)
    return replace(
        i,
        hazard_ids=_kept((*i.hazard_ids, e.cause), CAUSES_LIMIT),
        evidence=_with_evidence(i, e.evidence),
        sightings=i.sightings + 1,
        last_seen_at=at if i.last_seen_at is None else max(at, i.last_seen_at),
        standing=standing,
    )


def _filed(i: Incident, _: IncidentFiled, at: datetime, __: str) -> Incident:
    return replace(i, state=S.FILED, changed_at=at)


def _dismissed(i: Incident, e: IncidentDismissed, at: datetime, _: str) -> Incident:
    return replace(i, state=S.DISMISSED, outcome=e.outcome, changed_at=at, closed_at=at)


def _acknowledged(i: Incident, _: IncidentAcknowledged, at: datetime, actor: str) -> Incident:
    return replace(i, acknowledged_at=at, acknowledged_by=actor)


def _offered(i: Incident, e: DispatchOffered, at: datetime, _: str) -> Incident:
    dispatch = Dispatch(
        dispatch_id=e.dispatch_id,
        incident_id=e.incident_id,
        responder_id=e.responder_id,
        force=e.force,
        state=DispatchState.OFFERED,
        offered_at=at,
        reason=e.reason,
    )
    return _acting(
        replace(
            i,
            dispatches=(*i.dispatches, dispatch),
            short=tuple(f for f in i.short if f is not e.force),
        ),
        at,
    )


def _short(i: Incident, e: DispatchShort, at: datetime, _: str) -> Incident:
    return replace(i, short=(*i.short, e.force), changed_at=at)


def _acting(i: Incident, at: datetime) -> Incident:
    """Set the state its dispatches call for, while it is still to be handled."""
    if i.state not in TO_BE_HANDLED:
        return replace(i, changed_at=at)
    handling = any(d.state in ACTING for d in i.dispatches)
    return replace(i, state=S.HANDLING if handling else S.DISPATCHED, changed_at=at)


def _with_dispatch(i: Incident, dispatch_id: str, **changes: Any) -> Incident:
    if not any(d.dispatch_id == dispatch_id for d in i.dispatches):
        raise ValueError(f"dispatch_id {dispatch_id} was never offered for {i.incident_id}")
    changed = (replace(d, **changes) if d.dispatch_id == dispatch_id else d for d in i.dispatches)
    return replace(i, dispatches=tuple(changed))


def _accepted(i: Incident, e: DispatchAccepted, at: datetime, _: str) -> Incident:
    changed = _with_dispatch(i, e.dispatch_id, state=DispatchState.ACCEPTED, accepted_at=at)
    return _acting(changed, at)


def _refused(i: Incident, e: DispatchRefused, at: datetime, _: str) -> Incident:
    return _acting(_with_dispatch(i, e.dispatch_id, state=DispatchState.REFUSED), at)


def _arrived(i: Incident, e: DispatchArrived, at: datetime, _: str) -> Incident:
    changed = _with_dispatch(i, e.dispatch_id, state=DispatchState.ARRIVED, arrived_at=at)
    return _acting(changed, at)


def _handed_back(i: Incident, e: DispatchHandedBack, at: datetime, _: str) -> Incident:
    changed = _with_dispatch(
        i,
        e.dispatch_id,
        state=DispatchState.HANDED_BACK,
        handed_back_at=at,
        evidence=e.evidence,
    )
    # The first hand-back asks for the check; a later one of another force only adds to it.
    state = S.FEEDBACK if i.state is S.HANDLING else i.state
    return replace(changed, state=state, evidence=_with_evidence(i, e.evidence), changed_at=at)


def _withdrawn(i: Incident, e: DispatchWithdrawn, at: datetime, _: str) -> Incident:
    return _acting(_with_dispatch(i, e.dispatch_id, state=DispatchState.WITHDRAWN), at)


def _escalated(i: Incident, e: IncidentEscalated, at: datetime, _: str) -> Incident:
    return replace(i, level=e.level, changed_at=at)


def _verification(i: Incident, e: VerificationRequested, at: datetime, _: str) -> Incident:
    return replace(i, state=S.VERIFYING, verification_attempts=e.attempt, changed_at=at)


def _verified(i: Incident, e: IncidentVerified, at: datetime, _: str) -> Incident:
    return replace(
        i,
        state=S.VERIFYING,
        verified_by=e.by,
        standing=() if e.by is VerifiedBy.DEVICE else i.standing,
        evidence=_with_evidence(i, e.evidence),
        changed_at=at,
    )


def _reworked(i: Incident, e: IncidentReworked, at: datetime, _: str) -> Incident:
    handling = any(d.state in ACTING for d in i.dispatches)
    return replace(
        i,
        state=S.HANDLING if handling else S.REWORK,
        rework_count=i.rework_count + 1,
        reworked_at=at,
        verification_attempts=0,
        evidence=_with_evidence(i, e.evidence),
        changed_at=at,
    )


def _closed(i: Incident, e: IncidentClosed, at: datetime, _: str) -> Incident:
    return replace(i, state=S.CLOSED, outcome=e.outcome, closed_at=at, changed_at=at)


def _renewed(i: Incident, e: HazardRenewed) -> Incident:
    seen = e.last_seen_at
    newer = i.last_seen_at is None or seen > i.last_seen_at
    return replace(i, last_seen_at=seen) if newer else i


def _cleared(i: Incident, e: DeviceAlarmCleared) -> Incident:
    gone = alarm_id(e.device_sn, e.code, e.component)
    return replace(i, standing=tuple(a for a in i.standing if a != gone))


def _looked(i: Incident, e: LookConcluded) -> Incident:
    return replace(i, looks=_kept((*i.looks, e.mission_id), CAUSES_LIMIT))


_ELSEWHERE: dict[type[Event], Callable[[Incident, Any], Incident]] = {
    HazardRenewed: _renewed,
    DeviceAlarmCleared: _cleared,
    LookConcluded: _looked,
}

_STEPS: dict[type[Event], Callable[[Incident, Any, datetime, str], Incident]] = {
    IncidentFused: _fused,
    IncidentFiled: _filed,
    IncidentDismissed: _dismissed,
    IncidentAcknowledged: _acknowledged,
    DispatchOffered: _offered,
    DispatchShort: _short,
    DispatchAccepted: _accepted,
    DispatchRefused: _refused,
    DispatchArrived: _arrived,
    DispatchHandedBack: _handed_back,
    DispatchWithdrawn: _withdrawn,
    IncidentEscalated: _escalated,
    VerificationRequested: _verification,
    IncidentVerified: _verified,
    IncidentReworked: _reworked,
    IncidentClosed: _closed,
}
