"""Whether the rest of a patrol that had to come home is flown on, and what that mission is. Pure.

A dock tells where it left a wayline and why (flighttask_progress, break_point). Where nothing is
wrong with the file, and nobody called the flight home, the next prepare carries the break point.
"""

import math
from collections.abc import Collection, Mapping
from datetime import datetime

from domain.codec import instant_text
from domain.ids import derive
from domain.mission import BreakPoint, Mission, MissionOutcome, MissionPurpose
from geo.routes import Point
from services.patrol.demand import CellVisits
from services.patrol.dock_codes import RESUMABLE
from services.patrol.flight import Flight
from services.patrol.plan import PatrolGround

LEAST_LEFT_SHARE = 0.1
"""What is less than this is not worth a sortie of its own."""


def left_at(flight: Flight) -> BreakPoint | None:
    """Return where a patrol was left, if its dock told so and the rest may be flown."""
    left, mission = flight.break_point, flight.mission
    flown_on = mission.break_point is None or left is None or left.index > mission.break_point.index
    fits = (
        mission.purpose is MissionPurpose.PATROL
        and flight.outcome is MissionOutcome.PARTIAL
        and flight.break_reason in RESUMABLE
        and not flight.released_cells
        and left is not None
        and left.index < len(mission.wayline.waypoints) - 1
        # A resumed wayline that got no farther is not tried for ever.
        and flown_on
    )
    return left if fits else None


def share_left(mission: Mission, left: BreakPoint) -> float:
    """Return the share of a wayline's legs beyond a break point."""
    legs = max(1, len(mission.wayline.waypoints) - 1)
    done = left.index + (left.progress if left.state == 0 else 0.0)
    return max(0.0, 1.0 - done / legs)


def cells_left(mission: Mission, left: BreakPoint) -> tuple[str, ...]:
    """Return the cells marked on the waypoints after a break point."""
    ahead = mission.wayline.waypoints[left.index :]
    return tuple(dict.fromkeys(w.cell_code for w in ahead if w.cell_code is not None))


def rest_s(ground: PatrolGround, flight: Flight, left: BreakPoint, cruise_m_s: float) -> float:
    """Return the seconds of path of the rest: out to the break point, and on."""
    mission = flight.mission
    at: Point = ground.local(mission.wayline.waypoints[left.index].position)
    out_s = math.dist(ground.docks[mission.dock_sn], at) / cruise_m_s
    return out_s + mission.wayline.flight_time_s * share_left(mission, left)


def resumed(
    flight: Flight,
    visits: Mapping[str, CellVisits],
    taken: Collection[str],
    within_s: float,
    at: datetime,
) -> Mission | None:
    """Return the mission that flies the rest of an ended patrol; None where there is none to fly.

    The rest is left alone when it is old, hardly anything, taken by another flight, or was seen
    meanwhile.
    """
    left, mission = left_at(flight), flight.mission
    if left is None or (at - flight.changed_at).total_seconds() > within_s:
        return None
    if share_left(mission, left) < LEAST_LEFT_SHARE:
        return None
    cells = cells_left(mission, left)
    unseen = [c for c in cells if not _seen_since(visits.get(c), flight.changed_at)]
    if not unseen or any(code in taken for code in cells):
        return None
    return Mission(
        mission_id=derive("mission", "resume", mission.mission_id, instant_text(at)),
        purpose=MissionPurpose.PATROL,
        dock_sn=mission.dock_sn,
        drone_sn=mission.drone_sn,
        planned_at=at,
        cell_codes=cells,
        wayline=mission.wayline,
        reason=f"resumes_after_{flight.break_reason}",
        resumes_id=mission.mission_id,
        break_point=left,
        theme=mission.theme,
    )


def _seen_since(visits: CellVisits | None, then: datetime) -> bool:
    return visits is not None and visits.seen_at is not None and visits.seen_at > then
