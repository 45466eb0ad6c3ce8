"""Where a device was, and who was in an area: the one place that reads past telemetry.

Both answers come in pages, in the order of device time, and no question reads more than its limits
allow. A device's track is read from UNIQUE (device_sn, at, key). An area is read cell by cell from
the index (cell_code, at); an area that takes in more than CELL_SHARE of the grid, or ground outside
every cell, is read by time instead, from BRIN (at). Both go slice by slice of time, so that a full
page costs no more rows than it has; where a cell-wise slice brings little, the next is longer.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import psycopg
from shapely import is_valid_reason, set_srid, to_wkb

from domain.place import Area, Position
from geo.shapes import area_to_shape

PAGE_LIMIT_ROWS = 10_000
TRACK_LIMIT = timedelta(days=31)
AREA_LIMIT = timedelta(days=7)
AREA_BY_TIME_LIMIT = timedelta(days=1)
SLICE = timedelta(minutes=15)
CELL_SHARE = 1 / 3
GRID_GRACE = timedelta(days=30)
"""A part reads the grid when it starts: rows may have cells of a version replaced this long ago."""
GAP = 1e-12
"""Square degrees, about 0.01 m²: less is rounding between neighbouring cells, not open ground."""

Connection = psycopg.AsyncConnection[Any]
FIELDS = (
    "device_sn, at, key, lat_deg, lon_deg, height_ellipsoid_m, height_rel_m, height_agl_m,"
    " heading_deg, speed_m_s, cell_code"
)
TRACK = f"""
SELECT {FIELDS} FROM telemetry
WHERE device_sn = %(device)s AND at >= %(since)s AND at < %(until)s
  AND (at, key) > (%(after_at)s, %(after_key)s) AND lat_deg IS NOT NULL
ORDER BY at, key LIMIT %(rows)s
"""  # noqa: S608  (columns, written above)
WITHIN = """at >= %(since)s AND at < %(until)s
  AND (at, device_sn, key) > (%(after_at)s, %(after_device)s, %(after_key)s)"""
ON_GROUND = "ST_Intersects(%(area)s::geometry, ST_SetSRID(ST_MakePoint(lon_deg, lat_deg), 4326))"
BY_CELL = f"""
SELECT t.* FROM unnest(%(cells)s::text[], %(inside)s::boolean[]) AS c(code, inside)
CROSS JOIN LATERAL (
  SELECT {FIELDS} FROM telemetry
  WHERE cell_code = c.code AND {WITHIN} AND (c.inside OR {ON_GROUND})
  ORDER BY at, device_sn, key LIMIT %(rows)s
) AS t
ORDER BY at, device_sn, key LIMIT %(rows)s
"""  # noqa: S608
BY_TIME = f"""
SELECT * FROM (
  SELECT {FIELDS} FROM telemetry
  WHERE {WITHIN}
    AND lon_deg BETWEEN %(west)s AND %(east)s AND lat_deg BETWEEN %(south)s AND %(north)s
  OFFSET 0
) AS near
WHERE {ON_GROUND}
ORDER BY at, device_sn, key LIMIT %(rows)s
"""  # noqa: S608
"""OFFSET 0 keeps ST_Intersects out of the scan: charged with it for every row of a BRIN range, the
planner would rather walk the whole of a btree."""
CELLS = """
WITH grid AS (
  SELECT version FROM registry
  WHERE version >= (SELECT coalesce(max(version), 0) FROM registry WHERE saved_at <= %(since)s)
), cells AS (
  SELECT version, code, geom, ST_Intersects(geom, %(area)s::geometry) AS met
  FROM grid JOIN registry_cell USING (version)
), ground AS (
  SELECT coalesce(ST_Union(geom), 'SRID=4326;POLYGON EMPTY'::geometry) AS shape
  FROM grid LEFT JOIN cells ON cells.version = grid.version AND met GROUP BY grid.version
)
SELECT (SELECT coalesce(bool_and(ST_Area(ST_Difference(%(area)s::geometry, shape)) < %(gap)s),
                        false) FROM ground),
       (SELECT count(DISTINCT code) FROM cells),
       array(SELECT code FROM cells GROUP BY code HAVING bool_or(met) ORDER BY code),
       array(SELECT code FROM cells GROUP BY code
             HAVING bool_and(ST_Covers(%(area)s::geometry, geom)))
