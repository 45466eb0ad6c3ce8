"""A device's newest state, field by field: what batches add to what is known. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from domain.codec import to_plain
from domain.device import DeviceKind
from domain.observation import Telemetry
from services.ingest.columns import PHASES, REALS, Columns, microseconds

OTHER_FIELDS = (
    "gimbal_pitch_deg",
    "gimbal_yaw_deg",
    "wind_m_s",
    "rain_level",
    "dock_cover_open",
    "drone_in_dock",
)
"""Fields only vendors' messages carry; the rest are columns."""


@dataclass(slots=True)
class Newest:
    """Fields as plain JSON values, and for each the time it was told for, Unix microseconds."""

    kind: DeviceKind
    at_us: int
    fields: dict[str, Any]
    told_us: dict[str, int]


def merge(
    fields: dict[str, Any], told_us: Mapping[str, int], news: Newest
) -> tuple[dict[str, Any], dict[str, int]]:
    """Return the state after news of it; a field told at a later time is never overwritten."""
    if not fields:
        return news.fields, news.told_us
    merged, stamps = dict(fields), dict(told_us)
    for name, value in news.fields.items():
        stamp = news.told_us[name]
        if stamp >= stamps.get(name, 0):
            merged[name], stamps[name] = value, stamp
    return merged, stamps


def newest(batches: Sequence[Columns]) -> dict[str, Newest]:
    """Return what batches tell of each device, the later message before the earlier."""
    kinds: dict[str, DeviceKind] = {}
    for columns in batches:
        kinds |= zip(columns.names, columns.kinds, strict=True)
    codes = {sn: code for code, sn in enumerate(kinds)}
    device = np.concatenate([np.array([codes[sn] for sn in c.names])[c.device] for c in batches])
    state_us = np.concatenate([columns.state_us() for columns in batches])
    place = np.arange(device.size)
    order = np.lexsort((place, state_us, device))
    starts = np.searchsorted(device[order], np.arange(len(codes)))
    stamps = state_us[order]

    def last(valid: Any) -> list[int]:
        """Return where in `order` each device's last valid row stands, -1 for none."""
        found: list[int] = np.maximum.reduceat(np.where(valid[order], place, -1), starts).tolist()
        return found

    found = {sn: Newest(kind, 0, {}, {}) for sn, kind in kinds.items()}
    states = list(found.values())
    for state, at in zip(states, last(np.ones(device.size, bool)), strict=True):
        state.at_us = int(stamps[at])
    lat = np.concatenate([columns.lat_deg for columns in batches])
    lon = np.concatenate([columns.lon_deg for columns in batches])
    for state, at in zip(states, last(~np.isnan(lat)), strict=True):
        if at >= 0:
            state.fields["position"] = {
                "lat_deg": float(lat[order[at]]),
                "lon_deg": float(lon[order[at]]),
            }
            state.told_us["position"] = int(stamps[at])
    for name, values in zip(REALS, np.hstack([c.reals for c in batches]), strict=True):
        ordered = values[order]
        for state, at in zip(states, last(~np.isnan(values)), strict=True):
            if at >= 0:
                state.fields[name], state.told_us[name] = float(ordered[at]), int(stamps[at])
    phases = np.concatenate([columns.phase for columns in batches])
    for state, at in zip(states, last(phases >= 0), strict=True):
        if at >= 0:
            state.fields["phase"] = PHASES[phases[order[at]]].value
            state.told_us["phase"] = int(stamps[at])
    for columns in batches:
        _others(columns.rows, found)
    return found


def _others(rows: Sequence[Telemetry], found: dict[str, Newest]) -> None:
    for row in rows:
        state, stamp = found[row.device_sn], microseconds(row.state_at)
        for name in OTHER_FIELDS:
            value = getattr(row, name)
            if value is not None and stamp >= state.told_us.get(name, 0):
                state.fields[name], state.told_us[name] = to_plain(value), stamp
