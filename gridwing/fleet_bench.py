"""The fleet benchmark: our planner beside OR-Tools on generated patrol instances, at equal wall
time, both released and scored by the same independent simulator."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import geometric_mean
from typing import Any

from gridwing import ortools_peer
from gridwing.fleet_instances import (
    CHARGE_PCT_S,
    ENDURANCE_S,
    RESERVE_PCT,
    Instance,
    generate,
    instances,
)
from gridwing.ortools_peer import NoPeer
from services.patrol.fleet.idleness import worst
from services.patrol.fleet.judge import Aircraft, Closed, Rules
from services.patrol.fleet.release import released, sorties
from services.patrol.fleet.rota import RotaPolicy, plan_rota
from services.patrol.fleet.routing import Effort, Plan, route

HEIGHTS_AGL_M = (60.0, 70.0, 80.0, 90.0, 100.0, 110.0)


def run(
    only: Sequence[str], seconds: float, full: bool, say: Callable[[str], None]
) -> tuple[list[dict[str, Any]], float | None]:
    """Return one row per instance, and the geometric mean of ours ÷ OR-Tools (None without it).

    `only` narrows to instances whose name begins so. OR-Tools models the same slots, and in a
    second run lets sorties float; the better of its two results counts, each with all the time.
    """
    python = ortools_peer.interpreter()
    if isinstance(python, NoPeer):
        say(f"OR-Tools is left out: {python.reason}")
    rows = []
    for name, size, seed in instances(full or bool(only)):
        if only and not name.startswith(tuple(only)):
            continue
        instance = generate(name, size, seed)
        row: dict[str, Any] = {"instance": name, "ortools": None}
        row |= scored(instance, route(instance.fleet, Effort(seconds=seconds), seed))
        row |= watched(instance)
        if not isinstance(python, NoPeer):
            peers = []
            for floating in (False, True):
                found = ortools_peer.route(instance.fleet, python, seconds, floating)
                if isinstance(found, NoPeer):
                    say(f"{name}: OR-Tools {found.reason}")
                else:
                    peers.append(scored(instance, found)["ours"])
            row["ortools"] = min(peers, default=None)
        rows.append(row)
        say(" ".join(f"{key} {value}" for key, value in row.items()))
    ratios = [row["ours"] / row["ortools"] for row in rows if row["ortools"]]
    return rows, round(geometric_mean(ratios), 4) if ratios else None


def scored(instance: Instance, plan: Plan) -> dict[str, Any]:
    """Return missed prize + flight seconds of what the simulator let fly, and its violations."""
    fleet, rules = instance.fleet, rules_of(instance)
    planned = sorties(fleet, plan, instance.ways.way, HEIGHTS_AGL_M)
    kept, verdict = released(planned, aircraft(instance), rules)
    seen = {task_id for flown in verdict.flown for task_id, _ in flown.visited}
    missed = sum(task.prize for task in fleet.tasks if task.task_id not in seen)
    flight_s = sum(f.lands_s - s.leaves_s for f, s in zip(verdict.flown, kept, strict=True))
    return {"ours": round(missed + flight_s, 1), "violations": len(verdict.violations)}


def watched(instance: Instance) -> dict[str, Any]:
    """Return the worst weighted idleness of the cells under the rota, as flown by the simulator,
    and what no plan can be below."""
    fleet, known = instance.fleet, {t.task_id: i for i, t in enumerate(instance.fleet.tasks)}
    cells_only = replace(
        fleet,
        tasks=tuple(t if t.cell_code else replace(t, prize=0.0) for t in fleet.tasks),
    )
    found = plan_rota(cells_only, instance.watches, 1, RotaPolicy())
    planned = sorties(cells_only, found.plan, instance.ways.way, HEIGHTS_AGL_M)
    _, verdict = released(planned, aircraft(instance), rules_of(instance))
    seen: dict[int, list[float]] = {}
    for flown in verdict.flown:
        for task_id, at_s in flown.visited:
            seen.setdefault(known[task_id], []).append(at_s)
    achieved = worst(instance.watches, seen, fleet.horizon_s)
    return {"idleness": round(achieved, 3), "lower_bound": round(found.lower_bound, 3)}


def aircraft(instance: Instance) -> list[Aircraft]:
    """Return what is true of an instance's drones."""
    return [
        Aircraft(
            craft.drone_sn,
            craft.dock_sn,
            craft.home,
            (model := instance.fleet.models[craft.kind]).cruise_m_s,
            model.accel_m_s2,
            model.corner_cut_m,
            ENDURANCE_S,
            RESERVE_PCT,
            0.0,
            craft.turnaround_s,
            CHARGE_PCT_S,
            craft.ready_s,
        )
        for craft in instance.fleet.crafts
    ]


def rules_of(instance: Instance) -> Rules:
    """Return the rules of an instance: its closed ground at every height, no margin."""
    closed = tuple(Closed(f"NF{i}", g, 0.0, math.inf) for i, g in enumerate(instance.closed))
    return Rules(closed)
