"""Weighted idleness: how long what is watched goes unseen, times its weight; what a plan achieves,
and what no plan can be below.

The bound. Let W be the worst weighted idleness over a horizon, a_i a watch's age at its start and
T_i = W / w_i the gap it allows. By any moment t within the horizon, a_i + t must be cut into gaps
of at most T_i, so at least ceil((a_i + t) / T_i) - 1 visits of i are finished by t. Each takes its
sweep s_i and the flight that brings the drone to it, no shorter than the leg h_i from the nearest
other place. A drone that flies F seconds within t needs at least F / U sorties of usable battery
U, each with a leg home of at least d, and charges rho seconds per second flown beyond what its
battery held (u): F + rho (F - u) + turnaround (F / U - 1) <= t. So the sum over i of visits times
(s_i + h_i) is at most the sum over drones of F (1 - d / U) + d, the last sortie being perhaps
still out. The smallest W that keeps this at every t, and is no less than w_i (a_i + the earliest
moment i can be finished), is the bound. It assumes that nobody flies twice in a row to the same
place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from services.patrol.fleet.problem import Craft, Fleet

_MOMENTS = 24
_HALVINGS = 40


@dataclass(frozen=True, slots=True)
class Watch:
    """A task that is due again and again. `weight` is per second; `age_s` is how long it has gone
    unseen at the start (negative: it will be seen so many seconds from now, by a flight in the
    air). It is not seen again before `least_gap_s`, nor left alone beyond `floor_s`."""

    task: int
    weight: float
    age_s: float
    least_gap_s: float = 0.0
    floor_s: float = float("inf")


def worst(watches: Sequence[Watch], seen_s: Mapping[int, Sequence[float]], until_s: float) -> float:
    """Return the greatest weighted gap of any watch up to `until_s`; `seen_s` are, by task, the
    moments its visits end."""
    greatest = 0.0
    for watch in watches:
        moments = [-watch.age_s, *sorted(seen_s.get(watch.task, ())), until_s]
        gap = max(b - a for a, b in pairwise(moments))
        greatest = max(greatest, watch.weight * gap)
    return greatest


def lower_bound(fleet: Fleet, watches: Sequence[Watch]) -> float:
    """Return what no plan's worst weighted idleness over the fleet's horizon can be below."""
    if not watches or not fleet.crafts:
        return 0.0
    service, leg, earliest = _least(fleet, [w.task for w in watches])
    weight = np.asarray([w.weight for w in watches])
    age = np.asarray([w.age_s for w in watches])
    # What no way leads to is as good as what nobody can handle.
    can = np.isfinite(service + leg)
    unseen = age + fleet.horizon_s
    soonest = np.where(can, age + np.minimum(earliest, fleet.horizon_s), unseen)
    alone = float(np.max(weight * soonest))
    moments = [fleet.horizon_s * (i + 1) / _MOMENTS for i in range(_MOMENTS)]
    room = [sum(_flight_s(fleet, i, t) for i in range(len(fleet.crafts))) for t in moments]
    work = np.where(can, service + leg, 0.0)
    low, high = max(alone, 1e-12), float(np.max(weight * unseen)) + 1e-9
    if low >= high:
        return low
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        if all(
            float(work @ _visits(weight, age, t, middle)) <= r
            for t, r in zip(moments, room, strict=True)
        ):
            high = middle
        else:
            low = middle
    return low


def _visits(
    weight: npt.NDArray[np.float64], age: npt.NDArray[np.float64], at_s: float, worst_allowed: float
) -> npt.NDArray[np.float64]:
    gaps = (age + at_s) * weight / worst_allowed
    return np.maximum(0.0, np.ceil(gaps - 1e-9) - 1.0)


def _least(
    fleet: Fleet, tasks: Sequence[int]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return, per task and over all drones, the least service, the least leg to it from another
    place, and the earliest moment it can be finished."""
    homes, shape = len(fleet.crafts), len(tasks)
    service = np.full(shape, np.inf)
    leg, earliest = np.full(shape, np.inf), np.full(shape, np.inf)
    nodes = [fleet.node(t) for t in tasks]
    for kind, travel in enumerate(fleet.travel_s):
        own = np.asarray(
            [
                np.inf if (h := fleet.tasks[t].handlings[kind]) is None else h.service_s
                for t in tasks
            ]
        )
        service = np.minimum(service, own)
        apart = travel.copy()
        np.fill_diagonal(apart, np.inf)
        leg = np.minimum(leg, apart[:, nodes].min(axis=0))
        for index, craft in enumerate(fleet.crafts[:homes]):
            if craft.kind == kind:
                earliest = np.minimum(earliest, craft.ready_s + travel[index, nodes] + own)
    return service, leg, earliest


def _flight_s(fleet: Fleet, index: int, at_s: float) -> float:
    """Return the most seconds a drone can spend on visits and the legs to them by `at_s`."""
    craft = fleet.crafts[index]
    left_s = at_s - craft.ready_s
    if left_s <= 0.0 or craft.usable_s <= 0.0:
        return 0.0
    flown = min(left_s, _flown_s(craft, left_s))
    back = fleet.travel_s[craft.kind][len(fleet.crafts) :, index]
    home_s = min(float(back.min()), craft.usable_s) if back.size else 0.0
    # The sortie under way at that moment has not flown home yet.
    return min(flown, flown * (1.0 - home_s / craft.usable_s) + home_s)


def _flown_s(craft: Craft, left_s: float) -> float:
    held = craft.held_at_s(craft.ready_s)
    charge, turn = craft.charge_s_per_s, craft.turnaround_s
    return (left_s + charge * held + turn) / (1.0 + charge + turn / craft.usable_s)
