"""A photograph's pose from its own EXIF and XMP, as DJI aircraft write them. Pure.

XMP is read by its names, not as XML: some models declare a namespace twice, which no XML parser
takes. Figures of the lens: DewarpData where it is written (calibrated), else the focal length as
for 35 mm film, else none and the photograph has no pose.
"""

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO
from math import atan, degrees, isfinite

from PIL import ExifTags, Image, UnidentifiedImageError

from domain.observation import FramePose, LensModel, PoseAccuracy
from domain.place import Position

XMP_LIMIT_BYTES = 1_000_000
FILM_WIDTH_MM = 34.61
"""Width of a 4:3 sensor whose diagonal is that of 35 mm film, 43.27 mm."""
GPS = PoseAccuracy(1.5, 2.0, 2.0, 0.5)
RTK = PoseAccuracy(0.03, 0.06, 1.0, 0.3)
UNCALIBRATED_FOCAL_SHARE = 0.03
SENSOR_WIDTH_MM = {"XT S": 10.88}
"""Thermal cameras that write neither: 640 pixels of 17 µm."""
TURNED_UNKNOWN_DEG = 180.0
RTK_FIXED = 50
"""`RtkFlag` of a fixed solution; 16 is single point, 32 to 34 float (DJI's image format)."""
_NAME = re.compile(r"(?:drone-dji|DJI):(\w+)(?:\s*=\s*\"([^\"]{1,200})\"|>([^<]{1,200})<)")


class NoPose(ValueError):
    """A picture without a usable pose; the message names the first thing that is missing."""


@dataclass(frozen=True, slots=True)
class PhotoPose:
    """Where and when a photograph was taken; its height is above take-off, with which the ground
    is taken to be level. `edited_by` is the program that saved it after the aircraft did, or ""."""

    pose: FramePose
    model: str
    edited_by: str
    width_px: int
    height_px: int


def read_photo_pose(jpeg: bytes, turned_deg: float | None = None) -> PhotoPose:
    """Read the pose a photograph carries. Raises NoPose.

    `turned_deg` is how far somebody has turned the picture clockwise since it was taken, None if
    nobody knows.
    """
    try:
        with Image.open(BytesIO(jpeg)) as opened:
            size, exif, info = opened.size, opened.getexif(), dict(opened.info)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise NoPose(f"not a picture that can be read: {error}") from error
    shot = exif.get_ifd(ExifTags.IFD.Exif)
    named = _named(info.get("xmp", b""))
    position = _position(exif.get_ifd(ExifTags.IFD.GPSInfo))
    height_m = _number(named, "RelativeAltitude", "the height above take-off")
    fixed = int(named.get("RtkFlag", "0") or 0) == RTK_FIXED
    model = _text(exif, ExifTags.Base.Model)
    lens, hfov_deg, focal_share = _lens(named, shot, model, *size)
    edited_by = _edited_by(_text(exif, ExifTags.Base.Software))
    known = replace(RTK if fixed else GPS, focal_share=focal_share)
    if edited_by and turned_deg is None:
        known = replace(known, yaw_deg=TURNED_UNKNOWN_DEG)
    camera_yaw_deg = _number(named, "GimbalYawDegree", "where the camera points")
    pose = FramePose(
        position,
        height_m,
        (camera_yaw_deg - (turned_deg or 0.0)) % 360.0,
        _number(named, "GimbalPitchDegree", "how far the camera looks down"),
        _number(named, "GimbalRollDegree", "how the camera is turned"),
        hfov_deg,
        _taken_at(shot),
        known,
        lens,
    )
    return PhotoPose(pose, model, edited_by, *size)


def _text(exif: Image.Exif, tag: int) -> str:
    return str(exif.get(tag, "")).strip("\0 ")


def _edited_by(software: str) -> str:
    """Return the program's name, empty for an aircraft's firmware: a version and no word."""
    return software if re.search(r"[A-Za-z]{3}", software) else ""


