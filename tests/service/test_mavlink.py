"""The bridge against mavsdk: what it reads of our vehicle in flight is what is in the database."""

import asyncio
import math
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from domain.place import Position
from gridwing.broker import Broker
from gridwing.cluster import DatabaseUrls
from runtime.clock import wall_clock
from runtime.database import Pool
from simulators.district import generate
from simulators.mavlink_radio import Radio, fly
from simulators.mavlink_vehicle import MavlinkVehicle, VehicleOptions
from tests.service.ingest_town import town

REASON = "no mavsdk or pymavlink is installed: they have no wheel for this machine"
pytest.importorskip("pymavlink.dialects.v20.common", reason=REASON)
mavsdk = pytest.importorskip("mavsdk.asyncio", reason=REASON)
action = pytest.importorskip("mavsdk.asyncio.plugins.action", reason=REASON)
telemetry = pytest.importorskip("mavsdk.asyncio.plugins.telemetry", reason=REASON)

ROOT = Path(__file__).resolve().parents[2]
DISTRICT = generate(7)
DRONE = DISTRICT.drones[0].sn
DOCKED = DISTRICT.docks[0].position
HOME = Position(round(DOCKED.lat_deg, 6), round(DOCKED.lon_deg, 6))
SYSTEM = 3
WAIT_S = 20.0
TAKE_OFF_M = 4.0
GOAL = Position(round(HOME.lat_deg + 0.00008, 7), HOME.lon_deg)
HEADING_TOLERANCE_DEG = 0.011
"""Telemetry has hundredths of a degree."""


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@dataclass
class Read:
    """Everything mavsdk told while it listened."""

    positions: list[Any] = field(default_factory=list)
    velocities: list[Any] = field(default_factory=list)
    attitudes: list[Any] = field(default_factory=list)
    batteries: list[Any] = field(default_factory=list)


