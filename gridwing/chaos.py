"""Ingest under fire, on private servers: killed, cut off from broker and database, counted after.

First the reader and its servers fail in ways that may lose nothing: SIGKILL of the part at random
moments, orderly restarts of the broker, a database that refuses everybody. Then the broker itself
is killed: what it had not yet saved is gone (its autosave window), but not what a device keeps
until it is answered.
"""

import asyncio
import contextlib
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import orjson

from gridwing.flood import Flood, packets
from gridwing.ingest_bench import PATIENCE_S, Stand, addressed, stand
from runtime.bus import MqttBus
from runtime.clock import wall_clock
from runtime.topics import events, events_reply

ROOT = Path(__file__).resolve().parent.parent
CHUNK_S = 2.0
PAUSE_S = (0.3, 2.5)
"""Between two blows, at random."""
AUTOSAVE_S = 1.0
"""autosave_interval of deploy/mosquitto.conf."""
REPEAT_EVENT_S = 2.0
EVENT_EVERY_S = 0.2
RESTART_S = 0.2
QUIET_S = 5.0
STUCK_S = 20.0


@dataclass(frozen=True, slots=True)
class ChaosPlan:
    seed: int
    rate_per_s: int
    kills: int
    broker_restarts: int
    outage_s: float
    broker_kills: int


@dataclass(slots=True)
class Slot:
    """The ingest part of one slot, started again whenever it ends, as the supervisor does."""

    on: Stand
    folder: Path
    starts: int = 0
    _process: "subprocess.Popen[bytes] | None" = None
    _ending: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._keep_running)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        if self._process is not None:
            self._process.terminate()
        if self._thread is not None:
            self._thread.join()

    def _keep_running(self) -> None:
        env = {
            "PATH": "/usr/bin:/bin",
            "DATABASE_URL": self.on.urls.service,
            "MQTT_URL": self.on.broker.url,
            "GRIDWING_DATA_DIR": str(self.folder),
            "GRIDWING_SLOT": "0",
        }
        with (self.folder / "ingest.log").open("ab") as log:
            while not self._ending.is_set():
                self.starts += 1
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "gridwing", "ingest"],
                    cwd=ROOT, env=env, stdout=log, stderr=log,
                )  # fmt: skip
                self._process.wait()
                time.sleep(RESTART_S)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()


@dataclass(slots=True)
class Publisher:
    """Devices that publish at a rate until told to stop, and know what the broker took."""

    on: Stand
    rate_per_s: int
    sent: int = 0
    _ending: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    failed: BaseException | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        """Send what was begun to its end. Raises what ended the thread."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
        if self.failed is not None:
            raise self.failed

    def _run(self) -> None:
        flood = Flood(self.on.broker.url, "gridwing-chaos-devices")
        try:
            while not self._ending.is_set():
                count = int(self.rate_per_s * CHUNK_S)
                said = addressed(self.on.payloads(count, 1), "gridwing/telemetry/")
                flood.send(packets(said), self.rate_per_s)
                self.sent += count
        except OSError as error:
            self.failed = error
        finally:
            flood.close()


@dataclass(slots=True)
class Answered:
    """A device's events, each kept and said again until it is answered."""

    on: Stand
    said: int = 0
    waiting: dict[str, bytes] = field(default_factory=dict)

    async def run(self, ending: asyncio.Event) -> None:
        """Say a new event every EVENT_EVERY_S until `ending`; return when all are answered."""
        gateway = self.on.district.drones[0].gateway_sn
        async with MqttBus(self.on.broker.url, "gridwing-chaos-dock") as bus:
            hearing = asyncio.create_task(self._hear(bus, gateway))
            repeating = asyncio.create_task(self._repeat(bus, gateway))
            try:
                while not ending.is_set():
                    key = f"chaos-{self.said}"
                    self.waiting[key] = _event(gateway, key)
                    self.said += 1
                    with contextlib.suppress(ConnectionError):
                        await bus.publish(events(gateway), self.waiting[key])
                    await asyncio.sleep(EVENT_EVERY_S)
                async with asyncio.timeout(PATIENCE_S):
                    while self.waiting:  # noqa: ASYNC110  (answers come over the broker)
                        await asyncio.sleep(0.1)
            finally:
                hearing.cancel()
                repeating.cancel()
                await asyncio.gather(hearing, repeating, return_exceptions=True)

    async def _hear(self, bus: MqttBus, gateway: str) -> None:
        async with bus.subscribe([events_reply(gateway)]) as messages:
            async for message in messages:
                self.waiting.pop(orjson.loads(message.payload)["tid"], None)

    async def _repeat(self, bus: MqttBus, gateway: str) -> None:
        while True:
            await asyncio.sleep(REPEAT_EVENT_S)
            for payload in list(self.waiting.values()):
                with contextlib.suppress(ConnectionError):
                    await bus.publish(events(gateway), payload)


def _event(gateway: str, key: str) -> bytes:
    output = {"status": "ok", "ext": {"flight_id": key}}
    return orjson.dumps(
        {
            "tid": key, "bid": key, "timestamp": int(wall_clock().wall_s() * 1000),
            "gateway": gateway, "method": "flighttask_progress", "need_reply": 1,
            "data": {"result": 0, "output": output},
        }
    )  # fmt: skip


