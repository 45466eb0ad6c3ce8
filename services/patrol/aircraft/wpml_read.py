"""A DJI KMZ opened without trusting it, written again without loss, and read as waypoints.

Whatever is not known here is kept: elements of any namespace, attributes, text, and the files
beside the two documents (`wpmz/res/`). Limits stand for zip bombs; a document that declares
entities is refused, whatever its encoding.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree as ET
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from domain.place import Position

TEMPLATE, WAYLINES = "wpmz/template.kml", "wpmz/waylines.wpml"
KML = "http://www.opengis.net/kml/2.2"
WPML_STEM = "http://www.dji.com/wpmz/"
KMZ_LIMIT_BYTES = 16 * 1024 * 1024
MEMBER_LIMIT_BYTES = 32 * 1024 * 1024
TOTAL_LIMIT_BYTES = 64 * 1024 * 1024
MEMBERS_LIMIT = 512
ELEMENTS_LIMIT = 1_000_000
DEPTH_LIMIT = 32
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class BadKmz(ValueError):
    """Not a wayline file: `where` it is wrong, the value found, and what is allowed."""

    def __init__(self, where: str, value: str, allowed: str) -> None:
        super().__init__(f"{where}: found {value}, must be {allowed}")
        self.where, self.value, self.allowed = where, value, allowed


@dataclass(frozen=True, slots=True)
class WaylineFile:
    """Both documents as trees, and every other member by its name."""

    template: ET.Element
    waylines: ET.Element
    others: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class FilePoint:
    """One waypoint; `height_m` counts from what the route's `height_mode` says."""

    position: Position
    height_m: float
    speed_m_s: float
    gimbal_pitch_deg: float
    yaw_deg: float | None
    hover_s: float
    turn_mode: str
    damping_m: float


@dataclass(frozen=True, slots=True)
class FileRoute:
    """One Folder of waylines.wpml: a route the dock can execute."""

    wayline_id: int
    height_mode: str
    points: tuple[FilePoint, ...]


