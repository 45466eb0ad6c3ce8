"""ingest: a batch in, one transaction, then the acknowledgement, then the replies.

A database outage stops the reading, not the part: the batch is tried again with backoff while the
broker keeps what we do not take.
"""

import asyncio
from collections.abc import Sequence
from datetime import date

import orjson
import psycopg
import structlog

from domain.district import District
from domain.observation import DeviceRequest
from runtime.bus import Bus, Message
from runtime.clock import Clock
from runtime.database import heed_cancellation
from runtime.intake import Delivery, Intake
from runtime.ledger import Ledger
from runtime.metrics import MESSAGES
from services.ingest.answers import answer
from services.ingest.keep import Batch, Keeper
from services.ingest.record import FlightRecorder
from services.ingest.store import IngestStore

log = structlog.get_logger(__name__)

RETRY_FIRST_S = 0.2
RETRY_LAST_S = 5.0


class Ingest:
    """One ingest slot over its intake, bus and store; with a recorder it records every flight."""

    def __init__(
        self,
        intake: Intake,
        bus: Bus,
        ledger: Ledger,
        store: IngestStore,
        district: District,
        clock: Clock,
        recorder: FlightRecorder | None = None,
    ) -> None:
        self.intake, self.bus, self.store = intake, bus, store
        self.clock, self.district, self.recorder = clock, district, recorder
        self.keeper = Keeper(ledger, store, district, clock)
        self._day: date | None = None

    def read(self, messages: Delivery) -> Batch:
        """Decode one batch."""
        batch = self.keeper.read(messages, self.clock.now())
        batch.suspect = messages.suspect
        return batch

    async def settle(self, messages: Delivery, batch: Batch) -> None:
        """Keep one batch, acknowledge it, record it, answer it."""
        stored = await self._keep_patiently(batch)
        await self.intake.acknowledge(messages)
        _count(messages, batch, stored)
        if self.recorder is not None:
            rows = batch.telemetry.telemetry(self.keeper.devices.kinds, batch.received_at)
            await self.recorder.take(messages, rows, self.clock.now())
        try:
            await self.reply(batch)
        except ConnectionError as error:
            # The device asks again; what it said is already kept.
            log.warning("replies not sent", error=str(error))

    async def _keep_patiently(self, batch: Batch) -> int:
        wait_s = RETRY_FIRST_S
        while True:
            try:
                await self._prepare_day()
                return await self.keeper.keep(batch)
            except (psycopg.OperationalError, psycopg.errors.SerializationFailure) as error:
                heed_cancellation(error)
                log.warning("database away, batch kept in hand", error=str(error), wait_s=wait_s)
            await self.clock.sleep(wait_s * self.clock.rate)
            wait_s = min(2 * wait_s, RETRY_LAST_S)

    async def _prepare_day(self) -> None:
        today = self.clock.now().date()
        if today != self._day:
            await self.store.prepare_days(today)
            self._day = today

    async def reply(self, batch: Batch) -> None:
        """Answer what waited for the commit."""
        stamp_ms = int(self.clock.now().timestamp() * 1000)
        for reply in batch.replies:
            body = {"tid": reply.tid, "bid": reply.bid, "timestamp": stamp_ms}
            body |= {"method": reply.method, "data": {"result": 0}}
            await self._publish(reply.topic, orjson.dumps(body))
        for observation in batch.others:
            if not isinstance(observation, DeviceRequest):
                continue
            answered = answer(observation, self.district, stamp_ms)
            if answered is not None:
                await self._publish(*answered)

    async def _publish(self, topic: str, payload: bytes) -> None:
        await self.bus.publish(topic, payload)
        MESSAGES.labels("replied").inc()


def _count(messages: Sequence[Message], batch: Batch, stored: int) -> None:
    MESSAGES.labels("received").inc(len(messages))
    MESSAGES.labels("stored").inc(stored)
    MESSAGES.labels("repeated").inc(len(batch.telemetry) - stored)
    MESSAGES.labels("refused").inc(len(batch.refusals))
    for refusal in batch.refusals:
        log.info("message refused", topic=refusal.topic, reason=refusal.reason)


async def run(ingest: Ingest) -> None:
    """Take batches until cancelled: while one is being kept, the next is read and decoded."""
    decoded: asyncio.Queue[tuple[Delivery, Batch]] = asyncio.Queue(1)

    async def read() -> None:
        while True:
            messages = await ingest.intake.batch()
            await decoded.put((messages, ingest.read(messages)))

    async def keep() -> None:
        while True:
            await ingest.settle(*await decoded.get())

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(read())
            tasks.create_task(keep())
    finally:
        if ingest.recorder is not None:
            ingest.recorder.close()
