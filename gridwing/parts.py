"""Each part composed: settings in, pools, buses and stores made, the service's loop run."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from domain.district import District
from domain.hazard import Detection
from domain.observation import Frame
from geo.locate import Relief
from gridwing.app import Deps, create_app
from gridwing.evidence_sweep import sweep
from gridwing.eyes import hazard_card, load_blur, load_eyes, watch_policy
from gridwing.status import status_server
from gridwing.stopping import run_until_stopped
from gridwing.stream import Stream
from gridwing.terrain import read_district_terrain
from gridwing.web_server import serve
from models.boxes import Image
from runtime import log as logging
from runtime.access.accounts import Accounts
from runtime.access.http import current_principal
from runtime.bus import MqttBus
from runtime.clock import Clock
from runtime.database import Pool, going_on, open_pool, refuse_powerful_role
from runtime.evidence import EvidenceStore
from runtime.intake import MqttIntake
from runtime.ledger import PostgresLedger, sequence
from runtime.metrics import FRAMES, REGISTRY
from runtime.registry import load
from runtime.sealing import SealedStore
from runtime.settings import Settings, required
from runtime.topics import INTAKE_FILTERS
from services.alerts.api import router as alerts_router
from services.alerts.desk import Desk
from services.alerts.loop import AlertPolicy
from services.alerts.loop import run as run_alerts
from services.alerts.rules import load_rules
from services.alerts.store import PostgresAlertStore
from services.ingest.api import router as ingest_router
from services.ingest.devices import Devices
from services.ingest.flown_stream import flown_streams, hear_states
from services.ingest.leases import RENEW_S, FrameLeases
from services.ingest.loop import Ingest, drain
from services.ingest.loop import run as run_ingest
from services.ingest.record import CameraRecorder, FlightRecorder
from services.ingest.reference_api import reference_router
from services.ingest.references import References
from services.ingest.retention import run as forget_telemetry
from services.ingest.sources import FrameInbox, Pace, hear_frames, pull_cameras
from services.ingest.store import PostgresIngestStore
from services.ingest.watch import make_watch
from services.ingest.watch import run as run_watch
from services.ingest.watch_api import watch_router
from services.ingest.watch_settings import WatchSettings
from services.patrol.api import router as patrol_router
from services.patrol.loop import run as run_patrol
from services.patrol.policy import PatrolPolicy
from services.patrol.sky.rules import load_sky_rules
from services.patrol.sky_api import sky_router
from services.patrol.sky_desk import SkyDesk
from services.patrol.store import PostgresPatrolStore, wayline_key

log = structlog.get_logger(__name__)

SHARE = "gridwing"
ALONE = "0"
RETIRE_CONNECT_S = 30.0
PAGES = Path(__file__).parent.parent / "web" / "dist"


@dataclass(slots=True)
class Ground:
    """What every part stands on."""

    settings: Settings
    clock: Clock
    pool: Pool
    ledger: PostgresLedger
    district: District
    ready: asyncio.Event


@asynccontextmanager
async def ground(
    settings: Settings, database_url: str, *, checked: bool = True
) -> AsyncIterator[Ground]:
    """Open the database, load the district, answer status requests."""
    ready = asyncio.Event()
    async with (
        status_server(settings.status_port, REGISTRY, ready.is_set),
        open_pool(required(database_url, "DATABASE_URL"), checked=checked) as pool,
    ):
        district = await load(pool)
        yield Ground(settings, settings.clock(), pool, PostgresLedger(pool), district, ready)


def broker_url(settings: Settings) -> str:
    return required(settings.mqtt_url, "MQTT_URL")


def sealed_folder(settings: Settings) -> Path:
    return settings.data_dir / "sealed"


def stores(settings: Settings) -> tuple[EvidenceStore, SealedStore | None]:
    """Return where pictures go, and where originals do: nowhere when no key is set."""
    key = settings.seal_key
    sealed = SealedStore(sealed_folder(settings), key) if key else None
    return EvidenceStore(settings.data_dir / "evidence"), sealed


def share_of(slot: str) -> str | None:
    """Return the name under which a slot shares the stream; ALONE reads all of it.

    mosquitto 2.0.11 keeps a plain subscription over its own restart and loses a shared one until
    the slot is back: whoever needs one process only is better off alone.
    """
    return None if slot == ALONE else SHARE


@asynccontextmanager
async def ingest_slot(settings: Settings, slot: str) -> AsyncIterator[tuple[Ingest, MqttIntake]]:
    """Give one slot of ingest over its servers. All slots share the stream between them."""
    url = broker_url(settings)
    async with (
        ground(settings, settings.database_url, checked=False) as on,
        MqttBus(url, f"gridwing-ingest-{slot}") as bus,
        MqttIntake(url, f"gridwing-intake-{slot}", INTAKE_FILTERS, share_of(slot)) as intake,
    ):
        store = PostgresIngestStore(on.pool)
        recorder = FlightRecorder(settings.data_dir / "recordings", on.district)
        recorder.recover()
        loop = Ingest(intake, bus, on.ledger, store, on.district, on.clock, recorder)
        on.ready.set()
        yield loop, intake


async def ingest(settings: Settings) -> None:
    """One ingest slot: telemetry, events and requests of every device; old telemetry goes."""
    async with (
        ingest_slot(settings, settings.slot) as (loop, _),
        open_pool(settings.database_url, 1) as pool,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(run_ingest(loop))
        tasks.create_task(forget_telemetry(pool, loop.clock, settings.telemetry_days))


async def retire(settings: Settings, slot: str) -> int:
    """Take in what still waits for a slot and end its session; return how many messages that were.

    Raises RuntimeError where the slot is still running.
    """
    async with ingest_slot(settings, slot) as (loop, intake):
        async with asyncio.timeout(RETIRE_CONNECT_S):
            while not intake.connected:  # noqa: ASYNC110  (the broker may be a while)
                await asyncio.sleep(0.05)
        await intake.leave()
        taken = await drain(loop)
        if intake.connections > 1:
            raise RuntimeError(f"slot {slot} is still running: stop it first")
        await intake.forget()
    return taken


async def watch(settings: Settings) -> None:
    """Every camera and every drone's frames, judged by one detector."""
    inbox, pace = FrameInbox(), Pace()
    with ThreadPoolExecutor(1, "pixels") as executor:
        async with (
            ground(settings, settings.database_url) as on,
            MqttBus(broker_url(settings), f"gridwing-watch-{settings.slot}") as bus,
        ):
            evidence, sealed = stores(settings)
            hazards = hazard_card(settings.models_dir)
            eyes = await asyncio.to_thread(load_eyes, executor, hazards, settings.vision_backend)
            relief = _relief(settings, on.district)
            policy = watch_policy(hazards, settings.still_look_s)
            watching = make_watch(
                on.district, eyes, on.ledger, evidence, on.clock, policy, pace, relief, sealed
            )
            recorder = CameraRecorder(settings.data_dir / "recordings", on.district)
            recorder.recover()

            def record(frame: Frame, image: Image, boxes: Sequence[Detection]) -> None:
                recorder.take(frame, image, boxes, on.clock.wall_s())

            watching.record = record
            devices = Devices.of(on.district)
            flown = flown_streams(on.district.drones, inbox, on.clock, _refuse)
            known = {c.sn for c in on.district.cameras} | {d.sn for d in on.district.drones}
            leases = FrameLeases(on.pool, f"watch-{settings.slot}", known)
            await leases.begin()

            def pulled() -> list[str]:
                return [
                    c.sn
                    for c in on.district.cameras
                    if c.sn in leases.held and c.address.startswith(("http", "rtsp"))
                ]

            async def hold() -> None:
                while going_on():
                    await asyncio.sleep(RENEW_S)
                    await leases.renew()

            on.ready.set()
            with contextlib.closing(recorder):
                try:
                    async with asyncio.TaskGroup() as tasks:
                        tasks.create_task(hold())
                        tasks.create_task(
                            hear_frames(
                                bus, inbox, _refuse, on.clock, lambda sn: sn in known - leases.held
                            )
                        )
                        tasks.create_task(hear_states(bus, flown, devices, on.clock))
                        tasks.create_task(
                            pull_cameras(
                                (*on.district.cameras, *on.district.drones),
                                lambda: leases.held,
                                lambda sn: flown.get(sn, inbox),
                                pace,
                                on.clock,
                                _refuse,
                            )
                        )
                        tasks.create_task(run_watch(watching, inbox, _refuse, pulled))
                finally:
                    await asyncio.shield(leases.end())


