"""Thresholds and figures of a card, on fresh renders: seeds apart from those it learnt from."""

from collections.abc import Iterator
from typing import Any

from domain.hazard import Detection
from models.average_precision import Evaluation, TrueBox
from models.catalogue import Card
from models.detector import Detector
from models.heads import open_detector
from models.labels import KIND_OF
from simulators.render_dataset import Sample, sample, sample_in_town, towns

LEAST = 0.03
TRAINING_SEEDS_LIMIT = 800_000
CHOOSING_SEED = 850_000
MEASURING_SEED = 900_000
"""Learnt below TRAINING_SEEDS_LIMIT, thresholds chosen from the second, measured from the third."""


def chosen_thresholds(found: Card, pictures: int) -> dict[str, float]:
    """Return class → threshold, chosen on renders used for nothing else."""
    detector = open_detector(found, least=LEAST)
    tallies = _evaluated(found, detector, _districts(CHOOSING_SEED, pictures)).tallies
    return {label: round(tally.best_threshold(), 3) for label, tally in tallies.items()}


def measured(found: Card, pictures: int) -> dict[str, Any]:
    """Return figures on `pictures` made-up scenes, as many in districts, and as many empty ones."""
    detector = open_detector(found, least=LEAST)
    figures: dict[str, Any] = {"pictures_each": pictures, "first_seed": MEASURING_SEED}
    scenes = (sample(MEASURING_SEED + i) for i in range(pictures))
    for place, samples in (("scenes", scenes), ("districts", _districts(MEASURING_SEED, pictures))):
        tallies = _evaluated(found, detector, samples).tallies
        figures[f"{place}_ap50"] = {k: round(t.average_precision(), 3) for k, t in tallies.items()}
        pairs = {k: t.at(found.thresholds[k]) for k, t in tallies.items()}
        figures[f"{place}_precision"] = {k: round(p, 2) for k, (p, _) in pairs.items()}
        figures[f"{place}_recall"] = {k: round(r, 2) for k, (_, r) in pairs.items()}
        figures[f"{place}_true"] = {k: t.true for k, t in tallies.items()}
    empty = _evaluated(found, detector, _districts(MEASURING_SEED, pictures, hazards=False))
    figures["false_alarms_per_100_empty"] = {
        k: round(100 * empty.alarms[k] / max(empty.empty[k], 1), 1)
        for k in found.classes
        if k in KIND_OF
    }
    return figures


def _evaluated(found: Card, detector: Detector, samples: Iterator[Sample]) -> Evaluation:
    made = Evaluation(found.classes, found.thresholds)
    for each in samples:
        true = [TrueBox(Detection(b.kind, 1.0, b.x0, b.y0, b.x1, b.y1)) for b in each.boxes]
        made.add(detector.detect(each.image), true)
    return made


def _districts(first: int, count: int, hazards: bool = True) -> Iterator[Sample]:
    choices = towns()
    return (sample_in_town(first + i, choices, hazards) for i in range(count))
