"""MAVLink's plain mission text, `QGC WPL 110`: one item a line, tabs between, home first.

Columns: index, current, frame, command, param1..4, latitude, longitude, height, autocontinue.
Mission Planner and MAVProxy read it too. An open parameter is written 0: the format has none.
"""

import math
from dataclasses import replace

from domain.place import Position
from services.patrol.aircraft.mission_items import ABSOLUTE, NAN, WAYPOINT, MissionItem
from services.patrol.aircraft.qgc_plan import FRAMES, TO_TEXT_FRAME, TO_WIRE_FRAME, BadPlan, Plan

HEAD = "QGC WPL 110"
LINES_LIMIT = 65_536
COLUMNS = 12


def waypoints_text(plan: Plan) -> str:
    """Return a plan's mission; fence and rally points have no place in this format."""
    home = MissionItem(
        WAYPOINT, ABSOLUTE, x=plan.home.lat_deg, y=plan.home.lon_deg, z=plan.home_msl_m
    )
    lines = [_line(i, item) for i, item in enumerate((home, *plan.items))]
    return "\n".join([HEAD, *lines]) + "\n"


def _line(index: int, item: MissionItem) -> str:
    params = [0.0 if math.isnan(v) else v for v in (item.p1, item.p2, item.p3, item.p4)]
    frame = TO_TEXT_FRAME.get(item.frame, item.frame)
    place = [f"{0.0 if math.isnan(v) else v:.8f}" for v in (item.x, item.y)]
    height = f"{0.0 if math.isnan(item.z) else item.z:.6f}"
    first = [str(index), str(int(index == 0)), str(frame), str(item.command)]
    columns = [*first, *(f"{p:.8f}" for p in params), *place, height, str(int(item.autocontinue))]
    return "\t".join(columns)


def read_waypoints(data: bytes) -> Plan:
    """Read a mission text; line 0 is home. Raises BadPlan naming line and column."""
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BadPlan(f"not text: {error}") from error
    if not lines or lines[0].strip() != HEAD:
        raise BadPlan(f"line 1 must be {HEAD!r}, got {lines[0][:40] if lines else ''!r}")
    rows = [(n, line.split()) for n, line in enumerate(lines[1:], 2) if line.strip()]
    if not 1 <= len(rows) <= LINES_LIMIT:
        raise BadPlan(f"{len(rows)} items; the first line is home, at most {LINES_LIMIT} follow")
    items = [_item(number, i, columns) for i, (number, columns) in enumerate(rows)]
    home = items[0]
    return Plan(tuple(items[1:]), Position(home.x, home.y), home.z)


def _item(number: int, index: int, columns: list[str]) -> MissionItem:
    if len(columns) != COLUMNS:
        raise BadPlan(f"line {number} has {len(columns)} columns, must have {COLUMNS}")
    try:
        values = [float(c) for c in columns[4:11]]
        told, _, frame, command = (int(float(c)) for c in columns[:4])
        autocontinue = int(float(columns[11]))
    except ValueError as error:
        raise BadPlan(f"line {number}: {error}") from error
    if told != index:
        raise BadPlan(f"line {number} has index {told}, must be {index}: from 0 without a gap")
    if frame not in FRAMES or not 0 <= command <= 65_535:
        raise BadPlan(f"line {number}: frame {frame} or command {command} is not MAVLink's")
    item = MissionItem.of(command, TO_WIRE_FRAME.get(frame, frame), values, autocontinue == 1)
    finite = all(math.isfinite(v) for v in values)
    if not finite or (item.placed and not (abs(item.x) <= 90.0 and abs(item.y) <= 180.0)):
        allowed = "latitude in [-90, 90], longitude in [-180, 180], finite numbers"
        raise BadPlan(f"line {number} must have {allowed}")
    if item.command == WAYPOINT and index > 0 and item.p4 == 0.0:
        # The format cannot leave the yaw open; a writer's 0 means along the path.
        return replace(item, p4=NAN)
    return item
