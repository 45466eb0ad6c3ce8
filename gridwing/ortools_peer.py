"""OR-Tools as a peer of the fleet benchmark, in an environment of its own.

Its protobuf and onnxruntime's do not go together, so it is installed from requirements-ortools.lock
(hash-checked) into .local/peers/ortools on first use, and spoken to in JSON by a process.
"""

import json
import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.patrol.fleet.problem import Fleet
from services.patrol.fleet.routing import Plan
from services.patrol.fleet.slots import even_slots

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements-ortools.lock"
SCRIPT = ROOT / "benchmarks" / "ortools_fleet.py"
_INSTALL_LIMIT_S = 300.0
_GRACE_S = 60.0


@dataclass(frozen=True, slots=True)
class NoPeer:
    """Why OR-Tools cannot be compared with here."""

    reason: str


def interpreter(folder: Path = ROOT / ".local" / "peers" / "ortools") -> Path | NoPeer:
    """Return the peer's interpreter, made and filled if it is not there yet."""
    python = folder / "bin" / "python"
    ready = folder / "installed"
    if ready.exists() and python.exists():
        return python
    if not LOCK.exists() or not SCRIPT.exists():
        return NoPeer(f"{LOCK.name} or {SCRIPT.name} is not in this tree")
    pip = ["-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(LOCK)]
    for command in ([sys.executable, "-m", "venv", str(folder)], [str(python), *pip]):
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_INSTALL_LIMIT_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return NoPeer(f"could not be installed: {error}")
        if done.returncode != 0:
            last = done.stderr.strip().splitlines()[-1:] or ["no message"]
            return NoPeer(f"could not be installed: {last[0]}")
    ready.touch()
    return python


def route(fleet: Fleet, python: Path, seconds: float, chained: bool) -> Plan | NoPeer:
    """Return OR-Tools' plan after `seconds` of wall time, as a plan of ours."""
    given = json.dumps(_asked(fleet, seconds, chained))
    try:
        done = subprocess.run(
            [str(python), str(SCRIPT)],
            input=given,
            capture_output=True,
            text=True,
            timeout=seconds + _GRACE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return NoPeer(f"gave no answer within {seconds + _GRACE_S:g} s")
    if done.returncode != 0:
        return NoPeer((done.stderr.strip().splitlines() or ["ended without a word"])[-1])
    slots = even_slots(fleet)
    by_craft: dict[int, list[int]] = {}
    for number, slot in enumerate(slots):
        by_craft.setdefault(slot.craft, []).append(number)
    routes: list[tuple[int, ...]] = [()] * len(slots)
    for craft, tasks in json.loads(done.stdout)["routes"]:
        routes[by_craft[craft].pop(0)] = tuple(tasks)
    return Plan(slots, tuple(routes))


def _asked(fleet: Fleet, seconds: float, chained: bool) -> dict[str, Any]:
    horizon = math.floor(fleet.horizon_s)
    slots = even_slots(fleet)
    return {
        "homes": len(fleet.crafts),
        "tasks": [
            {
                "opens": math.ceil(task.opens_s),
                "closes": math.floor(min(task.closes_s, horizon)),
                "prize": round(task.prize),
                "service": [math.ceil(h.service_s) if h else horizon for h in task.handlings],
            }
            for task in fleet.tasks
        ],
        "crafts": [
            {
                "kind": craft.kind,
                "usable": math.floor(craft.usable_s),
                "ready": math.ceil(craft.ready_s),
                "turnaround": math.ceil(craft.turnaround_s),
                "charge_permille": math.ceil(craft.charge_s_per_s * 1000.0),
            }
            for craft in fleet.crafts
        ],
        "travel": [_whole(matrix.tolist()) for matrix in fleet.travel_s],
        "horizon": horizon,
        "slots": [sum(slot.craft == i for slot in slots) for i in range(len(fleet.crafts))],
        "seconds": seconds,
        "chained": chained,
    }


def _whole(matrix: list[list[float]]) -> list[list[int]]:
    return [[math.ceil(min(value, 1e6)) for value in row] for row in matrix]
