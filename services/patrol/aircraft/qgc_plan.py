"""QGroundControl .plan files: written with SimpleItems, read, and checked.

Format: QGroundControl developer guide, "Plan File Format" (fileType Plan 1, mission 2, geoFence 2,
rallyPoints 2). SimpleItems only are written: every ground station reads them.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from domain.place import Airspace, Position
from services.patrol.aircraft.fault import Fault
from services.patrol.aircraft.mission_items import (
    ABSOLUTE,
    ABSOLUTE_INT,
    CIRCLE_KEEP_IN,
    CIRCLE_KEEP_OUT,
    FENCE_KEEP_IN,
    FENCE_KEEP_OUT,
    ITEMS_LIMIT,
    JUMP,
    NAN,
    PLACED_FRAMES,
    RALLY,
    RELATIVE,
    RELATIVE_INT,
    MissionItem,
)

PLAN_LIMIT_BYTES = 16 * 1024 * 1024
FAULTS_LIMIT = 1000
PX4, ARDUPILOT, MULTICOPTER = 12, 3, 2
ALTITUDE_MODES = {RELATIVE: 1, ABSOLUTE: 2, 10: 3}
"""Frame of a SimpleItem → QGroundControl's AltitudeMode."""
TO_TEXT_FRAME = {RELATIVE_INT: RELATIVE, ABSOLUTE_INT: ABSOLUTE, 11: 10}
TO_WIRE_FRAME = {text: wire for wire, text in TO_TEXT_FRAME.items()}
FRAMES = (0, 2, 3, 5, 6, 10, 11)
TOP = '{"fileType": "Plan", "version": 1, ...}'


class BadPlan(ValueError):
    """Not a plan that can be read; the text says where and how to mend it."""


@dataclass(frozen=True, slots=True)
class FencePolygon:
    """Ground to stay in (`keep_in`) or out of; corners in order, not closed."""

    corners: tuple[Position, ...]
    keep_in: bool


@dataclass(frozen=True, slots=True)
class FenceCircle:
    """A circle to stay in or out of."""

    centre: Position
    radius_m: float
    keep_in: bool


@dataclass(frozen=True, slots=True)
class RallyPoint:
    """A place to come down at instead of home; height above home."""

    position: Position
    height_rel_m: float


@dataclass(frozen=True, slots=True)
class Plan:
    """A mission with its fence and rally points. `home_msl_m` is above the sea."""

    items: tuple[MissionItem, ...]
    home: Position
    home_msl_m: float = 0.0
    cruise_m_s: float = 15.0
    hover_m_s: float = 5.0
    firmware: int = PX4
    vehicle: int = MULTICOPTER
    polygons: tuple[FencePolygon, ...] = ()
    circles: tuple[FenceCircle, ...] = ()
    rally: tuple[RallyPoint, ...] = ()


def keep_out(airspaces: Sequence[Airspace]) -> tuple[FencePolygon, ...]:
    """Return closed ground as polygons to stay out of. A hole in an area is not opened."""
    return tuple(
        FencePolygon(tuple(Position(lat, lon) for lon, lat in rings[0][:-1]), keep_in=False)
        for airspace in airspaces
        for rings in airspace.area.polygons
    )


def fence_items(plan: Plan) -> tuple[MissionItem, ...]:
    """Return a plan's fence as MAVLink takes it (mission_type 1)."""
    items = []
    for fence in plan.polygons:
        command = FENCE_KEEP_IN if fence.keep_in else FENCE_KEEP_OUT
        corners = float(len(fence.corners))
        items += [
            MissionItem(command, ABSOLUTE_INT, corners, x=p.lat_deg, y=p.lon_deg)
            for p in fence.corners
        ]
    for circle in plan.circles:
        command = CIRCLE_KEEP_IN if circle.keep_in else CIRCLE_KEEP_OUT
        at = circle.centre
        items.append(
            MissionItem(command, ABSOLUTE_INT, circle.radius_m, x=at.lat_deg, y=at.lon_deg)
        )
    return tuple(items)


def rally_items(plan: Plan) -> tuple[MissionItem, ...]:
    """Return a plan's rally points as MAVLink takes them (mission_type 2)."""
    return tuple(
        MissionItem.of(RALLY, RELATIVE_INT, (0, 0, 0, 0, at.lat_deg, at.lon_deg, p.height_rel_m))
        for p in plan.rally
        for at in (p.position,)
    )


