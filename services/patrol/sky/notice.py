"""With how much notice a temporary zone was announced, beside what article 20 asks. Pure.

A zone announced too late is closed like any other. The article binds who sets the zone up, not who
keeps out of it: refused, a zone that exists would be missing from every path. What lateness costs
is the order of things, and that is what a late notice says.
"""

from dataclasses import dataclass

from services.patrol.sky.rules import TemporaryRule
from services.patrol.sky.standing import Zone


@dataclass(frozen=True, slots=True)
class Notice:
    """`given_s` runs from the announcement to the moment it closes (negative: closed before),
    `due_s` is what its kind asks for. `means` is empty unless it came `late`."""

    given_s: float
    due_s: float
    late: bool
    clause: str
    means: str = ""


def notice(zone: Zone, rule: TemporaryRule) -> Notice:
    """Return the notice a zone was announced with."""
    due_s = rule.emergency_lead_s if zone.emergency else rule.lead_s
    closes_at = zone.airspace.valid_from or zone.announced_at
    given_s = (closes_at - zone.announced_at).total_seconds()
    if given_s >= due_s:
        return Notice(given_s, due_s, False, rule.clause)
    return Notice(given_s, due_s, True, rule.clause, _means(given_s, rule))


def _means(given_s: float, rule: TemporaryRule) -> str:
    """Say what follows. No flight lasts as long as an emergency's notice, so what is in the air
    lands before a zone announced with that much closes."""
    closes = f"closes {given_s / 60.0:.0f} min after" if given_s > 0.0 else "was closed before"
    told = f"it {closes} its announcement and is closed all the same"
    if given_s < rule.emergency_lead_s:
        return f"{told}; flights in the air that would meet it are called home or held"
    return f"{told}; flights in the air land before, later ones go round"