def _refuse(source: str, reason: str) -> None:
    FRAMES.labels("refused").inc()
    log.info("frame refused", source=source, reason=reason)


def _relief(settings: Settings, district: District) -> Relief | None:
    if settings.terrain is None:
        return None
    return Relief(*read_district_terrain(settings.terrain, settings.terrain_geoid_m, district))


async def patrol(settings: Settings) -> None:
    """Missions, waylines and the docks' commander."""
    async with (
        ground(settings, settings.database_url) as on,
        MqttBus(broker_url(settings), f"gridwing-patrol-{settings.slot}") as bus,
    ):
        store = PostgresPatrolStore(on.pool)
        secret = await store.secret()

        def wayline_url(mission_id: str) -> str:
            key = wayline_key(secret, mission_id)
            return f"{settings.public_url}/api/waylines/{mission_id}.kmz?key={key}"

        def area_url(name: str) -> str:
            return f"{settings.public_url}/api/flight-areas/{name}?key={wayline_key(secret, name)}"

        terrain = None
        if settings.terrain is not None:
            terrain, _ = read_district_terrain(
                settings.terrain, settings.terrain_geoid_m, on.district
            )
        on.ready.set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sequence(on.pool))
            tasks.create_task(
                run_patrol(
                    on.ledger,
                    bus,
                    store,
                    on.district,
                    on.clock,
                    PatrolPolicy(),
                    wayline_url,
                    slot=settings.slot,
                    terrain=terrain,
                    area_url=area_url,
                    think=asyncio.to_thread,
                )
            )


