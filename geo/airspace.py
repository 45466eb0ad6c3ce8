"""Whether a point or a leg keeps clear of controlled airspace and under the ceiling.

Heights are true heights above ground (真高): the Interim Regulation on Unmanned Aircraft Flight
(2024-01-01), article 19, makes everything above 120 m controlled airspace, and what the city
publishes besides. The ground is taken as flat until a terrain model is given.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import shapely
from shapely.geometry import LineString, MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from domain.place import Airspace
from geo.frames import LocalFrame
from geo.routes import OpenSky, Point
from geo.shapes import local_geometry


@dataclass(frozen=True, slots=True)
class SkyPolicy:
    """`margin_m` is kept from every controlled volume, sideways and in height."""

    ceiling_agl_m: float = 120.0
    margin_m: float = 15.0


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
    """Leg `leg` of a path (0 = first point to second) breaks a rule: `too_high` or a kind of
    airspace, whose code is `where`."""

    code: str
    where: str
    leg: int


def volumes(airspaces: Sequence[Airspace], frame: LocalFrame) -> tuple[Volume, ...]:
    """Return the airspaces as volumes over local metres."""
    return tuple(
        Volume(a.code, a.kind.value, local_geometry(a.area, frame), a.floor_agl_m, a.ceiling_agl_m)
        for a in airspaces
    )


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
    heights_agl_m: Sequence[float],
    closed: Sequence[Volume],
    policy: SkyPolicy,
) -> tuple[Breach, ...]:
    """Return every rule a path breaks, leg by leg; a single point is a leg of no length."""
    if len(path) != len(heights_agl_m):
        raise ValueError(f"{len(path)} points need as many heights, got {len(heights_agl_m)}")
    ends = list(zip(path, heights_agl_m, strict=True))
    legs = list(itertools.pairwise(ends)) or [(ends[0], ends[0])]
    found: list[Breach] = []
    for i, ((a, low), (b, high)) in enumerate(legs):
        if max(low, high) > policy.ceiling_agl_m:
            found.append(Breach("too_high", "ceiling", i))
        line = LineString([a, b])
        found.extend(
            Breach(v.kind, v.code, i)
            for v in closed
            if _meets(v, min(low, high), max(low, high), policy)
            # The margin's own border is open: ways round a volume follow it.
            and v.ground.distance(line) < policy.margin_m - 0.01
        )
    return tuple(found)


def _meets(volume: Volume, low_m: float, high_m: float, policy: SkyPolicy) -> bool:
    above = low_m >= volume.ceiling_agl_m + policy.margin_m
    below = high_m <= volume.floor_agl_m - policy.margin_m
    return not (above or below)
