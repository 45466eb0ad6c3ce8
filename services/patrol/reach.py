"""What a dock's drone can see to: flights the gate would let take off and come straight home. Pure.

Asked while planning, so that no dock is given a flight that its gate then refuses for ever: over
hills a cell may be in reach of one dock and not of another, and two cells each in reach of a dock
need not fit into one flight, since it comes home at one height (`way_home.py`).
"""

import math
from collections.abc import Sequence
from dataclasses import replace

import shapely

from domain.device import Dock, Drone
from geo.routes import Point
from geo.terrain import Point3
from services.patrol.departure import breached
from services.patrol.fleet.problem import Fleet, Handling, Slot, Task
from services.patrol.fleet.routing import Plan
from services.patrol.fleet.timetable import LeftOut
from services.patrol.plan import PatrolGround
from services.patrol.refusal import Refusal
from services.patrol.sky.rules import REFUSE
from services.patrol.way_home import unreturnable

_WHOLE_M = 1.0
"""Return heights are whole metres."""


def out_of_reach(
    ground: PatrolGround, drone: Drone, dock: Dock, stops: Sequence[Handling]
) -> Refusal | None:
    """Return why the gate would refuse a flight from a dock over some stops and back, or None;
    there are ways between them."""
    path = _path(ground, ground.docks[dock.sn], stops)
    if len(stops) > 1:
        return _refused(ground, drone, dock, path)
    # Asked in every plan; flights over several are as many as there are plans.
    key = (dock.sn, drone.model, path)
    if key not in ground.judged:
        ground.judged[key] = _refused(ground, drone, dock, path)
    return ground.judged[key]


def within_reach(
    ground: PatrolGround, fleet: Fleet, housed: Sequence[tuple[Drone, Dock]]
) -> tuple[Fleet, dict[int, LeftOut]]:
    """Return a fleet in which no craft can do what is out of its reach, and the tasks (by index)
    that nobody can do. `housed` are the drones of its crafts. Crafts of one type that reach
    different tasks become different types."""
    barred = [_barred(ground, fleet, i, *pair) for i, pair in enumerate(housed)]
    kinds: list[tuple[int, frozenset[int]]] = list(
        dict.fromkeys((c.kind, frozenset(b)) for c, b in zip(fleet.crafts, barred, strict=True))
    )
    tasks = tuple(
        replace(t, handlings=tuple(None if i in b else t.handlings[k] for k, b in kinds))
        for i, t in enumerate(fleet.tasks)
    )
    crafts = tuple(
        replace(c, kind=kinds.index((c.kind, frozenset(b))))
        for c, b in zip(fleet.crafts, barred, strict=True)
    )
    models = tuple(fleet.models[k] for k, _ in kinds)
    travel = tuple(fleet.travel_s[k] for k, _ in kinds)
    left = {
        i: _left_out(task, [(c.dock_sn, b[i]) for c, b in zip(crafts, barred, strict=True)])
        for i, task in enumerate(fleet.tasks)
        if all(i in b for b in barred)
    }
    return replace(fleet, tasks=tasks, crafts=crafts, models=models, travel_s=travel), left


def one_by_one(
    ground: PatrolGround, fleet: Fleet, plan: Plan, housed: Sequence[tuple[Drone, Dock]]
) -> Plan:
    """Return a plan in which what does not fit into one flight home at one height is flown in
    several, one after the other. Each task of it is in reach by itself."""
    slots: list[Slot] = []
    routes: list[tuple[int, ...]] = []
    for slot, route in zip(plan.slots, plan.routes, strict=True):
        kind, pair = fleet.crafts[slot.craft].kind, housed[slot.craft]
        whole = _stops(fleet, route, kind)
        flights: list[tuple[int, ...]] = []
        if not route or out_of_reach(ground, *pair, whole) is None:
            flights.append(route)
        for task in route if not flights else ():
            for place, flight in enumerate(flights):
                stops = _stops(fleet, (*flight, task), kind)
                if out_of_reach(ground, *pair, stops) is None:
                    flights[place] = (*flight, task)
                    break
            else:
                flights.append((task,))
        slots += [slot] * len(flights)
        routes += flights
    return Plan(tuple(slots), tuple(routes))


