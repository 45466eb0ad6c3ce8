"""A recording plays into a scratch system, touches nothing else, and leaves nothing behind."""

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from domain.codec import canonical
from gridwing.cluster import Cluster
from runtime.bus import Message
from runtime.clock import Clock, wall_clock
from runtime.ledger_memory import MemoryLedger
from services.ingest.devices import Devices
from services.ingest.keep import Keeper
from services.ingest.mcap_file import McapFile
from services.ingest.record import FlightRecorder
from services.ingest.store_memory import MemoryIngestStore
from simulators.district import generate
from simulators.recording import read

ROOT = Path(__file__).resolve().parent.parent.parent
FILES = sorted((ROOT / "tests/data/dji/conversation").glob("*.json"))
DISTRICT = generate(7)
DRONE = DISTRICT.docks[0].drone_sn
EPOCH = datetime.fromtimestamp(1795401600, UTC)
# Somebody else's servers: never looked at.
FOREIGN = {"DATABASE_URL": "postgresql://x@127.0.0.1:1/none", "MQTT_URL": "mqtt://127.0.0.1:1"}


async def recorded(folder: Path) -> Path:
    """Record the written conversation at the times its messages name."""
    recorder = FlightRecorder(folder, DISTRICT)
    keeper = Keeper(
        MemoryLedger(), MemoryIngestStore(), DISTRICT, Clock(EPOCH, wall_clock().wall_s())
    )
    for path in FILES:
        topic = path.stem.partition("-")[2].replace("~", "/")
        if topic.endswith("services_reply"):
            continue
        payload = path.read_bytes()
        at = datetime.fromtimestamp(json.loads(payload)["timestamp"] / 1000, UTC)
        message = Message(topic, payload)
        await recorder.take([message], keeper.read([message], at).columns, at)
    recorder.close()
    (file,) = await asyncio.to_thread(lambda: list(folder.glob("*.flight.mcap")))
    return file


async def test_a_recording_replays_into_a_scratch_system_and_leaves_nothing(
    tmp_path: Path, cluster: Cluster
) -> None:
    file = await recorded(tmp_path)
    before = set(cluster.databases())
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "gridwing", "replay", str(file), "--rate", "32", "--json"],
        cwd=ROOT, capture_output=True, text=True, timeout=90, check=False,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8", **FOREIGN},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    said = read([file]).said
    assert figures["said"] == len(said) >= 25
    assert figures["stored"] == sum(s.topic.endswith(("osd", "drc/up")) for s in said)
    assert figures["dead_letters"] == 0
    (drone,) = [p for p in figures["positions"] if p["device_sn"] == DRONE]
    assert drone["phase"] == "idle"
    assert [i["kind"] for i in figures["incidents"]] == ["device_fault"]
    assert {n for n in cluster.databases() if n.startswith("replay_")} <= before


async def test_commands_and_the_servers_own_words_are_never_played(tmp_path: Path) -> None:
    path = tmp_path / "x.flight.mcap"
    file = McapFile(path)
    file.write("/district", EPOCH, canonical(DISTRICT).encode())
    for topic in (f"thing/product/{DISTRICT.docks[0].sn}/services", "gridwing/frame/x", "else"):
        file.write(f"/raw/{topic}", EPOCH + timedelta(seconds=1), b"{}", encoding="")
    file.close()
    recording = read([path])
    assert (recording.said, recording.refused) == ((), 3)
    assert Devices.of(recording.district) == Devices.of(DISTRICT)
