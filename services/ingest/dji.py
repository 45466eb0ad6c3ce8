"""DJI Cloud API 1.11: topics and envelopes into observations. Pure.

Every OSD message is a partial object and gives one Telemetry with only what it carried. Heights
stay apart: `height` is WGS-84 ellipsoid, `elevation` is above take-off. The vendor's own examples
have `"timestamp:"` for `timestamp`, digits as strings and no `method`: taken, never crashed on.
"""

from datetime import datetime
from hashlib import blake2b
from re import fullmatch
from typing import Any

from domain.device import DeviceKind
from domain.mission import BreakPoint
from domain.observation import (
    RETURN_GIVEN_UP,
    RETURN_GIVEN_UP_LEVEL,
    AlarmSet,
    DeviceAlarm,
    DeviceRequest,
    FlightPhase,
    FlightReport,
    Observation,
    Telemetry,
    Topology,
)
from domain.place import Position
from services.ingest.devices import Devices
from services.ingest.fields import (
    Unreadable,
    device_time,
    integer,
    json_object,
    number,
    section,
    serial,
    text,
    told_time,
)
from services.ingest.heard import Heard, Reply

ALARMS_LIMIT = 20
AIRCRAFT_PHASES = {
    0: FlightPhase.IDLE,
    1: FlightPhase.PREPARING,
    2: FlightPhase.PREPARING,
    3: FlightPhase.ON_TASK,
    4: FlightPhase.TAKING_OFF,
    5: FlightPhase.ON_TASK,
    6: FlightPhase.ON_TASK,
    7: FlightPhase.ON_TASK,
    8: FlightPhase.HOLDING,
    9: FlightPhase.RETURNING,
    10: FlightPhase.LANDING,
    11: FlightPhase.LANDING,
    12: FlightPhase.LANDING,
    13: FlightPhase.IDLE,
    14: FlightPhase.OFFLINE,
    15: FlightPhase.ON_TASK,
    16: FlightPhase.ON_TASK,
    17: FlightPhase.ON_TASK,
    18: FlightPhase.HOLDING,
    19: FlightPhase.HOLDING,
}
PROGRESS_METHODS = frozenset(
    {"flighttask_progress", "takeoff_to_point_progress", "fly_to_point_progress"}
)


def read(topic: str, payload: bytes, received_at: datetime, devices: Devices) -> Heard:
    """Decode one message of a DJI topic. Raises Unreadable."""
    parts = topic.split("/")
    sn, channel = parts[2], "/".join(parts[3:])
    message = json_object(payload)
    if "data" not in message:
        raise Unreadable("the message has no data: no word of the Cloud API")
    data = section(message, "data")
    stamp = message.get("timestamp", message.get("timestamp:"))
    at, clamped = device_time(stamp, received_at)
    told_at = told_time(stamp)
    gateway = message.get("gateway")
    if channel == "osd":
        if gateway is not None and gateway != sn and devices.drone_of.get(str(gateway)) != sn:
            raise Unreadable(f"gateway {gateway!r} does not speak for {sn}")
        return Heard((_osd(sn, data, told_at, clamped, digest(payload), received_at, devices),))
    if channel == "drc/up":
        return Heard(_drc(sn, message, data, told_at, clamped, payload, received_at, devices))
    if channel == "state":
        return Heard(())
    _kind(sn, devices)
    if gateway is not None and gateway != sn:
        raise Unreadable(f"gateway {gateway!r} speaks on the topic of {sn}")
    if channel == "status":
        return _status(sn, message, data, at)
    if channel == "events":
        return _event(sn, message, data, at, devices)
    if channel == "requests":
        return _request(sn, message, data, at)
    raise Unreadable(f"no such channel: {channel}")


def digest(payload: bytes) -> int:
    """Return what tells two messages of one device and instant apart."""
    return int.from_bytes(blake2b(payload, digest_size=8).digest(), signed=True)


def _kind(sn: str, devices: Devices) -> DeviceKind:
    kind = devices.kinds.get(sn)
    if kind is None:
        raise Unreadable(f"device {sn} is not registered")
    return kind


def position_of(data: dict[str, Any]) -> Position | None:
    """Return latitude and longitude; 0,0 and a lone half mean no fix."""
    lat, lon = number(data, "latitude", -90, 90), number(data, "longitude", -180, 180)
    if lat is None or lon is None or (lat == 0 and lon == 0):
        return None
    return Position(lat, lon)


