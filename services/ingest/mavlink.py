"""MAVLink messages of one vehicle, merged into samples of Gridwing telemetry. Pure.

Fields are taken by name, as the common dialect has them: degE7, mm, cm/s, cdeg, rad.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from services.ingest.sample import LIMITS, TIME_LIMIT_MS

Fields = Mapping[str, float]

TAKEN: Mapping[str, tuple[str, ...]] = {
    "HEARTBEAT": ("autopilot", "base_mode", "system_status"),
    "SYSTEM_TIME": ("time_unix_usec", "time_boot_ms"),
    "GLOBAL_POSITION_INT": (
        "time_boot_ms", "lat", "lon", "alt", "relative_alt", "vx", "vy", "vz", "hdg",
    ),
    "GPS_RAW_INT": ("fix_type", "alt", "alt_ellipsoid"),
    "ATTITUDE": ("time_boot_ms", "yaw"),
    "VFR_HUD": ("groundspeed", "climb"),
    "SYS_STATUS": ("battery_remaining",),
    "BATTERY_STATUS": ("id", "battery_remaining"),
    "EXTENDED_SYS_STATE": ("landed_state",),
    "MISSION_CURRENT": ("mission_state",),
}  # fmt: skip
"""The messages read, and of each the fields."""

FIX_3D = 3
ON_GROUND, IN_AIR, TAKING_OFF, LANDING = 1, 2, 3, 4
MISSION_ACTIVE = 3
ARMED = 128
EMERGENCY, TERMINATED = 6, 8
NOT_AN_AUTOPILOT = 8
CLOCK_SET_US = 1_234_567_890_000_000
"""A clock that shows an earlier time was never set; PX4 draws the same line."""
REBOOTED_MS = 1_000
"""A time since boot this far behind the newest is of another boot, not of a late message."""
GEOID_LIMIT_M = 120.0
"""Sea level lies within -107..86 m of the ellipsoid everywhere."""
MOVING_FRESH_S = 0.5
FRESH_S = 10.0
"""What was told longer ago is not said again. Slow radios tell a state each few seconds."""
MOVING = (
    "latitude", "longitude", "height_msl_m", "height_rel_m", "heading_deg", "speed_m_s",
    "climb_m_s", "yaw_deg", "hud_speed_m_s", "hud_climb_m_s",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Vehicle:
    """What one system has told since its boot, each value with when it was heard."""

    told: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Name → (value, the receiver's seconds)."""
    boot_ms: int | None = None
    """Newest time since boot that it told, and when it was heard."""
    boot_heard_s: float = 0.0
    boot_unix_ms: int | None = None
    """Its Unix time at its boot; None while it has not told the time."""


def merge(vehicle: Vehicle, name: str, fields: Fields, heard_s: float) -> Vehicle:
    """Return the vehicle after one decoded message; messages of other names change nothing.

    A value out of its range, or one the vehicle marks as unknown, is not taken.
    """
    if name in TAKEN and "time_boot_ms" in TAKEN[name]:
        vehicle = _stamped(vehicle, int(fields["time_boot_ms"]), heard_s)
    if name == "SYSTEM_TIME":
        return _timed(vehicle, fields)
    told = _told(name, fields)
    if not told:
        return vehicle
    after = {key: (value, heard_s) for key, value in told.items() if value is not None}
    kept = {key: held for key, held in vehicle.told.items() if key not in told}
    return replace(vehicle, told=kept | after)


def phase(vehicle: Vehicle, now_s: float) -> str | None:
    """Return the phase from landed and mission state, None while nothing tells it.

    The modes of `custom_mode` are each autopilot's own and are not read.
    """
    if _fresh(vehicle, "system_status", now_s) in (EMERGENCY, TERMINATED):
        return "fault"
    landed = _fresh(vehicle, "landed_state", now_s)
    if landed == ON_GROUND:
        return "idle"
    if landed == TAKING_OFF:
        return "taking_off"
    if landed == LANDING:
        return "landing"
    if landed == IN_AIR:
        on_task = _fresh(vehicle, "mission_state", now_s) == MISSION_ACTIVE
        return "on_task" if on_task else "holding"
    return "idle" if _fresh(vehicle, "armed", now_s) == 0 else None


def told_at_ms(vehicle: Vehicle, now_s: float, now_ms: int) -> int:
    """Return the Unix ms of the vehicle's clock, the receiver's where it has not told the time.

    `now_s` and `now_ms` are the receiver's: a stopwatch and the time.
    """
    if vehicle.boot_unix_ms is None or vehicle.boot_ms is None:
        return now_ms
    since_ms = round((now_s - vehicle.boot_heard_s) * 1000)
    return vehicle.boot_unix_ms + vehicle.boot_ms + since_ms


