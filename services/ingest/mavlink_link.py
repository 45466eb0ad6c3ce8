"""The MAVLink bridge: datagrams in at a UDP port, samples out on `gridwing/telemetry/{sn}`.

It only listens. A ground station's heartbeat from here would make an autopilot believe that
somebody watches over it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import structlog

from runtime import topics
from runtime.bus import Bus
from runtime.clock import Clock
from runtime.metrics import MAVLINK_MESSAGES, MAVLINK_SAMPLES
from services.ingest.mavlink_vehicles import Outcome, Sample, Vehicles
from services.ingest.mavlink_wire import Wire

log = structlog.get_logger(__name__)

LOOK_ROUND_S = 1.0


@dataclass(frozen=True, slots=True)
class Where:
    """The address listened on; port 0 takes a free one."""

    host: str
    port: int


class Link(asyncio.DatagramProtocol):
    """Each datagram is read as it comes: what we cannot keep up with, the kernel drops."""

    def __init__(self, wire: Wire, vehicles: Vehicles, clock: Clock) -> None:
        self.wire, self.vehicles, self.clock = wire, vehicles, clock
        self.waiting = asyncio.Event()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        said, bad = self.wire.read(data)
        if bad:
            MAVLINK_MESSAGES.labels("bad").inc(bad)
        now_s, now_ms = self._now()
        for one in said:
            known = len(self.vehicles.tracks)
            outcome = self.vehicles.take(one, addr, now_s, now_ms)
            MAVLINK_MESSAGES.labels(outcome.value).inc()
            if len(self.vehicles.tracks) > known:
                serial = self.vehicles.tracks[one.system].serial
                log.info("vehicle heard", system=one.system, device=serial)
            if outcome is Outcome.MERGED:
                self.waiting.set()

    def look_round(self) -> None:
        """Forget who fell silent, and count what gave way."""
        for serial in self.vehicles.forget_silent(self._now()[0]):
            log.info("vehicle fell silent", device=serial)
        dropped, self.vehicles.dropped = self.vehicles.dropped, 0
        if dropped:
            MAVLINK_SAMPLES.labels("dropped").inc(dropped)
            log.warning("samples dropped: the broker is away", count=dropped)

    def _now(self) -> tuple[float, int]:
        now = self.clock.now()
        return asyncio.get_running_loop().time(), round(now.timestamp() * 1000)


async def run(link: Link, bus: Bus, where: Where, listening: asyncio.Event) -> None:
    """Listen and publish until cancelled. Raises OSError where the address cannot be had."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: link, local_addr=(where.host, where.port)
    )
    try:
        host, port = transport.get_extra_info("sockname")[:2]
        log.info("listening for MAVLink", address=f"udp://{host}:{port}")
        listening.set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_look_round(link))
            tasks.create_task(_publish(link, bus))
    finally:
        transport.close()


async def _look_round(link: Link) -> None:
    while True:
        await asyncio.sleep(LOOK_ROUND_S)
        link.look_round()


async def _publish(link: Link, bus: Bus) -> None:
    while True:
        await link.waiting.wait()
        link.waiting.clear()
        await _send(bus, link.vehicles.unsent())


async def _send(bus: Bus, waiting: Mapping[str, list[Sample]]) -> None:
    """Publish each device's samples in one message, again and again until the broker has it."""
    for serial, samples in waiting.items():
        payload = orjson.dumps(samples)
        sent = False
        while not sent:
            try:
                await bus.publish(topics.telemetry(serial), payload)
                sent = True
            except ConnectionError as error:
                log.warning("the broker is away", error=str(error))
        MAVLINK_SAMPLES.labels("published").inc(len(samples))
