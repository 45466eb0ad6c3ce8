"""From a pixel and a pose to a point on flat ground, with an error ellipse; and footprints."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from shapely import Polygon

from domain.observation import FramePose
from domain.place import ErrorEllipse, Position
from geo.camera import Pinhole
from geo.frames import LocalFrame

Floats = NDArray[np.float64]
RANGE_LIMIT_M = 400.0
CHI2_95 = 5.991464547107979
"""95 % quantile of χ² with two degrees of freedom: scales a covariance to its ellipse."""
FOOTPRINT_EDGE_POINTS = 4


@dataclass(frozen=True, slots=True)
class PoseSigma:
    """One standard deviation of each part of a pose, and of the pixel."""

    horizontal_m: float = 0.5
    vertical_m: float = 0.5
    yaw_deg: float = 1.0
    tilt_deg: float = 0.5
    pixel_px: float = 4.0


@dataclass(frozen=True, slots=True)
class GroundPoint:
    position: Position
    ellipse: ErrorEllipse
    range_m: float


@dataclass(frozen=True, slots=True)
class NoGround:
    """Why a pixel has no ground point: `above_horizon` or `too_far`."""

    reason: str


def ground_point(
    pose: FramePose,
    u_px: float,
    v_px: float,
    width_px: int,
    height_px: int,
    sigma: PoseSigma = PoseSigma(),
    limit_m: float = RANGE_LIMIT_M,
) -> GroundPoint | NoGround:
    """Intersect the pixel's ray with the ground `height_agl_m` below the lens.

    The ellipse is first-order propagation of `sigma`, scaled to 95 %; the ground is taken as flat.
    """
    state = np.array(
        [0.0, 0.0, pose.height_agl_m, pose.yaw_deg, pose.pitch_deg, pose.roll_deg, u_px, v_px]
    )
    camera = (pose.hfov_deg, width_px, height_px)
    offset = _offset(state, camera)
    if offset is None:
        return NoGround("above_horizon")
    range_m = float(np.hypot(*offset))
    if range_m > limit_m:
        return NoGround("too_far")
    spread = np.array(
        [
            sigma.horizontal_m,
            sigma.horizontal_m,
            sigma.vertical_m,
            sigma.yaw_deg,
            sigma.tilt_deg,
            sigma.tilt_deg,
            sigma.pixel_px,
            sigma.pixel_px,
        ]
    )
    jacobian = _jacobian(state, camera, offset) * spread
    position = LocalFrame(pose.position).to_position(float(offset[0]), float(offset[1]))
    return GroundPoint(position, _ellipse(jacobian @ jacobian.T), range_m)


def _offset(state: Floats, camera: tuple[float, int, int]) -> Floats | None:
    x_m, y_m, height_m, yaw, pitch, roll, u_px, v_px = state
    ray = Pinhole(yaw, pitch, roll, *camera).rays(u_px, v_px)
    if ray[2] >= -1e-6:
        return None
    offset: Floats = np.array([x_m, y_m]) + ray[:2] * (height_m / -ray[2])
    return offset


def _jacobian(state: Floats, camera: tuple[float, int, int], offset: Floats) -> Floats:
    """Return d(east, north)/d(state) by forward differences, shape (2, 8)."""
    columns = []
    for i, step in enumerate((0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.1, 0.1)):
        moved = state.copy()
        moved[i] += step
        after = _offset(moved, camera)
        columns.append((offset if after is None else after) - offset)
        columns[-1] /= step
    return np.stack(columns, axis=1)


def _ellipse(covariance: Floats) -> ErrorEllipse:
    values, vectors = np.linalg.eigh(covariance)
    minor_m, major_m = np.sqrt(np.maximum(values, 0.0) * CHI2_95)
    east, north = vectors[:, 1]
    bearing_deg = float(np.degrees(np.arctan2(east, north)) % 180.0)
    return ErrorEllipse(round(float(major_m), 3), round(float(minor_m), 3), round(bearing_deg, 2))


def footprint(
    pose: FramePose,
    width_px: int,
    height_px: int,
    frame: LocalFrame,
    limit_m: float = RANGE_LIMIT_M,
) -> Polygon | None:
    """Return the ground a frame shows, in `frame`'s metres, cut off at `limit_m` from the lens.

    None when the whole picture looks at or above the horizon.
    """
    steps = np.linspace(0.0, 1.0, FOOTPRINT_EDGE_POINTS, endpoint=False)
    zero, one = np.zeros_like(steps), np.ones_like(steps)
    u = np.concatenate([steps, one, 1 - steps, zero]) * width_px
    v = np.concatenate([zero, steps, one, 1 - steps]) * height_px
    rays = Pinhole(
        pose.yaw_deg, pose.pitch_deg, pose.roll_deg, pose.hfov_deg, width_px, height_px
    ).rays(u, v)
    flat = np.hypot(rays[:, 0], rays[:, 1])
    slope = pose.height_agl_m / limit_m
    # A ray that would land beyond the limit, or never, is bent down onto the limit's circle.
    down = np.maximum(-rays[:, 2], flat * slope)
    if np.all(-rays[:, 2] <= 0):
        return None
    lens_x_m, lens_y_m = frame.to_local(pose.position.lat_deg, pose.position.lon_deg)
    ground = rays[:, :2] * (pose.height_agl_m / down)[:, None] + (lens_x_m, lens_y_m)
    shape = Polygon(ground)
    return shape if shape.is_valid and shape.area > 0 else None
