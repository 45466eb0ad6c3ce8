"""`gridwing wayline`: a planned path becomes files, and files are checked."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gridwing.wayline_cli import wayline
from services.patrol.aircraft.qgc_plan import check_plan, read_plan
from services.patrol.aircraft.wpml_check import check

PATH = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "geometry": {
                "type": "LineString",
                "coordinates": [[113.35, 22.54], [113.352, 22.54], [113.352, 22.541]],
            },
            "properties": {"role": "path", "height_agl_m": 80.0, "crs": "CRS84"},
        }
    ],
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "path.geojson"
    file.write_text(json.dumps(PATH))
    return file


def run(*args: object) -> Result:
    return CliRunner().invoke(wayline, [str(a) for a in args])


@pytest.mark.parametrize("kind", ["kmz", "plan", "waypoints", "geojson"])
def test_a_planned_path_is_written_and_checked(path: Path, kind: str) -> None:
    out = path.with_name(f"flight.{kind}")
    done = run("export", path, "--format", kind, "--out", out)
    assert done.exit_code == 0, done.output
    assert "3 waypoints" in done.output
    if kind == "geojson":
        told = json.loads(out.read_text())["features"][0]
        assert told["properties"]["height_rel_m"] == 80.0
        return
    checked = run("check", out)
    assert (checked.exit_code, checked.output) == (0, "no fault\n")


def test_one_format_becomes_another(path: Path) -> None:
    folder = path.parent
    run("export", path, "--format", "kmz", "--out", folder / "a.kmz", "--model", "M3D")
    run("export", folder / "a.kmz", "--format", "plan", "--out", folder / "b.plan")
    run("export", folder / "b.plan", "--format", "waypoints", "--out", folder / "c.waypoints")
    done = run("export", folder / "c.waypoints", "--format", "kmz", "--out", folder / "d.kmz")
    assert done.exit_code == 0, done.output
    assert check((folder / "d.kmz").read_bytes()) == []
    assert check_plan((folder / "b.plan").read_bytes()) == []
    commands = [item.command for item in read_plan((folder / "b.plan").read_bytes()).items]
    assert commands.count(16) == 3


def test_faults_are_told_with_exit_2(path: Path) -> None:
    out = path.with_name("flight.plan")
    run("export", path, "--format", "plan", "--out", out)
    out.write_text(out.read_text().replace('"fileType": "Plan"', '"fileType": "Plum"'))
    told = run("check", out)
    assert told.exit_code == 2
    assert 'fileType is "Plum"; allowed: Plan' in told.output
    rows = json.loads(run("check", out, "--json").output)["faults"]
    assert [r["element"] for r in rows] == ["fileType"]


@pytest.mark.parametrize(
    ("change", "args", "message"),
    [
        ({"type": "Point", "coordinates": [1, 2]}, (), "not a path"),
        (None, ("--model", "Phantom"), "no WPML numbers are known of 'Phantom'"),
        (None, ("--home", "nowhere"), "write --home"),
        ({"type": "LineString", "coordinates": [[113.0, 22.0]]}, (), "two waypoints"),
        ({"type": "LineString", "coordinates": [[22.0, 113.0], [22.1, 113.1]]}, (), "lat_deg"),
    ],
)
def test_a_refusal_names_the_field_and_the_cure(
    path: Path, change: dict[str, object] | None, args: tuple[str, ...], message: str
) -> None:
    if change is not None:
        document = json.loads(path.read_text())
        document["features"][0]["geometry"] = change
        path.write_text(json.dumps(document))
    done = run("export", path, "--format", "kmz", "--out", path.with_name("x.kmz"), *args)
    assert done.exit_code != 0
    assert message in done.output
    assert not path.with_name("x.kmz").exists()
