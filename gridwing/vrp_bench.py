"""Gaps to best-known solutions of routing instances with prizes, several trips and several depots,
through the same call of PyVRP as the fleet's routes."""

import re
from pathlib import Path

from pyvrp import read

from services.patrol.fleet.routing import Effort, search

FOLDER = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "vrp"
SECONDS = 10.0


def names(folder: Path = FOLDER) -> list[str]:
    """Return the instances there are; none where the data is not beside this tree."""
    return sorted(path.stem for path in folder.glob("*.vrp"))


def gap_pct(name: str, seconds: float, folder: Path = FOLDER) -> float | None:
    """Return how far above the best-known cost the search ends, in percent; None: infeasible."""
    # The rounding under which the best-known solutions of each set are kept.
    rounding = "exact" if name.startswith("MDVRPTW") else "dimacs"
    data = read(folder / f"{name}.vrp", round_func=rounding)
    found = search(data, Effort(seconds=seconds), seed=1)
    if not found.is_feasible():
        return None
    best = best_known(folder / f"{name}.sol")
    return round(100.0 * (float(found.cost()) - best) / best, 2)


def best_known(path: Path) -> float:
    """Return the cost a solution file ends with. Raises ValueError where it has none."""
    found = re.search(r"^Cost:?\s+([\d.]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ValueError(f"{path.name} has no line 'Cost'")
    return float(found[1])
