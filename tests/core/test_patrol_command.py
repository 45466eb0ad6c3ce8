"""Who commands a drone, and what stops it: people, the sky, another part. Whole scenes."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from shapely.geometry import box

from domain.events import (
    MissionEnded,
    MissionOrdered,
    MissionPlanned,
    MissionStepAnswered,
    MissionStepIntended,
)
from domain.mission import MissionOutcome
from domain.place import Airspace, AirspaceKind
from geo.shapes import local_to_area
from runtime.access import Principal, Role
from services.patrol import loop as patrol
from services.patrol.flight import Order
from services.patrol.refusal import Refusal
from services.patrol.sky.rules import load_sky_rules
from services.patrol.sky_desk import Done, SkyDesk, Why
from services.patrol.stop import Confirm
from tests.core.patrol_scene import FRAME
from tests.core.test_patrol_at_most_once import POLICY, Scene, assert_sound, run, scene_now

CHIEF = Principal("chief", Role.DISPATCHER)
DUTY = Principal("op-1", Role.OPERATOR)
WHY = Why("safety")
Corners = tuple[float, float, float, float]


def desk_of(scene: Scene) -> SkyDesk:
    return SkyDesk(scene.ledger, scene.store, scene.district, scene.clock, load_sky_rules())


async def stop(desk: SkyDesk, *, all_home: bool) -> None:
    shown = await desk.stop(DUTY, WHY, None, all_home=all_home)
    assert isinstance(shown, Confirm)
    assert isinstance(await desk.stop(DUTY, WHY, shown.token, all_home=all_home), Done)


def zone(scene: Scene, start_s: float, end_s: float, corners: Corners) -> Airspace:
    at = scene.clock.now()
    return Airspace(
        "TZ1",
        "赛事",
        AirspaceKind.TEMPORARY,
        local_to_area(box(*corners), FRAME),
        0.0,
        120.0,
        valid_from=at + timedelta(seconds=start_s),
        valid_to=at + timedelta(seconds=end_s),
    )


async def flying(scene: Scene) -> str:
    """Wait until the first dock's drone flies; return its mission."""
    while True:
        for flight in await scene.store.open_flights():
            if flight.airborne():
                return flight.mission.mission_id
        await scene.clock.sleep(1.0)


def heard(scene: Scene) -> list[str]:
    return [method for method, _ in scene.docks[0].heard]


Story = Callable[[Scene, SkyDesk], Awaitable[None]]


def play(story: Story, seconds: float = 400.0, docks: int = 1) -> Scene:
    kept: list[Scene] = []

    async def whole() -> None:
        scene = scene_now(docks)
        kept.append(scene)

        async def told() -> None:
            await story(scene, desk_of(scene))

        await scene.play(seconds, told())
        assert_sound(scene)

    run(whole())
    return kept[0]


def test_a_ground_stop_before_take_off_lets_nothing_fly_and_outlives_a_restart() -> None:
    async def whole() -> None:
        scene = scene_now()
        await scene.play(60.0, stop(desk_of(scene), all_home=False))
        await scene.play(300.0)  # another part, on what the first one left
        assert heard(scene) == []
        assert await scene.events(MissionPlanned) == []

    run(whole())


def test_stopped_between_prepare_and_execute_the_flight_never_leaves() -> None:
    async def story(scene: Scene, desk: SkyDesk) -> None:
        stops: list[asyncio.Future[None]] = []

        def at_once(method: str) -> bool:
            """Stopped while the dock's answer to prepare is on its way."""
            if method == "flighttask_prepare" and not stops:
                stops.append(asyncio.ensure_future(stop(desk, all_home=False)))
            return False

        scene.docks[0].mute = at_once
        await scene.clock.sleep(30.0)
        assert stops[0].done()

        # What the dock had agreed to is taken back, once, and the ledger says why.
        undone = [e for e in await scene.events(MissionStepIntended) if e.step == "undo"]
        ended = await scene.events(MissionEnded)
        assert [e.reason for e in undone] == ["gate_ground_stop"]
        assert [e.result for e in await scene.events(MissionStepAnswered)] == [0, 0]
        assert [(e.outcome, e.reason) for e in ended] == [
            (MissionOutcome.NEVER_FLOWN, "gate_ground_stop")
        ]

    scene = play(story, 60.0)
    assert heard(scene) == ["flighttask_prepare", "flighttask_undo"]
    assert scene.docks[0].takeoffs == {}


