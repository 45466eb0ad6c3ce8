"""The acknowledged reader on a real broker: killed, cut off, flooded, it loses nothing."""

import asyncio
import sys
from pathlib import Path
from subprocess import PIPE, Popen

import pytest

from gridwing.broker import Broker, start_broker
from runtime.bus import MemoryBus, Message, MqttBus
from runtime.intake import BATCH_LIMIT_MESSAGES, Intake, MemoryIntake, MqttIntake

ROOT = Path(__file__).resolve().parent.parent.parent
QUIET_S = 1.5
READER = """
import asyncio, os, sys
from runtime.intake import MqttIntake
async def main(url, name, topic, path):
    with open(path, "ab") as kept:
        async with MqttIntake(url, name, [topic]) as intake:
            print("reading", flush=True)
            while True:
                batch = await intake.batch()
                kept.write(b"".join(m.payload + b"\\n" for m in batch))
                kept.flush()
                os.fsync(kept.fileno())
                await intake.acknowledge(batch)
asyncio.run(main(*sys.argv[1:]))
"""


async def drain(intake: Intake, *, acknowledge: bool = True) -> list[Message]:
    """Read until nothing comes for QUIET_S."""
    messages: list[Message] = []
    while True:
        try:
            async with asyncio.timeout(QUIET_S):
                batch = await intake.batch()
        except TimeoutError:
            return messages
        assert 1 <= len(batch) <= BATCH_LIMIT_MESSAGES
        messages += batch
        if acknowledge:
            await intake.acknowledge(batch)


async def publish(bus: MqttBus | MemoryBus, topic: str, first: int, count: int) -> None:
    for at in range(first, first + count, 50):
        numbers = range(at, min(at + 50, first + count))
        await asyncio.gather(*(bus.publish(topic, str(n).encode()) for n in numbers))


def payloads(messages: list[Message]) -> list[int]:
    return sorted({int(m.payload) for m in messages})


async def connected(intake: MqttIntake) -> None:
    async with asyncio.timeout(10):
        while not intake.connected:  # noqa: ASYNC110  (set by the client's own thread)
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)  # until the broker has taken the subscription


async def test_what_was_not_acknowledged_comes_again(broker_url: str) -> None:
    topic, name = "gridwing/telemetry/again", "test-again"
    async with MqttBus(broker_url, "test-again-out") as bus:
        async with MqttIntake(broker_url, name, [topic]) as intake:
            await connected(intake)
            await publish(bus, topic, 0, 20)
            first = await drain(intake)
            await publish(bus, topic, 20, 10)
            unsafe = await drain(intake, acknowledge=False)
        await publish(bus, topic, 30, 5)
        async with MqttIntake(broker_url, name, [topic]) as intake:
            again = await drain(intake)
    assert payloads(first) == list(range(20))
    assert payloads(unsafe) == list(range(20, 30))
    assert payloads(again) == list(range(20, 35))
    assert sum(m.duplicate for m in again) == 10


async def test_a_flood_waits_at_the_broker(broker_url: str) -> None:
    topic, limit = "gridwing/telemetry/flood", 100
    async with (
        MqttBus(broker_url, "test-flood-out") as bus,
        MqttIntake(broker_url, "test-flood", [topic], high_water_messages=limit) as intake,
    ):
        await connected(intake)
        await publish(bus, topic, 0, 1500)
        assert limit <= len(intake._messages) < 1500, "reading goes on only by what was in flight"
        assert payloads(await drain(intake)) == list(range(1500))


def start_reader(url: str, name: str, topic: str, path: Path) -> Popen[bytes]:
    command = [sys.executable, "-c", READER, url, name, topic, str(path)]
    process = Popen(command, cwd=ROOT, stdout=PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"reading\n"
    return process


async def test_killing_the_reader_loses_nothing(broker_url: str, tmp_path: Path) -> None:
    topic, name, path = "gridwing/telemetry/kill", "test-kill", tmp_path / "kept"
    async with MqttIntake(broker_url, name, [topic]) as intake:
        await connected(intake)  # the session exists from here on
    kills = 0
    async with MqttBus(broker_url, "test-kill-out") as bus:
        for first in range(0, 3000, 1000):
            reader = await asyncio.to_thread(start_reader, broker_url, name, topic, path)
            sending = asyncio.create_task(publish(bus, topic, first, 1000))
            await asyncio.sleep(0.3)
            with reader:  # closes its pipe and waits
                reader.kill()
            kills += 1
            await sending
    async with MqttIntake(broker_url, name, [topic]) as intake:
        rest = await drain(intake)
    kept = {int(line) for line in path.read_bytes().splitlines() if line}
    assert kept | set(payloads(rest)) == set(range(3000))
    assert kills == 3
    assert kept


@pytest.fixture
def own_broker() -> Broker:
    return start_broker(ROOT, "test-intake", fresh=True)


async def test_a_restarted_broker_is_found_again(own_broker: Broker) -> None:
    topic = "gridwing/telemetry/restart"
    with own_broker:
        async with (
            MqttBus(own_broker.url, "test-restart-out") as bus,
            MqttIntake(own_broker.url, "test-restart", [topic]) as intake,
        ):
            await connected(intake)
            await publish(bus, topic, 0, 10)
            unsafe = await drain(intake, acknowledge=False)
            await asyncio.to_thread(own_broker.restart)
            await publish(bus, topic, 10, 10)
            again = await drain(intake)
        own_broker.stop(erase=True)
    assert payloads(unsafe) == list(range(10))
    assert payloads(again) == list(range(20))


async def test_in_memory_it_reads_the_same() -> None:
    bus = MemoryBus()
    async with MemoryIntake(bus, ["gridwing/telemetry/+"]) as intake:
        count = BATCH_LIMIT_MESSAGES + 200
        await publish(bus, "gridwing/telemetry/a", 0, count)
        await publish(bus, "elsewhere", count, 1)
        first = await intake.batch()
        assert [int(m.payload) for m in first] == list(range(BATCH_LIMIT_MESSAGES))
        assert payloads(await drain(intake)) == list(range(BATCH_LIMIT_MESSAGES, count))
