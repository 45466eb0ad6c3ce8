"""Which cells an idle drone flies next: the most neglected by risk first, then its neighbours.

Idleness is the time since a cell was seen, over its revisit interval; its weight is that times the
cell's risk. Every cell's weight grows without bound while it is not seen, so none starves.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from domain.device import Dock, Drone
from domain.place import GridCell
from geo.coverage import NoSweep
from geo.routes import Point
from services.patrol.gate import airtime_s
from services.patrol.plan import CellPath, PatrolGround, Sortie, sortie
from services.patrol.policy import PatrolPolicy


@dataclass(frozen=True, slots=True)
class CellVisits:
    """When a cell was last seen whole (CellSeen), and last flown over, and how often flown."""

    seen_at: datetime | None = None
    flown_at: datetime | None = None
    flown_count: int = 0


@dataclass(frozen=True, slots=True)
class NoSortie:
    """Why a drone stays in its dock: `nothing_due`, `battery_low` or `nothing_in_reach`."""

    reason: str


def weight(
    cell: GridCell,
    visits: CellVisits,
    portions: int,
    began_at: datetime,
    at: datetime,
    policy: PatrolPolicy,
) -> float:
    """Return a cell's weighted idleness; 1.0 × risk means its revisit interval has just run out.

    A flight over a cell puts it back in the queue even when nothing was seen, so that one blind
    camera cannot hold all drones; an unverified cell weighs more. A cell of several portions is
    only as fresh as its last sighting until every portion was flown. A cell never visited counts
    from `began_at`, the first visit anywhere, with a head start.
    """
    seen, flown = visits.seen_at, visits.flown_at
    unverified = flown is not None and (seen is None or flown > seen)
    midway = visits.flown_count % portions != 0
    last = flown if unverified and not midway else seen
    idleness = (at - (last or began_at)).total_seconds() / max(1.0, cell.revisit_s)
    if last is None:
        return cell.risk * (policy.never_seen_revisits + idleness)
    return cell.risk * idleness * (policy.unverified_weight if unverified else 1.0)


def choose(
    ground: PatrolGround,
    dock: Dock,
    drone: Drone,
    battery_pct: float,
    visits: Mapping[str, CellVisits],
    taken: Collection[str],
    at: datetime,
) -> Sortie | NoSortie:
    """Return the sortie a drone flies next, within its battery and the policy's length."""
    policy = ground.policy
    limit_s = min(policy.sortie_limit_s, airtime_s(drone, battery_pct, policy))
    if limit_s <= 0.0:
        return NoSortie("battery_low")
    weights = _weights(ground, drone, visits, taken, at)
    if not weights:
        return NoSortie("nothing_due")
    home = ground.docks[dock.sn]

    def drawn(code: str) -> tuple[float, str]:
        transit_s = 2.0 * math.dist(home, ground.centres[code]) / drone.cruise_m_s
        return (-weights[code] / (1.0 + transit_s / policy.transit_half_s), code)

    for seed in sorted(weights, key=drawn)[: policy.seeds]:
        first = _cell(ground, seed, drone, visits)
        if first is None:
            continue
        flown = sortie(ground, dock, drone, [first])
        if flown.cell_codes and flown.time_s <= limit_s:
            return _grow(ground, dock, drone, [first], flown, weights, visits, limit_s)
    return NoSortie("nothing_in_reach")


def _weights(
    ground: PatrolGround,
    drone: Drone,
    visits: Mapping[str, CellVisits],
    taken: Collection[str],
    at: datetime,
) -> dict[str, float]:
    policy = ground.policy
    known_times = [t for v in visits.values() for t in (v.seen_at, v.flown_at) if t is not None]
    began_at = min(known_times, default=at)
    found = {}
    for cell in ground.district.cells:
        if cell.code in taken:
            continue
        known = visits.get(cell.code, CellVisits())
        value = weight(cell, known, ground.portions(cell.code, drone), began_at, at, policy)
        if value >= policy.due_share * cell.risk:
            found[cell.code] = value
    return found


def _cell(
    ground: PatrolGround, code: str, drone: Drone, visits: Mapping[str, CellVisits]
) -> CellPath | None:
    count = visits.get(code, CellVisits()).flown_count
    found = ground.cell_path(code, count % ground.portions(code, drone), drone)
    return None if isinstance(found, NoSweep) else found


def _grow(
    ground: PatrolGround,
    dock: Dock,
    drone: Drone,
    cells: list[CellPath],
    flown: Sortie,
    weights: Mapping[str, float],
    visits: Mapping[str, CellVisits],
    limit_s: float,
) -> Sortie:
    """Add the neighbour that brings most weight per second, while the sortie stays in its limit."""
    policy = ground.policy
    inside = {cell.code for cell in cells}
    while len(cells) < policy.cells_limit:
        middle = _middle([ground.centres[c.code] for c in cells])
        near = sorted(
            (code for code in weights if code not in inside),
            key=lambda code: (math.dist(middle, ground.centres[code]), code),
        )[: policy.neighbours]
        best: tuple[float, CellPath, Sortie] | None = None
        for code in near:
            cell = _cell(ground, code, drone, visits)
            if cell is None:
                continue
            longer = sortie(ground, dock, drone, [*cells, cell])
            if longer.time_s > limit_s or len(longer.cell_codes) <= len(flown.cell_codes):
                continue
            gain = weights[code] / max(1.0, longer.time_s - flown.time_s)
            if best is None or gain > best[0]:
                best = (gain, cell, longer)
        if best is None:
            break
        _, cell, flown = best
        cells.append(cell)
        inside.add(cell.code)
    return flown


def _middle(points: list[Point]) -> Point:
    return (sum(p[0] for p in points) / len(points), sum(p[1] for p in points) / len(points))
