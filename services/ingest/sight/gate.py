"""Whether a frame is put to the detector, and around what it is looked at more closely. Pure.

A fixed camera's frame is looked at where something moved, while a vote is open, and every so often
whatever it shows, so that what does not move is seen as well. A flying one's is looked at on a
schedule, and sooner where the ground under it has moved on. All counts on event time: frames that
come farther apart than the schedule are all looked at.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from models.motion import Box, Grey, MotionGate, MotionPolicy, ground_motion, in_pixels


class Why(StrEnum):
    """Why a frame is looked at."""

    FIRST = "first"
    """Nothing is known yet, or all of the picture is another."""
    MOTION = "motion"
    VOTE = "vote"
    SCHEDULE = "schedule"
    GROUND = "ground"
    """A flying camera sees ground that its last look did not show."""


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """A fixed camera's whole picture is looked at every `still_s`, a flying one's every `flown_s`,
    either every `vote_s` while a vote or a look is open, or at once when `new_share` of a flown
    picture has moved on; ground is followed over `follow_s` at most.

    Of a large picture up to `crops_limit` pieces around what is voted on and what moves are looked
    at as well, `crop_grown` times as large, each at least `crop_px` (width, height) and at most
    `crop_share` of the picture either way: a network sees a piece of its own size at full detail.
    """

    motion: MotionPolicy = field(default_factory=MotionPolicy)
    still_s: float = 10.0
    flown_s: float = 0.5
    vote_s: float = 0.5
    new_share: float = 0.1
    follow_s: float = 3.0
    crops_limit: int = 2
    crop_px: tuple[int, int] = (384, 288)
    crop_grown: float = 1.3
    crop_share: float = 0.5


@dataclass(frozen=True, slots=True)
class Look:
    """A frame is to be looked at; `moved` (3, 3) takes the pixels of the last look to this one's,
    where a flying camera's ground was found again."""

    why: Why
    crops: tuple[Box, ...] = ()
    moved: NDArray[np.float64] | None = None


@dataclass(slots=True)
class Gate:
    """One device's. It holds a small picture or two."""

    policy: GatePolicy
    looked_at: datetime | None = None
    _motion: MotionGate = field(init=False)
    _last: Grey | None = None
    _moving: bool = False

    def __post_init__(self) -> None:
        self._motion = MotionGate(self.policy.motion)

    def expects(self, at: datetime, is_open: bool, flying: bool) -> bool:
        """Tell whether the next frame is likely to be looked at, so that decoding all of it at once
        spares decoding it twice."""
        every_s = self.policy.flown_s if flying else self.policy.still_s
        return self._moving or self._due(at, self.policy.vote_s if is_open else every_s)

    def fixed(
        self,
        small: Grey,
        size_px: tuple[int, int],
        at: datetime,
        is_open: bool,
        voted: Sequence[Box],
    ) -> Look | None:
        """Take in a fixed camera's picture, made small; `size_px` is (height, width) of it.

        `is_open` says that a vote is going on, `voted` where in the picture.
        """
        regions = self._motion.regions_of(small, size_px)
        self._moving = bool(regions)
        if self._motion.frames == 1:
            why = Why.FIRST
        elif regions:
            why = Why.MOTION
        elif is_open and self._due(at, self.policy.vote_s):
            why = Why.VOTE
        elif self._due(at, self.policy.still_s):
            why = Why.SCHEDULE
        else:
            return None
        self.looked_at = at
        return Look(why, crops((*voted, *regions), size_px, self.policy))

    def flown(
        self, small: Grey, size_px: tuple[int, int], at: datetime, is_open: bool
    ) -> Look | None:
        """As `fixed`, for a camera that flies."""
        if self._last is None or self._due(at, self.policy.follow_s):
            why, moved = Why.FIRST if self._last is None else Why.SCHEDULE, None
        else:
            moved = ground_motion(self._last, small)
            if is_open and self._due(at, self.policy.vote_s):
                why = Why.VOTE
            elif self._due(at, self.policy.flown_s):
                why = Why.SCHEDULE
            elif moved is None or new_share(moved, small.shape) >= self.policy.new_share:
                why = Why.GROUND
            else:
                return None
        self._last, self.looked_at = small, at
        zoom = size_px[0] / small.shape[0]
        return Look(why, (), None if moved is None else in_pixels(moved, zoom))

    def _due(self, at: datetime, every_s: float) -> bool:
        """Tell whether the last look is so long ago, or by a clock set back not known to be."""
        if self.looked_at is None:
            return True
        return not 0.0 <= (at - self.looked_at).total_seconds() < every_s


def new_share(moved: NDArray[np.float64], shape: tuple[int, ...]) -> float:
    """Return how far a picture (height, width) has moved at most, as a share of its side."""
    h, w = shape[:2]
    corners = np.array([[0, 0, 1], [w, 0, 1], [w, h, 1], [0, h, 1]], float)
    there = corners @ moved.T
    if (there[:, 2] <= 0.0).any():
        return 1.0
    away = np.abs(there[:, :2] / there[:, 2:] - corners[:, :2]) / (w, h)
    return float(away.max())


def crops(
    around: Sequence[Box], size_px: tuple[int, int], policy: GatePolicy
) -> tuple[Box, ...]:
    """Return pieces of a picture (height, width) around boxes, the first ones first; none of
    boxes so large, or in a picture so small, that a piece would show hardly more."""
    h, w = size_px
    chosen: list[Box] = []
    for left, top, right, bottom in around:
        wide = max(round((right - left) * policy.crop_grown), policy.crop_px[0])
        high = max(round((bottom - top) * policy.crop_grown), policy.crop_px[1])
        if len(chosen) == policy.crops_limit:
            break
        if wide > policy.crop_share * w or high > policy.crop_share * h:
            continue
        if any(_holds(piece, (left, top, right, bottom)) for piece in chosen):
            continue
        x0 = min(max(0, (left + right - wide) // 2), w - wide)
        y0 = min(max(0, (top + bottom - high) // 2), h - high)
        chosen.append((x0, y0, x0 + wide, y0 + high))
    return tuple(chosen)


def _holds(outer: Box, inner: Box) -> bool:
    lower = outer[0] <= inner[0] and outer[1] <= inner[1]
    return lower and outer[2] >= inner[2] and outer[3] >= inner[3]
