"""A fixed camera's ground by its control points, for pictures of whatever size it sends. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.device import Camera
from domain.sight import ControlPoint
from geo.homography import GroundPlane, fit_ground
from geo.locate import GroundPoint, NoGround


@dataclass(frozen=True, slots=True)
class Calibrated:
    """`size_px` is (width, height) of the pictures whose pixels the plane takes."""

    plane: GroundPlane
    size_px: tuple[int, int]

    def ground_point(
        self, u_px: float, v_px: float, size_px: tuple[int, int]
    ) -> GroundPoint | NoGround:
        """Return where a pixel of a picture of `size_px` lies: a substream shows what the main one
        does, in fewer pixels and at times squeezed."""
        across, down = self.size_px[0] / size_px[0], self.size_px[1] / size_px[1]
        return self.plane.ground_point(u_px * across, v_px * down)


def calibrated(camera: Camera, points: Sequence[ControlPoint]) -> Calibrated:
    """Fit the ground before a camera; its points are pixels of its registered size. Raises
    BadCalibration."""
    return Calibrated(
        fit_ground(points, camera.position), (camera.width_px, camera.height_px)
    )
