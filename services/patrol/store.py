"""Patrol's read tables on PostgreSQL: flights, visits to cells and key sites, past incidents,
wanted looks."""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Protocol

import psycopg
from psycopg.types.json import Json

from domain.codec import from_plain, to_plain
from runtime.database import Pool
from runtime.ledger import Transaction
from services.patrol.demand import CellVisits
from services.patrol.dock_store import DockStore, PostgresDockStore
from services.patrol.flight import Flight
from services.patrol.history import PastIncident
from services.patrol.looks import WantedLook
from services.patrol.sky.store import PostgresSkyStore, SkyStore

FLIGHTS_LISTED_LIMIT = 200
FLIGHTS_READ_LIMIT = 256


class DroneTakenError(Exception):
    """Another sortie of this drone is open."""


class PatrolStore(Protocol):
    """What patrol remembers. Writes take the ledger's transaction and commit with it."""

    @property
    def sky(self) -> SkyStore:
        """What stands over the district, and who commands which drone."""
        ...

    @property
    def docks(self) -> DockStore:
        """What docks were given and have told: flight areas, media files."""
        ...

    async def open_flights(self) -> list[Flight]: ...

    async def flights(self, limit: int = FLIGHTS_LISTED_LIMIT) -> list[Flight]:
        """Return the latest missions, newest first."""
        ...

    async def flight(self, mission_id: str) -> Flight | None: ...

    async def last_patrol(self, dock_sn: str) -> Flight | None:
        """Return the latest patrol of a dock, ended or not."""
        ...

    async def locked(self, tx: Transaction, mission_id: str) -> Flight | None:
        """Return a flight held until the transaction ends."""
        ...

    async def carrier_of(self, tx: Transaction, look_mission_id: str) -> str | None:
        """Return the patrol turned aside for a look."""
        ...

    async def put(self, tx: Transaction, flight: Flight, kmz: bytes | None = None) -> None:
        """Save a flight; `kmz` None keeps what is there. Raises DroneTakenError."""
        ...

    async def kmz(self, mission_id: str) -> bytes | None: ...

    async def visits(self) -> dict[str, CellVisits]: ...

    async def saw(self, tx: Transaction, cell_code: str, at: datetime) -> None: ...

    async def flew(self, tx: Transaction, cell_codes: Sequence[str], at: datetime) -> None: ...

    async def theme_visits(self) -> dict[str, dict[str, CellVisits]]:
        """Return by theme and cell when it was flown for the theme; flown counts as seen."""
        ...

    async def flew_for(
        self, tx: Transaction, theme_code: str, cell_codes: Sequence[str], at: datetime
    ) -> None: ...

    async def site_visits(self) -> dict[str, datetime]:
        """Return when each key site was last hovered over."""
        ...

    async def hovered(self, tx: Transaction, site_codes: Sequence[str], at: datetime) -> None: ...

    async def incidents(self, since: datetime) -> list[PastIncident]:
        """Return the filed incidents reported since then, in a fixed order."""
        ...

    async def reported(self, tx: Transaction, incident: PastIncident, keep_from: datetime) -> None:
        """Keep an incident that is not filed yet, and forget those from before `keep_from`."""
        ...

    async def filed(self, tx: Transaction, incident_id: str) -> None: ...

    async def drop_incident(self, tx: Transaction, incident_id: str) -> None: ...

    async def looks(self, tx: Transaction | None = None) -> list[WantedLook]:
        """Return the queue, as the transaction sees it if one is given."""
        ...

    async def want(self, tx: Transaction, look: WantedLook) -> None: ...

    async def drop_look(self, tx: Transaction, look_id: str) -> None: ...

    async def put_plan(self, plan: Mapping[str, Any]) -> None:
        """Keep the plan last released, for people to read."""
        ...

    async def plan(self) -> dict[str, Any] | None: ...

    async def secret(self) -> str:
        """Return what wayline addresses are keyed with."""
        ...


def wayline_key(secret: str, mission_id: str) -> str:
    """Return the unguessable part of a wayline's address (HMAC-SHA-256, 128 bits)."""
    return hmac.new(secret.encode(), mission_id.encode(), hashlib.sha256).hexdigest()[:32]


@lru_cache(FLIGHTS_READ_LIMIT)
def _flight(text: str) -> Flight:
    """Read a stored flight; the same text is read anew each tick while nothing happens to it."""
    return from_plain(Flight, json.loads(text))


