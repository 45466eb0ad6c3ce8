"""What the strip of a flown path covers: exact, from the footprints alone.

Independent of how a path was found: nothing here knows a planner or a raster.

- `flat` ends: a flat-ended rectangle of the strip's width per segment and a disc of half a width at
  each turn; none within half a width of either end, so that a tiny first leg with a turn cannot
  round the end off.
- `footprint` ends: the camera's rectangle, width across and `reach` along, carried along the
  heading of each segment. A segment shorter than half a width does not count, so that wiggling
  cannot widen the strip; turns add nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

Point = tuple[float, float]
FLAT, FOOTPRINT = "flat", "footprint"
_DISC_QUARTER_SEGMENTS = 16
_SAME_M = 1e-6


@dataclass(frozen=True, slots=True)
class Strip:
    """The strip a camera sees: `width_m` across the heading.

    `reach_m` is how far the footprint counts beyond a segment's ends, in footprint mode: half the
    footprint's length along the heading for a camera that looks straight down (a square footprint
    by default), less where it looks ahead. Raises ValueError for what cannot be a strip.
    """

    width_m: float
    ends: str = FLAT
    along_m: float | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.width_m) and self.width_m > 0.0):
            raise ValueError(f"swath must be a positive number of metres, got {self.width_m!r}")
        if self.ends not in (FLAT, FOOTPRINT):
            raise ValueError(f"ends must be flat or footprint, got {self.ends!r}")
        if self.along_m is not None and not math.isfinite(self.along_m):
            raise ValueError(f"along_m must be a number of metres, got {self.along_m!r}")

    @property
    def reach_m(self) -> float:
        """How far a segment's rectangle goes beyond its ends."""
        if self.ends == FLAT:
            return 0.0
        return (self.width_m if self.along_m is None else self.along_m) / 2.0

    @property
    def shortest_m(self) -> float:
        """A segment shorter than this covers nothing."""
        return 0.0 if self.ends == FLAT else self.width_m / 2.0


def rectangles(path: Sequence[Point], strip: Strip) -> NDArray[np.object_]:
    """Return the rectangle each segment of a path sees; segments that do not count are left out."""
    ends = np.asarray(path, float)
    steps = np.diff(ends, axis=0)
    length = np.hypot(steps[:, 0], steps[:, 1])
    counts = (length >= strip.shortest_m) & (length > _SAME_M)
    counts &= length / 2.0 + strip.reach_m > 0.0
    u = steps[counts] / length[counts, None]
    across = np.stack([-u[:, 1], u[:, 0]], axis=1) * (strip.width_m / 2.0)
    a = ends[:-1][counts] - u * strip.reach_m
    b = ends[1:][counts] + u * strip.reach_m
    corners = np.stack([a + across, b + across, b - across, a - across, a + across], axis=1)
    return np.asarray(shapely.polygons(corners), object)


def discs(path: Sequence[Point], strip: Strip) -> NDArray[np.object_]:
    """Return the disc at each turn; none in footprint mode.

    A turn within half a width of either end, along the path, has an empty one.
    """
    if strip.ends != FLAT:
        return np.empty(0, object)
    ends = np.asarray(path, float)
    flown_m = np.cumsum(np.hypot(*np.diff(ends, axis=0).T))
    radius_m = strip.width_m / 2.0
    to_end_m = np.minimum(flown_m[:-1], flown_m[-1] - flown_m[:-1])
    radii_m = np.where(to_end_m >= radius_m, radius_m, 0.0)
    found = shapely.buffer(shapely.points(ends[1:-1]), radii_m, quad_segs=_DISC_QUARTER_SEGMENTS)
    return np.asarray(found, object)


def covered(path: Sequence[Point], strip: Strip | float) -> BaseGeometry:
    """Return the ground inside the strip of a path; a bare width means flat ends."""
    strip = strip if isinstance(strip, Strip) else Strip(strip)
    points = [path[0], *(b for a, b in pairwise(path) if math.dist(a, b) > _SAME_M)]
    if len(points) < 2:
        return Polygon()
    return shapely.union_all(np.concatenate([rectangles(points, strip), discs(points, strip)]))


def coverage_share(area: BaseGeometry, path: Sequence[Point], strip: Strip | float) -> float:
    """Return the share of `area` inside the strip of `path`, 0..1, by exact polygon union."""
    return float(area.intersection(covered(path, strip)).area / area.area)


@dataclass(frozen=True, slots=True)
class Waste:
    """Where length beyond the bound goes, in points of ratio (share of the area's worth of length).

    ratio − coverage = outside + turns + overlap: strip beyond the area; strip lost where successive
    segments meet (their overlap less what the disc adds); strip over ground seen before.
    """

    outside: float
    turns: float
    overlap: float


def waste(area: BaseGeometry, path: Sequence[Point], strip: Strip) -> Waste:
    """Work out where the strip of a path is wasted, exactly."""
    boxes, rounds = rectangles(path, strip), discs(path, strip)
    whole = shapely.union_all(np.concatenate([boxes, rounds]))
    outside_m2 = whole.difference(area).area
    turns_m2 = 0.0
    for i in range(min(len(boxes) - 1, len(rounds))):
        met_m2 = boxes[i].intersection(boxes[i + 1]).area
        added_m2 = rounds[i].difference(shapely.union(boxes[i], boxes[i + 1])).area
        turns_m2 += max(0.0, met_m2 - added_m2)
    length_m = sum(math.dist(a, b) for a, b in pairwise(path))
    overlap_m2 = length_m * strip.width_m - whole.area - turns_m2
    return Waste(outside_m2 / area.area, turns_m2 / area.area, overlap_m2 / area.area)
