"""ingest: a batch in, one transaction, the replies; five times a second states and PUBACKs.

A database outage stops the reading, not the part: the batch is tried again with backoff while the
broker keeps what we do not take.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from typing import TypeVar

import orjson
import psycopg
import structlog

from domain.district import District
from domain.observation import DeviceRequest
from runtime.bus import Bus, Message
from runtime.clock import Clock
from runtime.database import going_on
from runtime.intake import Delivery, Intake
from runtime.ledger import Ledger
from runtime.metrics import MESSAGES
from services.ingest.answers import answer
from services.ingest.columns import Columns
from services.ingest.keep import Batch, Keeper
from services.ingest.record import FlightRecorder
from services.ingest.store import IngestStore

log = structlog.get_logger(__name__)

RETRY_FIRST_S = 0.2
RETRY_LAST_S = 5.0
TELL_EVERY_S = 0.2
QUIET_S = 3.0
"""A stream that brings nothing for so long is drained."""
T = TypeVar("T")


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
        self._untold: list[tuple[Delivery, Columns | None]] = []

    def read(self, messages: Delivery) -> tuple[Delivery, Batch]:
        """Decode one batch."""
        batch = self.keeper.read(messages, self.clock.now())
        batch.suspect = messages.suspect
        return messages, batch

    async def settle(self, messages: Delivery, batch: Batch) -> None:
        """Keep one batch, record it, answer it; it is acknowledged by `tell`."""
        stored = await self._patiently(lambda: self._keep(batch))
        self._untold.append((messages, batch.columns))
        _count(messages, batch, stored)
        if self.recorder is not None:
            await self.recorder.take(messages, batch.columns, self.clock.now())
        try:
            await self.reply(batch)
        except ConnectionError as error:
            # The device asks again; what it said is already kept.
            log.warning("replies not sent", error=str(error))

    async def _keep(self, batch: Batch) -> int:
        await self._prepare_day()
        return await self.keeper.keep(batch, tell=False)

    async def tell(self) -> None:
        """Merge what was kept into the devices' newest states, then acknowledge it.

        Not with every batch: a state changes many times between two looks at it. What is not yet
        told is not acknowledged either, so a killed part is sent it again.
        """
        told, self._untold = self._untold, []
        if kept := [columns for _, columns in told if columns is not None]:
            await self._patiently(lambda: self.keeper.tell(kept))
        for messages, _ in told:
            await self.intake.acknowledge(messages)

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        wait_s = RETRY_FIRST_S
        while True:
            try:
                return await work()
            except (psycopg.OperationalError, psycopg.errors.SerializationFailure) as error:
                going_on()
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


async def drain(ingest: Ingest) -> int:
    """Take what is still coming until nothing has for QUIET_S; return how many messages."""
    taken = 0
    while True:
        try:
            async with asyncio.timeout(QUIET_S):
                messages = await ingest.intake.batch()
        except TimeoutError:
            return taken
        await ingest.settle(*ingest.read(messages))
        await ingest.tell()
        taken += len(messages)


async def run(ingest: Ingest) -> None:
    """Take batches until cancelled."""
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.to_thread(ingest.keeper.cells.draw))
            tasks.create_task(_take(ingest))
            tasks.create_task(_tell(ingest))
    finally:
        if ingest.recorder is not None:
            ingest.recorder.close()


async def _take(ingest: Ingest) -> None:
    """Keep batch after batch. Only from a backlog is the next decoded while one is being kept:

    taken early it would be smaller, and wait longer than it would have waited unread.
    """

    async def ahead() -> tuple[Delivery, Batch]:
        await ingest.intake.backlog()
        return ingest.read(await ingest.intake.batch())

    taken: tuple[Delivery, Batch] | None = None
    while going_on():
        if taken is None:
            taken = ingest.read(await ingest.intake.batch())
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(ahead())
            await ingest.settle(*taken)
            # No message is lost by it: a batch leaves the intake only with its last step.
            reading.cancel()
        taken = None if reading.cancelled() else reading.result()


async def _tell(ingest: Ingest) -> None:
    while going_on():
        await asyncio.sleep(TELL_EVERY_S)
        await ingest.tell()
