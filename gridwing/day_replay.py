"""`gridwing bench day`: a seeded day before the simulated cameras, watched, held against the truth.

The cameras draw what stands before them and are read at watch's own pace, in virtual time; the
frames go through the inbox and the watch itself with the hazard network in use. Every hazard is
handled HANDLED_S after it came, found or not, so that the day is the same for every network. A
hazard as watch raises it is what counts: of one happening it raises one while it stands.
"""

import asyncio
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

from domain.events import HazardRaised
from domain.hazard import Hazard, HazardKind
from domain.observation import Frame
from geo.frames import LocalFrame
from gridwing.demo import EPOCH
from gridwing.eyes import load_eyes, watch_policy
from gridwing.summary import LOOKED_AT_FRAMES, TrueHazard, alike, matches
from models.catalogue import Card
from runtime.clock import Clock, VirtualLoop
from runtime.evidence import InlineEvidenceStore
from runtime.ledger_memory import MemoryLedger
from services.ingest.sources import FrameInbox, Pace
from services.ingest.watch import make_watch
from services.ingest.watch import run as run_watch
from simulators.camera import FASTEST_WALL_S, FixedCamera
from simulators.district import generate
from simulators.world import World

HANDLED_S = 1800.0
TELL_EVERY_S = 1800.0
TEND_EVERY_S = 20.0
ENTRIES_LIMIT = 1_000_000
DAY_S = 86_400.0
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DayOptions:
    """`rate` is clock seconds a wall second of the cameras' pace: at 30 an idle camera is read
    every 30 s and one that sees something every 6 s. `minutes` ends a day early."""

    seed: int = 7
    cameras: int = 24
    hours: float = 8.0
    rate: float = 30.0
    minutes: float = 20.0


class Day:
    """One seeded day: its world, cameras and watch."""

    def __init__(self, options: DayOptions, card: Card, clock: Clock, folder: Path) -> None:
        self.options, self.clock = options, clock
        self.district = generate(options.seed)
        self.world = World(self.district, options.seed, EPOCH, folder)
        self.pace, self.inbox, self.ledger = Pace(), FrameInbox(), MemoryLedger()
        evidence = InlineEvidenceStore(folder / "evidence")
        self.watch = make_watch(
            self.district, load_eyes(None, card), self.ledger, evidence, clock,
            watch_policy(card), self.pace,
        )  # fmt: skip
        self.refused = 0

    async def live(self, say: Say) -> None:
        """Live until the hours or the minutes are over."""
        cameras = self.district.cameras[: self.options.cameras]
        began_s = time.monotonic()
        tasks = [asyncio.create_task(run_watch(self.watch, self.inbox, self._refused))]
        tasks += [
            asyncio.create_task(
                self._film(FixedCamera(c, self.world, self.clock, self.options.seed, None), i)
            )
            for i, c in enumerate(cameras)
        ]
        tasks.append(asyncio.create_task(self._handle()))
        end = EPOCH + timedelta(hours=self.options.hours)
        while self.clock.now() < end and time.monotonic() - began_s < self.options.minutes * 60:
            await self.clock.sleep(min(TELL_EVERY_S, (end - self.clock.now()).total_seconds()))
            say(
                f"{self.clock.now():%H:%M} {self.watch.frames_seen} frames, "
                f"{time.monotonic() - began_s:.0f} s"
            )
        for task in tasks:
            task.cancel()
        for error in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(error, Exception):
                raise error

    def _refused(self, source: str, reason: str) -> None:
        self.refused += 1

    async def _film(self, camera: FixedCamera, number: int) -> None:
        sn = camera.camera.sn
        await self.clock.sleep(number * self.options.rate / self.options.cameras)
        while True:
            at = self.clock.now()
            self.inbox.put(Frame(sn, at, await camera.picture(at), None))
            wall_s = max(self.pace.interval_s(sn), 1.01 * FASTEST_WALL_S)
            await self.clock.sleep(wall_s * self.clock.rate)

    async def _handle(self) -> None:
        while True:
            at = self.clock.now()
            for it in self.world.standing(at):
                if (at - it.appears_at).total_seconds() >= HANDLED_S:
                    place = self.world.terrain.frame.to_position(it.x_m, it.y_m)
                    self.world.handle(place, at)
            await self.clock.sleep(TEND_EVERY_S)


