"""What differs between two pictures of one pose that is neither light nor a passing thing.

The newer picture is laid on the reference by a homography (SIFT, Lowe 2004, with RANSAC), its
light brought to the reference's, and its colours held against all that the reference has within
a few pixels, so that a roof's parallax or a swaying pole differs in nothing. What is compared are
log ratios of colours, which light changes little (as in Horprasert, Harwood and Davis 1999), after
the tint that shade has; a thing of just the colour of the ground it covers is therefore not seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.boxes import Image, checked

Floats = NDArray[np.float32]
Grey = NDArray[np.uint8]
Matrix = NDArray[np.float64]
Told = NDArray[np.integer[Any] | np.floating[Any]]
Box = tuple[float, float, float, float]
"""left, top, right, bottom in pixels."""
RATIO_LIMIT = 0.8
"""Lowe's ratio: a match is kept when the second best is that much farther."""
DARK = 12.0
"""Grey levels added before the logarithm: below them a sensor tells noise."""
SMOOTH_PX = 1.6
JOINED = np.ones((13, 13), np.uint8)
"""Parts of one thing nearer than this, of a picture 640 px wide, are one region."""


@dataclass(frozen=True, slots=True)
class ChangePolicy:
    """Pictures are compared `width_px` wide. They show the same pose when at least
    `inliers_least` features agree, and the corners move by at most `move_share` of the width.
    `slack_px` is how far a thing may lie from where it lay. `colour` is the log ratio from which on
    a pixel differs, `brightness` the most that the light's fall-off over the picture explains.
    Shade is bluer than sun: by `shade_blue` and less red by `shade_red` a unit of log brightness,
    both ± `shade_spread`, up to `shade_limit`. A region of fewer than `area_px` pixels is noise;
    what covers more than `whole_share` of the picture is another scene, not a change in it."""

    width_px: int = 640
    features: int = 1500
    inliers_least: int = 25
    move_share: float = 0.25
    slack_px: int = 2
    colour: float = 0.10
    brightness: float = 0.22
    falloff: float = 0.2
    shade_blue: float = 0.15
    shade_red: float = -0.08
    shade_spread: float = 0.08
    shade_limit: float = 1.2
    area_px: int = 80
    whole_share: float = 0.5
    regions_limit: int = 12


@dataclass(frozen=True, slots=True)
class Region:
    """One change: its outline in pixels of the newer picture (n, 2) and of the reference, and a
    score 0..1, by how much it differs and how much of its hull does."""

    outline: NDArray[np.float64]
    reference_box: Box
    score: float

    @property
    def box(self) -> Box:
        (x0, y0), (x1, y1) = self.outline.min(0), self.outline.max(0)
        return float(x0), float(y0), float(x1), float(y1)


@dataclass(frozen=True, slots=True)
class NotComparable:
    """Why two pictures were not compared: `no_features`, `other_pose` or `other_scene`."""

    reason: str


def changes(
    reference: Image,
    now: Image,
    reference_masked: Sequence[Box] = (),
    now_masked: Sequence[Box] = (),
    policy: ChangePolicy | None = None,
) -> tuple[Region, ...] | NotComparable:
    """Return what changed from `reference` to `now` ((h, w, 3) BGR each), the surest first.

    What lies in a masked box, in pixels of its own picture, is not compared: passing things, and
    what was blurred.
    """
    policy = policy or ChangePolicy()
    old, old_gain = _scaled(checked(reference), policy.width_px)
    new, new_gain = _scaled(checked(now), policy.width_px)
    onto = registered(old, new, policy)
    if isinstance(onto, NotComparable):
        return onto
    size = (old.shape[1], old.shape[0])
    laid = np.asarray(cv2.warpPerspective(new, onto, size, flags=cv2.INTER_LINEAR), np.uint8)
    valid = _unmasked(new, now_masked, new_gain)
    valid = np.asarray(cv2.warpPerspective(valid, onto, size, flags=cv2.INTER_NEAREST), np.uint8)
    valid &= _unmasked(old, reference_masked, old_gain)
    # What the registration's edge brings in belongs to no picture.
    valid = np.asarray(cv2.erode(valid, np.ones((9, 9), np.uint8), borderValue=0), np.uint8)
    differs = _difference(old, laid, valid, policy)
    mask = np.asarray((differs >= 1.0) & (valid > 0), np.uint8)
    if mask.sum() > policy.whole_share * max(1, int(valid.sum())):
        return NotComparable("other_scene")
    back = np.diag([1 / new_gain, 1 / new_gain, 1.0]) @ np.linalg.inv(onto)
    found = _regions(mask, differs, policy)
    return tuple(_placed(hull, score, back, old_gain) for hull, score in found)


ALTERED_LIMIT = 100


