"""Who looks at a target: the idle dock that is there soonest, else a patrol turned aside."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from domain.device import Drone
from geo.routes import FlightModel, Point, flight_time_s
from services.patrol.gate import airtime_s
from services.patrol.plan import PatrolGround

_TAKE_OFF_S = 60.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A drone that might look. `patrol_id` is the flight it would be turned aside from (None: it
    sits ready in its dock); `remaining_s` is what is left of that flight's path."""

    dock_sn: str
    drone: Drone
    here: Point
    home: Point
    battery_pct: float
    patrol_id: str | None = None
    remaining_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Choice:
    """The drone that goes. `resumes` tells whether its patrol can be finished afterwards."""

    candidate: Candidate
    eta_s: float
    after_pct: float
    resumes: bool
    reason: str


@dataclass(frozen=True, slots=True)
class NoDrone:
    """Nobody can look now; `reasons` pairs each drone with its code."""

    reasons: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class _Judged:
    candidate: Candidate
    eta_s: float
    after_pct: float
    resumes: bool
    against: str | None


def choose(
    ground: PatrolGround, target: Point, candidates: Sequence[Candidate], look_s: float
) -> Choice | NoDrone:
    """Return who looks at `target` for `look_s` seconds, docked drones before patrols.

    Among equals the soonest goes. The reason is made of codes and figures for the screens:
    `eta_s=84 battery_pct=61 after_pct=38 sooner=<drone>:<code>`.
    """
    judged = [_judge(ground, target, c, look_s) for c in candidates]
    able = [j for j in judged if j.against is None]
    if not able:
        return NoDrone(tuple((j.candidate.drone.sn, j.against or "") for j in judged))
    best = min(
        able,
        key=lambda j: (j.candidate.patrol_id is not None, j.eta_s, j.candidate.drone.sn),
    )
    sooner = [
        f"sooner={j.candidate.drone.sn}:{j.against or 'on_patrol'}"
        for j in judged
        if j.eta_s < best.eta_s and j is not best
    ]
    figures = (
        f"eta_s={best.eta_s:.0f} battery_pct={best.candidate.battery_pct:.0f} "
        f"after_pct={best.after_pct:.0f}"
    )
    return Choice(
        best.candidate, best.eta_s, best.after_pct, best.resumes, " ".join([figures, *sooner])
    )


def _judge(ground: PatrolGround, target: Point, candidate: Candidate, look_s: float) -> _Judged:
    policy, drone = ground.policy, candidate.drone
    model = FlightModel(drone.cruise_m_s, policy.accel_m_s2, policy.corner_cut_m)
    there_s = _leg_s(candidate.here, target, model)
    home_s = _leg_s(target, candidate.home, model)
    docked = candidate.patrol_id is None
    eta_s = there_s + (_TAKE_OFF_S if docked else 0.0)
    look_trip_s = there_s + look_s + home_s
    finish_s = there_s * 2.0 + look_s + candidate.remaining_s
    airtime = airtime_s(drone, candidate.battery_pct, policy)
    resumes = not docked and finish_s <= airtime
    spent_s = finish_s if resumes else look_trip_s
    used_pct = 100.0 * spent_s * policy.time_margin / drone.endurance_s
    used_pct += 100.0 * policy.climb_and_land_s / drone.endurance_s
    clear = ground.straight_is_clear(candidate.here, target) and ground.straight_is_clear(
        target, candidate.home
    )
    against = None
    if not clear:
        against = "closed_airspace_between"
    elif look_trip_s > airtime:
        against = "below_reserve"
    return _Judged(candidate, eta_s, candidate.battery_pct - used_pct, resumes, against)


def _leg_s(a: Point, b: Point, model: FlightModel) -> float:
    return flight_time_s([a, b], model) if math.dist(a, b) > 0.1 else 0.0
