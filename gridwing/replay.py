"""`gridwing replay`: recorded flights played into a scratch system that is dropped afterwards.

Database, broker and folder are made for it; a DATABASE_URL or MQTT_URL in the environment is not
looked at. There is no patrol part, no webhook and no account that may command a device: nothing
here can reach a dock or a person.
"""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiomqtt
import click
import psycopg

from domain.events import IncidentReported
from gridwing import parts
from gridwing.broker import Broker, start_broker
from gridwing.cli import fail
from gridwing.cluster import DatabaseUrls, ensure_cluster
from gridwing.premises import SetupError, free_port, premises
from gridwing.stopping import run_until_stopped
from runtime import log as logging
from runtime.access.accounts import Account, password_hash, save_accounts
from runtime.access.principal import Role
from runtime.bus import Address, MqttBus
from runtime.clock import Clock, wall_clock
from runtime.database import migrate, open_pool
from runtime.ledger import PostgresLedger
from runtime.registry import save
from runtime.settings import Settings
from runtime.topics import INTAKE_FILTERS
from services.ingest.api import shown
from services.ingest.store import PostgresIngestStore
from simulators.recording import NotARecording, Recording, Said, play, read

RATE_LIMIT = 32.0
INTAKE_CLIENT = "gridwing-intake-0"
DRAIN_S = 60.0
LOOK_EVERY_S = 0.3
STILL_LOOKS = 4
LEAD_S = 1.0
ENTRIES_LIMIT = 100_000
PASSWORD = "gridwing-replay"  # noqa: S105  (of a scratch account on loopback, printed on screen)


