"""Small things in large pictures: the whole picture first, then pieces of it at full size.

Slicing as in Akyon et al., Slicing Aided Hyper Inference (2022). A box cut by the edge of its piece
is left to the neighbour that holds all of it, or to the look at the whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from domain.hazard import Detection
from models.boxes import Image
from models.detector import Detector

EDGE_PX = 3.0
COMMON_LIMIT = 0.6
"""How much of the smaller of two boxes of a label may lie in the other."""


@dataclass(frozen=True, slots=True)
class SlicePolicy:
    """A picture whose long side is `from_px` or more is looked at in square pieces of `piece_px`,
    larger where `across_limit` of them would not reach; neighbours share `overlap` of their side.
    """

    from_px: int = 832
    piece_px: int = 416
    across_limit: int = 6
    overlap: float = 0.25

    def side_px(self, long_px: int) -> int:
        reach = self.across_limit * (1 - self.overlap) + self.overlap
        return max(self.piece_px, round(long_px / reach))


PLAIN = SlicePolicy()


class SlicedDetector:
    """Any detector, looking at large pictures piece by piece as well."""

    def __init__(self, detector: Detector, policy: SlicePolicy = PLAIN) -> None:
        self._detector = detector
        self._policy = policy

    def detect(self, image: Image) -> list[Detection]:
        """Return the boxes of the whole picture and of its pieces, merged, surest first."""
        return detect_sliced(self._detector, image, self._policy)


def detect_sliced(
    detector: Detector, image: Image, policy: SlicePolicy = PLAIN
) -> list[Detection]:
    """Return the boxes of the whole picture and of its pieces, merged, surest first."""
    h, w = image.shape[:2]
    if max(h, w) < policy.from_px:
        return list(detector.detect(image))
    side = policy.side_px(max(h, w))
    pieces = [
        (left, top, left + side, top + side)
        for top in _starts(h, side, policy.overlap)
        for left in _starts(w, side, policy.overlap)
    ]
    return detect_pieces(detector, image, pieces)


def detect_pieces(
    detector: Detector, image: Image, pieces: Sequence[tuple[int, int, int, int]]
) -> list[Detection]:
    """Return the boxes of the whole picture and of pieces (left, top, right, bottom) of it."""
    found = list(detector.detect(image))
    if not pieces:
        return found
    h, w = image.shape[:2]
    for left, top, right, bottom in pieces:
        for box in detector.detect(np.ascontiguousarray(image[top:bottom, left:right])):
            moved = Detection(
                box.label,
                box.score,
                box.x0_px + left,
                box.y0_px + top,
                box.x1_px + left,
                box.y1_px + top,
            )
            if not _is_cut(moved, (left, top, right, bottom), (w, h)):
                found.append(moved)
    return merged(found)


def _starts(length: int, side: int, overlap: float) -> list[int]:
    """Return where pieces begin: neighbours share `overlap`, the last ends at the edge."""
    if length <= side:
        return [0]
    count = 1 + int(np.ceil((length - side) / (side * (1 - overlap))))
    return [round(i * (length - side) / (count - 1)) for i in range(count)]


def _is_cut(box: Detection, piece: tuple[int, int, int, int], size: tuple[int, int]) -> bool:
    left, top, right, bottom = piece
    w, h = size
    return (
        (left > 0 and box.x0_px < left + EDGE_PX)
        or (top > 0 and box.y0_px < top + EDGE_PX)
        or (right < w and box.x1_px > right - EDGE_PX)
        or (bottom < h and box.y1_px > bottom - EDGE_PX)
    )


def merged(boxes: Sequence[Detection]) -> list[Detection]:
    """Return the boxes without those that lie in a surer one of their label, surest first."""
    order = sorted(boxes, key=lambda b: -b.score)
    corners = np.array([(b.x0_px, b.y0_px, b.x1_px, b.y1_px) for b in order]).reshape(-1, 4)
    labels = np.array([b.label for b in order])
    area = np.prod(corners[:, 2:] - corners[:, :2], axis=1)
    free = np.ones(len(order), bool)
    for i in range(len(order)):
        if free[i]:
            low = np.maximum(corners[i, :2], corners[i + 1 :, :2])
            high = np.minimum(corners[i, 2:], corners[i + 1 :, 2:])
            common = np.prod(np.maximum(high - low, 0), axis=1)
            smaller = np.maximum(np.minimum(area[i], area[i + 1 :]), 1e-9)
            free[i + 1 :] &= (common <= COMMON_LIMIT * smaller) | (labels[i + 1 :] != labels[i])
    return [box for box, kept in zip(order, free, strict=True) if kept]
