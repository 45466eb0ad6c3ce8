"""The bench of past telemetry fills, asks, compares and cleans up after itself."""

import json

from click.testing import CliRunner

from gridwing.bench_cli import bench
from gridwing.cluster import Cluster


def test_a_small_past_is_filled_asked_and_dropped(cluster: Cluster) -> None:
    before = cluster.databases()
    done = CliRunner().invoke(bench, ["queries", "--rows", "60000", "--questions", "8", "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["rows"] == told["fill"]["rows"] == 60_000
    assert set(told["bytes_per_row"]) == {
        "heap", "telemetry_at", "telemetry_cell", "telemetry_once",
    }  # fmt: skip
    hour = told["queries"]["track_hour"]
    assert (hour["asked"], hour["rows_p50"]) == (8, 2)
    assert any("device_sn_at_key" in line for line in hour["plan"])
    by_cell = told["queries"]["area_200m_day"]
    assert by_cell["rows_p50"] > 0
    assert any("cell_code_at_idx" in line for line in by_cell["plan"])
    assert by_cell["full_vs_tenth"] > 0
    assert told["write"]["all_indexes"]["rows_per_s"] > 0
    assert cluster.databases() == before
