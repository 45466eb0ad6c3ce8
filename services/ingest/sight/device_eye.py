"""One device's frames: from a JPEG to what it shows on the ground, or to its being passed over.

Gate, decoding, detector, tracks and rules of one camera or aircraft, frame after frame. What two
frames have to do with one another is kept here; what is voted on and what is told is not.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import cv2
import numpy as np
from shapely import Polygon, prepare

from domain.hazard import Detection
from domain.observation import Frame, FramePose
from domain.sight import SightRule
from geo.locate import footprint
from models.boxes import Image
from models.detector import Detector
from models.motion import PIXELS_LIMIT, Box, jpeg_size, small_grey, small_of_jpeg
from models.slices import detect_pieces
from services.ingest.sight.calibrated import Calibrated
from services.ingest.sight.camera_health import Glance, glance
from services.ingest.sight.following import Followed, FollowPolicy, dwelling, follow
from services.ingest.sight.gate import Gate, GatePolicy, Look
from services.ingest.sight.scene import Scene
from services.ingest.sight.sightings import Sighting, SightingPolicy, sightings

GLANCE_EVERY_S = 2.0


class Unseen(StrEnum):
    """Why a frame was not looked at."""

    GATED = "gated"
    BROKEN = "picture does not decode"


@dataclass(frozen=True, slots=True)
class EyePolicy:
    sighting: SightingPolicy
    gate: GatePolicy = field(default_factory=GatePolicy)
    follow: FollowPolicy = field(default_factory=FollowPolicy)


@dataclass(frozen=True, slots=True)
class Asked:
    """What watch wants of a frame: the rules that are on, control points if there are any, whether
    a vote or a look is open, and the boxes of what is voted on."""

    rules: Sequence[SightRule]
    calibrated: Calibrated | None
    is_open: bool
    voted: Sequence[Detection]


@dataclass(frozen=True, slots=True)
class Seen:
    """One frame after detection."""

    frame: Frame
    image: Image
    pose: FramePose
    ground: Polygon | None
    detections: tuple[Detection, ...]
    sightings: tuple[Sighting, ...]
    completed_wall_s: float
    glance: Glance | None
    look: Look


@dataclass(slots=True)
class DeviceEye:
    policy: EyePolicy
    scene: Scene
    _gate: Gate = field(init=False)
    _followed: Followed = field(default_factory=Followed)
    _glanced_at: datetime | None = None
    _ground: tuple[tuple[int, int], Polygon | None] | None = None

    def __post_init__(self) -> None:
        self._gate = Gate(self.policy.gate)

    def see(
        self,
        frame: Frame,
        pose: FramePose,
        asked: Asked,
        detector: Detector,
        wall_s: Callable[[], float],
    ) -> Seen | Unseen:
        """Look at a frame, or pass it over. `frame.pose` is None for a fixed camera."""
        flying = frame.pose is not None
        through = self._through(frame, asked, flying)
        if isinstance(through, Unseen):
            return through
        look, pixels = through
        size_px = (pixels.shape[1], pixels.shape[0])
        boxes = tuple(detect_pieces(detector, pixels, look.crops))
        found = sightings(
            boxes,
            asked.rules,
            pose,
            size_px,
            self.scene.frame,
            self.scene.zones,
            self.policy.sighting,
            asked.calibrated,
            self.scene.relief if flying else None,
        )
        how = self.policy.follow.flown if flying else self.policy.follow.fixed
        self._followed = follow(self._followed, boxes, frame.at, how, look.moved)
        self._followed, told = dwelling(self._followed, found)
        ground = self._footprint(pose, size_px, flying)
        glanced = None if flying else self._glance(pixels, frame.at)
        return Seen(frame, pixels, pose, ground, boxes, told, wall_s(), glanced, look)

    def _through(self, frame: Frame, asked: Asked, flying: bool) -> tuple[Look, Image] | Unseen:
        """Return what the gate lets through, decoded: at once where it is likely to."""
        rows, pixels = self.policy.gate.motion.rows, None
        if self._gate.expects(frame.at, asked.is_open, flying):
            pixels = _decoded(frame.jpeg)
            made = None if pixels is None else (small_grey(pixels, rows), pixels.shape[:2])
        else:
            made = small_of_jpeg(frame.jpeg, rows)
        if made is None:
            return Unseen.BROKEN
        if flying:
            look = self._gate.flown(*made, frame.at, asked.is_open)
        else:
            voted = [_whole_px(box) for box in asked.voted]
            look = self._gate.fixed(*made, frame.at, asked.is_open, voted)
        if look is None:
            return Unseen.GATED
        pixels = _decoded(frame.jpeg) if pixels is None else pixels
        return Unseen.BROKEN if pixels is None else (look, pixels)

    def _footprint(
        self, pose: FramePose, size_px: tuple[int, int], flying: bool
    ) -> Polygon | None:
        """Return the ground in view, prepared; a fixed camera's stays the same."""
        if self._ground is not None and not flying and self._ground[0] == size_px:
            return self._ground[1]
        ground = footprint(pose, *size_px, self.scene.frame)
        if ground is not None:
            prepare(ground)
        self._ground = (size_px, ground)
        return ground

    def _glance(self, pixels: Image, at: datetime) -> Glance | None:
        last = self._glanced_at
        if last is not None and 0.0 <= (at - last).total_seconds() < GLANCE_EVERY_S:
            return None
        self._glanced_at = at
        return glance(pixels)


def _decoded(jpeg: bytes) -> Image | None:
    size = jpeg_size(jpeg)
    if size is None or size[0] * size[1] > PIXELS_LIMIT:
        return None
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    return None if image is None else np.asarray(image, np.uint8)


def _whole_px(box: Detection) -> Box:
    return (int(box.x0_px), int(box.y0_px), int(box.x1_px) + 1, int(box.y1_px) + 1)
