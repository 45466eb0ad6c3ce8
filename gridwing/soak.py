"""`gridwing soak`: broken streams through the real watch for an hour at speed, and its memory.

Messages go over the bus as devices send them, two HTTP cameras misbehave as servers; hearing,
pulling, inbox, decoding, detector, votes, blurring and keeping are those of the part `watch`.
Only the ledger is in memory: its rows are counted.
"""

import asyncio
import os
import re
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from domain.district import District
from domain.observation import FramePose
from geo.frames import LocalFrame
from gridwing.district import demo_district
from gridwing.eyes import load_eyes, watch_policy
from models.catalogue import Card
from runtime import topics
from runtime.bus import MemoryBus
from runtime.clock import Clock, wall_clock
from runtime.evidence import EvidenceStore
from runtime.ledger_memory import MemoryLedger
from runtime.metrics import REGISTRY
from services.ingest.sources import FrameInbox, Pace, hear_frames, pull_cameras
from services.ingest.watch import Watch, make_watch
from services.ingest.watch import run as run_watch
from simulators.bad_frames import message
from simulators.bad_stream import BadStream
from simulators.render_dataset import sample

EPOCH = datetime(2026, 6, 1, 1, tzinfo=UTC)
CAMERAS, PULLED, DRONES = 6, 2, 2
PICTURES, SIZE_PX = 24, (640, 360)
HEIGHT_M, SPEED_M_S, HFOV_DEG = 40.0, 6.0, 70.0
RSS_EVERY_S = 1.0
GROWTH_LIMIT = 0.05
"""Memory is flat where its median over the last quarter is at most this above the second's."""
REASONS_LIMIT, REASON_LENGTH = 60, 80
SAY_EVERY_S, DRAIN_S, LAST_HEARD_S = 60.0, 60.0, 1.0
NUMBER = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class SoakPlan:
    minutes: float = 60.0
    rate: float = 6.0
    seed: int = 7


@dataclass(slots=True)
class Tally:
    """What was sent and what became of it."""

    sent: Counter[str] = field(default_factory=Counter)
    unheard: Counter[str] = field(default_factory=Counter)
    unseen: Counter[str] = field(default_factory=Counter)
    streams: Counter[str] = field(default_factory=Counter)
    rss_mib: list[float] = field(default_factory=list)
    gated_before: int = 0


def counting(counted: Counter[str]) -> Callable[[str, str], None]:
    """Return a `refuse` that counts by reason, figures left out."""

    def refuse(source: str, reason: str) -> None:
        text = NUMBER.sub("#", reason)[:REASON_LENGTH]
        counted[text if text in counted or len(counted) < REASONS_LIMIT else "others"] += 1

    return refuse


def run(plan: SoakPlan, card: Card, say: Callable[[str], None]) -> dict[str, Any]:
    """Return what it did. What ends a task of watch ends this too, with its traceback."""
    return asyncio.run(_soak(plan, card, say))


def faults(told: dict[str, Any]) -> list[str]:
    """Return what must not be: frames that vanished, memory that grows."""
    found = []
    if told["lost"]:
        found.append(f"{told['lost']} frames were neither judged, refused nor counted as dropped")
    if told["rss_growth"] > GROWTH_LIMIT:
        found.append(f"memory grew by {told['rss_growth']:.1%}")
    return found


async def _soak(plan: SoakPlan, card: Card, say: Callable[[str], None]) -> dict[str, Any]:
    pictures = [_jpeg(seed) for seed in range(PICTURES)]
    stream, inbox = BadStream(pictures, plan.seed), FrameInbox()
    tally = Tally(gated_before=_gated())
    clock = Clock(EPOCH, wall_clock().wall_s(), plan.rate)
    pace = Pace(1.0 / plan.rate, 0.2 / plan.rate)
    bus, ledger = MemoryBus(), MemoryLedger()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1, "pixels") as executor:
        async with stream.serving() as port:
            here = _district(plan.seed, port)
            eyes, evidence = load_eyes(executor, card), EvidenceStore(Path(folder))
            watch = make_watch(here, eyes, ledger, evidence, clock, watch_policy(card), pace)
            pulled = [camera.sn for camera in here.cameras if camera.address]
            hearing = hear_frames(bus, inbox, counting(tally.unheard), clock)
            pulling = pull_cameras(
                here.cameras, lambda: pulled, lambda _: inbox, pace, clock, counting(tally.streams)
            )
            watching = run_watch(watch, inbox, counting(tally.unseen), lambda: pulled)
            async with asyncio.TaskGroup() as tasks:
                parts = [tasks.create_task(part) for part in (hearing, pulling, watching)]
                await asyncio.sleep(0)
                await _feed(plan, here, bus, clock, pictures, tally, say)
                parts[1].cancel()
                await asyncio.sleep(LAST_HEARD_S)
                parts[0].cancel()
                await _judged(inbox, watch, tally)
                parts[2].cancel()
        kept = await asyncio.to_thread(lambda: len(list(Path(folder).glob("*/*.jpg"))))
    return _told(plan, clock, tally, inbox, watch) | {
        "http_answers": dict(stream.answered),
        "ledger_rows": await ledger.head(),
        "pictures_kept": kept,
    }


