"""From a pixel and a pose to a point on the ground, with an error ellipse; and footprints."""

from dataclasses import dataclass, fields
from math import cos, hypot, isfinite, radians, sin
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from shapely import Polygon

from domain.observation import FramePose, PoseAccuracy
from domain.place import ErrorEllipse, Position
from geo.camera import Pinhole
from geo.frames import LocalFrame

Floats = NDArray[np.float64]
RANGE_LIMIT_M = 400.0
ASSUMED = PoseAccuracy()
CHI2_95 = 5.991464547107979
"""95 % quantile of χ² with two degrees of freedom: scales a covariance to its ellipse."""
FOOTPRINT_EDGE_POINTS = 4
MARCH_STEP_M = 4.0
BISECTIONS = 24
SLOPE_REACH_M = 2.0
RESOLVED_STEP_M = 0.1


@dataclass(frozen=True, slots=True)
class GroundPoint:
    position: Position
    ellipse: ErrorEllipse
    range_m: float


@dataclass(frozen=True, slots=True)
class NoGround:
    """Why a pixel has no ground point: `above_horizon`, `too_far` or `bad_pose`."""

    reason: str


class Heights(Protocol):
    """Ground that tells its height in metres (geo.terrain has such)."""

    def height_m(self, x_m: float, y_m: float) -> float: ...


@dataclass(frozen=True, slots=True)
class Relief:
    """The ground under a lens that is not flat, and how well its height is known."""

    terrain: Heights
    frame: LocalFrame
    sigma_m: float = 1.0


@dataclass(frozen=True, slots=True)
class _Plane:
    """The ground near a point: `height_m` below the lens there, falling by slopes east, north."""

    x_m: float
    y_m: float
    height_m: float
    slope_x: float = 0.0
    slope_y: float = 0.0


def ground_point(
    pose: FramePose,
    u_px: float,
    v_px: float,
    width_px: int,
    height_px: int,
    accuracy: PoseAccuracy = ASSUMED,
    pixel_px: float = 4.0,
    limit_m: float = RANGE_LIMIT_M,
    relief: Relief | None = None,
) -> GroundPoint | NoGround:
    """Intersect the pixel's ray with the ground, `height_agl_m` below the lens.

    The ellipse is first-order propagation of the pose's own accuracy (`accuracy` where it tells
    none) and age, and of `pixel_px`, scaled to 95 %. Without `relief` the ground is flat; with it
    the first meeting of ray and terrain counts, its error that of the slope there.
    """
    known = pose.accuracy or accuracy
    if not _usable(pose, known, u_px, v_px):
        return NoGround("bad_pose")
    height_m = pose.height_agl_m
    state = np.array(
        [0.0, 0.0, height_m, pose.yaw_deg, pose.pitch_deg, pose.roll_deg, u_px, v_px, 1.0]
    )
    size = (width_px, height_px)
    plane = _Plane(0.0, 0.0, height_m)
    offset = _offset(state, pose, size, plane)
    if offset is None:
        return NoGround("above_horizon")
    if relief is not None:
        met = _met(state, pose, size, relief, limit_m)
        offset = None if met is None else _offset(state, pose, size, met)
        if met is None or offset is None:
            return NoGround("too_far")
        plane = met
    range_m = float(np.hypot(*offset))
    if range_m > limit_m:
        return NoGround("too_far")
    vertical_m = hypot(known.vertical_m, 0.0 if relief is None else relief.sigma_m)
    yaw_deg = hypot(known.yaw_deg, pose.turn_dps * pose.age_s)
    spread = np.array(
        [
            known.horizontal_m,
            known.horizontal_m,
            vertical_m,
            yaw_deg,
            known.tilt_deg,
            known.tilt_deg,
            pixel_px,
            pixel_px,
            known.focal_share,
        ]
    )
    jacobian = _jacobian(state, pose, size, plane, offset) * spread
    covariance = jacobian @ jacobian.T + _moved(pose, plane)
    position = LocalFrame(pose.position).to_position(float(offset[0]), float(offset[1]))
    return GroundPoint(position, ellipse_of(covariance), range_m)


def _moved(pose: FramePose, plane: _Plane) -> Floats:
    """Return the covariance of what the aircraft moved in the time its pose is off by.

    It moved along its course. Where none is told, any: a length in an unknown direction has half
    its square on each axis.
    """
    moved_m = pose.speed_mps * pose.age_s
    if pose.course_deg is None:
        return np.eye(2) * (moved_m**2 / 2.0)
    course = radians(pose.course_deg)
    step = np.array([sin(course), cos(course)]) * moved_m
    return np.outer(step, step)


def _usable(pose: FramePose, known: PoseAccuracy, u_px: float, v_px: float) -> bool:
    lens = pose.lens
    numbers = [getattr(known, f.name) for f in fields(known)]
    numbers += [pose.height_agl_m, pose.yaw_deg, pose.pitch_deg, pose.roll_deg, pose.hfov_deg]
    numbers += [pose.age_s, pose.speed_mps, pose.turn_dps, u_px, v_px]
    if pose.course_deg is not None:
        numbers.append(pose.course_deg)
    if lens is not None:
        numbers += [getattr(lens, f.name) for f in fields(lens)]
        if lens.width_px <= 0 or not lens.focal_px > 0.0:
            return False
    finite = all(isfinite(n) for n in numbers)
    return finite and pose.height_agl_m > 0.0 and 0.0 < pose.hfov_deg < 180.0


