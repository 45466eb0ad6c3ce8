"""Whether anything moved before a fixed camera, and how the ground moved under a flying one.

The gate asks the cheapest question first: a picture of 100 to 180 rows is held against its running
mean. Where nothing moved no detector runs. Values as in Frigate's motion settings
(docs.frigate.video/configuration/motion_detection): threshold 30, mean of 1 %, area of 10 cells.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.boxes import Image

Grey = NDArray[np.uint8]
Box = tuple[int, int, int, int]
"""left, top, right, bottom in pixels."""
PIXELS_LIMIT = 40_000_000
SEGMENTS_LIMIT = 500
NO_FRAME = (0xC4, 0xC8, 0xCC)
"""Tables among the markers that begin frames."""
REDUCED = (
    (8, cv2.IMREAD_REDUCED_GRAYSCALE_8),
    (4, cv2.IMREAD_REDUCED_GRAYSCALE_4),
    (2, cv2.IMREAD_REDUCED_GRAYSCALE_2),
)


@dataclass(frozen=True, slots=True)
class MotionPolicy:
    """`whole_share` of the cells changed at once is light (lightning, a lamp), not motion: the
    mean is begun anew. `share` is how much of a new picture goes into the mean, `learning` how much
    while it is young. A region is grown by `margin` of its size on each side."""

    rows: int = 120
    threshold: int = 30
    area_cells: int = 10
    share: float = 0.01
    learning: float = 0.2
    young_frames: int = 10
    whole_share: float = 0.6
    margin: float = 0.2
    regions_limit: int = 16


@dataclass(slots=True)
class MotionGate:
    """The gate of one camera. It holds one small picture, and begins anew when the size changes."""

    policy: MotionPolicy
    mean: NDArray[np.float32] | None = None
    frames: int = 0

    def regions(self, image: Image) -> tuple[Box, ...]:
        """Return where something moved, in pixels of the picture (h, w, 3) or (h, w), largest
        first; empty for the first picture and for a change of the whole of it."""
        return self.regions_of(small_grey(image, self.policy.rows), image.shape[:2])

    def regions_of(self, small: Grey, size_px: tuple[int, ...]) -> tuple[Box, ...]:
        """As `regions`, for a picture made small already; `size_px` is (height, width) of it."""
        policy = self.policy
        if self.mean is None or self.mean.shape != small.shape:
            self.mean, self.frames = small.astype(np.float32), 1
            return ()
        away = cv2.absdiff(small, cv2.convertScaleAbs(self.mean))
        _, mask = cv2.threshold(away, policy.threshold, 255, cv2.THRESH_BINARY)
        changed = cv2.countNonZero(mask)
        self.frames += 1
        if changed > policy.whole_share * mask.size:
            self.mean, self.frames = small.astype(np.float32), 1
            return ()
        share = policy.learning if self.frames <= policy.young_frames else policy.share
        cv2.accumulateWeighted(small, self.mean, share)
        if changed < policy.area_cells:
            return ()
        return _regions(np.asarray(mask, np.uint8), size_px, policy)


def small_grey(image: Image, rows: int) -> Grey:
    """Return the picture grey and `rows` high (a smaller one as it is), blurred against noise."""
    h, w = image.shape[:2]
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image
    if h > rows:
        size = (max(1, round(w * rows / h)), rows)
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.blur(grey, (3, 3)), np.uint8)


def small_of_jpeg(jpeg: bytes, rows: int) -> tuple[Grey, tuple[int, int]] | None:
    """Return a JPEG as `small_grey` gives it, and its (height, width); None when it is none.

    JPEG is decoded at a half, a quarter or an eighth of its size where that leaves enough rows,
    which costs a small part of decoding the whole. Its size is read before anything is decoded.
    What its Exif says is turned is turned.
    """
    size = jpeg_size(jpeg)
    if size is None or size[0] * size[1] > PIXELS_LIMIT:
        return None
    h, w = size
    how = next((flag for part, flag in REDUCED if h // part >= rows), cv2.IMREAD_GRAYSCALE)
    grey = cv2.imdecode(np.frombuffer(jpeg, np.uint8), how)
    if grey is None:
        return None
    if (grey.shape[0] > grey.shape[1]) != (h > w):
        h, w = w, h
    return small_grey(np.asarray(grey, np.uint8), rows), (h, w)


def jpeg_size(jpeg: bytes) -> tuple[int, int] | None:
    """Return (height, width) from a JPEG's frame header (ITU-T T.81, B.2.2), None without one."""
    at = 2
    for _ in range(SEGMENTS_LIMIT):
        if at + 9 > len(jpeg) or jpeg[at] != 0xFF:
            return None
        kind = jpeg[at + 1]
        if 0xC0 <= kind <= 0xCF and kind not in NO_FRAME:
            return int.from_bytes(jpeg[at + 5 : at + 7]), int.from_bytes(jpeg[at + 7 : at + 9])
        # Bytes 0xFF may fill the space before a marker.
        at += 1 if kind == 0xFF else 2 + int.from_bytes(jpeg[at + 2 : at + 4])
    return None


