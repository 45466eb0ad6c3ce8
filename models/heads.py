"""Which detector a card's head names, ready to look at pictures."""

import sys
from collections.abc import Callable, Mapping

from models.catalogue import Card, WeightsError, whole
from models.detector import Detector
from models.onnx_centre import CentreDetector
from models.onnx_nanodet import NanoDetector
from models.runners import ORT, BackendError, Runner, runner
from models.ultralytics_process import (
    UltralyticsDetector,
    UltralyticsFailed,
    UltralyticsProcess,
)
from models.yolo import YoloDetector

Head = Callable[[Runner, tuple[str, ...], Mapping[str, float]], Detector]
HEADS: Mapping[str, Head] = {
    "yolo": YoloDetector,
    "nanodet": NanoDetector,
    "centre": CentreDetector,
}


def open_detector(
    card: Card,
    backend: str = ORT,
    threads: int = 1,
    least: float | None = None,
    python: str = sys.executable,
) -> Detector:
    """Return the card's detector. `least` replaces its thresholds: for measuring, not for work.

    `python` is the interpreter that has Ultralytics, for weights of that head; those know neither
    backend nor threads. Raises WeightsError when the weights are missing, differ from their card
    or cannot be run.
    """
    thresholds = card.thresholds if least is None else dict.fromkeys(card.classes, least)
    if card.head == "ultralytics":
        return _open_ultralytics(card, thresholds, python)
    if card.head not in HEADS:
        raise WeightsError(f"{card.name}: no detector for the head {card.head!r}")
    try:
        return HEADS[card.head](open_runner(card, backend, threads), card.classes, thresholds)
    except ValueError as error:
        raise WeightsError(f"{card.path.name}: {error}") from error


def _open_ultralytics(card: Card, thresholds: Mapping[str, float], python: str) -> Detector:
    if not whole(card):
        raise WeightsError(f"{card.path.name} is missing or differs from its card")
    try:
        process = UltralyticsProcess(card.path, python)
        return UltralyticsDetector(process, card.classes, thresholds)
    except (UltralyticsFailed, ValueError) as error:
        raise WeightsError(f"{card.path.name}: {error}") from error


def open_runner(card: Card, backend: str = ORT, threads: int = 1) -> Runner:
    """Return a card's weights on a backend. One thread makes results repeat exactly.

    Raises WeightsError when they are missing, differ from their card or cannot be run.
    """
    if not whole(card):
        raise WeightsError(f"{card.path.name} is missing or differs from its card")
    try:
        return runner(card.path, backend, threads)
    except BackendError as error:
        raise WeightsError(str(error)) from error
