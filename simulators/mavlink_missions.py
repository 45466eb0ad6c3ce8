"""The vehicle's side of MAVLink's mission protocol: taking missions in, giving them out.

It asks for each item and takes only the one it asked for; what comes twice or too early it lets
fall and asks again. After silence it asks again each 250 ms, five times, then cancels.
"""

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Message = tuple[str, dict[str, Any]]
Fields = Mapping[str, Any]

MISSION, FENCE, RALLY = 0, 1, 2
ACCEPTED, UNSUPPORTED_FRAME, UNSUPPORTED, NO_SPACE = 0, 2, 3, 4
INVALID_PARAM1, INVALID_X, INVALID_Y, INVALID_Z = 6, 10, 11, 12
INVALID_SEQUENCE, DENIED, CANCELLED = 13, 14, 15
ITEMS_LIMIT = 2000
ASK_AGAIN_S = 0.25
TRIES = 5
PLACED_FRAMES = (0, 3, 5, 6)
NO_PLACE = 2
RELATIVE_FRAMES = (3, 6)
HEIGHT_LIMIT_M = 500.0
NAVIGATE = (16, 19, 20, 21, 22)
"""WAYPOINT, LOITER_TIME, RETURN_TO_LAUNCH, LAND, TAKEOFF: what the vehicle flies to or does."""
DO = (178, 195, 197, 203, 205, 206, 530, 1000, 2000, 2001, 2500, 2501)
"""Speed, regions of interest, camera and gimbal: done on the way."""
COMMANDS = {MISSION: (*NAVIGATE, *DO), FENCE: (5001, 5002, 5003, 5004), RALLY: (5100,)}


@dataclass(frozen=True, slots=True)
class Item:
    """One stored item, as it came: x and y in 1e-7 degrees where the frame has a place."""

    frame: int
    command: int
    p1: float
    p2: float
    p3: float
    p4: float
    x: int
    y: int
    z: float
    autocontinue: int

    @property
    def relative(self) -> bool:
        return self.frame in RELATIVE_FRAMES


@dataclass(frozen=True, slots=True)
class Incoming:
    """An upload under way: who sends it, how much of it is here, when the next was asked for."""

    sender: int
    kind: int
    count: int
    items: tuple[Item, ...] = ()
    asked_s: float = 0.0
    tries: int = 1


