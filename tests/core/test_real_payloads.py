"""Real devices' bytes on every topic we read: taken or refused with a reason, never a crash."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from domain.observation import Refusal
from services.ingest.decode import decode
from services.ingest.devices import Devices
from simulators.district import generate

REAL = Path(__file__).resolve().parents[3] / "shared/data/real"
FOLDERS = ("onvif_axis_events", "frigate_events", "dji_srt", "flight_logs")
AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
DISTRICT = generate(7)
DEVICES = Devices.of(DISTRICT)
DOCK, DRONE = DISTRICT.docks[0].sn, DISTRICT.docks[0].drone_sn
TOPICS = (
    f"thing/product/{DRONE}/osd", f"thing/product/{DOCK}/events", f"thing/product/{DOCK}/drc/up",
    f"sys/product/{DOCK}/status", f"gridwing/telemetry/{DRONE}", "frigate/reviews",
    "onvif-ej/RuleEngine/Motion",
)  # fmt: skip


@pytest.mark.skipif(not REAL.is_dir(), reason="the shared real payloads are not beside this tree")
@pytest.mark.parametrize("folder", FOLDERS)
def test_real_payloads_of_other_vendors_are_refused_with_a_reason(folder: str) -> None:
    files = [p for p in sorted((REAL / folder).iterdir()) if p.is_file() and p.name != "SOURCE.txt"]
    assert files
    for path in files:
        for topic in TOPICS:
            said = decode(topic, path.read_bytes(), AT, DEVICES)
            assert isinstance(said, Refusal), (path, topic)
            assert said.reason
