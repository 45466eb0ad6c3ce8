"""Frigate's reviews through the real broker: one ledger entry for each change, none twice."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from domain.events import DeviceEventNoted
from gridwing.broker import Broker
from gridwing.cluster import DatabaseUrls
from simulators.district import generate
from tests.service.ingest_town import town

FOLDER = Path(__file__).parent.parent / "data/frigate"
NAMES = ("review-1-new", "review-2-update", "review-2-update", "review-3-end", "review-1-new")
DISTRICT = generate(7)
CAMERA = DISTRICT.cameras[0]
EPOCH = datetime.fromtimestamp(1795421042, UTC)
WAIT_S = 15.0


async def test_a_review_is_told_begun_raised_and_ended(
    database_urls: DatabaseUrls, broker: Broker, tmp_path: Path
) -> None:
    async with town(database_urls, broker.url, DISTRICT, EPOCH, "cameras", tmp_path) as on:
        for name in NAMES:
            said = (FOLDER / f"{name}.json").read_bytes()
            await on.bus.publish("frigate/reviews", said.replace(b"CAMERA", CAMERA.sn.encode()))
        last = (FOLDER / "event-new.json").read_bytes()
        await on.bus.publish("frigate/events", last.replace(b"CAMERA", CAMERA.sn.encode()))
        noted: list[DeviceEventNoted] = []
        async with asyncio.timeout(WAIT_S):
            while not any(e.label == "car" for e in noted):
                await asyncio.sleep(0.1)
                entries = await on.entries()
                noted = [e.event for e in entries if isinstance(e.event, DeviceEventNoted)]
        counts = await on.store.counts()
    assert [(e.label, e.state.value, e.severity.value) for e in noted] == [
        ("person", "begun", "notice"), ("smoke", "updated", "alert"), ("smoke", "ended", "alert"),
        ("car", "begun", "notice"),
    ]  # fmt: skip
    assert {(e.device_sn, e.position, e.stale) for e in noted} == {
        (CAMERA.sn, CAMERA.position, False)
    }
    assert counts["dead_letters"] == 0
