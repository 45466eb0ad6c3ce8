"""SIGKILL of the real patrol part at each step of prepare and execute: nobody takes off twice."""

import asyncio
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from domain.events import MissionEnded, MissionStepIntended
from gridwing.cluster import DatabaseUrls
from runtime.bus import MqttBus
from runtime.clock import Clock, wall_clock
from runtime.database import open_pool
from runtime.ledger import Ledger, PostgresLedger, sequence
from runtime.registry import save
from services.patrol.store import PostgresPatrolStore
from tests.core.patrol_scene import EPOCH, CountingDock, district
from tests.service.test_patrol_loop import running

ROOT = Path(__file__).resolve().parents[2]
RATE = 30.0
DEADLINE_S = 120.0
DISTRICT = district()


class Part:
    """`gridwing patrol` in a process of its own."""

    def __init__(self, urls: DatabaseUrls, broker_url: str, clock: Clock, data: Path) -> None:
        self._environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "DATABASE_URL": urls.service,
            "MQTT_URL": broker_url,
            "GRIDWING_DATA_DIR": str(data),
            "GRIDWING_SIMULATION": "1",
            "GRIDWING_CLOCK_EPOCH": clock.epoch.isoformat(),
            "GRIDWING_CLOCK_STARTED": repr(clock.started_wall_s),
            "GRIDWING_CLOCK_RATE": repr(clock.rate),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gridwing", "patrol"],
            cwd=ROOT,
            env=self._environment,
            stderr=subprocess.DEVNULL,
        )

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()


async def intended(urls: DatabaseUrls, step: str) -> None:
    """Wait until the intent of a step is committed, looked at as often as the server answers."""
    async with await psycopg.AsyncConnection.connect(urls.service, autocommit=True) as connection:
        query = "SELECT 1 FROM ledger WHERE kind = %s AND data->>'step' = %s LIMIT 1"
        while True:
            found = await connection.execute(query, [MissionStepIntended.KIND, step])
            if await found.fetchone() is not None:
                return


async def done(ledger: Ledger, dock: CountingDock) -> None:
    """Wait until a mission has ended and the dock has flown one home."""
    while True:
        ended = [e.event for e in await ledger.read(0) if isinstance(e.event, MissionEnded)]
        if ended and dock.takeoffs and dock.flying is None:
            return
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("step", ["prepare", "execute"])
@pytest.mark.parametrize("moment", ["intended", "heard", "answered"])
async def test_killed_at_a_step_the_flight_takes_off_at_most_once(
    moment: str, step: str, database_urls: DatabaseUrls, broker_url: str, tmp_path: Path
) -> None:
    clock: Clock = replace(wall_clock(), epoch=EPOCH, rate=RATE)
    with psycopg.connect(database_urls.owner) as connection:
        save(connection, DISTRICT, EPOCH)
    part = Part(database_urls, broker_url, clock, tmp_path)
    own = DISTRICT.docks[0]
    async with (
        open_pool(database_urls.service) as pool,
        MqttBus(broker_url, "patrol-kill-dock") as bus,
    ):
        ledger = PostgresLedger(pool)
        dock = CountingDock(own.sn, bus, ledger, clock, own.position, own.drone_sn)
        hit = asyncio.Event()

        def at(method: str) -> bool:
            """The dock has carried the command out and has not answered yet."""
            if method == f"flighttask_{step}" and not hit.is_set():
                if moment == "heard":
                    part.kill()
                hit.set()
            return False

        dock.mute = at
        async with asyncio.timeout(DEADLINE_S), running(dock.run(), sequence(pool)):
            part.start()
            try:
                if moment == "intended":
                    await intended(database_urls, step)
                    part.kill()
                else:
                    await hit.wait()
                    if moment == "answered":
                        await asyncio.sleep(0.05)
                        part.kill()
                part.start()
                await done(ledger, dock)
            finally:
                part.kill()
        assert all(count == 1 for count in dock.takeoffs.values()), dock.takeoffs
        heard = [tid for _, tid in dock.heard]
        assert len(heard) == len(set(heard))
        steps = [e.event for e in await ledger.read(0) if isinstance(e.event, MissionStepIntended)]
        tids = [s.transaction_id for s in steps]
        assert len(tids) == len(set(tids))
        # The new process commands under a token of its own.
        assert {s.lease for s in steps} <= {1, 2}
        assert (await PostgresPatrolStore(pool).sky.leases())[own.drone_sn] == ("0", 2)
        assert (await ledger.verify()).ok