def _heading(data: dict[str, Any], key: str) -> float | None:
    value = number(data, key, -360, 360)
    return None if value is None else value % 360.0


def _osd(
    sn: str,
    data: dict[str, Any],
    at: datetime,
    clamped: bool,
    key: int,
    received_at: datetime,
    devices: Devices,
) -> Telemetry:
    kind = _kind(sn, devices)
    if kind is DeviceKind.DRONE:
        return _aircraft(sn, data, at, clamped, key, received_at)
    charge = section(data, "drone_charge_state")
    cover = integer(data, "cover_state", 0, 255)
    inside = integer(data, "drone_in_dock", 0, 1)
    return Telemetry(
        device_sn=sn,
        device_kind=kind,
        at=at,
        key=key,
        received_at=received_at,
        position=position_of(data),
        height_ellipsoid_m=number(data, "height", -500, 9000),
        heading_deg=_heading(data, "heading"),
        battery_pct=number(charge, "capacity_percent", 0, 100),
        wind_m_s=number(data, "wind_speed", 0, 120),
        rain_level=integer(data, "rainfall", 0, 3),
        dock_cover_open=None if cover is None else cover == 1,
        drone_in_dock=None if inside is None else inside == 1,
        time_clamped=clamped,
    )


def _aircraft(
    sn: str, data: dict[str, Any], at: datetime, clamped: bool, key: int, received_at: datetime
) -> Telemetry:
    mode = integer(data, "mode_code", 0, 255)
    gimbal: dict[str, Any] = next(
        (v for k, v in data.items() if fullmatch(r"\d+-\d+-\d+", k) and isinstance(v, dict)), {}
    )
    return Telemetry(
        device_sn=sn,
        device_kind=DeviceKind.DRONE,
        at=at,
        key=key,
        received_at=received_at,
        position=position_of(data),
        height_ellipsoid_m=number(data, "height", -500, 9000),
        height_rel_m=number(data, "elevation", -500, 9000),
        heading_deg=_heading(data, "attitude_head"),
        speed_m_s=number(data, "horizontal_speed", 0, 120),
        climb_m_s=number(data, "vertical_speed", -60, 60),
        battery_pct=number(section(data, "battery"), "capacity_percent", 0, 100),
        phase=None if mode is None else AIRCRAFT_PHASES.get(mode, FlightPhase.FAULT),
        gimbal_pitch_deg=number(gimbal, "gimbal_pitch", -180, 180),
        gimbal_yaw_deg=_heading(gimbal, "gimbal_yaw"),
        time_clamped=clamped,
    )


def _drc(
    sn: str,
    message: dict[str, Any],
    data: dict[str, Any],
    at: datetime,
    clamped: bool,
    payload: bytes,
    received_at: datetime,
    devices: Devices,
) -> tuple[Observation, ...]:
    if text(message, "method") != "osd_info_push":
        return ()
    drone_sn = devices.drone_of.get(sn)
    if drone_sn is None:
        raise Unreadable(f"gateway {sn} is not registered")
    east = number(data, "speed_x", -120, 120) or 0.0
    north = number(data, "speed_y", -120, 120) or 0.0
    pose = Telemetry(
        device_sn=drone_sn,
        device_kind=DeviceKind.DRONE,
        at=at,
        key=digest(payload),
        received_at=received_at,
        position=position_of(data),
        height_ellipsoid_m=number(data, "height", -500, 9000),
        heading_deg=_heading(data, "attitude_head"),
        speed_m_s=(east * east + north * north) ** 0.5,
        climb_m_s=number(data, "speed_z", -60, 60),
        gimbal_pitch_deg=number(data, "gimbal_pitch", -180, 180),
        gimbal_yaw_deg=_heading(data, "gimbal_yaw"),
        time_clamped=clamped,
    )
    return (pose,)


def _ids(message: dict[str, Any]) -> tuple[str, str]:
    return text(message, "tid") or "", text(message, "bid") or ""


def _status(sn: str, message: dict[str, Any], data: dict[str, Any], at: datetime) -> Heard:
    method = text(message, "method") or "update_topo"
    if method != "update_topo":
        raise Unreadable(f"method must be update_topo, got {method!r}")
    # An empty list says that the aircraft has gone: never to be read out of its absence.
    subs = data.get("sub_devices")
    if not isinstance(subs, list) or not all(isinstance(s, dict) for s in subs):
        raise Unreadable("sub_devices must be a list of objects")
    drones = tuple(serial(s, "sn") for s in subs)
    reply = Reply(f"sys/product/{sn}/status_reply", *_ids(message), method)
    return Heard((Topology(sn, at, drones),), reply)


