"""A take-off happens at most once, wherever the commander dies and whatever gets lost."""

import asyncio
import zipfile
from collections.abc import Coroutine
from hashlib import md5
from io import BytesIO
from typing import Any

import pytest

from domain.events import (
    CellSeen,
    LookConcluded,
    LookStarted,
    MissionDiverted,
    MissionEnded,
    MissionOrdered,
    MissionPlanned,
    MissionStepAnswered,
    MissionStepIntended,
    VerificationRequested,
)
from domain.hazard import HazardKind
from domain.mission import LookOutcome, MissionOutcome, MissionPurpose
from runtime.clock import VirtualLoop
from runtime.ledger import Ledger
from services.patrol import loop as patrol
from services.patrol.policy import PatrolPolicy
from services.patrol.store_memory import MemoryPatrolStore
from tests.core.patrol_scene import (
    EPOCH,
    FRAME,
    CountingDock,
    Crash,
    FragileBus,
    FragileLedger,
    district,
)

POLICY = PatrolPolicy(verify_diverts_after_s=0.0)
"""A verification turns a patrol aside at once, so that each scene has a diversion soon."""
COMPLETED = MissionOutcome.COMPLETED


class Scene:
    """One district, its docks, and a patrol part that may die and be started again."""

    def __init__(self, loop: VirtualLoop, docks: int = 1, cells: int = 4) -> None:
        self.clock = loop.clock(EPOCH)
        self.bus = FragileBus()
        self.ledger = FragileLedger()
        self.store = MemoryPatrolStore()
        self.district = district(docks, cells)
        self.deaths = 0
        self.docks = [
            CountingDock(d.sn, self.bus, self.ledger, self.clock, d.position, d.drone_sn)
            for d in self.district.docks
        ]

    async def patrol(self) -> None:
        """Run the part; start it again when it dies, as the supervisor does."""
        while True:
            try:
                await patrol.run(
                    self.ledger,
                    self.bus,
                    self.store,
                    self.district,
                    self.clock,
                    POLICY,
                    lambda mission_id: f"http://127.0.0.1/{mission_id}.kmz",
                )
            except* Crash:
                self.deaths += 1
            await self.clock.sleep(1.0)

    async def play(
        self, seconds: float, *more: Coroutine[Any, Any, None], until_completed: int = 0
    ) -> None:
        """Live for `seconds`, or until so many missions were completed."""
        tasks = [
            asyncio.ensure_future(c) for c in (*(d.run() for d in self.docks), self.patrol(), *more)
        ]
        for _ in range(int(seconds / 20.0)):
            await self.clock.sleep(20.0)
            done = [e for e in await self.events(MissionEnded) if e.outcome is COMPLETED]
            if 0 < until_completed <= len(done):
                break
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            assert result is None or isinstance(result, asyncio.CancelledError), result

    async def events(self, kind: type[Any]) -> list[Any]:
        return [e.event for e in await self.ledger.read(0, 10_000) if isinstance(e.event, kind)]


def run(scene: Coroutine[Any, Any, None]) -> None:
    loop = VirtualLoop()
    try:
        loop.run_until_complete(scene)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def scene_now(docks: int = 1, cells: int = 4) -> Scene:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return Scene(loop, docks, cells)


def assert_sound(scene: Scene) -> None:
    """No flight left its dock twice, and no transaction was heard twice."""
    for dock in scene.docks:
        assert all(count == 1 for count in dock.takeoffs.values()), dock.takeoffs
        tids = [tid for _, tid in dock.heard]
        assert len(tids) == len(set(tids))


def test_a_patrol_is_planned_flown_and_ended() -> None:
    async def story() -> None:
        scene = scene_now()
        await scene.play(400.0)
        planned = await scene.events(MissionPlanned)
        ended = await scene.events(MissionEnded)
        assert planned[0].mission.purpose is MissionPurpose.PATROL
        assert set(planned[0].mission.cell_codes) == {c.code for c in scene.district.cells}
        assert ended[0].outcome is MissionOutcome.COMPLETED
        assert [m for m, _ in scene.docks[0].heard[:2]] == [
            "flighttask_prepare",
            "flighttask_execute",
        ]
        kmz = await scene.store.kmz(planned[0].mission.mission_id)
        assert kmz is not None
        assert zipfile.ZipFile(BytesIO(kmz)).testzip() is None
        file = scene.docks[0].files[0]["output"]["file"]
        assert file["fingerprint"] == md5(kmz, usedforsecurity=False).hexdigest()
        visits = await scene.store.visits()
        assert all(visits[c.code].flown_count == 1 for c in scene.district.cells)
        assert_sound(scene)

    run(story())


