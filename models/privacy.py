"""What could tell who somebody is, made unreadable in everything kept: faces, heads, vehicles.

A face that its network does not see is still under the head of a person found; a plate, for which
there is no proven detector we may ship, is under the whole vehicle.

No recognition, no matching, no identity. When a network cannot run, or its answer is no answer,
BlurFailed is raised and there is no picture to keep: nothing passes unblurred.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from domain.hazard import Detection
from models.boxes import Image, suppressed
from models.catalogue import FACES, card
from models.detector import Detector
from models.heads import open_runner

STRIDE = 4
CELLS = 32
LONG_SIDE_PX = 1280
MARGIN = 0.25
THING_MARGIN = 0.1
OVERLAP_LIMIT = 0.3
VEHICLE_LEAST_PX = 60.0
"""A car is about 1.8 m wide and its plate's signs 9 cm high: at 60 px they are 3 px."""
PERSON_LEAST_PX = 70.0
"""A person of 1.7 m at 70 px: a face of 16 cm is under 7 px. EN 62676-4 asks 125 px a metre to
recognise somebody known, three times that."""
HEAD_OF_HEIGHT, HEAD_OF_WIDTH = 0.25, 0.75
"""A head is an eighth of a standing body and half as high as shoulders are wide; twice the one or
one and a half times the other is blurred, whichever is more: who is cut off or bent is covered."""


class BlurFailed(RuntimeError):
    """A picture could not be made fit to be kept; the text says why."""


class FaceBlur:
    """CenterFace finds faces; what it finds is pixelated and blurred beyond use."""

    def __init__(self, threads: int = 1) -> None:
        """Raises WeightsError when the network is missing: then nothing may be kept."""
        self._least = card(FACES).thresholds["face"]
        self._runner = open_runner(card(FACES), threads=threads)

    def faces(self, image: Image) -> NDArray[np.float32]:
        """Return (n, 5): x0, y0, x1, y1 in pixels and score. Raises BlurFailed."""
        h, w = image.shape[:2]
        gain = min(1.0, LONG_SIDE_PX / max(h, w))
        width = max(CELLS, round(w * gain / CELLS) * CELLS)
        height = max(CELLS, round(h * gain / CELLS) * CELLS)
        heat, scale, offset = self._heads(cv2.resize(image, (width, height)))
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

    def _heads(self, small: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        blob = np.ascontiguousarray(small[..., ::-1].transpose(2, 0, 1)[None], np.float32)
        try:
            outputs = self._runner.run(blob)
        except Exception as error:
            raise BlurFailed(f"{FACES} could not run, the picture is not kept: {error}") from error
        heads = outputs[:3]
        if not all(np.isfinite(head).all() for head in heads):
            raise BlurFailed(f"{FACES} gave no numbers, the picture is not kept")
        return heads

    def blur(self, image: Image) -> tuple[Image, int]:
        """Blur every face in place; return the picture and how many. Raises BlurFailed."""
        faces = self.faces(image)
        for x0, y0, x1, y1, _ in faces:
            blur_box(image, float(x0), float(y0), float(x1), float(y1))
        return image, len(faces)


class PictureBlur:
    """Faces, heads of persons, and vehicles, where near enough that they could be told apart."""

    def __init__(self, faces: FaceBlur, things: Detector) -> None:
        self._faces = faces
        self._things = things

    def blur(self, image: Image) -> tuple[Image, int]:
        """Blur in place; return the picture and how many places. Raises BlurFailed."""
        try:
            boxes = self._things.detect(image)
        except Exception as error:
            raise BlurFailed(f"nothing found, the picture is not kept: {error}") from error
        image, count = self._faces.blur(image)
        for box in boxes:
            part = telling_part(box)
            if part is not None:
                blur_box(image, *part, margin=THING_MARGIN)
                count += 1
        return image, count


def telling_part(box: Detection) -> tuple[float, float, float, float] | None:
    """Return what of a thing could tell whose or who it is, or None when it is too small for that
    or tells nothing: a whole vehicle, a person's head."""
    wide, tall = box.x1_px - box.x0_px, box.y1_px - box.y0_px
    if box.label == "vehicle" and wide >= VEHICLE_LEAST_PX:
        return box.x0_px, box.y0_px, box.x1_px, box.y1_px
    if box.label == "person" and max(tall, 2 * wide) >= PERSON_LEAST_PX:
        head = min(tall, max(HEAD_OF_HEIGHT * tall, HEAD_OF_WIDTH * wide))
        return box.x0_px, box.y0_px, box.x1_px, box.y0_px + head
    return None


def blur_box(
    image: Image, x0: float, y0: float, x1: float, y1: float, margin: float = MARGIN
) -> None:
    """Make one box unreadable, with a margin: a handful of blocks, then smoothed."""
    if not all(map(math.isfinite, (x0, y0, x1, y1))):
        raise BlurFailed("a box to blur has no place, the picture is not kept")
    dx, dy = margin * (x1 - x0), margin * (y1 - y0)
    h, w = image.shape[:2]
    left, top = max(0, int(x0 - dx)), max(0, int(y0 - dy))
    right, bottom = min(w, int(x1 + dx) + 1), min(h, int(y1 + dy) + 1)
    if right - left < 2 or bottom - top < 2:
        return
    patch = image[top:bottom, left:right]
    coarse = cv2.resize(patch, (4, 4), interpolation=cv2.INTER_AREA)
    size = (right - left, bottom - top)
    image[top:bottom, left:right] = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