async def until(updates: AsyncIterator[Any], holds: Callable[[Any], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        async for one in updates:
            if holds(one):
                return


@asynccontextmanager
async def bridge(broker: Broker, port: int, status: int) -> AsyncIterator[None]:
    """The real program, with the account of a device."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gridwing", "mavlink", "--listen", f"udp://127.0.0.1:{port}",
        "--device", f"{SYSTEM}={DRONE}", "--rate", "10", cwd=ROOT,
        env={"PATH": os.environ["PATH"], "MQTT_URL": broker.device_url,
             "GRIDWING_STATUS_PORT": str(status)},
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(WAIT_S), httpx.AsyncClient(trust_env=False) as client:
            while True:
                assert process.returncode is None, (await process.communicate())[1].decode()
                try:
                    if (await client.get(f"http://127.0.0.1:{status}/readyz")).is_success:
                        break
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
        yield
        assert process.returncode is None
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        _, said = await process.communicate()
        assert process.returncode == 0, said.decode()


async def disturb(port: int) -> None:
    """Noise, a stranger, and another vehicle under the same number, until cancelled."""
    clock = wall_clock()
    lost = Position(1.0, 2.0)
    twin = MavlinkVehicle(VehicleOptions(SYSTEM, lost), clock.now())
    stranger = MavlinkVehicle(VehicleOptions(SYSTEM + 1, lost), clock.now())
    where = [("127.0.0.1", port)]
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(fly(twin, where, clock))
        tasks.create_task(fly(stranger, where, clock))
        radio = Radio(twin, where)
        noise = radio.pack(*twin.home_position())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            while True:
                for datagram in (b"\xfd" * 300, noise[:-1], bytes(2500), noise[::-1]):
                    out.sendto(datagram, where[0])
                await asyncio.sleep(0.1)


async def flight(system: Any, read: Read) -> None:
    """Arm, take off, go over and land by mavsdk's own calls, writing down what it tells."""
    told, commands = telemetry.TelemetryAsync(system), action.ActionAsync(system)

    async def write(updates: AsyncIterator[Any], into: list[Any]) -> None:
        async for one in updates:
            into.append(one)  # noqa: PERF401  (each as it comes: the stream has no end)

    writing = [
        asyncio.create_task(write(updates, into))
        for updates, into in (
            (told.subscribe_position(), read.positions),
            (told.subscribe_velocity_ned(), read.velocities),
            (told.subscribe_attitude_euler(), read.attitudes),
            (told.subscribe_battery(), read.batteries),
        )
    ]
    try:
        await until(told.subscribe_health_all_ok(), bool)
        with pytest.raises(action.ActionError, match="DENIED"):
            await commands.takeoff()
        await commands.set_takeoff_altitude(TAKE_OFF_M)
        await commands.arm()
        await commands.takeoff()
        await until(told.subscribe_position(), lambda p: p.relative_altitude_m > TAKE_OFF_M - 0.6)
        await until(told.subscribe_in_air(), bool)
        msl_m = VehicleOptions(SYSTEM, HOME).ground_msl_m
        await commands.goto_location(GOAL.lat_deg, GOAL.lon_deg, msl_m + TAKE_OFF_M, math.nan)
        await until(told.subscribe_position(), lambda p: p.latitude_deg > GOAL.lat_deg - 0.000015)
        await commands.land()
        await until(told.subscribe_armed(), lambda armed: not armed)
    finally:
        for task in writing:
            task.cancel()
        await asyncio.gather(*writing, return_exceptions=True)
        told.destroy()
        commands.destroy()


async def rows(pool: Pool) -> list[dict[str, Any]]:
    columns = (
        "at", "received_at", "lat_deg", "lon_deg", "height_ellipsoid_m", "height_rel_m",
        "heading_deg", "speed_m_s", "climb_m_s", "battery_pct", "phase", "cell_code", "flags",
    )  # fmt: skip
    async with pool.connection() as connection:
        cursor = await connection.execute(
            f"SELECT {', '.join(columns)} FROM telemetry WHERE device_sn = %s ORDER BY at", [DRONE]
        )
        return [dict(zip(columns, row, strict=True)) for row in await cursor.fetchall()]


async def settled(count: Callable[[], Awaitable[int]]) -> None:
    """Wait until a second has brought no more."""
    before, now = -1, await count()
    async with asyncio.timeout(WAIT_S):
        while before != now:
            await asyncio.sleep(1.0)
            before, now = now, await count()


async def test_what_mavsdk_reads_in_flight_is_what_is_stored(
    database_urls: DatabaseUrls, broker: Broker, tmp_path: Path
) -> None:
    clock, read = wall_clock(), Read()
    port, peer = free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM)
    status = free_port(socket.SOCK_STREAM)
    vehicle = MavlinkVehicle(VehicleOptions(SYSTEM, HOME), clock.now())
    where = [("127.0.0.1", peer), ("127.0.0.1", port)]
    ground = mavsdk.Configuration.create_with_component_type(mavsdk.ComponentType.GROUND_STATION)
    async with town(
        database_urls, broker.url, DISTRICT, clock.now(), "mavlink", tmp_path
    ) as on, mavsdk.Mavsdk(ground) as station:  # fmt: skip
        await station.add_any_connection(f"udpin://127.0.0.1:{peer}")
        async with bridge(broker, port, status):
            flying = asyncio.create_task(fly(vehicle, where, clock))
            system = await station.first_autopilot(WAIT_S)
            assert await system.get_system_id() == SYSTEM
            disturbing = asyncio.create_task(disturb(port))
            await flight(system, read)
            for task in (flying, disturbing):
                task.cancel()
            await asyncio.gather(flying, disturbing, return_exceptions=True)

            async def count() -> int:
                return len(await rows(on.pool))

            await settled(count)
            async with httpx.AsyncClient(trust_env=False) as client:
                metrics = (await client.get(f"http://127.0.0.1:{status}/metrics")).text
        kept, counts = await rows(on.pool), await on.store.counts()
    assert counts == {"telemetry": len(kept), "dead_letters": 0}
    assert f'gridwing_mavlink_samples_total{{outcome="published"}} {len(kept)}.0' in metrics
    for outcome in ("bad", "stranger", "second_address"):
        assert f'gridwing_mavlink_messages_total{{outcome="{outcome}"}}' in metrics
    compare(kept, read)


def compare(kept: list[dict[str, Any]], read: Read) -> None:
    """Hold each row against what mavsdk told; rows of before it listened are passed over."""
    geoid_m = VehicleOptions(SYSTEM, HOME).geoid_m
    places = {
        (round(p.latitude_deg, 7), round(p.longitude_deg, 7), round(p.relative_altitude_m, 3)): p
        for p in read.positions
    }
    speeds = {round(math.hypot(v.north_m_s, v.east_m_s), 2) for v in read.velocities}
    climbs = {round(-v.down_m_s, 2) for v in read.velocities}
    headings = {round(a.yaw_deg % 360, 2) for a in read.attitudes}
    left_pct = {b.remaining_percent for b in read.batteries}
    aloft = [row for row in kept if row["height_rel_m"] > 0]
    assert len(aloft) > 0.9 * len([p for p in read.positions if p.relative_altitude_m > 0])
    for row in aloft:
        told = places[(row["lat_deg"], row["lon_deg"], round(row["height_rel_m"], 3))]
        assert row["height_ellipsoid_m"] == pytest.approx(
            told.absolute_altitude_m + geoid_m, abs=0.002
        )
        assert any(abs(row["speed_m_s"] - one) < 0.011 for one in speeds)
        assert any(abs(row["climb_m_s"] - one) < 0.011 for one in climbs)
        assert any(abs(row["heading_deg"] - one) < HEADING_TOLERANCE_DEG for one in headings)
        assert row["battery_pct"] in left_pct
    phases = [row["phase"] for row in kept]
    changes = [now for before, now in zip([None, *phases], phases, strict=False) if now != before]
    assert changes == ["idle", "taking_off", "holding", "landing", "idle"]
    steps_ms = [round((b["at"] - a["at"]) / timedelta(milliseconds=1)) for a, b in pairwise(kept)]
    assert min(steps_ms) == 200, "the vehicle's own instants"
    assert steps_ms.count(200) > 0.8 * len(steps_ms)
    assert {row["flags"] for row in kept} == {0}
    assert all(row["cell_code"] for row in kept if row["lat_deg"] is not None)
    delays_s = [(row["received_at"] - row["at"]).total_seconds() for row in kept]
    assert 0 <= max(delays_s) < WAIT_S
