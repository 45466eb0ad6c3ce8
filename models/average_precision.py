"""How good a detector is on labelled pictures: AP50, confusion, false alarms. The one evaluator."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np

from domain.hazard import Detection
from models.boxes import area_px2, common_px2

OVERLAP_LEAST = 0.5
"""Intersection over union from which a box counts, as in PASCAL VOC's AP50."""
NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class TrueBox:
    """What a label says. An `ignore` box is neither asked for nor counted against who finds it."""

    box: Detection
    ignore: bool = False


class Outcome(StrEnum):
    RIGHT = "true"
    MISSED = "missed"
    WRONG = "false"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One box of one picture: found (right, wrong, ignored) or labelled and not found (missed)."""

    outcome: Outcome
    box: Detection


@dataclass(slots=True)
class Tally:
    """One class over all pictures: (score, whether right) of every box, and how many were true."""

    boxes: list[tuple[float, bool]] = field(default_factory=list)
    true: int = 0

    def average_precision(self) -> float:
        """Return the area under precision made monotone, over recall; 0 when nothing was there.

        All-point interpolation (PASCAL VOC 2010 on). Boxes of one score are taken together.
        """
        if not self.boxes or not self.true:
            return 0.0
        score, good = (np.array(v) for v in zip(*sorted(self.boxes, reverse=True), strict=True))
        right = np.cumsum(good)
        last = np.append(np.flatnonzero(np.diff(score)), len(score) - 1)
        precision, recall = right[last] / (last + 1), right[last] / self.true
        best = np.maximum.accumulate(precision[::-1])[::-1]
        return float(np.sum(np.diff(recall, prepend=0.0) * best))

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


@dataclass(slots=True)
class Evaluation:
    """Figures over pictures, gathered one by one. `classes` are those the labels speak of: boxes of
    others are not judged. `thresholds` are those of work; a class without one is never shown."""

    classes: Sequence[str]
    thresholds: Mapping[str, float]
    tallies: dict[str, Tally] = field(init=False)
    confused: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(labelled, found) → how often, at the thresholds; NOTHING on either side."""
    alarms: Counter[str] = field(default_factory=Counter)
    empty: Counter[str] = field(default_factory=Counter)
    pictures: int = 0

    def __post_init__(self) -> None:
        self.tallies = {name: Tally() for name in self.classes}

    def add(self, found: Sequence[Detection], true: Sequence[TrueBox]) -> None:
        """Count one picture. Raises KeyError for a label of a class that is none of ours."""
        judged = [box for box in found if box.label in self.tallies]
        self.pictures += 1
        for label in true:
            self.tallies[label.box.label].true += not label.ignore
        for verdict in verdicts(judged, true):
            if verdict.outcome in (Outcome.RIGHT, Outcome.WRONG):
                tally = self.tallies[verdict.box.label]
                tally.boxes.append((verdict.box.score, verdict.outcome is Outcome.RIGHT))
        shown = [box for box in judged if self.shown(box)]
        self.confused.update(_confused(shown, true))
        there = {label.box.label for label in true}
        for name in self.classes:
            if name not in there:
                self.empty[name] += 1
                self.alarms[name] += sum(box.label == name for box in shown)

    def shown(self, box: Detection) -> bool:
        """Tell whether a box reaches its class's threshold."""
        return box.score >= self.thresholds.get(box.label, float("inf"))

    def figures(self) -> dict[str, Any]:
        """Return everything as plain values. A class nothing is labelled with has no AP50."""
        per_class = {name: self._figures_of(name) for name in self.classes}
        known = [each["ap50"] for each in per_class.values() if each["ap50"] is not None]
        return {
            "pictures": self.pictures,
            "map50": round(sum(known) / len(known), 3) if known else None,
            "per_class": per_class,
            "confusion": self.confusion(),
        }

    def _figures_of(self, name: str) -> dict[str, Any]:
        tally, empty = self.tallies[name], self.empty[name]
        precision, recall = tally.at(self.thresholds.get(name, float("inf")))
        return {
            "ap50": round(tally.average_precision(), 3) if tally.true else None,
            "labelled": tally.true,
            "threshold": self.thresholds.get(name),
            "precision": round(precision, 3),
            "recall": round(recall, 3),
            "pictures_without": empty,
            "false_alarms_per_100_without": round(100 * self.alarms[name] / empty, 1)
            if empty
            else None,
        }

    def confusion(self) -> dict[str, dict[str, int]]:
        """Return labelled class → found class → how often; only what happened."""
        table: dict[str, dict[str, int]] = {}
        for (labelled, found), count in sorted(self.confused.items()):
            table.setdefault(labelled, {})[found] = count
        return table


def verdicts(found: Sequence[Detection], true: Sequence[TrueBox]) -> Iterator[Verdict]:
    """Judge the boxes of one picture, surest first. A labelled box is found once.

    A box that fits no label left counts as ignored where most of it lies on an ignored label of
    its class: part of a crowd, the hidden half of a heap.
    """
    left = [label.box for label in true if not label.ignore]
    spared = [label.box for label in true if label.ignore]
    for box in sorted(found, key=lambda b: -b.score):
        best = _best([t for t in left if t.label == box.label], box)
        if best is not None:
            left.remove(best)
            yield Verdict(Outcome.RIGHT, box)
        elif _on([t for t in spared if t.label == box.label], box):
            yield Verdict(Outcome.IGNORED, box)
        else:
            yield Verdict(Outcome.WRONG, box)
    for missed in left:
        yield Verdict(Outcome.MISSED, missed)


def _best(choices: Sequence[Detection], box: Detection) -> Detection | None:
    best = max(choices, key=lambda t: overlap(box, t), default=None)
    return best if best is not None and overlap(box, best) >= OVERLAP_LEAST else None


def _on(spared: Sequence[Detection], box: Detection) -> bool:
    return any(common_px2(box, t) >= 0.5 * area_px2(box) for t in spared)


def _confused(found: Sequence[Detection], true: Sequence[TrueBox]) -> Iterator[tuple[str, str]]:
    """Yield (labelled, found) classes: boxes are paired by place, whatever their class, a right
    class before a wrong one; then what was left on either side."""
    left = [label.box for label in true if not label.ignore]
    spared = [label.box for label in true if label.ignore]
    unpaired = sorted(found, key=lambda b: -b.score)
    for same in (True, False):
        waiting, unpaired = unpaired, []
        for box in waiting:
            best = _best([t for t in left if (t.label == box.label) == same], box)
            if best is None:
                unpaired.append(box)
            else:
                left.remove(best)
                yield best.label, box.label
    for box in unpaired:
        if not _on(spared, box):
            yield NOTHING, box.label
    for missed in left:
        yield missed.label, NOTHING


def overlap(a: Detection, b: Detection) -> float:
    """Return intersection over union, 0..1."""
    common = common_px2(a, b)
    return common / max(area_px2(a) + area_px2(b) - common, 1e-9)