def run(plan: ChaosPlan, say: Callable[[str], None]) -> dict[str, Any]:
    """Carry out a plan; return what was sent and what is stored."""
    folder = Path(tempfile.mkdtemp(prefix="gridwing-chaos-"))
    dice = random.Random(plan.seed)
    try:
        with stand(say) as on, Slot(on, folder) as slot:
            _warm_up(on)
            first = _blows(on, slot, plan, dice, say)
            second = _broker_kills(on, plan, dice, say)
            dead = on.count("dead_letter")
            return {**first, **second, "dead_letters": dead, "part_starts": slot.starts}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _warm_up(on: Stand) -> None:
    """Wait until the session exists: before it does, nobody has promised anything."""
    before, deadline = on.count("telemetry"), time.monotonic() + PATIENCE_S
    flood = Flood(on.broker.url, "gridwing-chaos-first")
    while on.count("telemetry") == before:
        if time.monotonic() > deadline:
            raise TimeoutError("the ingest part took nothing")
        flood.send(packets(addressed(on.payloads(1, 1), "gridwing/telemetry/")))
        time.sleep(0.2)
    flood.close()
    time.sleep(1.0)


def _blows(
    on: Stand, slot: Slot, plan: ChaosPlan, dice: random.Random, say: Callable[[str], None]
) -> dict[str, Any]:
    before = on.count("telemetry")
    blows = ["kill"] * plan.kills + ["broker"] * plan.broker_restarts
    dice.shuffle(blows)
    publisher = Publisher(on, plan.rate_per_s)
    publisher.start()
    try:
        for number, blow in enumerate(blows):
            time.sleep(dice.uniform(*PAUSE_S))
            if blow == "kill":
                slot.kill()
            else:
                on.broker.restart()
            if number % 10 == 9:
                say(f"{number + 1} of {len(blows)} blows, {publisher.sent} sent")
        if plan.outage_s:
            say(f"the database refuses everybody for {plan.outage_s:g} s")
            on.admin.close()
            with on.cluster.outage(on.database):
                time.sleep(plan.outage_s)
            on.reconnect()
    finally:
        publisher.stop()
    stored = _settled(on, before + publisher.sent) - before
    return {
        "rate_per_s": plan.rate_per_s,
        "kills": plan.kills,
        "broker_restarts": plan.broker_restarts,
        "outage_s": plan.outage_s,
        "sent": publisher.sent,
        "stored": stored,
        "lost": max(0, publisher.sent - stored),
        "duplicates": max(0, stored - publisher.sent),
    }


def _settled(on: Stand, wanted: int) -> int:
    """Wait for a number of rows and whatever comes beyond it; return how many there are.

    Where they do not come, gives up once nothing has for STUCK_S.
    """
    last, since = -1, time.monotonic()
    while True:
        now = on.count("telemetry")
        if now != last:
            last, since = now, time.monotonic()
        if time.monotonic() - since > (QUIET_S if now >= wanted else STUCK_S):
            return now
        time.sleep(0.5)


def _broker_kills(
    on: Stand, plan: ChaosPlan, dice: random.Random, say: Callable[[str], None]
) -> dict[str, Any]:
    if not plan.broker_kills:
        return {}
    before = on.count("telemetry")
    publisher, device = Publisher(on, plan.rate_per_s), Answered(on)

    async def main() -> None:
        ending = asyncio.Event()
        telling = asyncio.create_task(device.run(ending))
        publisher.start()
        try:
            for number in range(plan.broker_kills):
                await asyncio.sleep(dice.uniform(*PAUSE_S) + 1.0)
                on.broker.kill()
                await asyncio.to_thread(on.broker.restart)
                if number % 5 == 4:
                    say(f"{number + 1} of {plan.broker_kills} broker kills")
        finally:
            await asyncio.to_thread(publisher.stop)
            ending.set()
            await telling

    asyncio.run(main())
    stored = _settled(on, before + publisher.sent) - before
    row = on.admin.execute(
        "SELECT count(*), count(DISTINCT stream) FROM ledger WHERE stream LIKE 'flight/chaos-%'"
    ).fetchone()
    assert row is not None
    return {
        "broker_kills": plan.broker_kills,
        "broker_kill_sent": publisher.sent,
        "broker_kill_lost": max(0, publisher.sent - stored),
        "broker_kill_window": round(plan.broker_kills * plan.rate_per_s * AUTOSAVE_S),
        "broker_kill_duplicates": max(0, stored - publisher.sent),
        "events_said": device.said,
        "events_lost": device.said - int(row[1]),
        "events_doubled": int(row[0]) - int(row[1]),
    }


def faults(told: dict[str, Any]) -> list[str]:
    """Return what the run shows that must not be, empty when all is well."""
    never = ("lost", "duplicates", "dead_letters", "broker_kill_duplicates", "events_lost",
             "events_doubled")  # fmt: skip
    found = [f"{name}: {told[name]}" for name in never if told.get(name)]
    if told.get("broker_kill_lost", 0) > told.get("broker_kill_window", 0):
        found.append(f"broker_kill_lost: {told['broker_kill_lost']}, beyond the autosave window")
    return found
