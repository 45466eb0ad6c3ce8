"""Everything a part is told from outside, read once. docs/settings.md describes each variable."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from runtime.clock import Clock, wall_clock

VISION_BACKENDS = ("onnxruntime", ("onnxruntime", "openvino", "openvino-f32"))
"""The default, and those models/runners.py has."""


@dataclass(frozen=True, slots=True)
class Settings:
    """One system's settings. Built by `from_environment`; every field has its variable there."""

    database_url: str
    database_owner_url: str
    database_app_url: str
    mqtt_url: str
    data_dir: Path
    http_host: str
    http_port: int
    public_url: str
    status_port: int
    slot: str
    telemetry_days: int
    seal_key: str
    models_dir: Path
    vision_backend: str
    still_look_s: float
    ultralytics_python: str
    log_format: str
    terrain: Path | None
    terrain_geoid_m: float
    simulation: bool
    clock_epoch: datetime | None
    clock_started_wall_s: float
    clock_rate: float

    @classmethod
    def from_environment(cls, env: Mapping[str, str]) -> "Settings":
        """Read the variables. Raises ValueError naming the one that does not fit."""
        port = _number(env, "GRIDWING_HTTP_PORT", 8000, 1, 65535)
        host = env.get("GRIDWING_HTTP_HOST", "127.0.0.1")
        database = env.get("DATABASE_URL", "")
        data_dir = Path(env.get("GRIDWING_DATA_DIR", "var"))
        return cls(
            database_url=database,
            database_owner_url=env.get("DATABASE_OWNER_URL", database),
            database_app_url=env.get("DATABASE_APP_URL", database),
            mqtt_url=env.get("MQTT_URL", ""),
            data_dir=data_dir,
            http_host=host,
            http_port=int(port),
            public_url=env.get("GRIDWING_PUBLIC_URL", f"http://{host}:{int(port)}"),
            status_port=int(_number(env, "GRIDWING_STATUS_PORT", 0, 0, 65535)),
            slot=env.get("GRIDWING_SLOT", "0"),
            models_dir=Path(env.get("GRIDWING_MODELS_DIR", data_dir / "models")),
            vision_backend=_choice(env, "GRIDWING_VISION_BACKEND", *VISION_BACKENDS),
            still_look_s=_number(env, "GRIDWING_STILL_LOOK_S", 10.0, 1.0, 300.0),
            ultralytics_python=env.get("GRIDWING_ULTRALYTICS_PYTHON", sys.executable),
            telemetry_days=int(_number(env, "GRIDWING_TELEMETRY_DAYS", 180, 2, 3650)),
            seal_key=_key(env, "GRIDWING_SEAL_KEY"),
            log_format=_choice(env, "GRIDWING_LOG", "text", ("text", "json")),
            terrain=Path(env["GRIDWING_TERRAIN"]) if env.get("GRIDWING_TERRAIN") else None,
            terrain_geoid_m=_number(env, "GRIDWING_TERRAIN_GEOID_M", 0, -120, 120),
            simulation=_choice(env, "GRIDWING_SIMULATION", "0", ("0", "1")) == "1",
            clock_epoch=_instant(env, "GRIDWING_CLOCK_EPOCH"),
            clock_started_wall_s=_number(env, "GRIDWING_CLOCK_STARTED", 0, 0, 1e11),
            clock_rate=_number(env, "GRIDWING_CLOCK_RATE", 1, 0.001, 1000),
        )

    def clock(self) -> Clock:
        """Return the system's clock. A clock of its own is for simulated systems only."""
        if self.clock_epoch is None:
            return wall_clock()
        if not self.simulation:
            raise ValueError("GRIDWING_CLOCK_EPOCH needs GRIDWING_SIMULATION=1")
        return Clock(self.clock_epoch, self.clock_started_wall_s, self.clock_rate)


def required(value: str, name: str) -> str:
    """Return `value`; ValueError naming the variable to set when it is empty."""
    if not value:
        raise ValueError(f"{name} is not set; docs/settings.md tells its form")
    return value


def _number(env: Mapping[str, str], name: str, default: float, low: float, high: float) -> float:
    text = env.get(name, "")
    try:
        value = float(text) if text else float(default)
    except ValueError:
        raise ValueError(f"{name} must be a number, got {text!r}") from None
    if not low <= value <= high:
        raise ValueError(f"{name} must lie in {low:g}..{high:g}, got {value:g}")
    return value


def _choice(env: Mapping[str, str], name: str, default: str, allowed: tuple[str, ...]) -> str:
    value = env.get(name) or default
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")
    return value


def _key(env: Mapping[str, str], name: str) -> str:
    text = env.get(name, "").lower()
    if text and not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError(f"{name} must be 64 hexadecimal digits, a public key")
    return text


def _instant(env: Mapping[str, str], name: str) -> datetime | None:
    text = env.get(name, "")
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{name} must be an ISO 8601 time, got {text!r}") from None
    if at.tzinfo is None:
        raise ValueError(f"{name} needs a time zone, got {text!r}")
    return at.astimezone(UTC)
