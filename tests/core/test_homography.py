"""A fixed camera's ground by control points: exact, honest about noise, refused when bad."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.place import Position
from domain.sight import ControlPoint
from geo.camera import Pinhole
from geo.frames import LocalFrame
from geo.homography import BadCalibration, GroundPlane, fit_ground
from geo.locate import GroundPoint, NoGround

LENS = Position(22.54, 113.35)
FRAME = LocalFrame(LENS)
MAST_M = 8.0
CAMERA = Pinhole(40.0, -20.0, 1.5, 75.0, 1280, 720)


def truth(u_px: float, v_px: float) -> tuple[float, float]:
    ray = CAMERA.rays(u_px, v_px)
    return float(ray[0] * MAST_M / -ray[2]), float(ray[1] * MAST_M / -ray[2])


def controls(
    count: int, seed: int, pixel_px: float = 0.0, place_m: float = 0.0
) -> list[ControlPoint]:
    rng = np.random.default_rng(seed)
    points: list[ControlPoint] = []
    while len(points) < count:
        u, v = rng.uniform(60, 1220), rng.uniform(300, 700)
        x_m, y_m = np.array(truth(u, v)) + rng.normal(0, place_m, 2)
        du, dv = rng.normal(0, pixel_px, 2)
        place = FRAME.to_position(float(x_m), float(y_m))
        points.append(ControlPoint(u + float(du), v + float(dv), place, place_m))
    return points


def off_m(plane: GroundPlane, u_px: float, v_px: float) -> tuple[float, GroundPoint]:
    point = plane.ground_point(u_px, v_px)
    assert isinstance(point, GroundPoint)
    x_m, y_m = FRAME.to_local(point.position.lat_deg, point.position.lon_deg)
    return float(np.hypot(x_m - truth(u_px, v_px)[0], y_m - truth(u_px, v_px)[1])), point


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.floats(100, 1180), st.floats(320, 700))
def test_without_noise_it_is_exact(seed: int, u_px: float, v_px: float) -> None:
    plane = fit_ground(controls(8, seed), LENS)
    assert max(plane.residuals_m) < 0.02
    assert off_m(plane, u_px, v_px)[0] < 0.05


@pytest.mark.parametrize("place_m", [0.03, 0.3])
def test_the_ellipse_holds_95_percent_of_what_noise_does(place_m: float) -> None:
    rng = np.random.default_rng(3)
    inside, all_m, n = 0, [], 300
    for seed in range(n):
        plane = fit_ground(controls(12, seed, 2.0, place_m), LENS)
        u, v = rng.uniform(200, 1080), rng.uniform(380, 680)
        point = plane.ground_point(u + rng.normal(0, 4.0), v + rng.normal(0, 4.0))
        assert isinstance(point, GroundPoint)
        x_m, y_m = FRAME.to_local(point.position.lat_deg, point.position.lon_deg)
        dx, dy = np.array([x_m, y_m]) - truth(u, v)
        angle = np.radians(point.ellipse.bearing_deg)
        along = dx * np.sin(angle) + dy * np.cos(angle)
        across = dx * np.cos(angle) - dy * np.sin(angle)
        e = point.ellipse
        inside += (along / e.semi_major_m) ** 2 + (across / e.semi_minor_m) ** 2 <= 1
        all_m.append(float(np.hypot(dx, dy)))
    assert 0.92 < inside / n < 0.985
    assert np.median(all_m) < 0.5


def test_more_points_place_better() -> None:
    medians = []
    for count in (6, 12, 24):
        errors = [
            off_m(fit_ground(controls(count, seed, 2.0, 0.3), LENS), 640, 450)[0]
            for seed in range(40)
        ]
        medians.append(float(np.median(errors)))
    assert medians[0] > medians[1] > medians[2]


def test_a_wrong_point_shows_in_its_residual() -> None:
    points = controls(10, 5)
    wrong = points[3]
    x_m, y_m = FRAME.to_local(wrong.position.lat_deg, wrong.position.lon_deg)
    points[3] = ControlPoint(wrong.u_px, wrong.v_px, FRAME.to_position(x_m + 6.0, y_m))
    plane = fit_ground(points, LENS)
    assert int(np.argmax(plane.left_out_m)) == 3
    assert plane.left_out_m[3] > 4.0


def test_above_the_horizon_there_is_no_ground() -> None:
    plane = fit_ground(controls(8, 1), LENS)
    assert plane.ground_point(640, 20) == NoGround("above_horizon")
    assert plane.ground_point(float("nan"), 20) == NoGround("bad_pose")


def test_bad_points_are_refused_with_the_cure() -> None:
    with pytest.raises(BadCalibration, match="5 control points"):
        fit_ground(controls(5, 1), LENS)
    line = [ControlPoint(100.0 * i, 400.0, FRAME.to_position(5.0 * i, 10.0)) for i in range(8)]
    with pytest.raises(BadCalibration, match="on one line"):
        fit_ground(line, LENS)
    points = controls(8, 2)
    points[0] = ControlPoint(float("inf"), 1.0, points[0].position)
    with pytest.raises(BadCalibration, match="finite"):
        fit_ground(points, LENS)
