"""Plays recorded flights back as the devices' own messages, in the order they were received."""

import asyncio
import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mcap.exceptions import McapError
from mcap.reader import NonSeekingReader
from zstandard import ZstdError

from domain.codec import from_plain
from domain.district import District
from runtime.bus import Bus
from runtime.clock import Clock
from runtime.topics import INTAKE_FILTERS, matches

RAW = "/raw/"
DISTRICT_TOPIC = "/district"
AT_ONCE_MESSAGES = 50
RECORD_LIMIT_BYTES = 64 * 1024 * 1024
CUT = (McapError, struct.error, UnicodeDecodeError, ZstdError)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class NotARecording(ValueError):
    """The file is no MCAP of a flight; the text says what is missing."""


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a device, at the time it was received."""

    at: datetime
    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Recording:
    district: District
    said: tuple[Said, ...]
    refused: int
    """Messages left out because no device may say them: nothing else is ever played."""


def read(paths: Sequence[Path]) -> Recording:
    """Merge recordings by time; a message in two of them is played once. Raises NotARecording.

    A file cut by a crash gives what it holds up to the cut.
    """
    district: District | None = None
    said: dict[Said, None] = {}
    refused = 0
    for path in paths:
        held = list(_messages(path))
        if not held:
            raise NotARecording(f"{path.name} holds no message; give a .flight.mcap")
        for topic, at, data in held:
            if topic == DISTRICT_TOPIC:
                district = district or from_plain(District, json.loads(data))
            elif topic.startswith(RAW):
                name = topic.removeprefix(RAW)
                if any(matches(f, name) for f in INTAKE_FILTERS):
                    said[Said(at, name, data)] = None
                else:
                    refused += 1
    if district is None:
        names = ", ".join(path.name for path in paths)
        raise NotARecording(f"{names}: no district in it; give a .flight.mcap of this program")
    return Recording(district, tuple(sorted(said, key=lambda s: s.at)), refused)


def _messages(path: Path) -> Iterator[tuple[str, datetime, bytes]]:
    with path.open("rb") as stream:
        reader = NonSeekingReader(stream, record_size_limit=RECORD_LIMIT_BYTES)
        try:
            for _, channel, message in reader.iter_messages(log_time_order=False):
                at = EPOCH + timedelta(microseconds=message.log_time // 1000)
                yield channel.topic, at, message.data
        except CUT:
            return


async def play(said: Sequence[Said], bus: Bus, clock: Clock) -> int:
    """Say every message at its time on the clock, in order; return how many were said."""
    spoken = 0
    while spoken < len(said):
        await clock.sleep_until(said[spoken].at)
        now = clock.now()
        due = [s for s in said[spoken : spoken + AT_ONCE_MESSAGES] if s.at <= now]
        due = due or [said[spoken]]
        # Begun in order, so sent in order; only the broker's answers are awaited together.
        await asyncio.gather(*(bus.publish(s.topic, s.payload) for s in due))
        spoken += len(due)
    return spoken
