"""`gridwing bench vision` tells what the issue asks for, and its work is counted right."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from gridwing.bench_cli import bench
from models.catalogue import THINGS, card
from models.gemm import SIDE, cpu_s, gflop_of, product
from models.runners import ORT
from tests.core.tiny_yolo import write_tiny_yolo


def test_backends_stages_and_idle_cameras_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRIDWING_MODELS_DIR", str(tmp_path))
    asked = ["vision", "--json", "--rounds", "3"]
    for section in ("backends", "stages", "idle"):
        asked += ["--only", section]
    done = CliRunner().invoke(bench, asked)
    assert done.exit_code == 0, done.output
    # The watch logs; only `gridwing` itself sends that to stderr.
    told = json.loads(done.stdout.splitlines()[-1])
    ours = [row for row in told["backends"] if row["name"] == ORT]
    assert len(ours) == 2
    for row in ours:
        assert row["ms_per_frame"] > row["network_ms"] > 0
        assert 0 < row["gemm_share"] < 1.2
    assert 0 <= told["overhead_share"] < 1
    assert {"decode_1080p", "gate", "track_30", "locate"} <= set(told["stages_ms"])
    idle = told["idle"]
    assert idle["moving"] <= idle["looked_at"] < 0.2 * idle["frames"]
    assert idle["looked_at_ms"] > idle["network_ms"] > 0
    assert told["idle_streams_2_cores"] > 0


def test_the_work_of_a_network_is_counted() -> None:
    shape = (1, 3, 416, 416)
    assert gflop_of(card(THINGS).path, shape) == pytest.approx(4.2, abs=0.1)  # as its authors say


def test_the_work_of_one_convolution_is_what_it_multiplies(tmp_path: Path) -> None:
    path = write_tiny_yolo(tmp_path / "tiny.onnx", 128, 96)
    wanted = 2 * (4 * 3) * 7 * (3 * 32 * 32) / 1e9
    assert gflop_of(path, (1, 3, 96, 128)) == pytest.approx(wanted)


def test_the_bound_is_a_product_of_matrices() -> None:
    runs = product(ORT)
    made = runs.run(np.eye(SIDE, dtype=np.float32))[0]
    assert made.shape == (SIDE, SIDE)
    assert np.abs(made).max() <= 1
    assert cpu_s(runs, np.eye(SIDE, dtype=np.float32)) > 0
