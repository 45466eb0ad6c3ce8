"""The camera: a pinhole that looks along +y from above the origin, and the rays of its pixels."""

from dataclasses import dataclass
from functools import cached_property
from math import cos, radians, sin, tan

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
Rect = tuple[int, int, int, int]


@dataclass(frozen=True)
class View:
    """Metres: x right, y ahead, z up. pitch_deg is below the horizon: 90 is straight down."""

    width_px: int
    height_px: int
    height_agl_m: float
    pitch_deg: float
    roll_deg: float
    span_deg: float
    """The horizontal field of view."""

    @cached_property
    def focal_px(self) -> float:
        return self.width_px / 2 / tan(radians(self.span_deg) / 2)

    @cached_property
    def origin(self) -> F32:
        return np.array([0, 0, self.height_agl_m], np.float32)

    @cached_property
    def axes(self) -> F32:
        """Rows: right, up, ahead."""
        p, r = radians(self.pitch_deg), radians(self.roll_deg)
        ahead = np.array([0, cos(p), -sin(p)])
        right, up = np.array([1.0, 0, 0]), np.array([0, sin(p), cos(p)])
        return np.array(
            [cos(r) * right + sin(r) * up, cos(r) * up - sin(r) * right, ahead], np.float32
        )

    @cached_property
    def rays(self) -> F32:
        """(h, w, 3); one unit of a ray is one metre along the optical axis."""
        u = (np.arange(self.width_px, dtype=np.float32) - self.width_px / 2 + 0.5) / self.focal_px
        v = (self.height_px / 2 - 0.5 - np.arange(self.height_px, dtype=np.float32)) / self.focal_px
        right, up, ahead = self.axes
        rays = ahead + u[None, :, None] * right + v[:, None, None] * up
        return np.asarray(rays, np.float32)

    @cached_property
    def directions(self) -> F32:
        """The rays, one metre long."""
        length = np.sqrt(np.einsum("ijk,ijk->ij", self.rays, self.rays))
        return np.asarray(self.rays / length[..., None], np.float32)

    def project(self, points: F32) -> tuple[F32, F32]:
        """Return ((n, 2) pixels, (n,) metres along the optical axis) of (n, 3) points."""
        seen = (points - self.origin) @ self.axes.T
        deep = np.maximum(seen[:, 2], np.float32(0.05))
        x = self.width_px / 2 - 0.5 + self.focal_px * seen[:, 0] / deep
        y = self.height_px / 2 - 0.5 - self.focal_px * seen[:, 1] / deep
        return np.asarray(np.stack([x, y], 1), np.float32), np.asarray(seen[:, 2], np.float32)

    def ground_at(self, x_px: float, y_px: float) -> tuple[float, float] | None:
        """Return the ground place of a pixel, or None at and above the horizon."""
        ray = self.rays[int(y_px), int(x_px)]
        if ray[2] > -0.02:
            return None
        reach = -self.height_agl_m / float(ray[2])
        return float(ray[0]) * reach, float(ray[1]) * reach

    def px_per_m(self, x_m: float, y_m: float) -> float:
        seen = (np.array([x_m, y_m, 0], np.float32) - self.origin) @ self.axes.T
        return float(self.focal_px / max(float(seen[2]), 0.5))

    def rect(self, corners: F32) -> tuple[Rect | None, float]:
        """Return (pixels a solid of these corners may fill, share of it inside the picture)."""
        at, deep = self.project(corners)
        if float(deep.min()) < 0.4:
            return None, 0.0
        low, high = np.floor(at.min(0)), np.ceil(at.max(0)) + 1
        x0, y0 = max(int(low[0]), 0), max(int(low[1]), 0)
        x1, y1 = min(int(high[0]), self.width_px), min(int(high[1]), self.height_px)
        if x0 >= x1 or y0 >= y1:
            return None, 0.0
        whole = float(np.prod(high - low))
        return (x0, y0, x1, y1), (x1 - x0) * (y1 - y0) / whole
