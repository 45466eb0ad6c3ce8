"""One MCAP file being written, and what a cut one still holds.

While it is written a file is called `….mcap.part`: a part that is there at the start belongs to a
process that was killed, and is rewritten whole by `recover`. Chunks are zstd of 128 KiB, so that a
second of one topic can be found without unpacking the rest.
"""

import json
import os
import struct
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from mcap.exceptions import McapError
from mcap.reader import NonSeekingReader
from mcap.records import Channel, Message, Schema
from mcap.writer import CompressionType, Writer
from zstandard import ZstdError

CHUNK_BYTES = 128 * 1024
RECORD_LIMIT_BYTES = 64 * 1024 * 1024
PART = ".part"
LIBRARY = "gridwing"
# The reader says it in its own words only where a record ends; elsewhere its parts do.
CUT_ANYWHERE = (McapError, EOFError, struct.error, ValueError, ZstdError)


def nanoseconds(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000) * 1000


class McapFile:
    """Messages by topic into `path`; `sync` puts what was written on the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._part = path.with_name(path.name + PART)
        self._stream = self._part.open("wb")
        self._writer = Writer(self._stream, CHUNK_BYTES, CompressionType.ZSTD)
        self._writer.start(library=LIBRARY)
        self._channels: dict[str, int] = {}
        self._schemas: dict[str, int] = {}
        self.messages = 0

    def write(
        self,
        topic: str,
        at: datetime,
        data: bytes,
        *,
        published_at: datetime | None = None,
        schema: str = "",
        encoding: str = "json",
        metadata: dict[str, str] | None = None,
    ) -> None:
        """Add one message. A JSON message's `schema` is its title, known to viewers by name."""
        channel = self._channels.get(topic)
        if channel is None:
            channel = self._writer.register_channel(
                topic, encoding, self._schema(schema), metadata or {}
            )
            self._channels[topic] = channel
        self.messages += 1
        self._writer.add_message(
            channel, nanoseconds(at), data, nanoseconds(published_at or at), self.messages
        )

    def _schema(self, title: str) -> int:
        if not title:
            return 0
        if title not in self._schemas:
            text = json.dumps({"title": title, "type": "object"}).encode()
            self._schemas[title] = self._writer.register_schema(title, "jsonschema", text)
        return self._schemas[title]

    def sync(self) -> None:
        self._writer.flush()  # type: ignore[no-untyped-call]
        os.fsync(self._stream.fileno())

    def close(self) -> None:
        self._writer.finish()  # type: ignore[no-untyped-call]
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        self._part.rename(self.path)


def read_whole(path: Path) -> Iterator[tuple[Schema | None, Channel, Message]]:
    """Give every message up to where the file ends or was cut, in the order written."""
    with path.open("rb") as stream:
        reader = NonSeekingReader(stream, record_size_limit=RECORD_LIMIT_BYTES)
        try:
            yield from reader.iter_messages(log_time_order=False)
        except CUT_ANYWHERE:
            return


def recover(part: Path) -> Path | None:
    """Rewrite a cut file as a whole one and remove the cut one; None when it held nothing."""
    whole = part.with_name(part.name.removesuffix(PART))
    fresh = whole.with_name(whole.name + ".recovering")
    count = 0
    with fresh.open("wb") as stream:
        writer = Writer(stream, CHUNK_BYTES, CompressionType.ZSTD)
        writer.start(library=LIBRARY)
        channels: dict[int, int] = {}
        schemas: dict[int, int] = {0: 0}
        for schema, channel, message in read_whole(part):
            if schema is not None and schema.id not in schemas:
                schemas[schema.id] = writer.register_schema(
                    schema.name, schema.encoding, schema.data
                )
            if channel.id not in channels:
                channels[channel.id] = writer.register_channel(
                    channel.topic,
                    channel.message_encoding,
                    schemas[channel.schema_id],
                    channel.metadata,
                )
            writer.add_message(
                channels[channel.id],
                message.log_time,
                message.data,
                message.publish_time,
                message.sequence,
            )
            count += 1
        writer.finish()  # type: ignore[no-untyped-call]
        stream.flush()
        os.fsync(stream.fileno())
    if count:
        fresh.rename(whole)
    else:
        fresh.unlink()
    part.unlink()
    return whole if count else None


def recover_all(folder: Path, suffix: str) -> list[Path]:
    """Recover every part file whose name ends in `suffix` + `.part`."""
    found = [recover(part) for part in sorted(folder.glob(f"*{suffix}{PART}"))]
    return [path for path in found if path is not None]
