"""The demo: every part and the simulators on private servers, from nothing to a live console.

All it touches it made itself: its own database on the private cluster, its own broker, its own
folder. A DATABASE_URL or MQTT_URL in the environment is not looked at.
"""

import asyncio
import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg

from domain.district import District
from domain.responder import Force
from geo.frames import LocalFrame
from gridwing.broker import Broker, start_broker
from gridwing.cluster import Cluster, DatabaseUrls, ensure_cluster
from gridwing.district import demo_district
from gridwing.premises import free_port, premises
from gridwing.summary import TrueHazard, complaints, ledger_figures
from gridwing.supervisor import PartPlan, Supervisor
from runtime.access.accounts import Account, password_hash, save_accounts
from runtime.access.principal import Role
from runtime.clock import wall_clock
from runtime.database import migrate, open_pool
from runtime.ledger import Entry, PostgresLedger
from runtime.registry import save
from services.alerts.measures import measures
from services.alerts.store import PostgresAlertStore
from services.ingest.store import PostgresIngestStore
from simulators.truth import read_truth, truth_summary

PARTS = ("ingest", "watch", "patrol", "alerts", "web")
READY_S = 90.0
DRAIN_S = 20.0
DRAIN_LOOK_S = 0.5
DRAIN_STILL_LOOKS = 4
PASSWORD = "gridwing-demo"  # noqa: S105  (of simulated accounts on loopback, printed on screen)
EPOCH = datetime(2026, 11, 23, 0, 0, tzinfo=UTC)
STAFF = (
    ("operator", Role.OPERATOR, "指挥台值班员"),
    ("dispatcher", Role.DISPATCHER, "派遣员"),
    ("engineer", Role.ENGINEER, "工程师"),
    ("auditor", Role.AUDITOR, "审计员"),
    ("admin", Role.ADMINISTRATOR, "管理员"),
)
ROLES = {Force.GRID: Role.GRID_WORKER, Force.POLICE_GRID: Role.POLICE_OFFICER}
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DemoOptions:
    root: Path
    seed: int = 7
    rate: float = 1.0


@dataclass(frozen=True, slots=True)
class Stage:
    """What one demo stands on, all of it made for it."""

    options: DemoOptions
    cluster: Cluster
    broker: Broker
    urls: DatabaseUrls
    folder: Path
    district: District
    ports: dict[str, int]
    started_wall_s: float

    @property
    def console(self) -> str:
        return f"http://127.0.0.1:{self.ports['web']}"


@contextlib.contextmanager
def stage(options: DemoOptions, say: Say) -> Iterator[Stage]:
    """Make servers, database, district and accounts; take them away again at the end."""
    place = premises(options.root)
    say("starting the private database and broker")
    names = ("web", "cameras", "rtsp", *(f"{part}-status" for part in (*PARTS, "simulators")))
    with (
        start_broker(options.root, "demo", fresh=True) as broker,
        ensure_cluster(options.root) as cluster,
    ):
        ports: dict[str, int] = {}
        for name in names:
            ports[name] = free_port(place, f"demo-{name}", ports.values())
        database = "demo"
        if database in cluster.databases():
            cluster.drop_database(database)
        cluster.create_database(database)
        urls = cluster.urls(database)
        folder = place.folder("demo")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        say("laying out the district")
        district = demo_district(options.seed, ports["cameras"], ports["rtsp"])
        migrate(urls.owner)
        with psycopg.connect(urls.owner) as connection:
            save(connection, district, EPOCH)
            save_accounts(connection, _accounts(district))
        yield Stage(options, cluster, broker, urls, folder, district, ports, wall_clock().wall_s())


def _accounts(district: District) -> list[tuple[Account, str]]:
    hashed = password_hash(PASSWORD)
    people = [(Account(name, role, display, None), hashed) for name, role, display in STAFF]
    for r in district.responders:
        role = ROLES.get(r.force, Role.PROFESSIONAL)
        people.append((Account(r.account, role, r.call_sign, r.responder_id), hashed))
    return people


def plans(on: Stage) -> list[PartPlan]:
    """Return the processes of the demo with their environments."""
    environment = {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        "DATABASE_URL": on.urls.service,
        "DATABASE_APP_URL": on.urls.app,
        "MQTT_URL": on.broker.url,
        "GRIDWING_DATA_DIR": str(on.folder),
        "GRIDWING_HTTP_PORT": str(on.ports["web"]),
        "GRIDWING_LOG": "json",
        "GRIDWING_SIMULATION": "1",
        "GRIDWING_CLOCK_EPOCH": EPOCH.isoformat(),
        "GRIDWING_CLOCK_STARTED": repr(on.started_wall_s),
        "GRIDWING_CLOCK_RATE": repr(on.options.rate),
    }
    simulators = (
        "simulators",
        f"--seed={on.options.seed}",
        f"--state={on.folder / 'simulators'}",
        f"--http-port={on.ports['cameras']}",
        f"--rtsp-port={on.ports['rtsp']}",
        f"--api={on.console}",
        f"--password={PASSWORD}",
    )
    made = []
    for name, arguments in [*((p, (p,)) for p in PARTS), ("simulators", simulators)]:
        port = on.ports[f"{name}-status"]
        made.append(
            PartPlan(name, arguments, port, environment | {"GRIDWING_STATUS_PORT": str(port)})
        )
    return made


