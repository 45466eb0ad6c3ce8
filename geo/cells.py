"""Which cell a point lies in: one point, many points, or all an uncertain one may be in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from shapely import STRtree, box, points, prepare, total_bounds
from shapely.geometry import Point

from domain.place import GridCell, PoliceGrid, Position
from geo.frames import LocalFrame
from geo.shapes import area_to_shape, local_geometry

RASTER_SIDE = 256
OUTSIDE, MIXED = -1, -2
Bounds = tuple[float, float, float, float]


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
        found = self.lowest(np.asarray(lat_deg, float), np.asarray(lon_deg, float))
        return [None if i < 0 else self._index.codes[i] for i in found.tolist()]

    def lowest(
        self, lat_deg: NDArray[np.float64], lon_deg: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Return the index of the lowest code each of n points lies in, OUTSIDE for none."""
        found = np.full(lon_deg.size, len(self._index.codes))
        where = points(lon_deg, lat_deg)
        point, cell = self._index.degrees.query(where, predicate="intersects")
        np.minimum.at(found, point, cell)
        return np.where(found == len(self._index.codes), OUTSIDE, found)

    def squares(self, bounds: Bounds, side: int) -> NDArray[np.int64]:
        """Return the cell index (see `codes`) of each square of a side × side grid over bounds.

        (side, side) by row from the south and column from the west; OUTSIDE where no cell reaches,
        MIXED where the points of one square may lie in several cells or in none.
        """
        west, south, east, north = bounds
        x = np.linspace(west, east, side + 1)
        y = np.linspace(south, north, side + 1)
        row, column = np.divmod(np.arange(side * side), side)
        boxes = box(x[column], y[row], x[column + 1], y[row + 1])
        found = np.full(side * side, OUTSIDE)
        tree = self._index.degrees
        # The lowest code wins where areas overlap, so the last written is the lowest.
        which, cell = tree.query(boxes, predicate="intersects")
        lowest = np.full(side * side, len(self._index.codes))
        np.minimum.at(lowest, which, cell)
        found[which] = MIXED
        inside, of = tree.query(boxes, predicate="within")
        whole = of == lowest[inside]
        found[inside[whole]] = of[whole]
        return found.reshape(side, side)

    @property
    def codes(self) -> tuple[str, ...]:
        """The cell codes in order: what an index means."""
        return self._index.codes

    @property
    def bounds(self) -> Bounds | None:
        """(west, south, east, north) of all cells in degrees, None where there are none."""
        if not self._index.codes:
            return None
        west, south, east, north = total_bounds(self._index.degrees.geometries)
        return float(west), float(south), float(east), float(north)

    def at(self, position: Position) -> str | None:
        return self.assign([position.lat_deg], [position.lon_deg])[0]

    def near(self, position: Position, radius_m: float) -> tuple[str, ...]:
        """Return every cell within `radius_m` of the position, by code."""
        x_m, y_m = self._index.frame.to_local(position.lat_deg, position.lon_deg)
        hits = self._index.local.query(Point(x_m, y_m), predicate="dwithin", distance=radius_m)
        return tuple(self._index.codes[i] for i in sorted(hits.tolist()))


class CellRaster:
    """Cells of many points: a square of a raster answers for most, the exact test for the rest.

    Answers are the same before it is drawn.
    """

    def __init__(self, index: CellIndex) -> None:
        self._index, self._bounds = index, index.bounds
        self._squares: NDArray[np.int64] | None = None

    def draw(self) -> None:
        """Make the raster, about half a second of work; a thread of its own may do it."""
        if self._bounds is not None:
            self._squares = self._index.squares(self._bounds, RASTER_SIDE)

    def assign(
        self, lat_deg: NDArray[np.float64], lon_deg: NDArray[np.float64]
    ) -> tuple[tuple[str, ...], NDArray[np.int64]]:
        """Return (codes, (n,) index into them, OUTSIDE for none) of n points; NaN is outside."""
        codes, bounds = self._index.codes, self._bounds
        found = np.full(lat_deg.size, OUTSIDE)
        if bounds is None:
            return codes, found
        west, south, east, north = bounds
        within = (lon_deg >= west) & (lon_deg <= east) & (lat_deg >= south) & (lat_deg <= north)
        asked = np.flatnonzero(within)
        if self._squares is not None:
            column = ((lon_deg[asked] - west) * (RASTER_SIDE / (east - west))).astype(np.int64)
            row = ((lat_deg[asked] - south) * (RASTER_SIDE / (north - south))).astype(np.int64)
            top = RASTER_SIDE - 1
            found[asked] = self._squares[np.minimum(row, top), np.minimum(column, top)]
            asked = np.flatnonzero(found == MIXED)
        if asked.size:
            found[asked] = self._index.lowest(lat_deg[asked], lon_deg[asked])
        return codes, found
