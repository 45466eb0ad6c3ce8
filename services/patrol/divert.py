"""Who looks at a target: the drone that is there soonest with battery to look and come home.

Legs go round closed airspace. A docked drone flies such a way as a wayline; a patrol turned aside
is given one point after the other to fly to, comes to rest at each, and goes back the way it came
where its patrol goes on, else to where its way home is straight.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from domain.device import Drone
from domain.mission import PassedOver
from geo.routes import FlightModel, Point, flight_time_s
from services.patrol.gate import airtime_s
from services.patrol.plan import PatrolGround

_TAKE_OFF_S = 60.0
_PASSED_OVER_LIMIT = 64
_TURNS_LIMIT = 6
_AT_TURN_S = 6.0
"""From a turn reached to the flight to the next: the dock's word, a tick, the order."""


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
    stops_at: Point | None = None
    """How far a patrol may fly on before it stops; `here` without it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The drone that goes, by `there` and home by `back` (local metres, both ends included); a
    patrol that `resumes` goes back to where it stopped.
    `resumes` tells whether its patrol can be finished afterwards; `busy_s` is how long it is away
    from now on."""

    candidate: Candidate
    eta_s: float
    after_pct: float
    resumes: bool
    reason: str
    why: str
    there: tuple[Point, ...]
    back: tuple[Point, ...]
    busy_s: float
    judged: tuple[tuple[str, str, float, float], ...] = ()
    """Every other drone whose way was worked out: serial, code, eta and battery afterwards."""

    @property
    def straight(self) -> bool:
        return len(self.there) == 2 and len(self.back) == 2


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
    there: tuple[Point, ...] = ()
    back: tuple[Point, ...] = ()
    busy_s: float = 0.0


_AGAINST = {
    "below_reserve": "lands below reserve",
    "closed_airspace_between": "would cross closed airspace",
    "docked_first": "is on patrol, which this look may not interrupt yet",
}


def choose(
    ground: PatrolGround,
    target: Point,
    candidates: Sequence[Candidate],
    look_s: float,
    *,
    docked_first: bool = False,
) -> Choice | NoDrone:
    """Return who looks at `target` for `look_s` seconds: who is there soonest, or the soonest of
    the docked ones where patrols should be spared.

    The reason is made of codes and figures for the screens
    (`eta_s=84 battery_pct=61 after_pct=38 sooner=<drone>:<code>`), `why` says the same in words.
    """
    best: _Judged | None = None
    judged = []

    def drawn(candidate: Candidate) -> tuple[bool, float, str]:
        spared = docked_first and candidate.patrol_id is not None
        return (spared, _least_eta_s(target, candidate), candidate.drone.sn)

    for candidate in sorted(candidates, key=drawn):
        spared, least_s, _ = drawn(candidate)
        # Nobody gets there faster than straight.
        if best is not None and least_s >= best.eta_s:
            continue
        now = _judge(ground, target, candidate, look_s)
        judged.append(now)
        # Spared ones come last: they are chosen only where no other could.
        better = best is None or (now.eta_s < best.eta_s and spared == drawn(best.candidate)[0])
        if now.against is None and better:
            best = now
    if best is None:
        return NoDrone(tuple((j.candidate.drone.sn, j.against or "") for j in judged))
    sooner = sorted(
        (j for j in judged if j.eta_s < best.eta_s and j is not best),
        key=lambda j: (j.eta_s, j.candidate.drone.sn),
    )
    codes = [f"sooner={j.candidate.drone.sn}:{j.against or 'on_patrol'}" for j in sooner]
    figures = (
        f"eta_s={best.eta_s:.0f} battery_pct={best.candidate.battery_pct:.0f} "
        f"after_pct={best.after_pct:.0f}"
    )
    return Choice(
        best.candidate,
        best.eta_s,
        best.after_pct,
        best.resumes,
        " ".join([figures, *codes]),
        _in_words(best, sooner),
        best.there,
        best.back,
        best.busy_s,
        tuple(
            (j.candidate.drone.sn, j.against or _slower(j, best), j.eta_s, j.after_pct)
            for j in judged
            if j is not best
        ),
    )


