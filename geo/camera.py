"""The camera: pixels to rays in east–north–up and back, by a pinhole or a calibrated lens.

Yaw turns clockwise from north, pitch is 0 at the horizon and −90 at nadir, roll turns the picture
clockwise. `hfov_deg` spans the width; pixels are square and the principal point is the centre.
A lens model, where there is one, takes the place of `hfov_deg` (Brown, "Close-range camera
calibration", 1971, with OpenCV's order of coefficients).
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from domain.observation import LensModel

Floats = NDArray[np.float64]
NEAR_M = 0.05
UNDISTORT_STEPS = 12


@lru_cache(maxsize=256)
def _axes(yaw_deg: float, pitch_deg: float, roll_deg: float) -> Floats:
    yaw, pitch, roll = np.radians([yaw_deg, pitch_deg, roll_deg])
    forward = np.array([np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), np.sin(pitch)])
    level = np.array([np.cos(yaw), -np.sin(yaw), 0.0])
    down = np.cross(forward, level)
    right = np.cos(roll) * level + np.sin(roll) * down
    axes = np.stack([right, np.cross(forward, right), forward])
    axes.setflags(write=False)
    return axes


@dataclass(frozen=True, slots=True)
class Pinhole:
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    hfov_deg: float
    width_px: int
    height_px: int
    lens: LensModel | None = None
    focal_gain: float = 1.0

    @property
    def focal_px(self) -> float:
        if self.lens is not None:
            return self.lens.focal_px * self.width_px / self.lens.width_px * self.focal_gain
        half = np.tan(np.radians(self.hfov_deg) / 2)
        return float(self.width_px / 2 / half) * self.focal_gain

    @property
    def centre_px(self) -> tuple[float, float]:
        """The principal point."""
        if self.lens is None:
            return self.width_px / 2, self.height_px / 2
        scale = self.width_px / self.lens.width_px
        return self.lens.centre_u_px * scale, self.lens.centre_v_px * scale

    def axes(self) -> Floats:
        """Return rows right, down, forward: unit vectors in east–north–up, shape (3, 3)."""
        return _axes(self.yaw_deg, self.pitch_deg, self.roll_deg)

    def rays(self, u_px: ArrayLike, v_px: ArrayLike) -> Floats:
        """Return unnormalised directions in east–north–up for pixels; shape (…, 3)."""
        right, down, forward = self.axes()
        centre_u_px, centre_v_px = self.centre_px
        u = (np.asarray(u_px, float) - centre_u_px) / self.focal_px
        v = (np.asarray(v_px, float) - centre_v_px) / self.focal_px
        if self.lens is not None:
            u, v = _undistorted(u, v, self.lens)
        rays: Floats = u[..., None] * right + v[..., None] * down + forward
        return rays

    def project(self, offsets_m: ArrayLike) -> tuple[Floats, Floats]:
        """Return (pixels (…, 2), depth_m (…)) of points given relative to the lens in ENU.

        Points at less than NEAR_M in front have no pixel: NaN.
        """
        seen = np.asarray(offsets_m, float) @ self.axes().T
        depth = seen[..., 2]
        safe = np.where(depth > NEAR_M, depth, np.nan)
        u, v = seen[..., 0] / safe, seen[..., 1] / safe
        if self.lens is not None:
            u, v = _distorted(u, v, self.lens)
        centre_u_px, centre_v_px = self.centre_px
        pixels = np.stack([u * self.focal_px + centre_u_px, v * self.focal_px + centre_v_px], -1)
        return pixels, depth


def _distorted(u: Floats, v: Floats, lens: LensModel) -> tuple[Floats, Floats]:
    """Return where a lens puts an ideal point; both in focal lengths off the principal point."""
    r2 = u * u + v * v
    radial = 1.0 + r2 * (lens.k1 + r2 * (lens.k2 + r2 * lens.k3))
    return (
        u * radial + 2.0 * lens.p1 * u * v + lens.p2 * (r2 + 2.0 * u * u),
        v * radial + lens.p1 * (r2 + 2.0 * v * v) + 2.0 * lens.p2 * u * v,
    )


def _undistorted(u: Floats, v: Floats, lens: LensModel) -> tuple[Floats, Floats]:
    """Undo `_distorted` by fixed-point steps, which converge for the lenses aircraft carry."""
    x, y = u, v
    for _ in range(UNDISTORT_STEPS):
        again_u, again_v = _distorted(x, y, lens)
        x, y = x + (u - again_u), y + (v - again_v)
    return x, y


@dataclass(frozen=True, slots=True)
class Lens:
    """A sensor behind a lens, in millimetres. Raises ValueError for what is not positive."""

    sensor_width_mm: float
    sensor_height_mm: float
    focal_mm: float

    def __post_init__(self) -> None:
        for name in ("sensor_width_mm", "sensor_height_mm", "focal_mm"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0.0):
                raise ValueError(f"{name} must be a positive number of millimetres, got {value!r}")


LENSES = {
    "M3D": Lens(17.3, 13.0, 12.3),
    "M3TD": Lens(9.6, 7.2, 6.9),
    "M4D": Lens(17.3, 13.0, 12.3),
    "M4TD": Lens(9.6, 7.2, 6.9),
}
"""Wide cameras: a 4/3-inch sensor of 84° and a 1/1.3-inch one of 82° across the diagonal, by DJI's
specification pages; focal lengths follow from those angles."""


@dataclass(frozen=True, slots=True)
class GroundFootprint:
    """The ground a level camera sees: `width_m` across at its narrower, nearer edge, from `near_m`
    to `far_m` ahead of the aircraft (near is negative behind it)."""

    width_m: float
    near_m: float
    far_m: float


def ground_footprint(lens: Lens, height_agl_m: float, pitch_deg: float) -> GroundFootprint:
    """Return the footprint on flat ground. Raises ValueError where the camera sees the horizon."""
    tilt = np.radians(90.0 + pitch_deg)
    half = np.arctan(lens.sensor_height_mm / 2.0 / lens.focal_mm)
    if not tilt >= -1e-9 or tilt + half > np.radians(85.0):
        raise ValueError(
            f"gimbal pitch {pitch_deg:g}° sees the horizon or behind: it must lie in "
            f"-90..{-5.0 - np.degrees(half):.0f}°"
        )
    depth = height_agl_m * np.cos(half) / np.cos(tilt - half)
    return GroundFootprint(
        width_m=float(depth * lens.sensor_width_mm / lens.focal_mm),
        near_m=float(height_agl_m * np.tan(tilt - half)),
        far_m=float(height_agl_m * np.tan(tilt + half)),
    )
