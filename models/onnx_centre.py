"""The hazard network at work: a centre-point detector on ONNX Runtime."""

import cv2
import numpy as np
from numpy.typing import NDArray

from domain.hazard import Detection
from models.catalogue import HAZARDS, card, session

Image = NDArray[np.uint8]
WIDTH_PX, HEIGHT_PX, STRIDE = 384, 288, 8
PAD_GREY = 114
BOXES_LIMIT = 200
OVERLAP_LIMIT = 0.45
LOG_SIZE_LIMIT = 7.0


def letterboxed(image: Image) -> tuple[Image, float, int, int]:
    """Return (picture, gain, left, top): the whole image scaled into the network's input."""
    h, w = image.shape[:2]
    gain = min(WIDTH_PX / w, HEIGHT_PX / h)
    size = (max(1, round(w * gain)), max(1, round(h * gain)))
    how = cv2.INTER_AREA if gain < 1 else cv2.INTER_LINEAR
    left, top = (WIDTH_PX - size[0]) // 2, (HEIGHT_PX - size[1]) // 2
    canvas = np.full((HEIGHT_PX, WIDTH_PX, 3), PAD_GREY, np.uint8)
    canvas[top : top + size[1], left : left + size[0]] = cv2.resize(image, size, interpolation=how)
    return canvas, gain, left, top


class CentreDetector:
    """Peaks of the heat map above each class's threshold, overlapping ones of a class merged."""

    def __init__(self, name: str = HAZARDS, threads: int = 1, least: float | None = None) -> None:
        """`least` replaces the card's thresholds: for measuring, not for work."""
        self.card = card(name)
        self._session = session(name, threads)
        self._least = np.array(
            [self.card.thresholds[c] if least is None else least for c in self.card.classes],
            np.float32,
        )

    def detect(self, image: Image) -> list[Detection]:
        """Return the boxes found, in the picture's own pixels, surest first.

        `image` is (h, w, 3) BGR; ValueError for any other shape.
        """
        if image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"a picture is (h, w, 3) BGR, got {image.shape}")
        picture, gain, left, top = letterboxed(image)
        blob = np.ascontiguousarray(picture[..., ::-1].transpose(2, 0, 1)[None], np.float32)
        heat, box = (np.asarray(a)[0] for a in self._session.run(None, {"picture": blob}))
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
            Detection(self.card.classes[kind[i]], float(score[i]), *map(float, corners[i]))
            for i in suppressed(corners, score, kind, OVERLAP_LIMIT)
        ]


def suppressed(
    corners: NDArray[np.float64],
    score: NDArray[np.float32],
    group: NDArray[np.int64],
    overlap_limit: float,
) -> list[int]:
    """Return the indices that survive non-maximum suppression within each group, best first."""
    order = [int(i) for i in np.argsort(-score, kind="stable")]
    area = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    chosen: list[int] = []
    while order:
        i = order.pop(0)
        chosen.append(i)
        rest = np.asarray(order, np.int64)
        low = np.maximum(corners[i, :2], corners[rest, :2])
        high = np.minimum(corners[i, 2:], corners[rest, 2:])
        common = np.prod(np.maximum(high - low, 0), axis=1)
        overlap = common / (area[i] + area[rest] - common + 1e-9)
        order = [int(j) for j in rest[(overlap <= overlap_limit) | (group[rest] != group[i])]]
    return chosen
