"""What a flight does when the sky changes under it: come home, hold, fly on. Pure.

The rules are data (`rules/sky.toml`, recall). They never speak to a drone a person has in hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.mission import MissionPurpose, MissionState
from geo.airspace import SkyPolicy, Volume, breaches
from geo.terrain import Point3, Terrain
from services.patrol.flight import Flight, Order, Step
from services.patrol.sky.rules import RecallRule

BY = "patrol"
HOME, HOLD = "return_home", "hold"


@dataclass(frozen=True, slots=True)
class Situation:
    """Where a flight is and what is known around it.

    `ahead` is its way from here on, `way_home` straight to its dock (both empty where its place is
    not known); `silent_s` how long its aircraft has said nothing.
    """

    ahead: tuple[Point3, ...]
    way_home: tuple[Point3, ...]
    wind_m_s: float
    rain_level: int
    silent_s: float


@dataclass(frozen=True, slots=True)
class Recall:
    order: Order
    reason: str
    where: str | None = None


def recall(
    flight: Flight,
    situation: Situation,
    zones: Sequence[Volume],
    rule: RecallRule,
    sky: SkyPolicy,
    terrain: Terrain,
    link_lost_s: float,
    at: datetime,
) -> Recall | None:
    """Return what a rule orders a flight now, or None. `zones` are those closed soon."""
    told = flight.ordered
    if not flight.airborne() or flight.carrier_id is not None:
        return None
    if flight.called_home() is not None or flight.helpless():
        return None
    if told is not None and told.order in (Order.RETURN_HOME, Order.CANCEL_RETURN):
        # A person who broke off a return has taken over; another order ends that.
        return None
    held = told is not None and told.order is Order.PAUSE and told.by == BY
    cause = _cause(situation, zones, rule, sky, terrain, link_lost_s)
    if cause is None:
        return Recall(Order.RESUME, "clear") if held else _not_resumed(flight)
    action, reason, where = cause
    if action == HOLD and not _can_hold(flight):
        action = HOME
    if action == HOME:
        return Recall(Order.RETURN_HOME, reason, where)
    if told is None or told.order is not Order.PAUSE:
        return Recall(Order.PAUSE, reason, where)
    waited_s = (at - told.at).total_seconds()
    if held and waited_s > rule.hold_limit_s:
        return Recall(Order.RETURN_HOME, reason, where)
    return None


def _cause(
    situation: Situation,
    zones: Sequence[Volume],
    rule: RecallRule,
    sky: SkyPolicy,
    terrain: Terrain,
    link_lost_s: float,
) -> tuple[str, str, str | None] | None:
    """Return the first rule that is met: what it wants, its name, and where."""
    zone = _met(situation.ahead, zones, sky, terrain) if rule.new_zone != "nothing" else None
    if zone is not None:
        # Straight home through the same zone is no way out: stay, and let a person decide.
        blocked = _met(situation.way_home, zones, sky, terrain) is not None
        inside = _met(situation.ahead[:1], zones, sky, terrain) is not None
        return (HOLD if blocked and not inside else rule.new_zone), "new_zone", zone
    checks = (
        (rule.wind, "wind_over_limit", situation.wind_m_s > rule.wind_limit_m_s),
        (rule.rain, "rain_over_limit", situation.rain_level > rule.rain_limit_level),
        (rule.link_lost, "link_lost", situation.silent_s > link_lost_s),
    )
    for action, reason, met in checks:
        if met and action != "nothing":
            return action, reason, None
    return None


def _met(
    path: Sequence[Point3], zones: Sequence[Volume], sky: SkyPolicy, terrain: Terrain
) -> str | None:
    if not path or not zones:
        return None
    known = {zone.code for zone in zones}
    found = breaches([p[:2] for p in path], [p[2] for p in path], zones, sky, terrain)
    return next((b.where for b in found if b.where in known), None)


def _can_hold(flight: Flight) -> bool:
    """A wayline can be paused; a look, and a patrol turned aside for one, cannot."""
    patrol = flight.mission.purpose is MissionPurpose.PATROL
    return patrol and flight.state is MissionState.FLYING


def _not_resumed(flight: Flight) -> Recall | None:
    """A hold that the dock will not end is ended by coming home."""
    told, sent = flight.ordered, flight.since_order(Step.RECOVERY)
    resumed = told is not None and told.order is Order.RESUME and told.by == BY
    refused = sent is not None and sent.result not in (0, None) and flight.status == "paused"
    return Recall(Order.RETURN_HOME, "resume_refused") if resumed and refused else None
