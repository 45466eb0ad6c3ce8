"""Which thing is which from frame to frame, and since when each has met a rule. Pure.

A rule that asks for dwell means one thing that stays: a row of vehicles that pass a fire lane, one
after another, blocks nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from domain.hazard import Detection
from models.tracks import Numbers, TrackPolicy, Tracks, followed
from services.ingest.sight.sightings import Sighting

REST_S = 90.0
FORGIVEN_S = 45.0
"""A thing at the edge of a zone is placed now inside of it and now outside."""


@dataclass(frozen=True, slots=True)
class FollowPolicy:
    """How things are followed before a fixed and a flying camera. What stood still before a fixed
    one is known again for a minute and a half."""

    fixed: TrackPolicy = field(default_factory=lambda: TrackPolicy(rest_s=REST_S))
    flown: TrackPolicy = field(default_factory=TrackPolicy)

    @classmethod
    def believing(cls, score: float) -> "FollowPolicy":
        """Return the policy that follows from its first box on whatever has that score."""
        return cls(TrackPolicy(sure=score, rest_s=REST_S), TrackPolicy(sure=score))


@dataclass(frozen=True, slots=True)
class Followed:
    """One device's things; `met` says from when on, and when last, each met a rule, by rule and
    track."""

    tracks: Tracks = field(default_factory=Tracks)
    met: Mapping[tuple[str, int], tuple[datetime, datetime]] = field(default_factory=dict)


def follow(
    before: Followed,
    boxes: Sequence[Detection],
    at: datetime,
    policy: TrackPolicy,
    moved: Numbers | None = None,
) -> Followed:
    """Return the things after a frame that was looked at. A frame no newer changes nothing, unless
    the clock was set back by more than things are kept: then all begin anew."""
    last = before.tracks.at
    if last is not None and (last - at).total_seconds() > max(policy.lost_s, policy.rest_s):
        before = Followed()
    tracks = followed(before.tracks, boxes, at, policy, moved)
    alive = {t.track_id for t in tracks.every}
    return Followed(tracks, {key: met for key, met in before.met.items() if key[1] in alive})


def dwelling(now: Followed, seen: Sequence[Sighting]) -> tuple[Followed, tuple[Sighting, ...]]:
    """Return the sightings of this frame's things, each with since when it has met its rule.

    What is seen and has not met a rule for FORGIVEN_S begins anew; what is not seen keeps its time.
    """
    at = now.tracks.at
    if at is None:
        return now, tuple(seen)
    here = {t.box: t.track_id for t in now.tracks.every if t.last_at == at}
    met = dict(now.met)
    told: list[Sighting] = []
    for sighting in seen:
        track_id = here.get(sighting.boxes[0]) if len(sighting.boxes) == 1 else None
        if track_id is None:
            told.append(sighting)
            continue
        key = (sighting.rule, track_id)
        met[key] = (met[key][0] if key in met else at, at)
        told.append(replace(sighting, since=met[key][0]))
    shown = set(here.values())
    kept = {
        key: times
        for key, times in met.items()
        if key[1] not in shown or (at - times[1]).total_seconds() <= FORGIVEN_S
    }
    return replace(now, met=kept), tuple(told)
