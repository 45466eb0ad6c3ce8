"""kill -9 of the ingest process in mid-stream: what was sent is what is stored, each once."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg

from domain.district import District
from gridwing.broker import Broker
from gridwing.cluster import DatabaseUrls
from runtime.bus import MqttBus
from runtime.clock import wall_clock
from simulators.district import generate
from tests.service.ingest_town import register

ROOT = Path(__file__).resolve().parent.parent.parent
DISTRICT: District = generate(7)
MESSAGES = 3000
RATE_PER_S = 500
KILLS_AT = (700, 1900)
WAIT_S = 25.0


def start(urls: DatabaseUrls, broker: Broker, folder: Path) -> subprocess.Popen[bytes]:
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": urls.service,
        "MQTT_URL": broker.url,
        "GRIDWING_DATA_DIR": str(folder),
        "GRIDWING_SLOT": f"kill-{os.getpid()}",
    }
    with (folder / "ingest.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "gridwing", "ingest"],
            env=environment, cwd=ROOT, stdout=log, stderr=log,
        )  # fmt: skip


def stored(urls: DatabaseUrls) -> tuple[int, int]:
    with psycopg.connect(urls.service) as connection:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM telemetry), (SELECT count(*) FROM dead_letter)"
        ).fetchone()
    assert row is not None
    return row[0], row[1]


async def until_stored(urls: DatabaseUrls, count: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while (await asyncio.to_thread(stored, urls))[0] < count:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


async def say(bus: MqttBus, number: int) -> None:
    drone = DISTRICT.drones[number % len(DISTRICT.drones)]
    stamp_ms = int(wall_clock().wall_s() * 1000)
    data = {"mode_code": 5, "latitude": 22.54, "longitude": 113.35, "elevation": 80.0}
    body = {"tid": str(number), "timestamp": stamp_ms, "gateway": drone.gateway_sn, "data": data}
    await bus.publish(f"thing/product/{drone.sn}/osd", json.dumps(body).encode())


async def test_a_killed_ingest_loses_and_doubles_nothing(
    database_urls: DatabaseUrls, broker: Broker, tmp_path: Path
) -> None:
    register(database_urls, DISTRICT, wall_clock().now())
    process = start(database_urls, broker, tmp_path)
    loop = asyncio.get_running_loop()
    try:
        async with MqttBus(broker.device_url, "test-kill-devices") as bus:
            # The session exists once a first message has come through.
            first = 0
            async with asyncio.timeout(WAIT_S):
                while (await asyncio.to_thread(stored, database_urls))[0] == 0:
                    await say(bus, MESSAGES + first)
                    first += 1
                    await asyncio.sleep(0.2)
            await asyncio.sleep(0.5)
            before = stored(database_urls)[0]
            began = loop.time()
            for number in range(MESSAGES):
                await say(bus, number)
                if number in KILLS_AT:
                    process.send_signal(signal.SIGKILL)
                    process.wait()
                    process = start(database_urls, broker, tmp_path)
                await asyncio.sleep(max(0.0, began + number / RATE_PER_S - loop.time()))
        await until_stored(database_urls, before + MESSAGES)
        await asyncio.sleep(1.0)
        assert stored(database_urls) == (before + MESSAGES, 0)
    finally:
        process.kill()
        process.wait()
    # The restarted part has mended what the killed one was recording.
    assert await asyncio.to_thread(lambda: list(tmp_path.glob("recordings/*.flight.mcap")))
