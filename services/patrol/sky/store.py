"""What stands over the district, and who commands which drone, on PostgreSQL.

Whoever changes the sky holds its lock alone; whoever commits a command shares it. So a ground stop
either comes before a take-off's intent, which then sees it, or after, and finds it in the ledger.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from psycopg.types.json import Json

from domain.codec import from_plain, to_plain
from runtime.database import Pool
from runtime.ledger import Transaction
from runtime.personal import keep
from services.patrol.sky.standing import SkyRow, state_type

SKY_LOCK = 0x534B59  # "SKY"
ROWS_LIMIT = 2000
# Renewed under its token, or taken under the next one.
_TAKE = """
INSERT INTO patrol_lease AS l VALUES (%(sn)s, %(slot)s, 1, %(until)s)
ON CONFLICT (drone_sn) DO UPDATE SET slot = excluded.slot, until = excluded.until,
    token = l.token + (l.slot <> excluded.slot OR l.token <> %(mine)s)::int
WHERE l.until <= %(at)s OR (l.slot = excluded.slot AND (%(anew)s OR l.token = %(mine)s))
RETURNING token
"""


class SkyStore(Protocol):
    """Rows by stream, and leases. Writes take the ledger's transaction and commit with it."""

    async def hold(self, tx: Transaction, *, alone: bool) -> None:
        """Keep the sky as it is until the transaction ends; `alone` to change it."""
        ...

    async def rows(self, at: datetime, tx: Transaction | None = None) -> tuple[SkyRow, ...]:
        """Return what stands at a time, at most ROWS_LIMIT rows, by stream."""
        ...

    async def row(self, stream: str, tx: Transaction | None = None) -> SkyRow:
        """Return a stream's row; version 0 when there is none."""
        ...

    async def put(self, tx: Transaction, row: SkyRow) -> None:
        """Save a row unless a later version stands."""
        ...

    async def keep_note(self, tx: Transaction, subject: str, text: str) -> str:
        """Keep a person's words as an erasable body; return its reference."""
        ...

    async def take_leases(
        self,
        slot: str,
        mine: Mapping[str, int | None],
        at: datetime,
        until: datetime,
        *,
        anew: bool,
    ) -> dict[str, int]:
        """Take or renew leases of drones; return the token of each that is held.

        `mine` has the token a drone is held under so far. `anew` says that this is a new process
        of the slot: it takes over from the one before at once, under a higher token. Anybody
        else's lease is taken when it has run out.
        """
        ...

    async def leases(self, tx: Transaction | None = None) -> Mapping[str, tuple[str, int]]:
        """Return the slot and token each drone is commanded under; held until `tx` ends."""
        ...


class PostgresSkyStore:
    """Raises psycopg errors when the database is away; the part's supervisor starts it again."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def _fetch(
        self, query: str, params: Sequence[object], tx: Transaction | None
    ) -> list[Any]:
        if tx is not None:
            return await (await tx.connection.execute(query.encode(), params)).fetchall()
        async with self._pool.connection() as connection:
            return await (await connection.execute(query.encode(), params)).fetchall()

    async def hold(self, tx: Transaction, *, alone: bool) -> None:
        shared = "" if alone else "_shared"
        await tx.connection.execute(
            f"SELECT pg_advisory_xact_lock{shared}(%s)".encode(), [SKY_LOCK]
        )

    async def rows(self, at: datetime, tx: Transaction | None = None) -> tuple[SkyRow, ...]:
        found = await self._fetch(
            "SELECT stream, version, state::text FROM patrol_sky WHERE state IS NOT NULL"
            " AND (until IS NULL OR until > %s) ORDER BY stream LIMIT %s",
            [at, ROWS_LIMIT],
            tx,
        )
        return tuple(_row(*row) for row in found)

    async def row(self, stream: str, tx: Transaction | None = None) -> SkyRow:
        found = await self._fetch(
            "SELECT stream, version, state::text FROM patrol_sky WHERE stream = %s", [stream], tx
        )
        return _row(*found[0]) if found else SkyRow(stream, 0, None)

    async def put(self, tx: Transaction, row: SkyRow) -> None:
        state = None if row.state is None else Json(to_plain(row.state))
        await tx.connection.execute(
            "INSERT INTO patrol_sky VALUES (%s, %s, %s, %s) ON CONFLICT (stream) DO UPDATE"
            " SET version = excluded.version, state = excluded.state, until = excluded.until"
            " WHERE patrol_sky.version < excluded.version",
            [row.stream, row.version, state, row.until],
        )

    async def keep_note(self, tx: Transaction, subject: str, text: str) -> str:
        return await keep(tx, subject, {"note": text})

    async def take_leases(
        self,
        slot: str,
        mine: Mapping[str, int | None],
        at: datetime,
        until: datetime,
        *,
        anew: bool,
    ) -> dict[str, int]:
        held: dict[str, int] = {}
        async with self._pool.connection() as connection:
            for sn, token in sorted(mine.items()):
                row = await (
                    await connection.execute(
                        _TAKE.encode(),
                        {
                            "sn": sn,
                            "slot": slot,
                            "until": until,
                            "mine": -1 if token is None else token,
                            "at": at,
                            "anew": anew,
                        },
                    )
                ).fetchone()
                if row is not None:
                    held[sn] = int(row[0])
        return held

    async def leases(self, tx: Transaction | None = None) -> Mapping[str, tuple[str, int]]:
        query = "SELECT drone_sn, slot, token FROM patrol_lease ORDER BY drone_sn"
        found = await self._fetch(query + (" FOR SHARE" if tx is not None else ""), [], tx)
        return {str(sn): (str(slot), int(token)) for sn, slot, token in found}


def _row(stream: str, version: int, state: str | None) -> SkyRow:
    built = None if state is None else from_plain(state_type(stream), json.loads(state))
    return SkyRow(stream, int(version), built)
