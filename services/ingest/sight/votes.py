"""Votes over frames: a thing seen often enough, in one place, becomes a hazard. Pure.

Votes count on event time. A candidate remembers the newest frames that looked at its place within
the window, and whether the thing was there; it is raised once it was there in `hits` frames, in
at least `share` of the looks, over at least `dwell_s` seconds: one and the same thing where things
are followed, else the place for as long as it was there in that share of the looks.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from domain.hazard import HazardKind
from domain.sight import VoteRule
from services.ingest.sight.sightings import Sighting

CANDIDATES_LIMIT = 200
LOOKS_LIMIT = 40


@dataclass(frozen=True, slots=True)
class VotePolicy:
    """`same_place_m` joins sightings of one rule, or half their ellipses where those are wider;
    `limit_m` bounds that. `window_s` is how long a look counts."""

    same_place_m: float = 10.0
    limit_m: float = 25.0
    window_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Look:
    at: datetime
    sighting: Sighting | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A place where one rule was met at least once by one device.

    `born_at` and `ordinal`, among those of its kind born in the same frame, are its own for good;
    `since` is from when on it was there in share enough.
    """

    rule: str
    kind: HazardKind
    x_m: float
    y_m: float
    looks: tuple[Look, ...]
    born_at: datetime
    since: datetime
    ordinal: int = 0

    @property
    def hits(self) -> tuple[Look, ...]:
        return tuple(look for look in self.looks if look.sighting is not None)

    @property
    def best(self) -> Sighting:
        """The sighting with the smallest ellipse; among equals the surest."""
        seen = [look.sighting for look in self.looks if look.sighting is not None]
        return min(seen, key=lambda s: (s.ellipse.semi_major_m, -s.score))


def tally(
    candidates: Sequence[Candidate],
    seen: Sequence[Sighting],
    in_view: Callable[[float, float], bool],
    at: datetime,
    policy: VotePolicy,
) -> tuple[Candidate, ...]:
    """Return the candidates after one frame of their device.

    `in_view(x_m, y_m)` tells whether the frame could have seen that place; a candidate out of
    view neither gains nor loses. A frame older than a candidate's last look changes nothing.
    """
    oldest = at - timedelta(seconds=policy.window_s)
    free = list(seen)
    after: list[Candidate] = []
    for candidate in candidates:
        match = _closest(candidate, free, policy)
        if match is not None:
            free.remove(match)
        after += _looked(candidate, match, in_view, at, oldest)
    after += _born(_strongest_apart(free, policy), at)
    return tuple(after[-CANDIDATES_LIMIT:])


def _born(seen: Sequence[Sighting], at: datetime) -> list[Candidate]:
    """Return a new candidate for each sighting, those of a kind numbered from west to east."""
    numbers: Counter[HazardKind] = Counter()
    ordinals: dict[int, int] = {}
    for i in sorted(range(len(seen)), key=lambda i: (seen[i].x_m, seen[i].y_m, seen[i].rule)):
        ordinals[i] = numbers[seen[i].kind]
        numbers[seen[i].kind] += 1
    return [
        Candidate(s.rule, s.kind, s.x_m, s.y_m, (Look(at, s),), at, at, ordinals[i])
        for i, s in enumerate(seen)
    ]


def stands(candidate: Candidate, rule: VoteRule) -> bool:
    """Tell whether the candidate won its vote."""
    hits = candidate.hits
    if len(hits) < rule.hits or not often(candidate, rule):
        return False
    newest = hits[-1]
    own = None if newest.sighting is None else newest.sighting.since
    return (newest.at - (own or candidate.since)).total_seconds() >= rule.dwell_s


def often(candidate: Candidate, rule: VoteRule) -> bool:
    """Tell whether the thing was there in share enough of the looks."""
    return len(candidate.hits) >= rule.share * len(candidate.looks)


def reach_m(a: Sighting, policy: VotePolicy) -> float:
    """How far from a sighting another may lie and still be the same thing, in metres."""
    return min(policy.limit_m, max(policy.same_place_m, a.ellipse.semi_major_m))


def _closest(candidate: Candidate, free: Sequence[Sighting], policy: VotePolicy) -> Sighting | None:
    near = [
        (distance, i)
        for i, s in enumerate(free)
        if s.rule == candidate.rule and (distance := _apart_m(candidate, s)) <= reach_m(s, policy)
    ]
    return free[min(near)[1]] if near else None


def _apart_m(candidate: Candidate, sighting: Sighting) -> float:
    return float(((candidate.x_m - sighting.x_m) ** 2 + (candidate.y_m - sighting.y_m) ** 2) ** 0.5)


def _looked(
    candidate: Candidate,
    match: Sighting | None,
    in_view: Callable[[float, float], bool],
    at: datetime,
    oldest: datetime,
) -> list[Candidate]:
    if at <= candidate.looks[-1].at:
        return [candidate]
    looks = tuple(look for look in candidate.looks if look.at >= oldest)[-LOOKS_LIMIT:]
    if match is not None:
        n = len(looks) + 1
        moved = replace(
            candidate,
            x_m=candidate.x_m + (match.x_m - candidate.x_m) / n,
            y_m=candidate.y_m + (match.y_m - candidate.y_m) / n,
            looks=(*looks, Look(at, match)),
        )
        return [moved]
    if in_view(candidate.x_m, candidate.y_m):
        looks = (*looks, Look(at, None))
    kept = replace(candidate, looks=looks)
    return [kept] if kept.hits else []


def _strongest_apart(free: Sequence[Sighting], policy: VotePolicy) -> list[Sighting]:
    """Drop sightings that lie on a stronger one of their rule: two boxes of one thing."""
    kept: list[Sighting] = []
    for s in sorted(free, key=lambda s: -s.score):
        reach = reach_m(s, policy)
        if all(
            k.rule != s.rule or (k.x_m - s.x_m) ** 2 + (k.y_m - s.y_m) ** 2 > reach**2 for k in kept
        ):
            kept.append(s)
    return kept
