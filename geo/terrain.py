"""The ground's height, and how far above it a straight leg runs (真高).

Heights are metres above the WGS-84 ellipsoid, places local metres. Between the posts of a terrain
grid the ground is the bilinear surface through them. Along a leg that surface is a parabola within
each grid square, so the least and the greatest true height of a leg are worked out, not sampled.
Of the leg itself only its line in the grid is approximate: it is taken as straight over pieces of
at most PIECE_M, which moves it by under a centimetre.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.errors import RasterioError
from rasterio.windows import Window
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from geo.frames import LocalFrame

Floats = NDArray[np.float64]
Point3 = tuple[float, float, float]

PIECE_M = 500.0
POSTS_LIMIT = 40_000_000
SPACING_LIMIT_M = 100.0
LOWEST_M, HIGHEST_M = -500.0, 9000.0


class BadTerrain(ValueError):
    """A terrain file that cannot be used; the message names what is wrong and the cure."""


class Terrain(Protocol):
    """Ground one can ask for its height."""

    def height_m(self, x_m: float, y_m: float) -> float:
        """Return the ground's ellipsoid height at a place."""
        ...

    def surface_m(self, places: Floats) -> Floats:
        """Return the ground's ellipsoid height at each of (n, 2) places."""
        ...

    def true_heights_m(self, a: Point3, b: Point3) -> tuple[float, float]:
        """Return the least and greatest height above ground along the straight leg a–b, whose
        third coordinates are ellipsoid heights."""
        ...

    def range_m(self, box: tuple[float, float, float, float]) -> tuple[float, float]:
        """Return the lowest and highest ground in a box (x0, y0, x1, y1)."""
        ...

    def range_under(self, shape: BaseGeometry) -> tuple[float, float]:
        """Return the lowest and highest ground under a shape that is not empty."""
        ...


@dataclass(frozen=True, slots=True)
class FlatTerrain:
    """Ground of one height: what is assumed until a terrain model is given."""

    ground_m: float = 0.0

    def height_m(self, x_m: float, y_m: float) -> float:
        return self.ground_m

    def surface_m(self, places: Floats) -> Floats:
        return np.full(len(places), self.ground_m)

    def true_heights_m(self, a: Point3, b: Point3) -> tuple[float, float]:
        low, high = sorted((a[2] - self.ground_m, b[2] - self.ground_m))
        return low, high

    def range_m(self, box: tuple[float, float, float, float]) -> tuple[float, float]:
        return self.ground_m, self.ground_m

    def range_under(self, shape: BaseGeometry) -> tuple[float, float]:
        return self.ground_m, self.ground_m


