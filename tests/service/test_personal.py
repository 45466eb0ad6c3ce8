"""Personal data is erased for good, and the ledger still verifies and refolds."""

from datetime import UTC, datetime

import psycopg

from domain.events import IncidentFiled, PersonalDataErased
from gridwing.cluster import DatabaseUrls
from runtime.database import open_pool
from runtime.ledger import PostgresLedger, sequence_step
from runtime.personal import erase, keep, reference

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
NOTE = {"note": "李先生 13800000000 说楼道堵了"}


async def test_erasing_leaves_a_number_that_tells_nothing(database_urls: DatabaseUrls) -> None:
    async with open_pool(database_urls.service) as pool:
        ledger = PostgresLedger(pool)
        async with ledger.transaction() as tx:
            mine = [await keep(tx, "person-1", NOTE), await keep(tx, "person-1", NOTE)]
            other = await keep(tx, "person-2", NOTE)
            await tx.append("incident/i", [IncidentFiled("i")], at=AT, actor="a")
        assert len({*mine, other}) == 3
        await sequence_step(pool)
        before = await ledger.read(0)
        async with ledger.transaction() as tx:
            assert await erase(tx, "person-1", at=AT, actor="audit") == 2
        await sequence_step(pool)
        after = await ledger.read(0)
        assert after[: len(before)] == before
        erased = {e.event for e in after[len(before) :]}
        assert erased == {PersonalDataErased(ref) for ref in mine}
        assert (await ledger.verify()).ok
    with psycopg.connect(database_urls.owner) as connection:
        rows = connection.execute("SELECT ref, salt, body::text FROM personal").fetchall()
        said = connection.execute("SELECT string_agg(data::text, '') FROM ledger").fetchone()
    assert [row[0] for row in rows] == [other]
    assert reference(bytes(rows[0][1]), NOTE) == other
    assert said is not None
    assert "13800000000" not in said[0]


async def test_erasing_nobody_says_nothing(database_urls: DatabaseUrls) -> None:
    async with open_pool(database_urls.service) as pool:
        async with PostgresLedger(pool).transaction() as tx:
            assert await erase(tx, "person-9", at=AT, actor="audit") == 0
        assert await sequence_step(pool) == 0
