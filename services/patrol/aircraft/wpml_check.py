"""Every fault of a DJI wayline file, so that none is found first by a dock: `check`.

Each element against `wpml_rules`, and what one element asks of another: conditional elements,
indices, turns that fit their legs, action groups, both documents of one mind.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, pairwise
from xml.etree import ElementTree as ET

from domain.place import Position
from geo.frames import LocalFrame
from services.patrol.aircraft.fault import Fault
from services.patrol.aircraft.wpml_read import (
    KML,
    TEMPLATE,
    WAYLINES,
    WPML_STEM,
    BadKmz,
    WaylineFile,
    actions,
    child,
    children,
    coordinates,
    folders,
    local,
    namespace,
    open_kmz,
    text,
)
from services.patrol.aircraft.wpml_rules import RULES, Rule

FAULTS_LIMIT = 1000
DOCK_LOWEST_TAKE_OFF_M = 8.0
LEG_LIMIT_M = 50_000.0
"""A longer leg is a slip of a coordinate: no aircraft of these flies so far from its dock."""
CURVED = ("toPointAndStopWithContinuityCurvature", "toPointAndPassWithContinuityCurvature")
PASSES = "toPointAndPassWithContinuityCurvature"
COORDINATE_TURN = "coordinateTurn"
SEVERAL_LENSES = ("67", "91", "99", "100")
"""droneEnumValue of M30, M3D, M4 and M4D: the reference asks these for payloadLensIndex."""
_KML_NAMES = (
    "kml", "Document", "Folder", "Placemark", "Point", "coordinates", "Polygon", "outerBoundaryIs",
    "LinearRing", "LineString",
)  # fmt: skip


def check(data: bytes, dock: bool = True) -> list[Fault]:
    """Return the faults of a KMZ, at most FAULTS_LIMIT; none means that a dock can execute it.

    `dock` False takes what only a remote control's aircraft may do (a lower safe take-off).
    """
    try:
        file = open_kmz(data)
    except BadKmz as bad:
        return [Fault(bad.where, "-", bad.value, bad.allowed)]
    return list(islice(_faults(file, dock), FAULTS_LIMIT))


def _faults(file: WaylineFile, dock: bool) -> Iterator[Fault]:
    for name, root in ((TEMPLATE, file.template), (WAYLINES, file.waylines)):
        yield from _names(name, root)
        yield from _config(name, root, dock)
        yield from _lenses(name, root)
        if not folders(root):
            yield Fault(name, "Folder", "missing", "at least one")
    yield from _ids(TEMPLATE, file.template, "templateId")
    yield from _ids(WAYLINES, file.waylines, "waylineId")
    for i, folder in enumerate(folders(file.template)):
        yield from _template(f"{TEMPLATE} Folder {i}", folder)
    for i, folder in enumerate(folders(file.waylines)):
        yield from _wayline(f"{WAYLINES} Folder {i}", folder)
    yield from _one_mind(file)


def _names(name: str, root: ET.Element) -> Iterator[Fault]:
    """Names are matched without their namespace, so the namespaces are looked at here."""
    if root.tag != f"{{{KML}}}kml":
        yield Fault(name, "root", root.tag, f"kml of {KML}")
    spaces = {namespace(e) for e in root.iter() if local(e) not in _KML_NAMES}
    if any(space in ("", KML) for space in spaces):
        bare = (e for e in root.iter() if local(e) not in _KML_NAMES and namespace(e) in ("", KML))
        yield Fault(name, local(next(bare)), "in no WPML namespace", f"{WPML_STEM}1.0.x")
    # Elements of a third namespace are kept and not judged; but one must be WPML.
    if not any(space.startswith(WPML_STEM) for space in spaces):
        yield Fault(name, "xmlns:wpml", "no WPML namespace", f"{WPML_STEM}1.0.x")
    if len({s for s in spaces if s.startswith(WPML_STEM)}) > 1:
        yield Fault(name, "xmlns:wpml", "two WPML namespaces", "one")


def _apply(where: str, element: ET.Element, section: str) -> Iterator[Fault]:
    """Hold an element's children against a section's rules."""
    for rule in RULES[section]:
        found = children(element, rule.name)
        if len(found) > 1:
            yield Fault(where, rule.name, f"there {len(found)} times", "once")
        value = text(element, rule.name)
        if value is None:
            if rule.required:
                yield Fault(where, rule.name, "missing", rule.allowed)
        elif not rule.fits(value):
            yield Fault(where, rule.name, value, rule.allowed)


def _part(where: str, element: ET.Element, name: str, required: bool = True) -> Iterator[Fault]:
    """Hold a part that has a section of its own name against it."""
    found = child(element, name)
    if found is None:
        if required:
            yield Fault(where, name, "missing", "the element with its parts")
        return
    yield from _apply(f"{where} {name}", found, name)


def _needs(where: str, element: ET.Element, name: str, why: str, allowed: str) -> Iterator[Fault]:
    if text(element, name) is None:
        yield Fault(where, name, f"missing, {why}", allowed)


def _config(name: str, root: ET.Element, dock: bool) -> Iterator[Fault]:
    document = child(root, "Document")
    config = None if document is None else child(document, "missionConfig")
    if config is None:
        yield Fault(name, "missionConfig", "missing", "the element with its parts")
        return
    where = f"{name} missionConfig"
    yield from _apply(where, config, "missionConfig")
    if name == WAYLINES:
        yield from _apply(where, config, "missionConfig of waylines.wpml")
    if text(config, "exitOnRCLost") == "executeLostAction":
        yield from _needs(
            where, config, "executeRCLostAction", "with exitOnRCLost executeLostAction",
            "goBack | landing | hover",
        )  # fmt: skip
    height = _float(text(config, "takeOffSecurityHeight"))
    if dock and height is not None and 0.0 < height < DOCK_LOWEST_TAKE_OFF_M:
        value = text(config, "takeOffSecurityHeight") or ""
        yield Fault(where, "takeOffSecurityHeight", value, "[8, 1500] m from a dock")
    for part in ("droneInfo", "payloadInfo"):
        yield from _part(where, config, part)
    yield from _part(where, config, "autoRerouteInfo", required=False)
    drone = child(config, "droneInfo")
    if drone is not None and text(drone, "droneEnumValue") == "67":
        yield from _needs(where, drone, "droneSubEnumValue", "with droneEnumValue 67", "0 | 1")


def _ids(name: str, root: ET.Element, element: str) -> Iterator[Fault]:
    yield from _unique(name, element, folders(root), "unique within the file")


def _unique(
    where: str, element: str, holders: Iterable[ET.Element], allowed: str
) -> Iterator[Fault]:
    for value, times in Counter(text(holder, element) for holder in holders).items():
        if value is not None and times > 1:
            yield Fault(where, element, f"{value}, {times} times", allowed)


def _wayline(where: str, folder: ET.Element) -> Iterator[Fault]:
    yield from _apply(where, folder, "waylines Folder")
    places = children(folder, "Placemark")
    if len(places) < 2:
        yield Fault(where, "Placemark", f"{len(places)} waypoints", "at least 2")
    yield from _contiguous(where, places)
    for i, place in enumerate(places):
        at = f"{where} Placemark {i}"
        yield from _apply(at, place, "waylines Placemark")
        yield from _position(at, place)
        yield from _heading(at, child(place, "waypointHeadingParam"))
        yield from _turn(at, place, i in (0, len(places) - 1))
        yield from _part(at, place, "waypointGimbalHeadingParam", required=False)
    groups = [g for p in places for g in children(p, "actionGroup")]
    yield from _groups(where, groups, len(places))
    start = child(folder, "startActionGroup")
    if start is not None:
        yield from _actions(f"{where} startActionGroup", start)
    yield from _legs(where, places)


def _contiguous(where: str, places: Sequence[ET.Element]) -> Iterator[Fault]:
    for i, place in enumerate(places):
        value = text(place, "index")
        if value is not None and value != str(i):
            yield Fault(f"{where} Placemark {i}", "index", value, f"{i}: from 0 without a gap")


def _position(where: str, place: ET.Element) -> Iterator[Fault]:
    try:
        lon, lat = coordinates(place)
    except ValueError:
        point = child(place, "Point")
        found = text(point, "coordinates") if point is not None else None
        yield Fault(where, "Point/coordinates", found or "missing", '"longitude,latitude"')
        return
    value = f"{lon:g},{lat:g}"
    if not (abs(lon) <= 180.0 and abs(lat) <= 90.0):
        hint = " (latitude first?)" if abs(lat) > 90.0 >= abs(lon) else ""
        yield Fault(where, "Point/coordinates", value + hint, "lon [-180, 180], lat [-90, 90] deg")
    elif lon == 0.0 and lat == 0.0:
        yield Fault(where, "Point/coordinates", value, "a place; 0,0 is what no fix looks like")


def _heading(where: str, heading: ET.Element | None) -> Iterator[Fault]:
    if heading is None:
        yield Fault(where, "waypointHeadingParam", "missing", "the element with its parts")
        return
    where = f"{where} {local(heading)}"
    yield from _apply(where, heading, "waypointHeadingParam")
    mode = text(heading, "waypointHeadingMode")
    if mode == "smoothTransition":
        yield from _needs(
            where, heading, "waypointHeadingAngle", f"with {mode}", "[-180, 180] deg"
        )
    if mode == "towardPOI":
        allowed = '"latitude,longitude,height"'
        yield from _needs(where, heading, "waypointPoiPoint", f"with {mode}", allowed)


def _turn(where: str, place: ET.Element, at_end: bool) -> Iterator[Fault]:
    turn = child(place, "waypointTurnParam")
    yield from _part(where, place, "waypointTurnParam")
    if turn is None:
        return
    mode, straight = text(turn, "waypointTurnMode"), text(place, "useStraightLine")
    if mode in CURVED:
        yield from _needs(where, place, "useStraightLine", f"with {mode}", "0 or 1")
    if mode == COORDINATE_TURN and at_end:
        yield Fault(where, "waypointTurnMode", mode, "no coordinateTurn at the first or last point")
    if mode == COORDINATE_TURN or (mode == PASSES and straight == "1"):
        damping = _float(text(turn, "waypointTurnDampingDist"))
        if damping is None or damping <= 0.0:
            value = text(turn, "waypointTurnDampingDist") or "missing"
            allowed = f"(0, the leg] m with {mode}"
            yield Fault(f"{where} waypointTurnParam", "waypointTurnDampingDist", value, allowed)


def _legs(where: str, places: Sequence[ET.Element]) -> Iterator[Fault]:
    """Legs no aircraft flies, and corners that take more of a leg than there is."""
    points = _points(places)
    if points is None:
        return
    frame = LocalFrame(Position(points[0][1], points[0][0]))
    local_m = [(*frame.to_local(lat, lon), height) for lon, lat, height in points]
    reach_m = [_reach_m(place) for place in places]
    for i, (a, b) in enumerate(pairwise(local_m)):
        leg_m, at = math.dist(a, b), f"{where} Placemark {i} to {i + 1}"
        if leg_m > LEG_LIMIT_M:
            yield Fault(at, "Point/coordinates", f"a leg of {leg_m:.0f} m", f"<= {LEG_LIMIT_M:g} m")
        both_m = reach_m[i] + reach_m[i + 1]
        if both_m > 0.0 and both_m >= leg_m:
            value = f"{reach_m[i]:g} + {reach_m[i + 1]:g} m"
            allowed = f"together below the leg, {leg_m:.2f} m"
            yield Fault(at, "waypointTurnDampingDist", value, allowed)


def _points(places: Sequence[ET.Element]) -> list[tuple[float, float, float]] | None:
    """Return (lon, lat, height) of all places; None where one cannot be read or is nowhere."""
    points = []
    for place in places:
        try:
            lon, lat = coordinates(place)
        except ValueError:
            return None
        height = _float(text(place, "executeHeight"))
        if height is None or not (abs(lon) <= 180.0 and abs(lat) <= 90.0):
            return None
        points.append((lon, lat, height))
    return points or None


def _reach_m(place: ET.Element) -> float:
    turn = child(place, "waypointTurnParam")
    if turn is None or text(turn, "waypointTurnMode") not in (COORDINATE_TURN, PASSES):
        return 0.0
    return _float(text(turn, "waypointTurnDampingDist")) or 0.0


def _groups(where: str, groups: Sequence[ET.Element], count: int) -> Iterator[Fault]:
    yield from _unique(where, "actionGroupId", groups, "unique within the wayline")
    for i, group in enumerate(groups):
        at = f"{where} actionGroup {text(group, 'actionGroupId') or i}"
        yield from _apply(at, group, "actionGroup")
        start = _float(text(group, "actionGroupStartIndex"))
        end = _float(text(group, "actionGroupEndIndex"))
        if start is not None and end is not None and not start <= end < max(1, count):
            allowed = f"start <= end <= {count - 1}"
            yield Fault(at, "actionGroupStartIndex..EndIndex", f"{start:g}..{end:g}", allowed)
        yield from _actions(at, group)


def _actions(where: str, group: ET.Element) -> Iterator[Fault]:
    trigger = child(group, "actionTrigger")
    kind = text(trigger, "actionTriggerType") if trigger is not None else None
    yield from _part(where, group, "actionTrigger", local(group) == "actionGroup")
    if trigger is not None and kind in ("multipleTiming", "multipleDistance"):
        unit = "s" if kind == "multipleTiming" else "m"
        yield from _needs(where, trigger, "actionTriggerParam", f"with {kind}", f"> 0 {unit}")
    found = children(group, "action")
    if not found:
        yield Fault(where, "action", "missing", "at least one")
    yield from _unique(where, "actionId", found, "unique within the group")
    for i, action in enumerate(found):
        at = f"{where} action {text(action, 'actionId') or i}"
        yield from _apply(at, action, "action")
        yield from _action(at, action, kind)


def _action(where: str, action: ET.Element, trigger: str | None) -> Iterator[Fault]:
    function = text(action, "actionActuatorFunc") or ""
    params = child(action, "actionActuatorFuncParam")
    if function == "gimbalEvenlyRotate" and trigger not in (None, "betweenAdjacentPoints"):
        allowed = "betweenAdjacentPoints with gimbalEvenlyRotate"
        yield Fault(where, "actionTriggerType", trigger or "", allowed)
    section = f"action {function}"
    if section not in RULES:
        return
    if params is None:
        yield Fault(where, "actionActuatorFuncParam", "missing", f"the parameters of {function}")
        return
    yield from _apply(f"{where} {function}", params, section)
    if function == "focus" and text(params, "isPointFocus") == "0":
        for side in ("focusRegionWidth", "focusRegionHeight"):
            yield from _needs(where, params, side, "with isPointFocus 0", "[0, 1]")


def _lenses(name: str, root: ET.Element) -> Iterator[Fault]:
    """An aircraft with several lenses is told which one, by the action or by the template."""
    if _configured(root, "droneInfo", "droneEnumValue") not in SEVERAL_LENSES:
        return
    for i, folder in enumerate(folders(root)):
        for j, place in enumerate(children(folder, "Placemark")):
            for function, params in actions(place):
                own = text(params, "useGlobalPayloadLensIndex") == "0"
                if own and function in ("takePhoto", "startRecord"):
                    where = f"{name} Folder {i} Placemark {j} {function}"
                    why, allowed = "with useGlobalPayloadLensIndex 0", "wide | zoom | ir | visible"
                    yield from _needs(where, params, "payloadLensIndex", why, allowed)


def _template(where: str, folder: ET.Element) -> Iterator[Fault]:
    yield from _apply(where, folder, "template Folder")
    yield from _part(where, folder, "waylineCoordinateSysParam")
    yield from _part(where, folder, "payloadParam", required=False)
    kind = text(folder, "templateType") or ""
    places = children(folder, "Placemark")
    if not places:
        yield Fault(where, "Placemark", "missing", "at least one")
    if kind == "waypoint":
        yield from _waypoint_template(where, folder, places)
        return
    for i, place in enumerate(places):
        at = f"{where} Placemark {i}"
        if f"template Placemark {kind}" in RULES:
            yield from _apply(at, place, f"template Placemark {kind}")
        yield from _part(at, place, "overlap", required=kind in ("mapping2d", "mapping3d"))
        yield from _outline(at, place, kind)


def _waypoint_template(
    where: str, folder: ET.Element, places: Sequence[ET.Element]
) -> Iterator[Fault]:
    yield from _apply(where, folder, "template Folder waypoint")
    yield from _heading(where, child(folder, "globalWaypointHeadingParam"))
    if text(folder, "globalWaypointTurnMode") in CURVED:
        why = f"with {text(folder, 'globalWaypointTurnMode')}"
        yield from _needs(where, folder, "globalUseStraightLine", why, "0 or 1")
    yield from _contiguous(where, places)
    by_point = text(folder, "gimbalPitchMode") == "usePointSetting"
    for i, place in enumerate(places):
        at = f"{where} Placemark {i}"
        yield from _apply(at, place, "template Placemark waypoint")
        yield from _position(at, place)
        for flag, own in (
            ("useGlobalHeight", "height"), ("useGlobalHeight", "ellipsoidHeight"),
            ("useGlobalSpeed", "waypointSpeed"),
        ):  # fmt: skip
            if text(place, flag) == "0":
                yield from _needs(at, place, own, f"with {flag} 0", "a number")
        if text(place, "useGlobalHeadingParam") == "0":
            yield from _heading(at, child(place, "waypointHeadingParam"))
        if text(place, "useGlobalTurnParam") == "0":
            yield from _turn(at, place, i in (0, len(places) - 1))
        if by_point:
            why = "with gimbalPitchMode usePointSetting"
            yield from _needs(at, place, "gimbalPitchAngle", why, "[-120, 90] deg")
    yield from _groups(where, [g for p in places for g in children(p, "actionGroup")], len(places))


def _outline(where: str, place: ET.Element, kind: str) -> Iterator[Fault]:
    wanted = "LineString" if kind == "mappingStrip" else "Polygon"
    least = 2 if kind == "mappingStrip" else 3
    outline = child(place, wanted)
    found = None if outline is None else next(outline.iter(f"{{{KML}}}coordinates"), None)
    if found is None:
        yield Fault(where, wanted, "missing", "the outline with its coordinates")
        return
    corners = (found.text or "").split()
    if len(corners) < least:
        yield Fault(where, wanted, f"{len(corners)} corners", f"at least {least}")
    fits = Rule("coordinates", True, "latlonalt", "")
    for corner in corners:
        lon, _, rest = corner.partition(",")
        lat, _, height = rest.partition(",")
        if not fits.fits(f"{lat},{lon},{height or '0'}"):
            yield Fault(where, f"{wanted} coordinates", corner, '"longitude,latitude,height"')


def _one_mind(file: WaylineFile) -> Iterator[Fault]:
    """The template and the wayline are of one aircraft and one set of templates."""
    templates = {text(f, "templateId") for f in folders(file.template)}
    for i, folder in enumerate(folders(file.waylines)):
        of = text(folder, "templateId")
        if of is not None and of not in templates:
            allowed = f"one of template.kml's: {_listed(templates)}"
            yield Fault(f"{WAYLINES} Folder {i}", "templateId", of, allowed)
    for part, element in (("droneInfo", "droneEnumValue"), ("payloadInfo", "payloadEnumValue")):
        both = [_configured(root, part, element) for root in (file.template, file.waylines)]
        if None not in both and both[0] != both[1]:
            yield Fault(WAYLINES, element, str(both[1]), f"{both[0]}, as in template.kml")


def _configured(root: ET.Element, part: str, element: str) -> str | None:
    found: ET.Element | None = root
    for name in ("Document", "missionConfig", part):
        found = None if found is None else child(found, name)
    return None if found is None else text(found, element)


def _listed(values: Iterable[str | None]) -> str:
    return ", ".join(sorted(v for v in values if v is not None)) or "none"


def _float(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None
