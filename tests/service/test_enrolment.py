"""An enrolled device's account: its own topics and nobody else's, until it is revoked."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import aiomqtt
import pytest

from gridwing.broker import Broker, start_broker
from gridwing.cluster import DatabaseUrls
from gridwing.enrolment import with_topics
from runtime.clock import wall_clock
from simulators.district import generate
from tests.service.ingest_town import register

ROOT = Path(__file__).resolve().parents[2]
DISTRICT = generate(7)
DOCK, OTHER = DISTRICT.docks[0], DISTRICT.docks[1]
WAIT_S = 10


def gridwing(urls: DatabaseUrls, broker: Broker, *words: str) -> str:
    files = ["--passwords", str(broker.folder / "passwords")]
    files += ["--acl", str(broker.folder / "mosquitto.acl")]
    done = subprocess.run(
        [sys.executable, "-m", "gridwing", "device", *words, *files],
        cwd=ROOT, env={"PATH": os.environ["PATH"], "DATABASE_URL": urls.service},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGHUP)
    return done.stdout


def client(broker: Broker, account: str, password: str) -> aiomqtt.Client:
    return aiomqtt.Client(
        "127.0.0.1", broker.port, username=account, password=password, identifier=account
    )


async def test_an_enrolled_dock_speaks_for_itself_and_its_aircraft_only(
    database_urls: DatabaseUrls,
) -> None:
    register(database_urls, DISTRICT, wall_clock().now())
    broker = start_broker(ROOT, f"test-enrol-{os.getpid()}", fresh=True)
    try:
        told = await asyncio.to_thread(gridwing, database_urls, broker, "enrol", DOCK.sn, "--json")
        password = json.loads(told)["password"]
        service = broker.url.removeprefix("mqtt://").partition("@")[0].partition(":")[2]
        await asyncio.sleep(0.5)
        async with client(broker, "gridwing", service) as reader:
            await reader.subscribe("thing/product/#", qos=1)
            async with client(broker, DOCK.sn, password) as dock:
                await dock.publish(f"thing/product/{OTHER.sn}/osd", b"forged", qos=1)
                await dock.publish(f"thing/product/{DOCK.sn}/services", b"forged", qos=1)
                await dock.publish(f"thing/product/{DOCK.drone_sn}/osd", b"aircraft", qos=1)
                await dock.publish(f"thing/product/{DOCK.sn}/osd", b"own", qos=1)
                async with asyncio.timeout(WAIT_S):
                    got = [(await anext(reader.messages)).payload for _ in range(2)]
                assert got == [b"aircraft", b"own"]
        await asyncio.to_thread(gridwing, database_urls, broker, "revoke", DOCK.sn)
        await asyncio.sleep(0.5)
        with pytest.raises(aiomqtt.MqttError):
            async with client(broker, DOCK.sn, password):
                pass
    finally:
        broker.stop(erase=True)


def test_one_block_is_replaced_and_the_others_stay() -> None:
    text = "user a\ntopic read #\n\nuser b\ntopic write b\n"
    once = with_topics(text, "c", ["c/up"], ["c/down"])
    assert once == text + "\nuser c\ntopic write c/up\ntopic read c/down\n"
    assert with_topics(once, "c", ["c/up"], ["c/down"]) == once
    assert with_topics(once, "c", [], []) == text
    assert "topic write b" not in with_topics(text, "b", [], [])
