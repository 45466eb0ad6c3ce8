"""Which box is which thing from frame to frame, on event time.

ByteTrack's two rounds (Zhang et al., 2022): sure boxes first, then the unsure ones, which may only
carry on what is there. Between frames a Kalman filter for each of centre and size moves a box on at
a constant speed, over steps as uneven as they come; boxes are compared after growing by how unsure
its place is, so that a thing seen twice a second is still found. A thing keeps its number; nothing
here tells who or whose it is.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from domain.hazard import Detection
from models.assignment import FORBIDDEN, assigned

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TrackPolicy:
    """Lengths are shares of a box's size (the root of its area): a far car is as quick as a near.

    A track is told from `hits` boxes on, kept `lost_s` after its last box, and only `tentative_s`
    before it is told; unsure boxes carry on what was seen within `fresh_s`. What stood still, no
    quicker than `rest_speed` sizes a second or seen once, is kept `rest_s`, and after the other
    times met again only where it stood. Of more than `tracks_limit` those seen last are kept.
    """

    sure: float = 0.4
    hits: int = 2
    lost_s: float = 3.0
    tentative_s: float = 1.5
    fresh_s: float = 1.0
    cost_limit: float = 0.85
    unsure_cost_limit: float = 0.6
    acceleration: float = 1.0
    first_speed: float = 1.5
    measured: float = 0.06
    growth_limit: float = 1.0
    rest_s: float = 0.0
    rest_speed: float = 0.2
    rest_cost_limit: float = 0.5
    tracks_limit: int = 256


@dataclass(frozen=True, slots=True)
class Track:
    """One thing. `box` is its last detection, `last_at` when that was."""

    track_id: int
    box: Detection
    first_at: datetime
    last_at: datetime
    hits: int
    mean: Numbers
    """(4, 2): centre x, y, width, height in pixels, and the speed of each in pixels a second."""
    spread: Numbers
    """(4, 3): the variances of value and speed and, between them, their covariance."""

    @property
    def label(self) -> str:
        return self.box.label


@dataclass(frozen=True, slots=True)
class Tracks:
    """All things of one camera at one time; `Tracks()` before its first frame."""

    every: tuple[Track, ...] = ()
    at: datetime | None = None
    next_id: int = 1

    def seen(self, policy: TrackPolicy) -> tuple[Track, ...]:
        """Return the tracks whose box is of the newest frame, told from `policy.hits` boxes on."""
        return tuple(t for t in self.every if t.last_at == self.at and t.hits >= policy.hits)


PLAIN = TrackPolicy()


def followed(
    before: Tracks,
    boxes: Sequence[Detection],
    at: datetime,
    policy: TrackPolicy = PLAIN,
    moved: Numbers | None = None,
) -> Tracks:
    """Return the tracks after a frame. A frame no newer than the last changes nothing.

    `moved` (3, 3) takes the last frame's pixels to this one's, where the camera flies.
    """
    if before.at is not None and at <= before.at:
        return before
    step_s = 0.0 if before.at is None else (at - before.at).total_seconds()
    kept = [t for t in before.every if _kept(t, at, policy)]
    there = _moved_on(kept, step_s, policy, moved)
    free = set(range(len(there)))
    there += [_stopped(t, policy) for t in before.every if _rests(t, at, policy)]
    resting = set(range(len(kept), len(there)))
    chosen: dict[int, Detection] = {}
    sure = [box for box in boxes if box.score >= policy.sure]
    unsure = [box for box in boxes if box.score < policy.sure]
    left = _paired(there, free, sure, chosen, policy.cost_limit, policy)
    # What has not been there for longer must not come back from an unsure box.
    fresh = {i for i in free if (at - there[i].last_at).total_seconds() <= policy.fresh_s}
    unsure = _paired(there, fresh, unsure, chosen, policy.unsure_cost_limit, policy)
    left = _paired(there, resting, [*left, *unsure], chosen, policy.rest_cost_limit, policy)
    left = [box for box in left if box.score >= policy.sure]
    every = _met(there, chosen, at, policy)
    numbers = range(before.next_id, before.next_id + len(left))
    every += [_begun(n, box, at, policy) for n, box in zip(numbers, left, strict=True)]
    if len(every) > policy.tracks_limit:
        newest = sorted(every, key=lambda t: (t.last_at, t.hits), reverse=True)
        every = sorted(newest[: policy.tracks_limit], key=lambda t: t.track_id)
    return Tracks(tuple(every), at, before.next_id + len(left))


def _kept(track: Track, at: datetime, policy: TrackPolicy) -> bool:
    limit_s = policy.lost_s if track.hits >= policy.hits else policy.tentative_s
    return (at - track.last_at).total_seconds() <= limit_s


def _rests(track: Track, at: datetime, policy: TrackPolicy) -> bool:
    """Tell whether a track that is no longer kept may be met again where it stood."""
    if _kept(track, at, policy) or (at - track.last_at).total_seconds() > policy.rest_s:
        return False
    size = float(np.sqrt(track.mean[2, 0] * track.mean[3, 0]))
    return track.hits == 1 or float(np.hypot(*track.mean[:2, 1])) <= policy.rest_speed * size


def _stopped(track: Track, policy: TrackPolicy) -> Track:
    """Return the track as it was last seen, its speed nought."""
    begun = _begun(track.track_id, track.box, track.last_at, policy)
    return replace(track, mean=begun.mean, spread=begun.spread)


def _paired(
    there: Sequence[Track],
    free: set[int],
    boxes: Sequence[Detection],
    chosen: dict[int, Detection],
    limit: float,
    policy: TrackPolicy,
) -> list[Detection]:
    """Give free tracks their boxes, those known longer than a frame first; return boxes left."""
    for known in (True, False):
        some = [i for i in sorted(free) if (there[i].hits >= policy.hits) == known]
        pairs = assigned(_cost([there[i] for i in some], boxes, policy), limit)
        for row, column in pairs:
            chosen[some[row]] = boxes[column]
            free.discard(some[row])
        taken = {column for _, column in pairs}
        boxes = [box for j, box in enumerate(boxes) if j not in taken]
    return list(boxes)


def _cost(tracks: Sequence[Track], boxes: Sequence[Detection], policy: TrackPolicy) -> Numbers:
    """Return 1 − intersection over union (tracks, boxes) of boxes grown; labels never mix."""
    if not tracks or not boxes:
        return np.empty((len(tracks), len(boxes)))
    mean = np.stack([t.mean[:, 0] for t in tracks])
    unsure = np.sqrt(np.stack([t.spread[:2, 0] for t in tracks]).max(axis=1))
    size = np.sqrt(mean[:, 2] * mean[:, 3])
    grown = np.minimum(unsure, policy.growth_limit * size)[:, None]
    here = np.array([(b.x0_px, b.y0_px, b.x1_px, b.y1_px) for b in boxes])[None]
    half = mean[:, None, 2:] / 2
    low = np.maximum(mean[:, None, :2] - half, here[..., :2]) - grown[..., None]
    high = np.minimum(mean[:, None, :2] + half, here[..., 2:]) + grown[..., None]
    common = np.prod(np.maximum(high - low, 0), axis=2)
    first = np.prod(mean[:, 2:] + 2 * grown, axis=1)[:, None]
    second = np.prod(here[..., 2:] - here[..., :2] + 2 * grown[..., None], axis=2)
    cost = 1 - common / np.maximum(first + second - common, 1e-9)
    labels = np.array([b.label for b in boxes])
    return np.where(np.array([t.label for t in tracks])[:, None] == labels, cost, FORBIDDEN)


def _moved_on(
    tracks: Sequence[Track], step_s: float, policy: TrackPolicy, moved: Numbers | None
) -> list[Track]:
    """Return the tracks `step_s` later: constant speed, unsure by a white noise of acceleration."""
    if not tracks:
        return []
    mean = np.stack([t.mean for t in tracks])
    spread = np.stack([t.spread for t in tracks])
    push = (policy.acceleration**2 * mean[:, 2, 0] * mean[:, 3, 0])[:, None]
    mean[..., 0] += mean[..., 1] * step_s
    mean[:, 2:, 0] = np.maximum(mean[:, 2:, 0], 1.0)
    value, both, speed = np.moveaxis(spread, -1, 0)
    value += 2 * step_s * both + step_s**2 * speed + push * step_s**4 / 4
    both += step_s * speed + push * step_s**3 / 2
    speed += push * step_s**2
    if moved is not None:
        mean = np.stack([_carried(m, moved) for m in mean])
    return [replace(t, mean=mean[i], spread=spread[i]) for i, t in enumerate(tracks)]


def _carried(mean: Numbers, moved: Numbers) -> Numbers:
    """Return a mean seen by a camera that has moved: the homography made linear at its centre."""
    x, y, scale = moved @ (*mean[:2, 0], 1.0)
    slope = (moved[:2, :2] - np.outer((x, y), moved[2, :2]) / scale) / scale
    zoom = np.sqrt(abs(np.linalg.det(slope)))
    carried: Numbers = mean * zoom
    carried[:2, 0] = x / scale, y / scale
    carried[:2, 1] = slope @ mean[:2, 1]
    return carried


def _met(
    tracks: Sequence[Track], chosen: Mapping[int, Detection], at: datetime, policy: TrackPolicy
) -> list[Track]:
    """Return the tracks with what was measured of them: `chosen` is index → box."""
    every, indices = list(tracks), list(chosen)
    if not indices:
        return every
    mean = np.stack([tracks[i].mean for i in indices])
    spread = np.stack([tracks[i].spread for i in indices])
    value, both, speed = np.moveaxis(spread, -1, 0)
    all_of_value = value + (policy.measured**2 * mean[:, 2, 0] * mean[:, 3, 0])[:, None]
    trust, turn = value / all_of_value, both / all_of_value
    off = np.stack([_measured(chosen[i]) for i in indices]) - mean[..., 0]
    mean += np.stack([trust * off, turn * off], axis=-1)
    mean[:, 2:, 0] = np.maximum(mean[:, 2:, 0], 1.0)
    after = np.stack([(1 - trust) * value, (1 - trust) * both, speed - turn * both], axis=-1)
    for k, i in enumerate(indices):
        every[i] = replace(
            tracks[i],
            box=chosen[i],
            last_at=at,
            hits=tracks[i].hits + 1,
            mean=mean[k],
            spread=after[k],
        )
    return every


def _begun(track_id: int, box: Detection, at: datetime, policy: TrackPolicy) -> Track:
    measured = _measured(box)
    size = np.sqrt(measured[2] * measured[3])
    mean = np.stack([measured, np.zeros(4)], axis=1)
    spread = np.zeros((4, 3))
    spread[:, 0] = (policy.measured * size) ** 2
    spread[:, 2] = (policy.first_speed * size) ** 2 * np.array([1, 1, 0.05, 0.05])
    return Track(track_id, box, at, at, 1, mean, spread)


def _measured(box: Detection) -> Numbers:
    w, h = max(box.x1_px - box.x0_px, 1.0), max(box.y1_px - box.y0_px, 1.0)
    return np.array([(box.x0_px + box.x1_px) / 2, (box.y0_px + box.y1_px) / 2, w, h])
