"""The height at which a flight can come straight home from anywhere on its path.

A dock's drone that is called home, or goes by itself when its battery is low, climbs to its return
height where it is, flies straight to its dock and comes down there (DJI RTH at a preset height;
higher up, it stays at its own). So the ground it may cross is every triangle between a leg and
the dock, at one height over all of it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import shapely
from shapely.geometry.base import BaseGeometry

from geo.airspace import SkyPolicy, Volume
from geo.routes import Point
from geo.terrain import Point3, Terrain

_ROUNDING_M = 0.01


@dataclass(frozen=True, slots=True)
class Shut:
    """Heights above the ellipsoid at which a straight way home meets closed airspace."""

    code: str
    kind: str
    from_m: float
    to_m: float


@dataclass(frozen=True, slots=True)
class WaysHome:
    """What every straight way home allows, above the ellipsoid: from `least_m`, which clears the
    ground and no point of the path lies above, to `most_m`, the ceiling over the lowest ground."""

    least_m: float
    most_m: float
    shut: tuple[Shut, ...] = ()

    def met(self, height_m: float) -> tuple[Shut, ...]:
        """Return the closed airspaces a return at a height would meet."""
        return tuple(s for s in self.shut if s.from_m < height_m < s.to_m)

    def height_m(self, base_m: float, wanted_m: float) -> float | None:
        """Return the height to come home at, whole metres above `base_m`: the lowest from
        `wanted_m` up that is free, else the highest below it; None where there is none."""
        first = math.ceil(self.least_m - base_m - _ROUNDING_M)
        last = math.floor(self.most_m - base_m + _ROUNDING_M)
        start = max(first, math.ceil(wanted_m - base_m - _ROUNDING_M))
        for rel_m in chain(
            range(start, last + 1), range(min(start - 1, last), first - 1, -1)
        ):
            if not self.met(base_m + rel_m):
                return base_m + rel_m
        return None


def fan(path: Sequence[Point], home: Point) -> BaseGeometry:
    """Return all the ground that straight ways home from anywhere on a path cross."""
    legs = list(pairwise(path)) or [(path[0], path[0])]
    corners = [shapely.MultiPoint([a, b, home]) for a, b in legs]
    return shapely.union_all(shapely.convex_hull(corners))


def ways_home(
    path: Sequence[Point3],
    home: Point,
    closed: Sequence[Volume],
    policy: SkyPolicy,
    terrain: Terrain,
) -> WaysHome:
    """Return what the straight ways home of a path allow; its heights are above the ellipsoid.

    A volume over or beside the path itself that the path does not fly over shuts every height
    from its floor up: the climb to the return height would meet it.
    """
    line = [p[:2] for p in path]
    below = fan(line, home)
    lowest, highest = terrain.range_under(below)
    top, bottom = max(p[2] for p in path), min(p[2] for p in path)
    shut = []
    for v in closed:
        near = v.ground.buffer(policy.margin_m - _ROUNDING_M)
        if not near.intersects(below):
            continue
        under, over = terrain.range_under(near)
        from_m = v.floor_agl_m - policy.margin_m + under
        to_m = v.ceiling_agl_m + policy.margin_m + over
        if bottom < to_m and near.intersects(shapely.LineString([*line, line[-1]])):
            to_m = math.inf
        shut.append(Shut(v.code, v.kind, from_m, to_m))
    least = max(top, highest + policy.floor_agl_m)
    return WaysHome(least, lowest + policy.ceiling_agl_m, tuple(shut))
