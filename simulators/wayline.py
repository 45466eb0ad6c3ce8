"""What a dock reads out of a wayline file: wpmz/waylines.wpml inside a KMZ (DJI WPML).

Namespaces of every WPML revision are taken (1.0.2 in the documents, 1.0.6 in files in the field):
elements are matched by their local names.
"""

import io
import zipfile
import zlib
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from domain.place import Position

FILE_LIMIT_BYTES = 4 * 1024 * 1024
WAYPOINT_LIMIT = 5000
INSIDE = "wpmz/waylines.wpml"


@dataclass(frozen=True, slots=True)
class FilePoint:
    """One waypoint. `height_m` is above take-off unless the file says WGS84 (`ellipsoid`)."""

    position: Position
    height_m: float
    ellipsoid: bool
    speed_m_s: float
    pitch_deg: float
    hover_s: float


@dataclass(frozen=True, slots=True)
class FileWayline:
    takeoff_height_m: float
    transit_m_s: float
    rth_height_m: float
    go_home: bool
    points: tuple[FilePoint, ...]


def read_kmz(kmz: bytes) -> FileWayline:
    """Return the first wayline of the file. Raises ValueError saying what a dock would refuse."""
    try:
        with zipfile.ZipFile(io.BytesIO(kmz)) as archive:
            size = archive.getinfo(INSIDE).file_size
            if size > FILE_LIMIT_BYTES:
                raise ValueError(f"{INSIDE} has {size} bytes; the limit is {FILE_LIMIT_BYTES}")
            raw = archive.read(INSIDE)
    except (zipfile.BadZipFile, KeyError, zlib.error, EOFError) as error:
        raise ValueError(f"not a wayline file with {INSIDE}: {error}") from error
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
        raise ValueError(f"{INSIDE} declares entities; a wayline has none")
    try:
        root = ET.fromstring(raw)  # noqa: S314 - bounded above, and entities refused
    except ET.ParseError as error:
        raise ValueError(f"{INSIDE} is not XML: {error}") from error
    return _read(root)


def _read(root: ET.Element) -> FileWayline:
    folder = _find(root, "Folder")
    if folder is None:
        raise ValueError(f"{INSIDE} has no Folder")
    ellipsoid = _text(folder, "executeHeightMode", "relativeToStartPoint") == "WGS84"
    speed = _number(folder, "autoFlightSpeed", 10.0)
    points: list[FilePoint] = []
    pitch = -90.0
    for placemark in _all(folder, "Placemark"):
        pitch = _pitch(placemark, pitch)
        points.append(_point(placemark, ellipsoid, speed, pitch))
        if len(points) > WAYPOINT_LIMIT:
            raise ValueError(f"more than {WAYPOINT_LIMIT} waypoints")
    if not points:
        raise ValueError(f"{INSIDE} has no waypoints")
    return FileWayline(
        takeoff_height_m=_number(root, "takeOffSecurityHeight", 20.0),
        transit_m_s=_number(root, "globalTransitionalSpeed", 10.0),
        rth_height_m=_number(root, "globalRTHHeight", 60.0),
        go_home=_text(root, "finishAction", "goHome") == "goHome",
        points=tuple(points),
    )


def _point(placemark: ET.Element, ellipsoid: bool, speed_m_s: float, pitch_deg: float) -> FilePoint:
    coordinates = _text(placemark, "coordinates", "").split(",")
    if len(coordinates) < 2:
        raise ValueError("a Placemark without coordinates")
    position = Position(float(coordinates[1]), float(coordinates[0]))
    return FilePoint(
        position=position,
        height_m=_number(placemark, "executeHeight", 60.0),
        ellipsoid=ellipsoid,
        speed_m_s=_number(placemark, "waypointSpeed", speed_m_s),
        pitch_deg=pitch_deg,
        hover_s=_hover_s(placemark),
    )


def _pitch(placemark: ET.Element, standing_deg: float) -> float:
    """A gimbal stays where the last gimbalRotate, or the waypoint's own heading, put it."""
    for action in _all(placemark, "action"):
        if _text(action, "actionActuatorFunc", "") == "gimbalRotate":
            standing_deg = _number(action, "gimbalPitchRotateAngle", standing_deg)
    return standing_deg


def _hover_s(placemark: ET.Element) -> float:
    return sum(
        _number(action, "hoverTime", 0.0)
        for action in _all(placemark, "action")
        if _text(action, "actionActuatorFunc", "") == "hover"
    )


def _all(element: ET.Element, name: str) -> list[ET.Element]:
    return [e for e in element.iter() if e.tag.rpartition("}")[2] == name]


def _find(element: ET.Element, name: str) -> ET.Element | None:
    for e in element.iter():
        if e.tag.rpartition("}")[2] == name:
            return e
    return None


def _text(element: ET.Element, name: str, default: str) -> str:
    found = _find(element, name)
    return default if found is None or found.text is None else found.text.strip()


def _number(element: ET.Element, name: str, default: float) -> float:
    text = _text(element, name, "")
    if not text:
        return default
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name} must be a number, got {text!r}") from None
