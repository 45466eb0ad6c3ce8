"""What must be looked at, and how urgently: cells with their revisit interval, risk and floor.

Idleness is the time since a cell was seen, over its revisit interval; weighted, times the cell's
risk. Every cell's grows without bound while it is not seen, and none is lighter than
the floor allows, so none starves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from domain.place import GridCell
from services.patrol.policy import PatrolPolicy


@dataclass(frozen=True, slots=True)
class CellVisits:
    """When a cell was last seen whole (CellSeen), and last flown over, and how often flown."""

    seen_at: datetime | None = None
    flown_at: datetime | None = None
    flown_count: int = 0


def idleness(
    cell: GridCell,
    visits: CellVisits,
    portions: int,
    since: datetime,
    at: datetime,
    policy: PatrolPolicy,
) -> float:
    """Return how many revisit intervals a cell counts as unseen; 1.0: it has just run out.

    A flight over a cell puts it back in the queue even when nothing was seen, so that one blind
    camera cannot hold all drones; an unverified cell counts for more. A cell of several portions
    is only as fresh as its last sighting until every portion was flown. A cell never visited
    counts from `since`, the first visit anywhere, with a head start.
    """
    seen, flown = visits.seen_at, visits.flown_at
    unverified = flown is not None and (seen is None or flown > seen)
    midway = visits.flown_count % portions != 0
    last = flown if unverified and not midway else seen
    gone = (at - (last or since)).total_seconds() / max(1.0, cell.revisit_s)
    if last is None:
        return policy.never_seen_revisits + gone
    return gone * (policy.unverified_weight if unverified else 1.0)


@dataclass(frozen=True, slots=True)
class CellDemand:
    """What one cell asks for. `risk` is its registered risk times what the day adds; `age_s` is
    how long it counts as unseen."""

    code: str
    risk: float
    revisit_s: float
    age_s: float

    @property
    def weight(self) -> float:
        """Weighted idleness gained per second."""
        return self.risk / self.revisit_s


def began_at(visits: Mapping[str, CellVisits], at: datetime) -> datetime:
    """Return the first visit anywhere; cells never seen count from it."""
    known = [t for v in visits.values() for t in (v.seen_at, v.flown_at) if t is not None]
    return min(known, default=at)


def demand(
    cell: GridCell,
    visits: CellVisits,
    portions: int,
    since: datetime,
    at: datetime,
    factor: float,
    policy: PatrolPolicy,
) -> CellDemand:
    """Return a cell's demand at `at`; `factor` is what its history, a theme, the hour and the
    weather make of its risk. The floor: no cell counts as less than `risk_floor`."""
    revisit_s = max(1.0, cell.revisit_s)
    age_s = idleness(cell, visits, portions, since, at, policy) * revisit_s
    return CellDemand(cell.code, max(policy.risk_floor, cell.risk * factor), revisit_s, age_s)
