"""Patrol's read tables in memory, for one process and virtual time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, TypeVar

from domain.mission import MissionPurpose
from runtime.ledger import Transaction
from services.patrol.demand import CellVisits
from services.patrol.dock_store import DockStore, MemoryDockStore
from services.patrol.flight import Flight
from services.patrol.history import PastIncident
from services.patrol.looks import WantedLook
from services.patrol.sky.store import SkyStore
from services.patrol.sky.store_memory import MemorySkyStore
from services.patrol.store import FLIGHTS_LISTED_LIMIT, DroneTakenError

V = TypeVar("V")


class MemoryPatrolStore:
    """The same contract as PostgresPatrolStore; a transaction that is undone is undone here."""

    def __init__(self) -> None:
        self._flights: dict[str, Flight] = {}
        self._kmz: dict[str, bytes] = {}
        self._visits: dict[str, CellVisits] = {}
        self._theme_visits: dict[str, dict[str, CellVisits]] = {}
        self._site_visits: dict[str, datetime] = {}
        self._reported: dict[str, PastIncident] = {}
        self._filed: dict[str, PastIncident] = {}
        self._looks: dict[str, WantedLook] = {}
        self._plan: dict[str, Any] | None = None
        self.sky: SkyStore = MemorySkyStore()
        self.docks: DockStore = MemoryDockStore()

    async def open_flights(self) -> list[Flight]:
        flights = [f for f in self._flights.values() if f.open]
        return sorted(flights, key=lambda f: (f.mission.planned_at, f.mission.mission_id))

    async def flights(self, limit: int = FLIGHTS_LISTED_LIMIT) -> list[Flight]:
        by_id = sorted(self._flights.values(), key=lambda f: f.mission.mission_id)
        return sorted(by_id, key=lambda f: f.mission.planned_at, reverse=True)[:limit]

    async def flight(self, mission_id: str) -> Flight | None:
        return self._flights.get(mission_id)

    async def last_patrol(self, dock_sn: str) -> Flight | None:
        return next(
            (
                f
                for f in await self.flights(len(self._flights))
                if f.mission.dock_sn == dock_sn and f.mission.purpose is MissionPurpose.PATROL
            ),
            None,
        )

    async def locked(self, tx: Transaction, mission_id: str) -> Flight | None:
        return self._flights.get(mission_id)

    async def carrier_of(self, tx: Transaction, look_mission_id: str) -> str | None:
        for flight in self._flights.values():
            if flight.diverted_for == look_mission_id:
                return flight.mission.mission_id
        return None

    async def put(self, tx: Transaction, flight: Flight, kmz: bytes | None = None) -> None:
        mission = flight.mission
        if flight.open and flight.carrier_id is None:
            for other in self._flights.values():
                same = other.mission.drone_sn == mission.drone_sn
                own = other.mission.mission_id == mission.mission_id
                if same and not own and other.open and other.carrier_id is None:
                    raise DroneTakenError(mission.drone_sn)
        _set(tx, self._flights, mission.mission_id, flight)
        if kmz is not None:
            _set(tx, self._kmz, mission.mission_id, kmz)

    async def kmz(self, mission_id: str) -> bytes | None:
        return self._kmz.get(mission_id)

    async def visits(self) -> dict[str, CellVisits]:
        return dict(self._visits)

    async def saw(self, tx: Transaction, cell_code: str, at: datetime) -> None:
        known = self._visits.get(cell_code, CellVisits())
        latest = max(at, known.seen_at or at)
        _set(tx, self._visits, cell_code, replace(known, seen_at=latest))

    async def flew(self, tx: Transaction, cell_codes: Sequence[str], at: datetime) -> None:
        for code in cell_codes:
            known = self._visits.get(code, CellVisits())
            flown = replace(
                known, flown_at=max(at, known.flown_at or at), flown_count=known.flown_count + 1
            )
            _set(tx, self._visits, code, flown)

    async def theme_visits(self) -> dict[str, dict[str, CellVisits]]:
        return {theme: dict(visits) for theme, visits in self._theme_visits.items()}

    async def flew_for(
        self, tx: Transaction, theme_code: str, cell_codes: Sequence[str], at: datetime
    ) -> None:
        visits = self._theme_visits.setdefault(theme_code, {})
        for code in cell_codes:
            known = visits.get(code, CellVisits())
            latest = max(at, known.flown_at or at)
            _set(tx, visits, code, CellVisits(latest, latest, known.flown_count + 1))

    async def site_visits(self) -> dict[str, datetime]:
        return dict(self._site_visits)

    async def hovered(self, tx: Transaction, site_codes: Sequence[str], at: datetime) -> None:
        for code in site_codes:
            _set(tx, self._site_visits, code, max(at, self._site_visits.get(code, at)))

    async def incidents(self, since: datetime) -> list[PastIncident]:
        found = [i for i in self._filed.values() if i.reported_at >= since]
        return sorted(found, key=lambda i: (i.reported_at, i.incident_id))

    async def reported(self, tx: Transaction, incident: PastIncident, keep_from: datetime) -> None:
        for table in (self._reported, self._filed):
            for old in [i for i in table.values() if i.reported_at < keep_from]:
                _set(tx, table, old.incident_id, None)
        known = {**self._reported, **self._filed}
        if incident.incident_id not in known:
            _set(tx, self._reported, incident.incident_id, incident)

    async def filed(self, tx: Transaction, incident_id: str) -> None:
        incident = self._reported.get(incident_id)
        if incident is not None:
            _set(tx, self._reported, incident_id, None)
            _set(tx, self._filed, incident_id, incident)

    async def drop_incident(self, tx: Transaction, incident_id: str) -> None:
        _set(tx, self._reported, incident_id, None)
        _set(tx, self._filed, incident_id, None)

    async def looks(self, tx: Transaction | None = None) -> list[WantedLook]:
        return [self._looks[look_id] for look_id in sorted(self._looks)]

    async def want(self, tx: Transaction, look: WantedLook) -> None:
        _set(tx, self._looks, look.look_id, look)

    async def drop_look(self, tx: Transaction, look_id: str) -> None:
        _set(tx, self._looks, look_id, None)

    async def put_plan(self, plan: Mapping[str, Any]) -> None:
        self._plan = dict(plan)

    async def plan(self) -> dict[str, Any] | None:
        return self._plan

    async def secret(self) -> str:
        # Nothing outside this process can fetch from it.
        return "in-process"


def _set(tx: Transaction, table: dict[str, V], key: str, value: V | None) -> None:
    before = table.get(key)

    def undo() -> None:
        if before is None:
            table.pop(key, None)
        else:
            table[key] = before

    job: Callable[[], None] = undo
    tx.on_rollback(job)
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value
