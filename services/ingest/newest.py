"""A device's newest state, field by field: what a batch adds to what is known. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from domain.codec import to_plain
from domain.device import DeviceKind
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


def add(known: dict[str, Newest], news: Mapping[str, Newest]) -> None:
    """Merge a later batch's news into earlier news that nobody has been told yet."""
    for sn, told in news.items():
        earlier = known.get(sn)
        if earlier is None:
            known[sn] = told
        else:
            earlier.fields, earlier.told_us = merge(earlier.fields, earlier.told_us, told)
            earlier.at_us = max(earlier.at_us, told.at_us)


def newest(columns: Columns) -> dict[str, Newest]:
    """Return what a batch tells of each device, the later message before the earlier."""
    count = len(columns.names)
    state_us = columns.state_us()
    order = np.lexsort((np.arange(len(columns)), state_us, columns.device))
    starts = np.searchsorted(columns.device[order], np.arange(count))
    stamps = state_us[order]
    place = np.arange(len(columns))

    def last(valid: Any) -> list[int]:
        """Return where in `order` each device's last valid row stands, -1 for none."""
        found: list[int] = np.maximum.reduceat(np.where(valid[order], place, -1), starts).tolist()
        return found

    found = {
        sn: Newest(kind, 0, {}, {}) for sn, kind in zip(columns.names, columns.kinds, strict=True)
    }
    states = list(found.values())
    for state, at in zip(states, last(np.ones(len(columns), bool)), strict=True):
        state.at_us = int(stamps[at])
    lat, lon = columns.lat_deg[order], columns.lon_deg[order]
    for state, at in zip(states, last(~np.isnan(columns.lat_deg)), strict=True):
        if at >= 0:
            state.fields["position"] = {"lat_deg": float(lat[at]), "lon_deg": float(lon[at])}
            state.told_us["position"] = int(stamps[at])
    for name, values in zip(REALS, columns.reals, strict=True):
        ordered = values[order]
        for state, at in zip(states, last(~np.isnan(values)), strict=True):
            if at >= 0:
                state.fields[name], state.told_us[name] = float(ordered[at]), int(stamps[at])
    phases = columns.phase[order]
    for state, at in zip(states, last(columns.phase >= 0), strict=True):
        if at >= 0:
            state.fields["phase"] = PHASES[phases[at]].value
            state.told_us["phase"] = int(stamps[at])
    _others(columns, found)
    return found


def _others(columns: Columns, found: dict[str, Newest]) -> None:
    for row in columns.rows:
        state, stamp = found[row.device_sn], microseconds(row.state_at)
        for name in OTHER_FIELDS:
            value = getattr(row, name)
            if value is not None and stamp >= state.told_us.get(name, 0):
                state.fields[name], state.told_us[name] = to_plain(value), stamp
