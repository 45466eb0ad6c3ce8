"""PX4 flight logs (.ulg) into a track. Pure.

The fused position where it was logged, the receiver's own where not. UTC is the receiver's:
`time_utc_usec` less the log's time since boot. Names and units of fields: PX4 msg/*.msg of
1.11 to 1.15, where the GPS message went from scaled integers to degrees and metres.
"""

import io
import struct
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from pyulog import ULog
from pyulog.exceptions import ULogException

from domain.observation import Telemetry
from domain.place import Position
from services.ingest.columns import instant, microseconds
from services.ingest.fields import FUTURE_LIMIT_S, Unreadable
from services.ingest.track import FILE_LIMIT_BYTES, SPACING_US, Flown, Track, track_of

MAGIC = b"ULog\x01\x12\x35"
TOPICS = (
    "vehicle_global_position",
    "vehicle_gps_position",
    "vehicle_local_position",
    "vehicle_attitude",
    "home_position",
    "battery_status",
)
HEADER_BYTES = 3
DAMAGED = (
    ULogException,
    struct.error,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    AttributeError,
    EOFError,
)
"""What pyulog, and numpy after it, make of bytes that are not what the header said."""
FIX_3D = 3
NEAR_S = 1.0
"""How old what is told beside a position may be."""
BATTERY_NEAR_S = 15.0
EARLIEST_US = 1_000_000_000_000_000
"""2001: a receiver without the date tells times before it."""

Floats = NDArray[np.float64]
Times = NDArray[np.int64]
Fields = Mapping[str, NDArray[np.generic]]


class _Forward(io.BytesIO):
    """A file that ends where a reader would begin again.

    pyulog steps back by as much as a header promised, even where the file had ended sooner: with
    a damaged size it goes round for ever.
    """

    _header_at = 0

    def read(self, size: int | None = -1, /) -> bytes:
        if size == HEADER_BYTES:
            self._header_at = self.tell()
        return super().read(size)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        at = super().seek(offset, whence)
        if whence == io.SEEK_CUR and at < self._header_at:
            raise EOFError("its definitions are cut off")
        return at


def read(data: bytes, flown: Flown) -> Track:
    """Return the flight a log tells. Raises Unreadable where it tells none."""
    if len(data) > FILE_LIMIT_BYTES:
        raise Unreadable(f"a file of {len(data)} bytes; the limit is {FILE_LIMIT_BYTES}")
    if not data.startswith(MAGIC):
        raise Unreadable("no ULog file: it does not begin with the format's mark")
    try:
        with np.errstate(all="ignore"):
            return _read(data, flown)
    except Unreadable:
        raise
    except DAMAGED as error:
        raise Unreadable(f"damaged beyond reading: {error}") from None


def _read(data: bytes, flown: Flown) -> Track:
    topics, notes = _opened(data)
    gps = _valid(topics, "vehicle_gps_position", "fix_type", FIX_3D)
    path = topics.get("vehicle_global_position")
    if path is not None:
        at_us, lat_deg, lon_deg = _times(path), _column(path, "lat"), _column(path, "lon")
    elif gps is not None:
        path, at_us = gps, _times(gps)
        lat_deg, lon_deg = _scaled(gps, "lat"), _scaled(gps, "lon")
    else:
        raise Unreadable("it tells no position: neither vehicle_global_position nor a GPS fix")
    utc_us = _utc_offset_us(topics, at_us, flown)
    latest_us = microseconds(flown.received_at) + round(FUTURE_LIMIT_S * 1e6)
    taken = _placed(lat_deg, lon_deg) & (np.abs(at_us) < 2**53)
    taken &= (at_us + utc_us > EARLIEST_US) & (at_us + utc_us <= latest_us)
    if not taken.any():
        raise Unreadable(f"none of {at_us.size} positions is a place on Earth at a time now past")
    if not taken.all():
        first = int(np.argmin(taken))
        notes.append(
            f"{int(taken.sum())} of {at_us.size} positions read; first bad at position {first + 1}:"
            f" latitude {lat_deg[first]:g}, longitude {lon_deg[first]:g},"
            f" {at_us[first] / 1e6:.1f} s after boot"
        )
    # Logs hold up to 50 positions a second, and what follows is row by row.
    chosen = _thinned(np.flatnonzero(taken), at_us + utc_us)
    beside = _beside(topics, gps, path, at_us[chosen])
    rows = []
    for n, i in enumerate(chosen.tolist()):
        where = Position(float(lat_deg[i]), float(lon_deg[i]))
        row = flown.row(instant(int(at_us[i]) + utc_us), where)
        rows.append(_told(row, {name: float(column[n]) for name, column in beside.items()}))
    made = track_of(rows, at_us.size, notes, flown.received_at)
    return replace(made, read=int(taken.sum()))


