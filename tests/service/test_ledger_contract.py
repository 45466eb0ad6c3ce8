"""One contract, two ledgers: what holds on PostgreSQL holds in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import psycopg
import pytest

from domain.events import CellSeen, IncidentFiled
from gridwing.cluster import DatabaseUrls
from runtime.database import open_pool
from runtime.follower import follow, follow_once
from runtime.ledger import (
    Entry,
    Ledger,
    PostgresLedger,
    Transaction,
    VersionConflict,
    reset_foreign_snapshot,
    sequence_step,
)
from runtime.ledger_memory import MemoryLedger

Book = tuple[Ledger, Callable[[], Awaitable[None]]]
AT = datetime(2026, 11, 23, 8, tzinfo=UTC)


@asynccontextmanager
async def on_postgres(url: str) -> AsyncIterator[Book]:
    async with open_pool(url) as pool:

        async def number() -> None:
            while await sequence_step(pool) > 0:
                pass

        yield PostgresLedger(pool), number


@pytest.fixture(params=["memory", "postgres"])
async def ledger(request: pytest.FixtureRequest) -> AsyncIterator[Book]:
    """Give (ledger, number): `await number()` numbers what is committed."""
    if request.param == "memory":

        async def number() -> None:
            return

        yield MemoryLedger(), number
    else:
        urls = request.getfixturevalue("database_urls")
        async with on_postgres(urls.service) as pair:
            yield pair


def filed(n: int) -> IncidentFiled:
    return IncidentFiled(f"incident-{n}")


async def put(ledger: Ledger, stream: str, *numbers: int, expected: int | None = None) -> int:
    async with ledger.transaction() as tx:
        events = [filed(n) for n in numbers]
        return await tx.append(stream, events, at=AT, actor="t", expected_version=expected)


async def seen(ledger: Ledger, after: int = 0) -> list[tuple[int, str, int]]:
    return [(e.position, e.stream, e.version) for e in await ledger.read(after)]


async def test_entries_come_back_whole_and_in_order(ledger: Book) -> None:
    book, number = ledger
    assert await put(book, "a", 1, 2) == 2
    assert await put(book, "b", 3) == 1
    await number()
    assert await seen(book) == [(1, "a", 1), (2, "a", 2), (3, "b", 1)]
    (entry,) = await book.read(0, stream="b")
    assert (entry.event, entry.at, entry.actor) == (filed(3), AT, "t")
    assert await book.head() == 3


async def test_a_rolled_back_transaction_leaves_nothing(ledger: Book) -> None:
    book, number = ledger
    undone = []

    async def fail() -> None:
        async with book.transaction() as tx:
            tx.on_rollback(lambda: undone.append(1))
            await tx.append("a", [filed(1)], at=AT, actor="t")
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    await number()
    assert await seen(book) == []
    assert undone == [1]


async def test_an_expected_version_is_held(ledger: Book) -> None:
    book, _ = ledger
    await put(book, "a", 1, expected=0)
    with pytest.raises(VersionConflict):
        await put(book, "a", 2, expected=0)
    assert await put(book, "a", 2, expected=1) == 2


async def test_two_writers_of_one_version_do_not_both_win(ledger: Book) -> None:
    book, number = ledger
    both = asyncio.Barrier(2)

    async def write(n: int) -> bool:
        try:
            async with book.transaction() as tx:
                await tx.version("a")
                await both.wait()
                await tx.append("a", [filed(n)], at=AT, actor="t", expected_version=0)
        except VersionConflict:
            return False
        return True

    assert sorted(await asyncio.gather(write(1), write(2))) == [False, True]
    await number()
    assert len(await seen(book)) == 1


async def test_late_commits_are_numbered_and_none_is_skipped(ledger: Book) -> None:
    book, number = ledger
    late_wrote, early_done = asyncio.Event(), asyncio.Event()

    async def late() -> None:
        async with book.transaction() as tx:
            await tx.append("late", [filed(1)], at=AT, actor="t")
            late_wrote.set()
            await early_done.wait()

    task = asyncio.create_task(late())
    await late_wrote.wait()
    await put(book, "early", 2)
    await number()
    assert await seen(book) == [(1, "early", 1)]
    early_done.set()
    await task
    await number()
    assert await seen(book, 1) == [(2, "late", 1)]


async def test_a_follower_splits_transactions_and_keeps_its_place(ledger: Book) -> None:
    book, number = ledger
    await put(book, "a", *range(7))
    await number()
    heard: list[int] = []

    async def hear(tx: Transaction, entry: Entry) -> None:
        heard.append(entry.version)

    while (await follow_once(book, "f", hear, batch=3))[1]:
        pass
    assert heard == list(range(1, 8))


async def test_a_failing_handler_moves_no_cursor(ledger: Book) -> None:
    book, number = ledger
    await put(book, "a", 1)
    await number()

    async def fail(tx: Transaction, entry: Entry) -> None:
        await tx.append("b", [filed(2)], at=AT, actor="t")
        raise KeyError

    with pytest.raises(KeyError):
        await follow(book, "f", fail)
    await number()
    assert await seen(book) == [(1, "a", 1)]
    async with book.transaction() as tx:
        assert await tx.cursor("f") == 0


async def test_the_chain_verifies_and_both_ledgers_agree(ledger: Book) -> None:
    book, number = ledger
    for n in range(5):
        await put(book, f"s{n % 2}", n)
        await number()
    async with book.transaction() as tx:
        await tx.append("cell/1", [CellSeen("1", "f", "d", 0.97, AT)], at=AT, actor="网格")
    await number()
    result = await book.verify()
    assert (result.ok, result.entries) == (True, 6)
    twin = MemoryLedger()
    for n in range(5):
        await put(twin, f"s{n % 2}", n)
    async with twin.transaction() as tx:
        await tx.append("cell/1", [CellSeen("1", "f", "d", 0.97, AT)], at=AT, actor="网格")
    assert (await twin.verify()).head_hash == result.head_hash


async def test_waiting_ends_when_something_is_written(ledger: Book) -> None:
    book, number = ledger
    waiting = asyncio.create_task(book.wait(0, 10.0))
    await asyncio.sleep(0.05)
    await put(book, "a", 1)
    await number()
    await asyncio.wait_for(waiting, 5.0)


async def test_waiting_gives_its_connection_back_when_it_is_cancelled(
    database_urls: DatabaseUrls,
) -> None:
    async with open_pool(database_urls.service, max_size=1) as pool:
        book = PostgresLedger(pool)
        for _ in range(5):
            waiting = asyncio.create_task(book.wait(0, 10.0))
            await asyncio.sleep(0.1)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            assert await put(book, "a", 1) > 0
        await book.wait(0, 0.05)
        assert await sequence_step(pool) == 5
        await book.wait(0, 10.0)


async def test_two_followers_of_one_name_handle_each_entry_once(
    database_urls: DatabaseUrls,
) -> None:
    async with on_postgres(database_urls.service) as (book, number):
        await put(book, "a", *range(40))
        await number()

        async def hear(tx: Transaction, entry: Entry) -> None:
            await asyncio.sleep(0.005)
            await tx.append(f"heard/{entry.position}", [filed(0)], at=AT, actor="f")

        async def work() -> None:
            while (await follow_once(book, "f", hear, batch=10))[1]:
                pass

        await asyncio.gather(work(), work())
        async with book.transaction() as tx:
            assert [await tx.version(f"heard/{n}") for n in range(1, 41)] == [1] * 40


async def test_edited_data_is_found(database_urls: DatabaseUrls) -> None:
    async with on_postgres(database_urls.service) as (book, number):
        await put(book, "a", 1, 2, 3)
        await number()
        with psycopg.connect(database_urls.owner) as connection:
            connection.execute("ALTER TABLE ledger DISABLE TRIGGER USER")
            edit = "UPDATE ledger SET data = '{}' WHERE version = 2"
            connection.execute(edit)
            connection.execute("ALTER TABLE ledger ENABLE TRIGGER USER")
        result = await book.verify()
    assert (result.ok, result.first_bad) == (False, 2)


async def test_the_ledger_cannot_be_edited_in_passing(database_urls: DatabaseUrls) -> None:
    async with on_postgres(database_urls.service) as (book, _):
        await put(book, "a", 1)
    with (
        psycopg.connect(database_urls.owner) as connection,
        pytest.raises(psycopg.errors.RaiseException, match="append-only"),
    ):
        connection.execute("DELETE FROM ledger")


async def test_a_snapshot_from_another_cluster_is_reset(database_urls: DatabaseUrls) -> None:
    async with open_pool(database_urls.service) as pool:
        async with pool.connection() as connection:
            far = "900000000000:900000000000:"
            await connection.execute("UPDATE ledger_head SET snap = %s::pg_snapshot", [far])
        book = PostgresLedger(pool)
        await put(book, "a", 1)
        assert await sequence_step(pool) == 0
        await reset_foreign_snapshot(pool)
        assert await sequence_step(pool) == 1
