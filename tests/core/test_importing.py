"""Grid files: what is imported exactly, and what is refused with its reason."""

from pathlib import Path

import geopandas
import pytest
from shapely import MultiPoint, Polygon, box

from geo.frames import LocalFrame, wgs84_to_gcj02
from geo.importing import read_area, read_cells
from geo.shapes import area_to_shape, local_geometry
from simulators.district import generate

DISTRICT = generate(7)
FRAME = LocalFrame(DISTRICT.origin)
REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "real" / "city_polygons"


def whole() -> geopandas.GeoDataFrame:
    rows = {"code": [c.code for c in DISTRICT.cells], "name": [c.name for c in DISTRICT.cells]}
    shapes = [area_to_shape(c.area) for c in DISTRICT.cells]
    return geopandas.GeoDataFrame(rows, geometry=shapes, crs=4326)


def wrong(frame: geopandas.GeoDataFrame, tmp_path: Path, **options: str) -> set[str]:
    path = tmp_path / "cells.gpkg"
    frame.to_file(path)
    read = read_cells(path, DISTRICT.communities, **options)
    assert read.cells == ()
    return {p.code for p in read.problems}


def test_a_geopackage_in_the_national_grid_comes_in_to_centimetres(tmp_path: Path) -> None:
    path = tmp_path / "cells.gpkg"
    whole().to_crs(4547).to_file(path)
    read = read_cells(path, DISTRICT.communities)
    assert read.problems == ()
    assert [c.code for c in read.cells] == sorted(c.code for c in DISTRICT.cells)
    before = {c.code: local_geometry(c.area, FRAME) for c in DISTRICT.cells}
    for cell in read.cells:
        assert before[cell.code].hausdorff_distance(local_geometry(cell.area, FRAME)) < 0.05


def test_declared_gcj02_is_moved_back(tmp_path: Path) -> None:
    place = DISTRICT.origin
    image = wgs84_to_gcj02(place)
    frame = geopandas.GeoDataFrame(
        {"code": ["442000004001099"]},
        geometry=[box(image.lon_deg, image.lat_deg, image.lon_deg + 1e-3, image.lat_deg + 1e-3)],
        crs=4326,
    )
    path = tmp_path / "cells.geojson"
    frame.to_file(path)
    (cell,) = read_cells(path, DISTRICT.communities, crs="gcj02").cells
    lon, lat = min(cell.area.polygons[0][0])
    x_m, y_m = FRAME.to_local(lat, lon)
    assert abs(x_m) < 2
    assert abs(y_m) < 120


def test_missing_codes_are_numbered_by_the_standard(tmp_path: Path) -> None:
    path = tmp_path / "cells.gpkg"
    whole().drop(columns="code").to_file(path)
    read = read_cells(path, DISTRICT.communities)
    assert read.problems == ()
    assert len({c.code for c in read.cells}) == 108
    assert {c.community_code for c in read.cells} == {c.code for c in DISTRICT.communities}


def test_each_fault_is_named(tmp_path: Path) -> None:
    twice = whole()
    twice.loc[1, "code"] = twice.loc[0, "code"]
    assert wrong(twice, tmp_path) == {"duplicate_code"}
    short = whole()
    short.loc[0, "code"] = "42"
    assert wrong(short, tmp_path) == {"bad_code"}
    shifted = whole()
    shifted.loc[0, "geometry"] = shifted.loc[0, "geometry"].buffer(1e-4)
    assert "overlap" in wrong(shifted, tmp_path)
    bow = Polygon([(113.35, 22.54), (113.36, 22.55), (113.36, 22.54), (113.35, 22.55)])
    crossed = geopandas.GeoDataFrame({"code": ["442000004001001"]}, geometry=[bow], crs=4326)
    assert wrong(crossed, tmp_path) == {"invalid_ring"}
    dots = MultiPoint([(113.35, 22.54), (113.36, 22.55)])
    points = geopandas.GeoDataFrame({"code": ["442000004001001"]}, geometry=[dots], crs=4326)
    assert wrong(points, tmp_path) == {"not_a_polygon"}


@pytest.mark.filterwarnings("ignore:'crs' was not provided")
def test_metres_without_a_crs_are_refused(tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame({"code": ["442000004001001"]}, geometry=[box(0, 0, 400, 400)])
    path = tmp_path / "cells.shp"
    frame.to_file(path)
    (problem,) = read_cells(path, DISTRICT.communities).problems
    assert problem.code == "no_crs"
    assert "--crs" in problem.cure


@pytest.mark.parametrize("content", [b"", b"{}", b"not a map", b'{"type": "FeatureCollection"}'])
def test_what_is_no_map_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cells.geojson"
    path.write_bytes(content)
    read = read_cells(path, DISTRICT.communities)
    assert read.cells == ()
    assert read.problems


@pytest.mark.skipif(not REAL.is_dir(), reason="the real city polygons are not beside the project")
def test_real_cities_are_read_or_refused_with_reasons() -> None:
    for path in sorted(REAL.glob("*.geojson")):
        read = read_cells(path, DISTRICT.communities)
        assert read.cells == ()
        assert all(p.cure for p in read.problems)


def geojson(tmp_path: Path, west: float, south: float, size: float) -> Path:
    """Write a square whose numbers the file says to be lon/lat, as GeoJSON always does."""
    shape = box(west, south, west + size, south + size)
    frame = geopandas.GeoDataFrame({"code": ["442000004001099"]}, geometry=[shape], crs=4326)
    path = tmp_path / "cells.geojson"
    frame.to_file(path)
    return path


@pytest.mark.parametrize(
    ("west", "south", "size", "crs", "feature", "code", "cure"),
    [
        (13.35, 22.54, 1e-3, None, 0, "outside_district", "km from the district"),
        (113.35, 22.54, 1e-3, "EPSG:32649", None, "degrees", "drop --crs"),
        (741000.0, 2494000.0, 400.0, None, 0, "no_crs", "--crs"),
        (741000.0, 2494000.0, 400.0, "gcj02", 0, "no_crs", "--crs"),
        (22.54, 113.35, 1e-3, None, 0, "axes_swapped", "longitude, then latitude"),
        (1e30, 1e30, 1e29, "EPSG:32649", 0, "no_place", "--crs"),
    ],
)
def test_numbers_that_are_no_place_of_the_district_are_refused(
    tmp_path: Path,
    west: float,
    south: float,
    size: float,
    crs: str | None,
    feature: int | None,
    code: str,
    cure: str,
) -> None:
    path = geojson(tmp_path, west, south, size)
    (problem,) = read_cells(path, DISTRICT.communities, crs=crs).problems
    assert (problem.feature, problem.code) == (feature, code)
    assert cure in problem.cure


def test_an_area_in_metres_without_a_crs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no_crs: .*--crs"):
        read_area(geojson(tmp_path, 741000.0, 2494000.0, 400.0))