def _opened(data: bytes) -> tuple[dict[str, Fields], list[str]]:
    """Return the messages we use, by topic, and what is to be told of the file's state."""
    # It prints what it stumbles over, where a caller's JSON may be going.
    with redirect_stdout(io.StringIO()):
        log = ULog(_Forward(data), list(TOPICS))
    topics: dict[str, Fields] = {}
    for one in sorted(log.data_list, key=lambda one: -one.multi_id):
        if len(one.data.get("timestamp", ())):
            topics[one.name] = one.data
    notes = []
    if log.file_corruption:
        notes.append("the file is damaged: what could be read is kept")
    if log.dropouts:
        lost_s = sum(dropout.duration for dropout in log.dropouts) / 1000
        notes.append(f"the logger dropped {len(log.dropouts)} times, {lost_s:.1f} s in all")
    return topics, notes


def _valid(topics: Mapping[str, Fields], name: str, flag: str, least: int) -> Fields | None:
    """Return a topic's messages with a flag of at least so much, None when there are none."""
    fields = topics.get(name)
    if fields is None or flag not in fields:
        return fields
    good = fields[flag].astype(np.int64) >= least
    return {key: column[good] for key, column in fields.items()} if good.any() else None


def _times(fields: Fields) -> Times:
    return fields["timestamp"].astype(np.uint64).astype(np.int64)


def _column(fields: Fields, name: str) -> Floats:
    if name not in fields:
        return np.full(len(fields["timestamp"]), np.nan)
    return fields[name].astype(np.float64)


def _scaled(gps: Fields, axis: str) -> Floats:
    """Return degrees: 1e-7 in an integer before PX4 1.14, degrees after."""
    named = {"lat": "latitude_deg", "lon": "longitude_deg"}[axis]
    return _column(gps, named) if named in gps else _column(gps, axis) * 1e-7


def _placed(lat_deg: Floats, lon_deg: Floats) -> NDArray[np.bool_]:
    somewhere = (lat_deg != 0) | (lon_deg != 0)
    placed: NDArray[np.bool_] = (np.abs(lat_deg) <= 90) & (np.abs(lon_deg) <= 180) & somewhere
    return placed


def _utc_offset_us(topics: Mapping[str, Fields], at_us: Times, flown: Flown) -> int:
    """Return what is added to the log's times: from the receiver, or from --start."""
    gps = topics.get("vehicle_gps_position")
    if gps is not None and "time_utc_usec" in gps:
        told_us = gps["time_utc_usec"].astype(np.uint64).astype(np.int64)
        known = told_us > EARLIEST_US
        if known.any():
            return int(np.median(told_us[known] - _times(gps)[known]))
    if flown.start is None:
        raise Unreadable("it tells no UTC time: give when it began, --start")
    return microseconds(flown.start) - int(at_us[0])


