"""The patrol part on the real database and the real broker, at thirty times the clock."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from domain.events import MissionEnded, MissionStepIntended
from domain.mission import MissionOutcome
from gridwing.cluster import DatabaseUrls
from runtime.bus import MqttBus
from runtime.clock import Clock, wall_clock
from runtime.database import open_pool
from runtime.ledger import Ledger, PostgresLedger, sequence
from services.patrol import loop as patrol
from services.patrol.policy import PatrolPolicy
from services.patrol.store import PostgresPatrolStore
from tests.core.patrol_scene import EPOCH, CountingDock, district

RATE = 30.0
DISTRICT = district()
DEADLINE_S = 40.0


@asynccontextmanager
async def running(*parts: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for found in await asyncio.gather(*tasks, return_exceptions=True):
            assert found is None or isinstance(found, asyncio.CancelledError), found


async def ended(ledger: Ledger) -> list[MissionEnded]:
    return [e.event for e in await ledger.read(0) if isinstance(e.event, MissionEnded)]


async def took_off(dock: CountingDock) -> bool:
    return bool(dock.takeoffs)


async def until(found: Callable[[], Awaitable[object]]) -> None:
    while True:
        if await found():
            return
        await asyncio.sleep(0.05)


async def test_a_patrol_killed_in_flight_is_taken_up_again_and_flown_once(
    database_urls: DatabaseUrls, broker_url: str
) -> None:
    clock: Clock = replace(wall_clock(), epoch=EPOCH, rate=RATE)
    async with (
        open_pool(database_urls.service) as pool,
        MqttBus(broker_url, "patrol-test") as bus,
        MqttBus(broker_url, "patrol-test-dock") as dock_bus,
    ):
        ledger, store = PostgresLedger(pool), PostgresPatrolStore(pool)
        own = DISTRICT.docks[0]
        dock = CountingDock(own.sn, dock_bus, ledger, clock, own.position, own.drone_sn)

        async def part() -> None:
            await patrol.run(
                ledger, bus, store, DISTRICT, clock, PatrolPolicy(), lambda m: f"http://t/{m}.kmz"
            )

        async with asyncio.timeout(DEADLINE_S), running(dock.run(), sequence(pool)):
            async with running(part()):
                await until(lambda: took_off(dock))
            # Killed right after take-off, its answer perhaps never taken.
            async with running(part()):
                await until(lambda: ended(ledger))
        assert (await ended(ledger))[0].outcome is MissionOutcome.COMPLETED
        assert set(dock.takeoffs.values()) == {1}
        steps = [
            e.event.transaction_id
            for e in await ledger.read(0)
            if isinstance(e.event, MissionStepIntended)
        ]
        assert len(steps) == len(set(steps))
        assert (await ledger.verify()).ok