async def until_ready(supervisor: Supervisor, say: Say) -> None:
    """Wait for every part, telling which is ready. Raises TimeoutError after READY_S."""
    async with asyncio.timeout(READY_S):
        await supervisor.until_ready(lambda name: say(f"{name} is ready"))


async def run_live(options: DemoOptions, say: Say) -> None:
    """Run until cancelled, after printing where the console is and who may sign in."""
    with stage(options, say) as on:
        async with Supervisor(plans(on), on.folder) as supervisor:
            await until_ready(supervisor, say)
            say(f"console  {on.console}/    account operator, password {PASSWORD}")
            say(f"phone    {on.console}/m   account grid01, password {PASSWORD}")
            say(f"logs and pids in {on.folder}; Ctrl-C stops everything")
            await asyncio.Event().wait()


async def run_headless(options: DemoOptions, for_s: float, say: Say) -> dict[str, Any]:
    """Run for some wall seconds, drain, and return the measured summary."""
    with stage(options, say) as on:
        async with Supervisor(plans(on), on.folder) as supervisor:
            await until_ready(supervisor, say)
            say(f"running {for_s:g} s at ×{options.rate:g}; console at {on.console}")
            began = time.monotonic()
            while (left := for_s - (time.monotonic() - began)) > 0:
                await asyncio.sleep(min(10.0, left))
                say(f"{time.monotonic() - began:.0f} of {for_s:g} s")
            say("stopping the simulators and letting the parts finish")
            await supervisor.stop(("simulators",))
            simulated_s = (wall_clock().wall_s() - on.started_wall_s) * options.rate
            await _drained(on)
            await supervisor.stop(PARTS)
            return await _summary(on, supervisor, simulated_s)


async def _drained(on: Stage) -> None:
    """Wait until nothing is stored or appended any more, at most DRAIN_S."""
    async with open_pool(on.urls.service, 2) as pool:
        store, ledger = PostgresIngestStore(pool), PostgresLedger(pool)
        before, still = (-1, -1), 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while still < DRAIN_STILL_LOOKS:
                    now = ((await store.counts())["telemetry"], await ledger.head())
                    still = still + 1 if now == before else 0
                    before = now
                    await asyncio.sleep(DRAIN_LOOK_S)


async def _summary(on: Stage, supervisor: Supervisor, simulated_s: float) -> dict[str, Any]:
    state = on.folder / "simulators"
    frame = LocalFrame(on.district.origin)
    truth = [
        TrueHazard(
            a.hazard_id,
            a.kind,
            *frame.to_local(a.position.lat_deg, a.position.lon_deg),
            a.appeared_at,
            a.handled_at,
            a.looks,
        )
        for a in read_truth(state).values()
    ]
    sent = truth_summary(state)
    async with open_pool(on.urls.service, 2) as pool:
        ledger = PostgresLedger(pool)
        entries = await all_entries(ledger)
        verified = await ledger.verify()
        counts = await PostgresIngestStore(pool).counts()
        measured = await measures(PostgresAlertStore(pool))
    figures: dict[str, Any] = {"rate": on.options.rate, "simulated_s": round(simulated_s)}
    figures |= ledger_figures(entries, truth, frame)
    figures |= {
        "telemetry_sent": sent["telemetry_sent"],
        "telemetry_stored": counts["telemetry"],
        "dead_letters": counts["dead_letters"],
        "double_takeoffs": sent["double_takeoffs"],
        "frames_seen": int(_counter(supervisor, "watch", "gridwing_watch_frames_total", "seen")),
        "frame_to_dispatch_s": measured["frame_to_dispatch_s"],
        "ledger_entries": verified.entries,
        "ledger_ok": verified.ok,
        "ledger_digest": verified.head_hash.hex(),
        "errors": logged_errors(supervisor),
        "restarts": {n: p.starts - 1 for n, p in supervisor.parts.items() if p.starts > 1},
        "cpu_s": {n: round(p.cpu_s, 1) for n, p in supervisor.parts.items()},
    }
    figures["complaints"] = complaints(figures)
    return figures


async def all_entries(ledger: PostgresLedger) -> list[Entry]:
    entries: list[Entry] = []
    while part := await ledger.read(entries[-1].position if entries else 0):
        entries += part
    return entries


def _counter(supervisor: Supervisor, part: str, name: str, outcome: str) -> float:
    return supervisor.parts[part].counters.get(f"{name}{{outcome={outcome}}}", 0.0)


def logged_errors(supervisor: Supervisor) -> int:
    """Count error lines and tracebacks in the parts' logs."""
    count = 0
    for name in supervisor.parts:
        for line in supervisor.log_path(name).read_text(errors="replace").splitlines():
            try:
                count += json.loads(line)["level"] in ("error", "critical")
            except (ValueError, KeyError, TypeError):
                count += "Traceback (most recent call last)" in line
    return count
