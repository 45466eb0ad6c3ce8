"""A mission's wayline as a DJI KMZ: wpmz/template.kml and wpmz/waylines.wpml.

Element names, enumerations and ranges: DJI Cloud API, WPML reference (namespace 1.0.6, as aircraft
write it); `wpml_check` holds files against it. The dock flies waylines.wpml; the template lets a
person open the route in Pilot 2. The bytes depend only on the mission and the rules, so a refolded
mission has the same fingerprint.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from domain.mission import Mission, Waypoint
from geo.frames import LocalFrame
from geo.routes import FlightModel, Point, corner_reach_m
from services.patrol.aircraft.wpml_read import TEMPLATE, WAYLINES, zipped
from services.patrol.lost_link import LEAVE_WAYLINE_IN_FILE, WORDS, LostLink

_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<kml xmlns="http://www.opengis.net/kml/2.2" xmlns:wpml="http://www.dji.com/wpmz/1.0.6">\n'
)
_SPEED_LIMIT_M_S = 15.0
_TAKE_OFF_SECURITY_M = 30.0
_STOP = "toPointAndStopWithDiscontinuityCurvature"
_LEAST_REACH_M = 0.2


@dataclass(frozen=True, slots=True)
class Airframe:
    """WPML numbers of an aircraft and its main camera."""

    drone: int
    drone_sub: int
    payload: int

    @property
    def payload_index(self) -> str:
        """The camera's name in the Cloud API: type, sub-type and gimbal."""
        return f"{self.payload}-0-0"


AIRFRAMES = {
    "M30": Airframe(67, 0, 52),
    "M30T": Airframe(67, 1, 53),
    "M3E": Airframe(77, 0, 66),
    "M3T": Airframe(77, 1, 67),
    "M3M": Airframe(77, 2, 68),
    "M3D": Airframe(91, 0, 80),
    "M3TD": Airframe(91, 1, 81),
    "M4E": Airframe(99, 0, 88),
    "M4T": Airframe(99, 1, 89),
    "M4D": Airframe(100, 0, 98),
    "M4TD": Airframe(100, 1, 99),
}
"""Cloud API, "Product support": aircraft type and sub-type, and the type of its own camera. Models
with a choice of cameras (M300, M350, M400) are not among them."""


def airframe(model: str) -> Airframe | None:
    """Return the WPML numbers of a registered model name, or None where they are not known."""
    return AIRFRAMES.get(model.upper().replace("MATRICE ", "M").replace("DJI ", "").strip())


def kmz(
    mission: Mission,
    frame: Airframe,
    model: FlightModel,
    lost: LostLink = LostLink.RETURN_HOME,
) -> bytes:
    """Return the KMZ of a mission's wayline; `lost` is what the aircraft does without its link.

    Raises ValueError for fewer than two waypoints."""
    points = mission.wayline.waypoints
    if len(points) < 2:
        raise ValueError(f"a wayline needs at least two waypoints, got {len(points)}")
    return zipped(
        {
            TEMPLATE: _template(mission, frame, lost).encode(),
            WAYLINES: _waylines(mission, frame, model, lost).encode(),
        }
    )


