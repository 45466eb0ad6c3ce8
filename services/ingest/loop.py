"""ingest: a batch in, one transaction, then the acknowledgement, then the replies.

A database outage stops the reading, not the part: the batch is tried again with backoff while the
broker keeps what we do not take.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import orjson
import psycopg
import structlog

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
    DeviceRequest,
    FlightReport,
    Observation,
    Refusal,
    Telemetry,
    Topology,
)
from geo.cells import CellIndex
from runtime.bus import Bus, Message
from runtime.clock import Clock
from runtime.intake import Intake
from runtime.ledger import Ledger, Transaction
from runtime.metrics import MESSAGES
from services.ingest.answers import answer
from services.ingest.decode import decode
from services.ingest.devices import Devices
from services.ingest.dji import Reply
from services.ingest.store import IngestStore, Row

log = structlog.get_logger(__name__)

ACTOR = "ingest"
RETRY_FIRST_S = 0.2
RETRY_LAST_S = 5.0
DAY_CHECK_S = 3600.0


@dataclass(slots=True)
class _Batch:
    rows: list[Telemetry] = field(default_factory=list)
    others: list[Observation] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)


class Ingest:
    """One ingest slot over its intake, bus and store."""

    def __init__(
        self,
        intake: Intake,
        bus: Bus,
        ledger: Ledger,
        store: IngestStore,
        district: District,
        clock: Clock,
    ) -> None:
        self.intake, self.bus, self.ledger, self.store = intake, bus, ledger, store
        self.clock = clock
        self.devices = Devices.of(district)
        self.cells = CellIndex(district.cells)
        self.district = district

    def read(self, messages: Sequence[Message]) -> _Batch:
        """Decode a batch; order is kept within telemetry and within everything else."""
        batch, received_at = _Batch(), self.clock.now()
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

    async def keep(self, batch: _Batch) -> int:
        """Store a batch and its ledger events in one transaction; return the new rows."""
        cells = self._cells(batch.rows)
        rows = [Row(t, cell) for t, cell in zip(batch.rows, cells, strict=True)]
        async with self.ledger.transaction() as tx:
            stored = await self.store.save(tx, rows)
            if batch.refusals:
                await self.store.refuse(tx, batch.refusals)
            for observation in batch.others:
                await self._note(tx, observation)
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

    async def reply(self, batch: _Batch) -> None:
        """Answer what waited for the commit."""
        stamp_ms = int(self.clock.now().timestamp() * 1000)
        for reply in batch.replies:
            body = {"tid": reply.tid, "bid": reply.bid, "timestamp": stamp_ms}
            body |= {"method": reply.method, "data": {"result": 0}}
            await self.bus.publish(reply.topic, orjson.dumps(body))
        for observation in batch.others:
            if not isinstance(observation, DeviceRequest):
                continue
            answered = answer(observation, self.district, stamp_ms)
            if answered is not None:
                await self.bus.publish(*answered)


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


async def run(ingest: Ingest) -> None:
    """Take batches until cancelled."""
    today = None
    while True:
        messages = await ingest.intake.batch()
        if ingest.clock.now().date() != today:
            today = ingest.clock.now().date()
            await ingest.store.prepare_days(today)
        batch = ingest.read(messages)
        stored = await _keep_patiently(ingest, batch)
        await ingest.intake.acknowledge(messages)
        MESSAGES.labels("received").inc(len(messages))
        MESSAGES.labels("stored").inc(stored)
        MESSAGES.labels("repeated").inc(len(batch.rows) - stored)
        MESSAGES.labels("refused").inc(len(batch.refusals))
        for refusal in batch.refusals:
            log.info("message refused", topic=refusal.topic, reason=refusal.reason)
        try:
            await ingest.reply(batch)
        except ConnectionError as error:
            # The device asks again; what it said is already kept.
            log.warning("replies not sent", error=str(error))


async def _keep_patiently(ingest: Ingest, batch: _Batch) -> int:
    wait_s = RETRY_FIRST_S
    while True:
        try:
            return await ingest.keep(batch)
        except (psycopg.OperationalError, psycopg.errors.SerializationFailure) as error:
            log.warning("database away, batch kept in hand", error=str(error), wait_s=wait_s)
        await ingest.clock.sleep(wait_s * ingest.clock.rate)
        wait_s = min(2 * wait_s, RETRY_LAST_S)
