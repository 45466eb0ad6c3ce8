"""The things that see: docks, aircraft and cameras, as registered."""

from dataclasses import dataclass
from enum import StrEnum

from domain.place import Position


class DeviceKind(StrEnum):
    DRONE = "drone"
    DOCK = "dock"
    CAMERA = "camera"
    REMOTE_CONTROL = "remote_control"


@dataclass(frozen=True, slots=True)
class Dock:
    """机场. One dock houses one aircraft (DJI Dock semantics); `sn` is its gateway serial."""

    sn: str
    name: str
    position: Position
    height_ellipsoid_m: float
    drone_sn: str


@dataclass(frozen=True, slots=True)
class Drone:
    """无人机. `gateway_sn` is the dock or remote control it talks through; `docked` says which.

    `address` is where its live picture is read, rtsp:// or http://; empty where it sends frames.
    """

    sn: str
    name: str
    model: str
    gateway_sn: str
    docked: bool
    cruise_m_s: float = 12.0
    endurance_s: float = 2100.0
    reserve_pct: float = 25.0
    hfov_deg: float = 66.0
    address: str = ""


@dataclass(frozen=True, slots=True)
class Camera:
    """A fixed camera with its calibrated pose.

    `address` is rtsp://, http:// or mqtt:<topic>. Yaw is clockwise from north, pitch is -90 at
    nadir and 0 at the horizon.
    """

    sn: str
    name: str
    position: Position
    height_agl_m: float
    yaw_deg: float
    pitch_deg: float
    hfov_deg: float
    width_px: int
    height_px: int
    address: str