def _thinned(rows: NDArray[np.intp], at_us: Times) -> NDArray[np.intp]:
    """Return the earliest of each SPACING_US."""
    rows = rows[np.argsort(at_us[rows], kind="stable")]
    _, firsts = np.unique(at_us[rows] // SPACING_US, return_index=True)
    return rows[firsts]


def _beside(
    topics: Mapping[str, Fields], gps: Fields | None, path: Fields, at_us: Times
) -> dict[str, Floats]:
    """Return what was told beside the positions of `at_us`, NaN where nothing was, by field."""
    height_m = _latest(at_us, path, _column(path, "alt_ellipsoid"), NEAR_S)
    above_sea_m = _latest(at_us, path, _column(path, "alt"), NEAR_S)
    if gps is not None:
        in_metres = "altitude_ellipsoid_m" in gps
        told_m = (
            _column(gps, "altitude_ellipsoid_m")
            if in_metres
            else _column(gps, "alt_ellipsoid") * 1e-3
        )
        told_m = _latest(at_us, gps, told_m, NEAR_S)
        height_m = told_m if path is gps else np.where(np.isnan(height_m), told_m, height_m)
        if path is gps:
            sea_m = _column(gps, "altitude_msl_m") if in_metres else _column(gps, "alt") * 1e-3
            above_sea_m = _latest(at_us, gps, sea_m, NEAR_S)
    home = _valid(topics, "home_position", "valid_alt", 1)
    home_m = np.full(at_us.size, np.nan)
    if home is not None:
        home_m = _latest(at_us, home, _column(home, "alt"), np.inf)
    return {
        "height_ellipsoid_m": _between(height_m, -500, 9000),
        # Both above sea level by the same reckoning: their difference is above take-off.
        "height_rel_m": _between(above_sea_m - home_m, -500, 9000),
        "battery_pct": _between(_battery_pct(topics, at_us), 0, 100),
        **_motion(topics, gps, at_us),
    }


def _motion(topics: Mapping[str, Fields], gps: Fields | None, at_us: Times) -> dict[str, Floats]:
    nothing = np.full(at_us.size, np.nan)
    speed_m_s, climb_m_s, heading_deg = nothing, nothing, nothing
    local = topics.get("vehicle_local_position")
    if local is not None:
        speed = np.hypot(_column(local, "vx"), _column(local, "vy"))
        speed_m_s = _latest(at_us, local, speed, NEAR_S)
        climb_m_s = -_latest(at_us, local, _column(local, "vz"), NEAR_S)
    elif gps is not None:
        speed_m_s = _latest(at_us, gps, _column(gps, "vel_m_s"), NEAR_S)
        climb_m_s = -_latest(at_us, gps, _column(gps, "vel_d_m_s"), NEAR_S)
    attitude = topics.get("vehicle_attitude")
    if attitude is not None:
        w, x, y, z = (_column(attitude, f"q[{i}]") for i in range(4))
        yaw_rad = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
        heading_deg = _latest(at_us, attitude, np.degrees(yaw_rad), NEAR_S) % 360.0
    return {
        "speed_m_s": _between(speed_m_s, 0, 200),
        "climb_m_s": _between(climb_m_s, -100, 100),
        "heading_deg": _between(heading_deg, 0, 360),
    }


def _battery_pct(topics: Mapping[str, Fields], at_us: Times) -> Floats:
    battery = topics.get("battery_status")
    if battery is None:
        return np.full(at_us.size, np.nan)
    # -1 is PX4's word for "not known"; it falls out of the range.
    return _latest(at_us, battery, _column(battery, "remaining") * 100, BATTERY_NEAR_S)


def _latest(at_us: Times, fields: Fields, values: Floats, near_s: float) -> Floats:
    """Return the last value told at or before each time, NaN where it is older than `near_s`."""
    order = np.argsort(_times(fields), kind="stable")
    told_us = _times(fields)[order]
    last = np.searchsorted(told_us, at_us, side="right") - 1
    age_us = at_us - told_us[np.maximum(last, 0)]
    found: Floats = np.where(
        (last >= 0) & (age_us <= near_s * 1e6), values[order][np.maximum(last, 0)], np.nan
    )
    return found


def _between(values: Floats, low: float, high: float) -> Floats:
    kept: Floats = np.where((values >= low) & (values <= high), values, np.nan)
    return kept


def _told(row: Telemetry, values: Mapping[str, float]) -> Telemetry:
    """Return the row with what is not NaN."""
    known = {name: value for name, value in values.items() if value == value}  # noqa: PLR0124
    return replace(row, **known)  # type: ignore[arg-type]
