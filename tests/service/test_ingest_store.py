"""Both stores, one contract; and what only PostgreSQL can show."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from domain.device import DeviceKind
from domain.observation import AlarmSet, DeviceAlarm, FlightReport, Refusal, Telemetry, Topology
from domain.place import Position
from gridwing.broker import Broker
from gridwing.cluster import DatabaseUrls
from runtime.clock import wall_clock
from runtime.database import open_pool
from runtime.ledger import Ledger, PostgresLedger
from runtime.ledger_memory import MemoryLedger
from services.ingest.columns import Columns, Gathered
from services.ingest.newest import newest
from services.ingest.store import PostgresIngestStore, TelemetryRepeated
from services.ingest.store_memory import MemoryIngestStore
from simulators.district import generate
from tests.service.ingest_town import register, town

ROOT = Path(__file__).resolve().parent.parent.parent
Kept = tuple[Ledger, Any]
AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
DISTRICT = generate(7)
CUT_EVERY_CONNECTION = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = %s AND usename = current_user AND pid <> pg_backend_pid()"
)
DOCK, DRONE = DISTRICT.docks[0].sn, DISTRICT.docks[0].drone_sn


def telemetry(second: float = 0, key: int = 1, **told: object) -> Telemetry:
    at = AT + timedelta(seconds=second)
    return replace(Telemetry("D1", DeviceKind.DRONE, at, key, at), **told)  # type: ignore[arg-type]


def columns(*messages: Telemetry) -> Columns:
    return Columns.of(Gathered(list(messages)), {"D1": DeviceKind.DRONE}, AT)


@pytest.fixture(params=["memory", "postgres"])
async def kept(request: pytest.FixtureRequest) -> AsyncIterator[Kept]:
    """Give (ledger, store)."""
    if request.param == "memory":
        yield MemoryLedger(), MemoryIngestStore()
        return
    urls = request.getfixturevalue("database_urls")
    async with open_pool(urls.service) as pool:
        store = PostgresIngestStore(pool)
        await store.prepare_days(AT.date())
        yield PostgresLedger(pool), store


async def save(kept: Kept, *messages: Telemetry, suspect: bool = True) -> int:
    ledger, store = kept
    batch = columns(*messages)
    async with ledger.transaction() as tx:
        stored: int = await store.save(tx, batch, suspect=suspect)
        await store.tell(tx, newest([batch]))
    return stored


async def test_a_message_that_comes_again_is_kept_once(kept: Kept) -> None:
    assert await save(kept, telemetry(), telemetry(), telemetry(key=2)) == 2
    assert await save(kept, telemetry()) == 0
    assert (await kept[1].counts())["telemetry"] == 2


async def test_the_latest_state_is_merged_field_by_field(kept: Kept) -> None:
    await save(kept, telemetry(10, 1, battery_pct=50.0), telemetry(11, 2, heading_deg=90.0))
    # Late: older than what is known of the battery, news about the speed.
    await save(kept, telemetry(5, 3, battery_pct=80.0, speed_m_s=3.0))
    (state,), mark = await kept[1].latest()
    assert (state.fields["battery_pct"], state.fields["heading_deg"]) == (50.0, 90.0)
    assert (state.fields["speed_m_s"], state.at) == (3.0, AT + timedelta(seconds=11))
    assert await kept[1].latest(mark) == ([], mark)


async def test_alarms_are_the_difference_of_complete_sets(kept: Kept) -> None:
    ledger, store = kept
    a, b = DeviceAlarm("0x1", 2), DeviceAlarm("0x2", 1, "0/1")

    async def tell(second: float, *alarms: DeviceAlarm) -> object:
        async with ledger.transaction() as tx:
            return await store.alarms(tx, AlarmSet("D", AT + timedelta(seconds=second), alarms))

    assert await tell(0, a) == ((a,), ())
    assert await tell(1, a, b) == ((b,), ())
    assert await tell(2, b) == ((), (a,))
    assert await tell(-200, a) == ((), ()), "a set older than the one told pages nobody"
    assert await tell(3) == ((), (b,))


async def test_links_and_flights_tell_a_change_from_a_repetition(kept: Kept) -> None:
    ledger, store = kept
    report = FlightReport("f", "G", AT, "in_progress", 25, 10, 1)
    async with ledger.transaction() as tx:
        assert await store.linked(tx, Topology("G", AT, ("D",)))
        assert not await store.linked(tx, Topology("G", AT, ("D",)))
        assert await store.linked(tx, Topology("G", AT, ()))
        assert await store.flew(tx, report)
        assert not await store.flew(tx, replace(report, percent=11))
        assert await store.flew(tx, replace(report, waypoint_index=2))


async def test_a_poison_message_is_kept_once_with_its_reason(kept: Kept) -> None:
    ledger, store = kept
    for _ in range(2):
        async with ledger.transaction() as tx:
            await store.refuse(tx, [Refusal("t", b"\x00\xff", "no JSON", AT)])
    assert (await store.counts())["dead_letters"] == 1


async def test_days_have_partitions_and_the_rest_the_default(database_urls: DatabaseUrls) -> None:
    async with open_pool(database_urls.service) as pool:
        store = PostgresIngestStore(pool)
        await store.prepare_days(AT.date())
        await store.prepare_days(AT.date())
        held = (PostgresLedger(pool), store)
        place = Position(22.54, 113.35)
        await save(held, telemetry(position=place), telemetry(60, position=place))
        await save(held, telemetry(30 * 86400.0))
        async with pool.connection() as connection:
            rows = await (
                await connection.execute(
                    "SELECT tableoid::regclass::text, count(*) FROM telemetry GROUP BY 1 ORDER BY 1"
                )
            ).fetchall()
        assert rows == [("telemetry_20261123", 2), ("telemetry_default", 1)]


async def test_a_row_stored_already_is_told_where_nobody_looked_for_it(
    database_urls: DatabaseUrls,
) -> None:
    async with open_pool(database_urls.service) as pool:
        kept = (PostgresLedger(pool), PostgresIngestStore(pool))
        assert await save(kept, telemetry(), telemetry(1), suspect=False) == 2
        with pytest.raises(TelemetryRepeated):
            await save(kept, telemetry(1), telemetry(2), suspect=False)
        assert (await kept[1].counts())["telemetry"] == 2, "nothing of a lost transaction stays"
        assert await save(kept, telemetry(1), telemetry(2)) == 1


async def test_a_day_takes_over_the_rows_that_came_before_it(database_urls: DatabaseUrls) -> None:
    async with open_pool(database_urls.service) as pool:
        store = PostgresIngestStore(pool)
        kept = (PostgresLedger(pool), store)
        await store.prepare_days(AT.date())
        await save(kept, telemetry(3 * 86400.0), telemetry(400 * 86400.0))
        await store.prepare_days((AT + timedelta(days=3)).date())
        async with pool.connection() as connection:
            cursor = await connection.execute("SELECT tableoid::regclass::text FROM telemetry")
            where = sorted(name for (name,) in await cursor.fetchall())
        assert where == ["telemetry_20261126", "telemetry_default"]
        assert await save(kept, telemetry(3 * 86400.0)) == 0, "the copy meets the moved first"


async def test_refused_messages_can_be_listed_tried_again_and_dropped(
    database_urls: DatabaseUrls,
) -> None:
    await asyncio.to_thread(register, database_urls, DISTRICT, AT)
    good = json.dumps({"timestamp": int(AT.timestamp() * 1000), "data": {"mode_code": 5}}).encode()
    async with open_pool(database_urls.service) as pool:
        store, ledger = PostgresIngestStore(pool), PostgresLedger(pool)
        async with ledger.transaction() as tx:
            await store.refuse(
                tx,
                [
                    Refusal(f"thing/product/{DRONE}/osd", good, "device was not registered", AT),
                    Refusal("else", b"{", "nobody reads", AT),
                ],
            )

        async def run(*words: str) -> tuple[int, str]:
            return await asyncio.to_thread(gridwing, database_urls, *words)

        code, out = await run("list", "--json")
        letters = {letter["topic"]: letter for letter in json.loads(out)}
        first, second = letters[f"thing/product/{DRONE}/osd"], letters["else"]
        assert (code, second["reason"], second["bytes"]) == (0, "nobody reads", 1)
        code, out = await run("retry", str(first["id"]), str(second["id"]))
        assert (code, "kept" in out, "refused again" in out) == (1, True, True)
        assert await store.counts() == {"telemetry": 1, "dead_letters": 1}
        assert (await run("retry", str(first["id"])))[0] == 1, "a kept one is not kept twice"
        assert (await run("drop", str(second["id"])))[0] == 0
        assert await store.counts() == {"telemetry": 1, "dead_letters": 0}


def gridwing(urls: DatabaseUrls, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "gridwing", "dead-letter", *words],
        env={"PATH": os.environ["PATH"], "DATABASE_URL": urls.service},
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


async def test_a_database_that_keeps_cutting_us_off_loses_nothing(
    database_urls: DatabaseUrls, broker: Broker, tmp_path: Path
) -> None:
    now = wall_clock().now()
    async with town(database_urls, broker.url, DISTRICT, now, "outage", tmp_path) as on:
        with psycopg.connect(database_urls.service, autocommit=True) as killer:
            for number in range(60):
                stamp_ms = int(now.timestamp() * 1000) + number
                body = {"timestamp": stamp_ms, "data": {"elevation": float(number)}}
                topic = f"thing/product/{DRONE}/osd"
                await on.bus.publish(topic, json.dumps(body).encode())
                if number % 4 == 0:
                    killer.execute(CUT_EVERY_CONNECTION, [killer.info.dbname])
                await asyncio.sleep(0.02)
        async with asyncio.timeout(20):
            while (await on.store.counts())["telemetry"] < 60:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert await on.store.counts() == {"telemetry": 60, "dead_letters": 0}
