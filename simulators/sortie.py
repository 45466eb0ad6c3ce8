"""One flight from a dock: its stages on the ground and in the air, and how it is told.

Steps are DJI `current_step` values; stages are ours and say which commands fit.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from domain.place import Position
from geo.frames import LocalFrame
from simulators.drone import LOWEST_FLIGHT_M, TAKING_OFF, WAYLINE, Flying, Leg
from simulators.wayline import FileWayline

BROKEN_BY_BATTERY = 773
BROKEN_BY_RETURN = 1283
WRONG_RESUME_INDEX = 1558
REASON_TO_RESULT = 321_000
"""The vendor's error code of a break reason is this much more."""
STEP_FLYING, STEP_BEFORE_HOME, STEP_LANDING, STEP_COVER, STEP_LEAVE = 25, 26, 27, 28, 29
RESOURCE = "flighttask_resource_get"


class Stage(StrEnum):
    PREFLIGHT = "preflight"
    OUTBOUND = "outbound"
    PAUSED = "paused"
    ASIDE = "aside"
    OVER = "over"
    HOMING = "homing"
    CLOSING = "closing"


class SortieKind(StrEnum):
    WAYLINE = "wayline"
    POINT = "point"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing done before take-off; with `ask`, the server is asked and waited for."""

    step: int
    lasts_s: float
    ask: str | None = None


CHECKS: dict[SortieKind, tuple[Check, ...]] = {
    SortieKind.WAYLINE: (
        Check(5, 2.0),
        Check(14, 0.4, "flight_areas_get"),
        Check(15, 0.4, "offline_map_get"),
        Check(7, 6.0),
        Check(9, 6.0),
        Check(16, 0.4, RESOURCE),
        Check(18, 2.0),
        Check(23, 1.0),
        Check(24, 1.0),
    ),
    SortieKind.POINT: (
        Check(5, 1.0),
        Check(14, 0.4, "flight_areas_get"),
        Check(15, 0.4, "offline_map_get"),
        Check(7, 6.0),
        Check(9, 4.0),
        Check(23, 1.0),
        Check(24, 1.0),
    ),
}


@dataclass(frozen=True, slots=True)
class Start:
    """A break point to go on from: on the leg after waypoint `index`, or at it (`state` 1)."""

    index: int
    state: int
    progress: float


@dataclass(frozen=True, slots=True)
class Sortie:
    """A flight the dock has accepted. Times are clock times; places local metres."""

    flight_id: str
    kind: SortieKind
    accepted_at: datetime
    since: datetime
    stage: Stage = Stage.PREFLIGHT
    check: int = 0
    asked: bool = False
    answered: bool = False
    legs: tuple[Leg, ...] = ()
    takeoff_height_m: float = 30.0
    rth_height_m: float = 60.0
    target_x_m: float = 0.0
    target_y_m: float = 0.0
    target_z_m: float = 60.0
    speed_m_s: float = 12.0
    fly_to_id: str | None = None
    broke_index: int | None = None
    broke_x_m: float = 0.0
    broke_y_m: float = 0.0
    broke_z_m: float = 0.0
    break_reason: int | None = None
    start: Start | None = None
    photos: tuple[datetime, ...] = ()
    complete: bool = False
    cancelled: bool = False
    result: int = 0
    step: int = 0

    @property
    def airborne(self) -> bool:
        return self.stage not in (Stage.PREFLIGHT, Stage.CLOSING)

    @property
    def status(self) -> str:
        """The vendor's word for a wayline flight that has not ended."""
        return "paused" if self.stage in (Stage.PAUSED, Stage.ASIDE, Stage.OVER) else "in_progress"

    @property
    def ending(self) -> str:
        """The vendor's terminal word."""
        if self.cancelled:
            return "canceled"
        if self.result:
            return "failed"
        return "ok" if self.complete else "partially_done"


def wayline_legs(
    wayline: FileWayline, frame: LocalFrame, home_ellipsoid_m: float
) -> tuple[Leg, ...]:
    """Return the file's waypoints as legs in local metres above take-off."""
    legs = []
    for index, point in enumerate(wayline.points):
        x_m, y_m = frame.to_local(point.position.lat_deg, point.position.lon_deg)
        z_m = point.height_m - (home_ellipsoid_m if point.ellipsoid else 0.0)
        speed = wayline.transit_m_s if index == 0 else point.speed_m_s
        legs.append(
            Leg(x_m, y_m, max(5.0, z_m), speed, WAYLINE, point.pitch_deg, point.hover_s, index)
        )
    return tuple(legs)


def from_start(legs: tuple[Leg, ...], start: Start) -> tuple[Leg, ...]:
    """Return what of a wayline is left to fly from a break point.

    Raises ValueError for a place that is not on the wayline.
    """
    left = tuple(leg for leg in legs if leg.index is not None and leg.index > start.index)
    at = next((leg for leg in legs if leg.index == start.index), None)
    if at is None or not 0.0 <= start.progress <= 1.0 or (not left and start.state == 0):
        raise ValueError(f"break point {start.index} is not among {len(legs)} waypoints")
    if start.state == 1:
        return (at, *left)
    to, share = left[0], start.progress
    first = replace(
        at,
        x_m=at.x_m + share * (to.x_m - at.x_m),
        y_m=at.y_m + share * (to.y_m - at.y_m),
        z_m=at.z_m + share * (to.z_m - at.z_m),
        pitch_deg=to.pitch_deg,
        hover_s=0.0,
        index=to.index,
    )
    return (first, *left)


