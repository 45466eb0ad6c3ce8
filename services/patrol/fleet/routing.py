"""PyVRP routes the fleet: one vehicle type per sortie slot, prizes for visits, flight seconds.

PyVRP's shift duration and distance bound a whole route, not a trip, and reloading resets loads
only; hence the slots. Service is part of the way out of a task, since it differs by drone type.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyvrp import Client, Depot, Location, ProblemData, Result, Route, Solution, VehicleType
from pyvrp.search import NeighbourhoodParams
from pyvrp.solve import SolveParams, solve
from pyvrp.stop import MaxIterations, MaxRuntime

from services.patrol.fleet.problem import Fleet, Routes, Slot, packed
from services.patrol.fleet.slots import Stretch, even_slots, stretched

_TICKS_PER_S = 10
_NEVER_TICKS = 10_000_000
_PARAMS = SolveParams(neighbourhood=NeighbourhoodParams(num_neighbours=20))
"""Fewer neighbours than the 60 of PyVRP's own: better within the few seconds a plan may take."""
_ROUNDS = (
    Stretch.LATER_END,
    Stretch.EVEN,
    Stretch.ODD,
    Stretch.EARLIER_START,
    Stretch.EVEN,
    Stretch.ODD,
    Stretch.LATER_END,
)


@dataclass(frozen=True, slots=True)
class Effort:
    """How long a search goes on: iterations, which repeat exactly, or wall seconds."""

    iterations: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        if (self.iterations is None) == (self.seconds is None):
            raise ValueError("effort is told in iterations or in seconds: give one of them")

    def share(self, of: float) -> "Effort":
        if self.iterations is not None:
            return Effort(iterations=max(1, round(self.iterations * of)))
        assert self.seconds is not None
        return Effort(seconds=self.seconds * of)


@dataclass(frozen=True, slots=True)
class Plan:
    """Slots and, for each, the tasks it visits in order."""

    slots: tuple[Slot, ...]
    routes: Routes


def search(data: ProblemData, effort: Effort, seed: int, start: Solution | None = None) -> Result:
    """Run PyVRP's iterated local search; the one call of it for fleets and benchmarks alike."""
    if effort.iterations is not None:
        stop = MaxIterations(effort.iterations)
    else:
        stop = MaxRuntime(effort.seconds)
    return solve(
        data, stop, seed=seed, collect_stats=False, params=_PARAMS, initial_solution=start
    )


def route(
    fleet: Fleet, effort: Effort, seed: int, start: Plan | None = None, rounds: int = len(_ROUNDS)
) -> Plan:
    """Return the best plan found: most prize for the fewest flight seconds.

    The first search has half of the effort; each later one moves the slots' hours to where the
    sorties really are and goes on from the plan there is. Raises nothing: a fleet without slots
    or tasks gives an empty plan.
    """
    slots = start.slots if start is not None else even_slots(fleet)
    if not slots or not fleet.tasks:
        return Plan(slots, tuple(() for _ in slots))
    first = effort.share(0.5) if rounds else effort
    best = _searched(fleet, slots, first, seed, start.routes if start is not None else None)
    for turn, how in enumerate(_ROUNDS[:rounds]):
        moved, routes = stretched(fleet, best.slots, best.routes, how)
        if not moved:
            break
        found = _searched(fleet, moved, effort.share(0.5 / rounds), seed + turn + 1, routes)
        if cost(fleet, found) <= cost(fleet, best):
            best = found
    return best


def cost(fleet: Fleet, plan: Plan) -> float:
    """Return missed prize + flight seconds of what of a plan can be flown."""
    timings = packed(fleet, plan.slots, plan.routes)
    flown = sum(t.flown_s for t in timings if t is not None)
    seen = {i for t, r in zip(timings, plan.routes, strict=True) if t is not None for i in r}
    return flown + sum(task.prize for i, task in enumerate(fleet.tasks) if i not in seen)


def _searched(
    fleet: Fleet, slots: tuple[Slot, ...], effort: Effort, seed: int, routes: Routes | None
) -> Plan:
    data = problem_data(fleet, slots)
    start = None
    if routes is not None:
        start = Solution(
            data, [Route(data, list(r), vehicle_type=v) for v, r in enumerate(routes) if r]
        )
    best = search(data, effort, seed, start).best
    found: list[tuple[int, ...]] = [()] * len(slots)
    if best.is_feasible():
        for one in best.routes():
            found[one.vehicle_type()] = tuple(a.idx for a in one if a.is_client())
    elif routes is not None:
        found = list(routes)
    return Plan(slots, tuple(found))


def problem_data(fleet: Fleet, slots: Sequence[Slot]) -> ProblemData:
    """Return the fleet and its slots as PyVRP data, in tenths of a second."""
    homes = len(fleet.crafts)
    places = [Location(*craft.home) for craft in fleet.crafts]
    clients = []
    for index, task in enumerate(fleet.tasks):
        entry = next((h.entry for h in task.handlings if h is not None), (0.0, 0.0))
        places.append(Location(*entry))
        late = _floor_ticks(min(task.closes_s, fleet.horizon_s))
        clients.append(
            Client(
                location=homes + index,
                delivery=[1],
                # One that opens later cannot be home in time.
                tw_early=min(_ticks(task.opens_s), late),
                tw_late=late,
                prize=max(0, round(task.prize * _TICKS_PER_S)),
                required=False,
            )
        )
    types = [
        VehicleType(
            num_available=1,
            capacity=[fleet.visits_limit],
            start_depot=slot.craft,
            end_depot=slot.craft,
            tw_early=_ticks(slot.opens_s),
            tw_late=_floor_ticks(slot.closes_s),
            shift_duration=_floor_ticks(slot.usable_s),
            unit_distance_cost=0,
            unit_duration_cost=1,
            profile=fleet.crafts[slot.craft].kind,
        )
        for slot in slots
    ]
    durations = [_durations(fleet, kind) for kind in range(len(fleet.models))]
    depots = [Depot(location=i) for i in range(homes)]
    return ProblemData(places, clients, depots, types, durations, durations)


def _durations(fleet: Fleet, kind: int) -> npt.NDArray[np.int64]:
    travel = fleet.travel_s[kind] * _TICKS_PER_S
    services = [
        math.inf if (h := t.handlings[kind]) is None else h.service_s for t in fleet.tasks
    ]
    travel[len(fleet.crafts) :] += np.asarray(services)[:, None] * _TICKS_PER_S
    ticks = np.ceil(np.minimum(travel, _NEVER_TICKS) - 1e-4).astype(np.int64)
    np.fill_diagonal(ticks, 0)
    return ticks


def _ticks(seconds: float) -> int:
    return math.ceil(seconds * _TICKS_PER_S - 1e-4)


def _floor_ticks(seconds: float) -> int:
    return max(0, math.floor(min(seconds * _TICKS_PER_S, _NEVER_TICKS) + 1e-4))
