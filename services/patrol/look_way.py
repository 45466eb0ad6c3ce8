"""The way of a look that has to go round closed airspace: there, over the target, and back.

A dock's `takeoff_to_point` flies straight; a wayline can bend. Over the target it circles slowly
until the look's time is over, then follows its own way home, so that no straight return crosses
what the way out went round. A patrol turned aside is flown from turn to turn instead.
"""

import math
from collections.abc import Sequence

from domain.device import Dock
from domain.mission import Wayline, Waypoint
from geo.routes import Point, flight_time_s, length_m
from services.patrol.divert import Choice
from services.patrol.plan import PatrolGround

_CIRCLE_M = 8.0
_CIRCLE_POINTS = 8
_ROUNDS_LIMIT = 24


def look_wayline(ground: PatrolGround, dock: Dock, choice: Choice, look_s: float) -> Wayline:
    """Return where a look flies: the target alone where the way is straight."""
    target = choice.there[-1]
    single = choice.straight or choice.candidate.patrol_id is not None
    points = [target] if single else _bent(ground, choice, look_s)
    return Wayline(
        _waypoints(ground, dock, choice, points),
        0.0 if single else round(length_m(points), 1),
        round(choice.eta_s, 1),
    )


def turns(
    ground: PatrolGround, dock: Dock, choice: Choice
) -> tuple[tuple[Waypoint, ...], tuple[Waypoint, ...]]:
    """Return where a patrol turned aside turns on its way to the target, and on its way back."""
    if choice.candidate.patrol_id is None:
        return (), ()
    return (
        _waypoints(ground, dock, choice, choice.there[1:-1]),
        _waypoints(ground, dock, choice, choice.back[1:-1]),
    )


def _waypoints(
    ground: PatrolGround, dock: Dock, choice: Choice, points: Sequence[Point]
) -> tuple[Waypoint, ...]:
    height, speed = ground.policy.look_height_agl_m, choice.candidate.drone.cruise_m_s
    return tuple(
        Waypoint(ground.frame.to_position(*p), ground.height_rel_m(dock, p, height), speed)
        for p in points
    )


def _bent(ground: PatrolGround, choice: Choice, look_s: float) -> list[Point]:
    x, y = choice.there[-1]
    turns = [2.0 * math.pi * i / _CIRCLE_POINTS for i in range(_CIRCLE_POINTS)]
    circle = [(x + _CIRCLE_M * math.cos(t), y + _CIRCLE_M * math.sin(t)) for t in turns]
    if not all(ground.look_ways.way(a, (x, y)) == (a, (x, y)) for a in circle):
        # Beside closed airspace: to and fro on the leg one came by.
        a, b = choice.there[-2], choice.there[-1]
        share = min(1.0, _CIRCLE_M / math.dist(a, b))
        circle = [(b[0] + share * (a[0] - b[0]), b[1] + share * (a[1] - b[1])), b]
    once_s = flight_time_s([*circle, circle[0]], ground.model(choice.candidate.drone))
    rounds = min(_ROUNDS_LIMIT, math.ceil(look_s / max(1.0, once_s)))
    return [*choice.there[1:], *(circle * rounds), *choice.back[1:-1]]