def fingerprint(data: bytes) -> str:
    """Return the MD5 a dock checks the file by (flighttask_prepare, flighttask_resource_get)."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _tag(name: str, value: object) -> str:
    text = f"{value:.12g}" if isinstance(value, float) else escape(str(value))
    return f"<wpml:{name}>{text}</wpml:{name}>"


def _block(name: str, *inner: str) -> str:
    return f"<wpml:{name}>" + "".join(inner) + f"</wpml:{name}>"


def _config(mission: Mission, frame: Airframe, lost: LostLink) -> str:
    points, planned = mission.wayline.waypoints, mission.return_height_rel_m
    return_m = max(p.height_rel_m for p in points) if planned is None else float(planned)
    return _block(
        "missionConfig",
        _tag("flyToWaylineMode", "safely"),
        _tag("finishAction", "goHome"),
        _tag("exitOnRCLost", LEAVE_WAYLINE_IN_FILE),
        _tag("executeRCLostAction", WORDS[lost].wayline),
        _tag("takeOffSecurityHeight", _TAKE_OFF_SECURITY_M),
        _tag("globalTransitionalSpeed", _speed(max(p.speed_m_s for p in points))),
        _tag("globalRTHHeight", return_m),
        _block(
            "droneInfo",
            _tag("droneEnumValue", frame.drone),
            _tag("droneSubEnumValue", frame.drone_sub),
        ),
        _block(
            "payloadInfo",
            _tag("payloadEnumValue", frame.payload),
            _tag("payloadSubEnumValue", 0),
            _tag("payloadPositionIndex", 0),
        ),
    )


def _speed(speed_m_s: float) -> float:
    return min(speed_m_s, _SPEED_LIMIT_M_S)


def _heading(name: str, yaw_deg: float | None = None) -> str:
    """The nose along the path, or turned evenly to a yaw of the waypoint's own."""
    return _block(
        name,
        _tag("waypointHeadingMode", "followWayline" if yaw_deg is None else "smoothTransition"),
        _tag("waypointHeadingAngle", 0 if yaw_deg is None else math.remainder(yaw_deg, 360.0)),
        _tag("waypointPoiPoint", "0.000000,0.000000,0.000000"),
        _tag("waypointHeadingPathMode", "followBadArc"),
    )


def _point(waypoint: Waypoint) -> str:
    lon, lat = waypoint.position.lon_deg, waypoint.position.lat_deg
    return f"<Point><coordinates>{lon:.10f},{lat:.10f}</coordinates></Point>"


def _template(mission: Mission, frame: Airframe, lost: LostLink) -> str:
    points = mission.wayline.waypoints
    made_ms = int(mission.planned_at.timestamp() * 1000)
    places = [
        "<Placemark>"
        + _point(p)
        + _tag("index", i)
        + _tag("useGlobalHeight", 0)
        + _tag("ellipsoidHeight", p.height_rel_m)
        + _tag("height", p.height_rel_m)
        + _tag("useGlobalSpeed", 1)
        + _tag("useGlobalHeadingParam", int(p.yaw_deg is None))
        + ("" if p.yaw_deg is None else _heading("waypointHeadingParam", p.yaw_deg))
        + _tag("useGlobalTurnParam", 1)
        + _tag("useStraightLine", 1)
        + _tag("gimbalPitchAngle", p.gimbal_pitch_deg)
        + "</Placemark>\n"
        for i, p in enumerate(points)
    ]
    folder = (
        "<Folder>"
        + _tag("templateType", "waypoint")
        + _tag("templateId", 0)
        + _block(
            "waylineCoordinateSysParam",
            _tag("coordinateMode", "WGS84"),
            _tag("heightMode", "relativeToStartPoint"),
            _tag("positioningType", "GPS"),
        )
        + _tag("autoFlightSpeed", _speed(points[0].speed_m_s))
        + _tag("globalHeight", points[0].height_rel_m)
        + _tag("gimbalPitchMode", "usePointSetting")
        + _heading("globalWaypointHeadingParam")
        + _tag("globalWaypointTurnMode", _STOP)
        + _tag("globalUseStraightLine", 1)
        + "\n"
        + "".join(places)
        + _block("payloadParam", _tag("payloadPositionIndex", 0), _tag("imageFormat", "wide"))
        + "</Folder>"
    )
    times = _tag("createTime", made_ms) + _tag("updateTime", made_ms)
    body = "<Document>" + times + _config(mission, frame, lost) + "\n" + folder + "</Document>"
    return _HEAD + body + "\n</kml>\n"


def _waylines(
    mission: Mission, frame: Airframe, model: FlightModel, lost: LostLink
) -> str:
    points = mission.wayline.waypoints
    turns = _turns(points, model)
    places = [
        "<Placemark>"
        + _point(p)
        + _tag("index", i)
        + _tag("executeHeight", p.height_rel_m)
        + _tag("waypointSpeed", _speed(p.speed_m_s))
        + _heading("waypointHeadingParam", p.yaw_deg)
        + turns[i]
        + _tag("useStraightLine", 1)
        + _actions(i, points)
        + "</Placemark>\n"
        for i, p in enumerate(points)
    ]
    folder = (
        "<Folder>"
        + _tag("templateId", 0)
        + _tag("executeHeightMode", "relativeToStartPoint")
        + _tag("waylineId", 0)
        + _tag("distance", mission.wayline.length_m)
        + _tag("duration", mission.wayline.flight_time_s)
        + _tag("autoFlightSpeed", _speed(points[0].speed_m_s))
        + "\n"
        + "".join(places)
        + "</Folder>"
    )
    body = "<Document>" + _config(mission, frame, lost) + "\n" + folder + "</Document>"
    return _HEAD + body + "\n</kml>\n"