def _event(
    sn: str, message: dict[str, Any], data: dict[str, Any], at: datetime, devices: Devices
) -> Heard:
    method = text(message, "method") or ""
    reply = None
    if integer(message, "need_reply", 0, 1):
        reply = Reply(f"thing/product/{sn}/events_reply", *_ids(message), method)
    if method in PROGRESS_METHODS:
        return Heard((_progress(sn, data, at),), reply)
    if method == "hms":
        return Heard((_alarms(sn, data, at),), reply)
    if method == RETURN_GIVEN_UP:
        return Heard((_return_given_up(sn, data, at, devices),), reply)
    return Heard((), reply)


def _progress(sn: str, data: dict[str, Any], at: datetime) -> FlightReport:
    output = section(data, "output") or data
    progress, ext = section(output, "progress"), section(output, "ext")
    flight_id = text(ext, "flight_id") or text(output, "flight_id") or text(output, "fly_to_id")
    if not flight_id:
        raise Unreadable("flight progress names no flight_id")
    status = text(output, "status")
    if not status:
        raise Unreadable("flight progress has no status")
    waypoint = integer(ext, "current_waypoint_index", 0, 65535)
    if waypoint is None:
        waypoint = integer(output, "way_point_index", 0, 65535)
    return FlightReport(
        flight_id=flight_id,
        gateway_sn=sn,
        at=at,
        status=status,
        step=integer(progress, "current_step", 0, 65535),
        percent=integer(progress, "percent", 0, 100),
        waypoint_index=waypoint,
        break_reason=integer(section(ext, "break_point"), "break_reason", 0, 65535),
        result=integer(data, "result", 0, 2**31) or 0,
        break_point=_break_point(section(ext, "break_point")),
    )


def _break_point(told: dict[str, Any]) -> BreakPoint | None:
    """A break point that cannot be one is not kept; what else the message says stands."""
    try:
        index, state = integer(told, "index", 0, 65535), integer(told, "state", 0, 1)
        progress = number(told, "progress", 0, 1) or 0.0
        wayline = integer(told, "wayline_id", 0, 65535) or 0
    except Unreadable:
        return None
    return None if index is None or state is None else BreakPoint(index, state, progress, wayline)


def _alarms(sn: str, data: dict[str, Any], at: datetime) -> AlarmSet:
    entries = data.get("list")
    if not isinstance(entries, list) or len(entries) > ALARMS_LIMIT:
        raise Unreadable(f"hms list must hold at most {ALARMS_LIMIT} alarms")
    alarms = []
    for entry in entries:
        if not isinstance(entry, dict):
            raise Unreadable("an hms alarm must be an object")
        args = section(entry, "args")
        component = integer(args, "component_index", 0, 255)
        sensor = integer(args, "sensor_index", 0, 255)
        code, level = text(entry, "code"), integer(entry, "level", 0, 2)
        if not code:
            raise Unreadable("an hms alarm has no code")
        alarms.append(DeviceAlarm(code, level or 0, f"{component or 0}/{sensor or 0}"))
    return AlarmSet(sn, at, tuple(sorted(set(alarms), key=lambda a: (a.code, a.component))))


def _return_given_up(
    sn: str, data: dict[str, Any], at: datetime, devices: Devices
) -> AlarmSet:
    """Action 1 raises the aircraft's one alarm of its own, 0 ends it; other alarms are docks'."""
    drone_sn = devices.drone_of.get(sn)
    if drone_sn is None:
        raise Unreadable(f"gateway {sn} is not registered")
    action, reason = integer(data, "action", 0, 1), integer(data, "reason", 0, 65535)
    if action is None or (action == 1 and reason is None):
        raise Unreadable(f"{RETURN_GIVEN_UP} needs an action 0 or 1, and a reason with 1")
    alarm = DeviceAlarm(RETURN_GIVEN_UP, RETURN_GIVEN_UP_LEVEL, str(reason))
    return AlarmSet(drone_sn, at, (alarm,) if action == 1 else ())


def _request(sn: str, message: dict[str, Any], data: dict[str, Any], at: datetime) -> Heard:
    method = text(message, "method")
    if not method:
        raise Unreadable("a request has no method")
    return Heard((DeviceRequest(sn, method, *_ids(message), at, data),))
