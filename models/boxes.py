"""What every head of a network needs: a picture made to fit, and boxes compared."""

import cv2
import numpy as np
from numpy.typing import NDArray

from domain.hazard import Detection

Image = NDArray[np.uint8]
PAD_GREY = 114


def letterboxed(image: Image, width_px: int, height_px: int) -> tuple[Image, float, int, int]:
    """Return (picture, gain, left, top): the whole image scaled into a network's input."""
    h, w = image.shape[:2]
    gain = min(width_px / w, height_px / h)
    size = (max(1, round(w * gain)), max(1, round(h * gain)))
    how = cv2.INTER_AREA if gain < 1 else cv2.INTER_LINEAR
    left, top = (width_px - size[0]) // 2, (height_px - size[1]) // 2
    canvas = np.full((height_px, width_px, 3), PAD_GREY, np.uint8)
    canvas[top : top + size[1], left : left + size[0]] = cv2.resize(image, size, interpolation=how)
    return canvas, gain, left, top


def checked(image: Image) -> Image:
    """Return the picture. ValueError unless it is (h, w, 3) BGR."""
    if image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"a picture is (h, w, 3) BGR, got {image.shape}")
    return image


def suppressed(
    corners: NDArray[np.float64],
    score: NDArray[np.float32],
    group: NDArray[np.int64],
    overlap_limit: float,
) -> list[int]:
    """Return the indices that survive non-maximum suppression within each group, best first."""
    order = np.argsort(-score, kind="stable")
    area = np.prod(corners[:, 2:] - corners[:, :2], axis=1)
    chosen: list[int] = []
    while len(order):
        i, rest = int(order[0]), order[1:]
        chosen.append(i)
        low = np.maximum(corners[rest, :2], corners[i, :2])
        high = np.minimum(corners[rest, 2:], corners[i, 2:])
        common = np.prod(np.maximum(high - low, 0), axis=1)
        overlap = common / (area[rest] + (area[i] + 1e-9) - common)
        order = rest[(overlap <= overlap_limit) | (group[rest] != group[i])]
    return chosen


def area_px2(box: Detection) -> float:
    return (box.x1_px - box.x0_px) * (box.y1_px - box.y0_px)


def common_px2(a: Detection, b: Detection) -> float:
    """Return the area of what two boxes share."""
    width = min(a.x1_px, b.x1_px) - max(a.x0_px, b.x0_px)
    height = min(a.y1_px, b.y1_px) - max(a.y0_px, b.y0_px)
    return max(width, 0.0) * max(height, 0.0)
