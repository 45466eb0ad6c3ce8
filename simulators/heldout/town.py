"""The plan of a piece of town as signed distances: roads, a river, parcels between them."""

from dataclasses import dataclass
from math import cos, sin

import numpy as np
from numpy.typing import NDArray

from simulators.heldout.texture import fractal, nearest

F32 = NDArray[np.float32]
GRASS, PAVED, ROAD, WATER, SOIL, PAVEMENT, BANK = range(7)
PAVEMENT_M = 2.6
BANK_M = 1.3


@dataclass(frozen=True)
class Strip:
    """A road or a river: a line through a point, with a gentle bend."""

    x_m: float
    y_m: float
    way_rad: float
    half_m: float
    bend_m: float = 0.0
    bend_length_m: float = 60.0
    lanes: int = 2

    def along_and_off(self, x: F32, y: F32) -> tuple[F32, F32]:
        """Return (metres along, metres to the left of the middle)."""
        c, s = np.float32(cos(self.way_rad)), np.float32(sin(self.way_rad))
        dx, dy = x - np.float32(self.x_m), y - np.float32(self.y_m)
        along, off = c * dx + s * dy, c * dy - s * dx
        if self.bend_m:
            off = off - np.float32(self.bend_m) * np.sin(
                along * np.float32(6.28 / self.bend_length_m)
            )
        return along, off

    def place(self, along_m: float, off_m: float) -> tuple[float, float]:
        off = off_m + self.bend_m * sin(along_m * 6.28 / self.bend_length_m)
        c, s = cos(self.way_rad), sin(self.way_rad)
        return self.x_m + c * along_m - s * off, self.y_m + s * along_m + c * off


@dataclass(frozen=True)
class Town:
    roads: tuple[Strip, ...]
    river: Strip | None
    parcel_m: float
    parcel_seed: int
    green_share: float
    soil_share: float

    def kinds(self, x: F32, y: F32) -> tuple[NDArray[np.uint8], F32, F32]:
        """Return (what the ground is, metres into the water, metres beyond a road's edge)."""
        kind = self._parcels(x, y)
        beyond = np.full(x.shape, 1e3, np.float32)
        for road in self.roads:
            _, off = road.along_and_off(x, y)
            beyond = np.minimum(beyond, np.abs(off) - np.float32(road.half_m))
        kind[(beyond < PAVEMENT_M) & (beyond >= 0)] = PAVEMENT
        wet = np.full(x.shape, -1e3, np.float32)
        if self.river is not None:
            _, off = self.river.along_and_off(x, y)
            wet = np.float32(self.river.half_m) - np.abs(off)
            kind[(wet > -BANK_M) & (wet <= 0)] = BANK
            kind[wet > 0] = WATER
        # A road over the water is a bridge.
        kind[beyond < 0] = ROAD
        return kind, np.asarray(wet, np.float32), beyond

    def kind_at(self, x_m: float, y_m: float) -> int:
        kind, _, _ = self.kinds(np.full((1, 1), x_m, np.float32), np.full((1, 1), y_m, np.float32))
        return int(kind[0, 0])

    def clear_of_road_m(self, x_m: float, y_m: float) -> float:
        at = np.full((1, 1), x_m, np.float32), np.full((1, 1), y_m, np.float32)
        _, wet, beyond = self.kinds(*at)
        return float(min(beyond[0, 0], -wet[0, 0]))

    def _parcels(self, x: F32, y: F32) -> NDArray[np.uint8]:
        main = self.roads[0] if self.roads else self.river
        assert main is not None
        along, off = main.along_and_off(x, y)
        column = np.floor(along / np.float32(self.parcel_m)).astype(np.int32)
        row = np.floor(off / np.float32(self.parcel_m * 0.8)).astype(np.int32)
        drawn = (column * 7919 + row * 104729 + self.parcel_seed * 31) % 997 / np.float32(997)
        edge = nearest(fractal(1.3, 9), x, y, 37.0) - np.float32(0.5)
        drawn = drawn + edge * np.float32(0.08)
        kind = np.full(x.shape, PAVED, np.uint8)
        kind[drawn < self.green_share] = GRASS
        kind[drawn > 1 - self.soil_share] = SOIL
        return kind


def town_of(view_height_m: float, reach_m: float, rng: np.random.Generator) -> Town:
    """Return a plan whose main road or river passes near (0, reach_m), where the camera looks."""
    high = view_height_m > 25
    spread = 0.25 * view_height_m if high else 2.5
    at = float(rng.normal(0, spread)), reach_m + float(rng.normal(0, spread))
    way = (
        float(rng.uniform(0, np.pi))
        if high or rng.random() < 0.35
        else float(rng.normal(np.pi / 2, 0.35))
    )
    layout = rng.choice(["road", "road", "crossing", "river", "river and road"])
    half = float(rng.choice([3.0, 3.5, 5.0, 7.0, 7.5]))
    lanes = 2 if half < 6 else 4
    roads: list[Strip] = []
    river = None
    if layout != "river":
        roads.append(Strip(*at, way, half, float(rng.choice([0, 0, 2.0])), 90.0, lanes))
    if layout == "crossing":
        roads.append(Strip(*at, way + float(rng.normal(np.pi / 2, 0.1)), 3.5, lanes=2))
    if layout.startswith("river"):
        width = float(rng.uniform(4, 9) if not high else rng.uniform(6, 16))
        shift = (half + PAVEMENT_M + width + float(rng.uniform(1, 6))) if roads else 0.0
        side = float(rng.choice([-1, 1])) * shift
        x, y = at[0] - sin(way) * side, at[1] + cos(way) * side
        river = Strip(x, y, way, width, float(rng.uniform(0, 3)), float(rng.uniform(60, 140)))
        if not roads:
            away = width + float(rng.uniform(9, 20))
            roads.append(Strip(x - sin(way) * away, y + cos(way) * away, way, 3.0))
    if high and rng.random() < 0.6:
        roads.append(
            Strip(at[0] + 45 * cos(way), at[1] + 45 * sin(way), way + 1.5708, 3.0, lanes=2)
        )
    return Town(
        tuple(roads), river, float(rng.uniform(14, 30)), int(rng.integers(1_000_000)),
        float(rng.uniform(0.15, 0.6)), float(rng.choice([0.0, 0.08, 0.2])),
    )  # fmt: skip
