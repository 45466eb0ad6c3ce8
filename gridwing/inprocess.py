"""All parts and simulators in one process, in virtual time: the same seed gives the same ledger.

Memory bus, memory ledger, memory stores, one inference thread that is the loop itself. Nothing
here waits for a socket, a thread or the wall.
"""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from domain.district import District
from domain.responder import Responder
from geo.frames import LocalFrame
from gridwing.demo import EPOCH, DemoOptions
from gridwing.desk_phone import DeskPhone
from gridwing.eyes import hazard_card, load_eyes, watch_policy
from gridwing.summary import TrueHazard, complaints, ledger_figures
from runtime.bus import MemoryBus
from runtime.clock import Clock, VirtualLoop
from runtime.evidence import InlineEvidenceStore
from runtime.intake import MemoryIntake
from runtime.ledger_memory import MemoryLedger
from runtime.metrics import REGISTRY
from runtime.topics import INTAKE_FILTERS
from services.alerts.desk import Desk
from services.alerts.loop import AlertPolicy
from services.alerts.loop import run as run_alerts
from services.alerts.measures import measures
from services.alerts.rules import load_rules
from services.alerts.store_memory import MemoryAlertStore
from services.ingest.loop import Ingest
from services.ingest.loop import run as run_ingest
from services.ingest.sources import FrameInbox, Pace, hear_frames
from services.ingest.store_memory import MemoryIngestStore
from services.ingest.watch import make_watch
from services.ingest.watch import run as run_watch
from services.patrol.loop import run as run_patrol
from services.patrol.policy import PatrolPolicy
from services.patrol.store_memory import MemoryPatrolStore
from simulators.district import generate
from simulators.fleet import FleetOptions
from simulators.fleet import run as run_fleet
from simulators.truth import read_truth, truth_summary

ENTRIES_LIMIT = 1_000_000
WAYLINE_SCHEME, AREAS_SCHEME = "memory:", "memory-areas:"
DRAIN_S = 30.0


class Town:
    """One seeded run of a district: its ledger, stores and simulators."""

    def __init__(
        self, options: DemoOptions, district: District, clock: Clock, folder: Path
    ) -> None:
        self.options, self.district = options, district
        self.clock, self.folder = clock, folder
        self._errors_before = logged_errors()
        self.bus, self.ledger = MemoryBus(), MemoryLedger()
        self.ingested, self.flights = MemoryIngestStore(), MemoryPatrolStore()
        self.alerted = MemoryAlertStore()
        self.inbox = FrameInbox()
        rules = load_rules()
        self.alert_policy = AlertPolicy(rules)
        self.desk = Desk(self.ledger, self.alerted, self.district, clock, rules)
        evidence = InlineEvidenceStore(folder / "evidence")
        hazards = hazard_card(None)
        eyes, policy = load_eyes(None, hazards), watch_policy(hazards)
        self.watch = make_watch(
            self.district, eyes, self.ledger, evidence, clock, policy, Pace()
        )
        self.evidence = evidence

    async def run(self, for_s: float) -> None:
        """Live for `for_s` wall-equivalent seconds of clock time, then drain."""
        parts = [asyncio.create_task(self._parts())]
        fleet = asyncio.create_task(self._fleet())
        await self.clock.sleep(for_s * self.options.rate)
        fleet.cancel()
        await asyncio.gather(fleet, return_exceptions=True)
        await self.clock.sleep(DRAIN_S)
        for task in parts:
            task.cancel()
        ended = await asyncio.gather(*parts, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error

    async def _parts(self) -> None:
        async with (
            MemoryIntake(self.bus, INTAKE_FILTERS) as intake,
            asyncio.TaskGroup() as tasks,
        ):
            ingest = Ingest(intake, self.bus, self.ledger, self.ingested, self.district, self.clock)
            tasks.create_task(run_ingest(ingest))
            tasks.create_task(hear_frames(self.bus, self.inbox, _refused, self.clock))
            tasks.create_task(run_watch(self.watch, self.inbox, _refused))
            tasks.create_task(
                run_patrol(
                    self.ledger,
                    self.bus,
                    self.flights,
                    self.district,
                    self.clock,
                    PatrolPolicy(),
                    lambda mission_id: WAYLINE_SCHEME + mission_id,
                    area_url=lambda name: AREAS_SCHEME + name,
                )
            )
            tasks.create_task(
                run_alerts(self.ledger, self.alerted, self.district, self.clock, self.alert_policy)
            )

    async def _fleet(self) -> None:
        async def fetch(url: str) -> bytes:
            if url.startswith(AREAS_SCHEME):
                found = await self.flights.docks.areas(url.removeprefix(AREAS_SCHEME))
            else:
                found = await self.flights.kmz(url.removeprefix(WAYLINE_SCHEME))
            if found is None:
                raise FileNotFoundError(url)
            return found

        def phone_for(responder: Responder) -> DeskPhone:
            return DeskPhone(self.desk, self.evidence, responder, self.district)

        options = FleetOptions(
            seed=self.options.seed, state_folder=self.folder / "simulators", render_threads=0
        )
        await run_fleet(options, self.district, self.clock, self._bus_for, fetch, phone_for)

    def _bus_for(self, client_id: str) -> MemoryBus:
        return self.bus

    async def summary(self, simulated_s: float) -> dict[str, Any]:
        state = self.folder / "simulators"
        frame = LocalFrame(self.district.origin)
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
        sent, counts = truth_summary(state), await self.ingested.counts()
        verified = await self.ledger.verify()
        entries = await self.ledger.read(0, ENTRIES_LIMIT)
        figures: dict[str, Any] = {"rate": self.options.rate, "simulated_s": round(simulated_s)}
        figures |= ledger_figures(entries, truth, frame)
        figures |= {
            "telemetry_sent": sent["telemetry_sent"],
            "telemetry_stored": counts["telemetry"],
            "dead_letters": counts["dead_letters"],
            "double_takeoffs": sent["double_takeoffs"],
            "frames_seen": self.watch.frames_seen,
            "frame_to_dispatch_s": (await measures(self.alerted))["frame_to_dispatch_s"],
            "ledger_entries": verified.entries,
            "ledger_ok": verified.ok,
            "ledger_digest": verified.head_hash.hex(),
            "errors": logged_errors() - self._errors_before,
        }
        figures["complaints"] = complaints(figures)
        return figures


def logged_errors() -> int:
    """Return how many error lines this process has logged."""
    return int(REGISTRY.get_sample_value("gridwing_log_errors_total") or 0)


def _refused(source: str, reason: str) -> None:
    raise RuntimeError(f"a simulated frame was refused: {source}: {reason}")


def run_in_process(
    options: DemoOptions, for_s: float, say: Callable[[str], None]
) -> dict[str, Any]:
    """Run one seeded day's stretch in virtual time and return its summary."""
    folder = Path(tempfile.mkdtemp(prefix="gridwing-"))
    loop = VirtualLoop()
    began = time.process_time()
    try:
        clock = loop.clock(EPOCH, options.rate)
        town = Town(options, generate(options.seed), clock, folder)
        say(f"living {for_s * options.rate:g} simulated seconds in one process")
        loop.run_until_complete(town.run(for_s))
        figures = loop.run_until_complete(town.summary(for_s * options.rate))
        figures["cpu_s"] = {"all": round(time.process_time() - began, 1)}
        return figures
    finally:
        loop.close()
        shutil.rmtree(folder, ignore_errors=True)
