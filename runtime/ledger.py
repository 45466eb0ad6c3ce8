"""The ledger: what the street must answer for, appended once, numbered once, chained by hash.

Writers append (stream, version, …) under optimistic locking and without a global lock. One
sequencer numbers committed rows and chains them: hash = SHA-256(previous hash ‖ position as
8 bytes ‖ body hash). Readers see numbered rows only, so a late commit is never skipped.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import psycopg
import structlog

from domain.codec import canonical, from_plain, instant_text
from domain.events import KINDS, Event
from runtime.database import Pool, going_on

log = structlog.get_logger(__name__)

CHANNEL = "ledger"
ZERO_HASH = bytes(32)
READ_LIMIT = 1000
SEQUENCE_LIMIT = 1000
SEQUENCE_IDLE_S = 0.02
SEQUENCER_RETRY_S = 0.5
DATA_LIMIT_BYTES = 256 * 1024


class VersionConflict(Exception):
    """Somebody else wrote this version of the stream first."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One numbered row, its event already built from the stored text."""

    position: int
    stream: str
    version: int
    kind: str
    at: datetime
    actor: str
    event: Event
    body_hash: bytes


@dataclass(frozen=True, slots=True)
class Verification:
    entries: int
    head_hash: bytes
    ok: bool
    first_bad: int | None


class Transaction(Protocol):
    """One unit of work: ledger rows, read tables and cursors commit together or not at all."""

    @property
    def connection(self) -> psycopg.AsyncConnection[Any]:
        """The PostgreSQL connection; a memory transaction raises RuntimeError."""
        ...

    async def append(
        self,
        stream: str,
        events: Sequence[Event],
        *,
        at: datetime,
        actor: str,
        expected_version: int | None = None,
    ) -> int:
        """Append to one stream and return its new version.

        None appends after whatever is there. Raises VersionConflict when `expected_version` is
        not the stream's version (at once, or when the other writer commits first).
        """
        ...

    async def version(self, stream: str) -> int: ...

    async def cursor(self, follower: str) -> int: ...

    async def advance(self, follower: str, position: int) -> None: ...

    def after_commit(self, job: Callable[[], None]) -> None:
        """Call `job` once this transaction has committed."""
        ...

    def on_rollback(self, job: Callable[[], None]) -> None:
        """Call `job` if this transaction is undone; the latest is called first."""
        ...


class Ledger(Protocol):
    def transaction(self) -> AbstractAsyncContextManager[Transaction]: ...

    async def read(
        self, after: int, limit: int = READ_LIMIT, stream: str | None = None
    ) -> list[Entry]:
        """Return numbered entries after a position, in order."""
        ...

    async def head(self) -> int: ...

    async def wait(self, after: int, timeout_s: float) -> None:
        """Return when an entry beyond `after` is there, or after `timeout_s` wall seconds."""
        ...

    async def verify(self) -> Verification: ...


def body_hash(
    stream: str, version: int, kind: str, schema: int, at: datetime, actor: str, data: str
) -> bytes:
    """Return the hash of one row's content; `data` is the stored JSON text."""
    head = json.dumps(
        [stream, version, kind, schema, instant_text(at), actor],
        separators=(",", ":"),
        ensure_ascii=False,
    )
    return hashlib.sha256(head.encode() + b"\n" + data.encode()).digest()


def chain(previous: bytes, position: int, body: bytes) -> bytes:
    return hashlib.sha256(previous + position.to_bytes(8, "big") + body).digest()


def event_text(event: Event) -> str:
    """Return the event as it is stored. Raises ValueError beyond DATA_LIMIT_BYTES."""
    text = canonical(event)
    if len(text) > DATA_LIMIT_BYTES:
        raise ValueError(f"{event.KIND} of {len(text)} bytes; the limit is {DATA_LIMIT_BYTES}")
    return text


Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
UPCASTERS: dict[tuple[str, int], Upcaster] = {}
"""(kind, schema) → what turns that schema's data into the next schema's."""


