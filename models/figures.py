"""How good a detector is on labelled pictures: average precision, recall, false alarms."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from domain.hazard import Detection
from models.boxes import area_px2, common_px2

OVERLAP_LEAST = 0.5
"""Intersection over union from which a box counts, as in PASCAL VOC's AP50."""


@dataclass(slots=True)
class Tally:
    """One class over all pictures: (score, whether right) of every box, and how many were true."""

    boxes: list[tuple[float, bool]] = field(default_factory=list)
    true: int = 0

    def average_precision(self) -> float:
        """Return the area under precision made monotone, over recall; 0 when nothing was there."""
        ordered = sorted(self.boxes, reverse=True)
        if not ordered or not self.true:
            return 0.0
        right = np.cumsum([good for _, good in ordered])
        precision = right / np.arange(1, len(ordered) + 1)
        best = np.maximum.accumulate(precision[::-1])[::-1]
        return float(np.sum(np.diff(right / self.true, prepend=0.0) * best))

    def best_threshold(self) -> float:
        """Return the score with the best F-measure, precision counting twice; 1 without boxes."""
        best, chosen, right = 0.0, 1.0, 0
        for shown, (score, good) in enumerate(sorted(self.boxes, reverse=True), 1):
            right += good
            value = 1.25 * right / (0.25 * self.true + shown)
            if value > best:
                best, chosen = value, score
        return chosen

    def at(self, threshold: float) -> tuple[float, float]:
        """Return (precision, recall) of the boxes from a score on; 0 where there is none."""
        shown = [good for score, good in self.boxes if score >= threshold]
        right = sum(shown)
        return right / max(len(shown), 1), right / max(self.true, 1)


def tallied(
    judged: Iterable[tuple[Sequence[Detection], Sequence[Detection]]], classes: Sequence[str]
) -> Mapping[str, Tally]:
    """Return class → tally of (found, true) boxes of each picture. A true box is found once."""
    tallies = {name: Tally() for name in classes}
    for found, true in judged:
        for box in true:
            tallies[box.label].true += 1
        left = list(true)
        for box in sorted(found, key=lambda b: -b.score):
            same = [t for t in left if t.label == box.label]
            best = max(same, key=lambda t: overlap(box, t), default=None)
            good = best is not None and overlap(box, best) >= OVERLAP_LEAST
            if good and best is not None:
                left.remove(best)
            tallies[box.label].boxes.append((box.score, good))
    return tallies


def overlap(a: Detection, b: Detection) -> float:
    """Return intersection over union, 0..1."""
    common = common_px2(a, b)
    return common / max(area_px2(a) + area_px2(b) - common, 1e-9)


def false_alarms_per_100(
    found: Iterable[Sequence[Detection]], thresholds: Mapping[str, float]
) -> Mapping[str, float]:
    """Return class → boxes from its threshold on, per 100 pictures that show none of it."""
    counts, pictures = dict.fromkeys(thresholds, 0), 0
    for boxes in found:
        pictures += 1
        for box in boxes:
            if box.label in counts and box.score >= thresholds[box.label]:
                counts[box.label] += 1
    return {name: round(100 * n / max(pictures, 1), 1) for name, n in counts.items()}
