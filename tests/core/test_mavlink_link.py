"""The bridge on a real socket: a broker that is away costs delay, not samples."""

import asyncio
import socket
from datetime import UTC, datetime
from itertools import pairwise

import orjson
import pytest

from domain.place import Position
from runtime.bus import MemoryBus
from runtime.clock import Clock, wall_clock
from services.ingest.mavlink_link import Link, Where, run
from services.ingest.mavlink_vehicles import Vehicles
from services.ingest.mavlink_wire import Wire
from simulators.mavlink_radio import fly
from simulators.mavlink_vehicle import MavlinkVehicle, VehicleOptions

dialect = pytest.importorskip(
    "pymavlink.dialects.v20.common", reason="pymavlink is not installed: no wheel for this machine"
)
AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
WAIT_S = 10.0


class AwayAtFirst(MemoryBus):
    """Takes nothing until it is back."""

    def __init__(self) -> None:
        super().__init__()
        self.back = asyncio.Event()
        self.refused = 0

    async def publish(self, topic: str, payload: bytes, qos: int = 1) -> None:
        if not self.back.is_set():
            self.refused += 1
            await asyncio.sleep(0.05)
            raise ConnectionError("away")
        await super().publish(topic, payload, qos)


async def test_what_was_heard_while_the_broker_was_away_follows_in_order() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        where = Where("127.0.0.1", taken.getsockname()[1])
    clock = Clock(AT, wall_clock().wall_s(), 4.0)
    bus, listening = AwayAtFirst(), asyncio.Event()
    link = Link(Wire(dialect), Vehicles({1: "MAV1"}, 0.01), clock)
    vehicle = MavlinkVehicle(VehicleOptions(1, Position(22.5251, 113.3558)), AT)
    async with bus.subscribe(["gridwing/telemetry/+"]) as messages:
        tasks = [asyncio.create_task(run(link, bus, where, listening))]
        await listening.wait()
        tasks.append(asyncio.create_task(fly(vehicle, [(where.host, where.port)], clock)))
        await asyncio.sleep(1.0)
        bus.back.set()
        samples: list[dict[str, object]] = []
        async with asyncio.timeout(WAIT_S):
            while len(samples) < 25:
                message = await anext(messages)
                assert message.topic == "gridwing/telemetry/MAV1"
                samples += orjson.loads(message.payload)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert bus.refused >= 2
    times = [int(str(sample["at"])) for sample in samples]
    first_ms = round(AT.timestamp() * 1000) + 200
    # The first of all comes before the first heartbeat, the heartbeat comes each second.
    assert times[0] - first_ms <= 1000
    assert {b - a for a, b in pairwise(times)} == {200}


async def test_an_address_in_use_is_an_error_and_not_a_silence() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        where = Where("127.0.0.1", taken.getsockname()[1])
        link = Link(Wire(dialect), Vehicles({}, 0.2), Clock(AT, 0.0))
        with pytest.raises(OSError, match="in use"):
            await run(link, MemoryBus(), where, asyncio.Event())