"""


class Unanswerable(ValueError):
    """A question outside the limits; the message names what is wrong and the cure."""


@dataclass(frozen=True, slots=True)
class TrackPoint:
    """One placed message of a device."""

    device_sn: str
    at: datetime
    position: Position
    height_ellipsoid_m: float | None
    height_rel_m: float | None
    height_agl_m: float | None
    heading_deg: float | None
    speed_m_s: float | None
    cell_code: str | None


@dataclass(frozen=True, slots=True)
class Mark:
    """The last row of a page: what comes after it is the next page."""

    at: datetime
    device_sn: str
    key: int


@dataclass(frozen=True, slots=True)
class Page:
    points: tuple[TrackPoint, ...]
    after: Mark | None
    """Where the next page begins; None when there is none."""


@dataclass(frozen=True, slots=True)
class Query:
    """SQL with its named parameters."""

    text: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Ground:
    """An area, and the cells whose rows may lie in it."""

    area: bytes
    """WKB with its SRID, degrees."""
    bounds: tuple[float, float, float, float]
    cells: tuple[str, ...]
    inside: tuple[bool, ...]
    """Of each cell, whether all of it lies in the area."""
    by_time: bool


async def track(
    connection: Connection,
    device_sn: str,
    since: datetime,
    until: datetime,
    limit: int = PAGE_LIMIT_ROWS,
    after: Mark | None = None,
    longest: timedelta = TRACK_LIMIT,
) -> Page:
    """Return where a device was in since..until (until excluded), oldest first.

    Raises Unanswerable beyond `longest` or PAGE_LIMIT_ROWS.
    """
    _check(since, until, limit, longest)
    asked = track_query(device_sn, since, until, limit + 1, after)
    return _page(await _rows(connection, asked), limit)


async def seen_in(
    connection: Connection,
    area: Area,
    since: datetime,
    until: datetime,
    limit: int = PAGE_LIMIT_ROWS,
    after: Mark | None = None,
    by_time: bool = False,
) -> Page:
    """Return what every device told from inside an area in since..until, oldest first.

    A point on the border is inside. `by_time` reads by time whatever the area. Raises
    Unanswerable beyond AREA_LIMIT (AREA_BY_TIME_LIMIT for an area read by time) or
    PAGE_LIMIT_ROWS, and for an area that is no valid polygon.
    """
    _check(since, until, limit, AREA_LIMIT)
    ground = await ground_of(connection, area, since)
    if by_time:
        ground = replace(ground, by_time=True)
    if ground.by_time and until - since > AREA_BY_TIME_LIMIT:
        raise Unanswerable(
            "an area that is not all grid, or more than a third of it, is read for at most"
            f" {AREA_BY_TIME_LIMIT.days} day: ask for less time or a smaller area within the grid"
        )
    rows: list[tuple[Any, ...]] = []
    begin, slice_ = since if after is None else max(since, after.at), SLICE
    while begin < until and len(rows) <= limit:
        end = min(begin + slice_, until)
        asked = area_query(ground, begin, end, limit + 1 - len(rows), after)
        found = await _rows(connection, asked)
        rows += found
        begin = end
        if not ground.by_time and len(found) < limit / 4:
            slice_ *= 2
    return _page(rows, limit)


async def ground_of(connection: Connection, area: Area, since: datetime) -> Ground:
    """Return the cells an area lies in, of every version of the grid rows since then may have."""
    shape = area_to_shape(area)
    if shape.is_empty:
        raise Unanswerable("the area is empty: give a polygon")
    if not shape.is_valid:
        raise Unanswerable(f"the area is no valid polygon ({is_valid_reason(shape)}): mend it")
    encoded: bytes = to_wkb(set_srid(shape, 4326), include_srid=True)
    cursor = await connection.execute(
        CELLS, {"area": encoded, "since": since - GRID_GRACE, "gap": GAP}
    )
    row = await cursor.fetchone()
    assert row is not None
    covered, of, met, whole = row
    inside = tuple(code in set(whole) for code in met)
    by_time = not covered or len(met) > CELL_SHARE * of
    west, south, east, north = shape.bounds
    return Ground(encoded, (west, south, east, north), tuple(met), inside, by_time)


def track_query(
    device_sn: str, since: datetime, until: datetime, rows: int, after: Mark | None = None
) -> Query:
    return Query(TRACK, _window(since, until, rows, after) | {"device": device_sn})


def area_query(
    ground: Ground, since: datetime, until: datetime, rows: int, after: Mark | None = None
) -> Query:
    values = _window(since, until, rows, after) | {"area": ground.area}
    if ground.by_time:
        corners = zip(("west", "south", "east", "north"), ground.bounds, strict=True)
        return Query(BY_TIME, values | dict(corners))
    return Query(BY_CELL, values | {"cells": list(ground.cells), "inside": list(ground.inside)})


def _window(since: datetime, until: datetime, rows: int, after: Mark | None) -> dict[str, Any]:
    # Every row lies after this one: device times are of 1970 at the earliest.
    mark = after or Mark(since - timedelta(microseconds=1), "", 0)
    return {
        "since": max(since, mark.at),
        "until": until,
        "rows": rows,
        "after_at": mark.at,
        "after_device": mark.device_sn,
        "after_key": mark.key,
    }


async def _rows(connection: Connection, asked: Query) -> list[tuple[Any, ...]]:
    return await (await connection.execute(asked.text.encode(), asked.values)).fetchall()


def _page(rows: list[tuple[Any, ...]], limit: int) -> Page:
    points = tuple(
        TrackPoint(sn, at, Position(lat, lon), *rest) for sn, at, _, lat, lon, *rest in rows[:limit]
    )
    if len(rows) <= limit:
        return Page(points, None)
    sn, at, key = rows[limit - 1][:3]
    return Page(points, Mark(at, sn, key))


def _check(since: datetime, until: datetime, limit: int, longest: timedelta) -> None:
    if since.tzinfo is None or until.tzinfo is None:
        raise Unanswerable("from and to need a time zone, as in 2026-11-23T08:00:00Z")
    if not timedelta(0) < until - since <= longest:
        raise Unanswerable(f"to must lie after from, at most {longest.days} days")
    if not 1 <= limit <= PAGE_LIMIT_ROWS:
        raise Unanswerable(f"limit must lie in 1..{PAGE_LIMIT_ROWS}, got {limit}")
