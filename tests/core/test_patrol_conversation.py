"""Services and replies on the bus: once, within a limit, and deaf to nonsense."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

from domain.mission import Mission, MissionPurpose, Wayline, Waypoint
from runtime.bus import MemoryBus
from runtime.clock import VirtualLoop
from services.patrol.conversation import UNKNOWN_FLIGHT, Conversation, LateReply
from services.patrol.flight import Step
from services.patrol.orders import METHODS, Resource, order
from services.patrol.policy import PatrolPolicy
from tests.core.patrol_scene import EPOCH, ORIGIN, dock_and_drone

FILE = Resource("http://t/m1.kmz?key=k", "0" * 32)


async def file_of(flight_id: str) -> Resource | None:
    return FILE if flight_id == "m1" else None


def run(story: Coroutine[Any, Any, None]) -> None:
    loop = VirtualLoop()
    try:
        loop.run_until_complete(story)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


class Line:
    """A conversation and the dock's end of it."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        self.bus = MemoryBus()
        self.clock = loop.clock(EPOCH)
        self.talk = Conversation(self.bus, self.clock, 2)
        self.listening = asyncio.ensure_future(self.talk.listen(file_of))

    async def reply(self, tid: str, result: int = 0) -> None:
        body = json.dumps({"tid": tid, "data": {"result": result}}).encode()
        await self.bus.publish("thing/product/DOCK1/services_reply", body)

    async def ask(self, tid: str) -> int | None:
        return await self.talk.ask("DOCK1", "return_home", {}, tid, "bid", 10.0)

    async def hang_up(self) -> None:
        self.listening.cancel()
        await asyncio.gather(self.listening, return_exceptions=True)


def test_an_answer_is_matched_by_its_transaction() -> None:
    async def story() -> None:
        line = Line()
        asked = asyncio.ensure_future(line.ask("t1"))
        await line.clock.sleep(1.0)
        await line.reply("t2", 5)
        await line.reply("t1", 316009)
        assert await asked == 316009
        await line.clock.sleep(0.1)
        assert list(line.talk.late) == [LateReply("t2", 5)]
        await line.hang_up()

    run(story())


def test_no_answer_is_none_after_the_limit_and_comes_late() -> None:
    async def story() -> None:
        line = Line()
        began = line.clock.now()
        assert await line.ask("t1") is None
        assert (line.clock.now() - began).total_seconds() == 10.0
        woken: list[int] = []
        line.talk.on_late = lambda: woken.append(1)
        for number in range(3):
            await line.reply(f"t{number}")
        await line.clock.sleep(0.1)
        # The newest are kept, up to the limit.
        assert [late.transaction_id for late in line.talk.late] == ["t1", "t2"]
        assert len(woken) == 3
        await line.hang_up()

    run(story())


def test_nonsense_on_the_bus_is_passed_over() -> None:
    async def story() -> None:
        line = Line()
        asked = asyncio.ensure_future(line.ask("t1"))
        await line.clock.sleep(1.0)
        for payload in (b"", b"\xff\xfe", b"[1]", b'{"tid": 3}', b'{"tid": "t1", "data": 7}'):
            await line.bus.publish("thing/product/DOCK1/services_reply", payload)
            await line.bus.publish("thing/product/DOCK1/requests", payload)
        await line.reply("t1")
        assert await asked == 0
        await line.hang_up()

    run(story())


def test_a_dock_is_told_where_its_file_is_or_that_there_is_none() -> None:
    async def story() -> None:
        line = Line()
        await line.talk.listening.wait()
        async with line.bus.subscribe(["thing/product/+/requests_reply"]) as replies:
            for flight_id in ("m1", "m9", None):
                body = {
                    "tid": "r1",
                    "bid": "b1",
                    "method": "flighttask_resource_get",
                    "data": {"flight_id": flight_id},
                }
                topic = "thing/product/DOCK1/requests"
                await line.bus.publish(topic, json.dumps(body).encode())
            config = json.dumps({"tid": "r2", "method": "config", "data": {}}).encode()
            await line.bus.publish("thing/product/DOCK1/requests", config)
            await line.clock.sleep(1.0)
            found = [json.loads((await anext(replies)).payload) for _ in range(3)]
        assert [f["data"]["result"] for f in found] == [0, UNKNOWN_FLIGHT, UNKNOWN_FLIGHT]
        assert found[0]["data"]["output"]["file"] == {
            "url": FILE.url,
            "fingerprint": FILE.fingerprint,
        }
        assert {(f["tid"], f["bid"], f["gateway"]) for f in found} == {("r1", "b1", "DOCK1")}
        await line.hang_up()

    run(story())


def test_every_step_is_a_service_with_its_fields_in_range() -> None:
    dock, drone = dock_and_drone(1, 0.0, 0.0)
    point = Waypoint(ORIGIN, 60.0, 12.0)
    mission = Mission(
        "m1",
        MissionPurpose.VERIFY,
        dock.sn,
        drone.sn,
        EPOCH,
        (),
        Wayline((point,), 0.0, 0.0),
        target=ORIGIN,
    )
    made = {s: order(s, mission, dock, drone, FILE, EPOCH, PatrolPolicy()) for s in Step}
    assert set(METHODS) == set(made) == set(Step)
    prepare = made[Step.PREPARE]
    assert prepare["execute_time"] == int(EPOCH.timestamp() * 1000)
    assert 20 <= prepare["rth_altitude"] <= 120
    take_off = made[Step.TAKEOFF_TO_POINT]
    assert take_off["target_height"] == dock.height_ellipsoid_m + 60.0
    assert 20 <= take_off["security_takeoff_height"] <= 1500
    assert 1 <= take_off["max_speed"] <= 15
    fly = made[Step.FLY_TO_POINT]
    assert fly["fly_to_id"] == "m1"
    assert len(fly["points"]) == 1
