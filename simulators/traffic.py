"""Harmless things: cars that drive and park, people who walk, puddles, lamps.

Where each is at a time follows from the seed alone. None ever stands in a fire lane, and people
keep apart, so nothing here is a hazard to anybody.
"""

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from random import Random

import numpy as np
from shapely import Point, Polygon, contains_xy
from shapely.geometry.base import BaseGeometry

from domain.place import ZoneKind
from simulators.render import Item
from simulators.terrain import Terrain

_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
ROADS_TRIED = 40
GROUND_TRIED = 600


@dataclass(frozen=True, slots=True)
class TrafficPolicy:
    driving: int = 30
    parked: int = 30
    walking: int = 60
    puddles: int = 20
    lamps: int = 12
    person_apart_m: float = 18.0


@dataclass(frozen=True, slots=True)
class _Run:
    """A car driving to and fro along the middle line of a straight road."""

    x_m: float
    y_m: float
    dx: float
    dy: float
    length_m: float
    speed_m_s: float
    phase_m: float
    size_m: float
    seed: int


@dataclass(frozen=True, slots=True)
class _Stroll:
    """A person going round a small circle."""

    x_m: float
    y_m: float
    radius_m: float
    turn_s: float
    phase: float
    size_m: float
    seed: int


class Traffic:
    """`items(at, x, y, radius)` gives what is near a point at a time."""

    def __init__(self, terrain: Terrain, seed: int, policy: TrafficPolicy | None = None):
        policy = policy or TrafficPolicy()
        chance = Random(f"{seed}/traffic")
        lanes = terrain.zones[ZoneKind.FIRE_LANE]
        self._lanes = None if lanes.is_empty else lanes.buffer(3.0)
        runs = [r for r in (_run_of(road, chance) for road in _longest(terrain)) if r]
        self._runs = [runs[i % len(runs)] for i in range(policy.driving)] if runs else []
        self._runs = [_rephased(r, chance) for r in self._runs]
        ground = _open_ground(terrain, seed)
        self._strolls = _strolls(ground, chance, policy)
        kerb = [g for g in ground[::-1] if terrain.zones[ZoneKind.ROAD].distance(Point(g)) < 12.0]
        self._still = [
            *_still("vehicle", kerb, policy.parked, (4.0, 5.0), chance),
            *_still("puddle", ground[5::3], policy.puddles, (1.0, 2.5), chance),
            *_still("lamp", ground[7::3], policy.lamps, (0.5, 1.2), chance),
        ]

    def items(self, at: datetime, x_m: float, y_m: float, radius_m: float) -> list[Item]:
        t = (at - _EPOCH).total_seconds()
        moving = [*(_driving(r, t) for r in self._runs), *(_walking(s, t) for s in self._strolls)]
        return [
            item
            for item in (*self._still, *moving)
            if math.hypot(item.x_m - x_m, item.y_m - y_m) <= radius_m and not self._in_lane(item)
        ]

    def _in_lane(self, item: Item) -> bool:
        if self._lanes is None or item.kind != "vehicle":
            return False
        return bool(contains_xy(self._lanes, item.x_m, item.y_m))


def _longest(terrain: Terrain) -> list[BaseGeometry]:
    return sorted(terrain.roads, key=lambda road: -road.length)[:ROADS_TRIED]


def _run_of(road: BaseGeometry, chance: Random) -> _Run | None:
    """Return a run along the road's middle; None when it is short or not a straight strip."""
    box = road.minimum_rotated_rectangle
    if not isinstance(box, Polygon):
        return None
    corners = np.asarray(box.exterior.coords)[:4]
    if np.hypot(*(corners[1] - corners[0])) < np.hypot(*(corners[2] - corners[1])):
        corners = np.roll(corners, -1, axis=0)
    start, end = (corners[0] + corners[3]) / 2, (corners[1] + corners[2]) / 2
    length_m = float(np.hypot(*(end - start)))
    if length_m < 60.0 or np.hypot(*(corners[3] - corners[0])) > 60.0:
        return None
    dx, dy = (float(v) for v in (end - start) / length_m)
    speed_m_s = chance.uniform(6.0, 12.0)
    return _Run(float(start[0]), float(start[1]), dx, dy, length_m, speed_m_s, 0.0, 4.5, 0)


def _rephased(run: _Run, chance: Random) -> _Run:
    return replace(
        run,
        speed_m_s=chance.uniform(6.0, 12.0),
        phase_m=chance.uniform(0.0, 2 * run.length_m),
        size_m=chance.uniform(4.0, 5.2),
        seed=chance.randrange(2**31),
    )


def _driving(run: _Run, t: float) -> Item:
    there = (run.speed_m_s * t + run.phase_m) % (2 * run.length_m)
    back = there > run.length_m
    s = 2 * run.length_m - there if back else there
    side = -2.0 if back else 2.0
    x_m = run.x_m + run.dx * s + run.dy * side
    y_m = run.y_m + run.dy * s - run.dx * side
    heading = math.degrees(math.atan2(run.dx, run.dy)) + (180.0 if back else 0.0)
    return Item("vehicle", x_m, y_m, run.size_m, heading % 360.0, run.seed)


def _walking(stroll: _Stroll, t: float) -> Item:
    angle = stroll.phase + math.tau * t / stroll.turn_s
    x_m = stroll.x_m + stroll.radius_m * math.sin(angle)
    y_m = stroll.y_m + stroll.radius_m * math.cos(angle)
    heading = (math.degrees(angle) + 90.0) % 360.0
    return Item("person", x_m, y_m, stroll.size_m, heading, stroll.seed)


def _open_ground(terrain: Terrain, seed: int) -> list[tuple[float, float]]:
    chance = np.random.default_rng([seed, 17])
    low_x, low_y, high_x, high_y = terrain.whole.bounds
    xs = chance.uniform(low_x, high_x, GROUND_TRIED)
    ys = chance.uniform(low_y, high_y, GROUND_TRIED)
    taken = (ZoneKind.BUILDING, ZoneKind.RIVER, ZoneKind.FIRE_LANE, ZoneKind.ROAD)
    fits = contains_xy(terrain.whole, xs, ys) & ~terrain.inside(taken, xs, ys)
    return [(float(x), float(y)) for x, y in zip(xs[fits], ys[fits], strict=True)]


def _strolls(
    ground: list[tuple[float, float]], chance: Random, policy: TrafficPolicy
) -> list[_Stroll]:
    chosen: list[_Stroll] = []
    for x_m, y_m in ground:
        if len(chosen) >= policy.walking:
            break
        if all(math.hypot(x_m - c.x_m, y_m - c.y_m) >= policy.person_apart_m for c in chosen):
            radius_m = chance.uniform(1.0, 4.0)
            chosen.append(
                _Stroll(
                    x_m,
                    y_m,
                    radius_m,
                    math.tau * radius_m / chance.uniform(0.8, 1.4),
                    chance.uniform(0.0, math.tau),
                    chance.uniform(1.6, 1.85),
                    chance.randrange(2**31),
                )
            )
    return chosen


def _still(
    kind: str,
    places: list[tuple[float, float]],
    number: int,
    size_m: tuple[float, float],
    chance: Random,
) -> list[Item]:
    return [
        Item(
            kind,
            x_m,
            y_m,
            chance.uniform(*size_m),
            chance.uniform(0.0, 360.0),
            chance.randrange(2**31),
        )
        for x_m, y_m in places[:number]
    ]
