"""A simulated MAVLink vehicle on the wire: UDP out to those who may hear and command it.

pymavlink (LGPL-3.0, an optional extra) packs and parses; it is loaded when a radio is made.
"""

import asyncio
import importlib
from collections.abc import Iterable, Sequence
from typing import Any, cast

from runtime.clock import Clock
from simulators.kinematics import STEP_S
from simulators.mavlink_commands import AUTOPILOT_COMPONENT, hear
from simulators.mavlink_vehicle import MavlinkVehicle, Message

DIALECT = "pymavlink.dialects.v20.common"
Address = tuple[str, int]


def load_dialect() -> Any:
    """Load pymavlink's common dialect. Raises ModuleNotFoundError."""
    return importlib.import_module(DIALECT)


class Radio(asyncio.DatagramProtocol):
    """`targets` hear everything; nobody else is listened to."""

    def __init__(self, vehicle: MavlinkVehicle, targets: Sequence[Address]) -> None:
        self.vehicle, self.targets = vehicle, targets
        self._dialect = load_dialect()
        self._packer = self._dialect.MAVLink(None, vehicle.options.system, AUTOPILOT_COMPONENT)
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not each loop's datagram transport says that it is one.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if addr[:2] not in self.targets:
            return
        parser = self._dialect.MAVLink(None)
        parser.robust_parsing = True
        for message in parser.parse_buffer(data) or ():
            said = {name: getattr(message, name) for name in message.get_fieldnames()}
            self.send(hear(self.vehicle, message.get_type(), said, message.get_srcSystem()))

    def error_received(self, exc: Exception) -> None:
        """Somebody does not listen yet, or no more: the vehicle goes on telling."""

    def send(self, messages: Iterable[Message]) -> None:
        assert self._transport is not None
        for name, fields in messages:
            datagram = self.pack(name, fields)
            for target in self.targets:
                self._transport.sendto(datagram, target)

    def pack(self, name: str, fields: dict[str, Any]) -> bytes:
        """Return one message as MAVLink 2, without fields this dialect does not know yet."""
        kind = getattr(self._dialect, f"MAVLink_{name.lower()}_message")
        known = {key: value for key, value in fields.items() if key in kind.fieldnames}
        message = getattr(self._packer, f"{name.lower()}_encode")(**known)
        datagram: bytes = message.pack(self._packer)
        self._packer.seq = (self._packer.seq + 1) % 256
        return bytes(datagram)


async def fly(vehicle: MavlinkVehicle, targets: Sequence[Address], clock: Clock) -> None:
    """Fly and tell until cancelled."""
    loop = asyncio.get_running_loop()
    radio = Radio(vehicle, targets)
    transport, _ = await loop.create_datagram_endpoint(lambda: radio, local_addr=("127.0.0.1", 0))
    try:
        while True:
            radio.send(vehicle.advance_to(clock.now()))
            await clock.sleep(STEP_S / 2)
    finally:
        transport.close()
