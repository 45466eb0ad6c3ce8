"""The simulators as one part: never against anything but a simulation broker."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

import httpx

from domain.responder import Responder
from gridwing.district import demo_district
from gridwing.status import status_server
from runtime.bus import Bus, MqttBus
from runtime.metrics import REGISTRY
from runtime.settings import Settings, required
from simulators.dock_link import FetchError
from simulators.fleet import FleetOptions, run
from simulators.phone import LOGINS_AT_ONCE, HttpPhone
from simulators.responder import Phone
from simulators.return_fault import ReturnFault

FETCH_TIMEOUT_S = 10.0
CONNECTIONS_LIMIT = 4
RENDER_THREADS = 2
KMZ_LIMIT_BYTES = 16 * 1024 * 1024
LAST_REASON = 10


@dataclass(frozen=True, slots=True)
class SimulationOptions:
    seed: int
    state: Path
    http_port: int
    rtsp_port: int
    api: str
    password: str
    return_faults: tuple[ReturnFault, ...] = ()


def return_fault(text: str) -> ReturnFault:
    """Read DOCK:FLIGHT:REASON:SECONDS. Raises ValueError naming what does not fit."""
    sn, job, reason, after_s = (*text.split(":"), "", "", "")[:4]
    if not sn or not job.isdigit() or not reason.isdigit() or int(reason) > LAST_REASON:
        raise ValueError(
            f"write DOCK:FLIGHT:REASON:SECONDS, as SIMDOCK0001:1:3:5 (reasons 0..{LAST_REASON}), "
            f"not {text!r}"
        )
    return ReturnFault(sn, int(job), int(reason), float(after_s))


async def simulate(settings: Settings, options: SimulationOptions) -> None:
    """Run the simulated hardware and people until cancelled.

    Raises PermissionError unless GRIDWING_SIMULATION=1 says that the broker is a simulated one.
    """
    if not settings.simulation:
        raise PermissionError("simulators need GRIDWING_SIMULATION=1 and a broker of their own")
    url = required(settings.mqtt_url, "MQTT_URL")
    buses: list[MqttBus] = []
    logins = asyncio.Semaphore(LOGINS_AT_ONCE)

    def bus_for(client_id: str) -> Bus:
        buses.append(MqttBus(url, client_id))
        return buses[-1]

    async with (
        status_server(settings.status_port, REGISTRY, lambda: True),
        httpx.AsyncClient(
            base_url=options.api,
            trust_env=False,
            timeout=FETCH_TIMEOUT_S,
            limits=httpx.Limits(max_connections=CONNECTIONS_LIMIT),
        ) as client,
    ):

        async def fetch(address: str) -> bytes:
            try:
                answer = await client.get(address)
                answer.raise_for_status()
            except httpx.HTTPError as error:
                raise FetchError(f"{address.partition('?')[0]}: {error}") from error
            return answer.content[:KMZ_LIMIT_BYTES]

        def phone_for(responder: Responder) -> Phone:
            return HttpPhone(client, responder.account, options.password, logins)

        fleet = FleetOptions(
            seed=options.seed,
            state_folder=options.state,
            http_port=options.http_port,
            rtsp_port=options.rtsp_port,
            render_threads=RENDER_THREADS,
            return_faults=options.return_faults,
        )
        district = demo_district(options.seed, options.http_port, options.rtsp_port)
        await run(fleet, district, settings.clock(), bus_for, fetch, phone_for)