async def _feed(
    plan: SoakPlan,
    here: District,
    bus: MemoryBus,
    clock: Clock,
    pictures: list[bytes],
    tally: Tally,
    say: Callable[[str], None],
) -> None:
    """Send one message a device and clock second, and write down how much memory is in use."""
    rng = np.random.default_rng(plan.seed)
    cameras = [camera.sn for camera in here.cameras if not camera.address]
    drones = [drone.sn for drone in here.drones[:DRONES]]
    due_s = told_s = clock.wall_s()
    for second in range(round(60 * plan.minutes)):
        await clock.sleep_until(EPOCH + timedelta(seconds=second))
        for sn in (*cameras, *drones):
            pose = _pose(here, second, drones.index(sn), clock.now()) if sn in drones else None
            kind, payload = message(sn, clock.now(), pose, pictures, rng)
            tally.sent[kind] += 1
            await bus.publish(topics.frame(sn), payload, qos=0)
        if clock.wall_s() >= due_s:
            tally.rss_mib.append(_rss_mib())
            due_s = clock.wall_s() + RSS_EVERY_S
        if clock.wall_s() >= told_s:
            say(f"minute {second // 60}: {tally.sent.total()} sent, {tally.rss_mib[-1]:.0f} MiB")
            told_s = clock.wall_s() + SAY_EVERY_S


async def _judged(inbox: FrameInbox, watch: Watch, tally: Tally) -> None:
    """Wait until every frame handed on was judged. Raises TimeoutError."""
    async with asyncio.timeout(DRAIN_S):
        while inbox.waiting or inbox.taken > _judged_now(watch, tally):  # noqa: ASYNC110  (nobody tells)
            await asyncio.sleep(0.05)


def _judged_now(watch: Watch, tally: Tally) -> int:
    """Return how many frames were looked at, refused, or passed over since nothing moved."""
    return watch.frames_seen + tally.unseen.total() + _gated() - tally.gated_before


def _gated() -> int:
    return int(REGISTRY.get_sample_value("gridwing_watch_frames_total", {"outcome": "gated"}) or 0)


def _told(
    plan: SoakPlan, clock: Clock, tally: Tally, inbox: FrameInbox, watch: Watch
) -> dict[str, Any]:
    judged = _judged_now(watch, tally)
    handed_on = tally.sent.total() - tally.unheard.total()
    rss = tally.rss_mib
    second, last = (median(rss[len(rss) * i // 4 : len(rss) * (i + 1) // 4]) for i in (1, 3))
    return {
        "plan": asdict(plan),
        "wall_s": round(clock.wall_s() - clock.started_wall_s, 1),
        "sent": dict(tally.sent),
        "refused_on_hearing": dict(tally.unheard),
        "refused_as_pictures": dict(tally.unseen),
        "streams_ended": dict(tally.streams),
        "taken": inbox.taken,
        "dropped": inbox.dropped,
        "judged": watch.frames_seen,
        "gated": _gated() - tally.gated_before,
        "lost": abs(inbox.taken - judged) + max(0, handed_on - inbox.taken - inbox.dropped),
        "rss_mib": {
            "first": rss[0], "second_quarter": second, "last_quarter": last, "most": max(rss),
        },
        "rss_growth": round(last / second - 1, 4),
    }  # fmt: skip


def _district(seed: int, port: int) -> District:
    """Return the demo's district with a few cameras on the bus and two on the bad server."""
    here = demo_district(seed, 0, 0)
    first = [f"http://127.0.0.1:{port}/{i}" if i < PULLED else "" for i in range(CAMERAS)]
    cameras = [replace(here.cameras[i], address=address) for i, address in enumerate(first)]
    return replace(here, cameras=tuple(cameras))


def _pose(here: District, second: int, drone: int, at: datetime) -> FramePose:
    place = LocalFrame(here.origin).to_position(SPEED_M_S * (second % 60), 300.0 * drone)
    return FramePose(place, HEIGHT_M, 90.0, -90.0, 0.0, HFOV_DEG, at)


def _jpeg(seed: int) -> bytes:
    image = cv2.resize(sample(seed).image, SIZE_PX)
    return cv2.imencode(".jpg", image)[1].tobytes()


def _rss_mib() -> float:
    """Return what of this process is in memory, MiB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)
