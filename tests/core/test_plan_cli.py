"""`gridwing plan`: one JSON document, a path one can check, and refusals that say why."""

import json
from pathlib import Path
from typing import Any

import geopandas
import pyproj
import pytest
from click.testing import CliRunner
from shapely.geometry import box, mapping, shape

from geo.strip import coverage_share
from gridwing.plan_cli import plan
from gridwing.plan_input import read_features

RING = [[0, 0], [400, 0], [430, 300], [0, 300], [0, 0]]
HOLE = [[150, 100], [250, 100], [250, 200], [150, 200], [150, 100]]
LOCAL = {"type": "Polygon", "coordinates": [RING, HOLE]}
DEGREES: dict[str, Any] = {
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


def in_utm() -> dict[str, Any]:
    """The area in degrees as a polygon of UTM zone 49N, which names no CRS."""
    move = pyproj.Transformer.from_crs("EPSG:4326", "EPSG:32649", always_xy=True)
    ring = [list(move.transform(*p)) for p in DEGREES["geometry"]["coordinates"][0]]
    return {"type": "Polygon", "coordinates": [ring]}


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


DEGREE_AREA = DEGREES["geometry"]
CRS84 = {"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}}
HOLLOW: dict[str, Any] = {"type": "Polygon", "coordinates": []}
RAGGED = {"type": "Polygon", "coordinates": [[[0, 0], [1]]]}
ENDLESS = '{"type": "Polygon", "coordinates": [[[1e999, 0], [1, 0], [1, 1], [1e999, 0]]]}'


def collection(*features: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(features)}


@pytest.mark.parametrize(
    ("document", "options", "code", "told"),
    [
        (DEGREES, ("--crs", "EPSG:32649"), "wrong_crs", "look like degrees"),
        (DEGREES, ("--crs", "LOCAL"), "wrong_crs", "drop --crs"),
        ("[" * 100_000, (), "not_geojson", "nested too deep"),
        ("[" * 100_000, ("--each",), "not_geojson", "nested too deep"),
        ({"type": "FeatureCollection", "features": 5}, ("--each",), "not_geojson", "`features`"),
        ({"type": "FeatureCollection"}, (), "not_geojson", "`features`"),
        (collection(5), (), "not_geojson", "`geometry`"),
        ({"type": "Feature", "geometry": None}, (), "not_geojson", "`geometry`"),
        ({}, (), "not_geojson", "`type`"),
        (RAGGED, (), "not_geojson", "`coordinates`"),
        (ENDLESS, (), "bad_coordinates", "finite"),
        (HOLLOW, (), "empty_area", "area.geojson is empty"),
        ({**LOCAL, "crs": {"properties": [1]}}, (), "no_crs", "--crs local"),
        ({**LOCAL, "crs": {"properties": {"name": "x"}}}, (), "unknown_crs", "area.geojson names"),
        ({"type": "GeometryCollection", "geometries": [LINE]}, (), "not_a_polygon", "LineString"),
        (DEGREES, ("--out", "missing/path.geojson"), "bad_option", "no folder missing"),
        (DEGREES, ("--plot", "missing/plan.png"), "bad_option", "no folder missing"),
        (DEGREES, ("--plot", "plan.xyz"), "bad_option", ".png or .svg"),
        (DEGREES, ("--each", "--plot", "plan.xyz"), "bad_option", ".png or .svg"),
        (DEGREES, ("--camera", "x"), "bad_option", "--camera"),
        (DEGREES, ("--seed", "-1"), "bad_option", "--seed"),
        (DEGREES, ("--gimbal-pitch", "nan"), "bad_option", "--gimbal-pitch"),
    ],
)
def test_a_refusal_names_what_is_wrong_and_the_cure(
    tmp_path: Path, document: Any, options: tuple[str, ...], code: str, told: str
) -> None:
    exit_code, found = planned(tmp_path, document, "--swath", "60", *options)
    assert exit_code == 2
    assert found["refused"]["code"] == code
    assert told in found["refused"]["message"]


@pytest.mark.parametrize(
    ("area", "crs", "closed", "code"),
    [
        (in_utm(), "EPSG:32649", DEGREE_AREA, "wrong_crs"),
        (LOCAL, "local", DEGREE_AREA, "wrong_crs"),
        (LOCAL, "local", {**DEGREE_AREA, **CRS84}, "wrong_crs"),
        (LOCAL, "local", HOLLOW, "empty_area"),
        (DEGREES, "", LOCAL, "no_crs"),
    ],
)
@pytest.mark.parametrize("each", [(), ("--each",)])
def test_a_no_fly_file_in_other_coordinates_is_refused(
    tmp_path: Path, area: Any, crs: str, closed: Any, code: str, each: tuple[str, ...]
) -> None:
    file = tmp_path / "closed.geojson"
    file.write_text(json.dumps(closed))
    whole = area if area is DEGREES else {"type": "Feature", "properties": {}, "geometry": area}
    options = ("--swath", "60", "--crs", crs, "--no-fly", str(file), *each)
    _, found = planned(tmp_path, collection(whole), *options)
    refused = found["refused"] if "refused" in found else found["each"][0]["refused"]
    assert refused["code"] == code
    assert "closed.geojson" in refused["message"]


def test_the_crs_a_no_fly_file_names_comes_before_the_option(tmp_path: Path) -> None:
    closed = mapping(box(113.353, 22.541, 113.36, 22.542))
    file = tmp_path / "closed.geojson"
    file.write_text(json.dumps({**closed, **CRS84}))
    code, found = planned(
        tmp_path, {"type": "GeometryCollection", "geometries": [in_utm()]}, "--swath", "60",
        "--quick", "--crs", "EPSG:32649", "--no-fly", str(file),
    )  # fmt: skip
    assert code == 0
    # 0.001° × 0.001° here is 103 m × 111 m.
    assert found["no_fly_m2"] == pytest.approx(102.8 * 110.8, rel=0.01)


def test_each_keeps_out_of_no_fly_areas_and_writes_its_paths(tmp_path: Path) -> None:
    closed, out = tmp_path / "closed.geojson", tmp_path / "paths.geojson"
    shut = box(113.353, 22.541, 113.36, 22.542)
    closed.write_text(json.dumps(mapping(shut)))
    odd = {"type": "Feature", "properties": [1], "geometry": LINE}
    code, found = planned(
        tmp_path, collection(DEGREES, 5, odd), "--swath", "60", "--quick", "--each",
        "--no-fly", str(closed), "--out", str(out),
    )  # fmt: skip
    assert code == 0
    assert found["totals"]["refused"] == {"not_a_polygon": 2}
    [path] = json.loads(out.read_text())["features"]
    assert path["properties"]["name"] == "0"
    assert not shape(path["geometry"]).crosses(shut.buffer(-1e-7))


def test_a_no_fly_file_that_closes_nothing_is_told(tmp_path: Path) -> None:
    area, far = tmp_path / "area.geojson", tmp_path / "far.geojson"
    area.write_text(json.dumps(DEGREES))
    far.write_text(json.dumps(mapping(box(113.5, 22.6, 113.51, 22.61))))
    options = [str(area), "--swath", "100", "--quick", "--json", "--no-fly", str(far)]
    found = CliRunner().invoke(plan, options)
    assert found.exit_code == 0
    assert "nothing of far.geojson meets the area" in found.stderr
    assert json.loads(found.stdout)["no_fly_m2"] == 0.0


def test_without_json_each_refuses_in_words(tmp_path: Path) -> None:
    area = tmp_path / "area.geojson"
    area.write_text("[]")
    found = CliRunner().invoke(plan, [str(area), "--swath", "60", "--each"])
    assert (found.exit_code, found.stdout) == (2, "")
    assert found.stderr.startswith("gridwing: area.geojson is no GeoJSON object")


def test_a_camera_gives_the_swath(tmp_path: Path) -> None:
    code, found = planned(
        tmp_path, DEGREES, "--camera", "M4TD", "--height-agl", "60", "--ends", "footprint",
        "--quick",
    )  # fmt: skip
    assert code == 0
    assert found["swath_m"] == pytest.approx(60.0 * 9.6 / 6.9 * 0.8, abs=0.01)


def test_no_fly_areas_are_flown_round_and_not_asked_for(tmp_path: Path) -> None:
    closed = box(300, 100, 600, 200)
    file, out = tmp_path / "closed.geojson", tmp_path / "path.geojson"
    file.write_text(json.dumps(mapping(closed)))
    code, found = planned(
        tmp_path, LOCAL, "--swath", "40", "--crs", "local", "--quick", "--no-fly", str(file),
        "--out", str(out), "--plot", str(tmp_path / "plan.png"),
    )  # fmt: skip
    assert code == 0
    line = shape(json.loads(out.read_text())["features"][0]["geometry"])
    asked = shape(LOCAL).difference(closed)
    assert asked.covers(line)
    assert coverage_share(asked, [(x, y) for x, y, *_ in line.coords], 40.0) >= 0.999
    assert found["no_fly_m2"] == pytest.approx(shape(LOCAL).area - asked.area, abs=0.1)
    assert (tmp_path / "plan.png").stat().st_size > 10_000


def test_ground_out_of_sight_is_refused_with_the_place(tmp_path: Path) -> None:
    file = tmp_path / "closed.geojson"
    file.write_text(json.dumps(mapping(box(250, -10, 330, 400))))
    code, found = planned(
        tmp_path, LOCAL, "--swath", "40", "--crs", "local", "--quick", "--no-fly", str(file)
    )
    assert code == 2
    assert found["refused"]["code"] == "not_reachable"
    assert shape(found["refused"]["where"]).area > 1_000.0


def test_features_of_a_shapefile_go_by_their_names(tmp_path: Path) -> None:
    file = tmp_path / "city.shp"
    columns = {"CODE": ["1", "2"], "COMMUNITY": ["LOOP", "UPTOWN"]}
    shapes = [box(0, 0, 9, 9), box(9, 0, 18, 9)]
    geopandas.GeoDataFrame(columns, geometry=shapes, crs="EPSG:3435").to_file(file)
    read = read_features(file, "")
    assert isinstance(read, list)
    assert [source.name for source in read] == ["LOOP", "UPTOWN"]


def test_each_feature_is_planned_or_refused_by_itself(tmp_path: Path) -> None:
    features = [
        {"type": "Feature", "properties": {"name": n}, "geometry": g}
        for n, g in (("good", DEGREES["geometry"]), ("bad", BOW_TIE), ("none", None))
    ]
    code, found = planned(
        tmp_path, {"type": "FeatureCollection", "features": features}, "--swath", "60", "--quick",
        "--each", "--plot", str(tmp_path / "sheet.png"),
    )  # fmt: skip
    assert code == 0
    assert [r["name"] for r in found["each"]] == ["good", "bad", "none"]
    assert found["totals"]["planned"] == 1
    assert found["totals"]["refused"] == {"invalid_area": 1, "not_a_polygon": 1}
    assert (tmp_path / "sheet.png").exists()


def test_the_same_seed_gives_the_same_plan(tmp_path: Path) -> None:
    options = ("--swath", "50", "--quick", "--seed", "7")
    one, two = (planned(tmp_path, DEGREES, *options)[1] for _ in range(2))
    assert {**one, "seconds": 0} == {**two, "seconds": 0}
