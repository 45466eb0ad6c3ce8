"""Centre-point heads (models/training.py): boxes grow from the peaks of a heat map."""

from collections.abc import Mapping, Sequence

import numpy as np

from domain.hazard import Detection
from models.boxes import Image, checked, letterboxed, suppressed
from models.runners import Runner

WIDTH_PX, HEIGHT_PX, STRIDE = 384, 288, 8
BOXES_LIMIT = 200
OVERLAP_LIMIT = 0.45
LOG_SIZE_LIMIT = 7.0


class CentreDetector:
    """Peaks of the heat map above each class's threshold, overlapping ones of a class merged."""

    def __init__(
        self, runner: Runner, classes: Sequence[str], thresholds: Mapping[str, float]
    ) -> None:
        """`classes` in the network's order."""
        self._runner = runner
        self._classes = tuple(classes)
        self._least = np.array([thresholds[c] for c in classes], np.float32)

    def detect(self, image: Image) -> list[Detection]:
        """Return the boxes found, in the picture's own pixels, surest first.

        `image` is (h, w, 3) BGR; ValueError for any other shape.
        """
        picture, gain, left, top = letterboxed(checked(image), WIDTH_PX, HEIGHT_PX)
        blob = np.ascontiguousarray(picture[..., ::-1].transpose(2, 0, 1)[None], np.float32)
        heat, box = (output[0] for output in self._runner.run(blob))
        kind, row, column = np.nonzero(heat >= self._least[:, None, None])
        score = heat[kind, row, column]
        order = np.argsort(-score, kind="stable")[:BOXES_LIMIT]
        kind, row, column, score = kind[order], row[order], column[order], score[order]
        size = np.exp(np.minimum(box[:2, row, column], LOG_SIZE_LIMIT))
        centre = (np.stack([column, row]) + box[2:, row, column]) * STRIDE
        corners = np.concatenate([centre - size / 2, centre + size / 2]).T
        corners = (corners - (left, top, left, top)) / gain
        corners = np.clip(corners, 0, (image.shape[1], image.shape[0]) * 2)
        return [
            Detection(self._classes[kind[i]], float(score[i]), *map(float, corners[i]))
            for i in suppressed(corners, score, kind, OVERLAP_LIMIT)
        ]
