"""Placing a pixel on the ground: geometry, error ellipse against Monte Carlo, no ground above."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely import Point

from domain.observation import FramePose
from domain.place import Position
from geo.camera import Pinhole
from geo.frames import LocalFrame, distance_m
from geo.locate import GroundPoint, NoGround, PoseSigma, footprint, ground_point

AT = datetime(2026, 11, 23, tzinfo=UTC)
HERE = Position(22.54, 113.35)
SIZE = (640, 480)
USUAL = PoseSigma()


def pose(pitch_deg: float = -60.0, yaw_deg: float = 30.0, height_m: float = 90.0) -> FramePose:
    return FramePose(HERE, height_m, yaw_deg, pitch_deg, 0.0, 66.0, AT)


def placed(p: FramePose, u: float, v: float, sigma: PoseSigma = USUAL) -> GroundPoint:
    point = ground_point(p, u, v, *SIZE, sigma)
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
    sigma = PoseSigma(1.5, 2.0, 2.0, 0.5, 5.0)
    p = pose(pitch)
    point = placed(p, 400, 300, sigma)
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