@dataclass(frozen=True, slots=True)
class GridTerrain:
    """Posts `heights_m` (rows × columns); `to_grid` takes (n, 2) local metres to fractional
    (column, row). A place outside takes the height of the nearest post."""

    heights_m: Floats
    to_grid: Callable[[Floats], Floats]
    spacing_m: float

    def height_m(self, x_m: float, y_m: float) -> float:
        return float(self.surface_m(np.array([[x_m, y_m]]))[0])

    def surface_m(self, places: Floats) -> Floats:
        return self._bilinear(self.to_grid(places))

    def true_heights_m(self, a: Point3, b: Point3) -> tuple[float, float]:
        pieces = max(1, math.ceil(math.dist(a[:2], b[:2]) / PIECE_M))
        share = np.linspace(0.0, 1.0, pieces + 1)[:, None]
        ends = np.asarray(a) + share * (np.asarray(b) - np.asarray(a))
        grid = self.to_grid(ends[:, :2])
        low, high = math.inf, -math.inf
        for i in range(pieces):
            least, most = self._piece(grid[i], grid[i + 1], ends[i, 2], ends[i + 1, 2])
            low, high = min(low, least), max(high, most)
        return low, high

    def range_m(self, box: tuple[float, float, float, float]) -> tuple[float, float]:
        x0, y0, x1, y1 = box
        corners = self.to_grid(np.array([[x0, y0], [x1, y0], [x0, y1], [x1, y1]]))
        rows, columns = self.heights_m.shape
        c0, r0 = np.clip(np.floor(corners.min(axis=0)), 0, [columns - 1, rows - 1]).astype(int)
        c1, r1 = np.clip(np.ceil(corners.max(axis=0)), 0, [columns - 1, rows - 1]).astype(int)
        part = self.heights_m[r0 : r1 + 1, c0 : c1 + 1]
        return float(part.min()), float(part.max())

    def range_under(self, shape: BaseGeometry) -> tuple[float, float]:
        """The surface between four posts is a saddle, whose extremes lie on its border: so those
        under a shape are at posts inside it or along its outline."""
        low, high = math.inf, -math.inf
        for line in _lines(shape):
            for a, b in pairwise(line):
                above, below = self.true_heights_m((*a, 0.0), (*b, 0.0))
                low, high = min(low, -below), max(high, -above)
        fine = shapely.segmentize(shape, PIECE_M)
        grid = shapely.transform(fine, lambda xy: self.to_grid(np.asarray(xy)))
        inside = self._posts_in(grid)
        return (
            min(low, float(inside.min(initial=math.inf))),
            max(high, float(inside.max(initial=-math.inf))),
        )

    def _posts_in(self, grid: BaseGeometry) -> Floats:
        rows, columns = self.heights_m.shape
        x0, y0, x1, y1 = grid.bounds
        c0, c1 = max(0, math.ceil(x0)), min(columns - 1, math.floor(x1))
        r0, r1 = max(0, math.ceil(y0)), min(rows - 1, math.floor(y1))
        if c0 > c1 or r0 > r1:
            return np.empty(0)
        r, c = np.mgrid[r0 : r1 + 1, c0 : c1 + 1]
        shapely.prepare(grid)
        found: Floats = self.heights_m[r0 : r1 + 1, c0 : c1 + 1][shapely.contains_xy(grid, c, r)]
        return found

    def _piece(self, g0: Floats, g1: Floats, z0: float, z1: float) -> tuple[float, float]:
        """Extremes over one straight line in the grid: cut at every grid line it crosses."""
        cuts = [np.array([0.0, 1.0])]
        for axis in (0, 1):
            run = g1[axis] - g0[axis]
            if abs(run) > 1e-12:
                low, high = sorted((g0[axis], g1[axis]))
                lines = np.arange(math.ceil(low), math.floor(high) + 1)
                cuts.append((lines - g0[axis]) / run)
        t = np.unique(np.clip(np.concatenate(cuts), 0.0, 1.0))
        middle = (t[:-1] + t[1:]) / 2.0

        def above(at: Floats) -> Floats:
            line = g0 + at[:, None] * (g1 - g0)
            height: Floats = z0 + at * (z1 - z0) - self._bilinear(line)
            return height

        at_cuts, at_middles = above(t), above(middle)
        first, last = at_cuts[:-1], at_cuts[1:]
        # The parabola through both ends and the middle of each piece, and its turning point.
        bend = 2.0 * (first + last) - 4.0 * at_middles
        slope = 4.0 * at_middles - 3.0 * first - last
        turn = np.divide(-slope, 2.0 * bend, out=np.zeros_like(bend), where=np.abs(bend) > 1e-12)
        inside = (turn > 0.0) & (turn < 1.0)
        turning = first + slope * turn + bend * turn * turn
        every = np.concatenate([at_cuts, turning[inside]])
        return float(every.min()), float(every.max())

    def _bilinear(self, grid: Floats) -> Floats:
        rows, columns = self.heights_m.shape
        c = np.clip(grid[:, 0], 0.0, columns - 1.0)
        r = np.clip(grid[:, 1], 0.0, rows - 1.0)
        c0 = np.minimum(np.floor(c).astype(int), columns - 2)
        r0 = np.minimum(np.floor(r).astype(int), rows - 2)
        u, v = c - c0, r - r0
        h = self.heights_m
        upper = h[r0, c0] * (1 - u) + h[r0, c0 + 1] * u
        lower = h[r0 + 1, c0] * (1 - u) + h[r0 + 1, c0 + 1] * u
        surface: Floats = upper * (1 - v) + lower * v
        return surface


def _lines(shape: BaseGeometry) -> list[list[tuple[float, float]]]:
    """Return every outline of a shape as points; a point alone is a line of no length."""
    found = []
    for part in shapely.get_parts(shape):
        rings = [part.exterior, *part.interiors] if isinstance(part, Polygon) else [part]
        for ring in rings:
            points = [(float(x), float(y)) for x, y in ring.coords]
            found.append(points if len(points) > 1 else points * 2)
    return found