def _turns(points: Sequence[Waypoint], model: FlightModel) -> list[str]:
    """Pass corners on the arc the time model flies; stop at both ends and where there is none."""
    frame = LocalFrame(points[0].position)
    local: list[Point] = []
    for p in points:
        x, y = frame.to_local(p.position.lat_deg, p.position.lon_deg)
        local.append((float(x), float(y)))
    turns = []
    for i, b in enumerate(local):
        reach_m = 0.0
        if 0 < i < len(local) - 1 and points[i].hover_s <= 0.0:
            a, c = local[i - 1], local[i + 1]
            # Two neighbours share a leg, so each takes less than half of it.
            reach_m = min(
                corner_reach_m(a, b, c, model), 0.49 * min(math.dist(a, b), math.dist(b, c))
            )
        passes = reach_m >= _LEAST_REACH_M
        turns.append(
            _block(
                "waypointTurnParam",
                _tag("waypointTurnMode", "coordinateTurn" if passes else _STOP),
                # Cut, not rounded: two neighbours' reaches stay below the leg they share.
                _tag("waypointTurnDampingDist", math.floor(reach_m * 100) / 100 if passes else 0.2),
            )
        )
    return turns


def _actions(index: int, points: Sequence[Waypoint]) -> str:
    """The camera turns where its pitch changes, and records from the first point to the last."""
    actions: list[str] = []
    waypoint = points[index]
    if index == 0 or waypoint.gimbal_pitch_deg != points[index - 1].gimbal_pitch_deg:
        actions.append(_gimbal(waypoint.gimbal_pitch_deg))
    if index == 0:
        actions.append(_record("startRecord", _tag("fileSuffix", "patrol")))
    if waypoint.hover_s > 0.0:
        actions.append(_action("hover", _tag("hoverTime", waypoint.hover_s)))
    if index == len(points) - 1:
        actions.append(_record("stopRecord"))
    if not actions:
        return ""
    numbered = [text.replace("{id}", str(i)) for i, text in enumerate(actions)]
    return _block(
        "actionGroup",
        _tag("actionGroupId", index),
        _tag("actionGroupStartIndex", index),
        _tag("actionGroupEndIndex", index),
        _tag("actionGroupMode", "sequence"),
        _block("actionTrigger", _tag("actionTriggerType", "reachPoint")),
        *numbered,
    )


def _action(function: str, *params: str) -> str:
    return _block(
        "action",
        "<wpml:actionId>{id}</wpml:actionId>",
        _tag("actionActuatorFunc", function),
        _block("actionActuatorFuncParam", *params),
    )


def _gimbal(pitch_deg: float) -> str:
    return _action(
        "gimbalRotate",
        _tag("payloadPositionIndex", 0),
        _tag("gimbalHeadingYawBase", "north"),
        _tag("gimbalRotateMode", "absoluteAngle"),
        _tag("gimbalPitchRotateEnable", 1),
        _tag("gimbalPitchRotateAngle", pitch_deg),
        _tag("gimbalRollRotateEnable", 0),
        _tag("gimbalRollRotateAngle", 0),
        _tag("gimbalYawRotateEnable", 0),
        _tag("gimbalYawRotateAngle", 0),
        _tag("gimbalRotateTimeEnable", 0),
        _tag("gimbalRotateTime", 0),
    )


def _record(function: str, *more: str) -> str:
    return _action(
        function,
        _tag("payloadPositionIndex", 0),
        *more,
        _tag("useGlobalPayloadLensIndex", 0),
        _tag("payloadLensIndex", "wide"),
    )