def altered(before: Image, after: Image) -> list[Box]:
    """Return boxes around where two versions of one picture differ: what was blurred in it."""
    apart = np.asarray((cv2.absdiff(before, after) > 0).any(axis=2), np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(apart)
    largest = sorted(stats[1:count].tolist(), key=lambda s: -s[4])[:ALTERED_LIMIT]
    return [
        (float(left), float(top), float(left + wide), float(top + high))
        for left, top, wide, high, _ in largest
    ]


def _scaled(image: Image, width_px: int) -> tuple[Image, float]:
    gain = min(1.0, width_px / image.shape[1])
    size = (max(1, round(image.shape[1] * gain)), max(1, round(image.shape[0] * gain)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8), gain


def registered(old: Image, new: Image, policy: ChangePolicy) -> Matrix | NotComparable:
    """Return the homography (3, 3) from pixels of `new` to those of `old`."""
    sift = cv2.SIFT.create(policy.features)
    kept = []
    for image in (old, new):
        grey = cv2.equalizeHist(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))
        points, described = sift.detectAndCompute(grey, None)
        if described is None or len(points) < policy.inliers_least:
            return NotComparable("no_features")
        kept.append((np.array([p.pt for p in points], np.float32), described))
    (old_at, old_told), (new_at, new_told) = kept
    pairs = [
        (best.queryIdx, best.trainIdx)
        for best, second in _two_nearest(new_told, old_told)
        if best.distance < RATIO_LIMIT * second.distance
    ]
    if len(pairs) < policy.inliers_least:
        return NotComparable("other_pose")
    source, target = np.array(pairs).T
    cv2.setRNGSeed(0)
    matrix, inside = cv2.findHomography(new_at[source], old_at[target], cv2.RANSAC, 2.0)
    if matrix is None or int(inside.sum()) < policy.inliers_least:
        return NotComparable("other_pose")
    h, w = new.shape[:2]
    corners = np.array([[[0, 0], [w, 0], [w, h], [0, h]]], np.float64)
    moved = cv2.perspectiveTransform(corners, matrix) * old.shape[1] / w - corners
    if not np.isfinite(moved).all() or np.abs(moved).max() > policy.move_share * w:
        return NotComparable("other_pose")
    return np.asarray(matrix, np.float64)


def _two_nearest(query: Told, train: Told) -> list[tuple[cv2.DMatch, cv2.DMatch]]:
    matches = cv2.BFMatcher(cv2.NORM_L2).knnMatch(query, train, k=2)
    return [(pair[0], pair[1]) for pair in matches if len(pair) == 2]


def _unmasked(image: Image, boxes: Sequence[Box], gain: float) -> Grey:
    """Return 1 where a picture is compared, 0 in its boxes, grown by a tenth of their size."""
    mask = np.ones(image.shape[:2], np.uint8)
    for x0, y0, x1, y1 in boxes:
        dx, dy = 0.1 * (x1 - x0) + 2.0, 0.1 * (y1 - y0) + 2.0
        left, top = max(0, int((x0 - dx) * gain)), max(0, int((y0 - dy) * gain))
        mask[top : max(0, int((y1 + dy) * gain) + 1), left : max(0, int((x1 + dx) * gain) + 1)] = 0
    return mask


def _channels(image: Image) -> Floats:
    """Return (h, w, 3): log brightness, log blue to green, log red to green."""
    logs = np.log(cv2.GaussianBlur(image, (0, 0), SMOOTH_PX).astype(np.float32) + DARK)
    return np.dstack([logs.mean(2), logs[..., 0] - logs[..., 1], logs[..., 2] - logs[..., 1]])


def _difference(old: Image, new: Image, valid: Grey, policy: ChangePolicy) -> Floats:
    """Return per pixel how far its colour is off what light explains, in units of `colour`."""
    was, apart = _channels(old), _channels(new)
    apart -= was
    inside = valid > 0
    for i, limit in enumerate((policy.brightness, policy.colour, policy.colour)):
        apart[..., i] -= np.float32(np.median(apart[inside, i])) if inside.any() else 0
        # Light that falls off over the picture: what a wide blur keeps of small differences.
        calm = np.where(inside, np.clip(apart[..., i], -limit, limit), 0).astype(np.float32)
        apart[..., i] -= cv2.GaussianBlur(calm, (0, 0), policy.falloff * old.shape[1])
    brighter = np.clip(apart[..., 0], -policy.shade_limit, policy.shade_limit)
    allowed = policy.colour + policy.shade_spread * np.abs(brighter)
    kernel = np.ones((2 * policy.slack_px + 1,) * 2, np.uint8)
    differs = np.zeros(old.shape[:2], np.float32)
    for i, tint in ((1, policy.shade_blue), (2, policy.shade_red)):
        before = np.ascontiguousarray(was[..., i])
        after = np.asarray(before + apart[..., i] + tint * brighter, np.float32)
        d = np.maximum(_beyond(after, before, kernel), _beyond(before, after, kernel))
        differs = np.maximum(differs, d / allowed)
    return differs


def _beyond(one: Floats, other: Floats, kernel: Grey) -> Floats:
    """Return how far `one` lies outside what `other` has within the kernel."""
    high, low = cv2.dilate(other, kernel), cv2.erode(other, kernel)
    return np.asarray(np.maximum(np.maximum(one - high, low - one), 0), np.float32)


def _regions(
    mask: Grey, differs: Floats, policy: ChangePolicy
) -> list[tuple[NDArray[np.int32], float]]:
    """Return (outline in reference pixels, score) of what is more than noise, the surest first."""
    mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), np.uint8)
    mask = np.asarray(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, JOINED), np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    found = []
    for i in range(1, count):
        left, top, wide, high, area = stats[i].tolist()
        if area < policy.area_px:
            continue
        window = (slice(top, top + high), slice(left, left + wide))
        part = np.asarray(labels[window] == i, np.uint8)
        outlines, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        here = np.asarray(cv2.convexHull(np.concatenate(outlines))[:, 0], np.int32)
        hull = here + np.array([left, top], np.int32)
        fill = area / max(1.0, cv2.contourArea(hull))
        strength = float(np.median(differs[window][part > 0]))
        found.append((hull, min(1.0, fill) * strength / (1.0 + strength)))
    return sorted(found, key=lambda one: -one[1])[: policy.regions_limit]


def _placed(hull: NDArray[np.int32], score: float, back: Matrix, old_gain: float) -> Region:
    points = hull[None].astype(np.float64)
    outline = cv2.perspectiveTransform(points, back)[0]
    (x0, y0), (x1, y1) = (hull.min(0) / old_gain, (hull.max(0) + 1) / old_gain)
    return Region(outline, (float(x0), float(y0), float(x1), float(y1)), score)
