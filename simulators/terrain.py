"""The district's ground in local metres: what is drawn, what hides, what fits where."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from shapely import LineString, MultiPolygon, Point, STRtree, contains_xy, prepare, union_all
from shapely.geometry.base import BaseGeometry

from domain.district import District
from domain.place import ZoneKind
from geo.frames import LocalFrame
from geo.shapes import local_geometry
from simulators.render import Ground, GroundShape

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Terrain:
    """`zones` is the union of each kind of zone; `whole` is all the district's cells together."""

    frame: LocalFrame
    whole: BaseGeometry
    zones: dict[ZoneKind, BaseGeometry]
    roads: tuple[BaseGeometry, ...]
    _shapes: tuple[GroundShape, ...]
    _shape_index: STRtree
    _walls: tuple[GroundShape, ...]
    _wall_index: STRtree

    @classmethod
    def of(cls, district: District) -> "Terrain":
        frame = LocalFrame(district.origin)
        whole = union_all([local_geometry(c.area, frame) for c in district.cells])
        by_kind: dict[ZoneKind, list[MultiPolygon]] = {kind: [] for kind in ZoneKind}
        shapes: list[GroundShape] = []
        for zone in district.zones:
            geometry = local_geometry(zone.area, frame)
            by_kind[zone.kind].append(geometry)
            height_m = zone.height_m if zone.kind is ZoneKind.BUILDING else 0.0
            shapes += [
                GroundShape(zone.kind.value, np.asarray(p.exterior.coords)[:, :2], height_m)
                for p in geometry.geoms
            ]
        zones = {kind: union_all(parts) for kind, parts in by_kind.items()}
        for ground in (whole, *zones.values()):
            prepare(ground)
        walls = tuple(s for s in shapes if s.height_m > 0)
        return cls(
            frame,
            whole,
            zones,
            tuple(by_kind[ZoneKind.ROAD]),
            tuple(shapes),
            STRtree([LineString(s.ring) for s in shapes]),
            walls,
            STRtree([LineString(s.ring) for s in walls]),
        )

    def ground(self, x_m: float, y_m: float, radius_m: float) -> Ground:
        """Return the shapes that come within `radius_m` of a point, in the district's order."""
        around = Point(x_m, y_m).buffer(radius_m, quad_segs=4).envelope
        hits = sorted(self._shape_index.query(around).tolist())
        return Ground(tuple(self._shapes[i] for i in hits))

    def inside(self, kinds: Sequence[ZoneKind], x_m: Floats, y_m: Floats) -> NDArray[np.bool_]:
        """Tell for each point whether it lies in any zone of these kinds."""
        found = np.zeros(np.shape(x_m), bool)
        for kind in kinds:
            found |= contains_xy(self.zones[kind], x_m, y_m)
        return found

    def hidden(self, eye: tuple[float, float, float], x_m: float, y_m: float, z_m: float) -> bool:
        """Tell whether a building stands between an eye and a point."""
        sight = LineString([eye[:2], (x_m, y_m)])
        length_m = max(1e-6, sight.length)
        for i in self._wall_index.query(sight, predicate="intersects").tolist():
            crossing = sight.intersection(LineString(self._walls[i].ring))
            share = crossing.distance(Point(eye[:2])) / length_m
            if eye[2] + (z_m - eye[2]) * share < self._walls[i].height_m:
                return True
        return False
