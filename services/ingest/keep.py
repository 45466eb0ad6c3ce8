"""One batch of messages: decoded, gridded, and kept with its ledger events in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from domain.district import District
from domain.events import (
    DeviceAlarmCleared,
    DeviceAlarmRaised,
    DeviceEventNoted,
    DeviceLinked,
    Event,
    FlightProgressed,
)
from domain.observation import (
    AlarmSet,
    DeviceEvent,
    FlightReport,
    Observation,
    Refusal,
    Telemetry,
    Topology,
)
from geo.cells import CellIndex, CellRaster
from runtime.bus import Message
from runtime.clock import Clock
from runtime.ledger import Ledger, Transaction
from services.ingest.columns import Columns, Gathered
from services.ingest.decode import decode
from services.ingest.devices import Devices
from services.ingest.happenings import is_stale
from services.ingest.heard import Reply
from services.ingest.newest import newest
from services.ingest.store import IngestStore, TelemetryRepeated

ACTOR = "ingest"


@dataclass(slots=True)
class Batch:
    received_at: datetime
    telemetry: Gathered = field(default_factory=Gathered)
    columns: Columns | None = None
    """`telemetry` once it is columns; None when there is none."""
    others: list[Observation] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    retried: int | None = None
    """The dead letter this batch is a second try of, settled with what it brings."""
    suspect: bool = False
    """Some of it may have been stored before."""


class Keeper:
    """Decodes for one district and keeps what was heard."""

    def __init__(
        self, ledger: Ledger, store: IngestStore, district: District, clock: Clock
    ) -> None:
        self.ledger, self.store, self.clock = ledger, store, clock
        self.devices = Devices.of(district)
        self.cells = CellRaster(CellIndex(district.cells))
        self._newest_us: dict[str, int] = {}

    def read(self, messages: Sequence[Message], received_at: datetime) -> Batch:
        """Decode a batch; order is kept within telemetry and within everything else."""
        batch = Batch(received_at)
        gathered, devices = batch.telemetry, self.devices
        for topic, payload, duplicate in messages:
            heard = decode(topic, payload, received_at, devices)
            if isinstance(heard, Refusal):
                batch.refusals.append(heard)
                continue
            if heard.samples:
                gathered.samples += heard.samples
                sn = topic.rpartition("/")[2]
                gathered.runs.append((sn, len(heard.samples), duplicate))
            for observation in heard.observations:
                if isinstance(observation, Telemetry):
                    if duplicate:
                        gathered.redelivered.append(len(gathered.rows))
                    gathered.rows.append(observation)
                else:
                    batch.others.append(observation)
            if heard.reply is not None:
                batch.replies.append(heard.reply)
        if len(gathered):
            columns = self.place(Columns.of(gathered, devices.kinds, received_at))
            self._newest_us |= columns.mark_out_of_order(self._newest_us)
            batch.columns = columns
        return batch

    def place(self, columns: Columns) -> Columns:
        """Give rows the grid cells they lie in."""
        columns.cell_codes, columns.cell = self.cells.assign(columns.lat_deg, columns.lon_deg)
        return columns

    async def keep(self, batch: Batch, *, tell: bool = True) -> int:
        """Store a batch and its ledger events in one transaction; return the new rows.

        What it says of the devices' newest states goes with it, unless that is told later.
        """
        try:
            return await self._keep(batch, suspect=batch.suspect, tell=tell)
        except TelemetryRepeated:
            return await self._keep(batch, suspect=True, tell=tell)

    async def tell(self, kept: Sequence[Columns]) -> None:
        """Merge what was kept, at least one batch, into the devices' newest states."""
        async with self.ledger.transaction() as tx:
            await self.store.tell(tx, newest(kept))

    async def _keep(self, batch: Batch, *, suspect: bool, tell: bool) -> int:
        stored = 0
        async with self.ledger.transaction() as tx:
            if (columns := batch.columns) is not None:
                stored = await self.store.save(tx, columns, suspect=suspect)
                if tell:
                    await self.store.tell(tx, newest([columns]))
            if batch.refusals:
                await self.store.refuse(tx, batch.refusals)
            for observation in batch.others:
                await self._note(tx, observation)
            if batch.retried is not None:
                await self.store.settle(tx, batch.retried)
        return stored

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
        elif isinstance(observation, DeviceEvent) and await self.store.happened(tx, observation):
            stream, events = f"device/{observation.device_sn}", [self._noted(observation)]
        if events:
            await tx.append(stream, events, at=self.clock.now(), actor=ACTOR)

    def _noted(self, event: DeviceEvent) -> DeviceEventNoted:
        return DeviceEventNoted(
            event.device_sn,
            event.key,
            event.label,
            event.state,
            event.severity,
            event.at,
            self.devices.places.get(event.device_sn),
            is_stale(event),
        )

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
        report.break_point,
    )
