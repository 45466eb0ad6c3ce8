"""A detector put to a set of labelled pictures: figures, and examples to look at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from domain.hazard import Detection
from gridwing.labelled_sets import LabelledPicture, LabelledSet
from models.average_precision import Evaluation, Outcome, verdicts
from models.boxes import Image
from models.catalogue import Card, Catalogue, WeightsError, read_card
from models.detector import Detector

LEAST = 0.01
"""Scores from here on make the curve. Precision, recall and alarms are at the card's thresholds."""
EXAMPLES_LIMIT = 8


@dataclass(frozen=True, slots=True)
class Example:
    """One box of one picture, cut out to be shown."""

    label: str
    outcome: Outcome
    picture: str
    image: Image
    box: Detection


def named_card(model: str, catalogue: Catalogue) -> Card:
    """Return the card of a model's name, or of a weights file with its card beside it.

    Raises WeightsError.
    """
    path = Path(model)
    if path.suffix not in (".onnx", ".pt"):
        return catalogue.card(model)
    if not path.with_suffix(".toml").is_file():
        raise WeightsError(f"{path.name} has no card beside it: `gridwing models add` makes one")
    return read_card(path.with_suffix(".toml"))


def measured(
    detector: Detector, card: Card, pictures: LabelledSet, examples: list[Example] | None = None
) -> dict[str, Any]:
    """Return the figures of a set (models/average_precision.py); examples are added to a list.

    A class the detector does not know counts with an AP50 of 0; `unknown` names those.
    """
    evaluation = Evaluation(pictures.classes, card.thresholds)
    for picture in pictures.pictures:
        found = detector.detect(picture.image)
        evaluation.add(found, picture.true)
        if examples is not None:
            shown = [b for b in found if b.label in pictures.classes and evaluation.shown(b)]
            examples.extend(_wanted(picture, shown, examples))
    unknown = [name for name in pictures.classes if name not in card.classes]
    return {"set": pictures.name, "unknown": unknown, **evaluation.figures()}


def _wanted(
    picture: LabelledPicture, shown: Sequence[Detection], kept: Sequence[Example]
) -> Iterator[Example]:
    """Yield a picture's first box of every class and outcome of which there are too few yet."""
    told: set[tuple[str, Outcome]] = set()
    for verdict in verdicts(shown, picture.true):
        key = verdict.box.label, verdict.outcome
        many = sum((e.label, e.outcome) == key for e in kept)
        if verdict.outcome is not Outcome.IGNORED and key not in told and many < EXAMPLES_LIMIT:
            told.add(key)
            yield Example(*key, picture.name, picture.image, verdict.box)
