"""A batch's telemetry as columns: built from messages, judged and encoded for COPY in bulk. Pure.

A sample a device packed by ten costs a tenth of a message here, and nothing below looks at one
row at a time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domain.device import DeviceKind
from domain.observation import FlightPhase, Telemetry
from domain.place import Position
from services.ingest.fields import FUTURE_LIMIT_S, PAST_LIMIT_S
from services.ingest.sample import Sample

REALS = (
    "height_ellipsoid_m",
    "height_rel_m",
    "height_agl_m",
    "heading_deg",
    "speed_m_s",
    "climb_m_s",
    "battery_pct",
)
COLUMNS = (
    "device_sn",
    "at",
    "key",
    "received_at",
    "lat_deg",
    "lon_deg",
    *REALS,
    "phase",
    "cell_code",
    "flags",
)
"""The order of the COPY."""
UNBELIEVED_TIME, OUT_OF_ORDER, REDELIVERED = 1, 2, 4
"""Bits of `flags`: the device's time is too far ahead, behind or absent; it came after a newer
message of its device; the broker marked it as a second delivery."""
PHASES = tuple(FlightPhase)
PHASE_CODE: dict[FlightPhase | None, int] = {phase: code for code, phase in enumerate(PHASES)}
PHASE_CODE[None] = -1
SAMPLED = attrgetter("latitude", "longitude", *REALS)
_ROW_REALS = attrgetter(*REALS)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
POSTGRES_EPOCH_US = 946_684_800_000_000
COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TAIL = b"\xff\xff"
ABSENT = np.full(4, 0xFF, np.uint8)
"""The length of a NULL."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


