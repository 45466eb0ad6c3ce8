"""An HTTP camera that misbehaves: stalls, breaks off, changes size, sends what is no picture."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import numpy as np

from simulators.bad_frames import PICTURES

STALL_S = 7.0
"""Longer than watch waits for the next byte."""
PARTS = 12
PART_S = 0.25
REQUEST_LIMIT_BYTES = 8192
BOUNDARY = b"frame"


class BadStream:
    """Answers every request in another way, in the order of its seed."""

    def __init__(self, pictures: Sequence[bytes], seed: int) -> None:
        self._pictures, self._rng = pictures, np.random.default_rng(seed)
        self.answered: Counter[str] = Counter()
        self._over = asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """Serve on a loopback port until left; gives the port."""
        server = await asyncio.start_server(self._asked, "127.0.0.1", 0, limit=REQUEST_LIMIT_BYTES)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            self._over.set()
            await asyncio.gather(*self._open)

    def _asked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._answer(reader, writer))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _wait(self, seconds: float) -> None:
        """Wait, but no longer than the server stands."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), seconds)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ways = (self._parts, self._stalls, self._breaks_off, self._promises_too_much, self._refuses,
                self._snapshot, self._names_no_boundary)  # fmt: skip
        way = ways[int(self._rng.integers(len(ways)))]
        self.answered[way.__name__.strip("_")] += 1
        try:
            await reader.readuntil(b"\r\n\r\n")
            await way(writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            self.answered["left"] += 1
        finally:
            writer.close()

    def _picture(self) -> bytes:
        jpeg = self._pictures[int(self._rng.integers(len(self._pictures)))]
        if self._rng.random() < 0.5:
            return jpeg
        return PICTURES[str(self._rng.choice(list(PICTURES)))](jpeg, self._rng)

    async def _parts(self, writer: asyncio.StreamWriter) -> None:
        _head(writer, b"multipart/x-mixed-replace; boundary=" + BOUNDARY)
        for _ in range(PARTS):
            _part(writer, self._picture())
            await writer.drain()
            await self._wait(PART_S)

    async def _stalls(self, writer: asyncio.StreamWriter) -> None:
        _head(writer, b"multipart/x-mixed-replace; boundary=" + BOUNDARY)
        _part(writer, self._picture())
        await writer.drain()
        await self._wait(STALL_S)

    async def _breaks_off(self, writer: asyncio.StreamWriter) -> None:
        _head(writer, b"multipart/x-mixed-replace; boundary=" + BOUNDARY)
        jpeg = self._picture()
        writer.write(b"--%s\r\nContent-Length: %d\r\n\r\n" % (BOUNDARY, len(jpeg)))
        writer.write(jpeg[: len(jpeg) // 2])

    async def _promises_too_much(self, writer: asyncio.StreamWriter) -> None:
        _head(writer, b"multipart/x-mixed-replace; boundary=" + BOUNDARY)
        writer.write(b"--%s\r\nContent-Length: 999999999\r\n\r\n\xff\xd8" % BOUNDARY)

    async def _refuses(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    async def _snapshot(self, writer: asyncio.StreamWriter) -> None:
        _head(writer, b"image/jpeg")
        writer.write(self._picture())

    async def _names_no_boundary(self, writer: asyncio.StreamWriter) -> None:
        _head(writer, b"multipart/x-mixed-replace")
        writer.write(self._picture())


def _head(writer: asyncio.StreamWriter, kind: bytes) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nConnection: close\r\n\r\n" % kind)


def _part(writer: asyncio.StreamWriter, jpeg: bytes) -> None:
    writer.write(b"--%s\r\nContent-Length: %d\r\n\r\n" % (BOUNDARY, len(jpeg)))
    writer.write(jpeg + b"\r\n")
