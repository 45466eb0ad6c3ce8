"""Photographs and videos that were taken before: what is seen in them and where it lies."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import cos, radians, sin
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from domain.codec import instant_text
from domain.device import Camera
from domain.hazard import Detection
from domain.observation import Frame, FramePose
from domain.place import ErrorEllipse, Position
from domain.sight import SightRule
from geo.frames import LocalFrame
from geo.locate import GroundPoint, NoGround, ground_point
from gridwing.models_detect import Look
from models.boxes import Image
from models.pictures import BadPicture, read_picture
from services.ingest.fields import Unreadable
from services.ingest.recorded_frames import (
    PHOTO_SUFFIXES,
    VIDEO_SUFFIXES,
    Refused,
    photograph,
    video,
)
from services.ingest.sight.calibrated import Calibrated
from services.ingest.sight.scene import camera_pose
from services.ingest.sight.sightings import contact_pixel
from services.ingest.track import Flown

ELLIPSE_POINTS = 36


@dataclass(frozen=True, slots=True)
class Standpoint:
    """Where pictures without a pose of their own were taken: a fixed camera of the district."""

    camera: Camera
    ground: Calibrated | None


@dataclass(frozen=True, slots=True)
class FilePolicy:
    """`turned_deg` is how far photographs were turned since; `hfov_deg` a video's lens."""

    flown: Flown
    hfov_deg: float
    every_s: float
    turned_deg: float | None
    standpoint: Standpoint | None


def files(paths: Sequence[Path]) -> Iterator[Path]:
    """Yield the files, and in place of a folder the photographs and videos in it by name."""
    kinds = PHOTO_SUFFIXES | VIDEO_SUFFIXES
    for path in paths:
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.suffix.lower() in kinds)
        else:
            yield path


def frames(path: Path, policy: FilePolicy) -> Iterator[Frame | Refused]:
    """Yield the frames of one file; what cannot be taken is a Refused with its reason."""
    moving = path.suffix.lower() in VIDEO_SUFFIXES
    if policy.standpoint is not None:
        yield from _of_camera(path, policy.standpoint.camera, policy.every_s, moving)
    elif moving:
        try:
            yield from video(path, policy.flown, policy.hfov_deg, policy.every_s)
        except Unreadable as error:
            yield Refused(path.name, str(error))
    else:
        yield photograph(path, policy.flown.device_sn, policy.turned_deg)


def _of_camera(
    path: Path, camera: Camera, every_s: float, moving: bool
) -> Iterator[Frame | Refused]:
    """Yield what a fixed camera recorded; its time is that of the file, its pose registered."""
    began = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    if not moving:
        try:
            jpeg = cv2.imencode(".jpg", read_picture(path))[1].tobytes()
        except BadPicture as error:
            yield Refused(path.name, str(error))
            return
        yield Frame(camera.sn, began, jpeg, None)
        return
    capture = cv2.VideoCapture(str(path))
    try:
        rate = capture.get(cv2.CAP_PROP_FPS)
        rate = rate if 1.0 <= rate <= 240.0 else 25.0
        step, i = max(1, round(rate * every_s)), 0
        while capture.grab():
            if i % step == 0:
                good, image = capture.retrieve()
                at = began + timedelta(seconds=i / rate)
                if good:
                    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
                    yield Frame(camera.sn, at, jpeg, None)
                else:
                    yield Refused(path.name, "a picture of it does not decode")
            i += 1
        if i == 0:
            yield Refused(path.name, "no picture in this video can be read")
    finally:
        capture.release()