class PostgresPatrolStore:
    """Raises psycopg errors when the database is away; the part's supervisor starts it again."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.sky: SkyStore = PostgresSkyStore(pool)
        self.docks: DockStore = PostgresDockStore(pool)

    async def _rows(self, query: str, params: Sequence[object] = ()) -> list[Any]:
        async with self._pool.connection() as connection:
            return await (await connection.execute(query.encode(), params)).fetchall()

    async def open_flights(self) -> list[Flight]:
        rows = await self._rows(
            "SELECT flight::text FROM patrol_flight WHERE open ORDER BY planned_at, mission_id"
        )
        return [_flight(row[0]) for row in rows]

    async def flights(self, limit: int = FLIGHTS_LISTED_LIMIT) -> list[Flight]:
        rows = await self._rows(
            "SELECT flight::text FROM patrol_flight ORDER BY planned_at DESC, mission_id LIMIT %s",
            [limit],
        )
        return [_flight(row[0]) for row in rows]

    async def flight(self, mission_id: str) -> Flight | None:
        rows = await self._rows(
            "SELECT flight::text FROM patrol_flight WHERE mission_id = %s", [mission_id]
        )
        return _flight(rows[0][0]) if rows else None

    async def last_patrol(self, dock_sn: str) -> Flight | None:
        rows = await self._rows(
            "SELECT flight::text FROM patrol_flight"
            " WHERE dock_sn = %s AND flight->'mission'->>'purpose' = 'patrol'"
            " ORDER BY planned_at DESC, mission_id LIMIT 1",
            [dock_sn],
        )
        return _flight(rows[0][0]) if rows else None

    async def locked(self, tx: Transaction, mission_id: str) -> Flight | None:
        row = await (
            await tx.connection.execute(
                "SELECT flight::text FROM patrol_flight WHERE mission_id = %s FOR UPDATE",
                [mission_id],
            )
        ).fetchone()
        return _flight(row[0]) if row else None

    async def carrier_of(self, tx: Transaction, look_mission_id: str) -> str | None:
        row = await (
            await tx.connection.execute(
                "SELECT mission_id FROM patrol_flight WHERE diverted_for = %s", [look_mission_id]
            )
        ).fetchone()
        return str(row[0]) if row else None

    async def put(self, tx: Transaction, flight: Flight, kmz: bytes | None = None) -> None:
        mission = flight.mission
        try:
            await tx.connection.execute(
                "INSERT INTO patrol_flight (mission_id, drone_sn, dock_sn, planned_at, open,"
                " carrier_id, diverted_for, flight, kmz)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)"
                " ON CONFLICT (mission_id) DO UPDATE SET open = excluded.open,"
                " carrier_id = excluded.carrier_id, diverted_for = excluded.diverted_for,"
                " flight = excluded.flight, kmz = coalesce(excluded.kmz, patrol_flight.kmz)",
                [
                    mission.mission_id,
                    mission.drone_sn,
                    mission.dock_sn,
                    mission.planned_at,
                    flight.open,
                    flight.carrier_id,
                    flight.diverted_for,
                    Json(to_plain(flight)),
                    kmz,
                ],
            )
        except psycopg.errors.UniqueViolation as error:
            raise DroneTakenError(mission.drone_sn) from error

    async def kmz(self, mission_id: str) -> bytes | None:
        rows = await self._rows("SELECT kmz FROM patrol_flight WHERE mission_id = %s", [mission_id])
        return bytes(rows[0][0]) if rows and rows[0][0] is not None else None

    async def visits(self) -> dict[str, CellVisits]:
        rows = await self._rows(
            "SELECT cell_code, seen_at, flown_at, flown_count FROM patrol_visit"
        )
        return {
            str(code): CellVisits(_utc(seen), _utc(flown), int(count))
            for code, seen, flown, count in rows
        }

    async def saw(self, tx: Transaction, cell_code: str, at: datetime) -> None:
        await tx.connection.execute(
            "INSERT INTO patrol_visit (cell_code, seen_at) VALUES (%s, %s)"
            " ON CONFLICT (cell_code) DO UPDATE"
            " SET seen_at = greatest(patrol_visit.seen_at, excluded.seen_at)",
            [cell_code, at],
        )

    async def flew(self, tx: Transaction, cell_codes: Sequence[str], at: datetime) -> None:
        for code in cell_codes:
            await tx.connection.execute(
                "INSERT INTO patrol_visit (cell_code, flown_at, flown_count) VALUES (%s, %s, 1)"
                " ON CONFLICT (cell_code) DO UPDATE SET"
                " flown_at = greatest(patrol_visit.flown_at, excluded.flown_at),"
                " flown_count = patrol_visit.flown_count + 1",
                [code, at],
            )

    async def theme_visits(self) -> dict[str, dict[str, CellVisits]]:
        rows = await self._rows(
            "SELECT theme_code, cell_code, flown_at, flown_count FROM patrol_theme_visit"
        )
        found: dict[str, dict[str, CellVisits]] = {}
        for theme, code, flown, count in rows:
            at = _utc(flown)
            found.setdefault(str(theme), {})[str(code)] = CellVisits(at, at, int(count))
        return found

    async def flew_for(
        self, tx: Transaction, theme_code: str, cell_codes: Sequence[str], at: datetime
    ) -> None:
        for code in cell_codes:
            await tx.connection.execute(
                "INSERT INTO patrol_theme_visit VALUES (%s, %s, %s, 1)"
                " ON CONFLICT (theme_code, cell_code) DO UPDATE SET"
                " flown_at = greatest(patrol_theme_visit.flown_at, excluded.flown_at),"
                " flown_count = patrol_theme_visit.flown_count + 1",
                [theme_code, code, at],
            )

    async def site_visits(self) -> dict[str, datetime]:
        rows = await self._rows("SELECT site_code, flown_at FROM patrol_site_visit")
        return {str(code): at.astimezone(UTC) for code, at in rows}

    async def hovered(self, tx: Transaction, site_codes: Sequence[str], at: datetime) -> None:
        for code in site_codes:
            await tx.connection.execute(
                "INSERT INTO patrol_site_visit VALUES (%s, %s) ON CONFLICT (site_code) DO UPDATE"
                " SET flown_at = greatest(patrol_site_visit.flown_at, excluded.flown_at)",
                [code, at],
            )

    async def incidents(self, since: datetime) -> list[PastIncident]:
        rows = await self._rows(
            "SELECT incident_id, cell_code, reported_at FROM patrol_incident"
            " WHERE filed AND reported_at >= %s",
            [since],
        )
        found = [PastIncident(str(i), str(c), at.astimezone(UTC)) for i, c, at in rows]
        return sorted(found, key=lambda i: (i.reported_at, i.incident_id))

    async def reported(self, tx: Transaction, incident: PastIncident, keep_from: datetime) -> None:
        await tx.connection.execute(
            "DELETE FROM patrol_incident WHERE reported_at < %s", [keep_from]
        )
        await tx.connection.execute(
            "INSERT INTO patrol_incident VALUES (%s, %s, %s) ON CONFLICT (incident_id) DO NOTHING",
            [incident.incident_id, incident.cell_code, incident.reported_at],
        )

    async def filed(self, tx: Transaction, incident_id: str) -> None:
        await tx.connection.execute(
            "UPDATE patrol_incident SET filed = true WHERE incident_id = %s", [incident_id]
        )

    async def drop_incident(self, tx: Transaction, incident_id: str) -> None:
        await tx.connection.execute(
            "DELETE FROM patrol_incident WHERE incident_id = %s", [incident_id]
        )

    async def looks(self, tx: Transaction | None = None) -> list[WantedLook]:
        query = "SELECT look FROM patrol_look ORDER BY look_id"
        if tx is None:
            rows = await self._rows(query)
        else:
            rows = await (await tx.connection.execute(query)).fetchall()
        return [from_plain(WantedLook, row[0]) for row in rows]

    async def want(self, tx: Transaction, look: WantedLook) -> None:
        await tx.connection.execute(
            "INSERT INTO patrol_look VALUES (%s, %s)"
            " ON CONFLICT (look_id) DO UPDATE SET look = excluded.look",
            [look.look_id, Json(to_plain(look))],
        )

    async def drop_look(self, tx: Transaction, look_id: str) -> None:
        await tx.connection.execute("DELETE FROM patrol_look WHERE look_id = %s", [look_id])

    async def put_plan(self, plan: Mapping[str, Any]) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(
                "INSERT INTO patrol_plan (plan) VALUES (%s)"
                " ON CONFLICT (single) DO UPDATE SET plan = excluded.plan",
                [Json(plan)],
            )

    async def plan(self) -> dict[str, Any] | None:
        rows = await self._rows("SELECT plan FROM patrol_plan")
        return dict(rows[0][0]) if rows else None

    async def secret(self) -> str:
        return str((await self._rows("SELECT secret FROM patrol_secret"))[0][0])


def _utc(at: datetime | None) -> datetime | None:
    return None if at is None else at.astimezone(UTC)
