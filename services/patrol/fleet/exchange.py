"""A rota made better by exchanging visits: whose gaps are the worst is seen in place of others.

The whole horizon is searched at once, since a sortie's order and hour decide how long a drone
charges and when everything after it is seen.
"""

from collections.abc import Sequence

import numpy as np

from geo.routes import FlightModel
from services.patrol.fleet.exchange_kernel import (
    SORTIES_LIMIT,
    VISITS_LIMIT,
    Given,
    Table,
    annealed,
    timed,
)
from services.patrol.fleet.idleness import Watch
from services.patrol.fleet.problem import Craft, Fleet, Handling, Slot, Task
from services.patrol.fleet.routing import Plan

_HEAT = (0.004, 0.0001)
"""The first and last temperature, in shares of the cost the search begins with."""


def exchanged(
    fleet: Fleet, watches: Sequence[Watch], plan: Plan, seed: int, steps: int
) -> Plan:
    """Return a plan whose weighted gaps are no worse, after so many exchanges tried; it visits the
    same errands. Repeats exactly for one seed."""
    given, table = _given(fleet, watches), _table(fleet)
    for index, craft in enumerate(fleet.crafts):
        own = [(s, r) for s, r in zip(plan.slots, plan.routes, strict=True) if s.craft == index]
        own = sorted((item for item in own if item[1]), key=lambda item: item[0].opens_s)
        if len(own) > SORTIES_LIMIT or any(len(r) > given.visits_limit for _, r in own):
            return plan
        free_s = craft.ready_s
        for k, (slot, route) in enumerate(own):
            table.visits[index, k, : len(route)] = route
            table.counts[index, k] = len(route)
            # Not from where it leaves: it may wait for hours that open, and for its slot beyond.
            table.wait[index, k] = max(0.0, slot.opens_s - free_s)
            if not timed(given, table, index):
                return plan
            leaves_s, lands_s = (float(t) for t in table.span[index, k])
            held_s = None if k else craft.held_at_s(leaves_s)
            free_s = lands_s + craft.recharge_s(lands_s - leaves_s, held_s)
    best, spare = _table(fleet), _table(fleet)
    draws = np.asarray([seed], np.uint64)
    annealed(given, table, spare, best, steps, _HEAT, draws)
    return _plan(fleet, best)


def warm() -> None:
    """Compile the search, or load what was compiled before."""
    home, cell = (0.0, 0.0), Handling(((100.0, 0.0),), 10.0)
    travel = np.asarray([[0.0, 10.0], [10.0, 0.0]])
    craft = Craft("DRONE", "DOCK", home, 0, 100.0)
    fleet = Fleet((Task("t", (cell,), 0.0),), (craft,), (FlightModel(),), (travel,), 600.0)
    plan = Plan((Slot(0, 0.0, 30.0, 100.0),), ((0,),))
    exchanged(fleet, [Watch(0, 1.0, 0.0)], plan, 1, 1)


def _given(fleet: Fleet, watches: Sequence[Watch]) -> Given:
    kinds = range(len(fleet.models))
    service = [
        [np.inf if (h := t.handlings[k]) is None else h.service_s for t in fleet.tasks]
        for k in kinds
    ]
    row = {w.task: i for i, w in enumerate(watches)}
    crafts = fleet.crafts
    return Given(
        np.asarray(fleet.travel_s),
        np.asarray(service).reshape(len(kinds), len(fleet.tasks)),
        np.asarray([t.opens_s for t in fleet.tasks]),
        np.asarray([t.closes_s for t in fleet.tasks]),
        np.asarray([c.kind for c in crafts]),
        np.asarray([c.ready_s for c in crafts]),
        np.asarray([c.usable_s for c in crafts]),
        np.asarray([c.held_at_s(c.ready_s) for c in crafts]),
        np.asarray([c.turnaround_s for c in crafts]),
        np.asarray([c.charge_s_per_s for c in crafts]),
        np.asarray([row.get(i, -1) for i in range(len(fleet.tasks))]),
        np.asarray([w.task for w in watches]),
        np.asarray([w.weight for w in watches]),
        np.asarray([w.age_s for w in watches]),
        np.asarray([w.least_gap_s for w in watches]),
        fleet.horizon_s,
        min(VISITS_LIMIT, fleet.visits_limit),
    )


def _table(fleet: Fleet) -> Table:
    crafts = len(fleet.crafts)
    return Table(
        np.zeros((crafts, SORTIES_LIMIT, VISITS_LIMIT), np.int64),
        np.zeros((crafts, SORTIES_LIMIT), np.int64),
        np.zeros((crafts, SORTIES_LIMIT)),
        np.zeros((crafts, SORTIES_LIMIT, VISITS_LIMIT)),
        np.zeros((crafts, SORTIES_LIMIT, 2)),
    )


def _plan(fleet: Fleet, table: Table) -> Plan:
    slots, routes = [], []
    for index, craft in enumerate(fleet.crafts):
        for k in range(SORTIES_LIMIT):
            count = int(table.counts[index, k])
            if count:
                leaves, lands = table.span[index, k]
                slots.append(Slot(index, float(leaves), float(lands), craft.usable_s))
                routes.append(tuple(int(t) for t in table.visits[index, k, :count]))
    return Plan(tuple(slots), tuple(routes))
