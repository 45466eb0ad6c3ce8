"""Figures of the hazard network on fresh renders: seeds apart from those it learnt from."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from domain.hazard import Detection
from models.catalogue import Card
from models.detector import Detector
from models.figures import Tally, false_alarms_per_100, tallied
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
    tallies = _tallies(found, detector, _districts(CHOOSING_SEED, pictures))
    return {label: round(tally.best_threshold(), 3) for label, tally in tallies.items()}


def measured(found: Card, pictures: int) -> dict[str, Any]:
    """Return figures on `pictures` made-up scenes, as many in districts, and as many empty ones."""
    detector = open_detector(found, least=LEAST)
    figures: dict[str, Any] = {"pictures_each": pictures, "first_seed": MEASURING_SEED}
    scenes = (sample(MEASURING_SEED + i) for i in range(pictures))
    for place, samples in (("scenes", scenes), ("districts", _districts(MEASURING_SEED, pictures))):
        tallies = _tallies(found, detector, samples)
        figures[f"{place}_ap50"] = {k: round(t.average_precision(), 3) for k, t in tallies.items()}
        pairs = {k: t.at(found.thresholds[k]) for k, t in tallies.items()}
        figures[f"{place}_precision"] = {k: round(p, 2) for k, (p, _) in pairs.items()}
        figures[f"{place}_recall"] = {k: round(r, 2) for k, (_, r) in pairs.items()}
        figures[f"{place}_true"] = {k: t.true for k, t in tallies.items()}
    hazards = {k: v for k, v in found.thresholds.items() if k in KIND_OF}
    empty = (detector.detect(s.image) for s in _districts(MEASURING_SEED, pictures, hazards=False))
    figures["false_alarms_per_100_empty"] = dict(false_alarms_per_100(empty, hazards))
    return figures


def _tallies(
    found: Card, detector: Detector, samples: Iterator[Sample]
) -> Mapping[str, Tally]:
    pairs = ((detector.detect(s.image), _true(s)) for s in samples)
    return tallied(pairs, found.classes)


def _districts(first: int, count: int, hazards: bool = True) -> Iterator[Sample]:
    choices = towns()
    return (sample_in_town(first + i, choices, hazards) for i in range(count))


def _true(made: Sample) -> Sequence[Detection]:
    return [Detection(b.kind, 1.0, b.x0, b.y0, b.x1, b.y1) for b in made.boxes]
