"""An independent simulator of a plan: it flies every sortie and counts what breaks a rule.

It shares no code with the planner: its own kinematics, battery, airspace and separation, from the
timetable's values and the aircraft's own figures alone. What it flags is not released.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import LineString
from shapely.geometry.base import BaseGeometry

from services.patrol.fleet.timetable import PlannedSortie, PlannedVisit

Spot = tuple[float, float]
Samples = npt.NDArray[np.float64]

_SAMPLE_S = 0.5
_STEP_M = 25.0
_LATE_S = 2.0
_NEAR_M = 1.0
_PCT = 1e-3
_HEIGHT_M = 0.05


@dataclass(frozen=True, slots=True)
class Aircraft:
    """What is true of a drone: where it lives, how it flies, and what its battery does.

    `battery_pct` is its charge at `ready_s`; while docked it gains `charge_pct_s` after
    `turnaround_s`. `margin` scales the flight time its battery must be good for.
    """

    drone_sn: str
    dock_sn: str
    home: Spot
    cruise_m_s: float
    accel_m_s2: float
    corner_cut_m: float
    endurance_s: float
    reserve_pct: float
    climb_and_land_s: float
    turnaround_s: float
    charge_pct_s: float
    ready_s: float = 0.0
    battery_pct: float = 100.0
    margin: float = 1.0


@dataclass(frozen=True, slots=True)
class Closed:
    """Ground that is closed between two true heights, in local metres."""

    code: str
    ground: BaseGeometry
    floor_agl_m: float
    ceiling_agl_m: float


@dataclass(frozen=True, slots=True)
class Rules:
    """What every plan must keep. Two of our own keep `apart_m` sideways or `apart_height_m` in
    height at every moment. `ground_m` gives the ground's height at (n, 2) places (None: flat);
    with `home_clear` a straight way home may not meet closed airspace either."""

    closed: tuple[Closed, ...] = ()
    margin_m: float = 0.0
    ceiling_agl_m: float = 120.0
    apart_m: float = 30.0
    apart_height_m: float = 8.0
    floor_agl_m: float = 0.0
    ground_m: Callable[[Samples], Samples] | None = None
    home_clear: bool = False


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule: `code`, whose sortie (by its place in the plan), when, and what."""

    code: str
    drone_sn: str
    sortie: int
    at_s: float
    message: str


@dataclass(frozen=True, slots=True)
class Flown:
    """What the simulator saw of one sortie."""

    lands_s: float
    battery_after_pct: float
    visited: tuple[tuple[str, float], ...]
    """(task id, second it was finished)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """All violations, and each sortie as it was flown, in the plan's order."""

    violations: tuple[Violation, ...]
    flown: tuple[Flown, ...]

    @property
    def flight_s(self) -> float:
        return sum(f.lands_s for f in self.flown)


def judge(
    sorties: Sequence[PlannedSortie], aircraft: Sequence[Aircraft], rules: Rules
) -> Verdict:
    """Fly a plan and return what it breaks; an empty list of violations releases it."""
    known = {a.drone_sn: a for a in aircraft}
    alone = len({s.drone_sn for s in sorties}) < 2
    found: list[Violation] = []
    tracks: list[_Track] = []
    flown: dict[int, Flown] = {}
    landed: dict[str, tuple[float, float]] = {}
    for index in sorted(range(len(sorties)), key=lambda i: (sorties[i].leaves_s, i)):
        sortie = sorties[index]
        craft = known.get(sortie.drone_sn)
        if craft is None:
            text = "the fleet has no such drone"
            found.append(_broken("unknown_drone", sortie, index, 0.0, text))
            flown[index] = Flown(sortie.lands_s, 0.0, ())
            continue
        flight = _Flight(sortie, craft, math.inf if alone else _STEP_M)
        found += flight.broken(index, rules)
        battery, why = _battery(craft, sortie, landed.get(craft.drone_sn))
        found += [_broken(code, sortie, index, sortie.leaves_s, text) for code, text in why]
        spent_s = (flight.at_s - sortie.leaves_s) * craft.margin + craft.climb_and_land_s
        after = battery - 100.0 * spent_s / craft.endurance_s
        if after < craft.reserve_pct - _PCT:
            text = f"lands with {after:.1f} %, the reserve is {craft.reserve_pct:g} %"
            found.append(_broken("below_reserve", sortie, index, flight.at_s, text))
        landed[craft.drone_sn] = (flight.at_s, after)
        flown[index] = Flown(flight.at_s, after, tuple(flight.visited))
        if not alone:
            climb_s = craft.climb_and_land_s / 2.0
            tracks.append(_Track(index, sortie, flight.samples(), climb_s))
    found += _too_near(tracks, rules)
    return Verdict(tuple(found), tuple(flown[i] for i in range(len(sorties))))


