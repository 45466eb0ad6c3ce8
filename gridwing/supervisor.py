"""Each part is its own process; this starts them, restarts them, watches and stops them.

Only processes started here are ever signalled, by pid.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import httpx
import structlog
from prometheus_client.parser import text_string_to_metric_families

from gridwing.stopping import SUPERVISED

log = structlog.get_logger(__name__)

RESTART_FIRST_S = 0.5
RESTART_LAST_S = 10.0
STEADY_S = 20.0
STOP_S = 15.0
SCRAPE_EVERY_S = 1.0
SCRAPE_TIMEOUT_S = 3.0
READY_LOOK_S = 0.2
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class PartPlan:
    """One process: its name, the arguments after `python -m gridwing`, its status port."""

    name: str
    arguments: tuple[str, ...]
    status_port: int
    environment: Mapping[str, str]


@dataclass(slots=True)
class RunningPart:
    plan: PartPlan
    process: asyncio.subprocess.Process | None = None
    starts: int = 0
    ready: bool = False
    ended_cpu_s: float = 0.0
    last_cpu_s: float = 0.0
    counters: dict[str, float] = field(default_factory=dict)
    _seen: dict[str, float] = field(default_factory=dict)

    @property
    def cpu_s(self) -> float:
        return self.ended_cpu_s + self.last_cpu_s

    def absorb(self, samples: Mapping[str, float]) -> None:
        """Add what a scrape shows beyond the last one; a lower value means a new process."""
        for name, value in samples.items():
            before = self._seen.get(name, 0.0)
            grown = value - before if value >= before else value
            self.counters[name] = self.counters.get(name, 0.0) + grown
            self._seen[name] = value

    def renewed(self) -> None:
        """Forget the ended process's counters and keep its CPU time."""
        self._seen.clear()
        self.ended_cpu_s += self.last_cpu_s
        self.last_cpu_s = 0.0
        self.ready = False


def _untold(name: str) -> None:
    """Tell nobody."""


class Supervisor:
    """Runs parts until told to stop. `folder` gets their logs and `parts.json` with the pids."""

    def __init__(self, plans: Sequence[PartPlan], folder: Path) -> None:
        self.parts = {plan.name: RunningPart(plan) for plan in plans}
        self.folder = folder
        self._stopping: set[str] = set()
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        (self.folder / "logs").mkdir(parents=True, exist_ok=True)
        for part in self.parts.values():
            self._tasks.append(asyncio.create_task(self._keep(part)))
        self._tasks.append(asyncio.create_task(self._scrape()))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop(tuple(self.parts))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def stop(self, names: Sequence[str]) -> None:
        """End these parts: SIGTERM, then SIGKILL after STOP_S seconds."""
        self._stopping.update(names)
        await asyncio.gather(*(self._end(self.parts[name]) for name in names))

    async def until_ready(self, tell: Callable[[str], None] = _untold) -> None:
        """Return when every part is ready, telling each name as it becomes so."""
        told: set[str] = set()
        while True:
            ready = self.all_ready()
            for name, part in self.parts.items():
                if part.ready and name not in told:
                    told.add(name)
                    tell(name)
            if ready:
                return
            await asyncio.sleep(READY_LOOK_S)

    def all_ready(self) -> bool:
        return all(part.ready for part in self.parts.values())

    def log_path(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    async def _keep(self, part: RunningPart) -> None:
        wait_s = RESTART_FIRST_S
        loop = asyncio.get_running_loop()
        while part.plan.name not in self._stopping:
            started_s = loop.time()
            await self._start(part)
            assert part.process is not None
            code = await part.process.wait()
            part.renewed()
            if part.plan.name in self._stopping:
                return
            if loop.time() - started_s > STEADY_S:
                wait_s = RESTART_FIRST_S
            log.warning("part ended, starting it again", part=part.plan.name, code=code)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, RESTART_LAST_S)

    async def _start(self, part: RunningPart) -> None:
        plan = part.plan
        with self.log_path(plan.name).open("ab") as sink:
            part.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gridwing",
                *plan.arguments,
                env={**plan.environment, SUPERVISED: "1"},
                # Never written to: its end tells the part that this process is gone.
                stdin=asyncio.subprocess.PIPE,
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
        part.starts += 1
        pids = {n: p.process.pid for n, p in self.parts.items() if p.process is not None}
        # Replaced whole: whoever reads it meanwhile sees the old file or the new one.
        draft = self.folder / "parts.draft"
        draft.write_text(json.dumps(pids, indent=1))
        draft.replace(self.folder / "parts.json")

    async def _end(self, part: RunningPart) -> None:
        process = part.process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            log.warning("part did not stop in time", part=part.plan.name, limit_s=STOP_S)
            process.kill()
            await process.wait()

    async def _scrape(self) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=SCRAPE_TIMEOUT_S) as client:
            while True:
                for part in self.parts.values():
                    await self._look_at(part, client)
                await asyncio.sleep(SCRAPE_EVERY_S)

    async def _look_at(self, part: RunningPart, client: httpx.AsyncClient) -> None:
        process = part.process
        if process is None or process.returncode is not None:
            part.ready = False
            return
        part.last_cpu_s = max(part.last_cpu_s, process_cpu_s(process.pid))
        base = f"http://127.0.0.1:{part.plan.status_port}"
        try:
            part.ready = (await client.get(f"{base}/readyz")).status_code == httpx.codes.OK
            part.absorb(counter_samples((await client.get(f"{base}/metrics")).text))
        except httpx.HTTPError:
            part.ready = False


def counter_samples(exposition: str) -> dict[str, float]:
    """Return every counter of a Prometheus exposition, labels in the name."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(exposition):
        if family.type != "counter":
            continue
        for sample in family.samples:
            if sample.name.endswith("_total"):
                labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
                found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def process_cpu_s(pid: int) -> float:
    """Return the user and system seconds a live process has used; 0 when it is gone."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(after_name[11]) + int(after_name[12])) / CLOCK_TICKS
