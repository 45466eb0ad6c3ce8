"""An ingest part on real servers, for tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import psycopg

from domain.district import District
from gridwing.cluster import DatabaseUrls
from runtime.bus import MqttBus
from runtime.clock import Clock, wall_clock
from runtime.database import Pool, open_pool
from runtime.intake import MqttIntake
from runtime.ledger import Entry, PostgresLedger, sequence_step
from runtime.registry import save
from runtime.topics import INTAKE_FILTERS
from services.ingest.loop import Ingest, run
from services.ingest.record import FlightRecorder
from services.ingest.store import PostgresIngestStore


@dataclass(frozen=True, slots=True)
class Town:
    pool: Pool
    store: PostgresIngestStore
    ledger: PostgresLedger
    ingest: Ingest
    bus: MqttBus

    async def entries(self) -> list[Entry]:
        while await sequence_step(self.pool) > 0:
            pass
        return await self.ledger.read(0, 10_000)


def register(urls: DatabaseUrls, district: District, at: datetime) -> None:
    with psycopg.connect(urls.owner) as connection:
        save(connection, district, at)


@asynccontextmanager
async def town(
    urls: DatabaseUrls,
    broker_url: str,
    district: District,
    epoch: datetime,
    slot: str,
    recordings: Path,
    rate: float = 1.0,
) -> AsyncIterator[Town]:
    clock = Clock(epoch, wall_clock().wall_s(), rate)
    async with (
        open_pool(urls.service) as pool,
        MqttBus(broker_url, f"test-ingest-{slot}") as bus,
        MqttIntake(broker_url, f"test-intake-{slot}", INTAKE_FILTERS) as intake,
    ):
        store, ledger = PostgresIngestStore(pool), PostgresLedger(pool)
        recorder = FlightRecorder(recordings, district)
        ingest = Ingest(intake, bus, ledger, store, district, clock, recorder)
        task = asyncio.create_task(run(ingest))
        try:
            while not intake.connected:  # noqa: ASYNC110  (told by the client's thread)
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.2)
            yield Town(pool, store, ledger, ingest, bus)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
