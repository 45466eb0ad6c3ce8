"""What ingest costs beside its bounds and a peer, measured in one run on private servers.

Every round does the same work six ways, one after another: (a) binary COPY of rows made
beforehand into the very table, (b) broker to a counting subscriber, on our codec and on paho,
(c) the production ingest part, one sample a message and ten, (d) mq-bridge, MQTT to PostgreSQL
COPY. CPU is that of the client process and of its database backends, from /proc; the publisher
and the broker are everybody's.
"""

import asyncio
import gc
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import orjson
import psycopg

from domain.district import District
from gridwing.broker import Broker, start_broker
from gridwing.cluster import Cluster, DatabaseUrls, ensure_cluster
from gridwing.flood import Flood, packets
from gridwing.premises import free_port, premises
from gridwing.supervisor import process_cpu_s
from runtime.bus import Address, Message
from runtime.clock import wall_clock
from runtime.database import migrate, open_pool
from runtime.ledger_memory import MemoryLedger
from runtime.registry import save
from services.ingest.keep import Keeper
from services.ingest.store import COPY_TELEMETRY
from services.ingest.store_memory import MemoryIngestStore
from simulators.district import generate

ROOT = Path(__file__).resolve().parent.parent
DEVICES = 100
PACKED = 10
SINGLE_MESSAGES = 100_000
PACKED_MESSAGES = 20_000
COPY_ROWS = 10_000
SETTLE_S = 32.0
"""After a connect ingest looks for copies of every row; what is measured is the time after."""
HALF_LOAD_S = 8.0
PROBE_EVERY_S = 0.002
PATIENCE_S = 180.0
GOALS = {
    "packed_cpu_vs_copy": (1.6, "at most"),
    "single_vs_broker": (0.6, "at least"),
    "mq_bridge_cpu_vs_single": (1.3, "at least"),
    "packed_vs_copy_rows": (0.4, "at least"),
}
PEER_TABLE = (
    "CREATE TABLE peer (device_sn text NOT NULL, at bigint NOT NULL, latitude float8,"
    " longitude float8, height_ellipsoid_m float8, height_rel_m float8, height_agl_m float8,"
    " heading_deg float8, speed_m_s float8, climb_m_s float8, battery_pct float8);"
    " CREATE UNIQUE INDEX ON peer (device_sn, at); CREATE INDEX ON peer USING brin (at)"
)
PEER_FIELDS = (
    "device_sn", "at", "latitude", "longitude", "height_ellipsoid_m", "height_rel_m",
    "height_agl_m", "heading_deg", "speed_m_s", "climb_m_s", "battery_pct",
)  # fmt: skip
PEER = """
import json, sys, mq_bridge
try:
    route = mq_bridge.Route.from_config(json.loads(sys.argv[1]), "peer")
    route.start()
except Exception as error:
    sys.exit(print(" ".join(str(error).split()), flush=True))
print("reading", flush=True)
sys.stdin.read()
route.stop()
"""


class PartEnded(RuntimeError):
    """The part that is measured has ended."""


class PeerFailed(RuntimeError):
    """The peer did not start; what it said."""


@dataclass(slots=True)
class Measured:
    """One way in one round."""

    rows: int
    wall_s: float
    client_s: float
    backend_s: float

    @property
    def per_s(self) -> float:
        return self.rows / self.wall_s

    @property
    def cpu_us(self) -> float:
        return 1e6 * (self.client_s + self.backend_s) / self.rows

    @property
    def client_us(self) -> float:
        return 1e6 * self.client_s / self.rows


Found = dict[str, dict[int, Measured]]
"""Ways by name, and what each gave by round."""