@dataclass(slots=True)
class Judge:
    """Looks at frames and places what it finds; counts what it could not."""

    look: Look
    lying: frozenset[str]
    standpoint: Standpoint | None
    counts: Counter[str]
    refused: Counter[str]
    no_ground: Counter[str]

    def judged(self, source: Path, frame: Frame | Refused) -> dict[str, Any]:
        """Return what stands in the answer for one frame."""
        if isinstance(frame, Refused):
            self.refused[frame.why] += 1
            return {"source": source.name, "frame": frame.name, "refused": frame.why}
        image = cv2.imdecode(np.frombuffer(frame.jpeg, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            return self.judged(source, Refused(source.name, "the picture does not decode"))
        pose = frame.pose
        if pose is None and self.standpoint is not None:
            pose = camera_pose(self.standpoint.camera, frame.at)
        assert pose is not None, "a frame without a pose is of the camera that was named"
        pixels: Image = np.asarray(image, np.uint8)
        found = self.look(pixels)
        self.counts["frames"] += 1
        self.counts["detections"] += len(found)
        size_px = (pixels.shape[1], pixels.shape[0])
        return {
            "source": source.name,
            "device_sn": frame.device_sn,
            "at": instant_text(frame.at),
            "size_px": list(size_px),
            "detections": [self._placed(box, pose, size_px) for box in found],
        }

    def _placed(
        self, box: Detection, pose: FramePose, size_px: tuple[int, int]
    ) -> dict[str, Any]:
        told: dict[str, Any] = {
            "label": box.label,
            "score": round(box.score, 3),
            "box_px": [round(v, 1) for v in (box.x0_px, box.y0_px, box.x1_px, box.y1_px)],
        }
        u_px, v_px = contact_pixel(box, pose.pitch_deg, box.label in self.lying)
        ground = None if self.standpoint is None else self.standpoint.ground
        if ground is None:
            point = ground_point(pose, u_px, v_px, *size_px)
        else:
            point = ground.ground_point(u_px, v_px, size_px)
        if isinstance(point, NoGround):
            self.no_ground[point.reason] += 1
            return told | {"no_ground": point.reason}
        self.counts["placed"] += 1
        return told | {"ground": _plain(point)}


def lying_labels(rules: Sequence[SightRule]) -> frozenset[str]:
    """Return the classes placed by the middle of their box, as the rules say."""
    return frozenset(label for rule in rules if rule.lies for label in rule.labels)


def _plain(point: GroundPoint) -> dict[str, Any]:
    return {
        "lat_deg": round(point.position.lat_deg, 7),
        "lon_deg": round(point.position.lon_deg, 7),
        "range_m": round(point.range_m, 1),
        "semi_major_m": point.ellipse.semi_major_m,
        "semi_minor_m": point.ellipse.semi_minor_m,
        "bearing_deg": point.ellipse.bearing_deg,
    }


def features(frame: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a GeoJSON point and its 95 % ellipse for everything placed (RFC 7946)."""
    for each in frame.get("detections", ()):
        ground = each.get("ground")
        if ground is None:
            continue
        about = {"source": frame["source"], "at": frame["at"], "label": each["label"],
                 "score": each["score"]}  # fmt: skip
        place = Position(ground["lat_deg"], ground["lon_deg"])
        ellipse = ErrorEllipse(
            ground["semi_major_m"], ground["semi_minor_m"], ground["bearing_deg"]
        )
        yield _feature("Point", [place.lon_deg, place.lat_deg], about | {"what": "place"})
        yield _feature("Polygon", [_outline(place, ellipse)], about | {"what": "ellipse_95"})


def _feature(kind: str, coordinates: list[Any], properties: dict[str, Any]) -> dict[str, Any]:
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _outline(place: Position, ellipse: ErrorEllipse) -> list[list[float]]:
    """Return the ellipse's ring, counter-clockwise."""
    frame, bearing = LocalFrame(place), radians(ellipse.bearing_deg)
    ring = []
    for i in range(ELLIPSE_POINTS):
        turn = radians(-360.0 * i / ELLIPSE_POINTS)
        along, across = ellipse.semi_major_m * cos(turn), ellipse.semi_minor_m * sin(turn)
        x_m = along * sin(bearing) + across * cos(bearing)
        y_m = along * cos(bearing) - across * sin(bearing)
        at = frame.to_position(x_m, y_m)
        ring.append([round(at.lon_deg, 7), round(at.lat_deg, 7)])
    return [*ring, ring[0]]


def summary(judge: Judge, say: Callable[[str], None]) -> None:
    """Say what was counted."""
    counts = judge.counts
    say(
        f"{counts['frames']} frames, {counts['detections']} detections, "
        f"{counts['placed']} of them placed"
    )
    for why, number in judge.no_ground.most_common():
        say(f"  no ground point: {number} {why}")
    for why, number in judge.refused.most_common():
        say(f"  refused: {number} × {why}")
