"""感知: what a device said, once decoded. One decode, one type all the way to JSON."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.device import DeviceKind
from domain.mission import BreakPoint
from domain.place import Position


class FlightPhase(StrEnum):
    IDLE = "idle"
    PREPARING = "preparing"
    TAKING_OFF = "taking_off"
    EN_ROUTE = "en_route"
    ON_TASK = "on_task"
    HOLDING = "holding"
    RETURNING = "returning"
    LANDING = "landing"
    FAULT = "fault"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True)
class Telemetry:
    """One message's worth of device state; a field is None where the message did not carry it.

    `at` and `key` come from the payload alone (the device's time, 1970 where it told none, and a
    64-bit digest), so a redelivery meets its first copy. `time_clamped` says that `at` is not to be
    believed: too far ahead of the receive time, or behind it. Heights are never mixed: ellipsoid
    (WGS-84), above take-off, above ground.
    """

    device_sn: str
    device_kind: DeviceKind
    at: datetime
    key: int
    received_at: datetime
    position: Position | None = None
    height_ellipsoid_m: float | None = None
    height_rel_m: float | None = None
    height_agl_m: float | None = None
    heading_deg: float | None = None
    speed_m_s: float | None = None
    climb_m_s: float | None = None
    battery_pct: float | None = None
    phase: FlightPhase | None = None
    gimbal_pitch_deg: float | None = None
    gimbal_yaw_deg: float | None = None
    wind_m_s: float | None = None
    rain_level: int | None = None
    dock_cover_open: bool | None = None
    drone_in_dock: bool | None = None
    time_clamped: bool = False

    @property
    def state_at(self) -> datetime:
        """The time its state is of: the device's, or where that is not believed ours."""
        return self.received_at if self.time_clamped else self.at


RETURN_GIVEN_UP, RETURN_GIVEN_UP_LEVEL = "device_exit_homing_notify", 3
"""The alarm of an aircraft that gave up its return home; its component is the vendor's reason. Over
the levels of DJI's own alarms (0..2): nobody else brings it home."""


@dataclass(frozen=True, slots=True)
class DeviceAlarm:
    """One entry of a device's complete current set of health alarms (DJI HMS)."""

    code: str
    level: int
    component: str = ""


@dataclass(frozen=True, slots=True)
class AlarmSet:
    """The full current set: an alarm missing here that stood before is resolved."""

    device_sn: str
    at: datetime
    alarms: tuple[DeviceAlarm, ...]


class EventState(StrEnum):
    BEGUN = "begun"
    UPDATED = "updated"
    ENDED = "ended"
    INSTANT = "instant"


class EventSeverity(StrEnum):
    ALERT = "alert"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class ImageBox:
    """Shares of the picture's width and height, 0..1, from its upper left corner."""

    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, slots=True)
class DeviceEvent:
    """What a camera's own analytics say happened in its view.

    `key` is the vendor's identity of the happening and comes from the payload alone, so a
    redelivery meets its first copy. `at` is the device's time; `time_clamped` says that it is not
    to be believed. Nothing of a face, a name or a number plate stands here.
    """

    device_sn: str
    at: datetime
    key: str
    label: str
    state: EventState
    severity: EventSeverity
    score: float | None
    zone: str | None
    box: ImageBox | None
    received_at: datetime
    time_clamped: bool = False


@dataclass(frozen=True, slots=True)
class Topology:
    """Which aircraft are reachable through a gateway now."""

    gateway_sn: str
    at: datetime
    drone_sns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FlightReport:
    """Progress of a flight as its dock tells it (DJI flighttask_progress and kin)."""

    flight_id: str
    gateway_sn: str
    at: datetime
    status: str
    step: int | None = None
    percent: int | None = None
    waypoint_index: int | None = None
    break_reason: int | None = None
    result: int = 0
    break_point: BreakPoint | None = None


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """A device asks the server something and waits for the reply."""

    gateway_sn: str
    method: str
    transaction_id: str
    business_id: str
    at: datetime
    data: dict[str, object]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Bytes we could not take, kept with the reason. Never raised, always stored."""

    topic: str
    payload: bytes
    reason: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class PoseAccuracy:
    """One standard deviation of each part of a pose; `focal_share` is that of the focal length."""

    horizontal_m: float = 0.5
    vertical_m: float = 0.5
    yaw_deg: float = 1.0
    tilt_deg: float = 0.5
    focal_share: float = 0.0


@dataclass(frozen=True, slots=True)
class LensModel:
    """A calibrated lens after Brown and Conrady, for pictures `width_px` wide: focal length and
    principal point in their pixels, radial k1 k2 k3 and tangential p1 p2 as OpenCV writes them."""

    width_px: int
    focal_px: float
    centre_u_px: float
    centre_v_px: float
    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0


@dataclass(frozen=True, slots=True)
class FramePose:
    """Where the lens was when the frame was taken.

    `age_s` is how far its time may lie from the frame's, one standard deviation, while the
    aircraft moved at `speed_mps` towards `course_deg` (None: nobody told) and turned at
    `turn_dps`. Without `lens` it is a pinhole of `hfov_deg`; without `accuracy` the reader
    assumes one.
    """

    position: Position
    height_agl_m: float
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    hfov_deg: float
    at: datetime
    accuracy: PoseAccuracy | None = None
    lens: LensModel | None = None
    age_s: float = 0.0
    speed_mps: float = 0.0
    turn_dps: float = 0.0
    course_deg: float | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """One encoded picture. `pose` is None for fixed cameras (the registry knows theirs)."""

    device_sn: str
    at: datetime
    jpeg: bytes
    pose: FramePose | None
    flight_id: str | None = None


Observation = Telemetry | AlarmSet | DeviceEvent | Topology | FlightReport | DeviceRequest