def read_event(kind: str, schema: int, data: dict[str, Any]) -> Event:
    """Build the event of a stored row, lifting old schemas. Raises ValueError when it cannot."""
    cls = KINDS.get(kind)
    if cls is None:
        raise ValueError(f"unknown event kind {kind!r}")
    while schema < cls.SCHEMA:
        lift = UPCASTERS.get((kind, schema))
        if lift is None:
            raise ValueError(f"{kind}: nothing lifts schema {schema} to {schema + 1}")
        data, schema = lift(data), schema + 1
    if schema > cls.SCHEMA:
        raise ValueError(f"{kind} has schema {schema}; this program knows up to {cls.SCHEMA}")
    return from_plain(cls, data)


class PostgresTransaction:
    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self.connection = connection
        self.committed: list[Callable[[], None]] = []
        self.undone: list[Callable[[], None]] = []

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
        rows = []
        for event in events:
            version += 1
            text = event_text(event)
            digest = body_hash(stream, version, event.KIND, event.SCHEMA, at, actor, text)
            rows.append((stream, version, event.KIND, event.SCHEMA, at, actor, text, digest))
        try:
            async with self.connection.cursor() as cursor:
                await cursor.executemany(
                    "INSERT INTO ledger (stream, version, kind, schema, at, actor, data, body_hash)"
                    " VALUES (%s, %s, %s, %s, %s, %s, %s::json, %s)",
                    rows,
                )
        except psycopg.errors.UniqueViolation as error:
            raise VersionConflict(f"{stream} was written by another") from error
        return version

    async def version(self, stream: str) -> int:
        row = await (
            await self.connection.execute(
                "SELECT coalesce(max(version), 0) FROM ledger WHERE stream = %s", [stream]
            )
        ).fetchone()
        assert row is not None
        return int(row[0])

    async def cursor(self, follower: str) -> int:
        """Return the follower's position and hold it: a second one of that name waits here."""
        query = "SELECT position FROM ledger_cursor WHERE follower = %s FOR UPDATE"
        row = await (await self.connection.execute(query, [follower])).fetchone()
        if row is None:
            await self.connection.execute(
                "INSERT INTO ledger_cursor VALUES (%s, 0) ON CONFLICT DO NOTHING", [follower]
            )
            row = await (await self.connection.execute(query, [follower])).fetchone()
        assert row is not None
        return int(row[0])

    async def advance(self, follower: str, position: int) -> None:
        await self.connection.execute(
            "INSERT INTO ledger_cursor VALUES (%s, %s)"
            " ON CONFLICT (follower) DO UPDATE SET position = excluded.position",
            [follower, position],
        )

    def after_commit(self, job: Callable[[], None]) -> None:
        self.committed.append(job)

    def on_rollback(self, job: Callable[[], None]) -> None:
        self.undone.append(job)


class PostgresLedger:
    """The ledger on PostgreSQL; NOTIFY wakes its readers and a poll stands behind it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[PostgresTransaction]:
        tx: PostgresTransaction | None = None
        try:
            async with self._pool.connection() as connection:
                tx = PostgresTransaction(connection)
                yield tx
        except BaseException:
            for job in reversed(tx.undone if tx else []):
                job()
            raise
        for job in tx.committed:
            job()

    async def read(
        self, after: int, limit: int = READ_LIMIT, stream: str | None = None
    ) -> list[Entry]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT s.position, l.stream, l.version, l.kind, l.schema, l.at, l.actor,"
                " l.data, l.body_hash FROM ledger_seq s JOIN ledger l ON l.id = s.entry_id"
                " WHERE s.position > %(after)s"
                " AND (%(stream)s::text IS NULL OR l.stream = %(stream)s)"
                " ORDER BY s.position LIMIT %(limit)s",
                {"after": after, "limit": limit, "stream": stream},
            )
            return [_entry(row) for row in await cursor.fetchall()]

    async def head(self) -> int:
        async with self._pool.connection() as connection:
            row = await (await connection.execute("SELECT position FROM ledger_head")).fetchone()
        assert row is not None
        return int(row[0])

    async def wait(self, after: int, timeout_s: float) -> None:
        """Hold one connection listening for the sequencer's NOTIFY for at most `timeout_s`."""
        async with self._pool.connection() as connection:
            await connection.set_autocommit(True)
            try:
                await connection.execute(f"LISTEN {CHANNEL}")
                row = await (
                    await connection.execute("SELECT position FROM ledger_head")
                ).fetchone()
                if row is not None and row[0] > after:
                    return
                async for _ in connection.notifies(timeout=timeout_s, stop_after=1):
                    pass
            finally:
                if not connection.closed:
                    await connection.execute("UNLISTEN *")
                    await connection.set_autocommit(False)

    async def verify(self) -> Verification:
        """Recompute every hash from the stored text and the chain over them."""
        count, previous, expected = 0, ZERO_HASH, 1
        async with (
            self._pool.connection() as connection,
            connection.cursor(name="verify") as cursor,
        ):
            await cursor.execute(
                "SELECT s.position, s.hash, l.stream, l.version, l.kind, l.schema, l.at,"
                " l.actor, l.data::text, l.body_hash"
                " FROM ledger_seq s LEFT JOIN ledger l ON l.id = s.entry_id ORDER BY s.position"
            )
            async for row in cursor:
                position, stored, *content, digest = row
                good = (
                    position == expected
                    and digest is not None
                    and body_hash(*content) == digest
                    and chain(previous, position, digest) == stored
                )
                if not good:
                    return Verification(count, previous, False, int(position))
                previous, expected, count = stored, position + 1, count + 1
        return Verification(count, previous, True, None)


