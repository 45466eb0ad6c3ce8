"""Figures of the hazard network on fresh renders: seeds apart from those it learnt from."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from domain.hazard import Detection
from models.catalogue import HAZARDS, card
from models.figures import false_alarms_per_100, tallied
from models.labels import KIND_OF
from models.onnx_centre import CentreDetector
from simulators.render_dataset import Sample, Town, sample, sample_in_town, towns

LEAST = 0.03
FIRST_SEED = 900_000
"""Far above every seed pictures to learn from are drawn with (TRAINING_SEEDS_LIMIT)."""
TRAINING_SEEDS_LIMIT = 800_000


def measured(pictures: int, name: str = HAZARDS) -> dict[str, Any]:
    """Return figures on `pictures` made-up scenes, as many in districts, and as many empty ones."""
    detector, choices, found = CentreDetector(name, least=LEAST), towns(), card(name)
    results: dict[str, Any] = {"pictures_each": pictures, "first_seed": FIRST_SEED}
    for place, samples in (
        ("scenes", _scenes(pictures)),
        ("districts", _districts(pictures, choices)),
    ):
        tallies = tallied(((detector.detect(s.image), _true(s)) for s in samples), found.classes)
        for label, tally in tallies.items():
            precision, recall = tally.at(found.thresholds[label])
            results[f"{place}_{label}"] = {
                "ap50": round(tally.average_precision(), 3),
                "precision": round(precision, 2),
                "recall": round(recall, 2),
                "true": tally.true,
            }
    hazards: Mapping[str, float] = {k: v for k, v in found.thresholds.items() if k in KIND_OF}
    empty = (sample_in_town(FIRST_SEED + i, choices, hazards=False) for i in range(pictures))
    alarms = false_alarms_per_100((detector.detect(s.image) for s in empty), hazards)
    results["false_alarms_per_100_empty"] = dict(alarms)
    return results


def _scenes(count: int) -> Iterator[Sample]:
    return (sample(FIRST_SEED + i) for i in range(count))


def _districts(count: int, choices: tuple[Town, ...]) -> Iterator[Sample]:
    return (sample_in_town(FIRST_SEED + i, choices) for i in range(count))


def _true(made: Sample) -> Sequence[Detection]:
    return [Detection(b.kind, 1.0, b.x0, b.y0, b.x1, b.y1) for b in made.boxes]
