"""ONVIF Profile M over MQTT: rules, properties, metadata boxes; XML is told what to set."""

from datetime import UTC, datetime
from pathlib import Path

from domain.observation import DeviceEvent, EventSeverity, EventState, Refusal
from services.ingest.decode import decode
from services.ingest.devices import Devices
from services.ingest.heard import Heard
from simulators.district import generate

FOLDER = Path(__file__).parent.parent / "data/onvif"
AT = datetime(2026, 11, 23, 8, 3, 21, tzinfo=UTC)
DISTRICT = generate(7)
DEVICES = Devices.of(DISTRICT)
CAMERA = DISTRICT.cameras[0].sn
EVENTS = f"onvif/{CAMERA}/onvif-ej"
METADATA = f"onvif/{CAMERA}/onvif-mj/VideoAnalytics/profile/module"


def events(topic: str, payload: bytes) -> list[DeviceEvent]:
    heard = decode(topic, payload, AT, DEVICES)
    assert isinstance(heard, Heard), heard
    return [said for said in heard.observations if isinstance(said, DeviceEvent)]


def test_a_rule_crossed_is_one_instant_with_a_key_of_its_own() -> None:
    topic, payload = f"{EVENTS}/RuleEngine/LineDetector/Crossed/&1/2", FOLDER / "line.json"
    (said,) = events(topic, payload.read_bytes())
    assert (said.label, said.state) == ("line_detector_crossed", EventState.INSTANT)
    assert (said.severity, said.time_clamped) == (EventSeverity.NOTICE, False)
    (again,) = events(topic, payload.read_bytes())
    (other,) = events(topic, payload.read_bytes().replace(b"88", b"89"))
    assert said.key == again.key != other.key


def test_a_property_begins_and_ends_as_text_number_or_truth() -> None:
    topic, payload = f"{EVENTS}/RuleEngine/FieldDetector/ObjectsInside", FOLDER / "field.json"
    for value, state in ((b'"true"', "begun"), (b"true", "begun"), (b"1", "begun"),
                         (b'"0"', "ended"), (b"false", "ended")):  # fmt: skip
        (said,) = events(topic, payload.read_bytes().replace(b'"true"', value))
        assert said.state.value == state
    (gone,) = events(topic, payload.read_bytes().replace(b"Changed", b"Deleted"))
    assert gone.state is EventState.ENDED


def test_a_metadata_box_is_turned_upright_and_private_parts_are_dropped() -> None:
    payload = (FOLDER / "frame.json").read_bytes()
    (said,) = events(METADATA, payload)
    assert (said.label, said.severity, said.score) == ("fire", EventSeverity.ALERT, 0.9)
    box = said.box
    assert box is not None
    shares = [round(v, 6) for v in (box.x0, box.y0, box.x1, box.y1)]
    assert shares == [0.1, 0.1, 0.3, 0.3]
    assert not any(word in repr(said) for word in ("PLATE-TEXT", "FACE-NAME", "GEO"))
    (unsure,) = events(METADATA, payload.replace(b'"0.9"', b'"0.2"'))
    assert unsure.severity is EventSeverity.NOTICE


def test_other_metadata_is_only_acknowledged() -> None:
    assert decode(f"onvif/{CAMERA}/onvif-mj/PTZ/a/b", b"{}", AT, DEVICES) == Heard()


def test_what_cannot_be_taken_says_what_to_do() -> None:
    for topic, payload, reason in (
        (EVENTS + "/A/B", b"<?xml version='1.0'?>", f"topic prefix onvif/{CAMERA}"),
        (EVENTS + "/A/B", b'{"UtcTime": "soon"}', "UtcTime must be"),
        ("onvif/STRANGER/onvif-ej/A", b"{}", "not registered"),
        (METADATA, b'{"Frame": 1}', "Frame must be"),
    ):
        said = decode(topic, payload, AT, DEVICES)
        assert isinstance(said, Refusal)
        assert reason in said.reason
