"""Pictures that were taken before: folders of photographs with their own pose, and videos with
DJI's subtitles beside them. Each yields frames as a camera would have given them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np

from domain.observation import Frame
from services.ingest import srt
from services.ingest.fields import Unreadable
from services.ingest.frames import JPEG_LIMIT_BYTES
from services.ingest.photo_pose import NoPose, read_photo_pose
from services.ingest.sight.pose_track import PoseTrack
from services.ingest.track import Flown

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg"})
VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".avi", ".mkv"})
PHOTO_LIMIT_BYTES = 60_000_000
WIDEST_PX = 1920
"""Photographs are handed on no wider: the detector sees no more in them."""
QUALITY = 92


@dataclass(frozen=True, slots=True)
class Refused:
    """A picture that could not be taken, and why."""

    name: str
    why: str


def photographs(
    folder: Path, device_sn: str, turned_deg: float | None = None
) -> Iterator[Frame | Refused]:
    """Yield the photographs of a folder in order of their names, each with its own pose."""
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES):
        yield photograph(path, device_sn, turned_deg)


def photograph(path: Path, device_sn: str, turned_deg: float | None = None) -> Frame | Refused:
    """Return one photograph with its own pose; its folder counts as its flight."""
    if path.stat().st_size > PHOTO_LIMIT_BYTES:
        return Refused(path.name, f"larger than {PHOTO_LIMIT_BYTES} bytes")
    content = path.read_bytes()
    try:
        pose = read_photo_pose(content, turned_deg).pose
    except NoPose as error:
        return Refused(path.name, str(error))
    jpeg = _handy(content)
    if jpeg is None:
        return Refused(path.name, "the picture does not decode")
    return Frame(device_sn, pose.at, jpeg, pose, path.parent.name)


def _handy(content: bytes) -> bytes | None:
    """Return the JPEG no wider than WIDEST_PX. EXIF turns are not followed: poses are of the
    picture as the sensor gave it."""
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    if image is None:
        return None
    scale = WIDEST_PX / image.shape[1]
    if scale >= 1.0 and len(content) <= JPEG_LIMIT_BYTES:
        return content
    size = (WIDEST_PX, max(1, round(image.shape[0] * scale)))
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA) if scale < 1.0 else image
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def video(
    path: Path, flown: Flown, hfov_deg: float, every_s: float = 0.5
) -> Iterator[Frame | Refused]:
    """Yield a frame each `every_s` seconds of a video, posed by the subtitles beside it.

    Raises Unreadable where there are none or they tell no flight.
    """
    subtitles = next((p for p in _beside(path) if p.is_file()), None)
    if subtitles is None:
        raise Unreadable(f"{path.name} has no .SRT beside it: nothing says where it was taken")
    rows = srt.read(subtitles.read_bytes(), flown).rows
    track = PoseTrack(rows, hfov_deg)
    capture = cv2.VideoCapture(str(path))
    try:
        rate = capture.get(cv2.CAP_PROP_FPS)
        rate = rate if 1.0 <= rate <= 240.0 else 25.0
        step, i = max(1, round(rate * every_s)), 0
        while capture.grab():
            if i % step == 0:
                at = rows[0].at + timedelta(seconds=i / rate)
                yield _video_frame(capture, track, Frame(flown.device_sn, at, b"", None, path.stem))
            i += 1
        if i == 0:
            yield Refused(path.name, "no picture in this video can be read")
    finally:
        capture.release()


def _video_frame(capture: cv2.VideoCapture, track: PoseTrack, frame: Frame) -> Frame | Refused:
    name = frame.at.isoformat()
    good, image = capture.retrieve()
    if not good:
        return Refused(name, "the picture does not decode")
    pose = track.at(frame.at)
    if pose is None:
        return Refused(name, "the subtitles do not say where the camera looked then")
    jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
    return Frame(frame.device_sn, frame.at, jpeg, pose, frame.flight_id)


def _beside(path: Path) -> Iterator[Path]:
    for suffix in (".SRT", ".srt", ".Srt"):
        yield path.with_suffix(suffix)
