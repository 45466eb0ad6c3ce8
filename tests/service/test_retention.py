"""Old days go beside a long reader and a steady writer, on the real database."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from domain.device import DeviceKind
from domain.observation import Telemetry
from domain.place import Position
from gridwing.cluster import DatabaseUrls
from runtime.clock import Clock, wall_clock
from runtime.database import Pool, open_pool
from runtime.ledger import PostgresLedger
from services.ingest.columns import Columns, Gathered
from services.ingest.retention import Forgotten, forget, run
from services.ingest.store import PostgresIngestStore

TODAY = datetime(2026, 11, 23, tzinfo=UTC)
KEEP_DAYS = 3
OLD = tuple(f"telemetry_2026111{day}" for day in (7, 8, 9))
LOCK_WAIT_S = 1.0
"""Far above the 50 ms the product waits, far below any reader of these tests."""


def rows(day: datetime, count: int = 5) -> Columns:
    messages = [
        Telemetry("D1", DeviceKind.DRONE, day + timedelta(seconds=i), i, TODAY, Position(22.5, 113))
        for i in range(count)
    ]
    columns = Columns.of(Gathered(messages), {"D1": DeviceKind.DRONE}, TODAY)
    columns.flags[:] = 0
    return columns


async def write(pool: Pool, columns: Columns) -> None:
    async with PostgresLedger(pool).transaction() as tx:
        await PostgresIngestStore(pool).save(tx, columns, suspect=False)


@pytest.fixture
async def pool(database_urls: DatabaseUrls) -> AsyncIterator[Pool]:
    """Six days before today and today, a few rows in each."""
    async with open_pool(database_urls.service) as pool:
        async with pool.connection() as connection:
            for ago in range(7):
                day = (TODAY - timedelta(days=ago)).date()
                await connection.execute("SELECT telemetry_day(%s)", [day])
        for ago in range(7):
            await write(pool, rows(TODAY - timedelta(days=ago)))
        yield pool


@contextmanager
def reader(urls: DatabaseUrls, day: date) -> Iterator[psycopg.Connection[tuple[int]]]:
    """Read one day and leave the transaction open."""
    with psycopg.connect(urls.service) as connection:
        connection.execute(
            "SELECT count(*) FROM telemetry WHERE at >= %s::timestamptz AND at < %s::timestamptz",
            [f"{day} 00:00Z", f"{day + timedelta(days=1)} 00:00Z"],
        )
        yield connection


async def days(pool: Pool) -> list[str]:
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits"
            " WHERE inhparent = 'telemetry'::regclass ORDER BY 1"
        )
        return [name for (name,) in await cursor.fetchall()]


async def count(pool: Pool) -> int:
    async with pool.connection() as connection:
        row = await (await connection.execute("SELECT count(*) FROM telemetry")).fetchone()
    assert row is not None
    return int(row[0])


async def test_days_beyond_the_setting_go_and_the_rest_stay(pool: Pool) -> None:
    told = await forget(pool, TODAY.date(), KEEP_DAYS)
    assert told == Forgotten(OLD, OLD)
    assert (await days(pool))[:2] == ["telemetry_20261120", "telemetry_20261121"]
    assert await count(pool) == 4 * 5
    assert await forget(pool, TODAY.date(), KEEP_DAYS) == Forgotten()


async def test_a_reader_of_another_day_delays_the_drop_and_nobody(
    pool: Pool, database_urls: DatabaseUrls
) -> None:
    stopped = asyncio.Event()
    waits_s: list[float] = []

    async def keep_writing() -> None:
        number = 0
        while not stopped.is_set():
            number += 1
            began = time.monotonic()
            await write(pool, rows(TODAY + timedelta(minutes=number)))
            waits_s.append(time.monotonic() - began)

    with reader(database_urls, TODAY.date()) as reading:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_writing())
            await asyncio.sleep(0.1)
            told = await forget(pool, TODAY.date(), KEEP_DAYS)
            await asyncio.sleep(0.1)
            stopped.set()
        assert told == Forgotten(OLD, (), busy=True), "the room is free, the empty tables wait"
        assert len(waits_s) > 2
        assert max(waits_s) < LOCK_WAIT_S
        row = reading.execute("SELECT count(*) FROM telemetry WHERE at < '2026-11-20Z'").fetchone()
        assert row == (0,), "the reader goes on"
    assert await forget(pool, TODAY.date(), KEEP_DAYS) == Forgotten((), OLD)


async def test_a_day_that_is_being_read_waits_for_its_reader_alone(
    pool: Pool, database_urls: DatabaseUrls
) -> None:
    with reader(database_urls, date(2026, 11, 18)):
        told = await forget(pool, TODAY.date(), KEEP_DAYS)
        assert told == Forgotten((OLD[0], OLD[2]), (), busy=True)
        assert await count(pool) == 5 * 5
    assert (await forget(pool, TODAY.date(), KEEP_DAYS)).dropped == OLD


async def test_a_day_is_made_beside_a_long_reader(pool: Pool, database_urls: DatabaseUrls) -> None:
    with reader(database_urls, TODAY.date()):
        began = time.monotonic()
        await PostgresIngestStore(pool).prepare_days(TODAY.date())
        assert time.monotonic() - began < LOCK_WAIT_S
    assert "telemetry_20261125" in await days(pool)


async def test_the_loop_looks_again(pool: Pool, database_urls: DatabaseUrls) -> None:
    # Ten minutes of this clock are a second.
    clock = Clock(TODAY, wall_clock().wall_s(), 600.0)
    with reader(database_urls, TODAY.date()):
        loop = asyncio.create_task(run(pool, clock, KEEP_DAYS))
        while await count(pool) > 4 * 5:  # noqa: ASYNC110  (the database tells nobody)
            await asyncio.sleep(0.05)
        assert OLD[0] in await days(pool)
    async with asyncio.timeout(20):
        while OLD[0] in await days(pool):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    loop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loop