@pytest.mark.parametrize(("where", "undone"), [("before", 0), ("after", 1)])
def test_killed_as_a_refused_flight_is_undone_it_is_undone_at_most_once(
    where: str, undone: int
) -> None:
    async def whole() -> None:
        scene = scene_now()
        setattr(scene.bus, where, 2)
        stops: list[asyncio.Future[None]] = []

        def at_once(method: str) -> bool:
            if method == "flighttask_prepare":
                stops.append(asyncio.ensure_future(stop(desk_of(scene), all_home=False)))
            return False

        scene.docks[0].mute = at_once
        await scene.play(120.0)
        assert scene.deaths == 1
        assert heard(scene) == ["flighttask_prepare"] + ["flighttask_undo"] * undone
        assert scene.docks[0].takeoffs == {}
        ended = await scene.events(MissionEnded)
        assert [e.reason for e in ended] == ["gate_ground_stop"]

    run(whole())


def test_a_person_breaks_a_return_off_and_flies_on_or_calls_home_anew() -> None:
    async def story(scene: Scene, desk: SkyDesk) -> None:
        mission_id = await flying(scene)

        async def told(order: Order) -> Done | Refusal:
            done = await desk.order(DUTY, mission_id, order, WHY)
            await scene.clock.sleep(15.0)
            return done

        assert isinstance(await told(Order.CANCEL_RETURN), Refusal)
        for order in (Order.RETURN_HOME, Order.CANCEL_RETURN, Order.RESUME):
            assert isinstance(await told(order), Done)
        for order in (Order.RETURN_HOME, Order.CANCEL_RETURN, Order.RETURN_HOME):
            assert isinstance(await told(order), Done)
        sent = await scene.events(MissionStepIntended)
        assert [e.step for e in sent[2:8]] == [
            "return_home",
            "cancel_return",
            "recovery",
            "return_home",
            "cancel_return",
            "return_home",
        ]
        orders = [e for e in await scene.events(MissionOrdered) if e.order == "cancel_return"]
        assert {(e.by, e.reason) for e in orders} == {("op-1", "safety")}

    scene = play(story)
    assert heard(scene)[3] == "return_home_cancel"


def test_all_home_is_not_broken_off_and_calls_home_what_was_kept_out() -> None:
    async def story(scene: Scene, desk: SkyDesk) -> None:
        mission_id = await flying(scene)
        for order in (Order.RETURN_HOME, Order.CANCEL_RETURN):
            assert isinstance(await desk.order(DUTY, mission_id, order, WHY), Done)
            await scene.clock.sleep(15.0)
        await stop(desk, all_home=True)
        await scene.clock.sleep(15.0)
        assert heard(scene)[-3:] == ["return_home", "return_home_cancel", "return_home"]
        refused = await desk.order(DUTY, mission_id, Order.CANCEL_RETURN, WHY)
        assert isinstance(refused, Refusal)
        assert refused.code == "stopped"

    play(story)


def test_all_home_calls_everything_home_and_lifting_lets_fly_again() -> None:
    async def story(scene: Scene, desk: SkyDesk) -> None:
        await flying(scene)
        await stop(desk, all_home=True)
        while any(d.flying for d in scene.docks):
            await scene.clock.sleep(1.0)
        homes = [d.heard[-1][0] for d in scene.docks if d.heard]
        assert set(homes) == {"return_home"}
        flown = sum(sum(d.takeoffs.values()) for d in scene.docks)
        await scene.clock.sleep(120.0)
        assert sum(sum(d.takeoffs.values()) for d in scene.docks) == flown
        assert isinstance(await desk.lift(DUTY, Why("clear")), Refusal)
        assert isinstance(await desk.lift(CHIEF, Why("clear")), Done)
        while sum(sum(d.takeoffs.values()) for d in scene.docks) == flown:
            await scene.clock.sleep(1.0)

    play(story, 900.0, docks=2)


