"""Paths that cover an area with a strip: sweep lines, their order and the connections, as one path.

The search starts from spirals along the contour and from sweeps at every angle, anneals the path's
own vertices against a raster (geo.search), and ends with exact checks (geo.strip): a plan that
covers less than the wanted share, or leaves the open sky, never leaves `plan`. All of it is counted
in moves, never in seconds, and drawn from a seed: the same call gives the same path.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import LineString, MultiPolygon, Polygon
from shapely.geometry.base import BaseGeometry

from geo.pockets import polygons, visit_pockets
from geo.routes import FlightModel, OpenSky, Point, flight_time_s, length_m
from geo.search import LENGTH, TIME, Field, Found, Heat
from geo.starts import ring_edges, spiral, sweep_lines
from geo.starts import sweep as sweep_start
from geo.strip import FLAT, Strip, coverage_share, covered

__all__ = [
    "BEST",
    "LENGTH",
    "QUICK",
    "TIME",
    "Effort",
    "NoSweep",
    "Strip",
    "Sweep",
    "coverage_share",
    "covered",
    "own_sky",
    "plan",
    "swath_m",
    "sweep",
]  # fmt: skip

Floats = NDArray[np.float64]
MARGIN_M = 0.004
"""How far inside the open sky a path stays, so that rounding never carries it out."""
_ANGLES_DEG = 3
_SAME_M = 1e-6
_USUAL_WIDTHS2 = 130.0


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is searched, in moves for 130 squared widths without holes; more for more."""

    first_cells: float
    last_cells: float
    """Of the raster per width: while starts are compared, and for the last search."""
    spacings: tuple[float, ...]
    sweeps: int
    first_moves: int
    kept: int
    second_moves: int
    last_moves: int
    polish_rounds: int
    polish_moves: int
    tries: int = 1
    """Of each spiral, where holes make the order matter: it is settled early and by chance."""


QUICK = Effort(20.0, 28.0, (0.95, 0.98), 2, 8_000, 1, 60_000, 0, 4, 6_000)
BEST = Effort(24.0, 40.0, (0.93, 0.96, 0.98, 1.0), 4, 60_000, 3, 240_000, 1_100_000, 5, 50_000, 3)
_LAST_AFTER_TRIES = 0.7
"""What is left of the last search, so that several tries cost no more."""
_PATIENT, _MOST_PATIENT, _PER_HOLE = 1.5, 4.0, 0.2
# A second is dearer than its metres of cruise where every corner costs one, so what is missing must
# be dearer too.
_MOST_BIAS = 0.6
"""Of the missing area allowed, how much may be what the raster overlooks."""
_SHRINK_CELLS = 0.04
# Asked for more than 99.95 %, hardly any gap may be overlooked.
_STRICT_MISSING, _STRICT_CELLS = 0.0005, 0.2
_CATCH_UP = {LENGTH: 8.0, TIME: 25.0}
"""What it takes, in widths, to cover a squared width still missing: to compare unfinished paths."""
_HEATS = {
    LENGTH: Heat(),
    TIME: Heat(warm=0.05, cold=0.003, light=10.0, heavy=60.0, bend=0.01),
}
_OPEN = replace(_HEATS[LENGTH], light=3.0)
"""While starts are compared and holes leave the order open: gaps are cheap at first."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """A path over an area. `uncovered` is what it leaves out; `swaths` counts its long runs."""

    path: tuple[Point, ...]
    swath_m: float
    swaths: int
    coverage: float
    length_m: float
    time_s: float
    uncovered: BaseGeometry


@dataclass(frozen=True, slots=True)
class NoSweep:
    """Why an area cannot be swept: `code` for programs, `message` names the field and the cure.

    `where` is the ground that stays unseen, in local metres, where that is the reason.
    """

    code: str
    message: str
    where: BaseGeometry | None = None


def swath_m(height_agl_m: float, hfov_deg: float, overlap: float) -> float:
    """Return the spacing of lines for a nadir camera: the footprint's width less the overlap."""
    if not 0.0 < hfov_deg < 180.0:
        raise ValueError(f"hfov_deg must lie in 0..180, got {hfov_deg!r}")
    if not 0.0 <= overlap < 1.0:
        raise ValueError(f"overlap must lie in 0..1, got {overlap!r}")
    return 2.0 * height_agl_m * math.tan(math.radians(hfov_deg) / 2.0) * (1.0 - overlap)


