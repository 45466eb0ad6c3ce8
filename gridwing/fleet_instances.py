"""Seeded patrol instances of several sizes, docks, drone types and windows, for the benchmark.

A district of square cells round its closed airspace. Risk gathers in a few spots, as it does round
markets and schools; each cell is a sweep. Between them lie errands, points to hover over, many with
hours of their own. Docks come on duty one after the other, as their batteries allow.
"""

import math
import random
from dataclasses import dataclass

import shapely
from shapely.geometry import MultiPolygon, Polygon, box
from shapely.geometry import Point as Spot
from shapely.geometry.base import BaseGeometry

from geo.routes import FlightModel, OpenSky, Point
from services.patrol.fleet.idleness import Watch
from services.patrol.fleet.problem import Craft, Fleet, Handling, Task
from services.patrol.fleet.ways import Ways

ENDURANCE_S = 2100.0
RESERVE_PCT = 20.0
TURNAROUND_S = 120.0
CHARGE_PCT_S = 80.0 / 1500.0
"""From reserve to full in 25 minutes."""
REVISIT_S = 3600.0
_PRIZE_PER_RISK_S = 400.0
_CELL_M = 300.0
_NO_FLY_RADIUS_M = (120.0, 300.0)
_CRUISE_M_S = (12.0, 15.0, 10.0)


@dataclass(frozen=True, slots=True)
class Size:
    """How large an instance is. `windowed` is the share of errands with hours of their own."""

    cells: int
    errands: int
    docks: int
    drones: int
    hours: float
    windowed: float = 0.7
    window_s: float = 3600.0
    types: int = 1
    no_fly: int = 2


SIZES = (
    Size(40, 20, 1, 2, 3.0),
    Size(60, 40, 2, 3, 3.0, types=2),
    Size(80, 60, 2, 4, 3.0, 0.5, 5400.0, types=2),
    Size(100, 100, 3, 6, 2.0, 0.3, no_fly=4),
    Size(140, 80, 3, 6, 4.0, 0.5, 5400.0, types=2),
    Size(220, 120, 5, 10, 4.0, types=3, no_fly=5),
)
SEEDS = (1, 2, 3, 4)
_BRIEF_SEEDS = 3
_BRIEF_CELLS = 60
"""A brief run leaves the last seed of larger districts out."""


@dataclass(frozen=True)
class Instance:
    """A fleet's problem, the cells as watches, the ways, and what is closed."""

    name: str
    fleet: Fleet
    watches: tuple[Watch, ...]
    ways: Ways
    closed: tuple[Polygon, ...]


def instances(full: bool = True) -> list[tuple[str, Size, int]]:
    """Return the name, size and seed of every instance of the benchmark: 24, or 20 of them."""
    return [
        (f"{size.cells}c{size.errands}e{size.drones}d-{seed}", size, seed)
        for size in SIZES
        for seed in SEEDS
        if full or size.cells <= _BRIEF_CELLS or seed <= _BRIEF_SEEDS
    ]