def test_a_person_pauses_resumes_and_calls_home() -> None:
    async def story(scene: Scene, desk: SkyDesk) -> None:
        mission_id = await flying(scene)
        assert isinstance(await desk.order(DUTY, mission_id, Order.PAUSE, WHY), Done)
        await scene.clock.sleep(30.0)
        assert heard(scene)[-1] == "flighttask_pause"
        assert isinstance(await desk.order(DUTY, mission_id, Order.RESUME, WHY), Done)
        await scene.clock.sleep(30.0)
        assert heard(scene)[-1] == "flighttask_recovery"
        assert isinstance(await desk.order(DUTY, mission_id, Order.RETURN_HOME, WHY), Done)
        await scene.clock.sleep(30.0)
        assert isinstance(await desk.order(DUTY, mission_id, Order.PAUSE, WHY), Refusal)

    scene = play(story, 300.0)
    assert heard(scene)[2:5] == ["flighttask_pause", "flighttask_recovery", "return_home"]

    async def by() -> None:
        entries = await scene.ledger.read(0, 10_000)
        steps = [e.actor for e in entries if isinstance(e.event, MissionStepIntended)]
        assert steps[2:5] == ["op-1"] * 3
        ordered = [e.event for e in entries if isinstance(e.event, MissionOrdered)]
        assert [(o.by, o.reason) for o in ordered] == [("op-1", "safety")] * 3

    run(by())


def test_while_a_person_has_the_drone_nothing_automatic_is_sent() -> None:
    async def story(scene: Scene, desk: SkyDesk) -> None:
        mission_id = await flying(scene)
        drone_sn = scene.district.drones[0].sn
        assert isinstance(await desk.take(DUTY, drone_sn, WHY), Done)
        before = len(scene.docks[0].heard)
        scene.docks[0].wind_m_s = 14.0  # would call it home
        await scene.clock.sleep(60.0)
        assert len(scene.docks[0].heard) == before
        other = Principal("op-2", Role.OPERATOR)
        assert isinstance(await desk.order(other, mission_id, Order.PAUSE, WHY), Refusal)
        assert isinstance(await desk.release(other, drone_sn, WHY), Refusal)
        assert isinstance(await desk.release(DUTY, drone_sn, WHY), Done)
        await scene.clock.sleep(20.0)
        assert heard(scene)[before:] == ["return_home"]

    play(story, 300.0)


@pytest.mark.parametrize("cause", ["zone", "wind"])
def test_a_new_zone_or_strong_wind_calls_a_flight_home(cause: str) -> None:
    async def story(scene: Scene, desk: SkyDesk) -> None:
        await flying(scene)
        if cause == "zone":
            ahead = zone(scene, 60.0, 3600.0, (300.0, 100.0, 500.0, 160.0))
            assert isinstance(await desk.announce(DUTY, ahead), Done)
        else:
            scene.docks[0].wind_m_s = 12.5
        await scene.clock.sleep(20.0)
        assert heard(scene)[-1] == "return_home"
        (ordered,) = await scene.events(MissionOrdered)
        assert ordered.by == "patrol"
        expected = {"zone": ("new_zone", "TZ1"), "wind": ("wind_over_limit", None)}
        assert (ordered.reason, ordered.where) == expected[cause]

    play(story, 200.0)


def test_a_zone_elsewhere_disturbs_nobody_and_new_plans_go_round() -> None:
    async def story(scene: Scene, desk: SkyDesk) -> None:
        await flying(scene)
        far = zone(scene, 0.0, 3600.0, (2000.0, 2000.0, 2100.0, 2100.0))
        assert isinstance(await desk.announce(DUTY, far), Done)
        await scene.clock.sleep(60.0)
        assert "return_home" not in heard(scene)

    play(story, 200.0)


def test_plans_keep_out_of_a_zone_announced_before_them() -> None:
    async def story(scene: Scene, desk: SkyDesk) -> None:
        scene.docks[0].battery_pct = 20.0  # nothing is planned yet
        await scene.clock.sleep(20.0)
        ahead = zone(scene, 600.0, 7200.0, (250.0, 50.0, 550.0, 150.0))
        assert isinstance(await desk.announce(DUTY, ahead), Done)
        scene.docks[0].battery_pct = 95.0
        await flying(scene)
        (planned, *_) = await scene.events(MissionPlanned)
        closed = box(250.0, 50.0, 550.0, 150.0).buffer(14.9)
        for waypoint in planned.mission.wayline.waypoints:
            x, y = FRAME.to_local(waypoint.position.lat_deg, waypoint.position.lon_deg)
            assert not closed.contains(box(x, y, x, y).centroid)

    play(story, 200.0)


