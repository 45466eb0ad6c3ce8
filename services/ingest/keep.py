"""One batch of messages: decoded, gridded, and kept with its ledger events in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np

from domain.district import District
from domain.events import (
    DeviceAlarmCleared,
    DeviceAlarmRaised,
    DeviceLinked,
    Event,
    FlightProgressed,
)
from domain.observation import (
    AlarmSet,
    FlightReport,
    Observation,
    Refusal,
    Telemetry,
    Topology,
)
from geo.cells import CellIndex
from runtime.bus import Message
from runtime.clock import Clock
from runtime.ledger import Ledger, Transaction
from services.ingest.decode import decode
from services.ingest.devices import Devices
from services.ingest.dji import Reply
from services.ingest.store import IngestStore, Row

ACTOR = "ingest"


@dataclass(slots=True)
class Batch:
    rows: list[Telemetry] = field(default_factory=list)
    others: list[Observation] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    retried: int | None = None
    """The dead letter this batch is a second try of, settled with what it brings."""


class Keeper:
    """Decodes for one district and keeps what was heard."""

    def __init__(
        self, ledger: Ledger, store: IngestStore, district: District, clock: Clock
    ) -> None:
        self.ledger, self.store, self.clock = ledger, store, clock
        self.devices = Devices.of(district)
        self.cells = CellIndex(district.cells)

    def read(self, messages: Sequence[Message], received_at: datetime) -> Batch:
        """Decode a batch; order is kept within telemetry and within everything else."""
        batch = Batch()
        for message in messages:
            heard = decode(message.topic, message.payload, received_at, self.devices)
            if isinstance(heard, Refusal):
                batch.refusals.append(heard)
                continue
            for observation in heard.observations:
                if isinstance(observation, Telemetry):
                    batch.rows.append(observation)
                else:
                    batch.others.append(observation)
            if heard.reply is not None:
                batch.replies.append(heard.reply)
        return batch

    async def keep(self, batch: Batch) -> int:
        """Store a batch and its ledger events in one transaction; return the new rows."""
        cells = self._cells(batch.rows)
        rows = [Row(t, cell) for t, cell in zip(batch.rows, cells, strict=True)]
        async with self.ledger.transaction() as tx:
            stored = await self.store.save(tx, rows)
            if batch.refusals:
                await self.store.refuse(tx, batch.refusals)
            for observation in batch.others:
                await self._note(tx, observation)
            if batch.retried is not None:
                await self.store.settle(tx, batch.retried)
        return stored

    def _cells(self, rows: Sequence[Telemetry]) -> list[str | None]:
        placed = [(i, t.position) for i, t in enumerate(rows) if t.position is not None]
        cells: list[str | None] = [None] * len(rows)
        if placed:
            lat = np.array([p.lat_deg for _, p in placed])
            lon = np.array([p.lon_deg for _, p in placed])
            for (i, _), code in zip(placed, self.cells.assign(lat, lon), strict=True):
                cells[i] = code
        return cells

    async def _note(self, tx: Transaction, observation: Observation) -> None:
        stream, events = "", list[Event]()
        if isinstance(observation, Topology) and await self.store.linked(tx, observation):
            sn = observation.gateway_sn
            stream, events = (
                f"device/{sn}",
                [DeviceLinked(sn, observation.drone_sns, observation.at)],
            )
        elif isinstance(observation, AlarmSet):
            stream = f"device/{observation.device_sn}"
            events = await self._alarm_events(tx, observation)
        elif isinstance(observation, FlightReport) and await self.store.flew(tx, observation):
            stream, events = f"flight/{observation.flight_id}", [_progressed(observation)]
        if events:
            await tx.append(stream, events, at=self.clock.now(), actor=ACTOR)

    async def _alarm_events(self, tx: Transaction, current: AlarmSet) -> list[Event]:
        raised, cleared = await self.store.alarms(tx, current)
        sn, at = current.device_sn, current.at
        place = self.devices.places.get(sn)
        events: list[Event] = [
            DeviceAlarmRaised(sn, a.code, a.level, a.component, at, place) for a in raised
        ]
        return events + [DeviceAlarmCleared(sn, a.code, a.component, at) for a in cleared]


def _progressed(report: FlightReport) -> FlightProgressed:
    return FlightProgressed(
        report.flight_id,
        report.gateway_sn,
        report.status,
        report.step,
        report.percent,
        report.waypoint_index,
        report.break_reason,
        report.result,
        report.at,
    )
