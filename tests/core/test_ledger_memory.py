"""The ledger in memory under virtual time: the same run gives the same chain."""

import asyncio
import random
from datetime import UTC, datetime

import pytest

from domain.events import IncidentAcknowledged, IncidentFiled
from runtime.clock import VirtualLoop
from runtime.follower import follow
from runtime.ledger import Entry, Transaction, Verification, VersionConflict
from runtime.ledger_memory import MemoryLedger

EPOCH = datetime(2026, 6, 1, tzinfo=UTC)


def day(seed: int) -> Verification:
    """Run writers that conflict and a follower that answers; return the ledger's verification."""
    loop = VirtualLoop()
    clock = loop.clock(EPOCH, 30.0)
    ledger = MemoryLedger()

    async def write(number: int) -> None:
        dice = random.Random(seed * 100 + number)
        for _ in range(20):
            await clock.sleep(dice.uniform(1, 60))
            name = f"i{dice.randrange(4)}"
            try:
                async with ledger.transaction() as tx:
                    version = await tx.version(f"incident/{name}")
                    await clock.sleep(dice.uniform(0, 5))
                    await tx.append(
                        f"incident/{name}",
                        [IncidentFiled(name)],
                        at=clock.now(),
                        actor="t",
                        expected_version=version,
                    )
            except VersionConflict:
                continue

    async def answer(tx: Transaction, entry: Entry) -> None:
        if isinstance(entry.event, IncidentFiled):
            event = IncidentAcknowledged(entry.event.incident_id)
            await tx.append(entry.stream, [event], at=clock.now(), actor="f")

    async def main() -> Verification:
        follower = asyncio.create_task(follow(ledger, "f", answer))
        await asyncio.gather(*(write(n) for n in range(5)))
        await clock.sleep(600)
        follower.cancel()
        await asyncio.gather(follower, return_exceptions=True)
        return await ledger.verify()

    try:
        return loop.run_until_complete(main())
    finally:
        loop.close()


def test_a_seed_gives_one_chain() -> None:
    first = day(7)
    assert first.ok
    assert first.entries > 50
    assert first == day(7)
    assert first.head_hash != day(8).head_hash


async def test_jobs_run_after_the_commit_or_backwards_after_the_rollback() -> None:
    ledger = MemoryLedger()
    told: list[str] = []
    async with ledger.transaction() as tx:
        tx.after_commit(lambda: told.append(f"committed at {ledger.versions.get('a', 0)}"))
        tx.on_rollback(lambda: told.append("undone"))
        await tx.append("a", [IncidentFiled("a")], at=EPOCH, actor="t")
    assert told == ["committed at 1"]
    told.clear()

    async def fail() -> None:
        async with ledger.transaction() as tx:
            for n in (1, 2):
                tx.on_rollback(lambda n=n: told.append(f"undone {n}"))  # type: ignore[misc]
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert told == ["undone 2", "undone 1"]


async def test_a_memory_transaction_has_no_connection() -> None:
    async with MemoryLedger().transaction() as tx:
        with pytest.raises(RuntimeError, match="memory store"):
            _ = tx.connection
