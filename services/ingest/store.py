"""What ingest keeps in PostgreSQL. Every method works inside the caller's ledger transaction."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Protocol

import orjson
import psycopg

from domain.observation import (
    AlarmSet,
    DeviceAlarm,
    DeviceEvent,
    EventSeverity,
    EventState,
    FlightReport,
    Refusal,
    Topology,
)
from runtime.database import Pool
from runtime.ledger import Transaction
from services.ingest.columns import COLUMNS, Columns
from services.ingest.happenings import EventTold, event_news
from services.ingest.newest import Newest, merge

DAYS_AHEAD = 2
STALE_ALARM_S = 60.0
AlarmChange = tuple[tuple[DeviceAlarm, ...], tuple[DeviceAlarm, ...]]


COPY_TELEMETRY = f"COPY telemetry ({', '.join(COLUMNS)}) FROM STDIN (FORMAT binary)"
COPY_STAGING = f"COPY telemetry_staging ({', '.join(COLUMNS)}) FROM STDIN (FORMAT binary)"
MAKE_STAGING = (
    "CREATE TEMP TABLE IF NOT EXISTS telemetry_staging"
    " (LIKE telemetry INCLUDING DEFAULTS) ON COMMIT DELETE ROWS"
)
MOVE_STAGED = "INSERT INTO telemetry SELECT * FROM telemetry_staging ON CONFLICT DO NOTHING"


MERGE_LATEST = """
INSERT INTO latest AS l (device_sn, kind, at, changed, fields, field_at, place)
SELECT r.sn, r.kind, to_timestamp(r.us / 1e6), nextval('latest_change'), r.fields, r.told,
       ST_SetSRID(ST_MakePoint(r.lon, r.lat), 4326)
FROM jsonb_to_recordset(%s::jsonb)
    AS r(sn text, kind text, us bigint, fields jsonb, told jsonb, lat float8, lon float8)
ON CONFLICT (device_sn) DO UPDATE SET
    at = greatest(l.at, excluded.at), changed = excluded.changed, fields = excluded.fields,
    field_at = excluded.field_at, place = excluded.place
"""


class TelemetryRepeated(Exception):
    """Some rows are stored already: the batch is to be saved again as suspect."""


@dataclass(frozen=True, slots=True)
class Latest:
    """A device's newest state: every field with the device time it was last told at."""

    device_sn: str
    kind: str
    at: datetime
    fields: Mapping[str, Any]


class IngestStore(Protocol):
    async def prepare_days(self, today: date) -> None: ...
    async def save(self, tx: Transaction, columns: Columns, *, suspect: bool) -> int:
        """Keep rows once each; return how many were new.

        Raises TelemetryRepeated where a row is stored already and the batch was not `suspect`;
        the transaction is then lost.
        """
        ...

    async def tell(self, tx: Transaction, news: Mapping[str, Newest]) -> None:
        """Merge news of devices into their newest state."""
        ...

    async def refuse(self, tx: Transaction, refusals: Sequence[Refusal]) -> None: ...
    async def settle(self, tx: Transaction, letter_id: int) -> None:
        """Mark a dead letter as taken at its second try."""
        ...

    async def linked(self, tx: Transaction, topology: Topology) -> bool:
        """Remember what a gateway reaches; tell whether that is a change."""
        ...

    async def alarms(self, tx: Transaction, current: AlarmSet) -> AlarmChange:
        """Replace a device's alarm set; return (raised, cleared). A stale set changes nothing."""
        ...

    async def flew(self, tx: Transaction, report: FlightReport) -> bool:
        """Remember a flight's status, step and waypoint; tell whether any changed."""
        ...

    async def happened(self, tx: Transaction, event: DeviceEvent) -> bool:
        """Remember what a camera told of a happening; tell whether that is news."""
        ...

    async def latest(self, changed_after: int = 0) -> tuple[list[Latest], int]:
        """Return states changed after a mark, and the new mark."""
        ...


