"""Small things in large pictures: the whole picture first, then pieces of it at full size.

Slicing as in Akyon et al., Slicing Aided Hyper Inference (2022). A box cut by the edge of its piece
is left to the neighbour that holds all of it, or to the look at the whole.
"""

from collections.abc import Sequence

import numpy as np

from domain.hazard import Detection
from models.boxes import Image, area_px2, common_px2
from models.detector import Detector

SLICED_FROM_PX = 832
PIECE_LEAST_PX = 416
PIECES_ACROSS_LIMIT = 6
OVERLAP = 0.25
EDGE_PX = 3.0
COMMON_LIMIT = 0.6
"""How much of the smaller of two boxes of a label may lie in the other."""


def detect_sliced(detector: Detector, image: Image) -> list[Detection]:
    """Return the boxes of the whole picture and of its pieces, merged, surest first.

    A picture whose long side is under SLICED_FROM_PX is only looked at whole.
    """
    found = list(detector.detect(image))
    h, w = image.shape[:2]
    if max(h, w) < SLICED_FROM_PX:
        return found
    side = max(PIECE_LEAST_PX, round(max(h, w) / (PIECES_ACROSS_LIMIT * (1 - OVERLAP) + OVERLAP)))
    for top in _starts(h, side):
        for left in _starts(w, side):
            piece = np.ascontiguousarray(image[top : top + side, left : left + side])
            for box in detector.detect(piece):
                moved = Detection(
                    box.label,
                    box.score,
                    box.x0_px + left,
                    box.y0_px + top,
                    box.x1_px + left,
                    box.y1_px + top,
                )
                if not _is_cut(moved, (left, top, left + side, top + side), (w, h)):
                    found.append(moved)
    return merged(found)


def _starts(length: int, side: int) -> list[int]:
    """Return where pieces begin so that neighbours share OVERLAP and the last ends at the edge."""
    if length <= side:
        return [0]
    count = 1 + int(np.ceil((length - side) / (side * (1 - OVERLAP))))
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
    kept: list[Detection] = []
    for box in sorted(boxes, key=lambda b: -b.score):
        if not any(b.label == box.label and _common(b, box) > COMMON_LIMIT for b in kept):
            kept.append(box)
    return kept


def _common(a: Detection, b: Detection) -> float:
    """Return the share of the smaller box that lies in the other."""
    return common_px2(a, b) / max(min(area_px2(a), area_px2(b)), 1e-9)
