"""A YOLO head exported to ONNX: letterbox in, boxes out, overlapping ones of a class merged."""

import cv2
import numpy as np
from numpy.typing import NDArray

from domain.hazard import Detection
from models.catalogue import HAZARDS, card, session

Image = NDArray[np.uint8]
OVERLAP_LIMIT = 0.5
BOXES_LIMIT = 200
PAD_GREY = 114
LEAST_SCORE = 0.05


class YoloDetector:
    """Output is (1, 4 + classes, n): centre, size in input pixels, one score a class."""

    def __init__(self, name: str = HAZARDS, threads: int = 1, scale: float = 1.0) -> None:
        self.card = card(name)
        self._session = session(name, threads)
        self._input = self._session.get_inputs()[0]
        _, _, self._height, self._width = self._input.shape
        self._least = np.array(
            [scale * self.card.thresholds.get(c, 0.3) for c in self.card.classes], np.float32
        )

    def detect(self, image: Image) -> list[Detection]:
        """Return the boxes above each class's threshold, in the picture's own pixels.

        `image` is (h, w, 3) BGR; ValueError for any other shape.
        """
        if image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"a picture is (h, w, 3) BGR, got {image.shape}")
        blob, gain, left, top = self._letterbox(image)
        output = self._session.run(None, {self._input.name: blob})[0]
        rows = np.asarray(output, np.float32)[0].T
        return self._boxes(rows, gain, left, top, image.shape[1], image.shape[0])

    def _letterbox(self, image: Image) -> tuple[NDArray[np.float32], float, int, int]:
        h, w = image.shape[:2]
        gain = min(self._width / w, self._height / h)
        size = (max(1, round(w * gain)), max(1, round(h * gain)))
        how = cv2.INTER_AREA if gain < 1 else cv2.INTER_LINEAR
        small = cv2.resize(image, size, interpolation=how)
        left, top = (self._width - size[0]) // 2, (self._height - size[1]) // 2
        canvas = np.full((self._height, self._width, 3), PAD_GREY, np.uint8)
        canvas[top : top + size[1], left : left + size[0]] = small
        blob = np.ascontiguousarray(canvas[..., ::-1].transpose(2, 0, 1)[None], np.float32)
        blob /= 255.0
        return blob, gain, left, top

    def _boxes(
        self, rows: NDArray[np.float32], gain: float, left: int, top: int, w: int, h: int
    ) -> list[Detection]:
        scores = rows[:, 4:]
        best = scores.argmax(1)
        score = scores[np.arange(len(rows)), best]
        kept = score >= np.maximum(self._least[best], LEAST_SCORE)
        rows, best, score = rows[kept], best[kept], score[kept]
        corners = np.empty((len(rows), 4), np.float32)
        corners[:, :2] = rows[:, :2] - rows[:, 2:4] / 2
        corners[:, 2:] = rows[:, :2] + rows[:, 2:4] / 2
        corners = (corners - (left, top, left, top)) / gain
        corners = np.clip(corners, 0, (w, h, w, h))
        chosen = suppressed(corners, score, best)
        return [
            Detection(self.card.classes[best[i]], float(score[i]), *map(float, corners[i]))
            for i in chosen
        ]


def suppressed(
    corners: NDArray[np.float32], score: NDArray[np.float32], group: NDArray[np.int64]
) -> list[int]:
    """Return the indices that survive non-maximum suppression within each group, best first."""
    order = list(np.argsort(-score, kind="stable"))
    area = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    chosen: list[int] = []
    while order and len(chosen) < BOXES_LIMIT:
        i = int(order.pop(0))
        chosen.append(i)
        if not order:
            break
        rest = np.asarray(order)
        low = np.maximum(corners[i, :2], corners[rest, :2])
        high = np.minimum(corners[i, 2:], corners[rest, 2:])
        common = np.prod(np.maximum(high - low, 0), axis=1)
        overlap = common / (area[i] + area[rest] - common + 1e-9)
        order = [int(j) for j in rest[(overlap <= OVERLAP_LIMIT) | (group[rest] != group[i])]]
    return chosen