def alarm_change(
    before: Sequence[DeviceAlarm], told_at: datetime | None, current: AlarmSet
) -> AlarmChange | None:
    """Return (raised, cleared), or None for a set older than the one already told."""
    if told_at is not None and (told_at - current.at).total_seconds() > STALE_ALARM_S:
        return None
    had = {(a.code, a.component): a for a in before}
    has = {(a.code, a.component): a for a in current.alarms}
    raised = tuple(a for key, a in has.items() if key not in had)
    return raised, tuple(a for key, a in had.items() if key not in has)


class PostgresIngestStore:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def prepare_days(self, today: date) -> None:
        """Make the partitions of yesterday, today and the days ahead."""
        async with self._pool.connection() as connection:
            for offset in range(-1, DAYS_AHEAD + 1):
                day = today + timedelta(days=offset)
                await connection.execute("SELECT telemetry_day(%s)", [day])

    async def save(self, tx: Transaction, columns: Columns, *, suspect: bool) -> int:
        encoded = columns.copy_rows()
        async with tx.connection.cursor() as cursor:
            if suspect:
                await cursor.execute(MAKE_STAGING)
            try:
                async with cursor.copy(COPY_STAGING if suspect else COPY_TELEMETRY) as copy:
                    await copy.write(encoded)
            except psycopg.errors.UniqueViolation as error:
                raise TelemetryRepeated from error
            stored = len(columns)
            if suspect:
                stored = (await cursor.execute(MOVE_STAGED)).rowcount
        return stored

    async def tell(self, tx: Transaction, news: Mapping[str, Newest]) -> None:
        names = sorted(news)
        cursor = await tx.connection.execute(
            "SELECT device_sn, fields::text, field_at::text FROM latest"
            " WHERE device_sn = ANY(%s) ORDER BY device_sn FOR UPDATE",
            [names],
        )
        known = {
            sn: (orjson.loads(fields), orjson.loads(told_us))
            for sn, fields, told_us in await cursor.fetchall()
        }
        rows = []
        for sn in names:
            told = news[sn]
            fields, told_us = merge(*known.get(sn, ({}, {})), told)
            where = fields.get("position", {})
            rows.append(
                {
                    "sn": sn,
                    "kind": told.kind.value,
                    "us": told.at_us,
                    "fields": fields,
                    "told": told_us,
                    "lat": where.get("lat_deg"),
                    "lon": where.get("lon_deg"),
                }
            )
        await tx.connection.execute(MERGE_LATEST, [orjson.dumps(rows).decode()])

    async def refuse(self, tx: Transaction, refusals: Sequence[Refusal]) -> None:
        async with tx.connection.cursor() as cursor:
            await cursor.executemany(
                "INSERT INTO dead_letter (digest, topic, payload, reason, received_at)"
                " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (digest) DO NOTHING",
                [(digest(r), r.topic, r.payload, r.reason, r.received_at) for r in refusals],
            )

    async def settle(self, tx: Transaction, letter_id: int) -> None:
        await tx.connection.execute(
            "UPDATE dead_letter SET state = 'retried' WHERE id = %s", [letter_id]
        )

    async def linked(self, tx: Transaction, topology: Topology) -> bool:
        cursor = await tx.connection.execute(
            "INSERT INTO gateway_link VALUES (%s, %s) ON CONFLICT (gateway_sn) DO UPDATE"
            " SET drone_sns = excluded.drone_sns"
            " WHERE gateway_link.drone_sns IS DISTINCT FROM excluded.drone_sns",
            [topology.gateway_sn, list(topology.drone_sns)],
        )
        return cursor.rowcount > 0

    async def alarms(self, tx: Transaction, current: AlarmSet) -> AlarmChange:
        connection, sn = tx.connection, current.device_sn
        told = await (
            await connection.execute("SELECT at FROM device_alarm_told WHERE device_sn = %s", [sn])
        ).fetchone()
        cursor = await connection.execute(
            "SELECT code, level, component FROM device_alarm WHERE device_sn = %s", [sn]
        )
        before = [DeviceAlarm(*row) for row in await cursor.fetchall()]
        change = alarm_change(before, told[0] if told else None, current)
        if change is None:
            return (), ()
        raised, cleared = change
        async with connection.cursor() as writer:
            await writer.executemany(
                "DELETE FROM device_alarm WHERE device_sn = %s AND code = %s AND component = %s",
                [(sn, a.code, a.component) for a in cleared],
            )
            await writer.executemany(
                "INSERT INTO device_alarm VALUES (%s, %s, %s, %s, %s)",
                [(sn, a.code, a.component, a.level, current.at) for a in raised],
            )
        await connection.execute(
            "INSERT INTO device_alarm_told VALUES (%s, %s)"
            " ON CONFLICT (device_sn) DO UPDATE SET at = excluded.at",
            [sn, current.at],
        )
        return raised, cleared

    async def flew(self, tx: Transaction, report: FlightReport) -> bool:
        cursor = await tx.connection.execute(
            "INSERT INTO flight_told VALUES (%(id)s, %(status)s, %(step)s, %(waypoint)s)"
            " ON CONFLICT (flight_id) DO UPDATE SET status = excluded.status,"
            " step = excluded.step, waypoint_index = excluded.waypoint_index"
            " WHERE (flight_told.status, flight_told.step, flight_told.waypoint_index)"
            " IS DISTINCT FROM (excluded.status, excluded.step, excluded.waypoint_index)",
            {
                "id": report.flight_id,
                "status": report.status,
                "step": report.step,
                "waypoint": report.waypoint_index,
            },
        )
        return cursor.rowcount > 0

    async def happened(self, tx: Transaction, event: DeviceEvent) -> bool:
        cursor = await tx.connection.execute(
            "SELECT label, state, severity FROM device_event_told"
            " WHERE device_sn = %s AND key = %s FOR UPDATE",
            [event.device_sn, event.key],
        )
        row = await cursor.fetchone()
        before = row and EventTold(row[0], EventState(row[1]), EventSeverity(row[2]))
        now = event_news(before or None, event)
        if now is None:
            return False
        await tx.connection.execute(
            "INSERT INTO device_event_told VALUES (%s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (device_sn, key) DO UPDATE SET label = excluded.label,"
            " state = excluded.state, severity = excluded.severity, at = excluded.at",
            [event.device_sn, event.key, now.label, now.state.value, now.severity.value, event.at],
        )
        return True

    async def latest(self, changed_after: int = 0) -> tuple[list[Latest], int]:
        return await read_latest(self._pool, changed_after)

    async def letter(self, letter_id: int) -> Refusal | None:
        """Return a dead letter that nobody has dealt with yet."""
        async with self._pool.connection() as connection:
            row = await (
                await connection.execute(
                    "SELECT topic, payload, reason, received_at FROM dead_letter"
                    " WHERE id = %s AND state = 'new'",
                    [letter_id],
                )
            ).fetchone()
        return None if row is None else Refusal(row[0], bytes(row[1]), row[2], row[3])

    async def counts(self) -> dict[str, int]:
        """Return how many telemetry rows and dead letters are kept."""
        async with self._pool.connection() as connection:
            row = await (
                await connection.execute(
                    "SELECT (SELECT count(*) FROM telemetry),"
                    " (SELECT count(*) FROM dead_letter WHERE state = 'new')"
                )
            ).fetchone()
        assert row is not None
        return {"telemetry": int(row[0]), "dead_letters": int(row[1])}


async def read_latest(pool: Pool, changed_after: int = 0) -> tuple[list[Latest], int]:
    """Return the states changed after a mark, and the mark to ask with next time."""
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT device_sn, kind, at, fields, changed FROM latest"
            " WHERE changed > %s ORDER BY changed",
            [changed_after],
        )
        rows = await cursor.fetchall()
    states = [Latest(sn, kind, at, fields) for sn, kind, at, fields, _ in rows]
    return states, rows[-1][4] if rows else changed_after


def digest(refusal: Refusal) -> bytes:
    """Return what tells one refused message from another: its topic and bytes."""
    return hashlib.sha256(refusal.topic.encode() + b"\0" + refusal.payload).digest()
