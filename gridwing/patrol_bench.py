"""`gridwing bench patrol`: coverage, fleet, routing and diversion, one document."""

from collections.abc import Callable, Sequence
from typing import Any

from gridwing import coverage_bench, divert_bench, fleet_bench, vrp_bench

Say = Callable[[str], None]
_VRP_TIMES = 4.0
"""The routing instances are larger than a patrol; each search has so many times the wall time."""
SECTIONS = ("coverage", "fleet", "vrp", "divert")


def run(
    only: Sequence[str],
    instances: Sequence[str],
    seconds: float,
    quick: bool,
    full: bool,
    say: Say,
) -> dict[str, Any]:
    """Return the wanted sections (all without `only`); `instances` narrows fleet and vrp by the
    beginnings of names, `seconds` is each search's wall time, `full` takes all fleet instances."""
    told: dict[str, Any] = {}
    chosen = only or SECTIONS
    if "coverage" in chosen:
        told |= coverage_bench.run((), quick, say)
    if "fleet" in chosen:
        rows, ratio = fleet_bench.run(instances, seconds, full, say)
        told["fleet"], told["fleet_ours_over_ortools"] = rows, ratio
    if "vrp" in chosen:
        told["vrp"] = _vrp(instances, seconds, say)
    if "divert" in chosen:
        told["divert"] = {}
        for drones, trials in divert_bench.TRIALS.items():
            told["divert"][str(drones)] = divert_bench.run(drones, trials)
            say(f"divert {drones} drones {told['divert'][str(drones)]}")
    return told


def _vrp(instances: Sequence[str], seconds: float, say: Say) -> list[dict[str, Any]]:
    names = vrp_bench.names()
    if not names:
        say(f"vrp is left out: no instances in {vrp_bench.FOLDER.name}/ beside this tree")
    rows = []
    for name in names:
        if instances and not name.startswith(tuple(instances)):
            continue
        rows.append({"instance": name, "gap_pct": vrp_bench.gap_pct(name, _VRP_TIMES * seconds)})
        say(f"vrp {name} {rows[-1]['gap_pct']} %")
    return rows
