"""People and vehicles on real pictures: NanoDet-g, trained on COCO by its authors.

Boxes as in Li et al., Generalized Focal Loss (2020): each side is the mean of a distribution over
BINS distances, in strides, from the middle of a cell.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from domain.hazard import Detection
from models.boxes import Image, checked, letterboxed, suppressed
from models.runners import Runner

Floats = NDArray[np.float32]
SIDE_PX = 416
STRIDES = (8, 16, 32)
BINS = 11
MEAN = np.array([103.53, 116.28, 123.675], np.float32)
SPREAD = np.array([57.375, 57.12, 58.395], np.float32)
COLUMNS = {"person": (0,), "vehicle": (2, 3, 5, 7)}
"""COCO's columns of each of our classes: a vehicle is a car, motorcycle, bus or truck."""
OVERLAP_LIMIT = 0.5
BOXES_LIMIT = 200


class NanoDetector:
    """`detect` gives persons and vehicles."""

    def __init__(
        self, runner: Runner, classes: Sequence[str], thresholds: Mapping[str, float]
    ) -> None:
        """`classes` are some of COLUMNS. The file tells classes by stride, then sides by stride."""
        self._runner = runner
        self._classes = tuple(classes)
        self._least = np.array([thresholds[c] for c in classes], np.float32)
        self._centres = np.concatenate([_centres(s) for s in STRIDES])
        self._strides = np.concatenate([np.full((SIDE_PX // s) ** 2, s) for s in STRIDES])

    def detect(self, image: Image) -> list[Detection]:
        """Return the boxes found, in the picture's own pixels, surest first.

        `image` is (h, w, 3) BGR; ValueError for any other shape.
        """
        picture, gain, left, top = letterboxed(checked(image), SIDE_PX, SIDE_PX)
        blob = ((picture - MEAN) / SPREAD).transpose(2, 0, 1)[None]
        heads = [output[0] for output in self._runner.run(np.ascontiguousarray(blob))]
        scores, sides = np.concatenate(heads[:3]), np.concatenate(heads[3:])
        ours = np.stack([scores[:, COLUMNS[c]].max(1) for c in self._classes], axis=1)
        place, kind = np.nonzero(ours >= self._least)
        score = ours[place, kind]
        order = np.argsort(-score, kind="stable")[:BOXES_LIMIT]
        place, kind, score = place[order], kind[order], score[order]
        reach = _means(sides[place]) * self._strides[place, None]
        corners = np.tile(self._centres[place], 2) + reach * (-1, -1, 1, 1)
        corners = (corners - (left, top, left, top)) / gain
        h, w = image.shape[:2]
        corners = np.clip(corners, 0, (w, h, w, h))
        return [
            Detection(self._classes[kind[i]], float(score[i]), *map(float, corners[i]))
            for i in suppressed(corners, score, kind, OVERLAP_LIMIT)
        ]


def _centres(stride: int) -> Floats:
    """Return the middles (n, 2) of a head's cells in pixels, row by row."""
    middle = (np.arange(SIDE_PX // stride) + 0.5) * stride
    x, y = np.meshgrid(middle, middle)
    return np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)


def _means(sides: Floats) -> Floats:
    """Return left, top, right and bottom (n, 4) from the logits (n, 4 BINS)."""
    logits = sides.reshape(-1, 4, BINS)
    weight = np.exp(logits - logits.max(-1, keepdims=True))
    mean = (weight * np.arange(BINS, dtype=np.float32)).sum(-1) / weight.sum(-1)
    return np.asarray(mean, np.float32)
