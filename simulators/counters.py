"""What the simulators published, counted after the broker's acknowledgement.

The counts live in a small memory-mapped file: the kernel keeps a mapped page when its process is
killed, so `kill -9` loses nothing. A message is counted only once it is acknowledged, so the
count never runs ahead of what the broker holds.
"""

import mmap
import os
import struct
from pathlib import Path
from types import TracebackType
from typing import Self

NAMES = (
    "boots",
    "telemetry_sent",
    "events_sent",
    "events_repeated",
    "events_given_up",
    "requests_sent",
    "replies_sent",
    "statuses_sent",
    "frames_sent",
    "frames_skipped",
    "pictures_served",
    "takeoffs",
    "double_takeoffs",
    "repeated_commands",
    "landings",
)
_SLOT = struct.Struct("<Q")
SIZE_BYTES = 512
FILE_NAME = "counters.bin"


class Counters:
    """Named 64-bit counts in a file of SIZE_BYTES. One process writes; any may read."""

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(descriptor).st_size < SIZE_BYTES:
                os.ftruncate(descriptor, SIZE_BYTES)
            self._map = mmap.mmap(descriptor, SIZE_BYTES)
        finally:
            os.close(descriptor)
        self._offsets = {name: i * _SLOT.size for i, name in enumerate(NAMES)}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._map.close()

    def add(self, name: str, amount: int = 1) -> None:
        """Raise KeyError for a name not in NAMES."""
        offset = self._offsets[name]
        (value,) = _SLOT.unpack_from(self._map, offset)
        _SLOT.pack_into(self._map, offset, value + amount)

    def get(self, name: str) -> int:
        (value,) = _SLOT.unpack_from(self._map, self._offsets[name])
        return int(value)


def read_counts(path: Path) -> dict[str, int]:
    """Return every count in the file; all zero when there is none yet."""
    raw = path.read_bytes() if path.exists() else b""
    raw = raw.ljust(SIZE_BYTES, b"\0")
    return {name: int(_SLOT.unpack_from(raw, i * _SLOT.size)[0]) for i, name in enumerate(NAMES)}
