"""The fleet's routing problem as values: what wants a visit, who can fly, and when each may.

Times are seconds from the moment of planning, durations whole tenths. A drone flies in sorties:
out of its dock, visits, and back; between two sorties it charges what the last one used.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo.routes import FlightModel, Point, flight_time_s

Routes = tuple[tuple[int, ...], ...]
"""For each slot the indices of the tasks it visits, in order."""
_SLACK_S = 1e-6


def tenths_up(seconds: float) -> float:
    """Round up to the tenths of a second that PyVRP counts in, so that what it finds to fit still
    fits when it is timed again."""
    return math.ceil(seconds * 10.0 - 1e-6) / 10.0


@dataclass(frozen=True, slots=True)
class Handling:
    """How one type of drone does a task: a sweep along `path` from rest to rest, or a hover over
    its single point, for `service_s`."""

    path: tuple[Point, ...]
    service_s: float

    @classmethod
    def swept(cls, path: tuple[Point, ...], model: FlightModel) -> "Handling":
        """Return a sweep flown by `model` from rest to rest."""
        return cls(path, tenths_up(flight_time_s(path, model)))

    @property
    def entry(self) -> Point:
        return self.path[0]

    @property
    def exit(self) -> Point:
        return self.path[-1]


@dataclass(frozen=True, slots=True)
class Task:
    """Something that wants a visit. `handlings` has one entry per drone type; None: that type
    cannot (its camera or the hour does not serve). The visit starts within opens..closes and
    `prize` is what a plan loses without it, in flight seconds."""

    task_id: str
    handlings: tuple[Handling | None, ...]
    prize: float
    opens_s: float = 0.0
    closes_s: float = math.inf
    cell_code: str | None = None


@dataclass(frozen=True, slots=True)
class Craft:
    """A drone as it can be planned with. `kind` is the index of its type. It may leave from
    `ready_s` on with `held_s` of path in its battery (None: as charged), and flies at most
    `usable_s` a sortie; between sorties it charges until `usable_s` are in its battery again."""

    drone_sn: str
    dock_sn: str
    home: Point
    kind: int
    usable_s: float
    ready_s: float = 0.0
    held_s: float | None = None
    turnaround_s: float = 120.0
    charge_s_per_s: float = 1.0

    def held_at_s(self, at_s: float) -> float:
        """Return the seconds of path in its battery when its first sortie leaves at `at_s`."""
        if self.held_s is None:
            return self.usable_s
        charged = max(0.0, at_s - self.ready_s) / max(1e-9, self.charge_s_per_s)
        return max(self.held_s, min(self.usable_s, self.held_s + charged))

    def usable_at_s(self, at_s: float) -> float:
        """Return how long its first sortie may be when it leaves at `at_s`."""
        return min(self.usable_s, self.held_at_s(at_s))

    def recharge_s(self, flown_s: float, held_s: float | None = None) -> float:
        """Return how long it stays in its dock after a sortie of `flown_s`, left with `held_s`."""
        lacks_s = self.usable_s - ((self.usable_s if held_s is None else held_s) - flown_s)
        return tenths_up(self.turnaround_s + self.charge_s_per_s * max(0.0, lacks_s))


@dataclass(frozen=True, slots=True)
class Slot:
    """A stretch of time in which one craft may fly one sortie of at most `usable_s`."""

    craft: int
    opens_s: float
    closes_s: float
    usable_s: float


@dataclass(frozen=True)
class Fleet:
    """Tasks, crafts and travel. `travel_s[kind][a][b]` is from node a's exit to node b's entry,
    rest to rest; nodes are the crafts' homes, then the tasks. `visits_limit` is per sortie."""

    tasks: tuple[Task, ...]
    crafts: tuple[Craft, ...]
    models: tuple[FlightModel, ...]
    travel_s: tuple[npt.NDArray[np.float64], ...]
    horizon_s: float
    visits_limit: int = 1_000

    def node(self, task: int) -> int:
        return len(self.crafts) + task


@dataclass(frozen=True, slots=True)
class Timing:
    """When a sortie leaves, starts each visit, and lands;"""

    leaves_s: float
    visits_s: tuple[float, ...]
    lands_s: float

    @property
    def flown_s(self) -> float:
        return self.lands_s - self.leaves_s


def timing(fleet: Fleet, craft: int, route: Sequence[int], from_s: float) -> Timing | None:
    """Return the earliest landing of a sortie that leaves at `from_s` or later, and among those
    the latest departure; None where a window closes before its visit or the type cannot."""
    flyer = fleet.crafts[craft]
    travel = fleet.travel_s[flyer.kind]
    node, at, starts, services = craft, from_s, [], []
    for index in route:
        task = fleet.tasks[index]
        handling = task.handlings[flyer.kind]
        if handling is None:
            return None
        at = max(at + float(travel[node, fleet.node(index)]), task.opens_s)
        # A sortie timed before leaves with the rounding of that timing.
        if at > task.closes_s + _SLACK_S:
            return None
        starts.append(at)
        services.append(handling.service_s)
        at += handling.service_s
        node = fleet.node(index)
    lands = at + float(travel[node, craft])
    latest = lands - float(travel[node, craft])
    for place in range(len(route) - 1, -1, -1):
        latest = min(latest - services[place], fleet.tasks[route[place]].closes_s)
        starts[place] = latest
        before = fleet.node(route[place - 1]) if place else craft
        latest -= float(travel[before, fleet.node(route[place])])
    return Timing(max(latest, from_s), tuple(starts), lands)


def packed(fleet: Fleet, slots: Sequence[Slot], routes: Routes) -> list[Timing | None]:
    """Return each sortie's timing when every craft flies its own one after the other, as early as
    their slots and charging allow; None for an empty sortie, and for one that does not fit."""
    found: list[Timing | None] = [None] * len(slots)
    before: dict[int, tuple[Timing, float]] = {}
    for index in sorted(range(len(slots)), key=lambda i: (slots[i].craft, slots[i].opens_s)):
        slot, route = slots[index], routes[index]
        if not route:
            continue
        craft, last = fleet.crafts[slot.craft], before.get(slot.craft)
        free = craft.ready_s if last is None else last[0].lands_s + last[1]
        flown = timing(fleet, slot.craft, route, max(free, slot.opens_s))
        if flown is None or flown.lands_s > fleet.horizon_s + _SLACK_S:
            continue
        usable = craft.usable_s if last is not None else craft.usable_at_s(flown.leaves_s)
        if flown.flown_s <= min(usable, slot.usable_s) + _SLACK_S:
            held = None if last is not None else craft.held_at_s(flown.leaves_s)
            before[slot.craft] = (flown, craft.recharge_s(flown.flown_s, held))
            found[index] = flown
    return found
