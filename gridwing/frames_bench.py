"""What a frame costs beside its network, and how long it takes to a hazard."""

import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from domain.events import HazardRaised
from domain.hazard import Detection
from domain.observation import Frame, FramePose
from domain.place import Position
from geo.frames import LocalFrame
from geo.locate import ground_point
from gridwing.district import demo_district
from gridwing.eyes import load_blur, load_eyes, watch_policy
from models.boxes import Image, letterboxed
from models.catalogue import Card
from models.heads import open_detector
from models.motion import MotionGate, MotionPolicy, small_grey, small_of_jpeg
from models.tracks import Tracks, followed
from runtime.clock import wall_clock
from runtime.evidence import EvidenceStore
from runtime.ledger_memory import MemoryLedger
from services.ingest.sources import Pace
from services.ingest.watch import make_watch
from simulators.render_dataset import sample

AT = datetime(2026, 1, 1, tzinfo=UTC)
PICTURES = 8
FULL_HD, SUBSTREAM = (1920, 1080), (640, 360)
INPUT_PX = 384
THINGS = 30
IDLE_FRAMES, IDLE_MOVING = 400, 20
"""A twentieth of the frames show motion."""
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
    pose = _pose(Position(22.5, 113.4), -60.0)
    steps: dict[str, list[Callable[[], object]]] = {
        "decode_1080p": [partial(_decoded, j) for j in jpegs],
        "letterbox_1080p": [partial(letterboxed, p, INPUT_PX, INPUT_PX) for p in pictures],
        "gate_jpeg_1080p": [partial(small_of_jpeg, j, gate.policy.rows) for j in jpegs],
        "gate": [partial(gate.regions_of, s, FULL_HD[::-1]) for s in smalls],
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


def idle_streams(card: Card) -> dict[str, Any]:
    """Return how many substreams two cores sustain: a still street with noise, a twentieth of the
    frames with a thing that moves, each frame gated, those that moved decoded and looked at.

    A substream is JPEG of 640 × 360, five a second. Decoding of H.264 is not in it.
    """
    rng = np.random.default_rng(4)
    street = np.asarray(cv2.resize(sample(1).image, SUBSTREAM), np.int16)
    still = [_jpeg(_noisy(street, rng)) for _ in range(PICTURES)]
    moving = [_jpeg(_noisy(_with_thing(street, 25 * i), rng)) for i in range(IDLE_MOVING)]
    first = IDLE_FRAMES - IDLE_MOVING
    detector, gate = open_detector(card), MotionGate(MotionPolicy())
    tracks, looks = Tracks(), 0
    for i in range(gate.policy.young_frames):
        _gated(still[i % PICTURES], gate)
    began = time.process_time()
    for i in range(IDLE_FRAMES):
        jpeg = still[i % PICTURES] if i < first else moving[i - first]
        if _gated(jpeg, gate):
            looks += 1
            boxes = detector.detect(_decoded(jpeg))
            tracks = followed(tracks, boxes, AT + timedelta(seconds=i / CAMERA_FPS))
    frame_s = (time.process_time() - began) / IDLE_FRAMES
    return {
        "idle_streams_2_cores": int(CORES / (frame_s * CAMERA_FPS)),
        "idle": {"frames": IDLE_FRAMES, "moving": IDLE_MOVING, "looked_at": looks,
                 "ms_per_frame": round(1000 * frame_s, 3)},
    }  # fmt: skip


def _gated(jpeg: bytes, gate: MotionGate) -> bool:
    small = small_of_jpeg(jpeg, gate.policy.rows)
    return small is not None and bool(gate.regions_of(*small))


def _with_thing(street: np.ndarray, left: int) -> np.ndarray:
    image = street.copy()
    thing = image[180:230, left : left + 70]
    thing[:] = np.where(thing.mean(axis=2, keepdims=True) > 127, 30, 220)
    return image


def _noisy(image: np.ndarray, rng: np.random.Generator) -> Image:
    return np.asarray(np.clip(image + rng.normal(0, 3, image.shape), 0, 255), np.uint8)


def _jpeg(image: Image) -> bytes:
    return cv2.imencode(".jpg", image)[1].tobytes()


def _decoded(jpeg: bytes) -> Image:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


# --- from a frame to a hazard --------------------------------------------------------------------


async def frame_to_hazard_s(card: Card) -> dict[str, Any]:
    """Return wall seconds from a frame in hand to the hazard it completes in the (memory) ledger.

    The watch itself, frame after frame: decode, detect, locate, vote, blur, picture on disk, event.
    Each picture is a flight of its own that sees the same thing in several frames.
    """
    took: list[float] = []
    position = 0
    district = demo_district(1, 0, 0)
    origin = LocalFrame(district.origin)
    with tempfile.TemporaryDirectory() as folder:
        ledger = MemoryLedger()
        watch = make_watch(
            district,
            load_eyes(None, card),
            ledger,
            EvidenceStore(Path(folder)),
            wall_clock(),
            watch_policy(card),
            Pace(),
        )
        for seed in range(HAZARD_PICTURES):
            place = origin.to_position(APART_M * (seed % 11), APART_M * (seed // 11))
            pose = _pose(place, -90.0)
            jpeg = _jpeg(sample(seed).image)
            for i in range(HAZARD_FRAMES):
                frame = Frame(f"bench-{seed}", AT + timedelta(seconds=i), jpeg, pose)
                began = time.perf_counter()
                await watch.see(frame)
                spent = time.perf_counter() - began
                entries = await ledger.read(position, READ_LIMIT)
                position = entries[-1].position if entries else position
                took += [spent for e in entries if isinstance(e.event, HazardRaised)]
    if not took:
        return {"p50": None, "p95": None, "hazards": 0}
    p50, p95 = np.percentile(took, (50, 95))
    return {"p50": round(float(p50), 3), "p95": round(float(p95), 3), "hazards": len(took)}


def _pose(position: Position, pitch_deg: float) -> FramePose:
    return FramePose(position, HEIGHT_M, 0.0, pitch_deg, 0.0, HFOV_DEG, AT)
