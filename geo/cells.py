"""Which cell a point lies in: one point, many points, or all an uncertain one may be in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from shapely import STRtree, points, prepare
from shapely.geometry import Point

from domain.place import GridCell, PoliceGrid, Position
from geo.frames import LocalFrame
from geo.shapes import area_to_shape, local_geometry


@dataclass(frozen=True, slots=True)
class _Index:
    codes: tuple[str, ...]
    degrees: STRtree
    local: STRtree
    frame: LocalFrame


class CellIndex:
    """An index over grid cells or police grids. A point on a shared border belongs to the lower
    code, so that every reader agrees; areas may overlap, then the lower code again is `at`."""

    def __init__(self, cells: Sequence[GridCell | PoliceGrid]) -> None:
        ordered: list[GridCell | PoliceGrid] = sorted(cells, key=lambda cell: cell.code)
        shapes = [area_to_shape(cell.area) for cell in ordered]
        if shapes:
            west, south, east, north = STRtree(shapes).geometries[0].bounds
            origin = Position((south + north) / 2, (west + east) / 2)
        else:
            origin = Position(0.0, 0.0)
        frame = LocalFrame(origin)
        local = [local_geometry(cell.area, frame) for cell in ordered]
        prepare(shapes)
        prepare(local)
        codes = tuple(cell.code for cell in ordered)
        self._index = _Index(codes, STRtree(shapes), STRtree(local), frame)

    def assign(self, lat_deg: ArrayLike, lon_deg: ArrayLike) -> list[str | None]:
        """Return the cell code of every point (1-D arrays of one length), None outside."""
        lon, lat = np.asarray(lon_deg, float), np.asarray(lat_deg, float)
        where = points(lon, lat)
        found: list[str | None] = [None] * lon.size
        point_index, cell_index = self._index.degrees.query(where, predicate="intersects")
        for i, c in sorted(zip(point_index.tolist(), cell_index.tolist(), strict=True)):
            if found[i] is None:
                found[i] = self._index.codes[c]
        return found

    def at(self, position: Position) -> str | None:
        return self.assign([position.lat_deg], [position.lon_deg])[0]

    def near(self, position: Position, radius_m: float) -> tuple[str, ...]:
        """Return every cell within `radius_m` of the position, by code."""
        x_m, y_m = self._index.frame.to_local(position.lat_deg, position.lon_deg)
        hits = self._index.local.query(Point(x_m, y_m), predicate="dwithin", distance=radius_m)
        return tuple(self._index.codes[i] for i in sorted(hits.tolist()))
