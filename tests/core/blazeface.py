"""A second pair of eyes on what was kept: BlazeFace, which blurs nothing here.

MediaPipe's full-range face detector (other authors, training pictures and network than CenterFace),
192 × 192, run by OpenCV. Anchors and decoding as in MediaPipe's face_detection_full_range graph:
one a cell of 48 × 48, box centre and size in pixels of the input, score limit 0.6.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

WEIGHTS = Path(__file__).parents[1] / "data" / "blazeface" / "face_detection_full_range.tflite"
SIDE_PX, CELLS = 192, 48
LEAST_SCORE = 0.6
OVERLAP_LIMIT = 0.3
TILES_PX = (160, 320, 640)
"""Looked at by halves overlapping: enlarged to 1.2 of its size, and smaller."""
OUTPUTS = ["reshaped_classifier_face_4", "reshaped_regressor_face_4"]


class BlazeFace:
    """Finds faces of any size a person can see, in pieces and in the whole picture."""

    def __init__(self) -> None:
        self._net = cv2.dnn.readNetFromTFLite(str(WEIGHTS), engine=cv2.dnn.ENGINE_CLASSIC)
        side = (np.arange(CELLS) + 0.5) * SIDE_PX / CELLS
        self._centres = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)

    def faces(self, image: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Return (n, 5): x0, y0, x1, y1 in pixels and score."""
        found = [
            np.column_stack([boxes + np.array([x, y, x, y]), scores])
            for x, y, piece in _pieces(image)
            for boxes, scores in [self._look(piece)]
        ]
        rows = np.concatenate(found)
        corner = np.column_stack([rows[:, :2], rows[:, 2:4] - rows[:, :2]])
        best = cv2.dnn.NMSBoxes(corner.tolist(), rows[:, 4].tolist(), LEAST_SCORE, OVERLAP_LIMIT)
        return rows[np.asarray(best, np.int64).reshape(-1)]

    def _look(self, piece: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        gain = SIDE_PX / max(piece.shape[:2])
        size = [max(1, round(side * gain)) for side in piece.shape[1::-1]]
        how = cv2.INTER_AREA if gain < 1 else cv2.INTER_CUBIC
        square = np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)
        square[: size[1], : size[0]] = cv2.resize(piece, size, interpolation=how)
        half = 127.5
        self._net.setInput(
            cv2.dnn.blobFromImage(square, 1 / half, mean=(half, half, half), swapRB=True)
        )
        raw_scores, raw_boxes = self._net.forward(OUTPUTS)
        scores = 1 / (1 + np.exp(-np.clip(raw_scores.reshape(-1).astype(float), -80, 80)))
        sure = scores > LEAST_SCORE
        raw = raw_boxes.reshape(len(scores), -1)[sure].astype(float)
        centre, half_size = self._centres[sure] + raw[:, :2], raw[:, 2:4] / 2
        return np.column_stack([centre - half_size, centre + half_size]) / gain, scores[sure]


def _pieces(image: NDArray[np.uint8]) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    tall, wide = image.shape[:2]
    yield 0, 0, image
    for tile in TILES_PX:
        if tile < max(tall, wide):
            step = tile // 2
            for y in range(0, max(1, tall - step), step):
                for x in range(0, max(1, wide - step), step):
                    yield x, y, image[y : y + tile, x : x + tile]