def generate(name: str, size: Size, seed: int) -> Instance:
    """Return an instance; the same name, size and seed always give the same one."""
    rng = random.Random(seed * 1_000 + size.cells)
    side = math.ceil(math.sqrt(size.cells * 1.2))
    side_m = side * _CELL_M
    closed = tuple(_octagon(rng, side_m) for _ in range(size.no_fly))
    free: BaseGeometry = box(-1000.0, -1000.0, side_m + 1000.0, side_m + 1000.0)
    free = free.difference(shapely.union_all(closed))
    assert isinstance(free, Polygon | MultiPolygon)
    ways = Ways(OpenSky(free))
    horizon_s = size.hours * 3600.0
    docks = [_open_point(rng, side_m, ways) for _ in range(size.docks)]
    models = tuple(FlightModel(v, 2.5, 2.0) for v in _CRUISE_M_S[: size.types])
    crafts = tuple(_craft(i, docks, size) for i in range(size.drones))
    spots = [(rng.uniform(0, side_m), rng.uniform(0, side_m)) for _ in range(max(2, side // 3))]
    cells = [(x, y) for x in range(side) for y in range(side)]
    open_cells = [c for c in cells if not any(g.intersects(_square(*c)) for g in closed)]
    tasks: list[Task] = []
    watches: list[Watch] = []
    for x, y in sorted(rng.sample(open_cells, min(size.cells, len(open_cells)))):
        middle = ((x + 0.5) * _CELL_M, (y + 0.5) * _CELL_M)
        near_m = min(math.dist(middle, s) for s in spots)
        risk = 3.0 if near_m < _CELL_M else 2.0 if near_m < 2.0 * _CELL_M else 1.0
        code = f"c{x:02d}{y:02d}"
        watches.append(Watch(len(tasks), risk / REVISIT_S, float(rng.randint(0, 3600)) / risk))
        swept, prize = _sweep(rng, x, y, models), _PRIZE_PER_RISK_S * risk
        tasks.append(Task(code, swept, prize, cell_code=code))
    tasks += [_errand(rng, n, size, side_m, ways) for n in range(size.errands)]
    starts = [c.home for c in crafts]
    travel = tuple(
        ways.seconds(
            starts + [_of(t, kind).exit for t in tasks],
            starts + [_of(t, kind).entry for t in tasks],
            model,
        )
        for kind, model in enumerate(models)
    )
    fleet = Fleet(tuple(tasks), crafts, models, travel, horizon_s)
    return Instance(name, fleet, tuple(watches), ways, closed)


def _of(task: Task, kind: int) -> Handling:
    handling = task.handlings[kind]
    assert handling is not None
    return handling


def _square(x: int, y: int) -> Polygon:
    return box(x * _CELL_M, y * _CELL_M, (x + 1) * _CELL_M, (y + 1) * _CELL_M)


def _sweep(
    rng: random.Random, x: int, y: int, models: tuple[FlightModel, ...]
) -> tuple[Handling, ...]:
    """Return three or four lines over a cell, flown from rest to rest."""
    lines = rng.choice((3, 4))
    path: list[Point] = []
    for line in range(lines):
        across = (line + 0.5) / lines * _CELL_M
        ends = [(x * _CELL_M + 20.0, y * _CELL_M + across)]
        ends.append(((x + 1) * _CELL_M - 20.0, y * _CELL_M + across))
        path += ends if line % 2 == 0 else ends[::-1]
    return tuple(Handling.swept(tuple(path), model) for model in models)


def _errand(rng: random.Random, number: int, size: Size, side_m: float, ways: Ways) -> Task:
    horizon_s = size.hours * 3600.0
    hover = Handling((_open_point(rng, side_m, ways),), float(rng.randint(20, 60)))
    opens, closes = 0.0, horizon_s
    if rng.random() < size.windowed:
        opens = float(rng.randint(0, int(horizon_s - size.window_s)))
        closes = opens + size.window_s
    prize = _PRIZE_PER_RISK_S * rng.choice((1.0, 2.0, 3.0))
    return Task(f"e{number}", (hover,) * size.types, prize, opens, closes)


def _craft(index: int, docks: list[Point], size: Size) -> Craft:
    x, y = docks[index % len(docks)]
    # Docks of one site stand beside each other.
    home = (x + 15.0 * (index // len(docks)), y)
    usable = ENDURANCE_S * (100.0 - RESERVE_PCT) / 100.0
    charge_s_per_s = 100.0 / ENDURANCE_S / CHARGE_PCT_S
    cycle_s = usable * (1.0 + charge_s_per_s) + TURNAROUND_S
    return Craft(
        f"DRONE{index + 1}",
        f"DOCK{index + 1}",
        home,
        index % size.types,
        usable,
        ready_s=float(int(cycle_s * index / size.drones / 2.0)),
        turnaround_s=TURNAROUND_S,
        charge_s_per_s=charge_s_per_s,
    )


def _open_point(rng: random.Random, side_m: float, ways: Ways) -> Point:
    while True:
        point = (rng.uniform(0.0, side_m), rng.uniform(0.0, side_m))
        if ways.way(point, point) is not None:
            return point


def _octagon(rng: random.Random, side_m: float) -> Polygon:
    x, y = rng.uniform(0.0, side_m), rng.uniform(0.0, side_m)
    shape = Spot(x, y).buffer(rng.uniform(*_NO_FLY_RADIUS_M), quad_segs=2)
    assert isinstance(shape, Polygon)
    return shape