@dataclass(slots=True)
class Missions:
    """What a vehicle holds, by mission_type. Times are the vehicle's seconds since it was made."""

    stored: dict[int, tuple[Item, ...]] = field(default_factory=dict)
    incoming: Incoming | None = None
    changed: int = 0
    """How often a mission (type 0) was replaced."""
    _finished: Incoming | None = None

    @property
    def items(self) -> tuple[Item, ...]:
        return self.stored.get(MISSION, ())

    def opaque_id(self, kind: int) -> int:
        """Return the name of what is stored: equal for equal items, 0 for none."""
        items = self.stored.get(kind, ())
        return zlib.crc32(repr(items).encode()) or 1 if items else 0

    def hear(self, name: str, said: Fields, sender: int, now_s: float) -> list[Message] | None:
        """Return the answers to a message of the mission protocol; None to any other."""
        answer = {
            "MISSION_COUNT": self._count,
            "MISSION_ITEM_INT": self._item,
            "MISSION_REQUEST_LIST": self._list,
            "MISSION_REQUEST_INT": self._request,
            "MISSION_REQUEST": self._request,
            "MISSION_CLEAR_ALL": self._clear,
            "MISSION_ACK": self._ack,
        }.get(name)
        return None if answer is None else answer(said, sender, now_s)

    def tick(self, now_s: float) -> list[Message]:
        """Ask again for an item that does not come; give the upload up after TRIES."""
        incoming = self.incoming
        if incoming is None or now_s - incoming.asked_s < ASK_AGAIN_S:
            return []
        if incoming.tries >= TRIES:
            self.incoming = None
            return [self._acked(incoming.sender, incoming.kind, CANCELLED)]
        self.incoming = replace(incoming, tries=incoming.tries + 1, asked_s=now_s)
        return [self._ask(incoming)]

    def _count(self, said: Fields, sender: int, now_s: float) -> list[Message]:
        kind, count = int(said["mission_type"]), int(said["count"])
        if kind not in COMMANDS:
            return [self._acked(sender, kind, UNSUPPORTED)]
        if self.incoming is not None and self.incoming.sender != sender:
            return [self._acked(sender, kind, DENIED)]
        if count > ITEMS_LIMIT:
            return [self._acked(sender, kind, NO_SPACE)]
        self.incoming = Incoming(sender, kind, count, asked_s=now_s)
        if count == 0:
            return [self._finish(self.incoming)]
        return [self._ask(self.incoming)]

    def _item(self, said: Fields, sender: int, now_s: float) -> list[Message]:
        kind, seq = int(said["mission_type"]), int(said["seq"])
        incoming = self.incoming
        if incoming is None or incoming.sender != sender or incoming.kind != kind:
            over = self._finished
            if over is not None and (over.sender, over.kind) == (sender, kind):
                # The last item again: our acknowledgement was lost.
                result = ACCEPTED if seq == over.count - 1 else INVALID_SEQUENCE
                return [self._acked(sender, kind, result)]
            return [self._acked(sender, kind, INVALID_SEQUENCE)]
        if seq != len(incoming.items):
            return [self._ask(incoming)]
        item, result = _taken(said, kind)
        if result != ACCEPTED:
            self.incoming = None
            return [self._acked(sender, kind, result)]
        incoming = replace(incoming, items=(*incoming.items, item), asked_s=now_s, tries=1)
        self.incoming = incoming
        if len(incoming.items) < incoming.count:
            return [self._ask(incoming)]
        return [self._finish(incoming)]

    def _finish(self, incoming: Incoming) -> Message:
        """The whole mission is here: it takes the place of the one before, at once."""
        self.incoming, self._finished = None, incoming
        self._keep(incoming.kind, incoming.items)
        return self._acked(incoming.sender, incoming.kind, ACCEPTED)

    def _keep(self, kind: int, items: tuple[Item, ...]) -> None:
        self.stored[kind] = items
        self.changed += kind == MISSION

    def _list(self, said: Fields, sender: int, now_s: float) -> list[Message]:
        kind = int(said["mission_type"])
        count, name = len(self.stored.get(kind, ())), self.opaque_id(kind)
        return [("MISSION_COUNT", _to(sender, kind) | {"count": count, "opaque_id": name})]

    def _request(self, said: Fields, sender: int, now_s: float) -> list[Message]:
        kind, seq = int(said["mission_type"]), int(said["seq"])
        items = self.stored.get(kind, ())
        if not 0 <= seq < len(items):
            return [self._acked(sender, kind, INVALID_SEQUENCE)]
        item = items[seq]
        return [("MISSION_ITEM_INT", _to(sender, kind) | {
            "seq": seq, "frame": item.frame, "command": item.command, "current": 0,
            "autocontinue": item.autocontinue, "param1": item.p1, "param2": item.p2,
            "param3": item.p3, "param4": item.p4, "x": item.x, "y": item.y, "z": item.z,
        })]  # fmt: skip

    def _clear(self, said: Fields, sender: int, now_s: float) -> list[Message]:
        kind = int(said["mission_type"])
        for each in (MISSION, FENCE, RALLY) if kind == 255 else (kind,):
            self._keep(each, ())
        return [self._acked(sender, kind, ACCEPTED)]

    def _ack(self, said: Fields, sender: int, now_s: float) -> list[Message]:
        """A ground station ends its reading with one, or breaks an upload off."""
        incoming = self.incoming
        if incoming is not None and incoming.sender == sender and said["type"] != ACCEPTED:
            self.incoming = None
        return []

    def _ask(self, incoming: Incoming) -> Message:
        to = _to(incoming.sender, incoming.kind)
        return "MISSION_REQUEST_INT", to | {"seq": len(incoming.items)}

    def _acked(self, sender: int, kind: int, result: int) -> Message:
        name = self.opaque_id(kind) if result == ACCEPTED else 0
        return "MISSION_ACK", _to(sender, kind) | {"type": result, "opaque_id": name}


def _taken(said: Fields, kind: int) -> tuple[Item, int]:
    """Return the item of a message, and whether this vehicle can fly it."""
    item = Item(
        int(said["frame"]), int(said["command"]), said["param1"], said["param2"], said["param3"],
        said["param4"], int(said["x"]), int(said["y"]), said["z"], int(said["autocontinue"]),
    )  # fmt: skip
    if item.command not in COMMANDS[kind]:
        return item, UNSUPPORTED
    if item.frame != NO_PLACE and item.frame not in PLACED_FRAMES:
        return item, UNSUPPORTED_FRAME
    flown = kind == MISSION and item.command in (16, 19, 21, 22)
    if flown and item.frame == NO_PLACE:
        return item, UNSUPPORTED_FRAME
    if item.frame != NO_PLACE and abs(item.x) > 900_000_000:
        return item, INVALID_X
    if item.frame != NO_PLACE and abs(item.y) > 1_800_000_000:
        return item, INVALID_Y
    if flown and not (math.isfinite(item.z) and abs(item.z) <= 10_000.0):
        return item, INVALID_Z
    if flown and item.relative and item.z > HEIGHT_LIMIT_M:
        return item, INVALID_Z
    if item.command in (16, 19) and item.p1 < 0.0:
        return item, INVALID_PARAM1
    return item, ACCEPTED


def _to(sender: int, kind: int) -> dict[str, Any]:
    return {"target_system": sender, "target_component": 0, "mission_type": kind}