def sweep(
    area: Polygon | MultiPolygon,
    width_m: float,
    *,
    sky: OpenSky | None = None,
    wanted: float = 0.99,
    model: FlightModel | None = None,
    effort: Effort = QUICK,
    seed: int = 0,
) -> Sweep | NoSweep:
    """Plan the fastest path found whose flat-ended strip covers `wanted` of `area`.

    Where that share cannot be reached, the plan that covers most, for the caller to judge by
    `coverage` and `uncovered`; `plan` is the strict form.
    """
    refused = _unfit(area, width_m, wanted)
    if refused is not None:
        return refused
    strip = Strip(width_m)
    planner = _Planner(area, strip, sky, wanted, TIME, effort, seed, model)
    hidden_m2 = planner.hidden().area
    if hidden_m2 > 0.0:
        # What nobody can see is not sought for.
        wanted = max(1e-6, wanted - hidden_m2 / area.area)
        planner = _Planner(area, strip, sky, wanted, TIME, effort, seed, model)
    return planner.most()


def plan(
    area: Polygon | MultiPolygon,
    strip: Strip,
    *,
    sky: OpenSky | None = None,
    wanted: float = 0.999,
    objective: str = TIME,
    effort: Effort = BEST,
    seed: int = 0,
    model: FlightModel | None = None,
    say: Callable[[str], None] | None = None,
) -> Sweep | NoSweep:
    """Plan a path whose strip covers at least `wanted` of `area` (local metres).

    `sky` is where one may fly; None keeps the path within the area itself and out of its holes
    (between the parts of a multipolygon, within their convex hull). `objective` is TIME or LENGTH.
    """
    if objective not in (TIME, LENGTH):
        return NoSweep("bad_objective", f"objective must be time or length, got {objective!r}")
    refused = _unfit(area, strip.width_m, wanted)
    if refused is not None:
        return refused
    planner = _Planner(area, strip, sky, wanted, objective, effort, seed, model, say)
    unreachable = planner.unreachable()
    if unreachable is not None:
        return unreachable
    found = planner.most()
    if isinstance(found, NoSweep) or found.coverage >= wanted:
        return found
    if strip.ends != FLAT and found.coverage == 0.0:
        return NoSweep(
            "no_straight_leg",
            f"no straight leg of half a swath ({strip.shortest_m:g} m) fits into the ground that "
            "may be flown over, and shorter ones do not count with footprint ends: widen the sky, "
            "or take flat ends",
            found.uncovered,
        )
    largest = max(polygons(found.uncovered), key=lambda p: p.area, default=found.uncovered)
    point = largest.representative_point()
    return NoSweep(
        "not_covered",
        f"{_cut(found.coverage)} of the area was reached, {wanted:g} was asked; {largest.area:.1f} "
        f"m² around ({point.x:.1f}, {point.y:.1f}) and {found.uncovered.area:.1f} m² in all stay "
        "unseen: lower the coverage, widen the sky, or narrow the swath",
        found.uncovered,
    )


def _cut(share: float) -> str:
    return f"{math.floor(share * 1e5) / 1e5:.5f}"


def _unfit(area: Polygon | MultiPolygon, width_m: float, wanted: float) -> NoSweep | None:
    if not (math.isfinite(width_m) and width_m > 0.0):
        return NoSweep("bad_swath", f"swath must be a positive number of metres, got {width_m!r}")
    if not 0.0 < wanted <= 1.0:
        return NoSweep("bad_coverage", f"coverage must lie in 0..1, got {wanted!r}")
    if area.is_empty or area.area <= 0.0:
        return NoSweep("empty_area", "the area has no extent: give a polygon with an area")
    if not area.is_valid:
        why = shapely.is_valid_reason(area)
        return NoSweep("invalid_area", f"the area is not a valid polygon ({why}): mend its rings")
    return None