def plan_text(plan: Plan) -> str:
    """Return a plan as QGroundControl reads it."""
    home = [plan.home.lat_deg, plan.home.lon_deg, plan.home_msl_m]
    document = {
        "fileType": "Plan",
        "version": 1,
        "groundStation": "QGroundControl",
        "mission": {
            "version": 2,
            "firmwareType": plan.firmware,
            "vehicleType": plan.vehicle,
            "cruiseSpeed": plan.cruise_m_s,
            "hoverSpeed": plan.hover_m_s,
            "globalPlanAltitudeMode": 1,
            "plannedHomePosition": home,
            "items": [_simple_item(i, item) for i, item in enumerate(plan.items, 1)],
        },
        "geoFence": {
            "version": 2,
            "polygons": [
                {
                    "version": 1,
                    "inclusion": fence.keep_in,
                    "polygon": [[p.lat_deg, p.lon_deg] for p in fence.corners],
                }
                for fence in plan.polygons
            ],
            "circles": [
                {
                    "version": 1,
                    "inclusion": fence.keep_in,
                    "circle": {
                        "center": [fence.centre.lat_deg, fence.centre.lon_deg],
                        "radius": fence.radius_m,
                    },
                }
                for fence in plan.circles
            ],
        },
        "rallyPoints": {
            "version": 2,
            "points": [
                [p.position.lat_deg, p.position.lon_deg, p.height_rel_m] for p in plan.rally
            ],
        },
    }
    return json.dumps(document, indent=4, allow_nan=False) + "\n"


def _simple_item(number: int, item: MissionItem) -> dict[str, Any]:
    frame = TO_TEXT_FRAME.get(item.frame, item.frame)
    values = (item.p1, item.p2, item.p3, item.p4, item.x, item.y, item.z)
    plain: dict[str, Any] = {
        "type": "SimpleItem",
        "command": item.command,
        "frame": frame,
        "doJumpId": number,
        "autoContinue": item.autocontinue,
        "params": [None if math.isnan(v) else v for v in values],
    }
    if item.placed:
        height = 0.0 if math.isnan(item.z) else item.z
        plain |= {"Altitude": height, "AltitudeMode": ALTITUDE_MODES.get(frame, 1)}
        plain["AMSLAltAboveTerrain"] = None
    return plain


def read_plan(data: bytes) -> Plan:
    """Read a plan; the items of a survey are taken in its place. Raises BadPlan naming a fault."""
    document = _document(data)
    fault = next(_faults(document), None)
    if fault is not None:
        raise BadPlan(str(fault))
    mission, fence = document["mission"], document.get("geoFence", {})
    lat, lon, msl_m = (*mission["plannedHomePosition"], 0.0)[:3]
    return Plan(
        items=tuple(_item(plain) for _, plain in _simple_items(mission["items"])),
        home=Position(lat, lon),
        home_msl_m=float(msl_m or 0.0),
        cruise_m_s=float(mission.get("cruiseSpeed", 15.0)),
        hover_m_s=float(mission.get("hoverSpeed", 5.0)),
        firmware=int(mission.get("firmwareType", PX4)),
        vehicle=int(mission.get("vehicleType", MULTICOPTER)),
        polygons=tuple(
            FencePolygon(tuple(Position(*c[:2]) for c in p["polygon"]), p["inclusion"])
            for p in fence.get("polygons", [])
        ),
        circles=tuple(
            FenceCircle(
                Position(*c["circle"]["center"][:2]), float(c["circle"]["radius"]), c["inclusion"]
            )
            for c in fence.get("circles", [])
        ),
        rally=tuple(
            RallyPoint(Position(*p[:2]), float(p[2]))
            for p in document.get("rallyPoints", {}).get("points", [])
        ),
    )


def _item(plain: Mapping[str, Any]) -> MissionItem:
    values = [NAN if v is None else float(v) for v in plain["params"]]
    frame = TO_WIRE_FRAME.get(plain["frame"], plain["frame"])
    return MissionItem.of(plain["command"], frame, values, plain["autoContinue"])


def check_plan(data: bytes) -> list[Fault]:
    """Return the faults of a plan, at most FAULTS_LIMIT."""
    try:
        document = _document(data)
    except BadPlan as bad:
        return [Fault("the file", "-", str(bad), f"a JSON document {TOP}")]
    return list(islice(_faults(document), FAULTS_LIMIT))


