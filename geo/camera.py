"""The pinhole camera: pixels to rays in east–north–up and back. No lens distortion.

Yaw turns clockwise from north, pitch is 0 at the horizon and −90 at nadir, roll turns the picture
clockwise. `hfov_deg` spans the width; pixels are square and the principal point is the centre.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
NEAR_M = 0.05


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

    @property
    def focal_px(self) -> float:
        return float(self.width_px / 2 / np.tan(np.radians(self.hfov_deg) / 2))

    def axes(self) -> Floats:
        """Return rows right, down, forward: unit vectors in east–north–up, shape (3, 3)."""
        return _axes(self.yaw_deg, self.pitch_deg, self.roll_deg)

    def rays(self, u_px: ArrayLike, v_px: ArrayLike) -> Floats:
        """Return unnormalised directions in east–north–up for pixels; shape (…, 3)."""
        right, down, forward = self.axes()
        u = (np.asarray(u_px, float) - self.width_px / 2) / self.focal_px
        v = (np.asarray(v_px, float) - self.height_px / 2) / self.focal_px
        rays: Floats = u[..., None] * right + v[..., None] * down + forward
        return rays

    def project(self, offsets_m: ArrayLike) -> tuple[Floats, Floats]:
        """Return (pixels (…, 2), depth_m (…)) of points given relative to the lens in ENU.

        Points at less than NEAR_M in front have no pixel: NaN.
        """
        seen = np.asarray(offsets_m, float) @ self.axes().T
        depth = seen[..., 2]
        safe = np.where(depth > NEAR_M, depth, np.nan)
        u = seen[..., 0] / safe * self.focal_px + self.width_px / 2
        v = seen[..., 1] / safe * self.focal_px + self.height_px / 2
        return np.stack([u, v], axis=-1), depth


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