def _named(xmp: object) -> dict[str, str]:
    if not isinstance(xmp, bytes):
        return {}
    text = xmp[:XMP_LIMIT_BYTES].decode("utf-8", "replace")
    return {name: (a or b).strip() for name, a, b in _NAME.findall(text)}


def _number(named: dict[str, str], name: str, meaning: str) -> float:
    try:
        value = float(named[name])
    except KeyError as error:
        raise NoPose(f"its XMP has no {name} ({meaning})") from error
    except ValueError as error:
        raise NoPose(f"its XMP says {name} is {named[name]!r}, which is no number") from error
    if not isfinite(value):
        raise NoPose(f"its XMP says {name} is {named[name]!r}")
    return value


def _position(gps: dict[int, object]) -> Position:
    found = []
    for value, side, negative in (
        (ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, "S"),
        (ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, "W"),
    ):
        parts = gps.get(value)
        if not isinstance(parts, tuple) or len(parts) != 3:
            raise NoPose(f"its EXIF has no {value.name}")
        try:
            whole, minutes, seconds = (float(p) for p in parts)
        except (TypeError, ValueError, ZeroDivisionError) as error:
            raise NoPose(f"its EXIF has no readable {value.name}") from error
        angle = whole + minutes / 60.0 + seconds / 3600.0
        found.append(-angle if str(gps.get(side, "")).startswith(negative) else angle)
    try:
        return Position(*found)
    except ValueError as error:
        raise NoPose(f"its EXIF position is none: {error}") from error


def _lens(
    named: dict[str, str], shot: dict[int, object], model: str, width_px: int, height_px: int
) -> tuple[LensModel | None, float, float]:
    """Return (calibrated lens or None, horizontal field of view, error of the focal length)."""
    dewarp = _dewarp(named.get("DewarpData", ""), width_px, height_px)
    if dewarp is not None:
        return dewarp, degrees(2.0 * atan(width_px / 2.0 / dewarp.focal_px)), 0.002
    film_mm = _positive(shot.get(ExifTags.Base.FocalLengthIn35mmFilm))
    focal_mm = _positive(shot.get(ExifTags.Base.FocalLength))
    if film_mm is not None:
        hfov_deg = degrees(2.0 * atan(FILM_WIDTH_MM / 2.0 / film_mm))
    elif focal_mm is not None and model in SENSOR_WIDTH_MM:
        hfov_deg = degrees(2.0 * atan(SENSOR_WIDTH_MM[model] / 2.0 / focal_mm))
    else:
        raise NoPose(
            f"neither DewarpData nor FocalLengthIn35mmFilm says how wide the lens of {model!r} sees"
        )
    return None, hfov_deg, UNCALIBRATED_FOCAL_SHARE


def _positive(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if isfinite(number) and number > 0.0 else None


def _dewarp(text: str, width_px: int, height_px: int) -> LensModel | None:
    """Read `date;fx,fy,cx,cy,k1,k2,p1,p2,k3`: cx, cy are off the picture's centre."""
    try:
        numbers = [float(n) for n in text.partition(";")[2].split(",")]
    except ValueError:
        return None
    if len(numbers) != 9 or not all(isfinite(n) for n in numbers) or numbers[0] <= 0.0:
        return None
    focal_px, _, off_u, off_v, k1, k2, p1, p2, k3 = numbers
    centre = (width_px / 2.0 + off_u, height_px / 2.0 + off_v)
    return LensModel(width_px, focal_px, *centre, k1, k2, p1, p2, k3)


def _taken_at(shot: dict[int, object]) -> datetime:
    """Return the camera's own clock, which EXIF gives without a zone: taken as UTC."""
    text = str(shot.get(ExifTags.Base.DateTimeOriginal, ""))
    for form in ("%Y:%m:%d %H:%M:%S", "%Y-%m-%d %H:%M:%S"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise NoPose(f"its EXIF has no DateTimeOriginal, but {text!r}")
