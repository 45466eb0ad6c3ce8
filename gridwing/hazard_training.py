"""Draw pictures, train the hazard network on them, export it and write its card.

Every step goes on where it was stopped: pictures already drawn are kept, training goes on from its
checkpoint. Needs the `train` extra.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2

from gridwing.hazard_figures import (
    TRAINING_SEEDS_LIMIT,
    chosen_thresholds,
    measured,
)
from models.catalogue import HAZARDS, Card, card_text, digest, read_card
from models.training import TrainingPolicy, export, train
from simulators.render_dataset import CLASSES, Sample, sample, sample_in_town, towns

Say = Callable[[str], None]
SAY_EVERY_PICTURES = 100
JPEG_QUALITY = 95
UNSET_THRESHOLD = 0.4


def make_weights(out: Path, pictures: int, judged: int, policy: TrainingPolicy, say: Say) -> Card:
    """Write OUT/gridwing-hazards.onnx and .toml, and return the card.

    Half of the `pictures` are made-up scenes, half districts. Thresholds and figures are taken
    from `judged` fresh pictures of each sort. Raises ValueError for too many pictures.
    """
    if not policy.batch <= pictures <= TRAINING_SEEDS_LIMIT:
        raise ValueError(f"pictures: from {policy.batch} to {TRAINING_SEEDS_LIMIT}, not {pictures}")
    draw(out / "pictures", pictures, say)
    train([out / "pictures"], len(CLASSES), out, policy, say)
    target = out / f"{HAZARDS}.onnx"
    export(out, len(CLASSES), target)
    head = (
        "# Trained on simulator renders: what it says of real pictures is worth little.\n"
        "# Must not be used to judge persons, nor as the only ground for an order.\n"
        'task = "hazards"\nhead = "centre"\nlicence = "Apache-2.0"\n'
        'source = "this project: simulators/render_dataset.py, models/training.py"\n'
        f'trained_on = "simulator renders: {pictures} pictures, {policy.epochs} rounds"\n'
        "promoted = false"
    )
    sha256 = digest(target)
    path = target.with_suffix(".toml")

    def write(thresholds: dict[str, float], figures: dict[str, Any]) -> Card:
        parts: dict[str, dict[str, Any]] = {"thresholds": thresholds, "figures": figures}
        path.write_text(card_text(head, sha256, CLASSES, parts), encoding="utf-8")
        return read_card(path)

    say("choosing thresholds")
    thresholds = chosen_thresholds(write(dict.fromkeys(CLASSES, UNSET_THRESHOLD), {}), judged)
    say("measuring")
    return write(thresholds, measured(write(thresholds, {}), judged))


def draw(folder: Path, count: int, say: Say) -> None:
    """Draw `count` labelled pictures by seed; those whose label is there are not drawn again."""
    choices = towns()
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for seed in range(count):
        label = folder / "labels" / f"{seed:06d}.txt"
        if not label.is_file():
            made = sample(seed) if seed % 2 else sample_in_town(seed, choices)
            picture = folder / "images" / f"{seed:06d}.jpg"
            cv2.imwrite(str(picture), made.image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
            label.write_text(_label(made))
        if (seed + 1) % SAY_EVERY_PICTURES == 0:
            say(f"drawn {seed + 1} of {count}")


def _label(made: Sample) -> str:
    """Return YOLO lines: class, centre and size as shares of the picture."""
    h, w = made.image.shape[:2]
    return "".join(
        f"{CLASSES.index(b.kind)} {(b.x0 + b.x1) / 2 / w:.5f} {(b.y0 + b.y1) / 2 / h:.5f} "
        f"{(b.x1 - b.x0) / w:.5f} {(b.y1 - b.y0) / h:.5f}\n"
        for b in made.boxes
    )
