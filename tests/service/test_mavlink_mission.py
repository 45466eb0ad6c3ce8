"""Missions over real UDP: ours to the simulated vehicle, and mavsdk's, which also flies one."""

import asyncio
import math
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gridwing.wayline_cli import wayline
from runtime.clock import wall_clock
from services.patrol.aircraft.mission_items import MissionItem, mission_items
from services.patrol.aircraft.mission_upload import item_message
from services.patrol.aircraft.qgc_plan import Plan, RallyPoint, fence_items, keep_out, plan_text
from services.patrol.mission_link import MissionLink, NoVehicle, upload
from simulators.mavlink_radio import fly
from simulators.mavlink_vehicle import MavlinkVehicle, VehicleOptions
from tests.core.patrol_scene import no_fly
from tests.core.test_mission_upload import HOME, ITEMS, PEER, route

REASON = "no mavsdk or pymavlink is installed: they have no wheel for this machine"
dialect = pytest.importorskip("pymavlink.dialects.v20.common", reason=REASON)
mavwp = pytest.importorskip("pymavlink.mavwp", reason=REASON)
mavsdk = pytest.importorskip("mavsdk.asyncio", reason=REASON)
action = pytest.importorskip("mavsdk.asyncio.plugins.action", reason=REASON)
mission_raw = pytest.importorskip("mavsdk.asyncio.plugins.mission_raw", reason=REASON)

WAIT_S = 20.0
SHORT = mission_items(route(2, 3.0), HOME)
"""Low and near: it is flown in real time."""


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@asynccontextmanager
async def vehicle(*ports: int) -> AsyncIterator[MavlinkVehicle]:
    clock = wall_clock()
    made = MavlinkVehicle(VehicleOptions(1, HOME), clock.now())
    flying = asyncio.create_task(fly(made, [("127.0.0.1", port) for port in ports], clock))
    try:
        yield made
    finally:
        flying.cancel()
        await asyncio.gather(flying, return_exceptions=True)