def passed_over(
    choice: Choice, candidates: Sequence[Candidate], against: Mapping[str, str]
) -> tuple[PassedOver, ...]:
    """Return the drones a look was not given to and why: those judged, the soonest there first,
    then who was too far off to be judged, then those `against` which something stood before."""
    judged = [
        PassedOver(sn, code, round(eta_s, 1), round(after_pct, 1))
        for sn, code, eta_s, after_pct in sorted(choice.judged, key=lambda j: (j[2], j[0]))
    ]
    known = {choice.candidate.drone.sn, *(p.drone_sn for p in judged)}
    others = [PassedOver(c.drone.sn, "later") for c in candidates if c.drone.sn not in known]
    known |= {p.drone_sn for p in others}
    kept = [PassedOver(sn, code) for sn, code in sorted(against.items()) if sn not in known]
    return (*judged, *others, *kept)[:_PASSED_OVER_LIMIT]


def _slower(other: _Judged, best: _Judged) -> str:
    return "later" if other.eta_s >= best.eta_s else "on_patrol"


def _least_eta_s(target: Point, candidate: Candidate) -> float:
    off_ground_s = _TAKE_OFF_S if candidate.patrol_id is None else 0.0
    return off_ground_s + math.dist(candidate.here, target) / candidate.drone.cruise_m_s


def _in_words(best: _Judged, sooner: Sequence[_Judged]) -> str:
    candidate = best.candidate
    told = (
        f"why: eta {best.eta_s:.0f} s, battery {candidate.battery_pct:.0f} % → "
        f"{best.after_pct:.0f} % at dock {candidate.dock_sn}"
    )
    for other in sooner:
        gains_s = best.eta_s - other.eta_s
        against = _AGAINST[other.against or "docked_first"]
        told += f"; drone {other.candidate.drone.sn} would be {gains_s:.0f} s sooner but {against}"
    return told


def _judge(ground: PatrolGround, target: Point, candidate: Candidate, look_s: float) -> _Judged:
    policy, drone = ground.policy, candidate.drone
    model = FlightModel(drone.cruise_m_s, policy.accel_m_s2, policy.corner_cut_m)
    docked = candidate.patrol_id is None
    there = ground.look_ways.way(candidate.here, target)
    home = ground.look_ways.way(target, candidate.home)
    against = None
    if there is None or home is None or not (docked or _turns(ground, candidate, there, home)):
        against = "closed_airspace_between"
        there, home = (candidate.here, target), (target, candidate.home)
    way_s = _way_s if docked else _legs_s
    there_s, home_s = way_s(there, model), way_s(home, model)
    look_trip_s = there_s + look_s + home_s
    finish_s = there_s * 2.0 + look_s + candidate.remaining_s
    airtime = airtime_s(drone, candidate.battery_pct, policy)
    resumes = not docked and finish_s <= airtime
    spent_s = finish_s if resumes else look_trip_s
    used_pct = 100.0 * spent_s * policy.time_margin / drone.endurance_s
    used_pct += 100.0 * policy.climb_and_land_s / drone.endurance_s
    if against is None and look_trip_s > airtime:
        against = "below_reserve"
    return _Judged(
        candidate,
        there_s + (_TAKE_OFF_S if docked else 0.0),
        candidate.battery_pct - used_pct,
        resumes,
        against,
        there,
        there[::-1] if resumes else home,
        spent_s + policy.climb_and_land_s,
    )


def _turns(
    ground: PatrolGround, candidate: Candidate, there: Sequence[Point], home: Sequence[Point]
) -> bool:
    """Tell whether a patrol can fly these ways point by point, from wherever it stops."""
    if max(len(there), len(home)) - 2 > _TURNS_LIMIT:
        return False
    stop = candidate.stops_at or candidate.here
    return len(there) == 2 or ground.look_ways.way(stop, there[1]) == (stop, there[1])


def _legs_s(way: Sequence[Point], model: FlightModel) -> float:
    """Return the seconds of a way flown from turn to turn, at rest at each."""
    flown_s = sum(_way_s(leg, model) for leg in pairwise(way))
    return flown_s + _AT_TURN_S * (len(way) - 2)


def _way_s(way: Sequence[Point], model: FlightModel) -> float:
    return flight_time_s(way, model) if math.dist(way[0], way[-1]) > 0.1 else 0.0
