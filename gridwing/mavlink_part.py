"""The MAVLink bridge composed, and a simulated vehicle for it."""

import asyncio
from collections.abc import Mapping, Sequence
from ipaddress import ip_address

from gridwing.parts import broker_url
from gridwing.status import status_server
from runtime.bus import MqttBus
from runtime.metrics import REGISTRY
from runtime.settings import Settings
from services.ingest.mavlink_link import Link, Where, run
from services.ingest.mavlink_vehicles import Vehicles
from services.ingest.mavlink_wire import Wire
from simulators.mavlink_radio import fly
from simulators.mavlink_vehicle import MavlinkVehicle, VehicleOptions


async def bridge(
    settings: Settings, wire: Wire, where: Where, serials: Mapping[int, str], every_s: float
) -> None:
    """Listen and publish until cancelled. Raises OSError where the address cannot be had."""
    listening = asyncio.Event()
    async with (
        status_server(settings.status_port, REGISTRY, listening.is_set),
        MqttBus(broker_url(settings), f"gridwing-mavlink-{settings.slot}") as bus,
    ):
        link = Link(wire, Vehicles(serials, every_s), settings.clock())
        await run(link, bus, where, listening)


async def simulated(
    settings: Settings, options: VehicleOptions, targets: Sequence[tuple[str, int]]
) -> None:
    """Fly a simulated vehicle until cancelled."""
    clock = settings.clock()
    await fly(MavlinkVehicle(options, clock.now()), targets, clock)


def refuse_the_real(settings: Settings, targets: Sequence[tuple[str, int]]) -> None:
    """Raise PermissionError where a simulated vehicle might be taken for a real one."""
    if not settings.simulation:
        raise PermissionError("simulators need GRIDWING_SIMULATION=1 and a broker of their own")
    if far := [host for host, _ in targets if not _loopback(host)]:
        raise PermissionError(f"--to {far[0]}: a simulated vehicle speaks on loopback only")


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