@asynccontextmanager
async def bad_line(ours: int, theirs: int, seed: int) -> AsyncIterator[None]:
    """Sit between vehicle (which sends to `theirs`) and us (`ours`): lose, double and swap."""
    chance, loop = random.Random(seed), asyncio.get_running_loop()
    near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    near.bind(("127.0.0.1", 0))
    far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    far.bind(("127.0.0.1", theirs))
    for sock in (near, far):
        sock.setblocking(False)
    vehicle_at: list[Any] = []

    async def carry(source: socket.socket, out: socket.socket, upward: bool) -> None:
        while True:
            data, address = await loop.sock_recvfrom(source, 2048)
            if upward:
                vehicle_at[:] = [address]
            to = ("127.0.0.1", ours) if upward else (vehicle_at or [None])[0]
            if to is None or chance.random() < 0.15:
                continue
            delay_s = 0.15 * chance.random() if chance.random() < 0.3 else 0.0
            for _ in range(1 + (chance.random() < 0.2)):
                loop.call_later(delay_s, out.sendto, data, to)

    tasks = [
        asyncio.create_task(carry(far, near, upward=True)),
        asyncio.create_task(carry(near, far, upward=False)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.2)
        near.close()
        far.close()


async def test_our_upload_arrives_whole_and_is_read_back() -> None:
    port = free_port()
    plan = Plan(
        ITEMS, HOME, polygons=keep_out([no_fly(0, 0, 90, 50)]), rally=(RallyPoint(HOME, 20.0),)
    )
    async with vehicle(port) as made:
        done = await upload(MissionLink.load(1), "127.0.0.1", port, ITEMS)
        assert (done.items, done.resent) == (len(ITEMS), 0)
        fence = await upload(MissionLink.load(1), "127.0.0.1", port, fence_items(plan), 1)
        assert fence.items == 4
        assert [len(items) for _, items in sorted(made.missions.stored.items())] == [len(ITEMS), 4]
        bad = (*ITEMS, MissionItem(31_000, 2))
        with pytest.raises(NoVehicle, match="command not supported"):
            await upload(MissionLink.load(1), "127.0.0.1", port, bad)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_our_upload_survives_a_line_that_loses_doubles_and_swaps(seed: int) -> None:
    ours, theirs = free_port(), free_port()
    async with vehicle(theirs) as made, bad_line(ours, theirs, seed):
        done = await upload(MissionLink.load(1), "127.0.0.1", ours, ITEMS)
    assert done.items == len(made.missions.items) == len(ITEMS)


async def test_nobody_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.patrol.mission_link.HEARD_WITHIN_S", 0.3)
    with pytest.raises(NoVehicle, match="no heartbeat of system 1"):
        await upload(MissionLink.load(1), "127.0.0.1", free_port(), ITEMS)


async def test_the_command_uploads_a_file_with_its_fence(tmp_path: Path) -> None:
    port = free_port()
    plan = Plan(ITEMS, HOME, polygons=keep_out([no_fly(0, 0, 90, 50)]))
    (tmp_path / "a.plan").write_text(plan_text(plan))
    args = ["upload", str(tmp_path / "a.plan"), "--listen", f"udp://127.0.0.1:{port}"]
    async with vehicle(port) as made:
        done = await asyncio.to_thread(CliRunner().invoke, wayline, args)
    assert done.exit_code == 0, done.output
    assert f"mission: {len(ITEMS)} items" in done.output
    assert "fence: 4 items" in done.output
    assert [len(made.missions.stored[kind]) for kind in (0, 1)] == [len(ITEMS), 4]


def test_items_are_what_pymavlink_packs_and_its_waypoint_file_holds(tmp_path: Path) -> None:
    from services.patrol.aircraft.qgc_waypoints import read_waypoints, waypoints_text

    packer = dialect.MAVLink(None, 255, 190)
    for seq, item in enumerate(ITEMS):
        _, fields = item_message(PEER, seq, item)
        packed = packer.mission_item_int_encode(**fields).pack(packer)
        (message,) = dialect.MAVLink(None).parse_buffer(bytearray(packed))
        said = {key: getattr(message, key) for key in message.get_fieldnames()}
        for key, meant in fields.items():
            if isinstance(meant, float):
                (meant,) = struct.unpack("<f", struct.pack("<f", meant))  # noqa: PLW2901
            assert said[key] == meant or (math.isnan(said[key]) and math.isnan(meant)), key
    text = waypoints_text(Plan(ITEMS, HOME, 11.0))
    (tmp_path / "m.waypoints").write_text(text)
    theirs = mavwp.MAVWPLoader()
    assert theirs.load(str(tmp_path / "m.waypoints")) == len(ITEMS) + 1
    theirs.save(str(tmp_path / "again.waypoints"))
    again = read_waypoints((tmp_path / "again.waypoints").read_bytes())
    assert [i.command for i in again.items] == [i.command for i in ITEMS]
    for mine, read in zip(read_waypoints(text.encode()).items, again.items, strict=True):
        assert (read.x, read.y, read.z) == pytest.approx((mine.x, mine.y, mine.z), abs=1e-6)


def raw(items: tuple[MissionItem, ...]) -> list[Any]:
    """Return our items in mavsdk's own type."""
    made = []
    for seq, item in enumerate(items):
        _, f = item_message(PEER, seq, item)
        params = [f[f"param{i}"] for i in range(1, 5)]
        made.append(mission_raw.MissionItem(
            seq, f["frame"], f["command"], f["current"], f["autocontinue"], *params,
            f["x"], f["y"], f["z"], 0,
        ))  # fmt: skip
    return made


def plain(items: list[Any]) -> list[tuple[Any, ...]]:
    return [(i.seq, i.frame, i.command, i.x, i.y, pytest.approx(i.z, abs=1e-4)) for i in items]


async def test_mavsdk_reads_our_plan_uploads_it_and_flies_it() -> None:
    port = free_port()
    ground = mavsdk.Configuration.create_with_component_type(mavsdk.ComponentType.GROUND_STATION)
    async with vehicle(port) as made, mavsdk.Mavsdk(ground) as station:
        await station.add_any_connection(f"udpin://127.0.0.1:{port}")
        system = await station.first_autopilot(WAIT_S)
        missions, commands = mission_raw.MissionRawAsync(system), action.ActionAsync(system)
        try:
            plan = Plan(SHORT, HOME, 11.0, polygons=keep_out([no_fly(0, 0, 90, 50)]))
            read = await missions.import_qgroundcontrol_mission_from_string(plan_text(plan))
            assert [i.command for i in read.mission_items] == [i.command for i in SHORT]
            assert len(read.geofence_items) == 4
            async with asyncio.timeout(WAIT_S):
                await missions.upload_mission(raw(SHORT))
                held = await missions.download_mission()
            assert plain(held) == plain(raw(SHORT))
            await commands.arm()
            await missions.start_mission()
            seen: list[tuple[int, int]] = []

            async def watch() -> None:
                async for progress in missions.subscribe_mission_progress():
                    seen.append((progress.current, progress.total))  # noqa: PERF401  (no end)

            watching = asyncio.create_task(watch())
            async with asyncio.timeout(90.0):
                while made.mission_state != 5:  # noqa: ASYNC110  (the vehicle tells nobody)
                    await asyncio.sleep(0.2)
            await asyncio.sleep(1.2)
            watching.cancel()
            assert seen[-1][1] == len(SHORT)
            assert max(current for current, _ in seen) >= len(SHORT) - 1
            async with asyncio.timeout(WAIT_S):
                await missions.clear_mission()
            assert made.missions.items == ()
        finally:
            missions.destroy()
            commands.destroy()