def open_kmz(data: bytes) -> WaylineFile:
    """Open a KMZ within the limits. Raises BadKmz."""
    if len(data) > KMZ_LIMIT_BYTES:
        raise BadKmz("the file", f"{len(data)} bytes", f"at most {KMZ_LIMIT_BYTES} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = _members(archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise BadKmz("the file", str(error) or type(error).__name__, "a zip archive") from error
    except (UnicodeDecodeError, ValueError) as error:
        if isinstance(error, BadKmz):
            raise
        raise BadKmz("the file", str(error), "a zip archive") from error
    trees = {}
    for name in (TEMPLATE, WAYLINES):
        if name not in members:
            raise BadKmz("the file", f"no member {name}", f"both {TEMPLATE} and {WAYLINES}")
        trees[name] = parse(members.pop(name), name)
    return WaylineFile(trees[TEMPLATE], trees[WAYLINES], members)


def _members(archive: zipfile.ZipFile) -> dict[str, bytes]:
    infos = archive.infolist()
    if len(infos) > MEMBERS_LIMIT:
        raise BadKmz("the file", f"{len(infos)} members", f"at most {MEMBERS_LIMIT}")
    members: dict[str, bytes] = {}
    left = TOTAL_LIMIT_BYTES
    for info in infos:
        name = info.filename
        if info.is_dir():
            continue
        _refuse_odd(info, name in members)
        limit = min(left, MEMBER_LIMIT_BYTES)
        # What the header says of the size is not believed: no more than the limit is unpacked.
        with archive.open(info) as member:
            content = member.read(limit + 1)
        if len(content) > limit:
            raise BadKmz(name, f"more than {limit} bytes unpacked", f"at most {limit} bytes")
        left -= len(content)
        members[name] = content
    return members


def _refuse_odd(info: zipfile.ZipInfo, again: bool) -> None:
    name = info.filename
    steps = name.split("/")
    if not name.startswith("wpmz/") or ".." in steps or "\\" in name:
        raise BadKmz(name, "a member outside wpmz/", "a path below wpmz/")
    if again:
        raise BadKmz(name, "the same name twice", "one member of each name")
    if info.flag_bits & _ENCRYPTED:
        raise BadKmz(name, "an encrypted member", "an open one")
    if info.compress_type not in _METHODS:
        raise BadKmz(name, f"zip method {info.compress_type}", "stored (0) or deflated (8)")


def parse(raw: bytes, name: str) -> ET.Element:
    """Return a document's root. Raises BadKmz for entities, too much depth and what is no XML."""
    _walk_safely(raw, name)
    try:
        return ET.fromstring(raw)  # noqa: S314 - no document type, bounded depth: checked above
    except (ET.ParseError, ValueError) as error:
        raise BadKmz(name, str(error), "well-formed XML") from error


def _walk_safely(raw: bytes, name: str) -> None:
    """Let expat itself say whether there is a document type: it knows every encoding."""
    depth = elements = 0

    def doctype(*_: object) -> None:
        raise BadKmz(name, "a document type or entities", "plain elements without DOCTYPE")

    def opened(*_: object) -> None:
        nonlocal depth, elements
        depth, elements = depth + 1, elements + 1
        if depth > DEPTH_LIMIT or elements > ELEMENTS_LIMIT:
            limits = f"at most {DEPTH_LIMIT} levels and {ELEMENTS_LIMIT} elements"
            raise BadKmz(name, f"{elements} elements, {depth} levels deep", limits)

    def closed(_: str) -> None:
        nonlocal depth
        depth -= 1

    walker = expat.ParserCreate()
    walker.StartDoctypeDeclHandler = doctype
    walker.StartElementHandler = opened
    walker.EndElementHandler = closed
    try:
        walker.Parse(raw, True)
    except (expat.ExpatError, LookupError) as error:
        raise BadKmz(name, str(error), "well-formed XML") from error


def packed(file: WaylineFile) -> bytes:
    """Return the file as a KMZ; the same trees give the same bytes."""
    documents = {TEMPLATE: text_of(file.template), WAYLINES: text_of(file.waylines)}
    return zipped({name: text.encode() for name, text in documents.items()} | file.others)


def zipped(members: dict[str, bytes]) -> bytes:
    """Return members as a zip whose bytes depend on nothing else."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return out.getvalue()


def text_of(root: ET.Element) -> str:
    """Return a tree as XML: KML without prefix, WPML as `wpml:`, others declared where they are."""
    wpml = next((n for n in map(namespace, root.iter()) if n.startswith(WPML_STEM)), None)
    known = {wpml: "wpml"} if wpml is not None else {}
    declared = f' xmlns:wpml="{wpml}"' if wpml is not None else ""
    head = '<?xml version="1.0" encoding="UTF-8"?>\n'
    return head + "".join(_written(root, "", known, declared)) + "\n"


def _written(
    element: ET.Element, default: str, known: dict[str, str], declared: str
) -> Iterator[str]:
    space, name = namespace(element), local(element)
    prefix = known.get(space, "")
    if prefix:
        name = f"{prefix}:{name}"
    elif space != default:
        declared += f" xmlns={quoteattr(space)}"
        default = space
    for key, value in element.attrib.items():
        declared += _attribute(key, value)
    yield f"<{name}{declared}"
    if element.text is None and len(element) == 0:
        yield "/>"
    else:
        yield f">{_escaped(element.text)}"
        for child in element:
            yield from _written(child, default, known, "")
        yield f"</{name}>"
    yield _escaped(element.tail) if element.tail else ""


def _attribute(key: str, value: str) -> str:
    if not key.startswith("{"):
        return f" {key}={quoteattr(value)}"
    space, _, name = key[1:].rpartition("}")
    if space == "http://www.w3.org/XML/1998/namespace":
        return f" xml:{name}={quoteattr(value)}"
    # A name of its own for each: two attributes may come from two namespaces.
    prefix = f"n{zlib.crc32(space.encode()):x}"
    return f" xmlns:{prefix}={quoteattr(space)} {prefix}:{name}={quoteattr(value)}"


def _escaped(text: str | None) -> str:
    # A carriage return written as itself would be read as a line feed.
    return escape(text or "", {"\r": "&#13;"})


def same(a: ET.Element, b: ET.Element) -> bool:
    """Tell whether two trees say the same: names, attributes, trimmed text, order of children."""
    if a.tag != b.tag or a.attrib != b.attrib or len(a) != len(b):
        return False
    if (a.text or "").strip() != (b.text or "").strip():
        return False
    return all(
        same(x, y) and (x.tail or "").strip() == (y.tail or "").strip()
        for x, y in zip(a, b, strict=True)
    )


def local(element: ET.Element) -> str:
    """Return an element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def namespace(element: ET.Element) -> str:
    """Return an element's namespace, empty if it has none."""
    return element.tag[1:].rpartition("}")[0] if element.tag.startswith("{") else ""


def child(element: ET.Element, name: str) -> ET.Element | None:
    """Return the first direct child of that local name."""
    return next((e for e in element if local(e) == name), None)


def children(element: ET.Element, name: str) -> list[ET.Element]:
    """Return the direct children of that local name."""
    return [e for e in element if local(e) == name]


def text(element: ET.Element, name: str) -> str | None:
    """Return the trimmed text of a direct child; None where it is missing or empty."""
    found = child(element, name)
    return (found.text or "").strip() or None if found is not None else None


def folders(root: ET.Element) -> list[ET.Element]:
    """Return a document's Folders."""
    document = child(root, "Document")
    return [] if document is None else children(document, "Folder")


def routes(file: WaylineFile) -> tuple[FileRoute, ...]:
    """Return what waylines.wpml says to fly. Raises ValueError for a value that is no number."""
    return tuple(_route(folder) for folder in folders(file.waylines))


def _route(folder: ET.Element) -> FileRoute:
    auto_m_s = _number(folder, "autoFlightSpeed", 0.0)
    pitch_deg = 0.0
    points = []
    for place in children(folder, "Placemark"):
        hover_s = 0.0
        for function, params in actions(place):
            if function == "gimbalRotate" and text(params, "gimbalPitchRotateEnable") != "0":
                pitch_deg = _number(params, "gimbalPitchRotateAngle", pitch_deg)
            elif function == "hover":
                hover_s += _number(params, "hoverTime", 0.0)
        points.append(_point(place, auto_m_s, pitch_deg, hover_s))
    mode = text(folder, "executeHeightMode") or "relativeToStartPoint"
    return FileRoute(int(_number(folder, "waylineId", 0.0)), mode, tuple(points))


def _point(place: ET.Element, auto_m_s: float, pitch_deg: float, hover_s: float) -> FilePoint:
    lon_deg, lat_deg = coordinates(place)
    heading, turn = child(place, "waypointHeadingParam"), child(place, "waypointTurnParam")
    return FilePoint(
        position=Position(lat_deg, lon_deg),
        height_m=_number(place, "executeHeight", 0.0),
        speed_m_s=_number(place, "waypointSpeed", auto_m_s),
        gimbal_pitch_deg=pitch_deg,
        yaw_deg=_yaw(heading),
        hover_s=hover_s,
        turn_mode=(text(turn, "waypointTurnMode") or "") if turn is not None else "",
        damping_m=_number(turn, "waypointTurnDampingDist", 0.0) if turn is not None else 0.0,
    )


def _yaw(heading: ET.Element | None) -> float | None:
    """A heading of the waypoint's own; None along the path."""
    if heading is None or text(heading, "waypointHeadingMode") != "smoothTransition":
        return None
    return _number(heading, "waypointHeadingAngle", 0.0)


def actions(place: ET.Element) -> Iterator[tuple[str, ET.Element]]:
    """Yield (function, its parameters) of each action of a Placemark, in order."""
    for group in children(place, "actionGroup"):
        for action in children(group, "action"):
            params = child(action, "actionActuatorFuncParam")
            if params is not None:
                yield text(action, "actionActuatorFunc") or "", params


def coordinates(place: ET.Element) -> tuple[float, float]:
    """Return (lon_deg, lat_deg) of a Placemark's Point. Raises ValueError."""
    point = child(place, "Point")
    found = (text(point, "coordinates") if point is not None else None) or ""
    try:
        lon, lat = found.split(",")[:2]
        return float(lon), float(lat)
    except ValueError:
        raise ValueError(f"Point/coordinates must be lon,lat, got {found!r}") from None


def _number(element: ET.Element, name: str, default: float) -> float:
    found = text(element, name)
    if found is None:
        return default
    try:
        return float(found)
    except ValueError:
        raise ValueError(f"{name} must be a number, got {found!r}") from None
