"""Whether a fixed camera still shows what it was put up for: dark, frozen, blurred, moved. Pure.

Each frame is reduced to a glance of 64 × 36. Faults and their ends count on event time, so that one
odd frame says nothing. A camera that was moved stays so until somebody calibrates it anew or it
looks where it looked: its hazards would lie in wrong places.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

COMPONENT = "picture"
"""The component under which these faults stand among a device's alarms."""
GLANCE_PX = (64, 36)
SHARPNESS_WIDTH_PX = 320
EDGE_PERCENTILE = 99.5

Floats = NDArray[np.float32]


class CameraFault(StrEnum):
    DARK = "camera_dark"
    FROZEN = "camera_frozen"
    BLURRED = "camera_blurred"
    MOVED = "camera_moved"
    OFFLINE = "camera_offline"


LEVELS = {CameraFault.BLURRED: 0}
"""Fog blurs every camera: a notice, which sends nobody. The others are cautions."""


@dataclass(frozen=True, slots=True)
class HealthPolicy:
    """`dark_mean` and `dark_spread` are grey levels; `sharp_share` is of what the camera was used
    to, `like_least` a correlation of edges with what it is used to see. A fault is told once it
    stood `stands_s` (frozen: `frozen_s`), and ended once it was gone for `clears_s`."""

    dark_mean: float = 14.0
    dark_spread: float = 6.0
    sharp_share: float = 0.4
    like_least: float = 0.45
    steady_least: float = 0.6
    stands_s: float = 60.0
    frozen_s: float = 120.0
    clears_s: float = 30.0
    offline_s: float = 60.0
    learn: float = 0.02
    used_to_frames: int = 30


@dataclass(frozen=True, slots=True)
class Glance:
    """What is kept of a frame: grey level, its spread, sharpness, edges, and the small picture."""

    mean: float
    spread: float
    sharpness: float
    edges: Floats
    small: NDArray[np.uint8]


def glance(image: NDArray[np.uint8]) -> Glance:
    """Reduce a frame (h, w, 3) BGR."""
    scale = SHARPNESS_WIDTH_PX / image.shape[1]
    size = (SHARPNESS_WIDTH_PX, max(1, round(image.shape[0] * scale)))
    grey = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    small = np.asarray(cv2.resize(grey, GLANCE_PX, interpolation=cv2.INTER_AREA), np.uint8)
    right, down = _slopes(small.astype(np.float32))
    steep = np.hypot(right, down)
    # No edge counts for more than another: every street has the one bright line of its horizon.
    edges = np.stack([right, down]) / (steep + 2.0 * float(np.median(steep)) + 1.0)
    spread = float(grey.std())
    sharpest = float(np.percentile(np.hypot(*_slopes(grey.astype(np.float32))), EDGE_PERCENTILE))
    sharpness = sharpest / max(spread, 1.0)
    return Glance(float(grey.mean()), spread, sharpness, edges.astype(np.float32), small)


def _slopes(grey: Floats) -> tuple[Floats, Floats]:
    right, down = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    return np.asarray(right, np.float32), np.asarray(down, np.float32)


def alike(one: Floats, other: Floats) -> float:
    """Return the correlation of two pictures of edges, 0 where either is flat."""
    size = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum() / size) if size > 1e-6 else 0.0