def microseconds(at: datetime) -> int:
    """Return whole microseconds since 1970."""
    since = at - EPOCH
    return (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds


def instant(at_us: int) -> datetime:
    return datetime.fromtimestamp(at_us // 1_000_000, UTC).replace(microsecond=at_us % 1_000_000)


def _told(row: Telemetry) -> tuple[float | None, ...]:
    place = row.position
    if place is None:
        return (None, None, *_ROW_REALS(row))
    return (place.lat_deg, place.lon_deg, *_ROW_REALS(row))


@dataclass(slots=True)
class Gathered:
    """What a batch's messages said, in the order of their arrival, not yet columns."""

    rows: list[Telemetry] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    runs: list[tuple[str, int, bool]] = field(default_factory=list)
    """(device, number of its samples, delivered before) for consecutive `samples`."""
    redelivered: list[int] = field(default_factory=list)
    """Indices of `rows` that the broker marked as a second delivery."""

    def __len__(self) -> int:
        return len(self.rows) + len(self.samples)


@dataclass(slots=True)
class Columns:
    """n rows; `rows` of the Telemetry first, samples after them. Missing numbers are NaN."""

    names: list[str]
    kinds: list[DeviceKind]
    device: Ints
    """(n,) index into `names` and `kinds`."""
    at_us: Ints
    """(n,) device time, Unix microseconds, from the payload alone."""
    key: Ints
    received_at: datetime
    lat_deg: Floats
    lon_deg: Floats
    reals: Floats
    """(len(REALS), n)."""
    phase: NDArray[np.int8]
    """(n,) index into PHASES, -1 for none."""
    flags: NDArray[np.int16]
    rows: Sequence[Telemetry]
    cell: Ints
    """(n,) index into `cell_codes`, -1 outside every cell."""
    cell_codes: Sequence[str] = ()

    @classmethod
    def of(
        cls, gathered: Gathered, kinds: Mapping[str, DeviceKind], received_at: datetime
    ) -> "Columns":
        rows, samples = gathered.rows, gathered.samples
        counts = [1] * len(rows) + [count for _, count, _ in gathered.runs]
        sns = [row.device_sn for row in rows] + [sn for sn, _, _ in gathered.runs]
        again = [False] * len(rows) + [dup for _, _, dup in gathered.runs]
        for i in gathered.redelivered:
            again[i] = True
        codes: dict[str, int] = {}
        device = np.repeat([codes.setdefault(sn, len(codes)) for sn in sns], counts)
        names = list(codes)
        told = [_told(row) for row in rows] + [SAMPLED(sample) for sample in samples]
        numbers = np.array(told, np.float64).reshape(-1, 2 + len(REALS)).T
        lat_deg, lon_deg = numbers[0].copy(), numbers[1].copy()
        # 0,0 and a lone half mean no fix.
        nowhere = np.isnan(lat_deg) | np.isnan(lon_deg) | ((lat_deg == 0) & (lon_deg == 0))
        lat_deg[nowhere] = lon_deg[nowhere] = np.nan
        at_us = np.array(
            [microseconds(row.at) for row in rows] + [s.at * 1000 for s in samples], np.int64
        )
        phases: list[FlightPhase | None] = [row.phase for row in rows]
        phases += [s.phase for s in samples]
        phase = np.array([PHASE_CODE[p] for p in phases], np.int8)
        made = cls(
            names,
            [kinds[sn] for sn in names],
            device.astype(np.int64),
            at_us,
            np.zeros(at_us.size, np.int64),
            received_at,
            lat_deg,
            lon_deg,
            np.ascontiguousarray(numbers[2:]),
            phase,
            np.where(np.repeat(again, counts), REDELIVERED, 0).astype(np.int16),
            rows,
            np.full(at_us.size, -1),
        )
        made.key = made.content_keys()
        made.key[: len(rows)] = [row.key for row in rows]
        made.flags |= np.where(_unbelieved(at_us, received_at), UNBELIEVED_TIME, 0).astype(np.int16)
        return made

    def __len__(self) -> int:
        return self.at_us.size

    def content_keys(self) -> Ints:
        """Return for each row a digest of what it says, the same whenever it is said again."""
        mixed = np.zeros(len(self), np.uint64)
        for column in (self.lat_deg, self.lon_deg, *self.reals, self.phase.astype(np.float64)):
            bits = np.ascontiguousarray(column).view(np.uint64)
            mixed = (mixed ^ bits) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
        return mixed.view(np.int64)

    def mark_out_of_order(self, newest_us: Mapping[str, int]) -> dict[str, int]:
        """Flag what came after a newer row of its device; return the newest believed times.

        `newest_us` is what was known before this batch. Rows of unbelieved times neither count
        nor are flagged.
        """
        known = np.array([newest_us.get(name, 0) for name in self.names], np.int64)
        believed = (self.flags & UNBELIEVED_TIME) == 0
        at_us = np.where(believed, self.at_us, 0)
        order = np.argsort(self.device, kind="stable")
        # Devices in ascending blocks, so one running maximum serves them all.
        lifted = (self.device[order] << 51) + np.maximum(at_us[order], 0) % (1 << 51)
        before = np.maximum.accumulate(lifted)
        late = np.zeros(len(self), bool)
        late[order] = before > lifted
        late |= at_us < known[self.device]
        self.flags[late & believed] |= OUT_OF_ORDER
        newest = np.zeros(len(self.names), np.int64)
        np.maximum.at(newest, self.device, at_us)
        return dict(zip(self.names, np.maximum(newest, known).tolist(), strict=True))

    def state_us(self) -> Ints:
        """Return the time each row's state is of: the device's, or where unbelieved ours."""
        unbelieved = (self.flags & UNBELIEVED_TIME) != 0
        return np.where(unbelieved, microseconds(self.received_at), self.at_us)

    def message(self, i: int) -> Telemetry:
        """Return one row as a Telemetry."""
        if i < len(self.rows):
            return self.rows[i]
        lat, lon = float(self.lat_deg[i]), float(self.lon_deg[i])
        told: dict[str, Any] = {
            name: float(value)
            for name, value in zip(REALS, self.reals[:, i], strict=True)
            if value == value  # noqa: PLR0124  (NaN is what was not told)
        }
        return Telemetry(
            self.names[self.device[i]],
            self.kinds[self.device[i]],
            instant(int(self.at_us[i])),
            int(self.key[i]),
            self.received_at,
            None if lat != lat else Position(lat, lon),  # noqa: PLR0124
            phase=None if self.phase[i] < 0 else PHASES[self.phase[i]],
            time_clamped=bool(self.flags[i] & UNBELIEVED_TIME),
            **told,
        )

    def copy_rows(self) -> bytes:
        """Return the rows in PostgreSQL's binary COPY format, head and tail included."""
        encoder = _Encoder(len(self), len(COLUMNS))
        encoder.text([name.encode() for name in self.names], self.device)
        encoder.fixed((self.at_us - POSTGRES_EPOCH_US).astype(">i8"))
        encoder.fixed(self.key.astype(">i8"))
        received = np.full(len(self), microseconds(self.received_at) - POSTGRES_EPOCH_US)
        encoder.fixed(received.astype(">i8"))
        placed = ~np.isnan(self.lat_deg)
        encoder.fixed(self.lat_deg.astype(">f8"), placed)
        encoder.fixed(self.lon_deg.astype(">f8"), placed)
        for column in self.reals:
            encoder.fixed(column.astype(">f4"), ~np.isnan(column))
        encoder.text([phase.value.encode() for phase in PHASES], self.phase.astype(np.int64))
        encoder.text([code.encode() for code in self.cell_codes], self.cell)
        encoder.fixed(self.flags.astype(">i2"))
        return COPY_HEAD + encoder.rows() + COPY_TAIL


def _unbelieved(at_us: Ints, received_at: datetime) -> NDArray[np.bool_]:
    ahead_us = at_us - microseconds(received_at)
    return (ahead_us > int(FUTURE_LIMIT_S * 1e6)) | (ahead_us < -int(PAST_LIMIT_S * 1e6))


class _Encoder:
    """Columns laid side by side as bytes, with those of missing values taken out at the end."""

    def __init__(self, count: int, fields: int) -> None:
        self.count = count
        self._width = 0
        self._blocks: list[tuple[int, NDArray[np.uint8]]] = []
        self._missing: list[tuple[int, NDArray[np.bool_]]] = []
        self._lay(np.array([fields], ">i2").view(np.uint8))

    def _lay(self, block: NDArray[np.uint8]) -> None:
        """Put a block beside the last: (n, width), or (width,) where every row has the same."""
        self._blocks.append((self._width, block))
        self._width += block.shape[-1]

    def fixed(self, values: NDArray[Any], present: NDArray[np.bool_] | None = None) -> None:
        """Add a column of big-endian numbers."""
        width = values.dtype.itemsize
        if present is not None and not present.any():
            self._lay(ABSENT)
            return
        data = np.ascontiguousarray(values).view(np.uint8).reshape(self.count, width)
        if present is None or present.all():
            self._lay(np.array([width], ">i4").view(np.uint8))
        else:
            self._lengths(np.where(present, width, -1))
            self._missing.append((self._width, np.repeat(~present[:, None], width, axis=1)))
        self._lay(data)

    def text(self, words: Sequence[bytes], which: Ints) -> None:
        """Add a column of words by index, NULL where it is negative."""
        lengths = np.array([*(len(word) for word in words), -1])[which]
        width = max(int(lengths.max(initial=-1)), 0)
        if not width:
            self._lay(ABSENT)
            return
        table = np.zeros((len(words) + 1, width), np.uint8)
        for i in np.unique(which[which >= 0]).tolist():
            table[i, : len(words[i])] = np.frombuffer(words[i], np.uint8)
        if int(lengths.min()) == width:
            self._lay(np.array([width], ">i4").view(np.uint8))
        else:
            self._lengths(lengths)
            self._missing.append((self._width, np.arange(width) >= lengths[:, None]))
        self._lay(table[which])

    def _lengths(self, lengths: NDArray[Any]) -> None:
        self._lay(lengths.astype(">i4").view(np.uint8).reshape(self.count, 4))

    def rows(self) -> bytes:
        table = np.empty((self.count, self._width), np.uint8)
        for at, block in self._blocks:
            table[:, at : at + block.shape[-1]] = block
        if not self._missing:
            return table.tobytes()
        kept = np.ones(table.shape, bool)
        for at, missing in self._missing:
            kept[:, at : at + missing.shape[1]] = ~missing
        encoded: bytes = table[kept].tobytes()
        return encoded
