"""Missions to a MAVLink vehicle over UDP: heard, uploaded, read back and compared.

It sends no heartbeat: an autopilot would believe that somebody watches over it. The dialect
(pymavlink, LGPL-3.0, an optional extra) is loaded when a link is made, and nowhere else.
"""

import asyncio
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, TypeVar, cast

import structlog

from services.patrol.aircraft.mission_items import MissionItem
from services.patrol.aircraft.mission_upload import (
    Download,
    Message,
    Peer,
    Upload,
    begin_download,
    begin_upload,
    hear_download,
    hear_upload,
    same_items,
    tick_download,
    tick_upload,
)

log = structlog.get_logger(__name__)

State = TypeVar("State", Upload, Download)

DIALECT = "pymavlink.dialects.v20.common"
GROUND_STATION, MISSION_PLANNER_COMPONENT = 255, 190
TICK_S = 0.05
HEARD_WITHIN_S = 10.0
DATAGRAM_LIMIT_BYTES = 2048
HEARD = ("MISSION_REQUEST_INT", "MISSION_REQUEST", "MISSION_ACK", "MISSION_COUNT",
         "MISSION_ITEM_INT")  # fmt: skip


class NoVehicle(RuntimeError):
    """Nobody was heard, or what was heard does not take the mission; the text says which."""


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A mission that the vehicle holds, read back equal."""

    items: int
    resent: int
    seconds: float
    opaque_id: int | None


class MissionLink(asyncio.DatagramProtocol):
    """One vehicle's end of a UDP socket; speaks to the address its heartbeat came from."""

    def __init__(self, dialect: Any, system: int) -> None:
        self._dialect, self.peer = dialect, Peer(system)
        self._packer = dialect.MAVLink(None, GROUND_STATION, MISSION_PLANNER_COMPONENT)
        self._transport: asyncio.DatagramTransport | None = None
        self._address: Any = None
        self.found, self.closed = asyncio.Event(), asyncio.Event()
        self.hear: Callable[[str, dict[str, Any]], None] = lambda _name, _said: None

    @classmethod
    def load(cls, system: int) -> Self:
        """Load the common dialect. Raises ModuleNotFoundError."""
        return cls(importlib.import_module(DIALECT), system)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not each loop's datagram transport says that it is one.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if len(data) > DATAGRAM_LIMIT_BYTES:
            return
        parser = self._dialect.MAVLink(None)
        parser.robust_parsing = True
        for message in parser.parse_buffer(data) or ():
            of = (message.get_srcSystem(), message.get_srcComponent())
            if of != (self.peer.system, self.peer.component):
                continue
            name = message.get_type()
            if name == "HEARTBEAT" and self._address is None:
                self._address = addr
                self.found.set()
            elif name in HEARD and addr == self._address:
                said = {key: getattr(message, key) for key in message.get_fieldnames()}
                if said.get("target_system") in (0, GROUND_STATION):
                    self.hear(name, said)

    def send(self, messages: list[Message]) -> None:
        assert self._transport is not None
        for name, fields in messages:
            kind = getattr(self._dialect, f"MAVLink_{name.lower()}_message")
            known = {key: value for key, value in fields.items() if key in kind.fieldnames}
            message = getattr(self._packer, f"{name.lower()}_encode")(**known)
            datagram = bytes(message.pack(self._packer))
            self._packer.seq = (self._packer.seq + 1) % 256
            self._transport.sendto(datagram, self._address)


async def upload(
    link: MissionLink, host: str, port: int, items: tuple[MissionItem, ...], mission_type: int = 0
) -> Uploaded:
    """Listen at an address, give the vehicle its mission, read it back.

    Raises NoVehicle, and OSError where the address cannot be had.
    """
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: link, local_addr=(host, port))
    began_s = loop.time()
    try:
        async with asyncio.timeout(HEARD_WITHIN_S):
            await link.found.wait()
        sent = await _send(link, items, mission_type)
        held = await _read(link, mission_type)
    except TimeoutError:
        system = link.peer.system
        raise NoVehicle(
            f"no heartbeat of system {system} in {HEARD_WITHIN_S:g} s: check --listen and --system"
        ) from None
    finally:
        transport.close()
        # The address is free again only then.
        await link.closed.wait()
    if not same_items(held.items, items):
        raise NoVehicle(f"the vehicle holds {len(held.items)} items that are not what was sent")
    seconds = round(loop.time() - began_s, 2)
    return Uploaded(len(items), sent.resent + held.resent, seconds, sent.opaque_id)


async def _send(link: MissionLink, items: tuple[MissionItem, ...], mission_type: int) -> Upload:
    begun = begin_upload(link.peer, items, _now_s(), mission_type)
    state = await _converse(link, begun, hear_upload, tick_upload)
    if state.failed:
        raise NoVehicle(f"the vehicle did not take the mission: {state.failed}")
    return state


async def _read(link: MissionLink, mission_type: int) -> Download:
    begun = begin_download(link.peer, _now_s(), mission_type)
    state = await _converse(link, begun, hear_download, tick_download)
    if state.failed:
        raise NoVehicle(f"the vehicle does not give the mission back: {state.failed}")
    return state


async def _converse(
    link: MissionLink,
    begun: tuple[State, list[Message]],
    take: Callable[[State, str, dict[str, Any], float], tuple[State, list[Message]]],
    tick: Callable[[State, float], tuple[State, list[Message]]],
) -> State:
    """Carry one side of the mission protocol to its end, done or failed."""
    state, out = begun

    def hear(name: str, said: dict[str, Any]) -> None:
        nonlocal state
        state, answer = take(state, name, said, _now_s())
        link.send(answer)

    link.hear = hear
    link.send(out)
    while not (state.done or state.failed):
        await asyncio.sleep(TICK_S)
        state, out = tick(state, _now_s())
        link.send(out)
    return state


def _now_s() -> float:
    return asyncio.get_running_loop().time()
