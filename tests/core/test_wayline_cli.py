"""`gridwing wayline`: a planned path becomes files, and files are checked."""

import json
import zipfile
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from gridwing.admin_cli import ledger
from gridwing.wayline_cli import wayline
from services.patrol.aircraft.qgc_plan import check_plan, read_plan
from services.patrol.aircraft.wpml_check import check
from services.patrol.aircraft.wpml_read import zipped

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
        (None, ("--height", "500"), "2.0<=x<=120.0"),
        (None, ("--home", "0,0"), "km from the path"),
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
    assert done.exit_code == 2
    assert message in done.output
    assert not path.with_name("x.kmz").exists()


def test_a_path_planned_above_the_limit_is_refused(path: Path) -> None:
    path.write_text(path.read_text().replace("80.0", "500.0"))
    done = run("export", path, "--format", "plan", "--out", path.with_name("x.plan"))
    assert (done.exit_code, "height_agl_m is 500" in done.output) == (2, True)
    lower = run(
        "export", path, "--format", "plan", "--out", path.with_name("x.plan"), "--height", 100
    )
    assert lower.exit_code == 0, lower.output


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (">goHome<", ">danceAround<", "finishAction is danceAround"),
        (">relativeToStartPoint</wpml:executeHeightMode", ">moon</wpml:executeHeightMode",
         "executeHeightMode is moon"),
        ("<coordinates>113", "<coordinates>abc113", "Point/coordinates is abc113"),
    ],
)  # fmt: skip
def test_a_kmz_with_a_fault_is_not_written_anew(
    path: Path, old: str, new: str, message: str
) -> None:
    out = path.with_name("a.kmz")
    run("export", path, "--format", "kmz", "--out", out)
    with zipfile.ZipFile(out) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    changed = {name: raw.replace(old.encode(), new.encode()) for name, raw in members.items()}
    assert changed != members
    out.write_bytes(zipped(changed))
    done = run("export", out, "--format", "plan", "--out", path.with_name("b.plan"))
    assert done.exit_code == 2
    assert "a.kmz has a fault, mend it first: wpmz/" in done.output
    assert message in done.output


@pytest.mark.parametrize("source", ["missing.geojson", "folder/missing"])
def test_a_file_that_is_not_there_is_told(path: Path, source: str) -> None:
    done = run("export", source, "--format", "kmz", "--out", path.with_name("x.kmz"))
    assert (done.exit_code, done.output) == (2, f"gridwing: {source}: no such file\n")


def test_a_missing_folder_is_told(path: Path) -> None:
    out = path.parent / "none" / "x.kmz"
    for command in (("export", path, "--format", "kmz"), ("geojson",)):
        done = run(*command, "--out", out)
        assert (done.exit_code, "there is no folder" in done.output) == (2, True)


@pytest.mark.parametrize(("group", "command"), [(wayline, "geojson"), (ledger, "verify")])
def test_a_database_that_is_not_named_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, group: click.Group, command: str
) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    args = ["--out", str(tmp_path / "x.geojson")] if group is wayline else []
    done = CliRunner().invoke(group, [command, *args])
    assert done.exit_code == 1
    assert done.output == "gridwing: DATABASE_URL is not set; docs/settings.md tells its form\n"


@pytest.mark.parametrize("name", ["path.geojson", "notes.txt"])
def test_what_is_not_checked_is_told_with_what_is(path: Path, name: str) -> None:
    file = path.with_name(name)
    file.touch()
    done = run("check", file)
    allowed = "no kind that is checked here; allowed: a .kmz, .plan or .waypoints"
    assert (done.exit_code, done.output) == (2, f"{name}: {allowed}\n1 fault\n")


def test_what_is_no_archive_is_told_without_an_element(path: Path) -> None:
    file = path.with_name("x.kmz")
    file.write_bytes(b"PKnot")
    assert run("check", file).output.startswith("the file: File is not a zip file; allowed: a zip")
