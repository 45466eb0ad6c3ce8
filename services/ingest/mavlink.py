"""MAVLink messages of one vehicle, merged into a sample of Gridwing telemetry. Pure.

Fields are taken by name, as the common dialect has them: degE7, mm, cm/s, cdeg.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

Fields = Mapping[str, float]

FIX_3D = 3
ON_GROUND, IN_AIR, TAKING_OFF, LANDING = 1, 2, 3, 4
MISSION_ACTIVE = 3


@dataclass(frozen=True, slots=True)
class Vehicle:
    """What one system id has told so far. `None` is what it has not told, or does not know."""

    fix_type: int | None = None
    latitude: float | None = None
    longitude: float | None = None
    height_rel_m: float | None = None
    height_ellipsoid_m: float | None = None
    heading_deg: float | None = None
    speed_m_s: float | None = None
    climb_m_s: float | None = None
    battery_pct: float | None = None
    landed_state: int = 0
    mission_state: int = 0


def merge(vehicle: Vehicle, name: str, fields: Fields) -> Vehicle:
    """Return the vehicle after one decoded message; messages of other names change nothing."""
    if name == "GLOBAL_POSITION_INT":
        return _position(vehicle, fields)
    if name == "GPS_RAW_INT":
        # MAVLink 1 has no such field and leaves it 0; `alt` is above sea level, never taken for it.
        above_mm = fields.get("alt_ellipsoid", 0)
        fix = int(fields["fix_type"])
        known = fix >= FIX_3D and above_mm != 0
        return replace(vehicle, fix_type=fix, height_ellipsoid_m=above_mm / 1000 if known else None)
    if name in ("SYS_STATUS", "BATTERY_STATUS"):
        left_pct = fields["battery_remaining"]
        if name == "BATTERY_STATUS" and fields["id"] != 0:
            return vehicle
        return replace(vehicle, battery_pct=left_pct if 0 <= left_pct <= 100 else None)
    if name == "EXTENDED_SYS_STATE":
        return replace(vehicle, landed_state=int(fields["landed_state"]))
    if name == "MISSION_CURRENT":
        return replace(vehicle, mission_state=int(fields.get("mission_state", 0)))
    return vehicle


def phase(vehicle: Vehicle) -> str | None:
    """Return the phase from landed and mission state; None while neither tells it."""
    if vehicle.landed_state == ON_GROUND:
        return "idle"
    if vehicle.landed_state == TAKING_OFF:
        return "taking_off"
    if vehicle.landed_state == LANDING:
        return "landing"
    if vehicle.landed_state != IN_AIR:
        return None
    return "on_task" if vehicle.mission_state == MISSION_ACTIVE else "holding"


def sample(vehicle: Vehicle, at_ms: int) -> dict[str, float | str]:
    """Return one sample at `at_ms` (Unix ms, the receiver's clock); a position needs a 3D fix."""
    told: dict[str, float | str | None] = {"phase": phase(vehicle)}
    told["battery_pct"] = vehicle.battery_pct
    if vehicle.fix_type is not None and vehicle.fix_type >= FIX_3D:
        for key in ("latitude", "longitude", "height_ellipsoid_m"):
            told[key] = getattr(vehicle, key)
    for key in ("height_rel_m", "heading_deg", "speed_m_s", "climb_m_s"):
        told[key] = getattr(vehicle, key)
    return {"at": at_ms, **{key: value for key, value in told.items() if value is not None}}


def _position(vehicle: Vehicle, fields: Fields) -> Vehicle:
    heading_cdeg = fields["hdg"]
    known = 0 <= heading_cdeg < 36000
    return replace(
        vehicle,
        latitude=fields["lat"] / 1e7,
        longitude=fields["lon"] / 1e7,
        height_rel_m=fields["relative_alt"] / 1000,
        speed_m_s=round((fields["vx"] ** 2 + fields["vy"] ** 2) ** 0.5 / 100, 3),
        climb_m_s=-fields["vz"] / 100,
        heading_deg=heading_cdeg / 100 if known else None,
    )
