"""A raster over an area, and searches on it: metres in, metres out, cells in between."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Polygon

from geo.path_moves import PATH_LIMIT
from geo.routes import FlightModel, Point
from geo.search_kernel import ALLOWED, anneal
from geo.starts import ring_edges
from geo.strip import FLAT, Strip
from geo.strip_counter import DISCS, SHIFT, fill

CELLS_LIMIT = 16_000_000
"""Of the raster; a wider area gets coarser cells."""
_COARSEST = 12.0
_LOGGED = 40
"""Changes a move makes to one row, at most."""
LENGTH, TIME = "length", "time"


@dataclass(frozen=True, slots=True)
class Heat:
    """How a search cools, first and last: temperature and step in widths, penalty in widths of
    path per squared width that is missing."""

    warm: float = 0.04
    cold: float = 0.0015
    light: float = 8.0
    heavy: float = 20.0
    wide: float = 0.6
    narrow: float = 0.1
    bend: float = 0.002


@dataclass(frozen=True, slots=True)
class Found:
    path: tuple[Point, ...]
    cost: float
    """Widths of path, or of cruise in the flight's time."""
    missing_m2: float
    """By the raster."""
    enough: bool


class Field:
    """The raster of an area with the open sky's edges. Raises ValueError where it is too fine."""

    def __init__(
        self,
        area: Polygon | MultiPolygon,
        sky: Polygon | MultiPolygon,
        strip: Strip,
        cells_per_width: float,
    ) -> None:
        edges = ring_edges(area)
        self.turn = _skew_rad(edges)
        turned = self._turned(edges.reshape(-1, 2), 1.0)
        low, high = turned.min(axis=0), turned.max(axis=0)
        span = np.maximum(high - low, 1e-9)
        finest = math.sqrt(float(span[0] * span[1]) / CELLS_LIMIT)
        self.cell_m = max(strip.width_m / cells_per_width, finest)
        if self.cell_m > strip.width_m / _COARSEST:
            raise ValueError("the strip is too narrow for an area of this size")
        self.low = low - self.cell_m
        rows, columns = (int(n) for n in np.ceil(span[::-1] / self.cell_m) + 2)
        self.inside = np.zeros((rows, columns), np.uint8)
        self.counts = np.zeros((rows, columns), np.int16)
        self.limits = np.zeros((rows, 3))
        self.limits[:, SHIFT] = 1.0 - np.random.default_rng(rows).random(rows)
        fill(self._cells(edges.reshape(-1, 2)).reshape(-1, 4), self.inside, self.limits)
        self.sky_edges = self._cells(ring_edges(sky).reshape(-1, 2)).reshape(-1, 4)
        logged = (rows * _LOGGED + 8, 3)
        self.ledger = (
            np.zeros((2, rows, 2), np.int32),
            np.zeros(logged, np.int32),
            np.zeros(logged, np.int32),
        )
        width = strip.width_m / self.cell_m
        self.strip = np.array(
            [
                width / 2.0,
                strip.reach_m / self.cell_m,
                strip.shortest_m / self.cell_m * 1.0001,
                1.0 if strip.ends == FLAT else 0.0,
            ]
        )
        self.width = width
        self.area_m2 = float(area.area)
        self.filled_m2 = float(self.inside.sum()) * self.cell_m**2

    def _turned(self, xy: NDArray[np.float64], way: float) -> NDArray[np.float64]:
        c, s = math.cos(self.turn), math.sin(self.turn) * way
        return np.stack([xy[:, 0] * c - xy[:, 1] * s, xy[:, 0] * s + xy[:, 1] * c], axis=1)

    def _cells(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.ascontiguousarray((self._turned(xy, 1.0) - self.low) / self.cell_m)

    def _metres(self, cells: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._turned(cells * self.cell_m + self.low, -1.0)

    def search(
        self,
        path: Sequence[Point],
        *,
        allowed_m2: float,
        moves: int,
        seed: int,
        heat: Heat,
        objective: str,
        model: FlightModel,
        shrink_cells: float = 0.0,
    ) -> Found:
        """Anneal from a path that lies in the sky; see search_kernel.anneal.

        `shrink_cells` takes so much off either side of the strip, for gaps too thin to be sampled.
        """
        state = np.zeros((PATH_LIMIT + 8, 2))
        best = np.zeros_like(state)
        if self.strip[DISCS] > 0.0:
            path = _blunt(path, self.width * self.cell_m / 2.0)
        size = len(path)
        state[:size] = self._cells(np.asarray(path, float))
        scale = 1.0 / self.cell_m
        cost = np.array(
            [
                self.width,
                allowed_m2 / self.cell_m**2,
                1.0 if objective == TIME else 0.0,
                model.cruise_m_s * scale,
                model.accel_m_s2 * scale,
                model.corner_cut_m * scale,
                heat.bend,
            ]
        )
        heats = np.array([heat.warm, heat.cold, heat.light, heat.heavy, heat.wide, heat.narrow])
        strip = self.strip - np.array([shrink_cells, 0.0, 0.0, 0.0])
        rng = np.array([(seed * 0x9E3779B97F4A7C15 + 0x1234567) % 2**64 | 1], np.uint64)
        count, price, missing = anneal(
            state, size, self.counts, self.inside, self.limits, self.sky_edges,
            strip, cost, heats, moves, rng, self.ledger, best,
        )  # fmt: skip
        points = self._metres(best[:count])
        return Found(
            tuple((float(x), float(y)) for x, y in points),
            float(price),
            float(missing) * self.cell_m**2,
            missing <= cost[ALLOWED],
        )


def _blunt(path: Sequence[Point], least_m: float) -> Sequence[Point]:
    """Leave out ends shorter than half a width, whose turns have no disc."""
    while len(path) > 2 and math.dist(path[0], path[1]) < least_m:
        path = path[1:]
    while len(path) > 2 and math.dist(path[-1], path[-2]) < least_m:
        path = path[:-1]
    return path


def _skew_rad(edges: NDArray[np.float64]) -> float:
    """Turn the raster so that no long edge runs along its rows."""
    dx, dy = edges[:, 2] - edges[:, 0], edges[:, 3] - edges[:, 1]
    heading, weight = np.arctan2(dy, dx), np.hypot(dx, dy)
    turns = np.radians(np.arange(0.0, 180.0, 3.0) + 0.37)
    off = np.mod(heading[None, :] + turns[:, None], np.pi)
    near = np.maximum(0.0, math.radians(30.0) - np.minimum(off, np.pi - off))
    return float(turns[int(np.argmin((near**2 * weight).sum(axis=1)))])


def warm() -> None:
    """Compile what a search needs, or load what was compiled before."""
    square = Polygon([(0.0, 0.0), (60.0, 0.0), (60.0, 60.0), (0.0, 60.0)])
    field = Field(square, square, Strip(20.0), _COARSEST)
    field.search(
        [(10.0, 10.0), (50.0, 10.0)], allowed_m2=0.0, moves=10, seed=0, heat=Heat(),
        objective=TIME, model=FlightModel(),
    )  # fmt: skip
