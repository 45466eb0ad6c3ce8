"""A .pt in a process of its own: asked, refused, and gone with us.

Needs an interpreter with the extra `train`: GRIDWING_ULTRALYTICS_PYTHON names it.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from models.catalogue import WeightsError
from models.describe import described
from models.ultralytics_process import (
    WORKER,
    UltralyticsDetector,
    UltralyticsFailed,
    UltralyticsProcess,
)

PYTHON = os.environ.get("GRIDWING_ULTRALYTICS_PYTHON", sys.executable)
MAKE = (
    "import sys, torch; torch.manual_seed(0); from ultralytics import YOLO; "
    "m = YOLO('yolo11n.yaml'); m.model.names = {i: f'kind {i}' for i in range(80)}; "
    "m.save(sys.argv[1])"
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a network of random weights; skips where Ultralytics is not."""
    path = tmp_path_factory.mktemp("ultralytics") / "random.pt"
    done = subprocess.run(
        [PYTHON, "-c", MAKE, str(path)], capture_output=True, check=False, cwd=path.parent
    )
    if done.returncode:
        pytest.skip(f"no Ultralytics in {PYTHON}: set GRIDWING_ULTRALYTICS_PYTHON")
    return path


def test_a_file_of_ones_own_is_asked_and_answers_in_boxes(weights: Path) -> None:
    image = np.random.default_rng(1).integers(0, 255, (120, 200, 3), np.uint8)
    with UltralyticsProcess(weights, PYTHON) as process:
        assert process.classes[:2] == ("kind 0", "kind 1")
        names = [f"class {i}" for i in range(80)]
        detector = UltralyticsDetector(process, names, dict.fromkeys(names, 0.0))
        first, again = detector.detect(image), detector.detect(image)
        assert first == again
        assert all(0 <= b.x0_px <= b.x1_px <= 200 and 0 <= b.y1_px <= 120 for b in first)
        with pytest.raises(ValueError, match="2 classes for a network of 80"):
            UltralyticsDetector(process, ["a", "b"], {"a": 0.5, "b": 0.5})


def test_what_ultralytics_trained_is_marked_so(weights: Path) -> None:
    found = described(weights, PYTHON)
    assert (found.head, found.licence, len(found.classes)) == ("ultralytics", "AGPL-3.0", 80)


def test_a_process_that_was_killed_is_an_error_with_a_name(weights: Path) -> None:
    with UltralyticsProcess(weights, PYTHON) as process:
        process._process.send_signal(signal.SIGKILL)
        process._process.wait()
        with pytest.raises(UltralyticsFailed, match="has ended"):
            process.look(np.zeros((64, 64, 3), np.uint8))


def test_a_spoilt_file_is_refused(weights: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt.pt"
    spoilt.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="Ultralytics"):
        described(spoilt, PYTHON)


def test_the_process_ends_when_we_are_killed(weights: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; "
        "from models.ultralytics_process import UltralyticsProcess; "
        f"p = UltralyticsProcess(Path({str(weights)!r}), {PYTHON!r}); "
        "print(p._process.pid, flush=True); time.sleep(60)"
    )
    ours = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert ours.stdout is not None
    pid = int(ours.stdout.readline())
    ours.kill()
    ours.wait()
    ours.stdout.close()
    until = time.monotonic() + 10
    while _runs(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_an_interpreter_without_ultralytics_is_named(tmp_path: Path) -> None:
    path = tmp_path / "any.pt"
    path.write_bytes(b"")
    with pytest.raises(UltralyticsFailed, match="cannot be started"):
        UltralyticsProcess(path, str(tmp_path / "no-python"))
    with pytest.raises(UltralyticsFailed, match="not there"):
        UltralyticsProcess(tmp_path / "absent.pt", PYTHON)
    lame = tmp_path / "python"
    lame.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    lame.chmod(0o755)
    with pytest.raises(UltralyticsFailed, match="extra `train`"):
        UltralyticsProcess(path, str(lame))
    assert WORKER.is_file()
