"""Looking again, and proof of having looked: judge a look, add up what a flight covered. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from shapely import Polygon, union
from shapely.geometry.base import BaseGeometry

from domain.events import LookStarted
from domain.hazard import HazardKind
from domain.mission import LookOutcome
from domain.sight import CHANGE, SightRule
from services.ingest.sight.sightings import Sighting

Floats = NDArray[np.float64]
ALIKE = {
    HazardKind.FIRE: frozenset({HazardKind.FIRE, HazardKind.SMOKE}),
    HazardKind.SMOKE: frozenset({HazardKind.FIRE, HazardKind.SMOKE}),
}


SMALL_M = {HazardKind.CROWD: 0.5}
"""How wide the parts of a kind are from above, where a picture may be too coarse to show them."""


@dataclass(frozen=True, slots=True)
class LookPolicy:
    """A look wants `frames` frames; it is confirmed from `positive_share` of them on, refuted at
    `negative_share` or less, unclear between the two or when too few frames came in time. Nothing
    is refuted that would have been less than `least_px` wide in the finest frame, nor what no rule
    finds by a class among the network's `labels` (None: every class)."""

    frames: int = 5
    positive_share: float = 0.5
    negative_share: float = 0.2
    least_px: float = 8.0
    labels: frozenset[str] | None = None

    def finds(self, kind: HazardKind, rules: Sequence[SightRule]) -> bool:
        """Say whether a kind would be seen in one picture if it were there: its absence counts."""
        alike = ALIKE.get(kind, frozenset({kind}))
        told = {label for r in rules if r.enabled and r.kind in alike for label in r.labels}
        return bool(told - {CHANGE} if self.labels is None else told & self.labels)


@dataclass(frozen=True, slots=True)
class OpenLook:
    started: LookStarted
    x_m: float
    y_m: float
    frames: int = 0
    positive: int = 0
    evidence: tuple[str, ...] = ()
    finest_px_m: float = 0.0


def looked(
    look: OpenLook, seen: Sequence[Sighting], px_m: float
) -> tuple[OpenLook, Sighting | None]:
    """Count one frame that had the target in view; return also the sighting that matched.

    `px_m` is how many pixels a metre on the ground is wide there.
    """
    kinds = ALIKE.get(look.started.kind, frozenset({look.started.kind}))
    near = [
        s
        for s in seen
        if s.kind in kinds
        and (s.x_m - look.x_m) ** 2 + (s.y_m - look.y_m) ** 2 <= look.started.radius_m**2
    ]
    best = max(near, key=lambda s: s.score, default=None)
    counted = replace(
        look,
        frames=look.frames + 1,
        positive=look.positive + bool(near),
        finest_px_m=max(look.finest_px_m, px_m),
    )
    return counted, best


def verdict(
    look: OpenLook, at: datetime, policy: LookPolicy, rules: Sequence[SightRule]
) -> LookOutcome | None:
    """Return the outcome, or None while the look goes on."""
    late = at >= look.started.deadline_at
    if look.frames < policy.frames:
        return LookOutcome.UNCLEAR if late else None
    share = look.positive / look.frames
    if share >= policy.positive_share:
        return LookOutcome.CONFIRMED
    if share <= policy.negative_share:
        small_m = SMALL_M.get(look.started.kind)
        coarse = small_m is not None and small_m * look.finest_px_m < policy.least_px
        blind = coarse or not policy.finds(look.started.kind, rules)
        return LookOutcome.UNCLEAR if blind else LookOutcome.REFUTED
    return LookOutcome.UNCLEAR if late or look.frames >= 2 * policy.frames else None


@dataclass(frozen=True, slots=True)
class Covered:
    """Ground one flight has covered of one cell, in local metres."""

    flight_id: str
    cell_code: str
    ground: BaseGeometry
    began_at: datetime
    finest_m: Floats
    """Metres a pixel in the sharpest frame so far, of each sample place; infinite where unseen."""

    def worst_m(self) -> float | None:
        """Return metres a pixel where what was seen was seen worst, None if no sample was."""
        seen = self.finest_m[np.isfinite(self.finest_m)]
        return float(seen.max()) if len(seen) else None

    def median_m(self) -> float | None:
        seen = self.finest_m[np.isfinite(self.finest_m)]
        return float(np.median(seen)) if len(seen) else None


def cover(
    before: Mapping[str, Covered],
    flight_id: str,
    footprint: Polygon,
    cells: Mapping[str, BaseGeometry],
    share: float,
    at: datetime,
    sharpness: Callable[[str], Floats],
) -> tuple[dict[str, Covered], list[tuple[str, float]]]:
    """Add one footprint of a frame taken at `at`; return the new state and the cells that now reach
    `share` of their ground, with the share reached. `cells` maps code → the part of the cell that
    may be flown; `sharpness(code)` is the frame's metres a pixel at that cell's sample places."""
    after = dict(before)
    done: list[tuple[str, float]] = []
    for code, cell in cells.items():
        part = cell.intersection(footprint)
        if part.is_empty:
            continue
        old = before.get(code)
        if old is None or old.flight_id != flight_id:
            ground, was, began_at, finest_m = part, 0.0, at, sharpness(code)
        else:
            ground, was = union(old.ground, part), old.ground.area / cell.area
            began_at = min(old.began_at, at)
            finest_m = np.minimum(old.finest_m, sharpness(code))
        after[code] = Covered(flight_id, code, ground, began_at, finest_m)
        now = ground.area / cell.area
        if was < share <= now:
            done.append((code, min(1.0, now)))
    return after, done
