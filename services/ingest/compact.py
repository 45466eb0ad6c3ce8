"""Our own telemetry for devices that can be programmed: one object or an array of samples. Pure.

Each sample: `{"at": ms, "latitude", "longitude", "height_ellipsoid_m", "height_agl_m",
"heading_deg", "speed_m_s", "climb_m_s", "battery_pct", "phase"}`; all but `at` may be absent.
"""

from datetime import datetime
from hashlib import blake2b
from typing import Any

import orjson

from domain.observation import FlightPhase, Telemetry
from services.ingest.devices import Devices
from services.ingest.dji import Heard, position_of
from services.ingest.fields import Unreadable, device_time, json_value, number, text

SAMPLES_LIMIT = 200


def read(topic: str, payload: bytes, received_at: datetime, devices: Devices) -> Heard:
    """Decode one message of gridwing/telemetry/{sn}. Raises Unreadable."""
    sn = topic.rsplit("/", 1)[-1]
    if sn not in devices.kinds:
        raise Unreadable(f"device {sn} is not registered")
    value = json_value(payload)
    samples = value if isinstance(value, list) else [value]
    if not 1 <= len(samples) <= SAMPLES_LIMIT:
        raise Unreadable(f"{len(samples)} samples; 1..{SAMPLES_LIMIT} are taken")
    return Heard(tuple(_sample(sn, sample, received_at, devices) for sample in samples))


def _sample(sn: str, data: Any, received_at: datetime, devices: Devices) -> Telemetry:
    if not isinstance(data, dict):
        raise Unreadable(f"a sample must be an object, got {type(data).__name__}")
    claimed = text(data, "device_sn")
    if claimed is not None and claimed != sn:
        raise Unreadable(f"device_sn {claimed!r} speaks on the topic of {sn}")
    if "at" not in data:
        raise Unreadable("a sample has no at: Unix milliseconds")
    at, clamped = device_time(data["at"], received_at)
    phase = text(data, "phase")
    if phase is not None and phase not in set(FlightPhase):
        raise Unreadable(f"phase must be one of {', '.join(FlightPhase)}, got {phase!r}")
    return Telemetry(
        device_sn=sn,
        device_kind=devices.kinds[sn],
        at=at,
        key=blake2b(orjson.dumps(data), digest_size=8).hexdigest(),
        received_at=received_at,
        position=position_of(data),
        height_ellipsoid_m=number(data, "height_ellipsoid_m", -500, 9000),
        height_rel_m=number(data, "height_rel_m", -500, 9000),
        height_agl_m=number(data, "height_agl_m", -500, 9000),
        heading_deg=number(data, "heading_deg", 0, 360),
        speed_m_s=number(data, "speed_m_s", 0, 200),
        climb_m_s=number(data, "climb_m_s", -100, 100),
        battery_pct=number(data, "battery_pct", 0, 100),
        phase=None if phase is None else FlightPhase(phase),
        time_clamped=clamped,
    )
