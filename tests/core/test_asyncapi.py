"""docs/asyncapi.json is AsyncAPI 3.0, is what the code says now, and its examples are taken."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from domain.device import DeviceKind
from domain.observation import DeviceRequest, Refusal
from gridwing.asyncapi import AT_MS, DOCK, DRONE, document
from runtime.topics import (
    FRAME_FILTER,
    INTAKE_FILTERS,
    REQUESTS_FILTER,
    SERVICES_REPLY_FILTER,
    matches,
)
from services.ingest.answers import answer
from services.ingest.decode import adapter_of, decode
from services.ingest.devices import Devices
from services.ingest.frames import decode_frame
from services.ingest.heard import Heard
from services.patrol.conversation import RESOURCE_METHOD, TOLD
from services.patrol.flight_areas import GET_METHOD
from simulators.district import generate

ROOT = Path(__file__).resolve().parent.parent.parent
RULES = ROOT / "tests/data/asyncapi/3.0.0.json"
DOCUMENT = document()
AT = datetime.fromtimestamp(AT_MS / 1000, UTC) + timedelta(seconds=1)
DEVICES = Devices({DOCK: DeviceKind.DOCK, DRONE: DeviceKind.DRONE}, {DOCK: DRONE}, {})
EXAMPLES = [
    (channel, message, example["payload"])
    for channel, told in DOCUMENT["channels"].items()
    for message, said in told["messages"].items()
    for example in said.get("examples", ())
]
LIMITS = [
    (name, bound, limit)
    for name, told in DOCUMENT["components"]["schemas"]["Sample"]["properties"].items()
    for part in told.get("anyOf", [told])
    for bound, limit in part.items()
    if bound in {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "maxLength"}
]


def topic_of(channel: str) -> str:
    told = DOCUMENT["channels"][channel]
    (sn,) = told["parameters"]["sn"]["examples"]
    address: str = told["address"]
    return address.replace("{sn}", sn)


def errors(channel: str, message: str, payload: Any) -> list[str]:
    schema = DOCUMENT["channels"][channel]["messages"][message]["payload"]
    whole = dict(schema) | {"components": DOCUMENT["components"]}
    return [error.message for error in jsonschema.Draft202012Validator(whole).iter_errors(payload)]


def test_it_keeps_the_rules_of_asyncapi_3_and_they_bite() -> None:
    rules = jsonschema.Draft7Validator(json.loads(RULES.read_text()))
    assert [error.message for error in rules.iter_errors(DOCUMENT)] == []
    wrong = json.loads(json.dumps(DOCUMENT))
    wrong["operations"]["receive_telemetry"]["action"] = "listen"
    assert len(list(rules.iter_errors(wrong))) == 1


def test_every_reference_leads_somewhere() -> None:
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(DOCUMENT))):
        at: Any = DOCUMENT
        for step in reference.split("/"):
            at = at[step]


def test_what_is_committed_is_what_the_code_says_now() -> None:
    committed = json.loads((ROOT / "docs/asyncapi.json").read_text(encoding="utf-8"))
    assert committed == json.loads(json.dumps(DOCUMENT)), "run `make asyncapi`"


def test_every_topic_read_or_written_down_is_a_channel() -> None:
    addresses = {told["address"] for told in DOCUMENT["channels"].values()}
    assert len(addresses) == len(DOCUMENT["channels"])
    for wanted in (*INTAKE_FILTERS, FRAME_FILTER, REQUESTS_FILTER, SERVICES_REPLY_FILTER):
        assert any(matches(wanted, address) for address in addresses), wanted
    page = (ROOT / "docs/topics.md").read_text(encoding="utf-8")
    written = set(re.findall(r"^\| `(\S*\{sn\}\S*)` \|", page, re.MULTILINE))
    assert written == {address for address in addresses if "{sn}" in address}


@pytest.mark.parametrize(("channel", "message", "payload"), EXAMPLES, ids=lambda v: str(v)[:20])
def test_an_example_fits_its_schema_and_the_adapter_takes_it(
    channel: str, message: str, payload: Any
) -> None:
    assert errors(channel, message, payload) == []
    topic = topic_of(channel)
    if DOCUMENT["operations"].get(f"receive_{channel}") and adapter_of(topic) is not None:
        heard = decode(topic, json.dumps(payload).encode(), AT, DEVICES)
        assert isinstance(heard, Heard), heard.reason
        # What docks tell of their files is answered by ingest and kept by patrol.
        kept = heard.samples or heard.observations
        assert kept or channel == "state" or message in TOLD


@pytest.mark.parametrize(("name", "bound", "limit"), LIMITS)
def test_the_limits_of_a_sample_are_the_adapters(name: str, bound: str, limit: float) -> None:
    step = -1 if "inimum" in bound else 1
    beyond: Any = limit if bound.startswith("exclusive") else limit + step
    if bound == "maxLength":
        beyond = "x" * int(limit + 1)
    sample = {"at": AT_MS} | {name: beyond}
    assert errors("telemetry", "sample", sample)
    assert isinstance(decode(topic_of("telemetry"), json.dumps(sample).encode(), AT, DEVICES),
                      Refusal)  # fmt: skip


def test_the_frame_header_of_the_document_is_the_one_decoded() -> None:
    said = DOCUMENT["channels"]["frame"]["messages"]["frame"]
    header = json.dumps(said["x-header-example"]).encode()
    schema = said["x-header"] | {"components": DOCUMENT["components"]}
    jsonschema.Draft202012Validator(schema).validate(said["x-header-example"])
    payload = len(header).to_bytes(4, "big") + header + b"\xff\xd8\xff"
    frame = decode_frame(topic_of("frame"), payload)
    assert (frame.device_sn, frame.flight_id) == (DRONE, "f-1")


def test_the_questions_told_of_are_answered() -> None:
    district = generate(7)
    for method, said in DOCUMENT["channels"]["requests"]["messages"].items():
        data = said["examples"][0]["payload"]["data"]
        asked = DeviceRequest(DOCK, method, "t", "b", AT, data)
        patrols = method in (RESOURCE_METHOD, GET_METHOD)
        assert (answer(asked, district, AT_MS) is None) == patrols
