"""What watch sees with: detector, classes, blur, and the votes each kind has to win."""

from concurrent.futures import Executor

from domain.hazard import HazardKind
from models.catalogue import HAZARDS, card
from models.labels import KIND_OF
from models.onnx_centre import CentreDetector
from models.onnx_nanodet import NanoDetector
from models.privacy import FaceBlur, PictureBlur
from services.ingest.sightings import SightingPolicy
from services.ingest.votes import VotePolicy, VoteRule
from services.ingest.watch import Eyes, WatchPolicy

CAMERA_VOTES = {
    HazardKind.BLOCKED_FIRE_LANE: VoteRule(hits=3, share=0.6, dwell_s=60.0),
    HazardKind.CROWD: VoteRule(hits=3, share=0.5, dwell_s=30.0),
    HazardKind.ILLEGAL_STRUCTURE: VoteRule(hits=4, share=0.6, dwell_s=30.0),
}
DRONE_VOTES = {
    kind: VoteRule(hits=2, share=0.5)
    for kind in HazardKind
    if kind not in (HazardKind.DEVICE_FAULT, HazardKind.CROWD)
} | {HazardKind.CROWD: VoteRule(hits=3, share=0.5)}


def load_eyes(executor: Executor | None, threads: int = 1) -> Eyes:
    """Load the promoted weights. Without an executor everything runs in the caller's turn."""
    detector = CentreDetector(threads=threads)
    return Eyes(detector, KIND_OF, load_blur(threads).blur, executor)


def load_blur(threads: int = 1) -> PictureBlur:
    """Load what every picture passes before it is kept, wherever it comes from."""
    return PictureBlur(FaceBlur(threads=threads), NanoDetector(threads=threads))


def watch_policy() -> WatchPolicy:
    thresholds = card(HAZARDS).thresholds
    return WatchPolicy(
        sighting=SightingPolicy(min_score=thresholds),
        vote=VotePolicy(camera=CAMERA_VOTES, drone=DRONE_VOTES),
    )
