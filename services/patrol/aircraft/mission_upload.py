"""The ground's side of MAVLink's mission protocol: uploading items, and reading them back. Pure.

MISSION_COUNT → MISSION_REQUEST_INT → MISSION_ITEM_INT … → MISSION_ACK. The vehicle asks for each
item; whatever it asks is answered, in any order and as often as it asks. Silence is answered by
saying the last thing again, a limited number of times (MAVLink mission protocol: 1500 ms, 250 ms
for items, 5 tries). Messages are (name, fields) of the common dialect; times are seconds.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from services.patrol.aircraft.mission_items import ITEMS_LIMIT, MissionItem

Message = tuple[str, dict[str, Any]]
Fields = Mapping[str, Any]

ACCEPTED, INVALID_SEQUENCE = 0, 13
RESULTS = {
    1: "error", 2: "frame not supported", 3: "command not supported", 4: "no space left",
    5: "an invalid parameter", 6: "param1 invalid", 7: "param2 invalid", 8: "param3 invalid",
    9: "param4 invalid", 10: "x (param5) invalid", 11: "y (param6) invalid",
    12: "z (param7) invalid", 13: "item out of sequence", 14: "denied",
    15: "cancelled by the vehicle",
}  # fmt: skip
"""MAV_MISSION_RESULT in words."""


@dataclass(frozen=True, slots=True)
class ProtocolPolicy:
    """Waits in seconds; `tries` counts every sending of one message."""

    timeout_s: float = 1.5
    item_timeout_s: float = 0.25
    tries: int = 5


@dataclass(frozen=True, slots=True)
class Peer:
    """The vehicle spoken to: its system and its autopilot component."""

    system: int
    component: int = 1


@dataclass(frozen=True, slots=True)
class Upload:
    """An upload under way. `failed` says why in words; `done` when the vehicle has it all.

    `asked` are the items the vehicle has asked for; `last` is what is said again after silence.
    """

    peer: Peer
    items: tuple[MissionItem, ...]
    mission_type: int
    policy: ProtocolPolicy
    said_at_s: float
    last: Message
    asked: frozenset[int] = frozenset()
    tries: int = 1
    resent: int = 0
    done: bool = False
    failed: str = ""
    opaque_id: int | None = None


def begin_upload(
    peer: Peer,
    items: tuple[MissionItem, ...],
    at_s: float,
    mission_type: int = 0,
    policy: ProtocolPolicy | None = None,
) -> tuple[Upload, list[Message]]:
    """Return an upload and its first message. Raises ValueError for more items than fit."""
    if len(items) > ITEMS_LIMIT:
        raise ValueError(f"a mission has at most {ITEMS_LIMIT} items, got {len(items)}")
    count = ("MISSION_COUNT", _to(peer, mission_type) | {"count": len(items), "opaque_id": 0})
    return Upload(peer, items, mission_type, policy or ProtocolPolicy(), at_s, count), [count]


def hear_upload(
    upload: Upload, name: str, said: Fields, at_s: float
) -> tuple[Upload, list[Message]]:
    """Take one message of the vehicle; return what to say to it."""
    if upload.done or upload.failed or said.get("mission_type", 0) != upload.mission_type:
        return upload, []
    if name in ("MISSION_REQUEST_INT", "MISSION_REQUEST"):
        return _asked(upload, int(said["seq"]), at_s)
    if name == "MISSION_ACK":
        return _acknowledged(upload, said, at_s), []
    return upload, []


def _asked(upload: Upload, seq: int, at_s: float) -> tuple[Upload, list[Message]]:
    if not 0 <= seq < len(upload.items):
        failed = f"the vehicle asked for item {seq} of {len(upload.items)}"
        refusal = _to(upload.peer, upload.mission_type) | {"type": INVALID_SEQUENCE}
        return replace(upload, failed=failed), [("MISSION_ACK", refusal)]
    item = item_message(upload.peer, seq, upload.items[seq], upload.mission_type)
    upload = replace(
        upload,
        said_at_s=at_s,
        last=item,
        tries=1,
        resent=upload.resent + (seq in upload.asked),
        asked=upload.asked | {seq},
    )
    return upload, [item]


def _acknowledged(upload: Upload, said: Fields, at_s: float) -> Upload:
    kind = int(said["type"])
    if kind == INVALID_SEQUENCE:
        # Said of an item that came twice or too early: the vehicle asks on.
        return replace(upload, said_at_s=at_s)
    if kind != ACCEPTED:
        return replace(upload, failed=RESULTS.get(kind, f"refused with {kind}"))
    if len(upload.asked) < len(upload.items):
        # The end of an earlier upload, late: this one's items were not asked for yet.
        return upload
    return replace(upload, done=True, opaque_id=_opaque(said))


def tick_upload(upload: Upload, at_s: float) -> tuple[Upload, list[Message]]:
    """Say the last thing again after silence; give up after the policy's tries."""
    waited_s = at_s - upload.said_at_s
    if upload.done or upload.failed or waited_s < upload.policy.timeout_s:
        return upload, []
    if upload.tries >= upload.policy.tries:
        what = f"{upload.last[0]} {upload.last[1].get('seq', '')}".strip()
        failed = f"no answer to {what} sent {upload.tries} times"
        return replace(upload, failed=failed), []
    again = replace(upload, tries=upload.tries + 1, resent=upload.resent + 1, said_at_s=at_s)
    return again, [upload.last]


