"""`gridwing plan`: one JSON document, a path one can check, and refusals that say why."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from shapely.geometry import shape

from geo.coverage import coverage_share
from gridwing.plan_cli import plan

RING = [[0, 0], [400, 0], [430, 300], [0, 300], [0, 0]]
HOLE = [[150, 100], [250, 100], [250, 200], [150, 200], [150, 100]]
LOCAL = {"type": "Polygon", "coordinates": [RING, HOLE]}
DEGREES = {
    "type": "Feature",
    "properties": {},
    "geometry": {
        "type": "Polygon",
        "coordinates": [
            [
                [113.35, 22.54],
                [113.354, 22.54],
                [113.354, 22.543],
                [113.35, 22.543],
                [113.35, 22.54],
            ]
        ],
    },
}
BOW_TIE = {"type": "Polygon", "coordinates": [[[0, 0], [9, 9], [9, 0], [0, 8], [0, 0]]]}
LINE = {"type": "LineString", "coordinates": [[0, 0], [1, 1]]}
KEYS = ["length_m", "time_s", "lower_bound_m", "ratio", "coverage", "swaths", "seconds"]


def planned(folder: Path, document: Any, *options: str) -> tuple[int, dict[str, Any]]:
    file = folder / "area.geojson"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    found = CliRunner().invoke(plan, [str(file), "--json", *options])
    answer = json.loads(found.stdout)
    assert isinstance(answer, dict)
    return found.exit_code, answer


def test_a_local_polygon_gives_a_path_that_covers_it(tmp_path: Path) -> None:
    out = tmp_path / "path.geojson"
    code, found = planned(tmp_path, LOCAL, "--swath", "40", "--crs", "local", "--out", str(out))
    assert code == 0
    assert list(found)[: len(KEYS)] == KEYS
    feature = json.loads(out.read_text())["features"][0]
    share = coverage_share(shape(LOCAL), feature["geometry"]["coordinates"], 40.0)
    assert share >= 0.999
    assert found["coverage"] <= share
    assert found["lower_bound_m"] == pytest.approx(shape(LOCAL).area / 40.0, abs=0.01)


def test_degrees_are_planned_in_metres(tmp_path: Path) -> None:
    out = tmp_path / "path.geojson"
    code, found = planned(tmp_path, DEGREES, "--swath", "50", "--out", str(out))
    assert code == 0
    # 0.004° × 0.003° here is 411 m × 332 m.
    assert found["lower_bound_m"] == pytest.approx(411.3 * 332.3 / 50.0, rel=0.01)
    lon, lat = json.loads(out.read_text())["features"][0]["geometry"]["coordinates"][0]
    assert 113.34 < lon < 113.36
    assert 22.53 < lat < 22.55


@pytest.mark.parametrize(
    ("document", "options", "refused"),
    [
        (LOCAL, ("--swath", "40"), "no_crs"),
        (LOCAL, ("--swath", "40", "--crs", "EPSG:nonsense"), "unknown_crs"),
        (BOW_TIE, ("--swath", "2", "--crs", "local"), "invalid_area"),
        (LINE, ("--swath", "2", "--crs", "local"), "not_a_polygon"),
        ("{", ("--swath", "2"), "not_geojson"),
        ("[]", ("--swath", "2"), "not_geojson"),
        (LOCAL, ("--swath", "-1", "--crs", "local"), "bad_swath"),
        (LOCAL, ("--swath", "40", "--crs", "local", "--coverage", "2"), "bad_coverage"),
        (LOCAL, ("--swath", "40", "--crs", "local", "--height-agl", "200"), "bad_height"),
    ],
)
def test_bad_input_is_refused_with_exit_2(
    tmp_path: Path, document: Any, options: tuple[str, ...], refused: str
) -> None:
    code, found = planned(tmp_path, document, *options)
    assert code == 2
    assert found["refused"]["code"] == refused
    assert found["refused"]["message"]
