"""What of a flight still lies ahead: its seconds, its cells, and where it can stop. Pure."""

import math
from collections.abc import Sequence

from domain.mission import MissionPurpose
from geo.routes import Point
from services.patrol.flight import Flight
from services.patrol.plan import PatrolGround

_PAUSED_WITHIN_S = 10.0


def remaining_s(flight: Flight) -> float:
    """Return the seconds of path a patrol has left, by its last waypoint."""
    wayline = flight.mission.wayline
    if flight.mission.purpose is not MissionPurpose.PATROL or len(wayline.waypoints) < 2:
        return 0.0
    left = flight.mission.break_point
    first = left.index if left is not None else 0
    done = max(flight.waypoint_index or 0, first) / (len(wayline.waypoints) - 1)
    return wayline.flight_time_s * max(0.0, 1.0 - done)


def in_air_s(flights: Sequence[Flight]) -> dict[str, float]:
    """Return the cells open flights will see, with the seconds until they are home."""
    return {
        code: remaining_s(f)
        for f in flights
        for code in f.mission.cell_codes
        if code not in f.released_cells
    }


def cells_ahead(flight: Flight) -> tuple[str, ...]:
    """Return the cells a patrol has not finished."""
    ahead = flight.mission.wayline.waypoints[(flight.waypoint_index or 0) :]
    marked = dict.fromkeys(w.cell_code for w in ahead if w.cell_code is not None)
    return tuple(marked)


def stops_at(ground: PatrolGround, flight: Flight, here: Point) -> Point:
    """Return how far along its leg a patrol may be before it has been paused."""
    points = flight.mission.wayline.waypoints
    ahead = points[min((flight.waypoint_index or 0) + 1, len(points) - 1)]
    x, y = ground.local(ahead.position)
    left_m = math.dist(here, (x, y))
    share = min(1.0, _PAUSED_WITHIN_S * ahead.speed_m_s / max(1e-6, left_m))
    return here[0] + share * (x - here[0]), here[1] + share * (y - here[1])