@pytest.mark.parametrize("where", ["before", "after", "commit"])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6])
def test_killed_at_any_step_nothing_takes_off_twice(where: str, count: int) -> None:
    async def story() -> None:
        scene = scene_now()
        if where == "commit":
            scene.ledger.die_after = count
        else:
            setattr(scene.bus, where, count)
        await scene.play(1500.0, until_completed=1)
        assert scene.deaths == 1 or scene.bus.commands < count
        assert_sound(scene)
        ended = await scene.events(MissionEnded)
        assert MissionOutcome.COMPLETED in [e.outcome for e in ended]
        intended = [e.transaction_id for e in await scene.events(MissionStepIntended)]
        assert len(intended) == len(set(intended))

    run(story())


@pytest.mark.parametrize("lost", ["flighttask_prepare", "flighttask_execute"])
def test_a_reply_lost_leaves_the_outcome_unknown_and_is_not_sent_again(lost: str) -> None:
    async def story() -> None:
        scene = scene_now()
        dock = scene.docks[0]
        dock.mute = lambda method: method == lost and len(dock.heard) <= 2
        await scene.play(1200.0, until_completed=1)
        answers = await scene.events(MissionStepAnswered)
        assert None in [a.result for a in answers]
        ended = await scene.events(MissionEnded)
        # The dock's own progress resolves a lost answer to execute; a lost prepare never flies.
        expected = {
            "flighttask_prepare": MissionOutcome.NEVER_FLOWN,
            "flighttask_execute": MissionOutcome.COMPLETED,
        }
        assert ended[0].outcome is expected[lost]
        assert_sound(scene)

    run(story())


def test_a_command_never_heard_ends_as_never_flown_and_another_is_planned() -> None:
    async def story() -> None:
        scene = scene_now()
        gone: list[str] = []

        def deaf(method: str) -> bool:
            if method == "flighttask_execute" and not gone:
                gone.append(method)
                return True
            return False

        scene.docks[0].deaf = deaf
        await scene.play(1200.0, until_completed=1)
        ended = await scene.events(MissionEnded)
        assert ended[0].outcome is MissionOutcome.NEVER_FLOWN
        assert ended[1].outcome is MissionOutcome.COMPLETED
        assert_sound(scene)

    run(story())


def test_a_refusal_ends_the_mission() -> None:
    async def story() -> None:
        scene = scene_now()
        scene.docks[0].refuse["flighttask_prepare"] = 316009
        await scene.play(30.0)
        ended = await scene.events(MissionEnded)
        assert (ended[0].outcome, ended[0].reason) == (
            MissionOutcome.FAILED,
            "prepare_refused_316009",
        )
        assert scene.docks[0].takeoffs == {}

    run(story())


async def ask_to_verify(scene: Scene, after_s: float, incident_id: str = "incident-1") -> None:
    await scene.clock.sleep(after_s)
    at = scene.clock.now()
    position = FRAME.to_position(150.0, 150.0)
    wish = VerificationRequested(incident_id, HazardKind.EXPOSED_RUBBISH, position, 1)
    async with scene.ledger.transaction() as tx:
        await tx.append(f"incident/{incident_id}", [wish], at=at, actor="alerts")


async def judge(scene: Scene, ledger: Ledger) -> None:
    """Conclude every look ten seconds after it starts, as watch would."""
    position = 0
    while True:
        await ledger.wait(position, 5.0)
        for entry in await ledger.read(position):
            position = entry.position
            if not isinstance(entry.event, LookStarted):
                continue
            await scene.clock.sleep(10.0)
            look, at = entry.event, scene.clock.now()
            done = LookConcluded(
                look.mission_id,
                look.purpose,
                look.incident_id,
                look.hazard_id,
                LookOutcome.REFUTED,
                6,
                0,
                (),
                at,
            )
            async with ledger.transaction() as tx:
                await tx.append(f"look/{look.mission_id}", [done], at=at, actor="watch")


