"""The benchmarks run, choose by name, and can fail."""

import json

from click.testing import CliRunner

from gridwing.bench_cli import bench

SUMMARY = [
    "solved", "of", "mean_ratio_flat", "mean_ratio_footprint", "min_coverage",
    "f2c_rows_not_longer",
    "f2c_rows", "f2c_median", "f2c_time_same_coverage", "f2c_time_full_coverage", "median_seconds",
    "quick_mean_ratio", "quick_median_seconds",
]  # fmt: skip


def test_one_polygon_beside_the_peer() -> None:
    done = CliRunner().invoke(bench, ["coverage", "--only", "convex-2", "--quick", "--json"])
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    (row,) = told["coverage"]
    assert list(row) == ["name", "flat", "footprint", "vs_f2c"]
    assert row["flat"]["coverage"] >= 0.999
    assert 1.0 < row["flat"]["ratio"] < 1.25
    assert all(beside["ours_over_f2c"] < 1.0 for beside in row["vs_f2c"])
    assert list(told["summary"]) == SUMMARY
    assert told["summary"]["min_coverage"] >= 0.999


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    done = CliRunner().invoke(bench, ["coverage", "--only", "nowhere"])
    assert done.exit_code == 2
    assert "holes-0" in done.stderr
