"""OR-Tools on one fleet instance: JSON in on stdin, JSON out on stdout.

Run with an interpreter of its own, since OR-Tools and onnxruntime want different protobufs. In:
`{homes, tasks: [{opens, closes, prize, service: [per kind]}], crafts: [{kind, usable, ready,
turnaround, charge_permille}], travel: [per kind [node][node]], horizon, slots, seconds, chained}`,
whole seconds, nodes are homes then tasks. Out: `{routes: [[craft, [task, …]], …], objective}`.

The model: one vehicle per craft and sortie, its own home as depot, a time dimension with waiting,
a span limit of the battery, a disjunction per task with its prize as penalty, span cost = flight
seconds (waiting included). `chained` lets a craft's sorties float: each departs no earlier than
the previous landing + turnaround + charge for what was flown, as constraints between vehicles;
otherwise sorties have fixed hours. Parallel cheapest insertion, then guided local search.
"""

import json
import sys
import time
from typing import Any

from ortools.constraint_solver import pywrapcp, routing_enums_pb2

MILLE = 1000
NEVER_S = 1_000_000


def main() -> None:
    given = json.load(sys.stdin)
    json.dump(solve(given), sys.stdout)


def solve(given: dict[str, Any]) -> dict[str, Any]:
    """Return the routes found within the given seconds of wall time, model building included."""
    began = time.monotonic()
    homes, crafts, per = given["homes"], given["crafts"], given["slots"]
    ends = [craft for craft in range(len(crafts)) for _ in range(per[craft])]
    count = homes + len(given["tasks"])
    index = pywrapcp.RoutingIndexManager(count, len(ends), ends, ends)
    routing = pywrapcp.RoutingModel(index)
    transits = [_transit(routing, index, given, kind) for kind in range(len(given["travel"]))]
    by_vehicle = [transits[crafts[craft]["kind"]] for craft in ends]
    routing.AddDimensionWithVehicleTransits(
        by_vehicle, given["horizon"], given["horizon"], False, "time"
    )
    hours = routing.GetDimensionOrDie("time")
    zero = routing.RegisterTransitCallback(lambda _a, _b: 0)
    routing.SetArcCostEvaluatorOfAllVehicles(zero)
    hours.SetSpanCostCoefficientForAllVehicles(1)
    _windows(routing, index, hours, given)
    _sorties(routing, hours, given, ends)
    parameters = pywrapcp.DefaultRoutingSearchParameters()
    first = routing_enums_pb2.FirstSolutionStrategy
    parameters.first_solution_strategy = first.PARALLEL_CHEAPEST_INSERTION
    local = routing_enums_pb2.LocalSearchMetaheuristic
    parameters.local_search_metaheuristic = local.GUIDED_LOCAL_SEARCH
    left_s = max(0.1, given["seconds"] - (time.monotonic() - began))
    parameters.time_limit.FromMilliseconds(int(left_s * 1000))
    found = routing.SolveWithParameters(parameters)
    if found is None:
        return {"routes": [], "objective": None}
    routes = _routes(routing, index, found, ends, homes)
    return {"routes": routes, "objective": found.ObjectiveValue()}


def _transit(routing: Any, index: Any, given: dict[str, Any], kind: int) -> int:
    homes, travel = given["homes"], given["travel"][kind]
    service = [0] * homes + [task["service"][kind] for task in given["tasks"]]

    def seconds(a: int, b: int) -> int:
        here, there = index.IndexToNode(a), index.IndexToNode(b)
        return min(NEVER_S, travel[here][there] + service[here])

    return int(routing.RegisterTransitCallback(seconds))


def _windows(routing: Any, index: Any, hours: Any, given: dict[str, Any]) -> None:
    for number, task in enumerate(given["tasks"]):
        node = index.NodeToIndex(given["homes"] + number)
        hours.CumulVar(node).SetRange(task["opens"], task["closes"])
        routing.AddDisjunction([node], task["prize"])


def _sorties(routing: Any, hours: Any, given: dict[str, Any], ends: list[int]) -> None:
    solver, horizon = routing.solver(), given["horizon"]
    before = None
    for vehicle, number in enumerate(ends):
        craft = given["crafts"][number]
        usable, charge = craft["usable"], craft["charge_permille"]
        start, end = hours.CumulVar(routing.Start(vehicle)), hours.CumulVar(routing.End(vehicle))
        hours.SetSpanUpperBoundForVehicle(usable, vehicle)
        routing.AddVariableMinimizedByFinalizer(end)
        again = before is not None and ends[before] == number
        place = vehicle - ends.index(number)
        period = usable + craft["turnaround"] + usable * charge // MILLE + 1
        opens = craft["ready"] + place * period
        if not given["chained"]:
            start.SetRange(opens, horizon)
            end.SetRange(opens, min(horizon, opens + usable))
        elif again:
            last_start = hours.CumulVar(routing.Start(before))
            last_end = hours.CumulVar(routing.End(before))
            solver.Add(
                start * MILLE
                >= last_end * (MILLE + charge)
                - last_start * charge
                + craft["turnaround"] * MILLE
            )
        before = vehicle


def _routes(routing: Any, index: Any, found: Any, ends: list[int], homes: int) -> list[Any]:
    routes = []
    for vehicle, craft in enumerate(ends):
        node, tasks = routing.Start(vehicle), []
        while not routing.IsEnd(node):
            if not routing.IsStart(node):
                tasks.append(index.IndexToNode(node) - homes)
            node = found.Value(routing.NextVar(node))
        if tasks:
            routes.append([craft, tasks])
    return routes


if __name__ == "__main__":
    main()