def _broken(code: str, sortie: PlannedSortie, index: int, at_s: float, message: str) -> Violation:
    return Violation(code, sortie.drone_sn, index, at_s, message)


def _battery(
    craft: Aircraft, sortie: PlannedSortie, last: tuple[float, float] | None
) -> tuple[float, list[tuple[str, str]]]:
    """Return the charge a sortie leaves with, and what is wrong with its dock and its hour."""
    why = []
    if sortie.dock_sn != craft.dock_sn:
        why.append(("dock_occupied", f"dock {sortie.dock_sn} does not house this drone"))
    since_s, charge = (craft.ready_s, craft.battery_pct) if last is None else last
    rested_s = sortie.leaves_s - since_s
    if last is None:
        if rested_s < -_PCT:
            why.append(("not_ready", f"leaves {-rested_s:.0f} s before the drone is ready"))
    else:
        rested_s -= craft.turnaround_s
        if rested_s < -_PCT:
            why.append(("dock_occupied", f"leaves {-rested_s:.0f} s before its dock has turned it"))
    return min(100.0, charge + max(0.0, rested_s) * craft.charge_pct_s), why


@lru_cache(8)
def _kept(rules: Rules) -> tuple[tuple[Closed, BaseGeometry], ...]:
    """Return each closed volume with the ground it keeps one from; the margin's border is open,
    since ways round a volume follow it."""
    found = tuple((c, c.ground.buffer(rules.margin_m - 0.1)) for c in rules.closed)
    for _, ground in found:
        shapely.prepare(ground)
    return found


@dataclass(frozen=True, slots=True)
class _Track:
    """A sortie as flown: (time, x, y) rows, and the seconds it climbs before and sinks after."""

    index: int
    sortie: PlannedSortie
    rows: Samples
    climb_s: float


