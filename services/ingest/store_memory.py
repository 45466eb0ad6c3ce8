"""The same store in memory, for a run inside one process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from domain.observation import AlarmSet, DeviceAlarm, DeviceEvent, FlightReport, Refusal, Topology
from runtime.ledger import Transaction
from services.ingest.columns import Columns, instant
from services.ingest.happenings import EventTold, event_news
from services.ingest.newest import Newest, merge
from services.ingest.store import AlarmChange, Latest, alarm_change, digest


@dataclass(slots=True)
class _State:
    kind: str
    at_us: int
    changed: int
    fields: dict[str, Any] = field(default_factory=dict)
    told_us: dict[str, int] = field(default_factory=dict)


class MemoryIngestStore:
    """Ingest is the only writer here, so what its transaction writes is never taken back."""

    def __init__(self) -> None:
        self._keys: set[tuple[str, int, int]] = set()
        self._states: dict[str, _State] = {}
        self._links: dict[str, tuple[str, ...]] = {}
        self._alarms: dict[str, tuple[DeviceAlarm, ...]] = {}
        self._alarms_at: dict[str, datetime] = {}
        self._flights: dict[str, tuple[str, int | None, int | None]] = {}
        self._events: dict[tuple[str, str], EventTold] = {}
        self._changes = 0
        self.refusals: dict[bytes, Refusal] = {}

    async def prepare_days(self, today: date) -> None:
        return

    async def save(self, tx: Transaction, columns: Columns, *, suspect: bool) -> int:
        before = len(self._keys)
        sns = [columns.names[i] for i in columns.device.tolist()]
        self._keys.update(zip(sns, columns.at_us.tolist(), columns.key.tolist(), strict=True))
        return len(self._keys) - before

    async def tell(self, tx: Transaction, news: Mapping[str, Newest]) -> None:
        for sn, told in news.items():
            self._changes += 1
            state = self._states.setdefault(sn, _State(told.kind.value, told.at_us, 0))
            state.fields, state.told_us = merge(state.fields, state.told_us, told)
            state.at_us, state.changed = max(state.at_us, told.at_us), self._changes

    async def refuse(self, tx: Transaction, refusals: Sequence[Refusal]) -> None:
        for refusal in refusals:
            self.refusals.setdefault(digest(refusal), refusal)

    async def settle(self, tx: Transaction, letter_id: int) -> None:
        """Nothing outlives a run in one process, so there is no letter to try again."""

    async def linked(self, tx: Transaction, topology: Topology) -> bool:
        changed = self._links.get(topology.gateway_sn) != topology.drone_sns
        self._links[topology.gateway_sn] = topology.drone_sns
        return changed

    async def alarms(self, tx: Transaction, current: AlarmSet) -> AlarmChange:
        sn = current.device_sn
        change = alarm_change(self._alarms.get(sn, ()), self._alarms_at.get(sn), current)
        if change is None:
            return (), ()
        self._alarms[sn], self._alarms_at[sn] = current.alarms, current.at
        return change

    async def flew(self, tx: Transaction, report: FlightReport) -> bool:
        now = (report.status, report.step, report.waypoint_index)
        changed = self._flights.get(report.flight_id) != now
        self._flights[report.flight_id] = now
        return changed

    async def happened(self, tx: Transaction, event: DeviceEvent) -> bool:
        which = event.device_sn, event.key
        now = event_news(self._events.get(which), event)
        if now is None:
            return False
        self._events[which] = now
        return True

    async def latest(self, changed_after: int = 0) -> tuple[list[Latest], int]:
        states = sorted(self._states.items(), key=lambda item: item[1].changed)
        newer = [
            Latest(sn, s.kind, instant(s.at_us), s.fields)
            for sn, s in states
            if s.changed > changed_after
        ]
        return newer, self._changes

    async def counts(self) -> dict[str, int]:
        return {"telemetry": len(self._keys), "dead_letters": len(self.refusals)}
