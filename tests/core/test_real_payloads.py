"""Real devices' bytes on every topic we read: taken or refused with a reason, never a crash."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from domain.observation import DeviceEvent, EventState, Refusal
from services.ingest.decode import decode
from services.ingest.devices import Devices
from services.ingest.heard import Heard
from simulators.district import generate

REAL = Path(__file__).resolve().parents[3] / "shared/data/real"
FOLDERS = ("onvif_axis_events", "frigate_events", "dji_srt", "flight_logs")
AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
DISTRICT = generate(7)
DEVICES = Devices.of(DISTRICT)
CAMERA = DISTRICT.cameras[0].sn
DOCK, DRONE = DISTRICT.docks[0].sn, DISTRICT.docks[0].drone_sn
TOPICS = (
    f"thing/product/{DRONE}/osd", f"thing/product/{DOCK}/events", f"thing/product/{DOCK}/drc/up",
    f"sys/product/{DOCK}/status", f"gridwing/telemetry/{DRONE}", "frigate/reviews",
    "onvif-ej/RuleEngine/Motion", f"onvif/{CAMERA}/onvif-mj/VideoAnalytics/a/b",
)  # fmt: skip


@pytest.mark.skipif(not REAL.is_dir(), reason="the shared real payloads are not beside this tree")
@pytest.mark.parametrize("folder", FOLDERS)
def test_real_payloads_of_other_vendors_are_refused_with_a_reason(folder: str) -> None:
    files = [p for p in sorted((REAL / folder).iterdir()) if p.is_file() and p.name != "SOURCE.txt"]
    assert files
    for path in files:
        for topic in TOPICS:
            said = decode(topic, path.read_bytes(), AT, DEVICES)
            if path.suffix == ".json" and "onvif-mj" in topic:
                continue  # JSON without a Frame tells of nothing
            assert isinstance(said, Refusal), (path, topic)
            assert said.reason


@pytest.mark.skipif(not REAL.is_dir(), reason="the shared real payloads are not beside this tree")
def test_a_real_frigate_event_is_taken_of_a_camera_of_that_name() -> None:
    said = (REAL / "frigate_events/frigate_events_update.jsonc").read_text()
    bare = re.sub(r"\s//[^\n]*", "", said).encode()
    devices = replace(DEVICES, kinds={**DEVICES.kinds, "front_door": DEVICES.kinds[CAMERA]})
    heard = decode("frigate/events", bare, AT, devices)
    assert isinstance(heard, Heard), heard
    (event,) = heard.observations
    assert isinstance(event, DeviceEvent)
    assert (event.label, event.state, event.score) == ("person", EventState.UPDATED, 0.87890625)
    assert event.time_clamped


@pytest.mark.skipif(not REAL.is_dir(), reason="the shared real payloads are not beside this tree")
def test_real_axis_messages_decode_as_json_and_are_told_what_to_set_as_xml() -> None:
    topic = f"onvif/{CAMERA}/onvif-ej/Device/Sensor/PIR"
    heard = decode(topic, (REAL / "onvif_axis_events/mqtt_pir.json").read_bytes(), AT, DEVICES)
    assert isinstance(heard, Heard), heard
    (event,) = heard.observations
    assert isinstance(event, DeviceEvent)
    assert (event.label, event.state) == ("sensor_pir", EventState.ENDED)
    for path in (REAL / "onvif_axis_events").glob("*.xml"):
        refused = decode(topic, path.read_bytes(), AT, DEVICES)
        assert isinstance(refused, Refusal)
        assert "set the event broker" in refused.reason
