"""Two ingest processes share the stream; one is killed for good, nothing of its share is lost."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from gridwing.broker import Broker, start_broker
from gridwing.cluster import DatabaseUrls
from gridwing.flood import Flood, packets
from runtime.clock import wall_clock
from tests.service.ingest_town import register
from tests.service.test_ingest_kill import DISTRICT, ROOT, stored

MESSAGES = 2000
WAIT_S = 30.0


def environment(urls: DatabaseUrls, broker: Broker, folder: Path, slot: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": urls.service,
        "MQTT_URL": broker.url,
        "GRIDWING_DATA_DIR": str(folder / slot),
        "GRIDWING_SLOT": slot,
    }


def start(urls: DatabaseUrls, broker: Broker, folder: Path, slot: str) -> subprocess.Popen[bytes]:
    with (folder / f"{slot}.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "gridwing", "ingest"], cwd=ROOT, stdout=log, stderr=log,
            env=environment(urls, broker, folder, slot),
        )  # fmt: skip


def flood(broker: Broker, first: int, count: int) -> None:
    now_ms = int(wall_clock().wall_s() * 1000)
    said = [
        (f"gridwing/telemetry/{DISTRICT.drones[i % 3].sn}", b'{"at": %d}' % (now_ms - 60_000 + i))
        for i in range(first, first + count)
    ]
    sender = Flood(broker.url, "test-slots-devices")
    sender.send(packets(said))
    sender.close()


async def until_stored(urls: DatabaseUrls, least: int) -> int:
    async with asyncio.timeout(WAIT_S):
        while (count := (await asyncio.to_thread(stored, urls))[0]) < least:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    return count


async def both_read(urls: DatabaseUrls, broker: Broker, folder: Path) -> int:
    """Send one message at a time until both slots are connected; return what is stored."""
    sent = 0
    async with asyncio.timeout(WAIT_S):
        while not all(  # noqa: ASYNC110
            "intake connected" in (folder / f"{slot}.log").read_text() for slot in ("a", "b")
        ):
            await asyncio.sleep(0.2)
    await asyncio.sleep(0.5)
    await asyncio.to_thread(flood, broker, 900_000, 10)
    sent += 10
    return await until_stored(urls, sent)


async def test_the_share_of_a_slot_that_is_gone_is_taken_in_by_retiring_it(
    database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    register(database_urls, DISTRICT, wall_clock().now())
    broker = start_broker(ROOT, f"test-slots-{os.getpid()}", fresh=True)
    parts = [start(database_urls, broker, tmp_path, slot) for slot in ("a", "b")]
    try:
        before = await both_read(database_urls, broker, tmp_path)
        sending = asyncio.create_task(asyncio.to_thread(flood, broker, 0, MESSAGES))
        await asyncio.sleep(0.05)
        parts[1].send_signal(signal.SIGKILL)
        parts[1].wait()
        await sending
        await asyncio.to_thread(flood, broker, MESSAGES, MESSAGES)
        await asyncio.sleep(1.5)
        held = before + 2 * MESSAGES - (await asyncio.to_thread(stored, database_urls))[0]
        assert held >= MESSAGES // 4, "the dead slot keeps its share"
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "gridwing", "ingest", "--retire", "b"], cwd=ROOT,
            env=environment(database_urls, broker, tmp_path, "other"),
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "is retired" in done.stdout
        assert stored(database_urls) == (before + 2 * MESSAGES, 0)
        await asyncio.to_thread(flood, broker, 2 * MESSAGES, 100)
        assert await until_stored(database_urls, before + 2 * MESSAGES + 100)
    finally:
        for part in parts:
            part.kill()
            part.wait()
        broker.stop(erase=True)
