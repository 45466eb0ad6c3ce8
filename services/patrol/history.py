"""What past incidents make of each cell's risk: each counts, and less with every day. Pure.

An incident counts once it was filed, from when it was reported, and is taken back when it turns
out to be none (dismissed, or closed as a false alarm or unfounded).
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.events import IncidentClosed, IncidentDismissed, IncidentReported
from domain.hazard import HazardKind
from domain.incident import CloseOutcome
from services.patrol.policy import PatrolPolicy

_NONE_AFTER_ALL = (CloseOutcome.FALSE_ALARM, CloseOutcome.UNFOUNDED)
_FORGOTTEN_HALF_LIVES = 8.0
"""By then an incident counts for less than 0.4 % of a new one."""


@dataclass(frozen=True, slots=True)
class PastIncident:
    """An incident of a cell as history counts it, once filed."""

    incident_id: str
    cell_code: str
    reported_at: datetime


def counted(event: IncidentReported, at: datetime) -> PastIncident | None:
    """Return the incident that history will count once it is filed. A fault of a device says
    nothing of the ground, and one outside all cells is nobody's."""
    if event.cell_code is None or event.kind is HazardKind.DEVICE_FAULT:
        return None
    return PastIncident(event.incident_id, event.cell_code, at)


def was_none(event: IncidentClosed | IncidentDismissed) -> bool:
    """Tell whether an incident ended as none: what was dismissed always is."""
    return isinstance(event, IncidentDismissed) or event.outcome in _NONE_AFTER_ALL


def counts_from(at: datetime, policy: PatrolPolicy) -> datetime:
    """Return when the oldest incident was reported that still counts at `at`."""
    return at - timedelta(seconds=_FORGOTTEN_HALF_LIVES * policy.history_half_life_s)


def learned(
    incidents: Iterable[PastIncident], at: datetime, policy: PatrolPolicy
) -> dict[str, float]:
    """Return by cell what its risk is multiplied by: 1 without incidents, `history_step` more for
    each, halved with every half-life, at most `history_limit`."""
    shares: dict[str, list[float]] = defaultdict(list)
    for incident in incidents:
        half_lives = (at - incident.reported_at).total_seconds() / policy.history_half_life_s
        shares[incident.cell_code].append(0.5 ** max(0.0, half_lives))
    return {
        code: min(policy.history_limit, 1.0 + policy.history_step * math.fsum(shares[code]))
        for code in sorted(shares)
    }


def together(a: Mapping[str, float], b: Mapping[str, float]) -> dict[str, float]:
    """Return the product of two reasons for risk, cell by cell."""
    return {code: a.get(code, 1.0) * b.get(code, 1.0) for code in sorted({*a, *b})}
