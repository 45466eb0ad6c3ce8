"""True height over real ground: exact between the posts, refused where the file does not serve."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import Affine
from shapely.geometry import box

from domain.place import Airspace, AirspaceKind, HeightReference, Position
from geo.airspace import SkyPolicy, breaches, volumes
from geo.frames import LocalFrame
from geo.shapes import local_to_area
from geo.terrain import BadTerrain, FlatTerrain, GridTerrain, read_terrain

FRAME = LocalFrame(Position(22.54, 113.35))
EXTENT = (-1000.0, -1000.0, 1000.0, 1000.0)
POLICY = SkyPolicy(120.0, 15.0, 30.0)


def grid(heights: Any, spacing_m: float = 100.0) -> GridTerrain:
    """Posts at 0, 100, 200 … m east and south of the origin."""
    return GridTerrain(
        np.asarray(heights, float), lambda p: p * np.array([1.0, -1.0]) / spacing_m, spacing_m
    )


RIDGE = grid([[0, 0, 60, 0, 0]] * 3)


def test_a_ridge_between_two_clear_ends_is_found() -> None:
    leg = ((0.0, 0.0, 90.0), (400.0, 0.0, 90.0))
    assert RIDGE.true_heights_m(*leg) == pytest.approx((30.0, 90.0))
    assert RIDGE.height_m(150.0, -50.0) == pytest.approx(30.0)
    assert RIDGE.range_m((0.0, -200.0, 150.0, 0.0)) == (0.0, 60.0)


def test_a_valley_makes_a_level_leg_too_high() -> None:
    valley = grid([[40, 40, 0, 40, 40]] * 3)
    path, heights = [(0.0, -50.0), (400.0, -50.0)], [140.0, 140.0]
    (found,) = breaches(path, heights, (), POLICY, valley)
    assert found.code == "too_high"
    assert found.height_agl_m == pytest.approx(140.0)


def test_a_hill_makes_it_too_low() -> None:
    found = breaches([(0.0, 0.0), (400.0, 0.0)], [80.0, 80.0], (), POLICY, RIDGE)
    assert [(b.code, b.where) for b in found] == [("too_low", "ground")]


def test_the_turning_point_within_a_square_is_met() -> None:
    """Across a saddle the ground is highest in the middle of a square, where no post stands."""
    saddle = grid([[0, 100], [100, 0]])
    low, high = saddle.true_heights_m((0.0, 0.0, 150.0), (100.0, -100.0, 150.0))
    assert (low, high) == pytest.approx((100.0, 150.0))


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_no_sample_lies_outside_what_is_told(seed: int) -> None:
    random = np.random.default_rng(seed)
    ground = grid(random.uniform(0.0, 120.0, (6, 7)))
    ends = random.uniform([0, -500, 100], [600, 0, 300], (2, 3))
    a, b = (tuple(float(v) for v in end) for end in ends)
    low, high = ground.true_heights_m(a, b)  # type: ignore[arg-type]
    share = np.linspace(0.0, 1.0, 2001)[:, None]
    line = ends[0] + share * (ends[1] - ends[0])
    above = [z - ground.height_m(x, y) for x, y, z in line]
    assert low <= min(above) + 1e-9
    assert high >= max(above) - 1e-9
    # And what is told is really met, to what 2000 samples can see.
    step_m = math.dist(a, b) / 2000.0
    assert min(above) - low < 5.0 * step_m
    assert high - max(above) < 5.0 * step_m


def test_flat_ground_is_the_default() -> None:
    assert FlatTerrain(12.0).true_heights_m((0, 0, 100.0), (9, 9, 60.0)) == (48.0, 88.0)


def test_heights_over_the_ellipsoid_become_heights_over_ground() -> None:
    area = local_to_area(box(0.0, -100.0, 400.0, 0.0), FRAME)
    zone = Airspace("TZ", "", AirspaceKind.TEMPORARY, area, 200.0, 300.0, HeightReference.ELLIPSOID)
    (volume,) = volumes([zone], FRAME, RIDGE)
    # Whole inside: its floor over the highest ground, its ceiling over the lowest.
    assert (volume.floor_agl_m, volume.ceiling_agl_m) == pytest.approx((140.0, 300.0))


def write(path: Path, heights: Any, **more: Any) -> Path:
    """A GeoTIFF of 30 m posts over the district, in the UTM zone it lies in."""
    rows, columns = np.shape(heights)
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "count": 1,
        "dtype": "float32",
        "crs": "EPSG:32649",
        "width": columns,
        "height": rows,
        "transform": Affine(30.0, 0.0, 739500.0, 0.0, -30.0, 2496500.0),
    } | more
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(np.asarray(heights, "float32"), 1)
    return path


SIZE = (130, 130)


def test_a_geotiff_is_read_where_it_is(tmp_path: Path) -> None:
    _, columns = np.indices(SIZE)
    terrain = read_terrain(write(tmp_path / "d.tif", columns * 3.0), FRAME, EXTENT, geoid_m=-4.0)
    assert terrain.spacing_m == pytest.approx(30.0, rel=0.01)
    west, east = terrain.height_m(0.0, 0.0), terrain.height_m(300.0, 0.0)
    # 3 m a post of 30 m: one in ten to the grid's east, which is turned a little from true east.
    assert east - west == pytest.approx(30.0, abs=0.3)
    with rasterio.open(tmp_path / "d.tif") as raster:
        from pyproj import Transformer

        to_utm = Transformer.from_crs("EPSG:4326", raster.crs, always_xy=True)
        x, _ = to_utm.transform(113.35, 22.54)
        assert west == pytest.approx((x - 739500.0 - 15.0) / 30.0 * 3.0 - 4.0, abs=0.01)


@pytest.mark.parametrize(
    ("more", "heights", "message"),
    [
        ({"crs": None}, np.zeros(SIZE), "no CRS"),
        ({}, np.zeros((20, 20)), "does not cover"),
        ({"nodata": -9999.0}, np.where(np.eye(*SIZE), -9999.0, 5.0), "no height"),
        ({}, np.where(np.eye(*SIZE), np.nan, 5.0), "no height"),
        ({}, np.full(SIZE, -32768.0), "not metres"),
        (
            {"transform": Affine(300.0, 0.0, 700000.0, 0.0, -300.0, 2540000.0)},
            np.zeros((300, 300)),
            "apart",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_file_that_does_not_serve_says_why(
    tmp_path: Path, more: dict[str, Any], heights: Any, message: str
) -> None:
    path = write(tmp_path / "d.tif", heights, **more)
    with pytest.raises(BadTerrain, match=message):
        read_terrain(path, FRAME, EXTENT)


def test_what_is_no_raster_says_so(tmp_path: Path) -> None:
    path = tmp_path / "d.tif"
    path.write_text("not a raster")
    with pytest.raises(BadTerrain, match="cannot be read"):
        read_terrain(path, FRAME, EXTENT)
