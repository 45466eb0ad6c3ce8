"""The live stream: one tail of the ledger and one look at positions for all screens together.

An event's SSE id is its ledger position, so a browser that comes back says where it was and is
given what it missed from the table. Positions carry no id: the newest is all anybody wants.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from domain.codec import canonical, to_plain
from domain.events import DispatchOffered, IncidentReported
from runtime.access import Principal, allow
from runtime.clock import Clock
from runtime.database import Pool
from runtime.ledger import Entry, Ledger
from runtime.metrics import STREAM_CLIENTS
from services.ingest.api import shown
from services.ingest.store import read_latest

log = structlog.get_logger(__name__)

QUEUE_LIMIT_EVENTS = 2000
RESUME_LIMIT_ENTRIES = 10_000
POSITIONS_EVERY_S = 0.4
HEARTBEAT_S = 10.0
READ_LIMIT = 500
Sent = tuple[str, int | None, str]
"""(event name, ledger position or None, JSON text)."""


@dataclass(slots=True)
class _Scope:
    """Whose an incident is: what a field role's view of its entries depends on."""

    cell_code: str | None = None
    police_code: str | None = None
    responders: set[str] = field(default_factory=set)


@dataclass(eq=False, slots=True)
class _Viewer:
    principal: Principal
    queue: asyncio.Queue[Sent]
    overflowed: bool = False


class Stream:
    """Tails the ledger and the latest positions; hands both to every viewer who may see them."""

    def __init__(self, ledger: Ledger, pool: Pool, clock: Clock) -> None:
        self._ledger, self._pool, self._clock = ledger, pool, clock
        self._viewers: set[_Viewer] = set()
        self._scopes: dict[str, _Scope] = {}
        self._positions: dict[str, dict[str, Any]] = {}
        self.position = 0

    async def run(self) -> None:
        """Tail until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tail())
            tasks.create_task(self._watch_positions())

    async def _tail(self) -> None:
        while True:
            entries = await self._ledger.read(self.position, READ_LIMIT)
            for entry in entries:
                self._learn(entry)
                self._tell("entry", entry.position, entry_text(entry), self._reader(entry))
            if entries:
                self.position = entries[-1].position
            else:
                await self._ledger.wait(self.position, 1.0)

    async def _watch_positions(self) -> None:
        mark = 0
        while True:
            states, mark = await read_latest(self._pool, mark)
            if states:
                changed = [shown(state) for state in states]
                self._positions |= {p["device_sn"]: p for p in changed}
                self._tell("positions", None, canonical(changed), _may_see_devices)
            await asyncio.sleep(POSITIONS_EVERY_S)

    def positions(self) -> list[dict[str, Any]]:
        return list(self._positions.values())

    def _learn(self, entry: Entry) -> None:
        event = entry.event
        if isinstance(event, IncidentReported):
            scope = self._scopes.setdefault(event.incident_id, _Scope())
            scope.cell_code, scope.police_code = event.cell_code, event.police_code
        elif isinstance(event, DispatchOffered):
            scope = self._scopes.setdefault(event.incident_id, _Scope())
            scope.responders.add(event.responder_id)

    def _reader(self, entry: Entry) -> Callable[[Principal], bool]:
        """Return who may read the entry: in the field only what concerns one's own incidents."""

        def may(principal: Principal) -> bool:
            if not allow(principal, "entry.read"):
                return False
            if not principal.in_the_field:
                return True
            kind, _, name = entry.stream.partition("/")
            scope = self._scopes.get(name)
            if kind != "incident" or scope is None:
                return False
            return (
                principal.responder_id in scope.responders
                or scope.cell_code in principal.cells
                or scope.police_code in principal.police
            )

        return may

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

    async def follow(self, principal: Principal, after: int | None) -> AsyncIterator[bytes]:
        """Give SSE bytes for one viewer, from `after` on or from now."""
        viewer = _Viewer(principal, asyncio.Queue(QUEUE_LIMIT_EVENTS))
        self._viewers.add(viewer)
        STREAM_CLIENTS.inc()
        try:
            yield b"retry: 1000\n\n"
            start = self.position
            yield _sse("positions", None, canonical(self.positions()))
            if after is not None:
                async for chunk in self._missed(principal, after, start):
                    yield chunk
            while not viewer.overflowed or not viewer.queue.empty():
                try:
                    async with asyncio.timeout(HEARTBEAT_S):
                        sent = await viewer.queue.get()
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
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
                if self._reader(entry)(principal):
                    yield _sse("entry", entry.position, entry_text(entry))
            after = entries[-1].position


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
