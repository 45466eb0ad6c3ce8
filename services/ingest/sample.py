"""A sample of our own telemetry format: these types are what is read and what is refused.

The AsyncAPI document is generated from them, so there is no second list of fields.
"""

from typing import Annotated, Any, get_args, get_type_hints

import msgspec
from msgspec import Meta

from domain.observation import FlightPhase

SAMPLES_LIMIT = 200
TIME_LIMIT_MS = 2**43

Height = Annotated[float, Meta(ge=-500, le=9000)]


class Sample(msgspec.Struct, gc=False, frozen=True):
    """One sample of a device's state. What a device does not tell is left out."""

    at: Annotated[int, Meta(gt=0, lt=TIME_LIMIT_MS, description="Unix milliseconds")]
    latitude: Annotated[float, Meta(ge=-90, le=90)] | None = None
    longitude: Annotated[float, Meta(ge=-180, le=180)] | None = None
    height_ellipsoid_m: Height | None = None
    height_rel_m: Height | None = None
    height_agl_m: Height | None = None
    heading_deg: Annotated[float, Meta(ge=0, le=360)] | None = None
    speed_m_s: Annotated[float, Meta(ge=0, le=200)] | None = None
    climb_m_s: Annotated[float, Meta(ge=-100, le=100)] | None = None
    battery_pct: Annotated[float, Meta(ge=0, le=100)] | None = None
    phase: FlightPhase | None = None
    device_sn: Annotated[str, Meta(max_length=64)] | None = None


Samples = Annotated[list[Sample], Meta(min_length=1, max_length=SAMPLES_LIMIT)]


def _limits(hint: Any) -> tuple[float, float] | None:
    """Return (least, greatest) of a field `Annotated[float, Meta(ge, le)] | None`."""
    for one in get_args(hint):
        if get_args(one)[:1] == (float,):
            low, high = get_args(one)[1].ge, get_args(one)[1].le
            return float(low), float(high)
    return None


LIMITS: dict[str, tuple[float, float]] = {
    name: found
    for name, hint in get_type_hints(Sample, include_extras=True).items()
    if (found := _limits(hint)) is not None
}
"""The fields that are numbers and may be left out: name → (least, greatest)."""