def test_a_lost_link_holds_then_resumes_or_comes_home() -> None:
    async def story(scene: Scene, desk: SkyDesk) -> None:
        await flying(scene)
        scene.docks[0].drone_silent = True
        await scene.clock.sleep(60.0)
        assert heard(scene)[-1] == "flighttask_pause"
        scene.docks[0].drone_silent = False
        await scene.clock.sleep(20.0)
        assert heard(scene)[-1] == "flighttask_recovery"
        scene.docks[0].drone_silent = True
        await scene.clock.sleep(60.0)
        assert heard(scene)[-1] == "flighttask_pause"
        await scene.clock.sleep(130.0)
        assert heard(scene)[-1] == "return_home"
        told = [(o.order, o.reason) for o in await scene.events(MissionOrdered)]
        assert told == [
            ("pause", "link_lost"),
            ("resume", "clear"),
            ("pause", "link_lost"),
            ("return_home", "link_lost"),
        ]

    play(story, 400.0)


def test_without_an_approval_no_mission_is_even_planned() -> None:
    async def whole() -> None:
        scene = scene_now()
        scene.district = replace(scene.district, approvals=())
        await scene.play(120.0)
        assert heard(scene) == []
        assert await scene.events(MissionPlanned) == []

    run(whole())


def test_a_part_that_was_replaced_commands_no_more() -> None:
    """Two parts of one slot: the newer takes the lease; the older's tokens no longer stand."""

    async def whole() -> None:
        scene = scene_now()
        await scene.play(600.0, scene.patrol())
        assert_sound(scene)
        steps = await scene.events(MissionStepIntended)
        assert {s.lease for s in steps} == {2}

    run(whole())


def test_another_slot_takes_over_when_the_lease_has_run_out() -> None:
    async def whole() -> None:
        scene = scene_now()

        async def other() -> None:
            await patrol.run(
                scene.ledger,
                scene.bus,
                scene.store,
                scene.district,
                scene.clock,
                POLICY,
                lambda mission_id: f"http://127.0.0.1/{mission_id}.kmz",
                slot="1",
            )

        async def first_dies() -> None:
            await flying(scene)
            # The commander's next deed is its last; the supervisor does not start it again.
            scene.bus.before = scene.bus.commands + 1
            mission_id = await flying(scene)
            await desk_of(scene).order(DUTY, mission_id, Order.PAUSE, WHY)

        held: dict[str, Any] = {}

        async def watch() -> None:
            while True:
                held.update(await scene.store.sky.leases())
                await scene.clock.sleep(5.0)

        await scene.play(900.0, other(), first_dies(), watch())
        assert_sound(scene)
        assert set(held) == {"DRONE1"}
        steps = await scene.events(MissionStepIntended)
        # Whoever holds the lease, tokens only grow.
        assert [s.lease for s in steps] == sorted(s.lease for s in steps)
        assert MissionOutcome.COMPLETED in {e.outcome for e in await scene.events(MissionEnded)}

    run(whole())


@pytest.mark.parametrize("where", ["before", "after", "commit"])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_killed_with_a_second_part_beside_nothing_takes_off_twice(where: str, count: int) -> None:
    async def whole() -> None:
        scene = scene_now(docks=2, cells=16)
        if where == "commit":
            scene.ledger.die_after = count
        else:
            setattr(scene.bus, where, count)
        await scene.play(1500.0, scene.patrol(), until_completed=2)
        assert_sound(scene)
        tids = [e.transaction_id for e in await scene.events(MissionStepIntended)]
        assert len(tids) == len(set(tids))
        answered = {a.transaction_id for a in await scene.events(MissionStepAnswered)}
        assert set(tids) - answered == set() or scene.deaths >= 1

    run(whole())