def test_a_flying_patrol_is_turned_aside_looks_and_goes_on() -> None:
    async def story() -> None:
        scene = scene_now()
        await scene.play(700.0, ask_to_verify(scene, 60.0), judge(scene, scene.ledger))
        diverted = await scene.events(MissionDiverted)
        assert len(diverted) == 1
        assert "eta_s=" in diverted[0].reason
        started = await scene.events(LookStarted)
        assert [s.incident_id for s in started] == ["incident-1"]
        assert started[0].kind is HazardKind.EXPOSED_RUBBISH
        methods = [m for m, _ in scene.docks[0].heard]
        assert methods[:9] == [
            "flighttask_prepare",
            "flighttask_execute",
            "flighttask_pause",
            "flight_authority_grab",
            "fly_to_point",
            "payload_authority_grab",
            "camera_look_at",
            "camera_photo_take",
            "flighttask_recovery",
        ]
        ended = {e.mission_id: e for e in await scene.events(MissionEnded)}
        assert ended[diverted[0].for_mission_id].outcome is MissionOutcome.COMPLETED
        assert ended[diverted[0].mission_id].outcome is MissionOutcome.COMPLETED
        assert await scene.store.looks() == []
        assert_sound(scene)

    run(story())


def test_an_idle_dock_takes_off_for_a_look_and_comes_home() -> None:
    async def story() -> None:
        scene = scene_now()
        # Nothing is due for a patrol: every cell has just been seen.
        at = scene.clock.now()
        async with scene.ledger.transaction() as tx:
            for c in scene.district.cells:
                seen = CellSeen(c.code, "f", "DRONE1", 1.0, at)
                await tx.append(f"cell/{c.code}", [seen], at=at, actor="watch")
        await scene.play(500.0, ask_to_verify(scene, 20.0), judge(scene, scene.ledger))
        methods = [m for m, _ in scene.docks[0].heard]
        assert methods == [
            "takeoff_to_point",
            "payload_authority_grab",
            "camera_look_at",
            "camera_photo_take",
            "return_home",
        ]
        ended = await scene.events(MissionEnded)
        assert [e.outcome for e in ended] == [MissionOutcome.COMPLETED]
        assert_sound(scene)

    run(story())


@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("count", [3, 4, 5])
def test_killed_during_a_diversion_the_look_is_still_given(where: str, count: int) -> None:
    async def story() -> None:
        scene = scene_now()
        setattr(scene.bus, where, count)
        await scene.play(
            2400.0,
            ask_to_verify(scene, 60.0),
            judge(scene, scene.ledger),
            until_completed=2,
        )
        assert scene.deaths == 1
        started = await scene.events(LookStarted)
        assert len(started) >= 1
        assert_sound(scene)
        planned = {p.mission.mission_id for p in await scene.events(MissionPlanned)}
        ended = {e.mission_id for e in await scene.events(MissionEnded)}
        assert len(planned - ended) <= 1

    run(story())


def test_a_person_calls_a_flight_home() -> None:
    async def story() -> None:
        scene = scene_now()

        async def call() -> None:
            await scene.clock.sleep(60.0)
            flight = (await scene.store.open_flights())[0]
            mission_id, at = flight.mission.mission_id, scene.clock.now()
            order = MissionOrdered(mission_id, "return_home", "op-1", "weather")
            async with scene.ledger.transaction() as tx:
                await tx.append(f"mission/{mission_id}", [order], at=at, actor="op-1")

        await scene.play(300.0, call())
        entries = await scene.ledger.read(0, 10_000)
        asked = [e for e in entries if getattr(e.event, "step", None) == "return_home"]
        assert asked[0].actor == "op-1"
        ended = await scene.events(MissionEnded)
        assert ended[0].outcome is MissionOutcome.PARTIAL
        assert [m for m, _ in scene.docks[0].heard].count("return_home") == 1

    run(story())


def test_two_docks_share_the_cells_and_two_runs_are_equal() -> None:
    async def once() -> tuple[bytes, int]:
        scene = scene_now(docks=2, cells=24)
        await scene.play(900.0)
        planned = await scene.events(MissionPlanned)
        first = planned[0].mission.cell_codes
        assert not set(first) & set(planned[1].mission.cell_codes)
        assert_sound(scene)
        verified = await scene.ledger.verify()
        return verified.head_hash, verified.entries

    def in_virtual_time() -> tuple[bytes, int]:
        loop = VirtualLoop()
        try:
            return loop.run_until_complete(once())
        finally:
            loop.close()

    assert in_virtual_time() == in_virtual_time()


def test_two_commanders_at_once_still_fly_once() -> None:
    async def story() -> None:
        scene = scene_now(docks=2, cells=16)
        await scene.play(900.0, scene.patrol(), ask_to_verify(scene, 60.0))
        assert all(dock.takeoffs for dock in scene.docks)
        assert_sound(scene)
        tids = [e.transaction_id for e in await scene.events(MissionStepIntended)]
        assert len(tids) == len(set(tids))
        planned = [p.mission.mission_id for p in await scene.events(MissionPlanned)]
        assert len(planned) == len(set(planned))

    run(story())
