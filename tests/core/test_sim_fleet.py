"""The whole fleet in virtual time: it speaks as docks do, and one seed gives the same bytes."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import md5, sha256
from pathlib import Path
from typing import Any

import orjson

from domain.device import Dock
from domain.district import District
from runtime import topics
from runtime.bus import MemoryBus, Message
from runtime.clock import Clock, VirtualLoop
from simulators.counters import read_counts
from simulators.district import generate
from simulators.fleet import FleetOptions, run
from tests.core.test_sim_wayline import PLACEMARK, kmz

AT = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
UP = (*topics.DJI_UP_FILTERS, topics.SERVICES_REPLY_FILTER, topics.FRAME_FILTER)


@dataclass
class Server:
    """Answers what devices ask, as far as the protocol demands, and keeps what it heard."""

    bus: MemoryBus
    file: bytes
    deaf_to: str = ""
    heard: Counter[str] = field(default_factory=Counter)
    said: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    digest: Any = field(default_factory=sha256)
    _tid: int = 0

    async def listen(self, ready: asyncio.Event) -> None:
        async with self.bus.subscribe(UP) as messages:
            ready.set()
            async for message in messages:
                await self.hear(message)

    async def hear(self, message: Message) -> None:
        self.digest.update(message.topic.encode() + message.payload)
        channel = message.topic.rsplit("/", 1)[-1]
        if message.topic.startswith("gridwing/frame/"):
            channel = "frame"
        self.heard[channel] += 1
        if channel in ("osd", "up", "frame"):
            return
        said = orjson.loads(message.payload)
        self.said.append((channel, said))
        reply = {"tid": said["tid"], "bid": said["bid"], "method": said.get("method")}
        data: dict[str, Any] = {"result": 0}
        if said.get("method") == "flighttask_resource_get":
            fingerprint = md5(self.file, usedforsecurity=False).hexdigest()
            data["output"] = {"file": {"url": "here", "fingerprint": fingerprint}}
        if channel in ("events", "requests", "status") and said["method"] != self.deaf_to:
            body = orjson.dumps({**reply, "timestamp": 0, "data": data})
            await self.bus.publish(f"{message.topic}_reply", body)

    async def call(self, sn: str, method: str, data: dict[str, Any]) -> None:
        self._tid += 1
        body = {"tid": f"t{self._tid}", "bid": "b", "method": method, "data": data}
        await self.bus.publish(topics.services(sn), orjson.dumps(body))

    async def fetch(self, _url: str) -> bytes:
        return self.file

    def told(self, method: str) -> list[str]:
        rows = []
        for channel, said in self.said:
            if channel == "events" and said["method"] == method:
                rows.append(said["data"].get("output", said["data"])["status"])
        return rows


Story = Callable[[Server, Clock, District], Awaitable[None]]


def small() -> District:
    whole = generate(7)
    docks, drones = whole.docks[:1], (whole.drones[0], whole.drones[3])
    return replace(whole, docks=docks, drones=drones, cameras=whole.cameras[:1], responders=())


def wayline_near(dock: Dock) -> bytes:
    lat, lon = dock.position.lat_deg, dock.position.lon_deg
    corners = [(0.0008, 0.0008), (0.0008, 0.002), (0.0012, 0.002)]
    return kmz(
        "".join(
            PLACEMARK.format(lon=lon + dx, lat=lat + dy, i=i, more="")
            for i, (dy, dx) in enumerate(corners)
        )
    )


def live(folder: Path, story: Story, rate: float = 30.0, deaf_to: str = "") -> Server:
    """Live a story with the fleet in virtual time and return the server that heard it."""
    loop = VirtualLoop()

    async def main() -> Server:
        clock, bus, district = loop.clock(AT, rate), MemoryBus(), small()
        server = Server(bus, wayline_near(district.docks[0]), deaf_to)
        ready = asyncio.Event()
        hearing = asyncio.create_task(server.listen(ready))
        await ready.wait()
        options = FleetOptions(seed=7, state_folder=folder, render_threads=0)
        fleet = asyncio.create_task(
            run(options, district, clock, lambda _: bus, server.fetch, lambda _: None)
        )
        await story(server, clock, district)
        for task in (fleet, hearing):
            task.cancel()
        await asyncio.gather(fleet, hearing, return_exceptions=True)
        return server

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main())


async def patrol(server: Server, clock: Clock, district: District) -> None:
    await clock.sleep(30)
    sn = district.docks[0].sn
    ms = round(clock.now().timestamp() * 1000)
    prepare = {"flight_id": "F1", "execute_time": ms, "task_type": 0, "rth_altitude": 70}
    await server.call(sn, "flighttask_prepare", prepare)
    await server.call(sn, "flighttask_execute", {"flight_id": "F1"})
    await clock.sleep(220)


def test_first_contact_patrol_and_the_same_bytes_again(tmp_path: Path) -> None:
    server = live(tmp_path / "a", patrol)
    asked = [s["method"] for c, s in server.said if c in ("requests", "status")]
    assert [m for m in asked if m != "update_topo"][:4] == [
        "config",
        "airport_bind_status",
        "airport_organization_get",
        "airport_organization_bind",
    ]
    replies = [s["data"]["result"] for c, s in server.said if c == "services_reply"]
    assert replies == [0, 0]
    statuses = server.told("flighttask_progress")
    assert (statuses[0], statuses[-1]) == ("in_progress", "ok")
    assert server.heard["frame"] > 30
    assert server.heard["up"] > 60
    counts = read_counts(tmp_path / "a" / "counters.bin")
    assert counts["telemetry_sent"] in range(
        server.heard["osd"] + server.heard["up"] - 5, server.heard["osd"] + server.heard["up"] + 1
    )
    assert counts["takeoffs"] >= 1
    assert counts["double_takeoffs"] == 0
    again = live(tmp_path / "b", patrol)
    assert again.digest.hexdigest() == server.digest.hexdigest()


async def repeated_command(server: Server, clock: Clock, district: District) -> None:
    await clock.sleep(30)
    dock = district.docks[0]
    look = {
        "flight_id": "L1",
        "target_latitude": dock.position.lat_deg + 0.0005,
        "target_longitude": dock.position.lon_deg,
        "target_height": dock.height_ellipsoid_m + 50,
    }
    body = {"tid": "same", "bid": "b", "method": "takeoff_to_point", "data": look}
    for _ in range(3):
        await server.bus.publish(topics.services(dock.sn), orjson.dumps(body))
        await clock.sleep(30)


def test_a_repeated_command_is_answered_alike_and_flown_once(tmp_path: Path) -> None:
    server = live(tmp_path, repeated_command)
    replies = [s for c, s in server.said if c == "services_reply"]
    assert len(replies) == 3
    assert replies[0] == replies[1] == replies[2]
    counts = read_counts(tmp_path / "counters.bin")
    assert (counts["takeoffs"], counts["repeated_commands"]) == (1, 2)


def test_an_event_without_reply_is_repeated_and_then_given_up(tmp_path: Path) -> None:
    server = live(tmp_path, repeated_command, rate=1.0, deaf_to="takeoff_to_point_progress")
    tids = Counter(s["tid"] for c, s in server.said if c == "events")
    assert max(tids.values()) >= 5
    assert max(tids.values()) <= 10
    assert read_counts(tmp_path / "counters.bin")["events_repeated"] >= 4


def test_what_is_not_a_command_is_passed_over(tmp_path: Path) -> None:
    async def story(server: Server, clock: Clock, district: District) -> None:
        await clock.sleep(20)
        for junk in (b"", b"{", b"[]", b'{"tid":5}', b'{"tid":"x","method":7,"data":[]}'):
            await server.bus.publish(topics.services(district.docks[0].sn), junk)
        await patrol(server, clock, district)

    server = live(tmp_path, story)
    assert server.told("flighttask_progress")[-1] == "ok"