@dataclass(frozen=True, slots=True)
class Download:
    """A reading of what the vehicle holds. `count` is None until it told; `items` come in order."""

    peer: Peer
    mission_type: int
    policy: ProtocolPolicy
    said_at_s: float
    last: Message
    count: int | None = None
    items: tuple[MissionItem, ...] = ()
    tries: int = 1
    resent: int = 0
    done: bool = False
    failed: str = ""
    opaque_id: int | None = None


def begin_download(
    peer: Peer, at_s: float, mission_type: int = 0, policy: ProtocolPolicy | None = None
) -> tuple[Download, list[Message]]:
    """Return a download and its first message."""
    ask = ("MISSION_REQUEST_LIST", _to(peer, mission_type))
    return Download(peer, mission_type, policy or ProtocolPolicy(), at_s, ask), [ask]


def hear_download(
    download: Download, name: str, said: Fields, at_s: float
) -> tuple[Download, list[Message]]:
    """Take one message of the vehicle; an item out of order is dropped, its like asked again."""
    if download.done or download.failed:
        return download, []
    if said.get("mission_type", 0) != download.mission_type:
        return download, []
    if name == "MISSION_COUNT" and download.count is None:
        download = replace(download, count=int(said["count"]), opaque_id=_opaque(said))
        return _ask_next(download, at_s)
    if name == "MISSION_ITEM_INT" and download.count is not None:
        if int(said["seq"]) != len(download.items):
            return download, []
        item = item_of(said)
        return _ask_next(replace(download, items=(*download.items, item)), at_s)
    if name == "MISSION_ACK" and int(said["type"]) not in (ACCEPTED, INVALID_SEQUENCE):
        kind = int(said["type"])
        return replace(download, failed=RESULTS.get(kind, f"refused with {kind}")), []
    return download, []


def _ask_next(download: Download, at_s: float) -> tuple[Download, list[Message]]:
    to = _to(download.peer, download.mission_type)
    if len(download.items) == download.count:
        return replace(download, done=True), [("MISSION_ACK", to | {"type": ACCEPTED})]
    ask = ("MISSION_REQUEST_INT", to | {"seq": len(download.items)})
    return replace(download, said_at_s=at_s, last=ask, tries=1), [ask]


def tick_download(download: Download, at_s: float) -> tuple[Download, list[Message]]:
    """Ask again after silence; give up after the policy's tries."""
    policy = download.policy
    limit_s = policy.timeout_s if download.count is None else policy.item_timeout_s
    if download.done or download.failed or at_s - download.said_at_s < limit_s:
        return download, []
    if download.tries >= policy.tries:
        what = f"{download.last[0]} {download.last[1].get('seq', '')}".strip()
        return replace(download, failed=f"no answer to {what} sent {download.tries} times"), []
    again = replace(
        download, tries=download.tries + 1, resent=download.resent + 1, said_at_s=at_s
    )
    return again, [download.last]


def item_message(peer: Peer, seq: int, item: MissionItem, mission_type: int = 0) -> Message:
    """Return MISSION_ITEM_INT: degrees as 1e-7 integers, other x and y as they are."""
    scale = 1e7 if item.placed else 1.0
    return "MISSION_ITEM_INT", _to(peer, mission_type) | {
        "seq": seq, "frame": item.frame, "command": item.command,
        "current": int(seq == 0 and mission_type == 0), "autocontinue": int(item.autocontinue),
        "param1": item.p1, "param2": item.p2, "param3": item.p3, "param4": item.p4,
        "x": _whole(item.x * scale), "y": _whole(item.y * scale), "z": item.z,
    }  # fmt: skip


def item_of(said: Fields) -> MissionItem:
    """Return the item of a MISSION_ITEM_INT."""
    item = MissionItem(
        int(said["command"]), int(said["frame"]), float(said["param1"]), float(said["param2"]),
        float(said["param3"]), float(said["param4"]), float(said["x"]), float(said["y"]),
        float(said["z"]), bool(said["autocontinue"]),
    )  # fmt: skip
    return replace(item, x=item.x / 1e7, y=item.y / 1e7) if item.placed else item


def as_sent(item: MissionItem) -> MissionItem:
    """Return an item with the precision of the wire: 1e-7 degrees, 32-bit floats."""
    def single(value: float) -> float:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])

    scale = 1e7 if item.placed else 1.0
    return replace(
        item,
        p1=single(item.p1), p2=single(item.p2), p3=single(item.p3), p4=single(item.p4),
        x=_whole(item.x * scale) / scale, y=_whole(item.y * scale) / scale, z=single(item.z),
    )  # fmt: skip


def same_items(a: tuple[MissionItem, ...], b: tuple[MissionItem, ...]) -> bool:
    """Tell whether two missions are the same on the wire; an open parameter equals an open one."""
    return [_key(as_sent(i)) for i in a] == [_key(as_sent(i)) for i in b]


def _key(item: MissionItem) -> tuple[Any, ...]:
    values = (item.p1, item.p2, item.p3, item.p4, item.x, item.y, item.z)
    return (item.command, item.frame, *(None if math.isnan(v) else v for v in values))


def _to(peer: Peer, mission_type: int) -> dict[str, Any]:
    return {
        "target_system": peer.system,
        "target_component": peer.component,
        "mission_type": mission_type,
    }


def _whole(value: float) -> int:
    return 0 if math.isnan(value) else round(value)


def _opaque(said: Fields) -> int | None:
    """The vehicle's name for the mission it holds; 0, or a dialect without it, is none."""
    return int(said["opaque_id"]) or None if "opaque_id" in said else None
