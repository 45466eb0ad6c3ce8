"""What is said on the broker as an AsyncAPI 3.0 document, out of the code that reads it. Pure.

Addresses are those of runtime.topics, our own payloads the types the adapters decode with, method
names of commands the commander's table. A topic that an adapter reads and nothing here describes
still becomes a channel.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import msgspec

from domain.observation import RETURN_GIVEN_UP
from gridwing import __version__
from runtime import topics
from services.ingest.decode import ADAPTERS
from services.ingest.fields import PAYLOAD_LIMIT_BYTES
from services.ingest.frames import HEADER_LIMIT_BYTES, JPEG_LIMIT_BYTES, FrameHeader
from services.ingest.sample import SAMPLES_LIMIT, Sample, Samples
from services.patrol.conversation import RESOURCE_METHOD
from services.patrol.flight_areas import UPDATE_METHOD
from services.patrol.orders import METHODS

SCHEMAS = "#/components/schemas/"
JSON_TYPE = "application/json"
SN = "{sn}"
DOCK, DRONE = "DOCK0001", "DRONE0001"
"""The serials of the examples."""
AT_MS = 1_795_401_600_123

Way = str
UP, DOWN, UNUSED = "receive", "send", ""
"""Seen from here, as AsyncAPI has it: what devices say is received."""


@dataclass(frozen=True, slots=True)
class Channel:
    name: str
    address: str
    way: Way
    summary: str
    messages: Mapping[str, dict[str, Any]]
    """AsyncAPI message objects by name."""
    qos: int = 1
    sn: str = DOCK
    """The serial number of its examples."""


@dataclass(frozen=True, slots=True)
class Word:
    """One method of the DJI Cloud API, with the data of an example."""

    method: str
    data: dict[str, Any] = field(default_factory=dict)
    named: bool = True
    """The message carries its `method`; osd and state do not."""


def document() -> dict[str, Any]:
    """Return the whole document as plain JSON."""
    channels = [*_dji(), *_ours()]
    channels += _undescribed(channels)
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Gridwing on MQTT",
            "version": __version__,
            "description": "What devices say to Gridwing and hear from it. `sn` is a device's "
            "serial number; a device publishes and reads under its own only.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": JSON_TYPE,
        "channels": {channel.name: _channel(channel) for channel in channels},
        "operations": {
            f"{channel.way}_{channel.name}": _operation(channel)
            for channel in channels
            if channel.way
        },
        "components": {"schemas": _schemas()},
    }


def _channel(channel: Channel) -> dict[str, Any]:
    told: dict[str, Any] = {
        "address": channel.address,
        "summary": channel.summary,
        "messages": dict(channel.messages),
    }
    serial = {"description": "Serial number of the device.", "examples": [channel.sn]}
    names = re.findall(r"{(\w+)}", channel.address)
    if names:
        told["parameters"] = {name: serial if name == "sn" else {} for name in names}
    return told


def _operation(channel: Channel) -> dict[str, Any]:
    return {
        "action": channel.way,
        "channel": {"$ref": f"#/channels/{channel.name}"},
        "bindings": {"mqtt": {"qos": channel.qos, "retain": False, "bindingVersion": "0.2.0"}},
    }


def _ours() -> list[Channel]:
    sample = {
        "at": AT_MS,
        "latitude": 22.5251,
        "longitude": 113.3558,
        "height_agl_m": 80.0,
        "heading_deg": 272.5,
        "speed_m_s": 8.2,
        "battery_pct": 63.0,
        "phase": "on_task",
    }
    one = {"$ref": f"{SCHEMAS}Sample"}
    telemetry = {
        "sample": {
            "summary": "One sample.",
            "payload": one,
            "examples": [{"name": "sample", "payload": sample}],
        },
        "samples": {
            "summary": f"Up to {SAMPLES_LIMIT} samples, {PAYLOAD_LIMIT_BYTES} bytes.",
            "payload": _inlined(Samples),
            "examples": [{"name": "samples", "payload": [sample, sample | {"at": AT_MS + 100}]}],
        },
    }
    frame = {
        "frame": {
            "contentType": "application/octet-stream",
            "summary": "4-byte big-endian header length, JSON header, JPEG.",
            "description": f"A header of at most {HEADER_LIMIT_BYTES} bytes (`x-header`), a JPEG "
            f"of at most {JPEG_LIMIT_BYTES}.",
            "payload": {
                "type": "string",
                "format": "binary",
                "maxLength": 4 + HEADER_LIMIT_BYTES + JPEG_LIMIT_BYTES,
            },
            "x-header": {"$ref": f"{SCHEMAS}FrameHeader"},
            "x-header-example": {
                "device_sn": DRONE,
                "at": "2026-11-23T05:00:01.250000Z",
                "flight_id": "f-1",
            },
        }
    }
    return [
        Channel("telemetry", topics.telemetry(SN), UP, "State of a device that can be programmed; "
                "all but `at` may be absent.", telemetry, sn=DRONE),
        Channel("frame", topics.frame(SN), UP, "A picture with its pose.", frame, 0, DRONE),
    ]  # fmt: skip


def _dji() -> list[Channel]:
    task = {"flight_id": "f-1", "current_waypoint_index": 3}
    percent = {"current_step": 25, "percent": 40}
    progress = {"status": "in_progress", "progress": percent, "ext": task}
    point = {"flight_id": "f-1", "status": "wayline_progress", "way_point_index": 0}
    hms = {"level": 2, "module": 3, "code": "0x16100083", "args": {"component_index": 0}}
    areas = {"status": "synchronized", "reason": 0, "file": {"name": "geofence_1.json"}}
    near = [{"area_id": "NF1", "area_distance": 100.1, "is_in_area": False}]
    media = {"file": {"object_key": "f-1/a.mp4", "ext": {"flight_id": "f-1"}}}
    events = (
        Word("hms", {"list": [hms]}),
        Word(RETURN_GIVEN_UP, {"sn": DOCK, "action": 1, "reason": 3}),
        Word("flight_areas_sync_progress", areas),
        Word("flight_areas_drone_location", {"drone_locations": near}),
        Word("file_upload_callback", media | {"flight_task": {"uploaded_file_count": 1}}),
        Word("flighttask_progress", {"output": progress}),
        Word("takeoff_to_point_progress", point),
        Word("fly_to_point_progress", point | {"fly_to_id": "f-1"}),
    )
    requests = (
        Word("config", {"config_type": "json", "config_scope": "product"}),
        Word("airport_bind_status", {"devices": [{"sn": DOCK}]}),
        Word("airport_organization_get", {"device_binding_code": "", "organization_id": ""}),
        Word("airport_organization_bind", {"bind_devices": [{"sn": DOCK}]}),
        Word("flight_areas_get"),
        Word("offline_map_get"),
        Word("storage_config_get", {"module": 0}),
        Word(RESOURCE_METHOD, {"flight_id": "f-1"}),
    )
    state = {"latitude": 22.5251, "longitude": 113.3558, "height": 96.5, "elevation": 80.0}
    pose = state | {"attitude_head": -87.5, "speed_x": -8.2, "speed_y": 0.1, "speed_z": 0.0}
    topology = {"sub_devices": [{"sn": DRONE}]}
    orders = [Word(method) for method in (*METHODS.values(), UPDATE_METHOD)]
    return [
        Channel("osd", topics.osd(SN), UP, "State in fragments; an absent field keeps its last "
                "value.", _words(Word("osd", state | {"mode_code": 5}, False)), sn=DRONE),
        Channel("state", topics.state(SN), UP, "States that change seldom.",
                _words(Word("state", {"home_latitude": 22.5}, False)), sn=DRONE),
        Channel("drc_up", topics.drc_up(SN), UP, "The aircraft's pose in flight, told by its "
                "gateway.", _words(Word("osd_info_push", pose))),
        Channel("drc_down", topics.drc_down(SN), UNUSED, "Stick-level control; not used.",
                _words(Word("drone_control"))),
        Channel("events", topics.events(SN), UP, "Repeated by the dock until answered.",
                _words(*events)),
        Channel("events_reply", topics.events_reply(SN), DOWN, "The answer, after the commit, "
                "with the event's own tid and bid.", _words(*_answers(events))),
        Channel("requests", topics.requests(SN), UP, "What a dock asks.", _words(*requests)),
        Channel("requests_reply", topics.requests_reply(SN), DOWN, "The answer.",
                _words(*_answers(requests))),
        Channel("services", topics.services(SN), DOWN, "Commands, sent once, never again with an "
                "unknown outcome.", _words(*orders)),
        Channel("services_reply", topics.services_reply(SN), UP, "Whether the dock took the "
                "command.", _words(*_answers(orders))),
        Channel("status", topics.status(SN), UP, "Which aircraft a gateway reaches now.",
                _words(Word("update_topo", topology))),
        Channel("status_reply", topics.status_reply(SN), DOWN, "The answer.",
                _words(Word("update_topo", {"result": 0}))),
    ]  # fmt: skip


def _answers(words: Sequence[Word]) -> list[Word]:
    return [Word(word.method, {"result": 0}) for word in words]


def _words(*words: Word) -> dict[str, dict[str, Any]]:
    return {word.method: _word(word) for word in words}


def _word(word: Word) -> dict[str, Any]:
    payload: dict[str, Any] = {"$ref": f"{SCHEMAS}DjiMessage"}
    example: dict[str, Any] = {"tid": "t-1", "bid": "b-1", "timestamp": AT_MS}
    if word.named:
        method = {"properties": {"method": {"const": word.method}}}
        payload = {"allOf": [payload, method]}
        example["method"] = word.method
    return {
        "payload": payload,
        "examples": [{"name": word.method, "payload": example | {"data": word.data}}],
    }


def _undescribed(described: Sequence[Channel]) -> list[Channel]:
    """Return a channel for each filter an adapter reads that none of the described is of."""
    found = []
    for wanted, _ in ADAPTERS:
        if any(topics.matches(wanted, channel.address) for channel in described):
            continue
        levels = [
            f"{{level{i}}}" if level in "+#" else level
            for i, level in enumerate(wanted.split("/"), 1)
        ]
        name = "_".join(level for level in wanted.split("/") if level not in "+#")
        summary = f"What a vendor says on {wanted}; see docs/devices.md."
        vendors = {"message": {"payload": {}, "summary": "As the vendor writes it."}}
        found.append(Channel(name.replace("-", "_"), "/".join(levels), UP, summary, vendors))
    return found


def _schemas() -> dict[str, Any]:
    _, ours = msgspec.json.schema_components([Sample, FrameHeader], ref_template=SCHEMAS + "{name}")
    text = {"type": "string"}
    vendors = {
        "description": "The envelope of the DJI Cloud API 1.11; the vendor's documentation has "
        "the fields of `data`.",
        "type": "object",
        "required": ["data"],
        "properties": {
            "tid": text,
            "bid": text,
            "timestamp": {"type": "integer", "description": "Unix milliseconds"},
            "gateway": text,
            "method": text,
            "need_reply": {"enum": [0, 1]},
            "data": {"type": "object"},
        },
    }
    return dict(sorted(chain(ours.items(), [("DjiMessage", vendors)])))


def _inlined(kind: Any) -> dict[str, Any]:
    """Return a type's schema, with references into the components."""
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=SCHEMAS + "{name}")
    return schema
