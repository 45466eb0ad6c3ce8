"""`gridwing grid` against a real database: what is wrong with a file is one JSON document."""

import json
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner
from shapely import box, to_geojson

from geo.shapes import feature
from gridwing.cli import main
from gridwing.cluster import DatabaseUrls
from runtime.registry import load_now, save
from simulators.district import generate
from tests.core.patrol_scene import EPOCH


@pytest.mark.parametrize("command", [("check",), ("import", "--dry-run"), ("import",)])
@pytest.mark.parametrize(
    ("west", "south", "size", "code"),
    [(741000.0, 2494000.0, 400.0, "no_crs"), (13.35, 22.54, 1e-3, "outside_district")],
)
def test_a_cell_elsewhere_is_a_problem_and_changes_nothing(
    database_urls: DatabaseUrls,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    command: tuple[str, ...],
    west: float,
    south: float,
    size: float,
    code: str,
) -> None:
    with psycopg.connect(database_urls.owner) as connection:
        version = save(connection, generate(7), EPOCH)
    monkeypatch.setenv("DATABASE_OWNER_URL", database_urls.owner)
    file = tmp_path / "cells.geojson"
    shape = json.loads(to_geojson(box(west, south, west + size, south + size)))
    cell = feature(shape, {"code": "442000004001099"})
    file.write_text(json.dumps({"type": "FeatureCollection", "features": [cell]}))
    done = CliRunner().invoke(main, ["grid", *command, str(file), "--json"])
    told = json.loads(done.stdout)
    assert (done.exit_code, told["cells"], told["version"]) == (1, 0, None)
    (problem,) = told["problems"]
    assert (problem["feature"], problem["code"]) == (0, code)
    assert "--crs" in problem["cure"]
    with psycopg.connect(database_urls.owner) as connection:
        assert load_now(connection).version == version
