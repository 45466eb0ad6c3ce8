"""What must not wait for ever: the timers an incident wants, and what is due when one fires. Pure.

A step's name holds the round and the level or attempt it belongs to, and firing always raises one
of them: a step that fired is never wanted again. Timers are rows: after a restart the incident
decides anew what an old row means, nothing is replayed.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.incident import Incident, IncidentState, VerifiedBy
from services.alerts.commands import Command, Escalate, RequestVerification
from services.alerts.life import AWAITING_CHECK
from services.alerts.rules import EscalationPolicy, Rules

S = IncidentState


@dataclass(frozen=True, slots=True)
class Timer:
    """One row: `step` of one incident falls due at `due_at`."""

    incident_id: str
    step: str
    due_at: datetime


def wanted(incident: Incident, rules: Rules) -> dict[str, float]:
    """Return the steps this incident now waits on → seconds each may take from when it began."""
    policy = rules.escalation
    turn = f"{incident.rework_count}:{incident.level}"
    severity = incident.severity
    steps: dict[str, float] = {}
    by_person = needs_person(incident, rules)
    if incident.state is S.VERIFYING and not by_person:
        attempt = f"{incident.rework_count}:{incident.verification_attempts}"
        steps[f"look:{attempt}"] = policy.look_s
    if incident.level >= policy.max_level:
        return steps
    if incident.state in (S.FILED, S.DISPATCHED, S.REWORK):
        steps[f"accept:{turn}"] = policy.accept_s[severity]
    elif incident.state is S.HANDLING:
        steps[f"handle:{turn}"] = policy.handle_s[severity]
    elif by_person:
        steps[f"check:{turn}"] = policy.check_s[severity]
    return steps


def due_timers(incident: Incident, rules: Rules, since: datetime) -> tuple[Timer, ...]:
    """Return rows for every wanted step that began at `since`."""
    return tuple(
        Timer(incident.incident_id, step, since + timedelta(seconds=wait_s))
        for step, wait_s in wanted(incident, rules).items()
    )


def on_due(incident: Incident, step: str, rules: Rules) -> Command | None:
    """Return what an expired step asks for now; None when the incident no longer waits on it."""
    if step not in wanted(incident, rules):
        return None
    if step.startswith("look:"):
        return next_look(incident, rules.escalation)
    return Escalate(incident.level + 1)


def next_look(incident: Incident, policy: EscalationPolicy) -> Command | None:
    """Return the next flight to ask for; past the last, tell the next level; else nothing."""
    if incident.verification_attempts < policy.max_attempts:
        return RequestVerification(incident.verification_attempts + 1)
    return Escalate(incident.level + 1) if incident.level < policy.max_level else None


def by_flight(incident: Incident, rules: Rules) -> bool:
    return rules.kinds[incident.kind].verify is VerifiedBy.FLIGHT


def needs_person(incident: Incident, rules: Rules) -> bool:
    """Say whether only a second person (or the device itself) can settle it any more."""
    if incident.state not in AWAITING_CHECK:
        return False
    return (
        not by_flight(incident, rules)
        or incident.verification_attempts >= rules.escalation.max_attempts
    )