def run_day(options: DayOptions, card: Card, say: Say) -> dict[str, Any]:
    """Live the day and return what was found of it, by kind."""
    folder = Path(tempfile.mkdtemp(prefix="gridwing-day-"))
    loop = VirtualLoop()
    began_s = time.process_time()
    try:
        day = Day(options, card, loop.clock(EPOCH, options.rate), folder)
        loop.run_until_complete(day.live(say))
        entries = loop.run_until_complete(day.ledger.read(0, ENTRIES_LIMIT))
        raised = [e.event.hazard for e in entries if isinstance(e.event, HazardRaised)]
        lived_s = (day.clock.now() - EPOCH).total_seconds()
        camera_days = round(lived_s * options.cameras / DAY_S, 3)
        told = {
            "model": card.name,
            "seed": options.seed,
            "cameras": options.cameras,
            "hours": round(lived_s / 3600.0, 2),
            "camera_days": camera_days,
            "frames": day.watch.frames_seen,
            "refused": day.refused,
        }
        frame = LocalFrame(day.district.origin)
        told |= scored(truth_of(day.world, frame), raised, frame, camera_days)
        return told | {"cpu_s": round(time.process_time() - began_s)}
    finally:
        loop.close()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Looked:
    """A hazard of the truth, and when a picture first showed it."""

    true: TrueHazard
    first_look_at: datetime | None


def truth_of(world: World, frame: LocalFrame) -> list[Looked]:
    return [
        Looked(
            TrueHazard(
                a.hazard_id,
                a.kind,
                *frame.to_local(a.position.lat_deg, a.position.lon_deg),
                a.appeared_at,
                a.handled_at,
                a.looks,
            ),
            a.first_look_at,
        )
        for a in world.log.accounts.values()
    ]


def scored(
    truth: Sequence[Looked], raised: Sequence[Hazard], frame: LocalFrame, camera_days: float
) -> dict[str, Any]:
    """Return recall over what at least LOOKED_AT_FRAMES pictures showed, false alarms a camera-day
    and the median delay after the first look, together and by kind. Pure.

    Smoke where there is fire, and the reverse, is no false alarm, but does not find the other.
    """
    wanted = [t for t in truth if t.true.frames >= LOOKED_AT_FRAMES]
    false = [
        h for h in raised if not any(matches(t.true, h, frame, alike(t.true.kind)) for t in truth)
    ]
    delays: dict[HazardKind, list[float]] = {}
    for looked in wanted:
        hits = [h for h in raised if matches(looked.true, h, frame, {looked.true.kind})]
        if hits and looked.first_look_at is not None:
            first = min(h.last_seen_at for h in hits)
            delay_s = (first - looked.first_look_at).total_seconds()
            delays.setdefault(looked.true.kind, []).append(max(0.0, delay_s))
    true, alarms = Counter(t.true.kind for t in wanted), Counter(h.kind for h in false)

    def row(kinds: Sequence[HazardKind]) -> dict[str, Any]:
        found = [d for kind in kinds for d in delays.get(kind, ())]
        known = sum(true[kind] for kind in kinds)
        wrong = sum(alarms[kind] for kind in kinds)
        return {
            "true": known,
            "found": len(found),
            "recall": round(len(found) / known, 3) if known else None,
            "false_alarms": wrong,
            "false_alarms_per_camera_day": round(wrong / camera_days, 2),
            "median_delay_s": round(median(found), 1) if found else None,
        }

    kinds = [kind for kind in HazardKind if true[kind] or alarms[kind]]
    return row(kinds) | {
        "raised": len(raised),
        "unseen": len(truth) - len(wanted),
        "kinds": {kind.value: row([kind]) for kind in kinds},
    }
