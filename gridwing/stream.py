"""The live stream: one tail of the ledger and one look at positions for all screens together.

An event's SSE id is its ledger position, so a browser that comes back says where it was and is
given what it missed from the table. Positions carry no id: the newest is all anybody wants.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog

from domain.codec import canonical, to_plain
from runtime.access import Principal, allow
from runtime.access.scopes import Scopes
from runtime.database import Pool, going_on
from runtime.ledger import Entry, Ledger
from runtime.metrics import STREAM_CLIENTS
from services.ingest.api import shown
from services.ingest.store import read_latest

log = structlog.get_logger(__name__)

QUEUE_LIMIT_EVENTS = 2000
RESUME_LIMIT_ENTRIES = 10_000
POSITIONS_EVERY_S = 0.4
HEARTBEAT_S = 10.0
RECHECK_S = 5.0
READ_LIMIT = 500
Sent = tuple[str, int | None, str]
"""(event name, ledger position or None, JSON text)."""


@dataclass(eq=False, slots=True)
class _Viewer:
    principal: Principal
    queue: asyncio.Queue[Sent]
    overflowed: bool = False


class Stream:
    """Tails the ledger and the latest positions; hands both to every viewer who may see them."""

    def __init__(self, ledger: Ledger, pool: Pool) -> None:
        self._ledger, self._pool = ledger, pool
        self._viewers: set[_Viewer] = set()
        self._positions: dict[str, dict[str, Any]] = {}
        self._caught_up = asyncio.Event()
        self.scopes = Scopes()
        self.position = 0

    async def run(self) -> None:
        """Tail until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tail())
            tasks.create_task(self._watch_positions())

    async def _tail(self) -> None:
        while going_on():
            entries = await self._ledger.read(self.position, READ_LIMIT)
            for entry in entries:
                self.scopes.learn(entry)
                if self._viewers:
                    self._tell("entry", entry.position, entry_text(entry), self._reader(entry))
            if entries:
                self.position = entries[-1].position
            else:
                self._caught_up.set()
                await self._ledger.wait(self.position, 1.0)

    async def _watch_positions(self) -> None:
        mark = 0
        while going_on():
            states, mark = await read_latest(self._pool, mark)
            if states:
                changed = [shown(state) for state in states]
                self._positions |= {p["device_sn"]: p for p in changed}
                self._tell("positions", None, canonical(changed), _may_see_devices)
            await asyncio.sleep(POSITIONS_EVERY_S)

    def positions(self) -> list[dict[str, Any]]:
        return list(self._positions.values())

    def _reader(self, entry: Entry) -> Callable[[Principal], bool]:
        return lambda principal: self.scopes.may_read(principal, entry)

    def _tell(
        self, name: str, position: int | None, text: str, may: Callable[[Principal], bool]
    ) -> None:
        for viewer in self._viewers:
            if viewer.overflowed or not may(viewer.principal):
                continue
            try:
                viewer.queue.put_nowait((name, position, text))
            except asyncio.QueueFull:
                viewer.overflowed = True

    async def follow(
        self, principal: Principal, after: int | None, still: Callable[[], Awaitable[bool]]
    ) -> AsyncIterator[bytes]:
        """Give SSE bytes for one viewer, from `after` on or from now.

        Ends when `still` says that the viewer is no longer who came in, or when the viewer falls
        QUEUE_LIMIT_EVENTS behind: the browser comes back and is given what it missed.
        """
        await self._caught_up.wait()
        viewer = _Viewer(principal, asyncio.Queue(QUEUE_LIMIT_EVENTS))
        self._viewers.add(viewer)
        STREAM_CLIENTS.inc()
        try:
            start = self.position
            # An id without data sets where a browser resumes from, though nothing happened yet.
            yield b"retry: 1000\n" + (f"id: {start}\n\n".encode() if after is None else b"\n")
            yield _sse("positions", None, canonical(self.positions()))
            if after is not None:
                async for chunk in self._missed(principal, after, start):
                    yield chunk
            async for sent in _until_changed(viewer, still):
                if sent[1] is None or sent[1] > start:
                    yield _sse(*sent)
        finally:
            self._viewers.discard(viewer)
            STREAM_CLIENTS.dec()

    async def _missed(self, principal: Principal, after: int, until: int) -> AsyncIterator[bytes]:
        if until - after > RESUME_LIMIT_ENTRIES or after > until:
            yield _sse("reset", until, canonical({"position": until}))
            return
        while after < until:
            entries = await self._ledger.read(after, min(READ_LIMIT, until - after))
            if not entries:
                return
            for entry in entries:
                if self.scopes.may_read(principal, entry):
                    yield _sse("entry", entry.position, entry_text(entry))
            after = entries[-1].position


async def _until_changed(
    viewer: _Viewer, still: Callable[[], Awaitable[bool]]
) -> AsyncIterator[Sent]:
    """Give what is queued, an empty sign of life when nothing is, until the viewer must go."""
    clock = asyncio.get_running_loop().time
    heard_s = checked_s = clock()
    while not (viewer.overflowed and viewer.queue.empty()):
        if clock() - checked_s >= RECHECK_S:
            if not await still():
                return
            checked_s = clock()
        try:
            async with asyncio.timeout(RECHECK_S):
                sent = await viewer.queue.get()
        except TimeoutError:
            if clock() - heard_s < HEARTBEAT_S:
                continue
            sent = ("positions", None, "[]")
        heard_s = clock()
        yield sent


def _may_see_devices(principal: Principal) -> bool:
    return allow(principal, "device.read")


def entry_text(entry: Entry) -> str:
    """Return a ledger entry as the screens read it."""
    return canonical(
        {
            "position": entry.position,
            "stream": entry.stream,
            "version": entry.version,
            "kind": entry.kind,
            "at": entry.at,
            "actor": entry.actor,
            "event": to_plain(entry.event),
        }
    )


def _sse(name: str, position: int | None, text: str) -> bytes:
    head = f"id: {position}\n" if position is not None else ""
    return f"{head}event: {name}\ndata: {text}\n\n".encode()
