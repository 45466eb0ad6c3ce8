"""A mission's steps as DJI service calls (Cloud API, Dock 2: wayline tasks and live flight)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.device import Dock, Drone
from domain.mission import Mission
from domain.place import Position
from services.patrol.aircraft.wpml import airframe
from services.patrol.flight import Step
from services.patrol.lost_link import LEAVE_POINT_FLIGHT, LEAVE_WAYLINE, WORDS
from services.patrol.policy import PatrolPolicy
from services.patrol.way_home import return_height_rel_m


@dataclass(frozen=True, slots=True)
class Resource:
    """Where a dock finds its wayline file, and the MD5 it must have."""

    url: str
    fingerprint: str


_RTH_PRESET = 1
_LOWEST_LOOK_AT_M = 2.0
"""What a dock takes as `height`, above the ellipsoid (DJI Cloud API, camera_look_at)."""
_COMMANDER_PRESET_HEIGHT = 1

METHODS = {
    Step.PREPARE: "flighttask_prepare",
    Step.EXECUTE: "flighttask_execute",
    Step.UNDO: "flighttask_undo",
    Step.TAKEOFF_TO_POINT: "takeoff_to_point",
    Step.GRAB_AUTHORITY: "flight_authority_grab",
    Step.FLY_TO_POINT: "fly_to_point",
    Step.FLY_TO_POINT_STOP: "fly_to_point_stop",
    Step.GRAB_PAYLOAD: "payload_authority_grab",
    Step.LOOK_AT: "camera_look_at",
    Step.TAKE_PHOTO: "camera_photo_take",
    Step.PAUSE: "flighttask_pause",
    Step.RECOVERY: "flighttask_recovery",
    Step.RETURN_HOME: "return_home",
    Step.CANCEL_RETURN: "return_home_cancel",
}


def order(
    step: Step,
    mission: Mission,
    dock: Dock,
    drone: Drone,
    file: Resource | None,
    at: datetime,
    policy: PatrolPolicy,
    count: int = 0,
) -> dict[str, Any]:
    """Return the `data` of a step's service call, of which there were `count` before.

    Raises ValueError for a step that lacks what it needs (a file, a target, a known camera).
    """
    match step:
        case Step.PREPARE:
            if file is None:
                raise ValueError(f"{mission.mission_id} has no wayline file to prepare")
            return {
                "flight_id": mission.mission_id,
                "execute_time": int(at.timestamp() * 1000),
                "task_type": 0,
                "file": {"url": file.url, "fingerprint": file.fingerprint},
                "rth_altitude": return_height_rel_m(mission, policy),
                "rth_mode": _RTH_PRESET,
                "out_of_control_action": WORDS[policy.rules.lost_link.action].task,
                "exit_wayline_when_rc_lost": LEAVE_WAYLINE,
                "wayline_precision_type": 0,
                "flight_safety_advance_check": 1,
                **_break_point(mission),
            }
        case Step.EXECUTE:
            return {"flight_id": mission.mission_id}
        case Step.UNDO:
            return {"flight_ids": [mission.mission_id]}
        case Step.TAKEOFF_TO_POINT:
            return _take_off(mission, dock, drone, policy)
        case Step.FLY_TO_POINT:
            point = mission.flown_to[count]
            height_m = dock.height_ellipsoid_m + point.height_rel_m
            place = _target(mission) if count == len(mission.turns) else _place(point.position)
            return {
                "fly_to_id": mission.mission_id,
                "max_speed": int(min(15.0, drone.cruise_m_s)),
                "points": [{**place, "height": round(height_m, 2)}],
            }
        case Step.GRAB_PAYLOAD | Step.TAKE_PHOTO:
            return {"payload_index": _payload_index(drone)}
        case Step.LOOK_AT:
            return _look_at(mission, dock, drone, policy)
        case (
            Step.PAUSE
            | Step.RECOVERY
            | Step.RETURN_HOME
            | Step.CANCEL_RETURN
            | Step.GRAB_AUTHORITY
            | Step.FLY_TO_POINT_STOP
        ):
            return {}


def _break_point(mission: Mission) -> dict[str, Any]:
    """Where a resumed wayline goes on; nothing for one flown from its beginning."""
    left = mission.break_point
    if left is None:
        return {}
    told = {"index": left.index, "state": left.state, "progress": round(left.progress, 4)}
    return {"break_point": {**told, "wayline_id": left.wayline_id}}


def _take_off(mission: Mission, dock: Dock, drone: Drone, policy: PatrolPolicy) -> dict[str, Any]:
    target = _target(mission)
    return {
        "flight_id": mission.mission_id,
        "target_latitude": target["latitude"],
        "target_longitude": target["longitude"],
        "target_height": round(dock.height_ellipsoid_m + _height_rel_m(mission), 2),
        "security_takeoff_height": int(policy.look_height_agl_m),
        "rth_mode": _RTH_PRESET,
        "rth_altitude": return_height_rel_m(mission, policy),
        "rc_lost_action": WORDS[policy.rules.lost_link.action].point,
        "commander_mode_lost_action": LEAVE_POINT_FLIGHT,
        "commander_flight_mode": _COMMANDER_PRESET_HEIGHT,
        "commander_flight_height": int(policy.look_height_agl_m),
        "max_speed": int(min(15.0, drone.cruise_m_s)),
    }


def _look_at(mission: Mission, dock: Dock, drone: Drone, policy: PatrolPolicy) -> dict[str, Any]:
    """The ground at the target: as far below the look as it was planned above it. `locked` turns
    the nose with the camera, whose own gimbal turns sideways only a little."""
    ground_m = dock.height_ellipsoid_m + _height_rel_m(mission) - policy.look_height_agl_m
    return {
        "payload_index": _payload_index(drone),
        "locked": True,
        **_target(mission),
        "height": round(max(_LOWEST_LOOK_AT_M, ground_m), 2),
    }


def _payload_index(drone: Drone) -> str:
    frame = airframe(drone.model)
    if frame is None:
        raise ValueError(f"{drone.sn} is a {drone.model}, whose camera has no known index")
    return frame.payload_index


def _height_rel_m(mission: Mission) -> float:
    """How high over the dock a look is planned; the ground at the target was allowed for."""
    return mission.wayline.waypoints[0].height_rel_m


def _target(mission: Mission) -> dict[str, float]:
    if mission.target is None:
        raise ValueError(f"{mission.mission_id} has no target to fly to")
    return _place(mission.target)


def _place(position: Position) -> dict[str, float]:
    return {"latitude": round(position.lat_deg, 8), "longitude": round(position.lon_deg, 8)}