class _Flight:
    """One sortie flown leg by leg, each stretch from rest to rest."""

    def __init__(self, sortie: PlannedSortie, craft: Aircraft, step_m: float) -> None:
        self._sortie, self._craft, self._step_m = sortie, craft, step_m
        self.at_s = sortie.leaves_s
        self.visited: list[tuple[str, float]] = []
        self._where: list[tuple[float, float, float]] = [(self.at_s, *craft.home)]
        self._late: list[tuple[str, float, str]] = []
        self._here: Spot = craft.home
        if len(sortie.ways) != len(sortie.visits) + 1:
            self._late.append(("broken_path", self.at_s, "one way per visit and one home"))
            return
        for way, visit in zip(sortie.ways, sortie.visits, strict=False):
            self._follow(way)
            self._do(visit)
        self._follow(sortie.ways[-1])
        if math.dist(self._here, craft.home) > _NEAR_M:
            self._late.append(("broken_path", self.at_s, "does not end at its dock"))
        if self.at_s > sortie.lands_s + _LATE_S:
            text = f"lands {self.at_s - sortie.lands_s:.0f} s later than told"
            self._late.append(("late_landing", self.at_s, text))

    def _do(self, visit: PlannedVisit) -> None:
        if self.at_s < visit.opens_s:
            self._wait(visit.opens_s - self.at_s)
        if self.at_s > visit.closes_s + _LATE_S:
            text = f"{visit.task_id} begins {self.at_s - visit.closes_s:.0f} s after it closes"
            self._late.append(("window_missed", self.at_s, text))
        self._follow(visit.path)
        self._wait(visit.hold_s)
        self.visited.append((visit.task_id, self.at_s))

    def _wait(self, for_s: float) -> None:
        self.at_s += for_s
        self._where.append((self.at_s, *self._here))

    def _follow(self, path: Sequence[Spot]) -> None:
        if not path:
            return
        if math.dist(self._here, path[0]) > _NEAR_M:
            text = f"jumps {math.dist(self._here, path[0]):.0f} m between two legs"
            self._late.append(("broken_path", self.at_s, text))
        for x, y, after_s in _run(path, self._craft, self._step_m):
            self._where.append((self.at_s + after_s, x, y))
        self.at_s = self._where[-1][0] if len(path) > 1 else self.at_s
        self._here = path[-1]

    def samples(self) -> Samples:
        """Return (time, x, y) rows every half second from departure to landing."""
        rows = np.asarray(self._where)
        times = np.arange(math.ceil(rows[0, 0] / _SAMPLE_S), rows[-1, 0] / _SAMPLE_S) * _SAMPLE_S
        x, y = np.interp(times, rows[:, 0], rows[:, 1]), np.interp(times, rows[:, 0], rows[:, 2])
        return np.stack([times, x, y], axis=1)

    def broken(self, index: int, rules: Rules) -> list[Violation]:
        sortie = self._sortie
        found = [_broken(code, sortie, index, at, text) for code, at, text in self._late]
        if sortie.height_agl_m > rules.ceiling_agl_m:
            text = f"{sortie.height_agl_m:g} m is above {rules.ceiling_agl_m:g} m true height"
            found.append(_broken("too_high", sortie, index, sortie.leaves_s, text))
        points = [p for path in (*sortie.ways, *(v.path for v in sortie.visits)) for p in path]
        lines = [
            LineString(path)
            for path in (*sortie.ways, *(v.path for v in sortie.visits))
            if len(path) > 1
        ]
        if not points:
            return found
        for volume, kept in _kept(rules):
            under = sortie.height_agl_m > volume.floor_agl_m - rules.margin_m
            if not (under and sortie.height_agl_m < volume.ceiling_agl_m + rules.margin_m):
                continue
            if shapely.intersects(kept, lines).any():
                found.append(
                    _broken("closed_airspace", sortie, index, sortie.leaves_s, volume.code)
                )
        if rules.ground_m is not None or rules.home_clear:
            legs = zip(sortie.ways, sortie.visits, strict=False)
            path = (*(p for w, v in legs for p in (*w, *v.path)), *sortie.ways[-1])
            found += [
                _broken(code, sortie, index, sortie.leaves_s, text)
                for code, text in _heights(path, self._craft.home, sortie.height_agl_m, rules)
            ]
        return found


@lru_cache(4096)
def _heights(
    points: tuple[Spot, ...], home: Spot, height_agl_m: float, rules: Rules
) -> tuple[tuple[str, str], ...]:
    """Return what is wrong with the true heights of a path whose points are flown `height_agl_m`
    over the ground below them, and with the straight ways home from everywhere on it."""
    ground_m = rules.ground_m or _level
    corners = np.asarray(points, float)
    tops = ground_m(corners) + height_agl_m
    if len(points) > 1:
        # The climb over the dock goes on to the height of where it flies first.
        tops[0] = tops[np.argmax(np.hypot(*(corners - corners[0]).T) > _NEAR_M)]
    flown = _along(np.column_stack([corners, tops]))
    above = flown[:, 2] - ground_m(flown[:, :2])
    found = []
    if above.min() < rules.floor_agl_m - _HEIGHT_M:
        found.append(("too_low", f"{above.min():.0f} m true height on the way"))
    if above.max() > rules.ceiling_agl_m + _HEIGHT_M:
        found.append(("too_high", f"{above.max():.0f} m true height on the way"))
    why = _no_way_home(flown, home, rules, ground_m)
    return (*found, ("no_way_home", why)) if why else tuple(found)


