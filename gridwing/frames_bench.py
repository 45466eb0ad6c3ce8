"""What a frame costs beside its network, and how long it takes to a hazard."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from domain.events import HazardRaised
from domain.hazard import Detection
from domain.observation import Frame, FramePose
from domain.place import Position
from geo.locate import ground_point
from gridwing.district import demo_district
from gridwing.eyes import load_blur, load_eyes, watch_policy
from models.boxes import Image, letterboxed
from models.catalogue import Card
from models.gemm import cpu_s
from models.heads import open_runner
from models.motion import MotionGate, MotionPolicy, ground_motion, small_grey, small_of_jpeg
from models.runners import ORT
from models.tracks import Tracks, followed
from runtime.clock import wall_clock
from runtime.evidence import EvidenceStore
from runtime.ledger_memory import MemoryLedger
from services.ingest.sources import Pace
from services.ingest.watch import Watch, make_watch
from simulators.render_dataset import sample

AT = datetime(2026, 1, 1, tzinfo=UTC)
PICTURES = 8
FULL_HD, SUBSTREAM = (1920, 1080), (640, 360)
INPUT_PX = 384
THINGS = 30
IDLE_FRAMES, IDLE_MOVING = 400, 20
"""A twentieth of a camera's frames show motion."""
STREETS, STREET_SEEDS = 4, 200
THINGS_SEEN = frozenset({"person", "vehicle"})
CAMERA_FPS, CORES = 5, 2
HAZARD_PICTURES, HAZARD_FRAMES, APART_M = 120, 3, 150.0
HEIGHT_M, HFOV_DEG = 40.0, 70.0
READ_LIMIT = 100


def bench_pictures(size_px: tuple[int, int]) -> list[Image]:
    return [
        np.asarray(cv2.resize(sample(seed).image, size_px), np.uint8) for seed in range(PICTURES)
    ]


def spent_s(job: Callable[[], object]) -> float:
    """Return the CPU seconds of this process while the job ran."""
    began = time.process_time()
    job()
    return time.process_time() - began


def stages_ms(pictures: Sequence[Image], rounds: int) -> dict[str, float]:
    """Return the CPU milliseconds of each step but the network, and of blurring what is kept."""
    jpegs = [_jpeg(p) for p in pictures]
    blur, gate = load_blur().blur, MotionGate(MotionPolicy())
    smalls = [small_grey(p, gate.policy.rows) for p in pictures]
    shifted = [np.roll(s, (2, 5), (0, 1)) for s in smalls]
    pose = _pose(Position(22.5, 113.4), -60.0)
    steps: dict[str, list[Callable[[], object]]] = {
        "decode_1080p": [partial(_decoded, j) for j in jpegs],
        "letterbox_1080p": [partial(letterboxed, p, INPUT_PX, INPUT_PX) for p in pictures],
        "gate_jpeg_1080p": [partial(small_of_jpeg, j, gate.policy.rows) for j in jpegs],
        "gate": [partial(gate.regions_of, s, FULL_HD[::-1]) for s in smalls],
        "follow_ground": [
            partial(ground_motion, s, t) for s, t in zip(smalls, shifted, strict=True)
        ],
        "locate": [partial(ground_point, pose, 900.0, 700.0, *FULL_HD)],
        "blur_kept_1080p": [partial(_blurred, blur, p) for p in pictures],
    }
    told = {}
    for name, jobs in steps.items():
        count = min(rounds, len(jobs)) if name.startswith("blur") else rounds
        told[name] = _median_ms([spent_s(jobs[i % len(jobs)]) for i in range(count)])
    return told | {f"track_{THINGS}": _track_ms(rounds)}


def _blurred(blur: Callable[[Image], object], picture: Image) -> None:
    blur(picture.copy())


def _median_ms(spent: Sequence[float]) -> float:
    return round(1000 * median(spent), 3)


def _track_ms(rounds: int) -> float:
    """Return what following THINGS that move takes a frame, a tenth of their boxes missing."""
    rng = np.random.default_rng(3)
    start, speed = rng.uniform(0, 1800, (THINGS, 2)), rng.uniform(-60, 60, (THINGS, 2))
    tracks, spent = Tracks(), []
    for i in range(rounds):
        places = (start + speed * 0.2 * i)[rng.random(THINGS) > 0.1]
        boxes = [Detection("vehicle", 0.9, x - 20, y - 20, x + 20, y + 20) for x, y in places]
        began = time.process_time()
        tracks = followed(tracks, boxes, AT + timedelta(seconds=0.2 * i))
        spent.append(time.process_time() - began)
    return _median_ms(spent)


# --- idle cameras --------------------------------------------------------------------------------


