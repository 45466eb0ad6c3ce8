"""Watch processes share what they look at: evenly, never twice, and a dead one's is taken over."""

import asyncio

import pytest

from gridwing.cluster import DatabaseUrls
from runtime.database import open_pool
from services.ingest.leases import FrameLeases

DEVICES = [f"CAM{i:02d}" for i in range(9)]


async def test_processes_share_evenly_and_give_back(database_urls: DatabaseUrls) -> None:
    async with open_pool(database_urls.service) as pool:
        one, two, three = (FrameLeases(pool, f"watch-{i}", DEVICES) for i in range(3))
        await one.begin()
        assert len(one.held) == 9
        await two.begin()
        assert two.held == frozenset()
        for _ in range(2):
            await one.renew()
            await two.renew()
        assert (len(one.held), len(two.held)) == (5, 4)
        await three.begin()
        for _ in range(3):
            for leases in (one, two, three):
                await leases.renew()
        assert [len(leases.held) for leases in (one, two, three)] == [3, 3, 3]
        assert not one.held & two.held
        assert one.held | two.held | three.held == set(DEVICES)
        await two.end()
        for _ in range(2):
            await one.renew()
            await three.renew()
        assert len(one.held | three.held) == 9
        await one.end()
        await three.end()


async def test_a_dead_ones_are_taken_over(
    database_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.ingest.leases.LEASE_S", 0.5)
    async with open_pool(database_urls.service) as pool:
        dead, other = FrameLeases(pool, "watch-0", DEVICES), FrameLeases(pool, "watch-1", DEVICES)
        await dead.begin()
        await other.begin()
        assert other.held == frozenset()
        await asyncio.sleep(0.7)
        await other.renew()
        assert other.held == set(DEVICES)


async def test_none_is_held_twice_when_all_take_at_once(database_urls: DatabaseUrls) -> None:
    async with open_pool(database_urls.service, 8) as pool:
        all_of_them = [FrameLeases(pool, f"watch-{i}", DEVICES) for i in range(5)]
        for _ in range(6):
            await asyncio.gather(*(leases.renew() for leases in all_of_them))
            held = [sn for leases in all_of_them for sn in leases.held]
            assert len(held) == len(set(held))