def _no_way_home(
    flown: Samples, home: Spot, rules: Rules, ground_m: Callable[[Samples], Samples]
) -> str:
    """Return why there is no one height at which all straight ways home are free; empty if there
    is."""
    far = float(np.hypot(*(flown[:, :2] - home).T).max())
    shares = np.linspace(0.0, 1.0, max(2, math.ceil(far / _STEP_M)))
    legs = flown[:, None, :2] + shares[None, :, None] * (np.asarray(home) - flown[:, None, :2])
    places = legs.reshape(-1, 2)
    below = ground_m(places)
    least = max(float(flown[:, 2].max()), float(below.max()) + rules.floor_agl_m)
    most = float(below.min()) + rules.ceiling_agl_m
    if least > most + _HEIGHT_M:
        return f"needs {least:.0f} m to clear ground and path, {most:.0f} m is the most"
    shut = []
    for volume, kept in _kept(rules) if rules.home_clear else ():
        inside = shapely.contains_xy(kept, *places.T)
        if inside.any():
            from_m = volume.floor_agl_m - rules.margin_m + float(below[inside].min())
            to_m = volume.ceiling_agl_m + rules.margin_m + float(below[inside].max())
            shut.append((from_m, to_m, volume.code))
    tried = [least, most, *(end for low, high, _ in shut for end in (low, high))]
    for height in tried:
        if least <= height <= most and not any(low < height < high for low, high, _ in shut):
            return ""
    return "every height meets " + " ".join(code for _, _, code in shut)


def _along(corners: Samples) -> Samples:
    """Return (x, y, height) rows along a path, at least every `_STEP_M`."""
    rows = [corners[:1]]
    for a, b in itertools.pairwise(corners):
        steps = max(1, math.ceil(math.dist(a[:2], b[:2]) / _STEP_M))
        rows.append(a + np.arange(1, steps + 1)[:, None] / steps * (b - a))
    return np.concatenate(rows)


def _level(places: Samples) -> Samples:
    return np.zeros(len(places))


def _run(
    path: Sequence[Spot], craft: Aircraft, step_m: float
) -> list[tuple[float, float, float]]:
    """Return (x, y, seconds) along a polyline flown from rest to rest, at least every `step_m`.

    Corners are passed at √(a·r), r being the radius of the arc that leaves the corner by at most
    the cut and begins no earlier than half way along the shorter leg.
    """
    spots = [path[0]] + [q for p, q in itertools.pairwise(path) if math.dist(p, q) > 1e-9]
    if len(spots) < 2:
        return [(*path[-1], 0.0)]
    legs = [math.dist(p, q) for p, q in itertools.pairwise(spots)]
    pace = [0.0, *(_pace(*abc, craft) for abc in zip(spots, spots[1:], spots[2:], strict=False)), 0]
    for i, leg in enumerate(legs):
        pace[i + 1] = min(pace[i + 1], math.sqrt(pace[i] ** 2 + 2 * craft.accel_m_s2 * leg))
    for i in range(len(legs) - 1, -1, -1):
        pace[i] = min(pace[i], math.sqrt(pace[i + 1] ** 2 + 2 * craft.accel_m_s2 * legs[i]))
    rows, clock = [], 0.0
    for i, leg in enumerate(legs):
        (ax, ay), (bx, by) = spots[i], spots[i + 1]
        steps = max(1, math.ceil(leg / step_m))
        for step in range(1, steps + 1):
            share = step / steps
            after = _seconds_to(share * leg, leg, pace[i], pace[i + 1], craft)
            rows.append((ax + share * (bx - ax), ay + share * (by - ay), clock + after))
        clock = rows[-1][2]
    return rows


