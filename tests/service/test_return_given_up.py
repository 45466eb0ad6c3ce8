"""An aircraft that gives up its return: from its dock's MQTT to mission, incident and answer."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from domain.events import (
    DeviceAlarmCleared,
    DeviceAlarmRaised,
    Event,
    IncidentClosed,
    IncidentReported,
    MissionEnded,
    MissionStepIntended,
)
from domain.hazard import Severity
from domain.mission import MissionOutcome
from domain.mission_return import ReturnGivenUp, ReturnRegained
from domain.observation import RETURN_GIVEN_UP
from gridwing.broker import Broker
from gridwing.cluster import DatabaseUrls
from runtime.access import Principal, Role
from runtime.bus import Bus, MqttBus
from runtime.ledger import sequence
from services.alerts import loop as alerts
from services.alerts.rules import load_rules
from services.alerts.store import PostgresAlertStore
from services.patrol import loop as patrol
from services.patrol.flight import Flight, Order
from services.patrol.policy import PatrolPolicy
from services.patrol.sky.rules import load_sky_rules
from services.patrol.sky_desk import Done, SkyDesk, Why
from services.patrol.store import PostgresPatrolStore
from simulators import fleet
from simulators.dock_link import FetchError
from simulators.responder import Phone
from simulators.return_fault import ReturnFault
from tests.core.patrol_scene import EPOCH, district
from tests.service.ingest_town import Town, register, town
from tests.service.test_patrol_loop import running

RATE = 20.0
DISTRICT = replace(district(), responders=())
DOCK, DRONE = DISTRICT.docks[0].sn, DISTRICT.docks[0].drone_sn
SURROUNDED = 3
DEADLINE_S = 90.0


async def told(on: Town, kind: type, count: int = 1) -> list[Any]:
    while True:
        found: list[Event] = [e.event for e in await on.entries() if isinstance(e.event, kind)]
        if len(found) >= count:
            return found
        await asyncio.sleep(0.1)


async def flight_that(store: PostgresPatrolStore, is_so: Callable[[Flight], bool]) -> Flight:
    while True:
        found = next((f for f in await store.open_flights() if is_so(f)), None)
        if found is not None:
            return found
        await asyncio.sleep(0.1)


async def hear(bus: MqttBus, answers: list[tuple[str, int]]) -> None:
    async with bus.subscribe([f"thing/product/{DOCK}/events_reply"]) as messages:
        async for message in messages:
            body = json.loads(message.payload)
            if body["method"] == RETURN_GIVEN_UP:
                answers.append((body["tid"], body["data"]["result"]))


async def ask_home(desk: SkyDesk, mission_id: str) -> None:
    who = Principal("op-1", Role.OPERATOR)
    done = await desk.order(who, mission_id, Order.RETURN_HOME, Why("safety"))
    assert isinstance(done, Done)


def nobody(_: object) -> Phone | None:
    return None


async def test_it_is_told_to_people_who_call_it_home_again(
    database_urls: DatabaseUrls, broker: Broker, tmp_path: Path
) -> None:
    register(database_urls, DISTRICT, EPOCH)
    answers: list[tuple[str, int]] = []
    async with (
        town(database_urls, broker.url, DISTRICT, EPOCH, "given-up", tmp_path, RATE) as on,
        MqttBus(broker.url, "given-up-patrol") as bus,
        MqttBus(broker.url, "given-up-dock") as dock_bus,
    ):
        clock, store = on.ingest.clock, PostgresPatrolStore(on.pool)
        desk = SkyDesk(on.ledger, store, DISTRICT, clock, load_sky_rules())
        options = fleet.FleetOptions(
            seed=3,
            state_folder=tmp_path / "sim",
            return_faults=(ReturnFault(DOCK, 1, SURROUNDED, 4.0),),
        )

        def bus_for(_: str) -> Bus:
            return dock_bus

        async def fetch(url: str) -> bytes:
            data = await store.kmz(url.removeprefix("memory:"))
            if data is None:
                raise FetchError(url)
            return data

        parts: tuple[Awaitable[None], ...] = (
            hear(on.bus, answers),
            sequence(on.pool),
            patrol.run(
                on.ledger, bus, store, DISTRICT, clock, PatrolPolicy(), lambda m: f"memory:{m}"
            ),
            alerts.run(
                on.ledger, PostgresAlertStore(on.pool), DISTRICT, clock,
                alerts.AlertPolicy(load_rules()),
            ),
            fleet.run(options, DISTRICT, clock, bus_for, fetch, nobody),
        )  # fmt: skip
        async with asyncio.timeout(DEADLINE_S), running(*parts):  # type: ignore[arg-type]
            flight = await flight_that(store, lambda f: f.airborne() and bool(f.waypoint_index))
            mission_id = flight.mission.mission_id
            await ask_home(desk, mission_id)
            (lost,) = await told(on, ReturnGivenUp)
            assert (lost.mission_id, lost.reason) == (mission_id, SURROUNDED)
            helpless = await flight_that(store, lambda f: f.given_up is not None)
            assert (helpless.homeward(), helpless.helpless()) == (False, True)
            (incident,) = await told(on, IncidentReported)
            assert (incident.source, incident.severity) == (DRONE, Severity.HIGH)

            await ask_home(desk, mission_id)
            await told(on, ReturnRegained)
            await flight_that(store, lambda f: f.homeward())
            (ended,) = await told(on, MissionEnded)
            await told(on, DeviceAlarmCleared)
            await told(on, IncidentClosed)
        said = [e.event for e in await on.entries()]

    assert (ended.mission_id, ended.outcome) == (mission_id, MissionOutcome.PARTIAL)
    steps = [e.step for e in said if isinstance(e, MissionStepIntended)]
    assert steps.count("return_home") == 2
    (raised,) = [e for e in said if isinstance(e, DeviceAlarmRaised) and e.device_sn == DRONE]
    assert (raised.level, raised.component) == (3, str(SURROUNDED))
    # Entered and left, each answered once or more often: a dock repeats what it thinks unheard.
    assert len({tid for tid, _ in answers}) == 2
    assert {result for _, result in answers} == {0}
