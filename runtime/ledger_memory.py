"""The ledger in memory: the same contract for simulation, with positions given at commit."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg

from domain.events import Event
from runtime.ledger import (
    READ_LIMIT,
    ZERO_HASH,
    Entry,
    Verification,
    VersionConflict,
    body_hash,
    chain,
    event_text,
    read_event,
)


@dataclass(frozen=True, slots=True)
class _Row:
    stream: str
    version: int
    kind: str
    schema: int
    at: datetime
    actor: str
    text: str
    digest: bytes


class MemoryTransaction:
    def __init__(self, ledger: "MemoryLedger") -> None:
        self._ledger = ledger
        self.rows: list[_Row] = []
        self.cursors: dict[str, int] = {}
        self.committed: list[Callable[[], None]] = []
        self.undone: list[Callable[[], None]] = []

    @property
    def connection(self) -> psycopg.AsyncConnection[Any]:
        raise RuntimeError("a memory transaction has no connection; use the memory store")

    async def append(
        self,
        stream: str,
        events: Sequence[Event],
        *,
        at: datetime,
        actor: str,
        expected_version: int | None = None,
    ) -> int:
        version = await self.version(stream)
        if expected_version is not None and version != expected_version:
            raise VersionConflict(f"{stream} is at {version}, not {expected_version}")
        at = at.astimezone(UTC)
        for event in events:
            version += 1
            text = event_text(event)
            digest = body_hash(stream, version, event.KIND, event.SCHEMA, at, actor, text)
            self.rows.append(
                _Row(stream, version, event.KIND, event.SCHEMA, at, actor, text, digest)
            )
        return version

    async def version(self, stream: str) -> int:
        own = [row.version for row in self.rows if row.stream == stream]
        return own[-1] if own else self._ledger.versions.get(stream, 0)

    async def cursor(self, follower: str) -> int:
        return self.cursors.get(follower, self._ledger.cursors.get(follower, 0))

    async def advance(self, follower: str, position: int) -> None:
        self.cursors[follower] = position

    def after_commit(self, job: Callable[[], None]) -> None:
        self.committed.append(job)

    def on_rollback(self, job: Callable[[], None]) -> None:
        self.undone.append(job)


class MemoryLedger:
    """Rows are numbered when their transaction commits; a conflict shows then at the latest."""

    def __init__(self) -> None:
        self.versions: dict[str, int] = {}
        self.cursors: dict[str, int] = {}
        self._rows: list[_Row] = []
        self._entries: list[Entry] = []
        self._hashes: list[bytes] = []
        self._by_stream: dict[str, list[Entry]] = {}
        self._grown = asyncio.Condition()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[MemoryTransaction]:
        tx = MemoryTransaction(self)
        try:
            yield tx
            self._refuse_conflicts(tx.rows)
        except BaseException:
            for job in reversed(tx.undone):
                job()
            raise
        for row in tx.rows:
            self._number(row)
        self.cursors.update(tx.cursors)
        for job in tx.committed:
            job()
        if tx.rows:
            async with self._grown:
                self._grown.notify_all()

    def _refuse_conflicts(self, rows: Sequence[_Row]) -> None:
        next_version = dict.fromkeys((row.stream for row in rows), 0)
        for stream in next_version:
            next_version[stream] = self.versions.get(stream, 0)
        for row in rows:
            next_version[row.stream] += 1
            if row.version != next_version[row.stream]:
                raise VersionConflict(f"{row.stream} was written by another")

    def _number(self, row: _Row) -> None:
        position = len(self._rows) + 1
        self._rows.append(row)
        self.versions[row.stream] = row.version
        previous = self._hashes[-1] if self._hashes else ZERO_HASH
        self._hashes.append(chain(previous, position, row.digest))
        event = read_event(row.kind, row.schema, json.loads(row.text))
        entry = Entry(
            position, row.stream, row.version, row.kind, row.at, row.actor, event, row.digest
        )
        self._entries.append(entry)
        self._by_stream.setdefault(row.stream, []).append(entry)

    async def read(
        self, after: int, limit: int = READ_LIMIT, stream: str | None = None
    ) -> list[Entry]:
        if stream is None:
            return self._entries[after : after + limit]
        return [e for e in self._by_stream.get(stream, ()) if e.position > after][:limit]

    async def head(self) -> int:
        return len(self._rows)

    async def wait(self, after: int, timeout_s: float) -> None:
        if len(self._rows) > after:
            return
        try:
            async with asyncio.timeout(timeout_s), self._grown:
                await self._grown.wait_for(lambda: len(self._rows) > after)
        except TimeoutError:
            return

    async def verify(self) -> Verification:
        previous = ZERO_HASH
        for position, row in enumerate(self._rows, 1):
            digest = body_hash(
                row.stream, row.version, row.kind, row.schema, row.at, row.actor, row.text
            )
            hash_ = chain(previous, position, digest)
            if digest != row.digest or hash_ != self._hashes[position - 1]:
                return Verification(position - 1, previous, False, position)
            previous = hash_
        return Verification(len(self._rows), previous, True, None)