async def alerts(settings: Settings) -> None:
    """Hazards and reports into incidents, dispatches, closes."""
    async with ground(settings, settings.database_url) as on:
        store = PostgresAlertStore(on.pool)
        on.ready.set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sequence(on.pool))
            tasks.create_task(
                run_alerts(on.ledger, store, on.district, on.clock, AlertPolicy(load_rules()))
            )


async def web(settings: Settings) -> None:
    """The API, the live stream and the built pages."""
    database_url = settings.database_app_url or settings.database_url
    async with ground(settings, database_url) as on:
        await refuse_powerful_role(on.pool)
        desk = Desk(on.ledger, PostgresAlertStore(on.pool), on.district, on.clock, load_rules())
        flights = PostgresPatrolStore(on.pool)
        sky_desk = SkyDesk(on.ledger, flights, on.district, on.clock, load_sky_rules())
        deps = Deps(
            accounts=Accounts(on.pool),
            ledger=on.ledger,
            stream=Stream(on.ledger, on.pool),
            evidence=EvidenceStore(settings.data_dir / "evidence"),
            district=lambda: on.district,
            clock=on.clock,
            routers=(
                ingest_router(on.pool, current_principal),
                alerts_router(desk, current_principal),
                patrol_router(flights, current_principal, on.clock, lambda: on.district),
                sky_router(sky_desk, current_principal),
                watch_router(
                    WatchSettings(
                        on.ledger, on.pool, on.district, on.clock, bool(settings.seal_key)
                    ),
                    current_principal,
                ),
                reference_router(
                    References(on.ledger, on.pool, on.district, on.clock), current_principal
                ),
            ),
            blur=load_blur().blur,
            pages=PAGES if PAGES.is_dir() else None,
        )
        on.ready.set()
        await serve(
            create_app(deps),
            settings.http_host,
            settings.http_port,
            (deps.stream.run(), sweep(on.pool, deps.evidence, on.clock, sealed_folder(settings))),
        )


def run_part(
    name: str, part: Callable[[Settings], Coroutine[None, None, None]], settings: Settings
) -> None:
    """Run one part until it is stopped; its own failure ends the process loudly."""
    logging.set_up(name, settings.log_format)

    log.info("part starting", slot=settings.slot)
    # What was loaded stays: a full collection need not walk over it while messages wait.
    gc.freeze()
    try:
        run_until_stopped(part(settings))
    except KeyboardInterrupt:
        log.info("part stopped")
