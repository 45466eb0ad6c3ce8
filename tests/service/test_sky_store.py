"""The sky's rows and the leases: one contract on PostgreSQL and in memory, and their races."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from shapely.geometry import box

from domain.command import ControlReleased, ControlTaken, GroundStopOrdered
from domain.events import AirspaceAnnounced, ApplicationFiled, Event, MissionPlanned
from domain.mission import Mission, MissionPurpose, Wayline, Waypoint
from domain.place import Airspace, AirspaceKind
from geo.shapes import local_to_area
from runtime.access import Principal, Role
from runtime.clock import wall_clock
from runtime.database import open_pool
from runtime.follower import follow_once
from runtime.ledger import Ledger, PostgresLedger, sequence_step
from runtime.ledger_memory import MemoryLedger
from services.patrol.dock_state import DeviceNow
from services.patrol.flight import Step, opened
from services.patrol.fold import Fold
from services.patrol.permits import NotPermitted, Permits, Wish
from services.patrol.plan import PatrolGround
from services.patrol.policy import PatrolPolicy
from services.patrol.presence import Presence
from services.patrol.refusal import Refusal
from services.patrol.sky.rules import load_sky_rules
from services.patrol.sky.standing import GroundStop, SkyRow, Zone
from services.patrol.sky_desk import Announced, Done, SkyDesk, Why
from services.patrol.stop import Confirm
from services.patrol.store import PatrolStore, PostgresPatrolStore
from services.patrol.store_memory import MemoryPatrolStore
from services.patrol.surroundings import Surroundings
from tests.core.patrol_scene import EPOCH, FRAME, district

DISTRICT = district()
CLOCK = replace(wall_clock(), epoch=EPOCH)
DUTY = Principal("op-1", Role.ADMINISTRATOR)
AREA = local_to_area(box(0.0, 0.0, 50.0, 50.0), FRAME)


def after(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def zone(code: str) -> Airspace:
    end = after(600)
    return Airspace(
        code, "", AirspaceKind.TEMPORARY, AREA, 0.0, 120.0, valid_from=EPOCH, valid_to=end
    )


@dataclass
class Ground:
    ledger: Ledger
    store: PatrolStore
    pool: Any = None

    def permits(self) -> Permits:
        policy = PatrolPolicy()
        fold = Fold(self.store, DISTRICT, policy)
        sky = PatrolGround(DISTRICT, policy)
        around = Surroundings(self.ledger, self.store, fold, sky, CLOCK, policy, str)
        presence = Presence(around)
        for sn in ("DOCK1", "DRONE1"):
            presence.devices[sn] = DeviceNow(
                sn, EPOCH, 95.0, True, 0, 0, 3.0, idle_since=EPOCH - timedelta(seconds=60)
            )
        return Permits(around, presence)

    def desk(self) -> SkyDesk:
        return SkyDesk(self.ledger, self.store, DISTRICT, CLOCK, load_sky_rules())


@pytest.fixture(params=["memory", "postgres"])
async def ground(request: pytest.FixtureRequest) -> AsyncIterator[Ground]:
    if request.param == "memory":
        yield Ground(MemoryLedger(), MemoryPatrolStore())
        return
    urls = request.getfixturevalue("database_urls")
    async with open_pool(urls.service) as pool:
        yield Ground(PostgresLedger(pool), PostgresPatrolStore(pool), pool)


async def test_rows_are_kept_by_version_and_run_out(ground: Ground) -> None:
    sky = ground.store.sky
    stop = GroundStop("op-1", EPOCH, "safety", all_home=True)
    async with ground.ledger.transaction() as tx:
        await sky.put(tx, SkyRow("ground_stop/d", 2, stop))
        await sky.put(tx, SkyRow("ground_stop/d", 1, None))
        await sky.put(tx, SkyRow("airspace/TZ1", 1, Zone(zone("TZ1"), EPOCH, "op-1")))
    assert [r.stream for r in await sky.rows(EPOCH)] == ["airspace/TZ1", "ground_stop/d"]
    assert [r.stream for r in await sky.rows(after(600))] == ["ground_stop/d"]
    assert (await sky.row("ground_stop/d")).state == stop
    assert await sky.row("airspace/none") == SkyRow("airspace/none", 0, None)


async def test_a_code_may_be_announced_again_once_its_zone_is_over(ground: Ground) -> None:
    desk, over = ground.desk(), Zone(zone("TZ1"), EPOCH - timedelta(days=1), "op-1")
    past = replace(over.airspace, valid_from=EPOCH - timedelta(days=1), valid_to=EPOCH)
    later = replace(past, valid_from=CLOCK.now(), valid_to=CLOCK.now() + timedelta(hours=1))
    async with ground.ledger.transaction() as tx:
        said = [AirspaceAnnounced(past)]
        version = await tx.append("airspace/TZ1", said, at=EPOCH, actor="op-1")
        row = SkyRow("airspace/TZ1", version, replace(over, airspace=past))
        await ground.store.sky.put(tx, row)
    again = await desk.announce(DUTY, later)
    assert isinstance(again, Announced)
    assert again.notice.late
    assert isinstance(await desk.announce(DUTY, later), Refusal)
    assert (await desk.now()).zones == (later,)


async def fail_after_put(ground: Ground) -> None:
    async with ground.ledger.transaction() as tx:
        await ground.store.sky.put(tx, SkyRow("airspace/TZ1", 1, Zone(zone("TZ1"), EPOCH, "op-1")))
        raise KeyError


async def test_what_is_rolled_back_was_never_there(ground: Ground) -> None:
    with pytest.raises(KeyError):
        await fail_after_put(ground)
    assert await ground.store.sky.rows(EPOCH) == ()


async def test_a_lease_is_renewed_outlived_and_taken_over_under_a_higher_token(
    ground: Ground,
) -> None:
    take, sky = ground.store.sky.take_leases, ground.store.sky
    free: dict[str, int | None] = {"D1": None}
    assert await take("0", free, EPOCH, after(60), anew=True) == {"D1": 1}
    assert await take("0", {"D1": 1}, after(30), after(90), anew=False) == {"D1": 1}
    # Another slot waits until it has run out.
    assert await take("1", free, after(80), after(140), anew=True) == {}
    assert await take("1", free, after(90), after(150), anew=False) == {"D1": 2}
    # The first one's token stands no more.
    assert await take("0", {"D1": 1}, after(100), after(160), anew=False) == {}
    # A new process of the same slot takes over at once; the old one of that slot is fenced out.
    assert await take("1", free, after(101), after(161), anew=True) == {"D1": 3}
    assert await take("1", {"D1": 2}, after(102), after(162), anew=False) == {}
    assert await sky.leases() == {"D1": ("1", 3)}


def wish(step: Step, actor: str = "patrol") -> Wish:
    points = tuple(Waypoint(FRAME.to_position(x, 0.0), 90.0, 12.0) for x in (0.0, 80.0))
    path = Wayline(points, 80.0, 9.0)
    mission = Mission("m1", MissionPurpose.PATROL, "DOCK1", "DRONE1", EPOCH, ("c1",), path)
    return Wish(opened(MissionPlanned(mission), EPOCH, None), step, actor)


async def refused(ground: Ground, permits: Permits, asked: Wish) -> str:
    try:
        async with ground.ledger.transaction() as tx:
            await permits.check(tx, asked, EPOCH)
    except NotPermitted as refusal:
        return str(refusal)
    return ""


async def test_only_who_holds_the_lease_may_command(ground: Ground) -> None:
    old, new = ground.permits(), ground.permits()
    await old.refresh(EPOCH)
    assert await refused(ground, old, wish(Step.EXECUTE)) == ""
    await new.refresh(EPOCH)
    assert await refused(ground, new, wish(Step.EXECUTE)) == ""
    for step in (Step.PREPARE, Step.EXECUTE, Step.RETURN_HOME):
        assert await refused(ground, old, wish(step)) == "lease_lost"
    assert not await old.still_commands("DRONE1")


async def test_a_stop_and_a_hand_on_the_drone_are_seen_in_the_transaction(ground: Ground) -> None:
    permits, desk = ground.permits(), ground.desk()
    await permits.refresh(EPOCH)
    shown = await desk.stop(DUTY, Why("safety"), None, all_home=False)
    assert isinstance(shown, Confirm)
    assert isinstance(await desk.stop(DUTY, Why("safety"), shown.token, all_home=False), Done)
    # What this part read before says nothing of it.
    assert permits.sky.stop is None
    assert await refused(ground, permits, wish(Step.EXECUTE)) == "ground_stop"
    assert await refused(ground, permits, wish(Step.RETURN_HOME)) == ""
    assert isinstance(await desk.lift(DUTY, Why("clear")), Done)
    assert isinstance(await desk.take(DUTY, "DRONE1", Why("technical")), Done)
    assert await refused(ground, permits, wish(Step.RETURN_HOME)) == "person_in_control"
    assert await refused(ground, permits, wish(Step.RETURN_HOME, "op-1")) == ""


async def test_a_stop_waits_for_an_intent_under_way_and_the_next_one_sees_it(
    ground: Ground,
) -> None:
    """On PostgreSQL: the sky's lock puts both in an order."""
    if ground.pool is None:
        pytest.skip("one process, one thread: nothing runs beside a transaction in memory")
    permits, desk = ground.permits(), ground.desk()
    await permits.refresh(EPOCH)
    shown = await desk.stop(DUTY, Why("safety"), None, all_home=False)
    assert isinstance(shown, Confirm)
    async with ground.ledger.transaction() as tx:
        await permits.check(tx, wish(Step.EXECUTE), EPOCH)
        stopping = asyncio.ensure_future(
            desk.stop(DUTY, Why("safety"), shown.token, all_home=False)
        )
        await asyncio.sleep(0.3)
        assert not stopping.done()
    assert isinstance(await stopping, Done)
    assert await refused(ground, permits, wish(Step.EXECUTE)) == "ground_stop"