def read_terrain(
    path: Path,
    frame: LocalFrame,
    extent_m: tuple[float, float, float, float],
    geoid_m: float = 0.0,
) -> GridTerrain:
    """Read the part of a GeoTIFF (or any raster GDAL knows) that covers a box of local metres.

    Most terrain models give heights above the geoid: `geoid_m` is the geoid's height above the
    ellipsoid here and is added. Raises BadTerrain.
    """
    try:
        with rasterio.open(path) as raster:
            return _read(raster, frame, extent_m, geoid_m)
    except (RasterioError, OSError) as error:
        raise BadTerrain(f"{path.name} cannot be read as a raster: {error}") from error


def _read(
    raster: Any, frame: LocalFrame, extent_m: tuple[float, float, float, float], geoid_m: float
) -> GridTerrain:
    if raster.crs is None:
        raise BadTerrain("the raster names no CRS: set one with `gdal_edit -a_srs EPSG:…`")
    to_crs = Transformer.from_crs("EPSG:4326", raster.crs, always_xy=True)
    back = ~raster.transform

    def to_pixels(points: Floats) -> Floats:
        lat, lon = frame.to_degrees(points[:, 0], points[:, 1])
        x, y = to_crs.transform(lon, lat)
        x, y = np.asarray(x), np.asarray(y)
        column = back.a * x + back.b * y + back.c
        row = back.d * x + back.e * y + back.f
        # A pixel's value stands at its middle.
        return np.stack([column - 0.5, row - 0.5], axis=1)

    x0, y0, x1, y1 = extent_m
    edge = np.linspace(0.0, 1.0, 21)
    xs, ys = x0 + edge * (x1 - x0), y0 + edge * (y1 - y0)
    border = np.concatenate(
        [np.stack([xs, np.full_like(xs, y)], 1) for y in (y0, y1)]
        + [np.stack([np.full_like(ys, x), ys], 1) for x in (x0, x1)]
    )
    pixels = to_pixels(border)
    if not np.isfinite(pixels).all():
        raise BadTerrain(f"the district lies outside what {raster.crs} can express")
    c0, r0 = np.floor(pixels.min(axis=0)).astype(int)
    c1, r1 = np.ceil(pixels.max(axis=0)).astype(int) + 1
    if c0 < 0 or r0 < 0 or c1 > raster.width or r1 > raster.height:
        raise BadTerrain(
            "the raster does not cover the district and what lies around it: it needs columns "
            f"{c0}..{c1} and rows {r0}..{r1}, has 0..{raster.width} and 0..{raster.height}"
        )
    middle = np.array([[(x0 + x1) / 2.0, (y0 + y1) / 2.0]])
    steps = to_pixels(middle + np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))
    # Metres to the pixel, along the coarser of both axes.
    jacobian = np.abs(np.linalg.inv((steps[1:] - steps[0]).T))
    spacing_m = float(np.hypot(*jacobian).max())
    if spacing_m > SPACING_LIMIT_M:
        raise BadTerrain(f"posts stand {spacing_m:.0f} m apart; at most {SPACING_LIMIT_M:.0f} m do")
    heights = _window(raster, Window(c0, r0, c1 - c0, r1 - r0)) + geoid_m
    offset = np.array([c0, r0], float)
    return GridTerrain(heights, lambda points: to_pixels(points) - offset, spacing_m)


def _window(raster: Any, window: Window) -> Floats:
    if window.width * window.height > POSTS_LIMIT:
        raise BadTerrain(f"the district takes over {POSTS_LIMIT} posts: give a coarser raster")
    read = raster.read(1, window=window, masked=True)
    heights = np.ma.filled(read.astype(float), np.nan)
    empty = int(np.count_nonzero(~np.isfinite(heights)))
    if empty:
        raise BadTerrain(f"{empty} posts over the district hold no height: fill them first")
    if heights.min() < LOWEST_M or heights.max() > HIGHEST_M:
        raise BadTerrain(
            f"heights run from {heights.min():.0f} to {heights.max():.0f}: not metres, or a value"
            " for no height that the file does not declare"
        )
    return np.asarray(heights, float)
