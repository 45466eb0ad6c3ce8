"""YOLO heads: what the numbers of Ultralytics' plain detect export mean.

Input (1, 3, H, W) RGB 0..1, the picture letterboxed on grey. Output (1, 4 + classes, n): centre and
size in input pixels, then a probability a class, without suppression inside
(docs.ultralytics.com/modes/export). YOLO11 and YOLO26 export this by default.
"""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from domain.hazard import Detection
from models.boxes import Image, checked, letterboxed, suppressed
from models.runners import Floats, Runner

CANDIDATES_LIMIT = 300
OVERLAP_LIMIT = 0.5


class YoloDetector:
    """Boxes of each class from its own threshold on; overlapping ones of a class are one."""

    def __init__(
        self, runner: Runner, classes: Sequence[str], thresholds: Mapping[str, float]
    ) -> None:
        """`classes` in the network's order. Raises ValueError when the input has no fixed size."""
        shape = runner.input_shape
        if len(shape) != 4 or shape[1] != 3 or shape[2] is None or shape[3] is None:
            raise ValueError(f"a YOLO input is (1, 3, H, W) of fixed size, this one's is {shape}")
        self.height_px, self.width_px = shape[2], shape[3]
        self._runner = runner
        self._classes = tuple(classes)
        self._least = np.array([thresholds[c] for c in classes], np.float32)

    def detect(self, image: Image) -> list[Detection]:
        """Return the boxes found, in the picture's own pixels, surest first.

        `image` is (h, w, 3) BGR; ValueError for any other shape, or when the network's output does
        not fit its classes.
        """
        picture, gain, left, top = letterboxed(checked(image), self.width_px, self.height_px)
        blob = cv2.dnn.blobFromImage(picture, 1 / 255, swapRB=True)
        (output,) = self._runner.run(np.asarray(blob, np.float32))
        kind, score, corners = decoded(output, self._least)
        corners = (corners - (left, top, left, top)) / gain
        h, w = image.shape[:2]
        corners = np.clip(corners, 0, (w, h, w, h))
        return [
            Detection(self._classes[kind[i]], float(score[i]), *map(float, corners[i]))
            for i in suppressed(corners, score, kind, OVERLAP_LIMIT)
        ]


def decoded(output: Floats, least: Floats) -> tuple[np.ndarray, Floats, np.ndarray]:
    """Return class (m,), score (m,) and corners (m, 4) in input pixels of the likely boxes.

    Each place speaks for the likeliest class that reaches its threshold in `least`; of more than
    CANDIDATES_LIMIT places the surest are taken. ValueError for an output of another form.
    """
    if output.ndim != 3 or output.shape[:2] != (1, 4 + len(least)):
        raise ValueError(f"output {output.shape} is not (1, {4 + len(least)}, n)")
    chances = output[0, 4:]
    place = np.flatnonzero((chances >= least[:, None]).any(axis=0))
    candidates = chances[:, place]
    candidates = np.where(candidates >= least[:, None], candidates, 0)
    kind = candidates.argmax(axis=0)
    score = candidates[kind, np.arange(len(place))]
    order = np.argsort(-score, kind="stable")[:CANDIDATES_LIMIT]
    box = output[0, :4, place[order]].astype(np.float64)
    half = box[:, 2:] / 2
    return kind[order], score[order], np.hstack([box[:, :2] - half, box[:, :2] + half])
