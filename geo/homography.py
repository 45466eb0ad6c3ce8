"""A fixed camera placed by control points: the plane-to-plane map from pixels to the ground.

Direct linear transformation on normalised points (Hartley and Zisserman, "Multiple View Geometry",
2nd ed., algorithm 4.2), refined by least squares of the pixel error, whose covariance gives every
placed pixel its ellipse. A control point errs in the picture and on the ground; the latter is many
pixels near the camera and few far off, so each point is weighed by what both come to in its place.
The ground is taken as a plane, which a street before one camera is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from domain.place import Position
from domain.sight import ControlPoint
from geo.frames import LocalFrame
from geo.locate import RANGE_LIMIT_M, GroundPoint, NoGround, ellipse_of

Floats = NDArray[np.float64]
LEAST_POINTS, POINTS_LIMIT = 6, 200
REFINEMENTS = 40
WEIGHINGS = 2
"""Times the weights are taken anew from the map they gave."""
SPREAD_LEAST_SHARE = 0.02
"""The control points' narrower extent, as a share of the wider: less is a line, not a plane."""


class BadCalibration(ValueError):
    """Control points that fix no plane; the message says why and what would."""


@dataclass(frozen=True, slots=True)
class GroundPlane:
    """The fitted map; `matrix` takes ground (x, y, 1) to pixels, `covariance` (8, 8) is that of
    its first eight numbers, the ninth being 1. `frame` lies amid the control points."""

    frame: LocalFrame
    lens_m: tuple[float, float]
    matrix: Floats
    covariance: Floats
    pixel_px: float
    """The pixel error the points left, root mean square an axis."""
    residuals_m: tuple[float, ...]
    """How far each control point is placed from where it lies."""
    left_out_m: tuple[float, ...]
    """The same for each point when it is left out of the fit: what a new pixel may expect."""
    side: float
    """The sign of the depth of what lies before the camera."""

    def ground_point(
        self, u_px: float, v_px: float, limit_m: float = RANGE_LIMIT_M, pointed_px: float = 4.0
    ) -> GroundPoint | NoGround:
        """Return where a pixel lies on the ground, with its 95 % ellipse; `pointed_px` is how
        well the pixel itself is known, as in geo.locate."""
        if not (isfinite(u_px) and isfinite(v_px)):
            return NoGround("bad_pose")
        at = np.linalg.inv(self.matrix) @ np.array([u_px, v_px, 1.0])
        if at[2] * self.side <= 1e-12:
            return NoGround("above_horizon")
        x_m, y_m = at[:2] / at[2]
        range_m = float(np.hypot(x_m - self.lens_m[0], y_m - self.lens_m[1]))
        if range_m > limit_m:
            return NoGround("too_far")
        by_place, by_map = _derivatives(self.matrix, x_m, y_m)
        back = np.linalg.inv(by_place)
        pixels = by_map @ self.covariance @ by_map.T + pointed_px**2 * np.eye(2)
        position = self.frame.to_position(float(x_m), float(y_m))
        return GroundPoint(position, ellipse_of(back @ pixels @ back.T), range_m)


def fit_ground(
    points: Sequence[ControlPoint], lens: Position, pixel_px: float = 2.0
) -> GroundPlane:
    """Fit the ground before a camera standing at `lens`. Raises BadCalibration.

    `pixel_px` is how well a person points at a pixel. It and the points' own `place_m` are the
    least error believed, however well the points agree; where they agree worse, theirs is.
    """
    if not LEAST_POINTS <= len(points) <= POINTS_LIMIT:
        raise BadCalibration(
            f"{len(points)} control points: give {LEAST_POINTS} to {POINTS_LIMIT}, spread over the "
            "ground the camera sees"
        )
    numbers = [
        n
        for p in points
        for n in (p.u_px, p.v_px, p.position.lat_deg, p.position.lon_deg, p.place_m)
    ]
    if not all(isfinite(n) for n in numbers) or min(p.place_m for p in points) < 0.0:
        raise BadCalibration("control points must be finite pixels, degrees and metres")
    lat_deg = fmean(p.position.lat_deg for p in points)
    frame = LocalFrame(Position(lat_deg, fmean(p.position.lon_deg for p in points)))
    pixels = np.array([[p.u_px, p.v_px] for p in points], float)
    ground = np.array([frame.to_local(p.position.lat_deg, p.position.lon_deg) for p in points])
    _spread(pixels, "in the picture")
    _spread(ground, "on the ground")
    known = np.column_stack([np.full(len(points), pixel_px), [p.place_m for p in points]])
    matrix, covariance, scale = _fit(ground, pixels, known)
    side = _side(matrix, ground)
    left_px = float(np.sqrt(((pixels - _carried(matrix, ground)) ** 2).mean()))
    residuals = tuple(_apart_m(matrix, ground[i], pixels[i]) for i in range(len(points)))
    left_out = tuple(
        _apart_m(
            _fit(*(np.delete(each, i, 0) for each in (ground, pixels, known)))[0],
            ground[i],
            pixels[i],
        )
        for i in range(len(points))
    )
    lens_m = frame.to_local(lens.lat_deg, lens.lon_deg)
    covariance = covariance * max(scale, 1.0) ** 2
    return GroundPlane(frame, lens_m, matrix, covariance, left_px, residuals, left_out, side)


def _spread(places: Floats, where: str) -> None:
    centred = places - places.mean(axis=0)
    extents = np.linalg.svd(centred, compute_uv=False)
    if extents[0] <= 0.0 or extents[1] < SPREAD_LEAST_SHARE * extents[0]:
        raise BadCalibration(
            f"the control points lie on one line {where}: add some to the left and right of it"
        )


