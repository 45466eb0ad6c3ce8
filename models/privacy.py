"""Faces are blurred in everything that is kept. No recognition, no matching, no identity."""

import cv2
import numpy as np
from numpy.typing import NDArray

from models.boxes import suppressed
from models.catalogue import FACES, card, session

Image = NDArray[np.uint8]
STRIDE = 4
CELLS = 32
LONG_SIDE_PX = 1280
MARGIN = 0.25
OVERLAP_LIMIT = 0.3


class FaceBlur:
    """CenterFace finds faces; what it finds is pixelated and blurred beyond use."""

    def __init__(self, threads: int = 1) -> None:
        self._least = card(FACES).thresholds["face"]
        self._session = session(FACES, threads)
        self._input = self._session.get_inputs()[0].name

    def faces(self, image: Image) -> NDArray[np.float32]:
        """Return (n, 5): x0, y0, x1, y1 in pixels and score."""
        h, w = image.shape[:2]
        gain = min(1.0, LONG_SIDE_PX / max(h, w))
        width = max(CELLS, round(w * gain / CELLS) * CELLS)
        height = max(CELLS, round(h * gain / CELLS) * CELLS)
        small = cv2.resize(image, (width, height))
        blob = np.ascontiguousarray(small[..., ::-1].transpose(2, 0, 1)[None], np.float32)
        heat, scale, offset, _ = self._session.run(None, {self._input: blob})
        heat, scale, offset = (np.asarray(a, np.float32) for a in (heat, scale, offset))
        rows, columns = np.nonzero(heat[0, 0] > self._least)
        if not len(rows):
            return np.empty((0, 5), np.float32)
        tall, wide = np.exp(scale[0, :, rows, columns]).T * STRIDE
        y = (rows + offset[0, 0, rows, columns] + 0.5) * STRIDE
        x = (columns + offset[0, 1, rows, columns] + 0.5) * STRIDE
        corners = np.stack([x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2], 1)
        corners *= np.array([w / width, h / height, w / width, h / height])
        score = heat[0, 0, rows, columns]
        chosen = suppressed(
            corners.astype(np.float64), score, np.zeros(len(score), np.int64), OVERLAP_LIMIT
        )
        return np.column_stack([corners, score]).astype(np.float32)[chosen]

    def blur(self, image: Image) -> tuple[Image, int]:
        """Blur every face in place; return the picture and how many there were."""
        faces = self.faces(image)
        for x0, y0, x1, y1, _ in faces:
            blur_box(image, float(x0), float(y0), float(x1), float(y1))
        return image, len(faces)


def blur_box(image: Image, x0: float, y0: float, x1: float, y1: float) -> None:
    """Make one box unreadable, with a margin: a handful of blocks, then smoothed."""
    dx, dy = MARGIN * (x1 - x0), MARGIN * (y1 - y0)
    h, w = image.shape[:2]
    left, top = max(0, int(x0 - dx)), max(0, int(y0 - dy))
    right, bottom = min(w, int(x1 + dx) + 1), min(h, int(y1 + dy) + 1)
    if right - left < 2 or bottom - top < 2:
        return
    patch = image[top:bottom, left:right]
    coarse = cv2.resize(patch, (4, 4), interpolation=cv2.INTER_AREA)
    size = (right - left, bottom - top)
    image[top:bottom, left:right] = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