@dataclass(frozen=True, slots=True)
class Scratch:
    """What one replay stands on, all of it made for it."""

    broker: Broker
    urls: DatabaseUrls
    folder: Path
    http_port: int


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--rate", type=click.FloatRange(1.0, RATE_LIMIT), default=1.0, show_default=True)
@click.option("--web", is_flag=True, help="Serve the console on the replay until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def replay(files: tuple[Path, ...], rate: float, web: bool, as_json: bool) -> None:
    """Play recorded flights (FILES.flight.mcap) into a scratch system, and print what came out."""
    root = Path(__file__).resolve().parent.parent
    try:
        recording = read(files)
        if not recording.said:
            raise NotARecording("the recording holds no device messages")
        logging.set_up("replay", "text")
        with scratch(root, recording) as on:
            figures = run_until_stopped(run(on, recording, rate, web))
    except (NotARecording, SetupError) as error:
        fail(str(error), 2)
        return
    except KeyboardInterrupt:
        return
    if as_json:
        click.echo(json.dumps(figures, ensure_ascii=False))
    else:
        _print(figures)
    if figures["stored"] + figures["dead_letters"] == 0:
        sys.exit(1)


@contextmanager
def scratch(root: Path, recording: Recording) -> Iterator[Scratch]:
    """Make database, broker and folder; drop all three at the end."""
    name = f"replay_{os.getpid()}"
    place = premises(root)
    folder = place.folder(name)
    _say("making a scratch database and broker")
    with ensure_cluster(root) as cluster:
        cluster.create_database(name)
        broker: Broker | None = None
        try:
            broker = start_broker(root, name)
            urls = cluster.urls(name)
            migrate(urls.owner)
            with psycopg.connect(urls.owner) as connection:
                save(connection, recording.district, recording.said[0].at)
                operator = Account("operator", Role.OPERATOR, "回放", None)
                save_accounts(connection, [(operator, password_hash(PASSWORD))])
            yield Scratch(broker, urls, folder, free_port(place, name))
        finally:
            _say("dropping the scratch system")
            if broker is not None:
                broker.stop(erase=True)
            cluster.drop_database(name)
            shutil.rmtree(folder, ignore_errors=True)


def scratch_settings(on: Scratch, clock: Clock) -> Settings:
    return Settings.from_environment(
        {
            "DATABASE_URL": on.urls.service,
            "DATABASE_APP_URL": on.urls.app,
            "MQTT_URL": on.broker.url,
            "GRIDWING_DATA_DIR": str(on.folder),
            "GRIDWING_HTTP_PORT": str(on.http_port),
            "GRIDWING_SIMULATION": "1",
            "GRIDWING_CLOCK_EPOCH": clock.epoch.isoformat(),
            "GRIDWING_CLOCK_STARTED": repr(clock.started_wall_s),
            "GRIDWING_CLOCK_RATE": repr(clock.rate),
        }
    )


async def run(on: Scratch, recording: Recording, rate: float, web: bool) -> dict[str, Any]:
    """Run ingest and alerts (and web) over the recording; return what came out."""
    lead = timedelta(seconds=LEAD_S * rate)
    clock = Clock(recording.said[0].at - lead, wall_clock().wall_s(), rate)
    settings = scratch_settings(on, clock)
    await _open_session(on)
    running = [asyncio.ensure_future(part(settings)) for part in (parts.ingest, parts.alerts)]
    if web:
        running.append(asyncio.ensure_future(parts.web(settings)))
        _say(f"console  http://127.0.0.1:{on.http_port}/  account operator, password {PASSWORD}")
    seconds = (recording.said[-1].at - recording.said[0].at).total_seconds()
    _say(f"playing {len(recording.said)} messages of {seconds:.0f} s at ×{rate:g}")
    playing = asyncio.ensure_future(_play(on, recording.said, clock))
    try:
        done, _ = await asyncio.wait([playing, *running], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        _say("all is said; waiting until nothing changes any more")
        figures = await _drained(on)
        if web:
            _say("the recording has ended; Ctrl-C drops the scratch system")
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (playing, *running):
            task.cancel()
        await asyncio.gather(playing, *running, return_exceptions=True)
    return figures | {"said": len(recording.said), "left_out": recording.refused, "rate": rate}


async def _open_session(on: Scratch) -> None:
    """Give the intake its session before it comes, so that nothing is said unheard."""
    at = Address.of(on.broker.url)
    async with aiomqtt.Client(
        at.host,
        at.port,
        username=at.username,
        password=at.password,
        identifier=INTAKE_CLIENT,
        clean_session=False,
        protocol=aiomqtt.ProtocolVersion.V311,
    ) as client:
        await client.subscribe([(topic_filter, 1) for topic_filter in INTAKE_FILTERS])


async def _play(on: Scratch, said: Sequence[Said], clock: Clock) -> None:
    async with MqttBus(on.broker.device_url, "gridwing-replay") as bus:
        await play(said, bus, clock)


async def _drained(on: Scratch) -> dict[str, Any]:
    """Wait until nothing has changed for a while; return the figures. At most DRAIN_S."""
    async with open_pool(on.urls.service, 2) as pool:
        before: dict[str, Any] = {}
        still = 0
        for _ in range(round(DRAIN_S / LOOK_EVERY_S)):
            now = await _figures(PostgresIngestStore(pool), PostgresLedger(pool))
            still = still + 1 if now == before else 0
            if still >= STILL_LOOKS:
                break
            before = now
            await asyncio.sleep(LOOK_EVERY_S)
        return before


async def _figures(store: PostgresIngestStore, ledger: PostgresLedger) -> dict[str, Any]:
    counts = await store.counts()
    states, _ = await store.latest()
    entries = await ledger.read(0, ENTRIES_LIMIT)
    return {
        "stored": counts["telemetry"],
        "dead_letters": counts["dead_letters"],
        "positions": [shown(state) for state in states],
        "incidents": [
            {"incident_id": e.event.incident_id, "kind": e.event.kind.value}
            for e in entries
            if isinstance(e.event, IncidentReported)
        ],
        "ledger_entries": len(entries),
    }


def _say(text: str) -> None:
    click.echo(text, err=True)


def _print(figures: dict[str, Any]) -> None:
    click.echo(
        f"{figures['said']} messages said, {figures['stored']} kept as telemetry, "
        f"{figures['dead_letters']} refused, {figures['ledger_entries']} ledger entries"
    )
    for p in figures["positions"]:
        where = p["position"]
        at = f"{where['lat_deg']:.6f} {where['lon_deg']:.6f}" if where else "no fix"
        click.echo(f"  {p['device_sn']:<20} {p['kind']:<8} {p['phase'] or '-':<10} {at}  {p['at']}")
    for incident in figures["incidents"]:
        click.echo(f"  incident {incident['incident_id']} {incident['kind']}")
