"""Who flies what over the horizon so that nothing watched is left alone too long.

Sorties are planned in the order they can leave. For a wanted worst idleness, each must take what
would exceed it before another drone could see to it, and fills the rest of its battery with what
lies on the way; several wishes are tried. Flight seconds decide the rest. Errands (a site's hours,
a verification) compete with their own prizes and windows. The best of these plans is then made
better by exchanging visits over the whole horizon (`exchange.py`).
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from services.patrol.fleet.exchange import exchanged
from services.patrol.fleet.idleness import Watch, lower_bound, worst
from services.patrol.fleet.problem import (
    Fleet,
    Routes,
    Slot,
    Task,
    Timing,
    packed,
    tenths_up,
    timing,
)
from services.patrol.fleet.routing import Effort, Plan, route

_MUST_PRIZE_S = 10_000.0
_PRIZE_LIMIT_S = 200_000.0
_STEEPNESS = 4.0
_TOGETHER_S = 120.0
_AGAIN_S = 300.0
_SLACK_S = 1e-6
_SORTIES_LIMIT = 400
_EXCHANGES_LIMIT = 3_000_000


@dataclass(frozen=True, slots=True)
class Rota:
    """A plan with what it achieves: worst weighted idleness over the horizon, and its bound."""

    plan: Plan
    worst: float
    lower_bound: float


@dataclass(frozen=True, slots=True)
class RotaPolicy:
    """`wanted` are the worst idlenesses tried, over the bound; the best plan is kept. `fill_s` is
    what a visit that could wait is worth in flight seconds; `exchanges` are tried per watch."""

    wanted: tuple[float, ...] = (1.2, 1.4, 1.6, 1.9)
    fill_s: float = 300.0
    iterations: int = 150
    exchanges: int = 10_000


def plan_rota(fleet: Fleet, watches: Sequence[Watch], seed: int, policy: RotaPolicy) -> Rota:
    """Return the best plan found over the fleet's horizon; repeats exactly for one seed."""
    bound = lower_bound(fleet, watches)
    best: Rota | None = None
    for over in policy.wanted:
        plan = _dispatch(fleet, watches, max(1e-9, over * bound), seed, policy)
        found = Rota(plan, worst(watches, seen_s(fleet, plan), fleet.horizon_s), bound)
        if best is None or found.worst < best.worst:
            best = found
    if best is not None and policy.exchanges:
        tried = min(_EXCHANGES_LIMIT, policy.exchanges * len(watches))
        plan = exchanged(fleet, watches, best.plan, seed, tried)
        found = Rota(plan, worst(watches, seen_s(fleet, plan), fleet.horizon_s), bound)
        best = found if found.worst < best.worst else best
    return best if best is not None else Rota(Plan((), ()), 0.0, bound)


def seen_s(fleet: Fleet, plan: Plan) -> dict[int, list[float]]:
    """Return, by task, when its visits end."""
    seen: dict[int, list[float]] = {}
    for slot, visits, flown in zip(
        plan.slots, plan.routes, packed(fleet, plan.slots, plan.routes), strict=True
    ):
        if flown is None:
            continue
        for task, starts in zip(visits, flown.visits_s, strict=True):
            handling = fleet.tasks[task].handlings[fleet.crafts[slot.craft].kind]
            seen.setdefault(task, []).append(starts + (handling.service_s if handling else 0.0))
    return seen