def _ray(state: Floats, pose: FramePose, size: tuple[int, int]) -> Floats:
    yaw, pitch, roll, u_px, v_px, gain = state[3:]
    return Pinhole(yaw, pitch, roll, pose.hfov_deg, *size, pose.lens, gain).rays(u_px, v_px)


def _offset(
    state: Floats, pose: FramePose, size: tuple[int, int], plane: _Plane
) -> Floats | None:
    """Return where the ray meets the plane, east and north of the lens's true foot."""
    x_m, y_m, height_m = state[:3]
    ray = _ray(state, pose, size)
    down = -ray[2] + ray[0] * plane.slope_x + ray[1] * plane.slope_y
    if ray[2] >= -1e-6 or down <= 1e-6:
        return None
    fallen_m = (
        plane.height_m
        + (height_m - pose.height_agl_m)
        - (x_m - plane.x_m) * plane.slope_x
        - (y_m - plane.y_m) * plane.slope_y
    )
    offset: Floats = np.array([x_m, y_m]) + ray[:2] * (fallen_m / down)
    return offset


def _met(
    state: Floats, pose: FramePose, size: tuple[int, int], relief: Relief, limit_m: float
) -> _Plane | None:
    """Return the ground where the ray first meets it, None beyond the limit."""
    lens_x_m, lens_y_m = relief.frame.to_local(pose.position.lat_deg, pose.position.lon_deg)
    foot_m = relief.terrain.height_m(lens_x_m, lens_y_m)
    ray = _ray(state, pose, size)
    flat = float(np.hypot(ray[0], ray[1]))

    def below(t: float) -> float:
        """How far below the lens's foot the ground lies at ray[:2] · t."""
        return foot_m - relief.terrain.height_m(lens_x_m + ray[0] * t, lens_y_m + ray[1] * t)

    def above(t: float) -> float:
        return float(pose.height_agl_m + ray[2] * t + below(t))

    step = MARCH_STEP_M / max(flat, -float(ray[2]))
    last = 0.0
    while last * flat <= limit_m:
        if above(last + step) <= 0.0:
            break
        last += step
    else:
        return None
    near, far = last, last + step
    for _ in range(BISECTIONS):
        middle = (near + far) / 2.0
        near, far = (middle, far) if above(middle) > 0.0 else (near, middle)
    x_m, y_m = ray[:2] * far
    ground = relief.terrain.height_m
    at = (lens_x_m + x_m, lens_y_m + y_m)
    reach = SLOPE_REACH_M
    rise_x = (ground(at[0] + reach, at[1]) - ground(at[0] - reach, at[1])) / (2.0 * reach)
    rise_y = (ground(at[0], at[1] + reach) - ground(at[0], at[1] - reach)) / (2.0 * reach)
    return _Plane(float(x_m), float(y_m), pose.height_agl_m + below(far), rise_x, rise_y)


_STEPS = (0.01, 0.01, 0.01, 0.01, 0.01, 0.01, 0.1, 0.1, 0.001)


def _jacobian(
    state: Floats, pose: FramePose, size: tuple[int, int], plane: _Plane, offset: Floats
) -> Floats:
    """Return d(east, north)/d(state) by forward differences, shape (2, 9)."""
    columns = []
    for i, step in enumerate(_STEPS):
        moved = state.copy()
        moved[i] += step
        after = _offset(moved, pose, size, plane)
        columns.append((offset if after is None else after) - offset)
        columns[-1] /= step
    return np.stack(columns, axis=1)


def ellipse_of(covariance: Floats) -> ErrorEllipse:
    """Return the 95 % ellipse of a covariance (2, 2) east, north in m²."""
    values, vectors = np.linalg.eigh(covariance)
    minor_m, major_m = np.sqrt(np.maximum(values, 0.0) * CHI2_95)
    east, north = vectors[:, 1]
    bearing_deg = float(np.degrees(np.arctan2(east, north)) % 180.0)
    return ErrorEllipse(round(float(major_m), 3), round(float(minor_m), 3), round(bearing_deg, 2))


def metres_a_pixel(
    pose: FramePose, places_m: Floats, width_px: int, height_px: int, frame: LocalFrame
) -> Floats:
    """Return how much ground a pixel spans at places (n, 2) of `frame` on flat ground, in metres,
    in the direction in which it spans most; infinite where the picture does not show the place."""
    lens_m = frame.to_local(pose.position.lat_deg, pose.position.lon_deg)
    camera = Pinhole(
        pose.yaw_deg, pose.pitch_deg, pose.roll_deg, pose.hfov_deg, width_px, height_px, pose.lens
    )
    below = np.column_stack([places_m - lens_m, np.full(len(places_m), -pose.height_agl_m)])
    pixels, _ = camera.project(below)
    east, north = (
        (camera.project(below + step)[0] - pixels) / RESOLVED_STEP_M
        for step in np.eye(3)[:2] * RESOLVED_STEP_M
    )
    whole = np.isfinite(pixels).all(1) & np.isfinite(east).all(1) & np.isfinite(north).all(1)
    inside = whole & (pixels >= 0).all(1) & (pixels < (width_px, height_px)).all(1)
    spans = np.full(len(places_m), np.inf)
    if inside.any():
        per_metre = np.stack([east[inside], north[inside]], axis=2)
        least = np.linalg.svd(per_metre, compute_uv=False)[:, 1]
        spans[inside] = 1.0 / np.maximum(least, 1e-9)
    return spans


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
        pose.yaw_deg, pose.pitch_deg, pose.roll_deg, pose.hfov_deg, width_px, height_px, pose.lens
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