def _side(matrix: Floats, ground: Floats) -> float:
    depth = np.column_stack([ground, np.ones(len(ground))]) @ matrix[2]
    if depth.min() * depth.max() <= 0.0:
        worst = int(np.argmin(depth * np.sign(np.median(depth)))) + 1
        raise BadCalibration(
            f"no plane fits: control point {worst} would lie behind the camera; check its place"
        )
    return float(np.sign(depth[0]))


def _fit(ground: Floats, pixels: Floats, known: Floats) -> tuple[Floats, Floats, float]:
    """Return the map, its covariance, and how many times what is `known` (pixels, metres; a row a
    point) the points' errors are."""
    to_ground, to_pixels = _normaliser(ground), _normaliser(pixels)
    g = _carried(to_ground, ground)
    p = _carried(to_pixels, pixels)
    rows = []
    for (x, y), (u, v) in zip(g, p, strict=True):
        rows.append([-x, -y, -1, 0, 0, 0, u * x, u * y, u])
        rows.append([0, 0, 0, -x, -y, -1, v * x, v * y, v])
    solution = np.linalg.svd(np.array(rows))[2][-1].reshape(3, 3)
    matrix = np.linalg.inv(to_pixels) @ solution @ to_ground
    if abs(matrix[2, 2]) < 1e-12 * np.abs(matrix).max():
        raise BadCalibration("no plane fits: the control points lie on both sides of the horizon")
    matrix = matrix / matrix[2, 2]
    for _ in range(WEIGHINGS):
        weights = _weights(matrix, ground, known)
        matrix = _refined(matrix, ground, pixels, weights)
    scales = _scales(matrix)
    jacobian, wrong = _errors(matrix, ground, pixels, weights)
    scaled = jacobian * scales
    covariance = np.linalg.pinv(scaled.T @ scaled) * np.outer(scales, scales)
    free = max(1, wrong.size - 8)
    return matrix, covariance, float(np.sqrt((wrong**2).sum() / free))


def _weights(matrix: Floats, ground: Floats, known: Floats) -> Floats:
    """Return for each point (n, 2, 2) what turns its pixel error into standard deviations."""
    by_place = np.stack([_derivatives(matrix, x, y)[0] for x, y in ground])
    spread = known[:, 1, None, None] ** 2 * (by_place @ by_place.transpose(0, 2, 1))
    spread += np.maximum(known[:, 0], 1e-3)[:, None, None] ** 2 * np.eye(2)
    return np.asarray(np.linalg.inv(np.linalg.cholesky(spread)), float)


def _refined(matrix: Floats, ground: Floats, pixels: Floats, weights: Floats) -> Floats:
    """Return the map of least weighed error near `matrix` (Levenberg and Marquardt)."""
    damping = 1e-4
    jacobian, wrong = _errors(matrix, ground, pixels, weights)
    for _ in range(REFINEMENTS):
        scales = _scales(matrix)
        rows = np.vstack([jacobian * scales, np.sqrt(damping) * np.eye(8)])
        step = np.linalg.lstsq(rows, np.append(wrong, np.zeros(8)), rcond=None)[0]
        moved = matrix + np.append(step * scales, 0.0).reshape(3, 3)
        after = _errors(moved, ground, pixels, weights)
        if (after[1] ** 2).sum() < (wrong**2).sum():
            matrix, (jacobian, wrong), damping = moved, after, damping / 10.0
        else:
            damping *= 10.0
        if np.abs(step).max() < 1e-8:
            break
    return matrix


def _scales(matrix: Floats) -> Floats:
    """Return the size of the map's first eight numbers: they differ by four decades."""
    return np.maximum(np.abs(matrix).ravel()[:8], 1e-9)


def _errors(
    matrix: Floats, ground: Floats, pixels: Floats, weights: Floats
) -> tuple[Floats, Floats]:
    jacobian = weights @ np.stack([_derivatives(matrix, x, y)[1] for x, y in ground])
    wrong = weights @ (pixels - _carried(matrix, ground))[..., None]
    return jacobian.reshape(-1, 8), wrong.ravel()


def _derivatives(matrix: Floats, x_m: float, y_m: float) -> tuple[Floats, Floats]:
    """Return d(pixel)/d(place) (2, 2) and d(pixel)/d(first eight numbers) (2, 8)."""
    (u, v, w) = matrix @ np.array([x_m, y_m, 1.0])
    u, v = u / w, v / w
    by_place = np.array(
        [
            [matrix[0, 0] - u * matrix[2, 0], matrix[0, 1] - u * matrix[2, 1]],
            [matrix[1, 0] - v * matrix[2, 0], matrix[1, 1] - v * matrix[2, 1]],
        ]
    )
    by_map = np.array(
        [
            [x_m, y_m, 1, 0, 0, 0, -u * x_m, -u * y_m],
            [0, 0, 0, x_m, y_m, 1, -v * x_m, -v * y_m],
        ]
    )
    return by_place / w, by_map / w


def _apart_m(matrix: Floats, place: Floats, pixel: Floats) -> float:
    at = np.linalg.inv(matrix) @ np.array([*pixel, 1.0])
    return float(np.hypot(*(at[:2] / at[2] - place)))


def _normaliser(places: Floats) -> Floats:
    """Return the map that centres points and brings their mean distance to √2."""
    middle = places.mean(axis=0)
    scale = np.sqrt(2.0) / np.hypot(*(places - middle).T).mean()
    return np.array([[scale, 0, -scale * middle[0]], [0, scale, -scale * middle[1]], [0, 0, 1]])


def _carried(matrix: Floats, places: Floats) -> Floats:
    moved = np.column_stack([places, np.ones(len(places))]) @ matrix.T
    carried: Floats = moved[:, :2] / moved[:, 2:]
    return carried
