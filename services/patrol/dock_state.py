"""What docks and their aircraft say of themselves that a commander needs before a take-off.

Only the few OSD fields the take-off gate and the choice of a drone use; telemetry proper is
ingest's. Docks send state in fragments (DJI Cloud API, OSD at 0.5 Hz), so fields are merged.
"""

import json
import math
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from domain.place import Position

_DOCK_IDLE_MODE = 0
HOMING_MODES = (9, 10)
"""`mode_code` of an aircraft: on its way home, landing there."""


@dataclass(frozen=True, slots=True)
class DeviceNow:
    """The latest of each field, None until said. `idle_since` is when a dock was first seen idle
    with its aircraft inside, without a word to the contrary since."""

    sn: str
    heard_at: datetime
    battery_pct: float | None = None
    in_dock: bool | None = None
    mode_code: int | None = None
    rain_level: int | None = None
    wind_m_s: float | None = None
    position: Position | None = None
    positioned_at: datetime | None = None
    idle_since: datetime | None = None
    mode_told_at: datetime | None = None


def heard(before: DeviceNow | None, sn: str, payload: bytes, at: datetime) -> DeviceNow | None:
    """Merge one OSD message; what cannot be read changes nothing (ingest keeps the dead letter)."""
    try:
        data = json.loads(payload).get("data")
    except (ValueError, AttributeError):
        return before
    if not isinstance(data, dict):
        return before
    now = replace(before, heard_at=at) if before is not None else DeviceNow(sn, at)
    charge = data.get("drone_charge_state")
    battery = data.get("battery")
    for source in (charge, battery):
        percent = _number(source.get("capacity_percent")) if isinstance(source, dict) else None
        if percent is not None and 0.0 <= percent <= 100.0:
            now = replace(now, battery_pct=percent)
    now = _merged(now, data)
    position = _position(data)
    if position is not None:
        now = replace(now, position=position, positioned_at=at)
    idle = now.mode_code == _DOCK_IDLE_MODE and now.in_dock is True
    return replace(now, idle_since=(now.idle_since or at) if idle else None)


def _merged(now: DeviceNow, data: dict[str, Any]) -> DeviceNow:
    in_dock, mode = _number(data.get("drone_in_dock")), _number(data.get("mode_code"))
    rain, wind = _number(data.get("rainfall")), _number(data.get("wind_speed"))
    return replace(
        now,
        in_dock=now.in_dock if in_dock is None else in_dock == 1,
        mode_code=now.mode_code if mode is None else int(mode),
        mode_told_at=now.mode_told_at if mode is None else now.heard_at,
        rain_level=now.rain_level if rain is None else int(rain),
        wind_m_s=now.wind_m_s if wind is None else wind,
    )


def _number(value: object) -> float | None:
    """Numbers, and numbers some firmware sends as text."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _position(data: dict[str, Any]) -> Position | None:
    lat, lon = _number(data.get("latitude")), _number(data.get("longitude"))
    if lat is None or lon is None or (lat == 0.0 and lon == 0.0):
        return None
    try:
        return Position(lat, lon)
    except ValueError:
        return None
