"""A wayline as MAVLink mission items, and items read back as a wayline.

Commands and their parameters: MAVLink common message set (MAV_CMD). Take-off, then speed, camera
and waypoints, home at the end: nothing here is one autopilot's own.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from domain.mission import Wayline, Waypoint
from domain.place import Position
from geo.frames import LocalFrame
from geo.routes import FlightModel, flight_time_s, length_m

WAYPOINT, RETURN, LAND, TAKE_OFF = 16, 20, 21, 22
JUMP, CHANGE_SPEED, MOUNT_CONTROL = 177, 178, 205
VIDEO_START, VIDEO_STOP = 2500, 2501
FENCE_KEEP_IN, FENCE_KEEP_OUT, CIRCLE_KEEP_IN, CIRCLE_KEEP_OUT, RALLY = 5001, 5002, 5003, 5004, 5100
ABSOLUTE, RELATIVE, ABSOLUTE_INT, RELATIVE_INT, NO_PLACE = 0, 3, 5, 6, 2
RELATIVE_FRAMES = (RELATIVE, RELATIVE_INT)
PLACED_FRAMES = (0, 3, 5, 6, 10, 11)
"""Frames whose x and y are latitude and longitude."""
GROUND_SPEED = 1.0
MAVLINK_TARGETING = 2.0
ITEMS_LIMIT = 65_535
NAN = math.nan


@dataclass(frozen=True, slots=True)
class MissionItem:
    """One item; NaN leaves a parameter open. In a frame without a place x and y are params 5, 6."""

    command: int
    frame: int
    p1: float = 0.0
    p2: float = 0.0
    p3: float = 0.0
    p4: float = 0.0
    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    autocontinue: bool = True

    @classmethod
    def of(
        cls, command: int, frame: int, values: Sequence[float], autocontinue: bool = True
    ) -> Self:
        """Return an item of its seven numbers: four parameters, x, y, z."""
        p1, p2, p3, p4, x, y, z = values
        return cls(command, frame, p1, p2, p3, p4, x, y, z, autocontinue)

    @property
    def placed(self) -> bool:
        """Tell whether x and y are degrees of latitude and longitude."""
        return self.frame in PLACED_FRAMES


def mission_items(wayline: Wayline, home: Position) -> tuple[MissionItem, ...]:
    """Return a wayline flown from `home` and back; heights are above home.

    Raises ValueError for an empty wayline.
    """
    if not wayline.waypoints:
        raise ValueError("a mission needs at least one waypoint, got an empty wayline")
    first = wayline.waypoints[0]
    items = [
        MissionItem(
            TAKE_OFF, RELATIVE_INT, p4=NAN,
            x=home.lat_deg, y=home.lon_deg, z=first.height_rel_m,
        )
    ]  # fmt: skip
    speed_m_s: float | None = None
    pitch_deg: float | None = None
    for point in wayline.waypoints:
        if point.speed_m_s != speed_m_s:
            speed_m_s = point.speed_m_s
            items.append(MissionItem(CHANGE_SPEED, NO_PLACE, GROUND_SPEED, speed_m_s, -1.0))
        items.append(_waypoint(point))
        if point.gimbal_pitch_deg != pitch_deg:
            pitch_deg = point.gimbal_pitch_deg
            items.append(MissionItem(MOUNT_CONTROL, NO_PLACE, pitch_deg, z=MAVLINK_TARGETING))
        if point is first:
            items.append(MissionItem(VIDEO_START, NO_PLACE, 0.0, NAN))
    items.append(MissionItem(VIDEO_STOP, NO_PLACE))
    items.append(MissionItem(RETURN, NO_PLACE))
    return tuple(items)


def _waypoint(point: Waypoint) -> MissionItem:
    return MissionItem(
        WAYPOINT, RELATIVE_INT, point.hover_s, p4=NAN if point.yaw_deg is None else point.yaw_deg,
        x=point.position.lat_deg, y=point.position.lon_deg, z=point.height_rel_m,
    )  # fmt: skip


def wayline_of(items: Sequence[MissionItem], speed_m_s: float, home_msl_m: float = 0.0) -> Wayline:
    """Return the waypoints of a mission; `speed_m_s` holds until an item changes it.

    Raises ValueError for heights above terrain, which cannot be told from heights above home.
    """
    points: list[Waypoint] = []
    pitch_deg = -90.0
    for i, item in enumerate(items):
        if item.command == CHANGE_SPEED and item.p2 > 0.0:
            speed_m_s = item.p2
        elif item.command == MOUNT_CONTROL:
            pitch_deg = item.p1
            # A camera is turned where the aircraft then is.
            if points and items[i - 1].command == WAYPOINT:
                points[-1] = replace(points[-1], gimbal_pitch_deg=pitch_deg)
        elif item.command == WAYPOINT:
            yaw = None if math.isnan(item.p4) else item.p4
            position = Position(item.x, item.y)
            height_m = _height_rel_m(i, item, home_msl_m)
            hold_s = 0.0 if math.isnan(item.p1) else item.p1
            points.append(Waypoint(position, height_m, speed_m_s, pitch_deg, yaw, hold_s))
    return measured(tuple(points))


def measured(points: tuple[Waypoint, ...]) -> Wayline:
    """Return waypoints as a wayline with the length and time of the house's flight model."""
    if len(points) < 2:
        return Wayline(points, 0.0, 0.0)
    frame = LocalFrame(points[0].position)
    path = [frame.to_local(p.position.lat_deg, p.position.lon_deg) for p in points]
    model = FlightModel(max(0.1, points[0].speed_m_s), 2.5, 2.0)
    hover_s = sum(p.hover_s for p in points)
    return Wayline(points, round(length_m(path), 1), round(flight_time_s(path, model) + hover_s, 1))


def _height_rel_m(index: int, item: MissionItem, home_msl_m: float) -> float:
    if item.frame in RELATIVE_FRAMES:
        return item.z
    if item.frame in (ABSOLUTE, ABSOLUTE_INT):
        return item.z - home_msl_m
    raise ValueError(
        f"item {index} has frame {item.frame}: heights above terrain are not read; "
        "export the plan with heights above home (frame 3 or 6)"
    )