def own_sky(area: Polygon | MultiPolygon) -> Polygon | MultiPolygon:
    """Between separate parts one flies straight; holes of a part stay closed."""
    if isinstance(area, Polygon):
        return area
    if len(area.geoms) == 1:
        return area.geoms[0]
    filled = shapely.union_all([Polygon(part.exterior) for part in area.geoms])
    open_ground = area.convex_hull.difference(filled.difference(area))
    assert isinstance(open_ground, Polygon | MultiPolygon)
    return open_ground


class _Planner:
    """One area's search: its raster, its sky, and the best exact plan so far."""

    def __init__(
        self,
        area: Polygon | MultiPolygon,
        strip: Strip,
        sky: OpenSky | None,
        wanted: float,
        objective: str,
        effort: Effort,
        seed: int,
        model: FlightModel | None,
        say: Callable[[str], None] | None = None,
    ) -> None:
        self.area, self.strip, self.wanted = area, strip, wanted
        self.objective, self.seed = objective, seed
        self.holes = sum(len(p.interiors) for p in polygons(area))
        self.effort = _spread(effort) if self.holes else replace(effort, tries=1)
        self.model = model or FlightModel()
        self.say = say or (lambda _: None)
        self.free = own_sky(area) if sky is None else sky.free
        self.margin_m = min(MARGIN_M, strip.width_m / 2000.0)
        self.room = _largest(self.free, self.margin_m)
        self.allowed_m2 = (1.0 - wanted) * area.area
        self.bias_m2 = min(0.0005 * area.area, _MOST_BIAS * self.allowed_m2)
        self.best: Sweep | None = None

    def hidden(self) -> BaseGeometry:
        """The ground no allowed flight can see."""
        if self.room is None:
            return self.area
        far = self.strip.width_m / 2.0
        if self.strip.ends != FLAT:
            far = math.hypot(far, max(self.strip.reach_m, 0.0))
        return self.area.difference(self.room.buffer(far + self.margin_m))

    def unreachable(self) -> NoSweep | None:
        """Why the share cannot be reached, where too much ground is hidden for any flight."""
        if self.room is None:
            return NoSweep("not_reachable", "no part of the area can be flown over: widen the sky")
        hidden = self.hidden()
        if hidden.area <= self.allowed_m2 + 1e-9:
            return None
        largest = max(polygons(hidden), key=lambda p: p.area, default=hidden)
        point = largest.representative_point()
        return NoSweep(
            "not_reachable",
            f"{hidden.area:.1f} m² lie further than half a swath from all ground that may be flown "
            f"over in one flight, the largest part ({largest.area:.1f} m²) around ({point.x:.1f}, "
            f"{point.y:.1f}): widen the sky, lower the coverage, or plan that part by itself",
            hidden,
        )

    def most(self) -> Sweep | NoSweep:
        """Search; return the best plan that covers enough, else the one that covers most."""
        if self.room is None:
            return NoSweep("not_reachable", "no part of the area can be flown over: widen the sky")
        tight = _largest(self.room, self.margin_m) or self.room
        self.sky = OpenSky(tight)
        try:
            self.field = Field(self.area, self.room, self.strip, self.effort.first_cells)
        except ValueError as error:
            return NoSweep("bad_swath", f"{error}: widen the swath or split the area")
        starts = self._starts()
        if not starts:
            return NoSweep(
                "not_reachable",
                "no straight leg fits into the ground that may be flown over: widen the sky",
            )
        self._search(starts)
        if self.best is None:
            return NoSweep("not_reachable", "no path found stays in the sky: widen the sky")
        return self.best

    def _moves(self, usual: int) -> int:
        size = self.area.area / self.strip.width_m**2 / _USUAL_WIDTHS2
        most = max(_PATIENT, min(_MOST_PATIENT, size / 6.0))
        return int(usual * max(0.15, min(size, most)) * (1.0 + min(1.0, _PER_HOLE * self.holes)))

    def _starts(self) -> list[list[Point]]:
        width = self.strip.width_m
        edges = ring_edges(self.area)
        starts = [
            spiral(self.area, width, width * s / 2.0, width * s, self.sky)
            for s in self.effort.spacings
        ] * self.effort.tries
        angles = sorted(range(0, 180, _ANGLES_DEG), key=lambda a: self._promise(edges, a))
        starts += [
            sweep_start(sweep_lines(edges, width, angle), width, self.sky)
            for angle in angles[: self.effort.sweeps]
        ]
        fit = [s for s in starts if s is not None and 2 <= len(s) <= 2000]
        return fit or _single_leg(self.sky, width)

    def _promise(self, edges: Floats, angle_deg: float) -> float:
        """Widths of line at an angle, each line costing a turn and a stop."""
        lines = sweep_lines(edges, self.strip.width_m, angle_deg)
        return sum(math.dist(a, b) for a, b in lines) + 2.0 * self.strip.width_m * len(lines)

    def _search(self, starts: Sequence[Sequence[Point]]) -> None:
        """Search every start briefly, the best few longer, the best of those longest."""
        effort = self.effort
        first = [self._first(s, i) for i, s in enumerate(starts)]
        self.say(f"{len(first)} starts searched")
        kept = sorted(first, key=self._merit)[: effort.kept]
        second = [
            self._anneal(f.path, effort.second_moves, 100 + i, self.objective)
            for i, f in enumerate(kept)
        ]
        for found in second:
            self._judge(found.path)
        chosen = min(second, key=self._merit)
        self._learn_bias(chosen)
        assert self.room is not None
        self.field = Field(self.area, self.room, self.strip, effort.last_cells)
        self.shrink = _STRICT_CELLS if 1.0 - self.wanted < _STRICT_MISSING else 0.0
        if effort.last_moves:
            chosen = self._anneal(
                chosen.path, effort.last_moves, 200, self.objective, None, self.shrink
            )
        self.say("polishing")
        self._polish(chosen)

    def _first(self, start: Sequence[Point], salt: int) -> Found:
        """A path that is short is a good one to make fast: every other start is shortened first."""
        moves = self.effort.first_moves
        if self.objective == TIME and salt % 2 == 0:
            short = self._anneal(start, moves // 2, salt, LENGTH)
            return self._anneal(short.path, moves // 2, salt, TIME)
        heat = _OPEN if self.holes and self.objective == LENGTH else None
        return self._anneal(start, moves, salt, self.objective, heat)

    def _merit(self, found: Found) -> float:
        short_m2 = max(0.0, found.missing_m2 - self.allowed_m2 + self.bias_m2)
        return found.cost + _CATCH_UP[self.objective] * short_m2 / self.strip.width_m**2

    def _anneal(
        self,
        path: Sequence[Point],
        moves: int,
        salt: int,
        objective: str,
        heat: Heat | None = None,
        shrink_cells: float = 0.0,
    ) -> Found:
        return self.field.search(
            path,
            allowed_m2=max(0.0, self.allowed_m2 - self.bias_m2),
            moves=self._moves(moves),
            seed=self.seed * 1000 + salt,
            heat=heat or _HEATS[objective],
            objective=objective,
            model=self.model,
            shrink_cells=shrink_cells,
        )

    def _learn_bias(self, found: Found) -> None:
        """What the raster missed of what is missing, so that the next search aims right."""
        bias_m2 = self._exact_m2(found) - found.missing_m2
        self.bias_m2 = min(max(bias_m2, 0.0), _MOST_BIAS * self.allowed_m2)

    def _polish(self, found: Found) -> None:
        """Aim by the exact share until it is just enough; then see to pockets by hand."""
        usual = _HEATS[self.objective]
        calm = replace(usual, warm=0.004, cold=0.001, light=usual.heavy, wide=0.2, narrow=0.05)
        shrink = self.shrink
        for round_ in range(self.effort.polish_rounds):
            self._judge(found.path)
            exact_m2 = self._exact_m2(found)
            self.bias_m2 = max(exact_m2 - found.missing_m2, 0.0) + 1e-6 * self.area.area
            if self.bias_m2 > _MOST_BIAS * self.allowed_m2:
                # Gaps too thin for the raster: what it sees cannot be traded for them.
                self.bias_m2 = _MOST_BIAS * self.allowed_m2
                shrink += _SHRINK_CELLS * (1.0 if exact_m2 > self.allowed_m2 else 0.0)
            found = self._anneal(
                found.path, self.effort.polish_moves, 300 + round_, self.objective, calm, shrink
            )
        self._judge(found.path)
        if self.best is None or self.best.coverage < self.wanted:
            path = visit_pockets(self.area, list(found.path), self.strip, self.sky, self.wanted)
            self._judge(tuple(path))

    def _exact_m2(self, found: Found) -> float:
        return (1.0 - coverage_share(self.area, found.path, self.strip)) * self.area.area

    def _judge(self, path: tuple[Point, ...]) -> None:
        """Take a path as the best so far, if exact figures say so and it stays in the sky."""
        path = tuple(p for i, p in enumerate(path) if i == 0 or math.dist(path[i - 1], p) > _SAME_M)
        if len(path) < 2 or not shapely.covers(self.free, LineString(path)):
            return
        found = _swept(self.area, path, self.strip, self.model)
        if self.best is None or self._order(found) < self._order(self.best):
            self.best = found

    def _order(self, found: Sweep) -> tuple[float, float]:
        if found.coverage < self.wanted:
            return (1.0 - found.coverage, 0.0)
        return (0.0, found.time_s if self.objective == TIME else found.length_m)


def _spread(effort: Effort) -> Effort:
    """The same work, with more of it on several tries and less on the last search."""
    if effort.tries == 1:
        return effort
    return replace(effort, last_moves=int(effort.last_moves * _LAST_AFTER_TRIES))


def _swept(
    area: Polygon | MultiPolygon, path: tuple[Point, ...], strip: Strip, model: FlightModel
) -> Sweep:
    seen = covered(path, strip)
    return Sweep(
        path=path,
        swath_m=strip.width_m,
        swaths=sum(math.dist(a, b) >= strip.width_m for a, b in pairwise(path)),
        coverage=float(area.intersection(seen).area / area.area),
        length_m=length_m(path),
        time_s=flight_time_s(path, model),
        uncovered=area.difference(seen),
    )


def _largest(free: Polygon | MultiPolygon, margin_m: float) -> Polygon | None:
    """The largest connected piece of open ground, a margin inside its border."""
    inner = free.buffer(-margin_m, join_style="mitre")
    return max(polygons(inner, 0.0), key=lambda p: p.area, default=None)


def _single_leg(sky: OpenSky, width_m: float) -> list[list[Point]]:
    """The longest chord of the sky through its middle: where nothing else fits."""
    point = sky.free.representative_point()
    far = max(sky.free.length, width_m)
    best: tuple[float, list[Point]] = (0.0, [])
    for step in range(36):
        c, s = math.cos(math.pi * step / 36), math.sin(math.pi * step / 36)
        ends = [(point.x - far * c, point.y - far * s), (point.x + far * c, point.y + far * s)]
        for part in shapely.get_parts(sky.free.intersection(LineString(ends))):
            xy = [(float(x), float(y)) for x, y in shapely.get_coordinates(part)]
            if len(xy) > 1 and part.length > best[0] and part.distance(point) < _SAME_M:
                best = (part.length, [xy[0], xy[-1]])
    return [best[1]] if best[1] else []