def _pace(a: Spot, b: Spot, c: Spot, craft: Aircraft) -> float:
    into, out = (b[0] - a[0], b[1] - a[1]), (c[0] - b[0], c[1] - b[1])
    lengths = math.hypot(*into), math.hypot(*out)
    cosine = (into[0] * out[0] + into[1] * out[1]) / (lengths[0] * lengths[1])
    # cos(turn/2) and tan(turn/2) from the cosine of the turn.
    half_cos = math.sqrt(max(0.0, (1.0 + cosine) / 2.0))
    if half_cos > 1.0 - 1e-12:
        return craft.cruise_m_s
    if half_cos < 1e-6:
        return 0.0
    half_tan = math.sqrt(1.0 - half_cos**2) / half_cos
    radius = min(
        craft.corner_cut_m * half_cos / (1.0 - half_cos), min(lengths) / (2.0 * half_tan)
    )
    return min(craft.cruise_m_s, math.sqrt(craft.accel_m_s2 * radius))


def _seconds_to(s: float, leg: float, u: float, w: float, craft: Aircraft) -> float:
    """Return when a leg begun at speed u and ended at w has gone s of its metres."""
    a, top = craft.accel_m_s2, craft.cruise_m_s
    peak = min(top, math.sqrt(max(0.0, a * leg + (u * u + w * w) / 2.0)))
    up_m, down_m = (peak**2 - u**2) / (2 * a), (peak**2 - w**2) / (2 * a)
    if s <= up_m:
        return (math.sqrt(u * u + 2 * a * s) - u) / a
    flat_m = max(0.0, leg - up_m - down_m)
    seconds = (peak - u) / a
    if s <= up_m + flat_m:
        return seconds + (s - up_m) / peak
    braked = s - up_m - flat_m
    now = math.sqrt(max(0.0, peak**2 - 2 * a * braked))
    return seconds + (flat_m / peak if peak else 0.0) + (peak - now) / a


def _too_near(tracks: Sequence[_Track], rules: Rules) -> list[Violation]:
    found = []
    for one, other in itertools.combinations(tracks, 2):
        if not len(one.rows) or not len(other.rows):
            continue
        if one.sortie.drone_sn == other.sortie.drone_sn:
            continue
        apart_m = one.sortie.height_agl_m - other.sortie.height_agl_m
        if abs(apart_m) >= rules.apart_height_m:
            met = _in_column(*((one, other) if apart_m > 0.0 else (other, one)), rules)
        else:
            met = _nearest(one.rows, other.rows)
        if met is not None and met[0] < rules.apart_m:
            text = f"{met[0]:.0f} m from {one.sortie.drone_sn} at {met[1]:.0f} s"
            found.append(_broken("too_near", other.sortie, other.index, met[1], text))
    return found


def _nearest(a: Samples, b: Samples) -> tuple[float, float] | None:
    """Return the least distance of two tracks and when; None if they never fly together."""
    begin, end = max(a[0, 0], b[0, 0]), min(a[-1, 0], b[-1, 0])
    if begin > end:
        return None
    i, j = round((begin - a[0, 0]) / _SAMPLE_S), round((begin - b[0, 0]) / _SAMPLE_S)
    count = round((end - begin) / _SAMPLE_S) + 1
    gaps = np.hypot(*(a[i : i + count, 1:] - b[j : j + count, 1:]).T)
    nearest = int(np.argmin(gaps))
    return float(gaps[nearest]), float(a[i + nearest, 0])


def _in_column(high: _Track, low: _Track, rules: Rules) -> tuple[float, float] | None:
    """Return how near the lower comes to where the higher climbs or sinks through its height, and
    when. Times leave out the climb, so that all that follows may be that much later."""
    times, climb_s = low.rows[:, 0], high.climb_s
    leaves_s, lands_s = high.rows[0, 0], high.rows[-1, 0]
    climbing = (times >= leaves_s - climb_s) & (times <= leaves_s + climb_s)
    sinking = (times >= lands_s - climb_s) & (times <= lands_s + 2.0 * climb_s)
    gaps = np.hypot(*(low.rows[:, 1:] - high.rows[0, 1:]).T)
    gaps = np.where(climbing | sinking, gaps, np.inf)
    nearest = int(np.argmin(gaps))
    return (float(gaps[nearest]), float(times[nearest])) if gaps[nearest] < rules.apart_m else None
