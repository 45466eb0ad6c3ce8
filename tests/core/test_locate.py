"""Placing a pixel on the ground: geometry, error ellipse against Monte Carlo, no ground above."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import Point

from domain.observation import FramePose, LensModel, PoseAccuracy
from domain.place import Position
from geo.camera import Pinhole
from geo.frames import LocalFrame, distance_m
from geo.locate import (
    GroundPoint,
    NoGround,
    Relief,
    footprint,
    ground_point,
    metres_a_pixel,
)
from geo.terrain import FlatTerrain

AT = datetime(2026, 11, 23, tzinfo=UTC)
HERE = Position(22.54, 113.35)
SIZE = (640, 480)
USUAL = PoseAccuracy()


def pose(pitch_deg: float = -60.0, yaw_deg: float = 30.0, height_m: float = 90.0) -> FramePose:
    return FramePose(HERE, height_m, yaw_deg, pitch_deg, 0.0, 66.0, AT)


def placed(
    p: FramePose, u: float, v: float, known: PoseAccuracy = USUAL, pixel_px: float = 4.0
) -> GroundPoint:
    point = ground_point(p, u, v, *SIZE, known, pixel_px)
    assert isinstance(point, GroundPoint)
    return point


def test_nadir_centre_is_below_the_lens() -> None:
    assert distance_m(HERE, placed(pose(-90), 320, 240).position) < 0.01


def test_the_top_of_a_nadir_picture_faces_the_heading() -> None:
    seen = placed(pose(-90, yaw_deg=90), 320, 0).position
    x_m, y_m = LocalFrame(HERE).to_local(seen.lat_deg, seen.lon_deg)
    assert x_m > 30
    assert abs(y_m) < 0.01


@given(
    st.floats(-90, -20), st.floats(-180, 180), st.floats(-15, 15),
    st.floats(0, 640), st.floats(240, 480),
)  # fmt: skip
def test_projecting_the_ground_point_gives_the_pixel_back(
    pitch: float, yaw: float, roll: float, u: float, v: float
) -> None:
    p = replace(pose(pitch, yaw), roll_deg=roll)
    point = ground_point(p, u, v, *SIZE, limit_m=5000)
    if isinstance(point, NoGround):
        return
    x_m, y_m = LocalFrame(HERE).to_local(point.position.lat_deg, point.position.lon_deg)
    pixel, _ = Pinhole(yaw, pitch, roll, 66.0, *SIZE).project([x_m, y_m, -90.0])
    assert pixel == pytest.approx([u, v], abs=0.05)


def test_above_the_horizon_there_is_no_ground() -> None:
    assert ground_point(pose(-10), 320, 0, *SIZE) == NoGround("above_horizon")


def test_far_ground_is_not_believed() -> None:
    assert ground_point(pose(-10), 320, 240, *SIZE) == NoGround("too_far")


@pytest.mark.parametrize("pitch", [-90.0, -60.0, -40.0])
def test_ellipse_holds_95_percent_of_what_noise_does(pitch: float) -> None:
    known = PoseAccuracy(1.5, 2.0, 2.0, 0.5)
    p = pose(pitch)
    point = placed(p, 400, 300, known, 5.0)
    frame = LocalFrame(point.position)
    random = np.random.default_rng(7)
    inside = 0
    n = 1200
    angle = np.radians(point.ellipse.bearing_deg)
    for e in random.normal(size=(n, 8)):
        lens = LocalFrame(HERE).to_position(e[0] * 1.5, e[1] * 1.5)
        noisy = FramePose(
            lens, 90 + 2 * e[2], 30 + 2 * e[3], pitch + 0.5 * e[4], 0.5 * e[5], 66.0, AT
        )
        seen = placed(noisy, 400 + 5 * e[6], 300 + 5 * e[7])
        x_m, y_m = frame.to_local(seen.position.lat_deg, seen.position.lon_deg)
        along = x_m * np.sin(angle) + y_m * np.cos(angle)
        across = x_m * np.cos(angle) - y_m * np.sin(angle)
        inside += (along / point.ellipse.semi_major_m) ** 2 + (
            across / point.ellipse.semi_minor_m
        ) ** 2 <= 1
    assert 0.925 < inside / n < 0.975


def test_an_older_pose_and_an_unsure_lens_widen_the_ellipse() -> None:
    fresh = placed(pose(), 320, 400).ellipse
    old = placed(replace(pose(), age_s=0.5, speed_mps=12.0), 320, 400).ellipse
    unsure = placed(replace(pose(), accuracy=PoseAccuracy(focal_share=0.05)), 320, 400).ellipse
    assert old.semi_minor_m > 0.5 * 12.0
    assert unsure.semi_major_m > fresh.semi_major_m


@pytest.mark.parametrize(
    "wrong",
    [
        replace(pose(), height_agl_m=float("nan")),
        replace(pose(), height_agl_m=0.0),
        replace(pose(), yaw_deg=float("inf")),
        replace(pose(), hfov_deg=180.0),
        replace(pose(), age_s=float("nan")),
        replace(pose(), lens=LensModel(0, 100.0, 0.0, 0.0)),
    ],
)
def test_a_pose_of_no_use_is_named(wrong: FramePose) -> None:
    assert ground_point(wrong, 320, 240, *SIZE) == NoGround("bad_pose")


LENS = LensModel(4000, 2320.0, 2010.0, 1490.0, -0.12, 0.04, 0.0008, -0.0005, -0.006)


@given(st.floats(20, 620), st.floats(20, 460), st.floats(-90, -50))
def test_a_calibrated_lens_bends_rays_as_it_bends_pixels(u: float, v: float, pitch: float) -> None:
    p = replace(pose(pitch), lens=LENS)
    point = placed(p, u, v)
    x_m, y_m = LocalFrame(HERE).to_local(point.position.lat_deg, point.position.lon_deg)
    pixel, _ = Pinhole(30.0, pitch, 0.0, 66.0, *SIZE, LENS).project([x_m, y_m, -90.0])
    assert pixel == pytest.approx([u, v], abs=0.05)


@dataclass(frozen=True)
class Hill:
    """Ground that rises to the north by a fifth, and a wall of 30 m at 60 m."""

    wall: bool = False

    def height_m(self, x_m: float, y_m: float) -> float:
        return 30.0 if self.wall and y_m > 60.0 else 0.2 * y_m


def test_rising_ground_is_met_sooner_and_no_hill_is_seen_through() -> None:
    north = pose(-45, yaw_deg=0)
    flat = placed(north, 320, 240)
    relief = Relief(Hill(), LocalFrame(HERE), sigma_m=0.0)
    hill = ground_point(north, 320, 240, *SIZE, relief=relief)
    assert isinstance(hill, GroundPoint)
    assert flat.range_m == pytest.approx(90.0, abs=0.01)
    assert hill.range_m == pytest.approx(90.0 / 1.2, abs=0.01)
    walled = Relief(Hill(wall=True), LocalFrame(HERE))
    wall = ground_point(north, 320, 240, *SIZE, relief=walled)
    assert isinstance(wall, GroundPoint)
    assert wall.range_m == pytest.approx(60.0, abs=0.01)


def test_flat_relief_changes_nothing_but_the_height_error() -> None:
    relief = Relief(FlatTerrain(12.0), LocalFrame(HERE), sigma_m=0.0)
    assert ground_point(pose(), 100, 400, *SIZE, relief=relief) == placed(pose(), 100, 400)


def test_footprint_of_a_nadir_picture_is_its_rectangle() -> None:
    shape = footprint(pose(-90, yaw_deg=0), *SIZE, LocalFrame(HERE))
    assert shape is not None
    width_m = 2 * 90 * np.tan(np.radians(33))
    assert shape.area == pytest.approx(width_m * width_m * 480 / 640, rel=1e-6)


def test_footprint_is_cut_where_the_camera_sees_no_more() -> None:
    shape = footprint(pose(-15, yaw_deg=0, height_m=8), *SIZE, LocalFrame(HERE), limit_m=120)
    assert shape is not None
    assert max(Point(0, 0).distance(Point(c)) for c in shape.exterior.coords) <= 120.01
    assert footprint(pose(60), *SIZE, LocalFrame(HERE)) is None


def test_a_pixel_spans_as_much_ground_as_the_nadir_picture_says() -> None:
    down, frame = pose(-90.0), LocalFrame(HERE)
    span_m = 2 * down.height_agl_m * np.tan(np.radians(down.hfov_deg) / 2) / 640
    reach_m = 0.3 * 640 * span_m
    places = np.array([[0.0, 0.0], [0.0, reach_m / 2], [10 * reach_m, 0.0]])
    spans = metres_a_pixel(down, places, 640, 480, frame)
    assert spans[:2] == pytest.approx([span_m, span_m], rel=1e-3)
    assert np.isinf(spans[2])


def test_seen_obliquely_a_pixel_spans_more_ground() -> None:
    slanting, frame = pose(-45.0, yaw_deg=0.0), LocalFrame(HERE)
    ahead = np.array([[0.0, slanting.height_agl_m]])
    focal_px = 320 / np.tan(np.radians(slanting.hfov_deg) / 2)
    slant_m = slanting.height_agl_m * np.sqrt(2)
    expected = slant_m / focal_px * np.sqrt(2)
    (span_m,) = metres_a_pixel(slanting, ahead, 640, 480, frame)
    assert span_m == pytest.approx(expected, rel=0.02)
