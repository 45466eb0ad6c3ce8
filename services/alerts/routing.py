"""谁去: which forces a happening calls for, and which responder of each. Pure, explained."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.incident import Incident
from domain.place import Position
from domain.responder import Force, Responder
from geo.frames import LocalFrame
from services.alerts.rules import ChoicePolicy, RouteRule


@dataclass(frozen=True, slots=True)
class Candidate:
    """A responder as they stand now; `position` only while on duty. `load`: live dispatches."""

    responder: Responder
    on_duty: bool
    load: int
    position: Position | None = None
    position_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Weighed:
    """One responder's figures; the lowest `cost_m` is asked."""

    responder_id: str
    own_area: bool
    load: int
    distance_m: float
    position_fresh: bool
    cost_m: float


@dataclass(frozen=True, slots=True)
class Choice:
    """`reason` is own_area or nearest; `weighed` holds everybody eligible, best first."""

    force: Force
    chosen: Weighed
    reason: str
    weighed: tuple[Weighed, ...]


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Nobody of a force can be asked: no_rule nobody_on_duty all_asked out_of_reach all_busy."""

    force: Force
    reason: str


def forces_for(incident: Incident, routes: Sequence[RouteRule]) -> tuple[Force, ...]:
    """Return the forces of the first rule that holds."""
    for rule in routes:
        kind_fits = not rule.kinds or incident.kind in rule.kinds
        if kind_fits and (not rule.severities or incident.severity in rule.severities):
            return rule.forces
    return ()


def choose(
    force: Force,
    incident: Incident,
    candidates: Sequence[Candidate],
    asked: frozenset[str],
    frame: LocalFrame,
    at: datetime,
    policy: ChoicePolicy,
) -> Choice | Shortfall:
    """Return whom of `force` to ask, leaving out the `asked`; or why there is nobody."""
    of_force = [c for c in candidates if c.responder.force is force]
    if not of_force:
        return Shortfall(force, "no_responder")
    on_duty = [c for c in of_force if c.on_duty]
    if not on_duty:
        return Shortfall(force, "nobody_on_duty")
    unasked = [c for c in on_duty if c.responder.responder_id not in asked]
    if not unasked:
        return Shortfall(force, "all_asked")
    free = [c for c in unasked if c.load < policy.busy_at]
    if not free:
        return Shortfall(force, "all_busy")
    weighed = [weigh(c, incident, frame, at, policy) for c in free]
    near = [w for w in weighed if w.distance_m <= policy.reach_m]
    if not near:
        return Shortfall(force, "out_of_reach")
    ranked = tuple(sorted(near, key=lambda w: (w.cost_m, w.responder_id)))
    best = ranked[0]
    return Choice(force, best, "own_area" if best.own_area else "nearest", ranked)


def weigh(
    candidate: Candidate,
    incident: Incident,
    frame: LocalFrame,
    at: datetime,
    policy: ChoicePolicy,
) -> Weighed:
    """Return a responder's cost in metres: distance, plus load and foreign area as metres."""
    fresh = (
        candidate.position is not None
        and candidate.position_at is not None
        and (at - candidate.position_at).total_seconds() <= policy.position_fresh_s
    )
    start = candidate.position if fresh and candidate.position else candidate.responder.home
    distance_m = metres_between(frame, start, incident.position)
    own = in_own_area(candidate.responder, incident)
    cost_m = distance_m + candidate.load * policy.load_costs_m
    if not own:
        cost_m += policy.foreign_area_costs_m
    return Weighed(
        candidate.responder.responder_id,
        own,
        candidate.load,
        round(distance_m, 1),
        fresh,
        round(cost_m, 1),
    )


def in_own_area(responder: Responder, incident: Incident) -> bool:
    """Say whether the place is theirs; no areas at all means the whole district."""
    codes = responder.area_codes
    return not codes or incident.cell_code in codes or incident.police_code in codes


def metres_between(frame: LocalFrame, a: Position, b: Position) -> float:
    ax_m, ay_m = frame.to_local(a.lat_deg, a.lon_deg)
    bx_m, by_m = frame.to_local(b.lat_deg, b.lon_deg)
    return float(((ax_m - bx_m) ** 2 + (ay_m - by_m) ** 2) ** 0.5)