def _entry(row: Any) -> Entry:
    position, stream, version, kind, schema, at, actor, data, digest = row
    event = read_event(kind, schema, data)
    return Entry(position, stream, version, kind, at.astimezone(UTC), actor, event, bytes(digest))


async def sequence(pool: Pool) -> None:
    """Number committed rows until cancelled. Any number may run; the head row's lock elects one."""
    await reset_foreign_snapshot(pool)
    while going_on():
        try:
            numbered = await sequence_step(pool)
        except (
            psycopg.OperationalError,
            psycopg.errors.IdleInTransactionSessionTimeout,
        ) as error:  # stopped for a while, another has taken over; or the server went away
            going_on()
            log.warning("sequencer lost the database", error=str(error))
            numbered = -1
        await asyncio.sleep(SEQUENCER_RETRY_S if numbered < 0 else SEQUENCE_IDLE_S)


async def reset_foreign_snapshot(pool: Pool) -> None:
    """A dump restored into a new cluster brings a snapshot beyond its xids: start anew."""
    async with pool.connection() as connection:
        await connection.execute(
            "UPDATE ledger_head SET snap = '1:1:'"
            " WHERE pg_snapshot_xmax(snap) > pg_snapshot_xmax(pg_current_snapshot())"
        )


async def sequence_step(pool: Pool) -> int:
    """Number up to SEQUENCE_LIMIT rows; return how many, -1 when another holds the head."""
    async with pool.connection() as connection:
        await connection.execute("SET LOCAL idle_in_transaction_session_timeout = '2s'")
        head = await (
            await connection.execute(
                "SELECT position, hash FROM ledger_head FOR UPDATE SKIP LOCKED"
            )
        ).fetchone()
        if head is None:
            return -1
        cursor = await connection.execute(
            "WITH head AS MATERIALIZED (SELECT snap FROM ledger_head)"
            " SELECT id, body_hash, pg_current_snapshot()::text FROM ledger l"
            " WHERE (xid >= (SELECT pg_snapshot_xmax(snap) FROM head)"
            "  OR xid = ANY (ARRAY(SELECT pg_snapshot_xip(snap) FROM head)))"
            " AND NOT EXISTS (SELECT FROM ledger_seq s WHERE s.entry_id = l.id)"
            " ORDER BY id LIMIT %s",
            [SEQUENCE_LIMIT],
        )
        rows = await cursor.fetchall()
        if not rows:
            return 0
        position, previous = int(head[0]), bytes(head[1])
        numbered = []
        for entry_id, digest, _ in rows:
            position += 1
            previous = chain(previous, position, bytes(digest))
            numbered.append((position, entry_id, previous))
        async with connection.cursor() as writer:
            await writer.executemany("INSERT INTO ledger_seq VALUES (%s, %s, %s)", numbered)
        # Below the limit every row visible to that snapshot is numbered; at it some may be left.
        keep = len(rows) >= SEQUENCE_LIMIT
        await connection.execute(
            "UPDATE ledger_head SET position = %s, hash = %s,"
            " snap = CASE WHEN %s THEN snap ELSE %s::pg_snapshot END",
            [position, previous, keep, rows[-1][2]],
        )
        await connection.execute("SELECT pg_notify(%s, %s)", [CHANNEL, str(position)])
        return len(rows)