async def test_of_two_who_stop_at_once_one_is_told_to_look_again(ground: Ground) -> None:
    desk = ground.desk()
    first = await desk.take(DUTY, "DRONE1", Why("safety"))
    assert isinstance(first, Done)
    both = await asyncio.gather(
        desk.release(DUTY, "DRONE1", Why("clear")), desk.release(DUTY, "DRONE1", Why("clear"))
    )
    kinds = {type(said) for said in both}
    assert kinds == {Done, Refusal}


async def test_rows_dropped_and_refolded_are_the_same(ground: Ground) -> None:
    desk = ground.desk()
    events: dict[str, list[Event]] = {
        f"ground_stop/{DISTRICT.code}": [GroundStopOrdered(True, "safety")],
        "airspace/TZ1": [AirspaceAnnounced(zone("TZ1"))],
        "control/DRONE1": [ControlTaken("DRONE1", "x"), ControlReleased("DRONE1", "x")],
        "application/a1": [ApplicationFiled(DISTRICT.approvals[0].application)],
    }
    async with ground.ledger.transaction() as tx:
        for stream, told in events.items():
            await tx.append(stream, told, at=EPOCH, actor="op-1")

    async def fold(store: PatrolStore, name: str) -> tuple[SkyRow, ...]:
        if ground.pool is not None:
            while await sequence_step(ground.pool) > 0:
                pass
        while (await follow_once(ground.ledger, name, Fold(store, DISTRICT, PatrolPolicy()).entry))[
            1
        ]:
            pass
        return await store.sky.rows(EPOCH)

    before = await fold(ground.store, "patrol")
    assert len(before) == 3
    assert (await desk.now()).stop is not None
    store: PatrolStore = MemoryPatrolStore()
    if ground.pool is not None:
        store = ground.store
        async with ground.pool.connection() as connection:
            await connection.execute("DELETE FROM patrol_sky")
    assert await fold(store, "patrol-again") == before
