"""Whether a point or a leg keeps clear of controlled airspace and under the ceiling.

Heights are true heights above ground (真高): the Interim Regulation on Unmanned Aircraft Flight
(2024-01-01), article 19, makes everything above 120 m controlled airspace, and what the city
publishes besides. The ground is flat until a terrain model is given (`geo.terrain`).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import shapely
from shapely.geometry import LineString, MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from domain.place import Airspace, HeightReference
from geo.frames import LocalFrame
from geo.routes import OpenSky, Point
from geo.shapes import local_geometry
from geo.terrain import FlatTerrain, Terrain

_ROUNDING_M = 0.01


@dataclass(frozen=True, slots=True)
class SkyPolicy:
    """`margin_m` is kept from every controlled volume, sideways and in height; `floor_agl_m` is
    the least true height between take-off and landing."""

    ceiling_agl_m: float
    margin_m: float
    floor_agl_m: float = 0.0


@dataclass(frozen=True, slots=True)
class Volume:
    """A controlled volume in local metres; heights above ground."""

    code: str
    kind: str
    ground: BaseGeometry
    floor_agl_m: float
    ceiling_agl_m: float


@dataclass(frozen=True, slots=True)
class Breach:
    """Leg `leg` of a path (0 = first point to second) breaks a rule: `too_high`, `too_low` or a
    kind of airspace, whose code is `where`. `height_agl_m` is the worst true height of a leg that
    is too high or too low."""

    code: str
    where: str
    leg: int
    height_agl_m: float | None = None


def volumes(
    airspaces: Sequence[Airspace], frame: LocalFrame, terrain: Terrain | None = None
) -> tuple[Volume, ...]:
    """Return the airspaces as volumes over local metres.

    An airspace whose heights count from the ellipsoid becomes one above ground that holds it
    whole: its floor over the highest ground in it, its ceiling over the lowest.
    """
    ground = terrain or FlatTerrain()
    found = []
    for a in airspaces:
        shape, floor, ceiling = local_geometry(a.area, frame), a.floor_m, a.ceiling_m
        if a.height_reference is HeightReference.ELLIPSOID:
            lowest, highest = ground.range_m(shape.bounds)
            floor, ceiling = floor - highest, ceiling - lowest
        found.append(Volume(a.code, a.kind.value, shape, floor, ceiling))
    return tuple(found)


def closed_ground(
    closed: Sequence[Volume], height_agl_m: float, policy: SkyPolicy
) -> Polygon | MultiPolygon:
    """Return the ground one may not fly over at a height, margins included; may be empty."""
    at_height = [
        v.ground.buffer(policy.margin_m, join_style="mitre", mitre_limit=2.0)
        for v in closed
        if _meets(v, height_agl_m, height_agl_m, policy)
    ]
    union = shapely.union_all(at_height) if at_height else Polygon()
    assert isinstance(union, Polygon | MultiPolygon)
    return union


def open_sky(extent: BaseGeometry, closed: BaseGeometry, around_m: float = 1000.0) -> OpenSky:
    """Return the sky over `extent`'s box, `around_m` wider on each side, without `closed`."""
    x0, y0, x1, y1 = extent.bounds
    box = shapely.box(x0 - around_m, y0 - around_m, x1 + around_m, y1 + around_m)
    free = box.difference(closed)
    assert isinstance(free, Polygon | MultiPolygon)
    return OpenSky(free)


def breaches(
    path: Sequence[Point],
    heights_m: Sequence[float],
    closed: Sequence[Volume],
    policy: SkyPolicy,
    terrain: Terrain | None = None,
) -> tuple[Breach, ...]:
    """Return every rule a path breaks, leg by leg; a single point is a leg of no length.

    Heights are ellipsoid heights, which are true heights where no `terrain` is given; over one,
    the true height is found along the whole of each leg.
    """
    if len(path) != len(heights_m):
        raise ValueError(f"{len(path)} points need as many heights, got {len(heights_m)}")
    ground = terrain or FlatTerrain()
    ends = [(*point, height_m) for point, height_m in zip(path, heights_m, strict=True)]
    legs = list(itertools.pairwise(ends)) or [(ends[0], ends[0])]
    found: list[Breach] = []
    for i, (a, b) in enumerate(legs):
        low, high = ground.true_heights_m(a, b)
        if high > policy.ceiling_agl_m + _ROUNDING_M:
            found.append(Breach("too_high", "ceiling", i, high))
        if low < policy.floor_agl_m - _ROUNDING_M:
            found.append(Breach("too_low", "ground", i, low))
        line = LineString([a[:2], b[:2]])
        found.extend(
            Breach(v.kind, v.code, i)
            for v in closed
            if _meets(v, low, high, policy)
            # The margin's own border is open: ways round a volume follow it.
            and v.ground.distance(line) < policy.margin_m - _ROUNDING_M
        )
    return tuple(found)


def _meets(volume: Volume, low_m: float, high_m: float, policy: SkyPolicy) -> bool:
    above = low_m >= volume.ceiling_agl_m + policy.margin_m
    below = high_m <= volume.floor_agl_m - policy.margin_m
    return not (above or below)
