"""The measured demo: whole, repeatable, and none the worse for a killed part."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gridwing.premises import premises

ROOT = Path(__file__).resolve().parents[2]
KILL_EVERY_S = 6.0
STOP_S = 60
PARTS = ("ingest", "watch", "patrol", "alerts", "web", "simulators")


@contextmanager
def demo(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run a demo; one that a failed test leaves running is stopped with its parts."""
    with subprocess.Popen(
        [sys.executable, "-m", "gridwing", "demo", "--json", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                process.communicate(timeout=STOP_S)


def figures(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, said = process.communicate(timeout=240)
    assert out, said
    told: dict[str, Any] = json.loads(out)
    return told


def test_one_seed_gives_one_ledger() -> None:
    runs = []
    for _ in range(2):
        with demo("--in-process", "--for", "6", "--seed", "7") as process:
            runs.append(figures(process))
    assert runs[0]["ledger_entries"] > 20
    assert runs[0]["ledger_digest"] == runs[1]["ledger_digest"]
    assert runs[0]["complaints"] == []


def test_killed_parts_come_back_and_nothing_is_lost() -> None:
    pids = premises(ROOT).folder("demo") / "parts.json"
    pids.unlink(missing_ok=True)
    with demo("--headless", "--for", "50", "--seed", "7") as process:
        deadline = time.monotonic() + 90
        while not pids.is_file() or len(json.loads(pids.read_text())) < len(PARTS):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        time.sleep(15)
        for name in PARTS:
            os.kill(json.loads(pids.read_text())[name], signal.SIGKILL)
            time.sleep(KILL_EVERY_S)
        told = figures(process)
    assert set(told["restarts"]) == set(PARTS)
    assert told["telemetry_sent"] > 1000
    assert told["telemetry_stored"] >= told["telemetry_sent"]
    assert told["dead_letters"] == 0
    assert told["double_takeoffs"] == 0
    assert told["ledger_ok"]