@dataclass(slots=True)
class CameraHealth:
    """One camera's: what it is used to, and which faults stand or are on their way."""

    policy: HealthPolicy
    standing: set[CameraFault] = field(default_factory=set)
    frames: int = 0
    last_at: datetime | None = None
    _last: Glance | None = None
    _changed_at: datetime | None = None
    _edges: Floats | None = None
    _sharpness: float = 0.0
    _since: dict[CameraFault, datetime] = field(default_factory=dict)
    _gone: dict[CameraFault, datetime] = field(default_factory=dict)
    _placed_anew: bool = False

    def see(
        self, now: Glance, at: datetime
    ) -> tuple[tuple[CameraFault, ...], tuple[CameraFault, ...]]:
        """Take in one frame; return the faults to be told and those that ended."""
        if self.last_at is not None and at <= self.last_at:
            return (), ()
        ended = self.standing & {CameraFault.MOVED} if self._placed_anew else set()
        self.standing -= ended
        self._placed_anew = False
        wrong = self._wrong(now, at)
        if not wrong and self.standing <= {CameraFault.OFFLINE}:
            self._learn(now)
        self.frames += 1
        self.last_at, self._last = at, now
        raised, cleared = self._told(wrong, at)
        return raised, (*ended, *cleared)

    def came(self, at: datetime) -> None:
        """Know that a frame came, though nothing was made of it."""
        if self.last_at is not None:
            self.last_at = max(self.last_at, at)

    def silent(self, at: datetime, patience_s: float) -> tuple[CameraFault, ...]:
        """Return OFFLINE when nothing came for `patience_s`. Before a first frame, from the first
        time asked."""
        if self.last_at is None:
            self.last_at = at
        if (at - self.last_at).total_seconds() < patience_s or CameraFault.OFFLINE in self.standing:
            return ()
        self.standing.add(CameraFault.OFFLINE)
        return (CameraFault.OFFLINE,)

    def forget_place(self) -> None:
        """Get used to where the camera looks now, for somebody has calibrated it; MOVED ends with
        the next frame."""
        self._edges, self.frames = None, 0
        self._since.pop(CameraFault.MOVED, None)
        self._placed_anew = True

    def _wrong(self, now: Glance, at: datetime) -> set[CameraFault]:
        policy, wrong = self.policy, set[CameraFault]()
        if self._last is None or not np.array_equal(now.small, self._last.small):
            self._changed_at = at
        elif now.spread > policy.dark_spread and _lasted(self._changed_at, at) >= policy.frozen_s:
            wrong.add(CameraFault.FROZEN)
        if now.mean < policy.dark_mean and now.spread < policy.dark_spread:
            return wrong | {CameraFault.DARK}
        if self._edges is None or self.frames < policy.used_to_frames:
            return wrong
        if now.sharpness < policy.sharp_share * self._sharpness:
            wrong.add(CameraFault.BLURRED)
        elif alike(now.edges, self._edges) < policy.like_least:
            steady = self._last is not None and alike(now.edges, self._last.edges)
            if steady >= policy.steady_least:
                wrong.add(CameraFault.MOVED)
        return wrong

    def _learn(self, now: Glance) -> None:
        share = max(self.policy.learn, 1.0 / (self.frames + 1))
        if self._edges is None:
            self._edges, self._sharpness = now.edges.copy(), now.sharpness
            return
        self._edges += share * (now.edges - self._edges)
        self._sharpness += share * (now.sharpness - self._sharpness)

    def _told(
        self, wrong: set[CameraFault], at: datetime
    ) -> tuple[tuple[CameraFault, ...], tuple[CameraFault, ...]]:
        raised, cleared = [], []
        for fault in CameraFault:
            if fault in wrong:
                self._gone.pop(fault, None)
                since = self._since.setdefault(fault, at)
                # Frozen has stood `frozen_s` before it is wrong at all.
                wait_s = 0.0 if fault is CameraFault.FROZEN else self.policy.stands_s
                if fault not in self.standing and (at - since).total_seconds() >= wait_s:
                    self.standing.add(fault)
                    raised.append(fault)
                continue
            self._since.pop(fault, None)
            if fault in self.standing and self._is_back(fault):
                gone = self._gone.setdefault(fault, at)
                if (at - gone).total_seconds() >= self.policy.clears_s:
                    self.standing.discard(fault)
                    del self._gone[fault]
                    cleared.append(fault)
        return tuple(raised), tuple(cleared)

    def _is_back(self, fault: CameraFault) -> bool:
        """Tell whether we could know: without a place one is used to, MOVED stays."""
        return fault is not CameraFault.MOVED or self._edges is not None


def _lasted(since: datetime | None, at: datetime) -> float:
    return 0.0 if since is None else (at - since).total_seconds()
