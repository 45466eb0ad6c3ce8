"""What watch sees with: the promoted detector, the blur, and the policy it judges by."""

from concurrent.futures import Executor
from pathlib import Path

from models.catalogue import THINGS, Card, Catalogue, card
from models.heads import open_detector
from models.privacy import FaceBlur, PictureBlur
from models.runners import ORT
from runtime.memory import give_back_pictures
from services.ingest.sight.device_eye import EyePolicy
from services.ingest.sight.following import FollowPolicy
from services.ingest.sight.gate import GatePolicy
from services.ingest.sight.looks import LookPolicy
from services.ingest.sight.sightings import SightingPolicy
from services.ingest.watch import Eyes, WatchPolicy


def hazard_card(own: Path | None) -> Card:
    """Return the hazard model in use: the one a user promoted in the folder `own`, or ours."""
    return Catalogue(own).promoted("hazards")


def load_eyes(executor: Executor | None, hazards: Card, backend: str = ORT) -> Eyes:
    """Load the weights. Without an executor everything runs in the caller's turn.

    Raises WeightsError when they cannot be run on the backend.
    """
    give_back_pictures()
    return Eyes(open_detector(hazards, backend), load_blur().blur, executor)


def load_blur(threads: int = 1) -> PictureBlur:
    """Load what every picture passes before it is kept, wherever it comes from."""
    return PictureBlur(FaceBlur(threads=threads), open_detector(card(THINGS), threads=threads))


def watch_policy(hazards: Card, still_look_s: float = GatePolicy().still_s) -> WatchPolicy:
    """Return what watch judges by; a still camera is looked at every `still_look_s`."""
    sighting = SightingPolicy(min_score=hazards.thresholds)
    follow = FollowPolicy.believing(min(hazards.thresholds.values()))
    look = LookPolicy(labels=frozenset(hazards.classes))
    eye = EyePolicy(sighting, GatePolicy(still_s=still_look_s), follow)
    return WatchPolicy(eye, look=look)
