"""The benchmarks run, choose by name, and can fail."""

import json

from click.testing import CliRunner

from gridwing.bench_cli import bench


def test_one_polygon_beside_the_peer() -> None:
    done = CliRunner().invoke(bench, ["coverage", "--only", "convex-0", "--json"])
    assert done.exit_code == 0
    (row,) = (told := json.loads(done.stdout))["polygons"]
    assert row["coverage"] >= 0.999
    assert 1.0 < row["ratio"] < 1.3
    assert told["beside_peer"] == 1


def test_a_plan_refused_is_a_failure() -> None:
    done = CliRunner().invoke(bench, ["coverage", "--only", "convex-0", "--coverage", "1.5"])
    assert done.exit_code == 1


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    done = CliRunner().invoke(bench, ["coverage", "--only", "nowhere"])
    assert done.exit_code == 2
    assert "holes-0" in done.stderr