def _dispatch(
    fleet: Fleet,
    watches: Sequence[Watch],
    wanted: float,
    seed: int,
    policy: RotaPolicy,
) -> Plan:
    """Plan sortie after sortie, those that leave at about the same time together."""
    last = {w.task: -w.age_s for w in watches}
    done: set[int] = set()
    free = [(craft.ready_s, i, True) for i, craft in enumerate(fleet.crafts)]
    heapq.heapify(free)
    slots: list[Slot] = []
    routes: list[tuple[int, ...]] = []
    while free and free[0][0] < fleet.horizon_s and len(slots) < _SORTIES_LIMIT:
        leaving = [heapq.heappop(free)]
        while free and free[0][0] <= leaving[0][0] + _TOGETHER_S:
            leaving.append(heapq.heappop(free))
        now = [_slot(fleet, i, at, first) for at, i, first in leaving if at < fleet.horizon_s]
        tasks = _priced(fleet, watches, last, done, now, wanted, policy.fill_s)
        some = replace(fleet, tasks=tasks)
        found = _routed(some, tuple(now), seed + len(slots), policy)
        for (at, i, first), slot, tour in zip(leaving, now, found, strict=False):
            visits, flown = _as_flown(fleet, some, i, tour, slot.opens_s)
            if flown is None or flown.lands_s > fleet.horizon_s:
                heapq.heappush(free, (at + _AGAIN_S, i, first))
                continue
            slots.append(Slot(i, flown.leaves_s, flown.lands_s, slot.usable_s))
            routes.append(visits)
            for task, starts in zip(visits, flown.visits_s, strict=True):
                last[task] = starts + _service_s(fleet, task, fleet.crafts[i].kind)
                done.add(task)
            craft = fleet.crafts[i]
            held = craft.held_at_s(flown.leaves_s) if first else None
            rests_s = craft.recharge_s(flown.flown_s, held)
            heapq.heappush(free, (flown.lands_s + rests_s, i, False))
    return Plan(tuple(slots), tuple(routes))


def _as_flown(
    fleet: Fleet, some: Fleet, craft: int, visits: tuple[int, ...], from_s: float
) -> tuple[tuple[int, ...], Timing | None]:
    """Return what is visited of a route found for the tasks of `some`, which open once their least
    gap is over, and when. What is flown knows the hours of `fleet` alone and does not wait in the
    air for a gap: a visit that would come too soon after an errand that closes is left out."""
    while visits:
        found = timing(some, craft, visits, from_s)
        flown = None if found is None else timing(fleet, craft, visits, found.leaves_s)
        if flown is None:
            break
        starts = zip(visits, flown.visits_s, strict=True)
        soon = next((t for t, s in starts if s < some.tasks[t].opens_s - _SLACK_S), None)
        if soon is None:
            return visits, flown
        visits = tuple(task for task in visits if task != soon)
    return (), None


def _slot(fleet: Fleet, index: int, at_s: float, first: bool) -> Slot:
    craft = fleet.crafts[index]
    usable = craft.usable_at_s(at_s) if first else craft.usable_s
    return Slot(index, at_s, fleet.horizon_s, usable)


def _service_s(fleet: Fleet, task: int, kind: int) -> float:
    handling = fleet.tasks[task].handlings[kind]
    return handling.service_s if handling is not None else 0.0


def _priced(
    fleet: Fleet,
    watches: Sequence[Watch],
    last: Mapping[int, float],
    done: set[int],
    slots: Sequence[Slot],
    wanted: float,
    fill_s: float,
) -> tuple[Task, ...]:
    """Return the tasks with what each is worth to sorties that leave now; 0 leaves it out.

    What would exceed the `wanted` idleness before the next drone gets there must be seen now, the
    worst first; the rest fills what battery is left.
    """
    opens = min(s.opens_s for s in slots)
    craft = fleet.crafts[slots[0].craft]
    next_s = (craft.usable_s + craft.recharge_s(craft.usable_s)) / len(fleet.crafts)
    chance_s = opens + max(s.usable_s for s in slots) / 2.0 + next_s
    watched = {w.task for w in watches}
    tasks = [
        replace(t, prize=0.0) if i in watched or i in done else t for i, t in enumerate(fleet.tasks)
    ]
    for watch in watches:
        seen = last[watch.task]
        if seen > opens:
            continue
        share = max(0.0, watch.weight * (chance_s - seen) / wanted)
        must = share >= 1.0 or chance_s - seen >= watch.floor_s
        prize = _MUST_PRIZE_S * max(1.0, share) ** _STEEPNESS if must else fill_s * share**2
        from_s = tenths_up(max(0.0, seen + watch.least_gap_s))
        prize = min(prize, _PRIZE_LIMIT_S)
        tasks[watch.task] = replace(tasks[watch.task], prize=prize, opens_s=from_s)
    return tuple(tasks)


def _routed(fleet: Fleet, slots: tuple[Slot, ...], seed: int, policy: RotaPolicy) -> Routes:
    start = Plan(slots, tuple(() for _ in slots))
    return route(fleet, Effort(iterations=policy.iterations), seed, start, rounds=0).routes
