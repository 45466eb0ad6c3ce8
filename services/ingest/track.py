"""A flight out of a file: its rows in time order, and what of the file could not be taken. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from domain.device import DeviceKind
from domain.observation import Telemetry
from domain.place import Position
from services.ingest.columns import Columns, Gathered, microseconds
from services.ingest.fields import FUTURE_LIMIT_S, Unreadable

SPACING_US = 200_000
"""One row for each fifth of a second: a subtitle per video frame repeats the same fix."""
FILE_LIMIT_BYTES = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Flown:
    """Whose flight a file is of, and what the file itself may not say."""

    device_sn: str
    device_kind: DeviceKind
    received_at: datetime
    zone: tzinfo
    """Of the camera's wall clock, which is written without one."""
    start: datetime | None = None
    """When a recording that tells no date began."""

    def row(self, at: datetime, position: Position) -> Telemetry:
        return Telemetry(self.device_sn, self.device_kind, at, 0, self.received_at, position)


@dataclass(frozen=True, slots=True)
class Track:
    rows: tuple[Telemetry, ...]
    """In time order, at most one in each SPACING_US."""
    found: int
    """Blocks or position messages in the file."""
    read: int
    """Of these, with a place and a time that could be taken."""
    notes: tuple[str, ...] = ()
    """What was left out, and where."""


def track_of(
    rows: Sequence[Telemetry], found: int, notes: Sequence[str], received_at: datetime
) -> Track:
    """Return the track of what was read: sorted and thinned.

    Raises Unreadable for a track in the future.
    """
    first: dict[int, Telemetry] = {}
    for row in sorted(rows, key=lambda row: row.at):
        first.setdefault(microseconds(row.at) // SPACING_US, row)
    kept = list(first.values())
    if kept and kept[-1].at - received_at > timedelta(seconds=FUTURE_LIMIT_S):
        raise Unreadable(
            f"the track ends at {kept[-1].at:%Y-%m-%d %H:%M:%S} UTC, still to come: "
            "give the --timezone (or --start) it was flown in"
        )
    return Track(tuple(kept), found, len(rows), tuple(notes))


def history(rows: Sequence[Telemetry]) -> Columns:
    """Return rows of one device, at least one, as columns whose times are believed however old."""
    first = rows[0]
    columns = Columns.of(
        Gathered(rows=list(rows)), {first.device_sn: first.device_kind}, first.received_at
    )
    columns.flags[:] = 0
    # Every import of the file gives the same keys, so that none stores a row twice.
    columns.key = columns.content_keys()
    return columns
