"""What alerts keeps: incidents as folded, timers, duty, outbox. On PostgreSQL.

Locks are always taken in this order, so that no two transactions wait for each other: the opening
lock (`enter`), then one incident after another only under it, then that incident's timers.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import psycopg

from domain.codec import canonical, from_plain
from domain.incident import Incident
from domain.place import Position
from runtime import personal
from runtime.database import Pool
from runtime.ledger import Transaction
from services.alerts.escalation import Timer
from services.alerts.life import is_open
from services.alerts.messages import Message

OPENING_LOCK = 0x616C6572  # "aler"
NEAR_LIMIT = 200
LIST_LIMIT = 200
NOTES_LIMIT = 200
REPEATED_POST_KEPT_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Standing:
    """A responder now; `position` only while on duty. `load` counts live dispatches."""

    on_duty: bool
    load: int
    position: Position | None = None
    position_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which incidents to list, newest first, after the incident named `after`."""

    state: str | None = None
    kind: str | None = None
    after: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Note:
    account_id: str
    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class OutboxRow:
    message: Message
    attempts: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts since the store was made, and wall seconds from frame to committed dispatch."""

    incidents: int
    dispatches: int
    closed: int
    verified_by_flight: int
    escalated: int
    outbox_waiting: int
    frame_to_dispatch_s: tuple[float, ...]


class AlertStore(Protocol):
    """The same promises from PostgreSQL and from memory; tests hold both to them."""

    async def enter(self, tx: Transaction) -> None:
        """Hold the opening lock until the transaction ends: one at a time opens or fuses."""
        ...

    async def incident(self, tx: Transaction, incident_id: str) -> Incident | None:
        """Return and lock one incident until the transaction ends."""
        ...

    async def of_cause(self, tx: Transaction, cause: str) -> str | None:
        """Return the incident a hazard, alarm or report led to."""
        ...

    async def of_dispatch(self, tx: Transaction, dispatch_id: str) -> str | None: ...

    async def open_near(
        self, tx: Transaction, position: Position, radius_m: float
    ) -> list[Incident]:
        """Return at most NEAR_LIMIT open incidents within a radius, nearest first."""
        ...

    async def save(self, tx: Transaction, incident: Incident, unserved: bool) -> None:
        """Keep the incident as folded, its causes and its dispatches."""
        ...

    async def arm(self, tx: Transaction, incident_id: str, timers: Sequence[Timer]) -> None:
        """Make these the incident's timers; one that is there already keeps its due time."""
        ...

    async def due(self, at: datetime, limit: int) -> list[Timer]: ...

    async def take_timer(self, tx: Transaction, timer: Timer) -> bool:
        """Remove one timer; False when another took it or the incident no longer wants it."""
        ...

    async def unserved(self, limit: int) -> list[str]:
        """Return the oldest incidents that miss a force."""
        ...

    async def standings(self, tx: Transaction) -> dict[str, Standing]: ...

    async def set_duty(
        self, tx: Transaction, responder_id: str, on_duty: bool, at: datetime
    ) -> None:
        """Going off duty forgets the position."""
        ...

    async def set_position(
        self, tx: Transaction, responder_id: str, position: Position, at: datetime
    ) -> bool:
        """Keep the newest position only; False while off duty."""
        ...

    async def queue(self, tx: Transaction, messages: Sequence[Message]) -> None: ...

    async def claim_outbox(
        self, at: datetime, lease_until: datetime, limit: int
    ) -> list[OutboxRow]:
        """Take due messages; they fall due again at `lease_until` unless settled before."""
        ...

    async def settle_outbox(
        self,
        message_id: str,
        sent_at: datetime | None,
        next_at: datetime | None,
        given_up_at: datetime | None,
        problem: str | None,
    ) -> None: ...

    async def repeat(
        self, tx: Transaction, account_id: str, key: str, digest: str, at: datetime
    ) -> tuple[str, str] | None:
        """Return (digest, incident_id) of an earlier post with this key, else claim the key."""
        ...

    async def remember(self, tx: Transaction, account_id: str, key: str, incident_id: str) -> None:
        """Say which incident the claimed key led to."""
        ...

    async def forget_posts(self, at: datetime) -> None:
        """Forget keys older than REPEATED_POST_KEPT_S."""
        ...

    async def note(
        self, tx: Transaction, incident_id: str, account_id: str, text: str, at: datetime
    ) -> None:
        """Keep free text with the erasable bodies, about the incident."""
        ...

    async def notes(self, incident_id: str) -> list[Note]:
        """Return at most NOTES_LIMIT notes that were not erased, oldest first."""
        ...

    async def await_dispatch(self, tx: Transaction, incident_id: str, frame_wall_s: float) -> None:
        """Start the measure from the frame that completed the vote to the first dispatch."""
        ...

    async def dispatched(self, incident_id: str, wall_s: float) -> None: ...

    async def page(self, wanted: Filter) -> list[Incident]: ...

    async def get(self, incident_id: str) -> Incident | None: ...

    async def dispatched_to(self, responder_id: str) -> list[Incident]:
        """Return open incidents with a live dispatch of this responder, oldest first."""
        ...

    async def figures(self) -> Figures: ...

    async def timers(self) -> list[Timer]: ...

    async def drop(self, tx: Transaction) -> None:
        """Forget everything the ledger can tell again: incidents, dispatches, timers."""
        ...


class PostgresAlertStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def enter(self, tx: Transaction) -> None:
        await tx.connection.execute("SELECT pg_advisory_xact_lock(%s)", [OPENING_LOCK])

    async def incident(self, tx: Transaction, incident_id: str) -> Incident | None:
        row = await _one(
            tx.connection,
            "SELECT data FROM incident WHERE incident_id = %s FOR UPDATE",
            [incident_id],
        )
        return from_plain(Incident, row[0]) if row else None

    async def of_cause(self, tx: Transaction, cause: str) -> str | None:
        row = await _one(
            tx.connection, "SELECT incident_id FROM incident_cause WHERE cause = %s", [cause]
        )
        return str(row[0]) if row else None

    async def of_dispatch(self, tx: Transaction, dispatch_id: str) -> str | None:
        row = await _one(
            tx.connection, "SELECT incident_id FROM dispatch WHERE dispatch_id = %s", [dispatch_id]
        )
        return str(row[0]) if row else None

    async def open_near(
        self, tx: Transaction, position: Position, radius_m: float
    ) -> list[Incident]:
        cursor = await tx.connection.execute(
            "WITH here AS (SELECT ST_SetSRID(ST_MakePoint(%s, %s), 4326)::geography AS place)"
            " SELECT data FROM incident, here WHERE closed_at IS NULL"
            " AND ST_DWithin(incident.place, here.place, %s)"
            " ORDER BY ST_Distance(incident.place, here.place), incident_id LIMIT %s",
            [position.lon_deg, position.lat_deg, radius_m, NEAR_LIMIT],
        )
        return [from_plain(Incident, row[0]) for row in await cursor.fetchall()]

    async def save(self, tx: Transaction, incident: Incident, unserved: bool) -> None:
        i, connection = incident, tx.connection
        await connection.execute(
            "INSERT INTO incident VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,"
            " ST_SetSRID(ST_MakePoint(%s, %s), 4326)::geography, %s::json)"
            " ON CONFLICT (incident_id) DO UPDATE SET version = excluded.version,"
            " state = excluded.state, severity = excluded.severity,"
            " changed_at = excluded.changed_at, closed_at = excluded.closed_at,"
            " level = excluded.level, verified_by = excluded.verified_by,"
            " outcome = excluded.outcome, unserved = excluded.unserved, data = excluded.data",
            [
                i.incident_id,
                i.version,
                i.state,
                i.kind,
                i.severity,
                i.cell_code,
                i.police_code,
                i.opened_at,
                i.changed_at,
                i.closed_at,
                i.level,
                i.verified_by,
                i.outcome,
                unserved,
                i.position.lon_deg,
                i.position.lat_deg,
                canonical(i),
            ],
        )
        async with connection.cursor() as cursor:
            await cursor.executemany(
                "INSERT INTO incident_cause VALUES (%s, %s)"
                " ON CONFLICT (cause) DO UPDATE SET incident_id = excluded.incident_id"
                " WHERE incident_cause.incident_id <> excluded.incident_id AND %s",
                [(cause, i.incident_id, is_open(i)) for cause in i.hazard_ids],
            )
            await cursor.executemany(
                "INSERT INTO dispatch VALUES (%s, %s, %s, %s, %s, %s)"
                " ON CONFLICT (dispatch_id) DO UPDATE SET state = excluded.state",
                [
                    (d.dispatch_id, i.incident_id, d.responder_id, d.force, d.state, d.offered_at)
                    for d in i.dispatches
                ],
            )

    async def arm(self, tx: Transaction, incident_id: str, timers: Sequence[Timer]) -> None:
        await tx.connection.execute(
            "DELETE FROM incident_timer WHERE incident_id = %s AND NOT step = ANY(%s)",
            [incident_id, [timer.step for timer in timers]],
        )
        async with tx.connection.cursor() as cursor:
            await cursor.executemany(
                "INSERT INTO incident_timer VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                [(t.incident_id, t.step, t.due_at) for t in timers],
            )

    async def due(self, at: datetime, limit: int) -> list[Timer]:
        return [
            Timer(*row)
            for row in await self._rows(
                "SELECT incident_id, step, due_at FROM incident_timer WHERE due_at <= %s"
                " ORDER BY due_at, incident_id, step LIMIT %s",
                [at, limit],
            )
        ]

    async def take_timer(self, tx: Transaction, timer: Timer) -> bool:
        row = await _one(
            tx.connection,
            "DELETE FROM incident_timer WHERE (incident_id, step) IN ("
            " SELECT incident_id, step FROM incident_timer"
            " WHERE incident_id = %s AND step = %s FOR UPDATE SKIP LOCKED) RETURNING step",
            [timer.incident_id, timer.step],
        )
        return row is not None

    async def unserved(self, limit: int) -> list[str]:
        rows = await self._rows(
            "SELECT incident_id FROM incident WHERE unserved"
            " ORDER BY opened_at, incident_id LIMIT %s",
            [limit],
        )
        return [str(row[0]) for row in rows]

    async def standings(self, tx: Transaction) -> dict[str, Standing]:
        cursor = await tx.connection.execute(
            "SELECT coalesce(d.responder_id, l.responder_id), coalesce(d.on_duty, false),"
            " coalesce(l.load, 0), d.lat_deg, d.lon_deg, d.position_at FROM duty d FULL JOIN ("
            "  SELECT responder_id, count(*) AS load FROM dispatch"
            "  WHERE state IN ('offered', 'accepted', 'arrived') GROUP BY responder_id"
            " ) l ON l.responder_id = d.responder_id"
        )
        return {str(row[0]): _standing(row) for row in await cursor.fetchall()}

    async def set_duty(
        self, tx: Transaction, responder_id: str, on_duty: bool, at: datetime
    ) -> None:
        await tx.connection.execute(
            "INSERT INTO duty VALUES (%s, %s, %s) ON CONFLICT (responder_id) DO UPDATE SET"
            " on_duty = excluded.on_duty, since = excluded.since, lat_deg = NULL,"
            " lon_deg = NULL, position_at = NULL WHERE duty.on_duty <> excluded.on_duty",
            [responder_id, on_duty, at],
        )

    async def set_position(
        self, tx: Transaction, responder_id: str, position: Position, at: datetime
    ) -> bool:
        row = await _one(
            tx.connection,
            "UPDATE duty SET lat_deg = %s, lon_deg = %s, position_at = %s"
            " WHERE responder_id = %s AND on_duty RETURNING 1",
            [position.lat_deg, position.lon_deg, at, responder_id],
        )
        return row is not None

    async def queue(self, tx: Transaction, messages: Sequence[Message]) -> None:
        async with tx.connection.cursor() as cursor:
            await cursor.executemany(
                "INSERT INTO outbox (message_id, incident_id, audience, kind, data, created_at,"
                " next_at) VALUES (%s, %s, %s, %s, %s::json, %s, %s) ON CONFLICT DO NOTHING",
                [
                    (
                        m.message_id,
                        m.incident_id,
                        m.audience,
                        m.kind,
                        json.dumps(m.data),
                        m.created_at,
                        m.created_at,
                    )
                    for m in messages
                ],
            )

    async def claim_outbox(
        self, at: datetime, lease_until: datetime, limit: int
    ) -> list[OutboxRow]:
        rows = await self._rows(
            "UPDATE outbox SET next_at = %s, attempts = attempts + 1 WHERE number IN ("
            " SELECT number FROM outbox WHERE sent_at IS NULL AND given_up_at IS NULL"
            " AND next_at <= %s ORDER BY number LIMIT %s FOR UPDATE SKIP LOCKED)"
            " RETURNING message_id, incident_id, audience, kind, data, created_at, attempts,"
            " number",
            [lease_until, at, limit],
        )
        ordered = sorted(rows, key=lambda row: int(row[7]))
        return [OutboxRow(Message(*row[:6]), int(row[6])) for row in ordered]

    async def settle_outbox(
        self,
        message_id: str,
        sent_at: datetime | None,
        next_at: datetime | None,
        given_up_at: datetime | None,
        problem: str | None,
    ) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(
                "UPDATE outbox SET sent_at = %s, next_at = coalesce(%s, next_at),"
                " given_up_at = %s, problem = %s WHERE message_id = %s",
                [sent_at, next_at, given_up_at, problem, message_id],
            )

    async def repeat(
        self, tx: Transaction, account_id: str, key: str, digest: str, at: datetime
    ) -> tuple[str, str] | None:
        claimed = await _one(
            tx.connection,
            "INSERT INTO repeated_post VALUES (%s, %s, %s, '', %s) ON CONFLICT DO NOTHING"
            " RETURNING 1",
            [account_id, key, digest, at],
        )
        if claimed:
            return None
        row = await _one(
            tx.connection,
            "SELECT digest, incident_id FROM repeated_post WHERE account_id = %s AND key = %s",
            [account_id, key],
        )
        return (str(row[0]), str(row[1])) if row else None

    async def remember(self, tx: Transaction, account_id: str, key: str, incident_id: str) -> None:
        await tx.connection.execute(
            "UPDATE repeated_post SET incident_id = %s WHERE account_id = %s AND key = %s",
            [incident_id, account_id, key],
        )

    async def forget_posts(self, at: datetime) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(
                "DELETE FROM repeated_post WHERE at < %s::timestamptz - make_interval(secs => %s)",
                [at, REPEATED_POST_KEPT_S],
            )

    async def note(
        self, tx: Transaction, incident_id: str, account_id: str, text: str, at: datetime
    ) -> None:
        ref = await personal.keep(tx, f"incident:{incident_id}", {"text": text})
        await tx.connection.execute(
            "INSERT INTO incident_note VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [ref, incident_id, account_id, at],
        )

    async def notes(self, incident_id: str) -> list[Note]:
        rows = await self._rows(
            "SELECT account_id, at, body->>'text' FROM incident_note JOIN personal USING (ref)"
            " WHERE incident_id = %s ORDER BY at, ref LIMIT %s",
            [incident_id, NOTES_LIMIT],
        )
        return [Note(*row) for row in rows]

    async def await_dispatch(self, tx: Transaction, incident_id: str, frame_wall_s: float) -> None:
        await tx.connection.execute(
            "INSERT INTO dispatch_latency VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [incident_id, frame_wall_s],
        )

    async def dispatched(self, incident_id: str, wall_s: float) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(
                "UPDATE dispatch_latency SET dispatched_wall_s = %s"
                " WHERE incident_id = %s AND dispatched_wall_s IS NULL",
                [wall_s, incident_id],
            )

    async def page(self, wanted: Filter) -> list[Incident]:
        rows = await self._rows(
            "SELECT data FROM incident WHERE (%(state)s::text IS NULL OR state = %(state)s)"
            " AND (%(kind)s::text IS NULL OR kind = %(kind)s)"
            " AND (%(after)s::text IS NULL OR (opened_at, incident_id) <"
            "  (SELECT opened_at, incident_id FROM incident WHERE incident_id = %(after)s))"
            " ORDER BY opened_at DESC, incident_id DESC LIMIT %(limit)s",
            {
                "state": wanted.state,
                "kind": wanted.kind,
                "after": wanted.after,
                "limit": min(wanted.limit, LIST_LIMIT),
            },
        )
        return [from_plain(Incident, row[0]) for row in rows]

    async def get(self, incident_id: str) -> Incident | None:
        rows = await self._rows("SELECT data FROM incident WHERE incident_id = %s", [incident_id])
        return from_plain(Incident, rows[0][0]) if rows else None

    async def dispatched_to(self, responder_id: str) -> list[Incident]:
        rows = await self._rows(
            "SELECT data FROM incident WHERE incident_id IN (SELECT incident_id FROM dispatch"
            " WHERE responder_id = %s AND state IN ('offered', 'accepted', 'arrived'))"
            " ORDER BY opened_at, incident_id LIMIT %s",
            [responder_id, LIST_LIMIT],
        )
        return [from_plain(Incident, row[0]) for row in rows]

    async def figures(self) -> Figures:
        (counts,) = await self._rows(
            "SELECT count(*), (SELECT count(*) FROM dispatch),"
            " count(*) FILTER (WHERE state = 'closed'),"
            " count(*) FILTER (WHERE verified_by = 'flight'), count(*) FILTER (WHERE level > 0),"
            " (SELECT count(*) FROM outbox WHERE sent_at IS NULL AND given_up_at IS NULL)"
            " FROM incident",
            [],
        )
        latencies = await self._rows(
            "SELECT dispatched_wall_s - frame_wall_s FROM dispatch_latency"
            " WHERE dispatched_wall_s IS NOT NULL ORDER BY 1",
            [],
        )
        measured = tuple(float(row[0]) for row in latencies)
        incidents, dispatches, closed, flown, escalated, waiting = map(int, counts)
        return Figures(incidents, dispatches, closed, flown, escalated, waiting, measured)

    async def timers(self) -> list[Timer]:
        return [
            Timer(*row)
            for row in await self._rows(
                "SELECT incident_id, step, due_at FROM incident_timer"
                " ORDER BY due_at, incident_id, step",
                [],
            )
        ]

    async def drop(self, tx: Transaction) -> None:
        await tx.connection.execute("DELETE FROM incident")

    async def _rows(self, query: str, values: Any) -> list[tuple[Any, ...]]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(query.encode(), values)
            return list(await cursor.fetchall())


async def _one(
    connection: psycopg.AsyncConnection[Any], query: str, values: Sequence[object]
) -> tuple[Any, ...] | None:
    row: tuple[Any, ...] | None = await (
        await connection.execute(query.encode(), values)
    ).fetchone()
    return row


def _standing(row: tuple[Any, ...]) -> Standing:
    _, on_duty, load, lat_deg, lon_deg, position_at = row
    position = None if lat_deg is None else Position(lat_deg, lon_deg)
    return Standing(on_duty, int(load), position, position_at)