async def idle_streams(card: Card) -> dict[str, Any]:
    """Return how many substreams two cores sustain, and what a frame costs beside its network.

    The watch itself, inline, with memory ledger: still streets with noise, a twentieth of the
    frames with a thing that moves; what is due on schedule or voted on is looked at as well. A
    substream is JPEG of 640 × 360, five a second. Decoding of H.264 is not in it.
    """
    runner = open_runner(card, ORT)
    blob = np.zeros(tuple(d or 1 for d in runner.input_shape), np.float32)
    passed_s, whole_s, network_s = list[float](), list[float](), list[float]()
    with tempfile.TemporaryDirectory() as folder:
        watch, _ = _watch(card, Path(folder))
        cameras = watch.scene.cameras.values()
        for camera, street in zip(cameras, _streets(), strict=False):
            for frame in _street_frames(camera.sn, street):
                before = watch.frames_seen
                began = time.process_time()
                await watch.see(frame)
                spent = time.process_time() - began
                looked = watch.frames_seen > before
                (whole_s if looked else passed_s).append(spent)
                if looked:
                    network_s.append(cpu_s(runner, blob))
    frame_s = (sum(whole_s) + sum(passed_s)) / (len(whole_s) + len(passed_s))
    return {
        "idle_streams_2_cores": int(CORES / (frame_s * CAMERA_FPS)),
        "overhead_share": round(max(0.0, 1 - median(network_s) / median(whole_s)), 3),
        "idle": {
            "frames": len(whole_s) + len(passed_s),
            "moving": STREETS * IDLE_MOVING,
            "looked_at": len(whole_s),
            "ms_per_frame": round(1000 * frame_s, 3),
            "passed_over_ms": _median_ms(passed_s),
            "looked_at_ms": _median_ms(whole_s),
            "network_ms": _median_ms(network_s),
        },
    }


def _watch(card: Card, folder: Path) -> tuple[Watch, MemoryLedger]:
    """Return the watch of a demo district as its part makes it, inline and on memory."""
    ledger = MemoryLedger()
    watch = make_watch(
        demo_district(1, 0, 0),
        load_eyes(None, card),
        ledger,
        EvidenceStore(folder),
        wall_clock(),
        watch_policy(card),
        Pace(),
    )
    return watch, ledger


def _streets() -> Iterator[NDArray[np.int16]]:
    """Return views without a hazard, as an idle camera has."""
    found = 0
    for seed in range(STREET_SEEDS):
        shown = sample(seed)
        if found < STREETS and all(box.kind in THINGS_SEEN for box in shown.boxes):
            found += 1
            yield np.asarray(cv2.resize(shown.image, SUBSTREAM), np.int16)


def _street_frames(sn: str, street: NDArray[np.int16]) -> Iterator[Frame]:
    rng = np.random.default_rng(4)
    still = [_jpeg(_noisy(street, rng)) for _ in range(PICTURES)]
    first = IDLE_FRAMES - IDLE_MOVING
    for i in range(IDLE_FRAMES):
        at = AT + timedelta(seconds=i / CAMERA_FPS)
        moving = _jpeg(_noisy(_with_thing(street, 25 * (i - first)), rng)) if i >= first else None
        yield Frame(sn, at, moving or still[i % PICTURES], None)


def _with_thing(street: NDArray[np.int16], left: int) -> NDArray[np.int16]:
    image = street.copy()
    thing = image[180:230, left : left + 70]
    thing[:] = np.where(thing.mean(axis=2, keepdims=True) > 127, 30, 220)
    return image


def _noisy(image: NDArray[np.int16], rng: np.random.Generator) -> Image:
    return np.asarray(np.clip(image + rng.normal(0, 3, image.shape), 0, 255), np.uint8)


def _jpeg(image: Image) -> bytes:
    return cv2.imencode(".jpg", image)[1].tobytes()


def _decoded(jpeg: bytes) -> Image:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


# --- from a frame to a hazard --------------------------------------------------------------------


async def frame_to_hazard_s(card: Card) -> dict[str, Any]:
    """Return wall seconds from a frame in hand to the hazard it completes in the (memory) ledger,
    and the processor's, which other work on the machine hardly lengthens.

    The watch itself, frame after frame: decode, detect, locate, vote, blur, picture on disk, event.
    Each picture is a flight of its own that sees the same thing in several frames.
    """
    took: list[float] = []
    cpu_took: list[float] = []
    position = 0
    with tempfile.TemporaryDirectory() as folder:
        watch, ledger = _watch(card, Path(folder))
        origin = watch.scene.frame
        for seed in range(HAZARD_PICTURES):
            place = origin.to_position(APART_M * (seed % 11), APART_M * (seed // 11))
            pose = _pose(place, -90.0)
            jpeg = _jpeg(sample(seed).image)
            for i in range(HAZARD_FRAMES):
                frame = Frame(f"bench-{seed}", AT + timedelta(seconds=i), jpeg, pose)
                began, cpu_began = time.perf_counter(), time.process_time()
                await watch.see(frame)
                spent, cpu_spent = time.perf_counter() - began, time.process_time() - cpu_began
                entries = await ledger.read(position, READ_LIMIT)
                position = entries[-1].position if entries else position
                raised = sum(isinstance(e.event, HazardRaised) for e in entries)
                took += raised * [spent]
                cpu_took += raised * [cpu_spent]
    if not took:
        return {"p50": None, "p95": None, "cpu_p95": None, "hazards": 0}
    p50, p95 = (round(float(q), 3) for q in np.percentile(took, (50, 95)))
    cpu_p95 = round(float(np.percentile(cpu_took, 95)), 3)
    return {"p50": p50, "p95": p95, "cpu_p95": cpu_p95, "hazards": len(took)}


def _pose(position: Position, pitch_deg: float) -> FramePose:
    return FramePose(position, HEIGHT_M, 0.0, pitch_deg, 0.0, HFOV_DEG, AT)
