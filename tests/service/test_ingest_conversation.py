"""A dock's whole conversation, sent from files with mosquitto_pub, through the real servers."""

import asyncio
import json
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from domain.events import DeviceAlarmCleared, DeviceAlarmRaised, DeviceLinked, FlightProgressed
from gridwing.broker import Broker
from gridwing.cluster import DatabaseUrls
from runtime.bus import Address
from services.ingest.loop import TELL_EVERY_S
from simulators.district import generate
from simulators.recording import read
from tests.service.ingest_town import Town, town

FILES = sorted((Path(__file__).parent.parent / "data/dji/conversation").glob("*.json"))
DISTRICT = generate(7)
DOCK, DRONE = DISTRICT.docks[0].sn, DISTRICT.docks[0].drone_sn
EPOCH = datetime.fromtimestamp(1795401600, UTC)
FLIGHT = "flight-conversation-1"
WAIT_S = 15.0


def topic_of(path: Path) -> str:
    return path.stem.partition("-")[2].replace("~", "/")


def publish(url: str, path: Path) -> None:
    at = Address.of(url)
    subprocess.run(
        ["mosquitto_pub", "-h", at.host, "-p", str(at.port), "-u", str(at.username),
         "-P", str(at.password), "-q", "1", "-t", topic_of(path), "-f", str(path)],
        check=True, timeout=10,
    )  # fmt: skip


async def told(on: Town, kind: type, count: int) -> list[Any]:
    async with asyncio.timeout(WAIT_S):
        while True:
            found = [e.event for e in await on.entries() if isinstance(e.event, kind)]
            if len(found) >= count:
                return found
            await asyncio.sleep(0.1)


@pytest.mark.skipif(shutil.which("mosquitto_pub") is None, reason="mosquitto_pub is not installed")
async def test_a_docks_conversation_ends_as_positions_alarms_and_replies(
    database_urls: DatabaseUrls, broker: Broker, tmp_path: Path
) -> None:
    answered: list[tuple[str, dict[str, Any]]] = []
    async with town(database_urls, broker.url, DISTRICT, EPOCH, "conversation", tmp_path) as on:

        async def hear() -> None:
            filters = [
                f"thing/product/{DOCK}/events_reply",
                f"thing/product/{DOCK}/requests_reply",
                f"sys/product/{DOCK}/status_reply",
            ]
            async with on.bus.subscribe(filters) as messages:
                async for message in messages:
                    body = json.loads(message.payload)
                    answered.append((message.topic, body))

        hearing = asyncio.create_task(hear())
        await asyncio.sleep(0.3)
        for path in FILES:
            await asyncio.to_thread(publish, broker.device_url, path)
        linked = await told(on, DeviceLinked, 2)
        raised = await told(on, DeviceAlarmRaised, 2)
        cleared = await told(on, DeviceAlarmCleared, 2)
        flown = await told(on, FlightProgressed, 5)
        counts = await on.store.counts()
        async with asyncio.timeout(WAIT_S):
            while len(answered) < 15:  # noqa: ASYNC110  (replies come over the broker)
                await asyncio.sleep(0.1)
        await asyncio.sleep(2 * TELL_EVERY_S)
        states = {s.device_sn: s for s in (await on.store.latest())[0]}
        hearing.cancel()

    await asyncio.to_thread(check_recording, tmp_path)
    assert [e.drone_sns for e in linked] == [(DRONE,), ()]
    assert {(e.code, e.component) for e in raised} == {("0x16100083", "0/0"), ("0x12040002", "0/1")}
    assert [e.code for e in cleared] == ["0x16100083", "0x12040002"]
    assert {e.device_sn for e in raised} == {DOCK}
    # 34 % is no step: six reports of a change, not one for each message.
    assert [(e.status, e.step) for e in flown] == [
        ("sent", 0), ("in_progress", 7), ("in_progress", 25), ("in_progress", 25),
        ("in_progress", 27), ("ok", 35),
    ]  # fmt: skip
    drone, dock = states[DRONE].fields, states[DOCK].fields
    assert drone["position"] == {"lat_deg": 22.53783226, "lon_deg": 113.33784853}
    assert (drone["battery_pct"], drone["phase"], drone["height_rel_m"]) == (71, "idle", 0)
    assert (dock["battery_pct"], dock["drone_in_dock"], dock["wind_m_s"]) == (93, True, 2.4)
    telemetry = [p for p in FILES if p.stem.endswith(("osd", "up"))]
    assert counts == {"telemetry": len(telemetry), "dead_letters": 0}
    methods = [body["method"] for _, body in answered]
    assert methods.count("flighttask_progress") == 7
    assert {"config", "airport_bind_status", "offline_map_get", "storage_config_get",
            "update_topo"} <= set(methods)  # fmt: skip
    assert "flight_areas_get" not in methods, "the patrol part's to answer"
    assert all(body["data"]["result"] == 0 for _, body in answered)


def check_recording(folder: Path) -> None:
    (file,) = folder.glob("*.flight.mcap")
    recording = read([file])
    assert recording.district.docks == DISTRICT.docks
    topics = [said.topic for said in recording.said]
    assert f"thing/product/{DOCK}/drc/up" in topics
    assert topics.count(f"thing/product/{DRONE}/osd") >= 6