@dataclass(slots=True)
class Stand:
    """The servers, the district, and a clock no two samples share."""

    cluster: Cluster
    database: str
    urls: DatabaseUrls
    broker: Broker
    district: District
    admin: psycopg.Connection[Any]
    say: Callable[[str], None]
    at_ms: int = field(default_factory=lambda: int(wall_clock().wall_s() * 1000) - 3_600_000)
    """Device time of the next payload: of an hour ago on, one millisecond a sample and device."""
    sent: int = 0

    def payloads(self, messages: int, samples: int) -> list[tuple[str, bytes]]:
        """Return (serial, payload) with times no payload had before."""
        made = []
        for i in range(messages):
            drone = self.district.drones[i % DEVICES]
            first = self.at_ms + i // DEVICES * samples
            body = [sample(drone.sn, first + k, self.sent + i, k) for k in range(samples)]
            made.append((drone.sn, orjson.dumps(body if samples > 1 else body[0])))
        self.sent += messages
        self.at_ms += (messages // DEVICES + 1) * samples
        return made

    def backend_s(self) -> dict[int, float]:
        """Return the CPU seconds of each backend the services have in this database, by pid."""
        title = f"postgres: gridwing_service {self.admin.info.dbname} ".encode()
        found = {}
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                if path.read_bytes().startswith(title):
                    found[int(path.parent.name)] = process_cpu_s(int(path.parent.name))
        return found

    def reconnect(self) -> None:
        """Connect anew, after an outage has cut every connection."""
        self.admin = psycopg.connect(self.urls.owner, autocommit=True)

    def count(self, table: str) -> int:
        row = self.admin.execute(f"SELECT count(*) FROM {table}".encode()).fetchone()  # noqa: S608
        assert row is not None
        return int(row[0])


def sample(sn: str, at_ms: int, number: int, k: int) -> dict[str, Any]:
    turn = (number % 9973) / 9973
    return {
        "device_sn": sn,
        "at": at_ms,
        "latitude": round(22.53 + 0.02 * turn + 1e-6 * k, 7),
        "longitude": round(113.34 + 0.02 * ((number * 7) % 9973) / 9973, 7),
        "height_ellipsoid_m": round(100 + 20 * turn, 2),
        "height_rel_m": round(60 + 20 * turn, 2),
        "height_agl_m": round(61 + 20 * turn, 2),
        "heading_deg": round(359 * turn, 1),
        "speed_m_s": round(12 * turn + number % 1000 / 1000, 3),
        "climb_m_s": round(turn - 0.5 + k / 100, 3),
        "battery_pct": 99 - int(60 * turn),
    }


def city() -> District:
    """Return the demo district with DEVICES drones in place of its own."""
    district = generate(7)
    drone = district.drones[-1]
    drones = tuple(
        replace(drone, sn=f"BENCH{i:09d}", gateway_sn=f"BENCHRC{i:07d}", docked=False)
        for i in range(DEVICES)
    )
    return replace(district, docks=(), drones=drones)


@contextmanager
def stand(say: Callable[[str], None]) -> Iterator[Stand]:
    """Give private servers with an empty database, and take them away again."""
    name = f"bench_{os.getpid()}"
    with ExitStack() as stack:
        cluster = stack.enter_context(ensure_cluster(ROOT))
        cluster.create_database(name)
        stack.callback(cluster.drop_database, name)
        urls = cluster.urls(name)
        migrate(urls.owner)
        broker = start_broker(ROOT, f"bench-{os.getpid()}", fresh=True)
        stack.callback(broker.stop, erase=True)
        district = city()
        with psycopg.connect(urls.owner) as connection:
            save(connection, district, wall_clock().now())
        admin = psycopg.connect(urls.owner, autocommit=True)
        admin.execute(PEER_TABLE)
        admin.execute("GRANT SELECT, INSERT ON peer TO gridwing_service")
        on = Stand(cluster, name, urls, broker, district, admin, say)
        yield on
        on.admin.close()


@contextmanager
def child(arguments: Sequence[str], env: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=ROOT, env={**os.environ, **env},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


class Part:
    """The production ingest part as a process of its own."""

    def __init__(self, on: Stand, folder: Path) -> None:
        self.on, self.folder = on, folder
        self.port = free_port(premises(ROOT), "bench-status")

    @contextmanager
    def running(self) -> Iterator["Part"]:
        env = {
            "DATABASE_URL": self.on.urls.service,
            "MQTT_URL": self.on.broker.url,
            "GRIDWING_DATA_DIR": str(self.folder),
            "GRIDWING_STATUS_PORT": str(self.port),
            "GRIDWING_SLOT": f"bench-{os.getpid()}",
        }
        with child(["-m", "gridwing", "ingest"], env) as process:
            self.process, self.pid = process, process.pid
            self._until(lambda: self._get("/readyz") is not None, "the ingest part to be ready")
            yield self

    def _until(self, done: Callable[[], bool], what: str, every_s: float = 0.1) -> None:
        def here() -> bool:
            if self.process.poll() is not None:
                raise PartEnded(f"the ingest part ended while the bench waited for {what}")
            return done()

        until(here, what, every_s)

    def _get(self, path: str) -> str | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as got:
                return str(got.read().decode())
        except OSError:
            return None

    def stored(self) -> int:
        text = self._get("/metrics") or ""
        for line in text.splitlines():
            if line.startswith('gridwing_ingest_messages_total{outcome="stored"}'):
                return int(float(line.rpartition(" ")[2]))
        return 0

    def measure(self, messages: int, samples: int) -> Measured:
        made = packets(addressed(self.on.payloads(messages, samples), "gridwing/telemetry/"))
        goal = self.stored() + messages * samples
        flood = Flood(self.on.broker.url, "gridwing-bench-flood")
        flood.open()
        backend, client = self.on.backend_s(), process_cpu_s(self.pid)
        began = time.monotonic()
        flood.send(made)
        self._until(lambda: self.stored() >= goal, f"{messages} messages to be stored", 0.05)
        wall_s = time.monotonic() - began
        flood.close()
        after = self.on.backend_s()
        spent = sum(after[pid] - backend.get(pid, 0) for pid in after)
        return Measured(messages * samples, wall_s, process_cpu_s(self.pid) - client, spent)

    def latency_ms(self, per_s: float, samples: int) -> tuple[float, float]:
        """Return (p50, p99) of publish to committed, of one device's samples at a paced load.

        Each sample carries the moment it is due: a publisher that falls behind counts as waiting.
        """
        messages = int(HALF_LOAD_S * per_s)
        names = [drone.sn for drone in self.on.district.drones]
        begin_s = wall_clock().wall_s() + 2.0 + messages * samples * 10e-6
        said, told = [], []
        for i in range(messages):
            due_s = begin_s + i / per_s
            at = int(due_s * 1000)
            body = [sample(names[i % DEVICES], at, i, k) for k in range(samples)]
            said.append((names[i % DEVICES], orjson.dumps(body if samples > 1 else body[0])))
            if i % DEVICES == 0:
                told.append((due_s, at))
        made = packets(addressed(said, "gridwing/telemetry/"))
        # The publisher must not stop to look through a million packets of its own.
        gc.disable()
        try:
            return asyncio.run(_watched(self.on, made, told, begin_s, per_s))
        finally:
            gc.enable()


async def _watched(
    on: Stand, made: Sequence[bytes], told: Sequence[tuple[float, int]], begin_s: float,
    per_s: float,
) -> tuple[float, float]:  # fmt: skip
    """Pace a load, and beside it look for its first device's newest committed time."""
    seen: list[tuple[float, int]] = []
    done = asyncio.Event()

    async def look() -> None:
        async with open_pool(on.urls.service, 1) as pool, pool.connection() as connection:
            await connection.set_autocommit(True)
            while not done.is_set():
                row = await (
                    await connection.execute(
                        "SELECT round(extract(epoch FROM at) * 1000)::bigint FROM telemetry"
                        " WHERE device_sn = %s AND at >= to_timestamp(%s)"
                        " ORDER BY at DESC LIMIT 1",
                        [on.district.drones[0].sn, begin_s],
                    )
                ).fetchone()  # fmt: skip
                if row is not None and (not seen or seen[-1][1] != row[0]):
                    seen.append((wall_clock().wall_s(), int(row[0])))
                await asyncio.sleep(PROBE_EVERY_S)

    def pace() -> None:
        flood = Flood(on.broker.url, "gridwing-bench-pace")
        flood.open()
        time.sleep(max(0.0, begin_s - wall_clock().wall_s()))
        flood.send(made, per_s)
        flood.close()

    looking = asyncio.create_task(look())
    await asyncio.to_thread(pace)
    await asyncio.sleep(1.0)
    done.set()
    await looking
    return waits_ms(told, seen)


def waits_ms(
    told: Sequence[tuple[float, int]], seen: Sequence[tuple[float, int]]
) -> tuple[float, float]:
    """Return (p50, p99) ms from each (wall s, time told) to the first sight of it or a later."""
    waits, at = [], 0
    for sent_s, stamp in told:
        while at < len(seen) and seen[at][1] < stamp:
            at += 1
        if at < len(seen):
            waits.append(1000 * max(0.0, seen[at][0] - sent_s))
    if len(waits) < 10:
        return math.nan, math.nan
    cuts = quantiles(waits, n=100, method="inclusive")
    return cuts[49], cuts[98]


def addressed(said: Sequence[tuple[str, bytes]], prefix: str) -> list[tuple[str, bytes]]:
    return [(prefix + sn, payload) for sn, payload in said]


def until(done: Callable[[], bool], what: str, every_s: float = 0.1) -> None:
    """Wait for a condition. Raises TimeoutError after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {PATIENCE_S:g} s for {what}")
        time.sleep(every_s)


def raw_copy(on: Stand, messages: int) -> Measured:
    """COPY the rows of packed messages, encoded beforehand, COPY_ROWS a transaction."""
    keeper = Keeper(MemoryLedger(), MemoryIngestStore(), on.district, wall_clock())
    blocks, rows = [], 0
    said = addressed(on.payloads(messages, PACKED), "gridwing/telemetry/")
    each = COPY_ROWS // PACKED
    for first in range(0, len(said), each):
        batch = keeper.read([Message(*m) for m in said[first : first + each]], wall_clock().now())
        columns = batch.columns
        assert columns is not None
        blocks.append(columns.copy_rows())
        rows += len(columns)
    with psycopg.connect(on.urls.service) as connection:
        pid = connection.info.backend_pid
        began, client, backend = time.monotonic(), time.process_time(), process_cpu_s(pid)
        for block in blocks:
            with connection.cursor() as cursor, cursor.copy(COPY_TELEMETRY) as copy:
                copy.write(block)
            connection.commit()
        wall_s = time.monotonic() - began
        spent = process_cpu_s(pid) - backend
    return Measured(rows, wall_s, time.process_time() - client, spent)


def counted(on: Stand, messages: int, module: str) -> Measured:
    """A subscriber that counts and acknowledges, by the codec of `module`."""
    made = packets(addressed(on.payloads(messages, 1), "counting/telemetry/"))
    with child(["-m", module, on.broker.url, "counting/telemetry/+"], {}) as process:
        stdin, stdout = process.stdin, process.stdout
        assert stdin is not None
        assert stdout is not None
        stdout.readline()
        flood = Flood(on.broker.url, "gridwing-bench-flood")
        flood.open()
        client, began = process_cpu_s(process.pid), time.monotonic()
        flood.send(made)

        def arrived() -> bool:
            stdin.write("\n")
            stdin.flush()
            return int(stdout.readline()) >= messages

        until(arrived, "the counter", 0.02)
        wall_s = time.monotonic() - began
        flood.close()
        return Measured(messages, wall_s, process_cpu_s(process.pid) - client, 0.0)


def mq_bridge(on: Stand, messages: int) -> Measured:
    """The peer: same stream, one sample a message, no cells, no states. Raises PeerFailed."""
    address, client_id = Address.of(on.broker.url), f"gridwing-bench-peer-{on.sent}"
    values = ", ".join(f"${{payload:{name}}}" for name in PEER_FIELDS)
    insert = f"INSERT INTO peer ({', '.join(PEER_FIELDS)}) VALUES ({values})"  # noqa: S608
    config = {
        "input": {
            "mqtt": {
                "url": f"tcp://{address.host}:{address.port}",
                "username": address.username,
                "password": address.password,
                "topic": "peering/telemetry/+",
                "client_id": client_id,
                "qos": 1,
                "protocol": "v3",
                "queue_capacity": 10_000,
            }
        },
        "output": {
            "sqlx": {
                "url": on.urls.service,
                "table": "peer",
                "insert_query": insert,
                "bulk_copy": True,
            }
        },
        "batch_size": 1000,
    }
    made = packets(addressed(on.payloads(messages, 1), "peering/telemetry/"))
    goal = on.count("peer") + messages
    with child(["-c", PEER, json.dumps(config)], {}) as process:
        assert process.stdout is not None
        if (answer := process.stdout.readline().strip()) != "reading":
            raise PeerFailed(answer or "it ended without a word")
        time.sleep(1.0)
        flood = Flood(on.broker.url, "gridwing-bench-flood")
        flood.open()
        backend, client = on.backend_s(), process_cpu_s(process.pid)
        began = time.monotonic()
        flood.send(made)
        until(lambda: on.count("peer") >= goal, "the peer", 0.2)
        wall_s = time.monotonic() - began
        flood.close()
        after = on.backend_s()
        spent = sum(after[pid] - backend.get(pid, 0) for pid in after)
        measured = Measured(messages, wall_s, process_cpu_s(process.pid) - client, spent)
    # A clean session in place of the peer's: what it left unacknowledged, some 40 MB, would be
    # written to the disk by the broker every second from here on.
    clean = Flood(on.broker.url, client_id)
    clean.open()
    clean.close()
    return measured


def run(
    only: Sequence[str], rounds: int, scale: float, say: Callable[[str], None]
) -> dict[str, Any]:
    """Measure what `only` names (all if empty) in interleaved rounds; return the document."""
    singles, packs = int(SINGLE_MESSAGES * scale), int(PACKED_MESSAGES * scale)
    found: Found = {}
    waits: dict[str, tuple[float, float]] = {}
    folder = Path(tempfile.mkdtemp(prefix="gridwing-bench-"))
    try:
        with stand(say) as on, Part(on, folder).running() as part:
            ways: dict[str, Callable[[], Measured]] = {
                "raw_copy": lambda: raw_copy(on, packs),
                "broker_counter": lambda: counted(on, singles, "gridwing.counter"),
                "paho_counter": lambda: counted(on, singles, "gridwing.paho_counter"),
                "single": lambda: part.measure(singles, 1),
                "packed": lambda: part.measure(packs, PACKED),
                "mq_bridge": lambda: mq_bridge(on, singles),
            }
            if find_spec("mq_bridge") is None:
                del ways["mq_bridge"]
                say("mq_bridge: not installed here (it is in requirements-dev.lock), left out")
            say(f"servers are up; {SETTLE_S:g} s until ingest no longer expects copies")
            part.measure(1000, 1)
            time.sleep(SETTLE_S)
            for number in range(rounds):
                for name, way in ways.items():
                    if only and name not in only:
                        continue
                    try:
                        got = way()
                    except PeerFailed as error:
                        say(f"round {number + 1}: {name} did not start: {error}")
                        continue
                    found.setdefault(name, {})[number] = got
                    say(f"round {number + 1}: {name:14} {got.per_s:>9,.0f}/s {got.cpu_us:6.2f} us"
                        f" (client {got.client_us:.2f},"
                        f" backend {got.cpu_us - got.client_us:.2f})")  # fmt: skip
            for name, samples in (("single", 1), ("packed", PACKED)):
                if name in found:
                    half = median(m.per_s for m in found[name].values()) / 2 / samples
                    waits[name] = part.latency_ms(half, samples)
                    p50, p99 = waits[name]
                    say(f"half load {name}: p50 {p50:.1f} ms p99 {p99:.1f} ms")
            kept = on.count("telemetry")
            dead = on.count("dead_letter")
            for topic, reason in on.admin.execute("SELECT topic, reason FROM dead_letter LIMIT 3"):
                say(f"refused: {topic}: {reason}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return document(found, waits) | {"rounds": rounds, "rows": kept, "dead_letters": dead}


def document(found: Found, waits: dict[str, tuple[float, float]]) -> dict[str, Any]:
    """Return medians and the ratios of each round's ways, taken round by round."""
    names = {"raw_copy": "row", "broker_counter": "msg", "paho_counter": "msg", "single": "msg",
             "packed": "sample", "mq_bridge": "msg"}  # fmt: skip
    told: dict[str, Any] = {}
    for name, unit in names.items():
        if name not in found:
            told[name] = None
            continue
        seen = found[name].values()
        one: dict[str, float] = {f"{unit}s_per_s": round(median(m.per_s for m in seen))}
        one[f"cpu_us_per_{unit}"] = round(median(m.cpu_us for m in seen), 2)
        one[f"client_us_per_{unit}"] = round(median(m.client_us for m in seen), 2)
        if name in waits:
            one["p50_ms"], one["p99_ms"] = (round(wait, 1) for wait in waits[name])
        told[name] = one
    told["ratios"] = {
        "packed_cpu_vs_copy": _ratio(found, "packed", "raw_copy", "cpu_us"),
        "single_vs_broker": _ratio(found, "single", "broker_counter", "per_s"),
        "mq_bridge_cpu_vs_single": _ratio(found, "mq_bridge", "single", "cpu_us"),
        "packed_vs_copy_rows": _ratio(found, "packed", "raw_copy", "per_s"),
    }
    told["goals"] = {
        name: {"goal": goal, "way": way, "reached": _reached(told["ratios"][name], goal, way)}
        for name, (goal, way) in GOALS.items()
    }
    return told


def _ratio(found: Found, over: str, under: str, of: str) -> float | None:
    """Return the median over the rounds that have both."""
    above, below = found.get(over, {}), found.get(under, {})
    rounds = above.keys() & below.keys()
    if not rounds:
        return None
    return round(float(median(getattr(above[i], of) / getattr(below[i], of) for i in rounds)), 3)


def _reached(value: float | None, goal: float, way: str) -> bool | None:
    if value is None:
        return None
    return value <= goal if way == "at most" else value >= goal
