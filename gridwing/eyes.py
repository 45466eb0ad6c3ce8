"""What watch sees with: the promoted detector, the blur, and the policy it judges by."""

from concurrent.futures import Executor

from models.catalogue import HAZARDS, card
from models.onnx_centre import CentreDetector
from models.onnx_nanodet import NanoDetector
from models.privacy import FaceBlur, PictureBlur
from services.ingest.sight.sightings import SightingPolicy
from services.ingest.watch import Eyes, WatchPolicy


def load_eyes(executor: Executor | None, threads: int = 1) -> Eyes:
    """Load the promoted weights. Without an executor everything runs in the caller's turn."""
    detector = CentreDetector(threads=threads)
    return Eyes(detector, load_blur(threads).blur, executor)


def load_blur(threads: int = 1) -> PictureBlur:
    """Load what every picture passes before it is kept, wherever it comes from."""
    return PictureBlur(FaceBlur(threads=threads), NanoDetector(threads=threads))


def watch_policy() -> WatchPolicy:
    thresholds = card(HAZARDS).thresholds
    return WatchPolicy(SightingPolicy(min_score=thresholds))