def sample(vehicle: Vehicle, at_ms: int, now_s: float) -> dict[str, float | str]:
    """Return one sample of what is fresh at `now_s`; a position needs a 3D fix."""
    fresh = {
        key: value
        for key, (value, heard_s) in vehicle.told.items()
        if now_s - heard_s <= (MOVING_FRESH_S if key in MOVING else FRESH_S)
    }
    if "height_msl_m" in fresh and "geoid_m" in fresh:
        above_m = _within("height_ellipsoid_m", fresh["height_msl_m"] + fresh["geoid_m"])
        fresh |= {} if above_m is None else {"height_ellipsoid_m": round(above_m, 3)}
    if fresh.get("fix_type", 0) < FIX_3D:
        for key in ("latitude", "longitude", "height_ellipsoid_m"):
            fresh.pop(key, None)
    for key, instead in (
        ("heading_deg", "yaw_deg"), ("speed_m_s", "hud_speed_m_s"), ("climb_m_s", "hud_climb_m_s"),
    ):  # fmt: skip
        if key not in fresh and instead in fresh:
            fresh[key] = fresh[instead]
    said: dict[str, float | str] = {"at": at_ms}
    said |= {key: fresh[key] for key in LIMITS if key in fresh}
    if (doing := phase(vehicle, now_s)) is not None:
        said["phase"] = doing
    return said


def _fresh(vehicle: Vehicle, key: str, now_s: float) -> float | None:
    value, heard_s = vehicle.told.get(key, (None, 0.0))
    return value if now_s - heard_s <= FRESH_S else None


def _stamped(vehicle: Vehicle, boot_ms: int, heard_s: float) -> Vehicle:
    """Return the vehicle at a time since its boot; after a new boot it has told nothing yet."""
    if vehicle.boot_ms is not None and boot_ms <= vehicle.boot_ms:
        if boot_ms > vehicle.boot_ms - REBOOTED_MS:
            return vehicle
        vehicle = Vehicle()
    return replace(vehicle, boot_ms=boot_ms, boot_heard_s=heard_s)


def _timed(vehicle: Vehicle, fields: Fields) -> Vehicle:
    unix_us = int(fields["time_unix_usec"])
    if not CLOCK_SET_US <= unix_us < TIME_LIMIT_MS * 1000:
        return replace(vehicle, boot_unix_ms=None)
    return replace(vehicle, boot_unix_ms=unix_us // 1000 - int(fields["time_boot_ms"]))


def _told(name: str, fields: Fields) -> dict[str, float | None]:
    """Return what a message tells; None for what it says it no longer knows."""
    if name == "GLOBAL_POSITION_INT":
        return _position(fields)
    if name == "GPS_RAW_INT":
        # A fix comes seldom and the aircraft moves: what is taken is how far the sea lies from the
        # ellipsoid here. MAVLink 1 has no such field and leaves it 0.
        geoid_m = (fields["alt_ellipsoid"] - fields["alt"]) / 1000
        known = fields["alt_ellipsoid"] != 0 and abs(geoid_m) <= GEOID_LIMIT_M
        return {"fix_type": fields["fix_type"], "geoid_m": geoid_m if known else None}
    if name == "ATTITUDE":
        yaw_rad = fields["yaw"]
        known = math.isfinite(yaw_rad)
        return {"yaw_deg": round(math.degrees(yaw_rad) % 360, 2) if known else None}
    if name == "VFR_HUD":
        return {
            "hud_speed_m_s": _within("speed_m_s", fields["groundspeed"]),
            "hud_climb_m_s": _within("climb_m_s", fields["climb"]),
        }
    if name in ("SYS_STATUS", "BATTERY_STATUS"):
        left_pct = _within("battery_pct", fields["battery_remaining"])
        # One of the two may not know: what the other told stays, and fades.
        unknown = left_pct is None or fields.get("id", 0) != 0
        return {} if unknown else {"battery_pct": left_pct}
    if name == "EXTENDED_SYS_STATE":
        return {"landed_state": fields["landed_state"] or None}
    if name == "MISSION_CURRENT":
        return {"mission_state": fields["mission_state"] or None}
    if name == "HEARTBEAT":
        armed = 1 if int(fields["base_mode"]) & ARMED else 0
        return {"armed": armed, "system_status": fields["system_status"]}
    return {}


def _position(fields: Fields) -> dict[str, float | None]:
    lat_deg = _within("latitude", fields["lat"] / 1e7)
    lon_deg = _within("longitude", fields["lon"] / 1e7)
    if lat_deg is None or lon_deg is None or (lat_deg == 0 and lon_deg == 0):
        lat_deg = lon_deg = None
    heading_cdeg = fields["hdg"]
    speed_m_s = round(math.hypot(fields["vx"], fields["vy"]) / 100, 3)
    return {
        "latitude": lat_deg,
        "longitude": lon_deg,
        "height_msl_m": fields["alt"] / 1000,
        "height_rel_m": _within("height_rel_m", fields["relative_alt"] / 1000),
        "speed_m_s": _within("speed_m_s", speed_m_s),
        "climb_m_s": _within("climb_m_s", (0 - fields["vz"]) / 100),
        "heading_deg": heading_cdeg / 100 if 0 <= heading_cdeg < 36000 else None,
    }


def _within(key: str, value: float | None) -> float | None:
    """Return the value where a sample may carry it; NaN is within nothing."""
    low, high = LIMITS[key]
    return value if value is not None and low <= value <= high else None