def break_point(sortie: Sortie) -> dict[str, Any]:
    """Return where the wayline was left, as the vendor counts: leg and share of it."""
    to = sortie.broke_index or 0
    ends = {leg.index: leg for leg in sortie.legs}
    if to == 0 or to not in ends or to - 1 not in ends:
        return {"index": to, "state": 1, "progress": 0.0, "wayline_id": 0}
    a, b = ends[to - 1], ends[to]
    leg_m = max(1e-6, math.dist((a.x_m, a.y_m), (b.x_m, b.y_m)))
    done_m = math.dist((a.x_m, a.y_m), (sortie.broke_x_m, sortie.broke_y_m))
    return {
        "index": to - 1,
        "state": 0,
        "progress": round(min(1.0, done_m / leg_m), 3),
        "wayline_id": 0,
    }


def takeoff_legs(sortie: Sortie, flying: Flying) -> tuple[Leg, ...]:
    """Return the climb out of the dock followed by the flight."""
    home = (flying.home_x_m, flying.home_y_m)
    climb = Leg(*home, max(LOWEST_FLIGHT_M, sortie.takeoff_height_m), 3.0, TAKING_OFF)
    if sortie.kind is SortieKind.WAYLINE:
        return (climb, *sortie.legs)
    to = Leg(sortie.target_x_m, sortie.target_y_m, sortie.target_z_m, sortie.speed_m_s, TAKING_OFF)
    return (climb, to)


def resume_legs(sortie: Sortie) -> tuple[Leg, ...]:
    """Return the way back to the break point and what is left of the wayline."""
    left = tuple(
        leg
        for leg in sortie.legs
        if leg.index is not None and leg.index >= (sortie.broke_index or 0)
    )
    back = Leg(
        sortie.broke_x_m,
        sortie.broke_y_m,
        sortie.broke_z_m,
        sortie.speed_m_s,
        WAYLINE,
        index=sortie.broke_index,
    )
    return (back, *left)


def wayline_progress(
    sortie: Sortie, flying: Flying, status: str, where: Position, height_m: float
) -> dict[str, Any]:
    """Return the data of a `flighttask_progress` event."""
    index = flying.waypoint if sortie.airborne and not sortie.complete else None
    total = max(1, len(sortie.legs))
    if index is None:
        index = total - 1 if sortie.complete else sortie.broke_index or 0
    percent = 100 if sortie.complete else min(99, round(100 * index / total))
    ext: dict[str, Any] = {
        "flight_id": sortie.flight_id,
        "current_waypoint_index": index,
        "media_count": 0,
        "track_id": sortie.flight_id,
        "wayline_id": 0,
        "wayline_mission_state": _mission_state(sortie),
    }
    if sortie.broke_index is not None:
        ext["break_point"] = {
            **break_point(sortie),
            "break_reason": sortie.break_reason or 1282,
            "latitude": round(where.lat_deg, 7),
            "longitude": round(where.lon_deg, 7),
            "height": round(height_m, 2),
            "attitude_head": round(flying.motion.heading_deg, 1),
        }
    return {
        "result": sortie.result,
        "output": {
            "status": status,
            "progress": {"current_step": sortie.step, "percent": percent},
            "ext": ext,
        },
    }


def point_progress(
    sortie: Sortie, flying: Flying, status: str, target: Position, target_height_m: float
) -> dict[str, Any]:
    """Return what `takeoff_to_point_progress` and `fly_to_point_progress` have in common."""
    m = flying.motion
    away_m = math.hypot(sortie.target_x_m - m.x_m, sortie.target_y_m - m.y_m)
    if status in ("wayline_ok", "task_finish"):
        away_m = 0.0
    return {
        "status": status,
        "result": sortie.result,
        "way_point_index": 0 if status == "wayline_progress" else 1,
        "remaining_distance": round(away_m, 1),
        "remaining_time": round(away_m / max(1.0, sortie.speed_m_s), 1),
        "planned_path_points": [
            {
                "latitude": round(target.lat_deg, 7),
                "longitude": round(target.lon_deg, 7),
                "height": round(target_height_m, 2),
            }
        ],
    }


def _mission_state(sortie: Sortie) -> int:
    if sortie.stage is Stage.PREFLIGHT:
        return 3
    if sortie.stage is Stage.OUTBOUND:
        return 6
    return 7 if sortie.stage in (Stage.PAUSED, Stage.ASIDE, Stage.OVER) else 9


def media_told(sortie: Sortie, where: Position, at: datetime) -> list[dict[str, Any]]:
    """Return the data of `file_upload_callback` for each file: photographs, taken over the last
    point looked at (`where`), and of a wayline its one recording."""
    names = [f"DJI_{t:%Y%m%d%H%M%S}_{n:04d}_V.JPG" for n, t in enumerate(sortie.photos, 1)]
    times = list(sortie.photos)
    if sortie.kind is SortieKind.WAYLINE:
        names, times = [*names, f"DJI_{at:%Y%m%d%H%M%S}_0001_W.MP4"], [*times, at]
    one_key = int(sortie.kind is SortieKind.POINT)
    told = []
    for number, (name, taken_at) in enumerate(zip(names, times, strict=True), 1):
        file = {
            "object_key": f"{sortie.flight_id}/{name}",
            "path": sortie.flight_id,
            "name": name,
            "ext": {"flight_id": sortie.flight_id, "is_original": True},
            "metadata": {
                "create_time": f"{taken_at:%Y-%m-%d %H:%M:%S}",
                "shoot_position": {"lat": where.lat_deg, "lng": where.lon_deg},
            },
        }
        counts = {"uploaded_file_count": number, "expected_file_count": len(names)}
        told.append({"file": file, "flight_task": {**counts, "flight_type": one_key}})
    return told