def _barred(
    ground: PatrolGround, fleet: Fleet, index: int, drone: Drone, dock: Dock
) -> dict[int, Refusal]:
    craft, found = fleet.crafts[index], {}
    travel = fleet.travel_s[craft.kind]
    for task in range(len(fleet.tasks)):
        stops = _stops(fleet, (task,), craft.kind)
        node = fleet.node(task)
        flown_s = travel[index, node] + sum(s.service_s for s in stops) + travel[node, index]
        why = None
        if not stops:
            why = Refusal("no_sweep", "drones", "its camera cannot: use another drone")
        elif math.isinf(flown_s):
            cure = "closed airspace lies on every way there: open it or move the dock"
            why = Refusal("closed_airspace", "airspaces", cure)
        elif flown_s > craft.usable_s:
            cure = f"takes {flown_s:.0f} s of {craft.usable_s:.0f} s a sortie: move a dock nearer"
            why = Refusal("out_of_range", "docks", cure)
        else:
            why = out_of_reach(ground, drone, dock, stops)
        if why is not None:
            found[task] = why
    return found


def _stops(fleet: Fleet, tasks: Sequence[int], kind: int) -> list[Handling]:
    handled = (fleet.tasks[task].handlings[kind] for task in tasks)
    return [handling for handling in handled if handling is not None]


def _left_out(task: Task, why: Sequence[tuple[str, Refusal]]) -> LeftOut:
    """Return a task nobody can do with what the docks (serials) are refused for, told once where
    several have the same reason."""
    same: dict[Refusal, list[str]] = {}
    for dock_sn, refusal in why:
        same.setdefault(refusal, []).append(dock_sn)
    told = (f"{' '.join(docks)}: {r.field}: {r.cure}" for r, docks in same.items())
    return LeftOut(task.task_id, why[0][1].code, "; ".join(told))


def _path(ground: PatrolGround, home: Point, stops: Sequence[Handling]) -> tuple[Point, ...]:
    path: list[Point] = [home]
    for stop in stops:
        way = ground.ways.way(path[-1], stop.entry) or (path[-1], stop.entry)
        path += [*way[1:], *stop.path[1:]]
    return (*path, *(ground.ways.way(path[-1], home) or (home, home))[1:])


def _refused(
    ground: PatrolGround, drone: Drone, dock: Dock, path: Sequence[Point]
) -> Refusal | None:
    policy = ground.policy
    if _plain(ground, drone, path):
        return None
    heights = [ground.terrain.height_m(*p) + policy.height_agl_m for p in path]
    # It climbs over its dock to the height of where it goes first.
    heights[0] = heights[1] if len(heights) > 1 else heights[0]
    flown: list[Point3] = [(*p, z) for p, z in zip(path, heights, strict=True)]
    broken = breached(ground, drone, flown, ground.volumes)
    return broken[0] if broken else unreturnable(ground, flown, drone, dock)


def _plain(ground: PatrolGround, drone: Drone, path: Sequence[Point]) -> bool:
    """Tell whether the ground around a path is so even that there is nothing to work out."""
    policy = ground.policy
    sky, agl_m = policy.rules.policy(drone.model), policy.height_agl_m
    x0, y0, x1, y1 = shapely.MultiPoint(path).bounds
    low, high = ground.terrain.range_m((x0, y0, x1, y1))
    room_m = min(sky.ceiling_agl_m - agl_m, agl_m - sky.floor_agl_m)
    if high - low > room_m - _WHOLE_M:
        return False
    if policy.rules.way_home.when_closed != REFUSE:
        return True
    box = shapely.box(x0, y0, x1, y1).buffer(sky.margin_m)
    return not any(v.ground.intersects(box) for v in ground.volumes)
