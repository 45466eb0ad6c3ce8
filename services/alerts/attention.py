"""What the house itself does next about an incident: file it, ask people, ask for a look. Pure.

Decided from the incident as it stands, never from the event that led there, so being told twice
or late changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.hazard import HazardKind
from domain.ids import derive
from domain.incident import Incident, IncidentState
from domain.responder import DispatchState, Force
from geo.frames import LocalFrame
from services.alerts.commands import (
    Command,
    FallShort,
    File,
    Offer,
    RequestVerification,
    VerifyByDevice,
)
from services.alerts.escalation import by_flight
from services.alerts.life import ACTING, TO_BE_HANDLED, is_open, live, this_round
from services.alerts.routing import Candidate, Shortfall, choose, forces_for
from services.alerts.rules import Rules

S = IncidentState


@dataclass(frozen=True, slots=True)
class Forces:
    """Everybody who could be sent, as they stand at `at`."""

    candidates: Sequence[Candidate]
    frame: LocalFrame
    at: datetime


def next_commands(incident: Incident, rules: Rules, forces: Forces) -> tuple[Command, ...]:
    """Return what to do now; nothing when the incident waits on somebody or on a timer."""
    if _cleared_by_itself(incident):
        return (VerifyByDevice(),)
    if incident.state is S.REPORTED:
        return (File(),)
    if incident.state in TO_BE_HANDLED:
        missing = unserved(incident, rules)
        return tuple(c for f in missing if (c := ask(f, incident, rules, forces)) is not None)
    if incident.state is S.FEEDBACK and by_flight(incident, rules):
        return (RequestVerification(incident.verification_attempts + 1),)
    return ()


def unserved(incident: Incident, rules: Rules) -> tuple[Force, ...]:
    """Return the forces the rules send that nobody of is asked, going, or done this round."""
    if incident.state not in TO_BE_HANDLED:
        return ()
    served = {d.force for d in live(incident)} | {
        d.force for d in this_round(incident) if d.state is DispatchState.HANDED_BACK
    }
    return tuple(f for f in forces_for(incident, rules.routes) if f not in served)


def reinforce(incident: Incident, rules: Rules, forces: Forces) -> tuple[Command, ...]:
    """Return whom to ask as well when nobody came in time: the next best of each slow force."""
    if incident.state not in TO_BE_HANDLED:
        return ()
    going = {d.force for d in incident.dispatches if d.state in ACTING}
    slow = [
        f
        for f in forces_for(incident, rules.routes)
        if incident.state is S.HANDLING or f not in going
    ]
    return tuple(
        c for f in slow if (c := ask(f, incident, rules, forces, reason="escalated")) is not None
    )


def ask(
    force: Force,
    incident: Incident,
    rules: Rules,
    forces: Forces,
    reason: str | None = None,
) -> Offer | FallShort | None:
    """Return the offer to the best of a force not yet asked this round, or that it falls short.

    None when the shortfall is known already.
    """
    asked = frozenset(d.responder_id for d in (*this_round(incident), *live(incident)))
    found = choose(force, incident, forces.candidates, asked, forces.frame, forces.at, rules.choice)
    if isinstance(found, Shortfall):
        return None if force in incident.short else FallShort(force, found.reason)
    responder_id = found.chosen.responder_id
    return Offer(
        dispatch_name(incident, responder_id),
        responder_id,
        force,
        reason or found.reason,
        found.chosen.distance_m,
    )


def dispatch_name(incident: Incident, responder_id: str) -> str:
    """Return the id of the next dispatch of this responder to this incident."""
    return derive("dispatch", incident.incident_id, responder_id, str(len(incident.dispatches)))


def _cleared_by_itself(incident: Incident) -> bool:
    return (
        incident.kind is HazardKind.DEVICE_FAULT
        and is_open(incident)
        and incident.state is not S.HANDLING
        and not incident.standing
    )