def _regions(mask: Grey, size_px: tuple[int, ...], policy: MotionPolicy) -> tuple[Box, ...]:
    """Return the boxes of what changed, grown and in pixels, the largest first."""
    joined = cv2.dilate(mask, np.ones((3, 3), np.uint8), iterations=2)
    count, _, stats, _ = cv2.connectedComponentsWithStats(joined)
    cells = sorted(
        (stats[i].tolist() for i in range(1, count)), key=lambda s: (-s[4], s[1], s[0])
    )
    h, w = size_px[:2]
    across, down = w / mask.shape[1], h / mask.shape[0]
    boxes = []
    for left, top, wide, high, _ in cells[: policy.regions_limit]:
        if cv2.countNonZero(mask[top : top + high, left : left + wide]) < policy.area_cells:
            continue
        dx, dy = wide * policy.margin, high * policy.margin
        boxes.append((
            max(0, int((left - dx) * across)), max(0, int((top - dy) * down)),
            min(w, int(np.ceil((left + wide + dx) * across))),
            min(h, int(np.ceil((top + high + dy) * down))),
        ))  # fmt: skip
    return tuple(boxes)


POINTS, POINTS_LEAST, INLIERS_LEAST = 300, 12, 0.5
REACH_PX = 3.0


def ground_motion(before: Grey, now: Grey) -> NDArray[np.float64] | None:
    """Return the homography (3, 3) from pixels of one small grey picture to the next's.

    None when too little of the ground is found again to say: sky, water, blur, another place.
    Corners followed by optical flow (Lucas and Kanade), the outliers left out by RANSAC; things
    that move by themselves are outliers as long as they are the smaller part.
    """
    corners = cv2.goodFeaturesToTrack(before, POINTS, 0.01, 7)
    if before.shape != now.shape or corners is None or len(corners) < POINTS_LEAST:
        return None
    found, good, _ = cv2.calcOpticalFlowPyrLK(before, now, corners, np.empty_like(corners))
    kept = good.ravel() == 1
    if kept.sum() < POINTS_LEAST:
        return None
    cv2.setRNGSeed(0)
    matrix, inside = cv2.findHomography(corners[kept], found[kept], cv2.RANSAC, REACH_PX)
    if matrix is None or inside.mean() < INLIERS_LEAST:
        return None
    return np.asarray(matrix, np.float64)


def in_pixels(moved: NDArray[np.float64], zoom: float) -> NDArray[np.float64]:
    """Return a homography between small pictures as one between those `zoom` times as large."""
    larger = np.diag([zoom, zoom, 1.0])
    return np.asarray(larger @ moved @ np.linalg.inv(larger), np.float64)
