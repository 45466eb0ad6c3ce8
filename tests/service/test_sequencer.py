"""The sequencer killed and stopped: another takes over, nothing is lost, doubled or reordered."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from subprocess import PIPE, Popen

import psycopg
import pytest

from domain.events import IncidentFiled
from gridwing.cluster import DatabaseUrls
from runtime.database import open_pool
from runtime.ledger import Ledger, PostgresLedger, sequence

ROOT = Path(__file__).resolve().parent.parent.parent
AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
WRITERS = 4
WRITE_S = 3.0
KILL_EVERY_S = 0.4
CANCELLED_TIMES = 150
CANDIDATE = """
import asyncio, sys
from runtime.database import open_pool
from runtime.ledger import sequence
async def main():
    async with open_pool(sys.argv[1], max_size=2) as pool:
        print("ready", flush=True)
        await sequence(pool)
asyncio.run(main())
"""


def start(url: str) -> Popen[bytes]:
    """Start a candidate and return when it takes part."""
    process = Popen([sys.executable, "-c", CANDIDATE, url], cwd=ROOT, stdout=PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def end(process: Popen[bytes]) -> None:
    with process:  # closes its pipe and waits
        process.kill()


async def candidate(url: str) -> Popen[bytes]:
    return await asyncio.to_thread(start, url)


async def write(ledger: Ledger, stream: str) -> int:
    loop, count = asyncio.get_running_loop(), 0
    until_s = loop.time() + WRITE_S
    while loop.time() < until_s:
        async with ledger.transaction() as tx:
            events = [IncidentFiled(stream)] * (1 + count % 3)
            count = await tx.append(stream, events, at=AT, actor="t", expected_version=count)
        await asyncio.sleep(0.002)
    return count


async def numbered(ledger: Ledger, expected: int) -> None:
    async with asyncio.timeout(20):
        while (head := await ledger.head()) < expected:
            await ledger.wait(head, 1.0)


async def in_order(ledger: Ledger, counts: dict[str, int]) -> None:
    """Assert that every stream is there once, whole and in its own order, and the chain holds."""
    seen: dict[str, list[int]] = {}
    position = 0
    while entries := await ledger.read(position):
        assert [e.position for e in entries] == list(range(position + 1, entries[-1].position + 1))
        for entry in entries:
            seen.setdefault(entry.stream, []).append(entry.version)
        position = entries[-1].position
    assert seen == {stream: list(range(1, count + 1)) for stream, count in counts.items()}
    assert (await ledger.verify()).ok


async def test_killing_sequencers_loses_and_doubles_nothing(database_urls: DatabaseUrls) -> None:
    url = database_urls.service
    candidates = list(await asyncio.gather(candidate(url), candidate(url)))
    kills = 0
    written = asyncio.Event()

    async def kill_in_turn() -> None:
        nonlocal kills
        while not written.is_set():
            await asyncio.sleep(KILL_EVERY_S)
            end(candidates.pop(0))
            kills += 1
            candidates.append(await candidate(url))

    async with open_pool(url) as pool:
        ledger = PostgresLedger(pool)
        killer = asyncio.create_task(kill_in_turn())
        streams = [f"s{n}" for n in range(WRITERS)]
        counts = await asyncio.gather(*(write(ledger, stream) for stream in streams))
        written.set()
        await killer
        await numbered(ledger, sum(counts))
        await in_order(ledger, dict(zip(streams, counts, strict=True)))
    assert kills > 0
    for process in candidates:
        end(process)


@asynccontextmanager
async def stopped_while_it_leads(url: str) -> AsyncIterator[Popen[bytes]]:
    """Give a candidate that has been stopped while it holds the head row."""
    process = await candidate(url)
    with psycopg.connect(url, autocommit=True) as connection:
        async with asyncio.timeout(30):
            while True:
                process.send_signal(signal.SIGSTOP)
                with connection.transaction():
                    held = connection.execute("SELECT FROM ledger_head FOR UPDATE SKIP LOCKED")
                    if held.rowcount == 0:
                        break
                process.send_signal(signal.SIGCONT)
                await asyncio.sleep(0.0137)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        end(process)


async def test_a_stopped_sequencer_is_replaced_and_comes_back_harmless(
    database_urls: DatabaseUrls,
) -> None:
    url = database_urls.service
    loop = asyncio.get_running_loop()
    async with stopped_while_it_leads(url) as process, open_pool(url) as pool:
        ledger = PostgresLedger(pool)
        async with ledger.transaction() as tx:
            await tx.append("a", [IncidentFiled("a")], at=AT, actor="t")
        successor = asyncio.create_task(sequence(pool))
        began_s = loop.time()
        await numbered(ledger, 1)
        assert loop.time() - began_s < 5.0
        process.send_signal(signal.SIGCONT)
        await asyncio.sleep(0.5)
        successor.cancel()
        await asyncio.gather(successor, return_exceptions=True)
        async with ledger.transaction() as tx:
            await tx.append("a", [IncidentFiled("a")], at=AT, actor="t")
        await numbered(ledger, 2)
        assert process.poll() is None
        await in_order(ledger, {"a": 2})


@pytest.mark.parametrize("count", [2500])
async def test_more_rows_than_one_step_takes(database_urls: DatabaseUrls, count: int) -> None:
    async with open_pool(database_urls.service) as pool:
        ledger = PostgresLedger(pool)
        async with ledger.transaction() as tx:
            await tx.append("a", [IncidentFiled("a")] * count, at=AT, actor="t")
        task = asyncio.create_task(sequence(pool))
        await numbered(ledger, count)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await in_order(ledger, {"a": count})


async def test_it_ends_when_told_to_whatever_it_is_doing(database_urls: DatabaseUrls) -> None:
    chance = Random(7)
    async with open_pool(database_urls.service, 2) as pool:
        for _ in range(CANCELLED_TIMES):
            task = asyncio.create_task(sequence(pool))
            await asyncio.sleep(chance.uniform(0.0, 0.03))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, 10.0)
