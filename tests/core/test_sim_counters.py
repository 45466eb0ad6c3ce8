"""Counts survive the killing of the process that counts."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from simulators.counters import Counters, read_counts

PROGRAM = """
import sys
from pathlib import Path
from simulators.counters import Counters
counters = Counters(Path(sys.argv[1]))
for _ in range(1000):
    counters.add("telemetry_sent")
counters.add("frames_sent", 5)
print("counted", flush=True)
sys.stdin.read()
"""


def test_counts_survive_kill_9_and_go_on(tmp_path: Path) -> None:
    path = tmp_path / "counters.bin"
    assert read_counts(path)["telemetry_sent"] == 0
    root = Path(__file__).parents[2]
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=root,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline() == b"counted\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdin.close()
    child.stdout.close()
    assert read_counts(path)["telemetry_sent"] == 1000
    with Counters(path) as counters:
        counters.add("telemetry_sent", 2)
    assert (read_counts(path)["telemetry_sent"], read_counts(path)["frames_sent"]) == (1002, 5)


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    with Counters(tmp_path / "c") as counters, pytest.raises(KeyError):
        counters.add("no_such_count")