def _document(data: bytes) -> dict[str, Any]:
    if len(data) > PLAN_LIMIT_BYTES:
        raise BadPlan(f"{len(data)} bytes, more than {PLAN_LIMIT_BYTES}")
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise BadPlan(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise BadPlan(f"a {type(document).__name__}, not an object")
    return document


def _faults(document: Mapping[str, Any]) -> Iterator[Fault]:
    yield from _is("the file", document, "fileType", ("Plan",))
    yield from _is("the file", document, "version", (1,))
    mission = document.get("mission")
    if not isinstance(mission, dict):
        yield Fault("the file", "mission", _shown(mission), "an object")
    else:
        yield from _mission(mission)
    fence, rally = document.get("geoFence", {}), document.get("rallyPoints", {})
    for name, part, check in (("geoFence", fence, _fence), ("rallyPoints", rally, _rally)):
        if not isinstance(part, dict):
            yield Fault("the file", name, _shown(part), "an object")
        else:
            yield from check(part)


def _mission(mission: Mapping[str, Any]) -> Iterator[Fault]:
    yield from _is("mission", mission, "version", (2,))
    for name in ("firmwareType", "vehicleType"):
        if name in mission and not _whole(mission[name], 0, 255):
            yield Fault("mission", name, _shown(mission[name]), "a whole number in [0, 255]")
    for name in ("cruiseSpeed", "hoverSpeed"):
        if name in mission and not _number(mission[name], 0.0, 1000.0):
            yield Fault("mission", name, _shown(mission[name]), "[0, 1000] m/s")
    home = mission.get("plannedHomePosition")
    if not _placed(home):
        yield Fault("mission", "plannedHomePosition", _shown(home), "[latitude, longitude, height]")
    items = mission.get("items")
    if not isinstance(items, list) or len(items) > ITEMS_LIMIT:
        yield Fault("mission", "items", _shown(items), f"a list of at most {ITEMS_LIMIT}")
        return
    yield from _items(items)


def _items(items: Sequence[Any]) -> Iterator[Fault]:
    for i, plain in enumerate(items):
        if not isinstance(plain, dict):
            yield Fault(f"mission items {i}", "-", _shown(plain), "an object")
        elif plain.get("type") not in ("SimpleItem", "ComplexItem"):
            kinds = "SimpleItem | ComplexItem"
            yield Fault(f"mission items {i}", "type", _shown(plain.get("type")), kinds)
        elif plain["type"] == "ComplexItem" and _inner(plain) is None:
            kind = _shown(plain.get("complexItemType"))
            yield Fault(f"mission items {i}", "complexItemType", kind, "one with its Items inside")
    flat = _simple_items(items)
    ids = Counter(n for _, plain in flat if _whole(n := plain.get("doJumpId"), 1, ITEMS_LIMIT))
    for where, plain in flat:
        yield from _simple(where, plain)
        number = plain.get("doJumpId")
        if not _whole(number, 1, ITEMS_LIMIT):
            yield Fault(where, "doJumpId", _shown(number), "a whole number from 1")
        elif ids[number] > 1:
            yield Fault(where, "doJumpId", f"{number} twice", "unique within the plan")
        params = plain.get("params")
        jumps = plain.get("command") == JUMP and isinstance(params, list) and len(params) == 7
        to = params[0] if jumps and params else None
        if jumps and (not _whole(to, 1, ITEMS_LIMIT) or to not in ids):
            yield Fault(where, "params[0]", _shown(to), "the doJumpId of an item")


def _simple(where: str, plain: Mapping[str, Any]) -> Iterator[Fault]:
    command, frame = plain.get("command"), plain.get("frame")
    if not _whole(command, 0, 65_535):
        yield Fault(where, "command", _shown(command), "a MAV_CMD in [0, 65535]")
    if frame not in FRAMES or isinstance(frame, bool):
        yield Fault(where, "frame", _shown(frame), " | ".join(map(str, FRAMES)))
    if not isinstance(plain.get("autoContinue"), bool):
        yield Fault(where, "autoContinue", _shown(plain.get("autoContinue")), "true | false")
    params = plain.get("params")
    fits = isinstance(params, list) and len(params) == 7
    if not fits or not all(p is None or _number(p, -1e12, 1e12) for p in params or ()):
        yield Fault(where, "params", _shown(params), "7 numbers; null leaves one open")
        return
    assert isinstance(params, list)
    if frame in PLACED_FRAMES and not (params[4] is None and params[5] is None):
        lat, lon = params[4] or 0.0, params[5] or 0.0
        if not (abs(lat) <= 90.0 and abs(lon) <= 180.0):
            allowed = "latitude [-90, 90], longitude [-180, 180] deg"
            yield Fault(where, "params[4], params[5]", f"{lat:g}, {lon:g}", allowed)
    for name in ("Altitude", "AltitudeMode"):
        if plain.get(name) is not None and not _number(plain[name], -1e6, 1e6):
            yield Fault(where, name, _shown(plain[name]), "a number")


def _simple_items(items: Sequence[Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return (where, item) of every SimpleItem, those inside complex items in their place."""
    flat: list[tuple[str, Mapping[str, Any]]] = []
    for i, plain in enumerate(items):
        if not isinstance(plain, dict):
            continue
        if plain.get("type") == "SimpleItem":
            flat.append((f"mission items {i}", plain))
        elif plain.get("type") == "ComplexItem":
            inner = [p for p in _inner(plain) or () if isinstance(p, dict)]
            flat += [(f"mission items {i} Items {j}", p) for j, p in enumerate(inner)]
    return flat


def _inner(plain: Mapping[str, Any]) -> Sequence[Any] | None:
    """Return the SimpleItems QGroundControl stores with a survey or a corridor."""
    style = plain.get("TransectStyleComplexItem")
    items = style.get("Items") if isinstance(style, dict) else None
    return items if isinstance(items, list) else None


def _fence(fence: Mapping[str, Any]) -> Iterator[Fault]:
    yield from _is("geoFence", fence, "version", (2,))
    for i, polygon in enumerate(_listed(fence, "polygons")):
        where = f"geoFence polygons {i}"
        corners = polygon.get("polygon")
        if not isinstance(polygon.get("inclusion"), bool):
            yield Fault(where, "inclusion", _shown(polygon.get("inclusion")), "true | false")
        if not isinstance(corners, list) or len(corners) < 3 or not all(map(_placed, corners)):
            yield Fault(where, "polygon", _shown(corners), "3 or more [latitude, longitude]")
    for i, circle in enumerate(_listed(fence, "circles")):
        where, inside = f"geoFence circles {i}", circle.get("circle")
        inside = inside if isinstance(inside, dict) else {}
        if not isinstance(circle.get("inclusion"), bool):
            yield Fault(where, "inclusion", _shown(circle.get("inclusion")), "true | false")
        if not _placed(inside.get("center")):
            yield Fault(where, "center", _shown(inside.get("center")), "[latitude, longitude]")
        if not _number(inside.get("radius"), 1e-3, 1e6):
            yield Fault(where, "radius", _shown(inside.get("radius")), "(0, 1e6] m")


def _rally(rally: Mapping[str, Any]) -> Iterator[Fault]:
    # Version 1 stands in files of older ground stations; the points are the same.
    yield from _is("rallyPoints", rally, "version", (1, 2))
    points = rally.get("points", [])
    for i, point in enumerate(points if isinstance(points, list) else [points]):
        if not _placed(point) or len(point) != 3:
            allowed = "[latitude, longitude, height]"
            yield Fault(f"rallyPoints points {i}", "-", _shown(point), allowed)


def _listed(part: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = part.get(name, [])
    rows = found if isinstance(found, list) else [found]
    return [row if isinstance(row, dict) else {} for row in rows]


def _is(
    where: str, part: Mapping[str, Any], name: str, allowed: tuple[str | int, ...]
) -> Iterator[Fault]:
    value = part.get(name)
    # An absent fence or rally part has no version to be wrong.
    if (part or name != "version") and (value not in allowed or isinstance(value, bool)):
        yield Fault(where, name, _shown(value), " | ".join(map(str, allowed)))


def _placed(value: object) -> bool:
    if not isinstance(value, list) or not 2 <= len(value) <= 3:
        return False
    lat, lon = value[:2]
    height = value[2] if len(value) == 3 else 0.0
    return (
        _number(lat, -90.0, 90.0) and _number(lon, -180.0, 180.0) and _number(height, -1e6, 1e6)
    )


def _number(value: object, low: float, high: float) -> bool:
    fits = isinstance(value, int | float) and not isinstance(value, bool)
    return fits and low <= value <= high  # type: ignore[operator]


def _whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _shown(value: object) -> str:
    shown = "missing" if value is None else json.dumps(value, default=str)
    return shown if len(shown) <= 80 else shown[:77] + "..."
