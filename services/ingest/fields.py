"""Reading numbers and words out of a device's JSON without trusting any of it. Pure."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

PAYLOAD_LIMIT_BYTES = 256 * 1024
FUTURE_LIMIT_S = 300.0
PAST_LIMIT_S = 7 * 86400.0
TEXT_LIMIT_CHARACTERS = 256
UNDATED = datetime(1970, 1, 1, tzinfo=UTC)
SERIAL = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Unreadable(ValueError):
    """The message cannot be taken; the text says which field and why."""


def json_value(payload: bytes) -> Any:
    """Parse strict JSON. Raises Unreadable, also for depth, size, NaN and bad UTF-8."""
    if len(payload) > PAYLOAD_LIMIT_BYTES:
        raise Unreadable(f"payload of {len(payload)} bytes; the limit is {PAYLOAD_LIMIT_BYTES}")
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise Unreadable(f"payload is not JSON: {error}") from None


def json_object(payload: bytes) -> dict[str, Any]:
    value = json_value(payload)
    if not isinstance(value, dict):
        raise Unreadable(f"payload must be an object, got {type(value).__name__}")
    return value


def section(data: dict[str, Any], key: str) -> dict[str, Any]:
    """Return a nested object, empty when absent."""
    value = data.get(key)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unreadable(f"{key} must be an object, got {type(value).__name__}")
    return value


def number(data: dict[str, Any], key: str, low: float, high: float) -> float | None:
    """Return a number within low..high, None when absent or null."""
    value = data.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unreadable(f"{key} must be a number, got {type(value).__name__}")
    if not low <= value <= high:
        raise Unreadable(f"{key} must lie in {low:g}..{high:g}, got {value:g}")
    return float(value)


def integer(data: dict[str, Any], key: str, low: int, high: int) -> int | None:
    """Return an integer; a string of digits counts, as the vendor's own examples have them."""
    value = data.get(key)
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,9}", value):
        value = int(value)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise Unreadable(f"{key} must be an integer, got {type(value).__name__}")
    if not low <= value <= high:
        raise Unreadable(f"{key} must lie in {low}..{high}, got {value}")
    return value


def text(data: dict[str, Any], key: str) -> str | None:
    value = data.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > TEXT_LIMIT_CHARACTERS or "\x00" in value:
        raise Unreadable(f"{key} must be text of at most {TEXT_LIMIT_CHARACTERS} characters")
    return value


def serial(data: dict[str, Any], key: str) -> str:
    value = text(data, key)
    if value is None or not SERIAL.fullmatch(value):
        raise Unreadable(f"{key} must be a serial number of letters and digits, got {value!r}")
    return value


def told_time(stamp_ms: Any) -> datetime:
    """Return the device's milliseconds as an instant, UNDATED where they can be none.

    It comes from the payload alone, so that a second delivery meets its first copy.
    """
    if isinstance(stamp_ms, bool) or not isinstance(stamp_ms, int) or not 0 < stamp_ms < 2**43:
        return UNDATED
    return UNDATED + timedelta(milliseconds=stamp_ms)


def device_time(stamp_ms: Any, received_at: datetime) -> tuple[datetime, bool]:
    """Return (time, clamped): the device's time, or the receive time where it is not believed."""
    at = told_time(stamp_ms)
    ahead_s = (at - received_at).total_seconds()
    if ahead_s > FUTURE_LIMIT_S or ahead_s < -PAST_LIMIT_S:
        return received_at, True
    return at, False
