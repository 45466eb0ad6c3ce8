"""`gridwing track show` and `track area`: where a device was, and who was in an area."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import psycopg
from shapely import force_2d, union_all
from shapely.errors import GEOSException
from shapely.geometry import shape

from domain.codec import instant_text
from domain.place import Area
from geo.frames import LocalFrame
from geo.shapes import shape_to_area
from gridwing.cli import fail
from gridwing.parts_cli import settings
from runtime.database import open_pool
from runtime.settings import required
from services.ingest.whereabouts import Connection, Mark, Page, TrackPoint, seen_in, track

POINTS_LIMIT = 1_000_000
Read = Callable[[Connection, Mark | None], Awaitable[Page]]


def instant(_: click.Context, param: click.Parameter, text: str) -> datetime:
    """Return an ISO 8601 time that names its zone."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text}: write it like 2026-05-01T09:30:00+08:00") from None
    if at.tzinfo is None:
        raise click.BadParameter(f"{text} needs a zone: {text}+08:00 or {text}Z")
    return at


def window(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options both commands take."""
    path = click.Path(dir_okay=False, path_type=Path)
    for option in (
        click.option("--json", "as_json", is_flag=True, help="The GeoJSON on stdout."),
        click.option("--out", type=path, help="Write the tracks there as GeoJSON."),
        click.option(
            "--limit", type=click.IntRange(1, POINTS_LIMIT), default=100_000, show_default=True,
            help="Points at most; it is said where there were more.",
        ),
        click.option("--to", "until", callback=instant, required=True, help="Until when."),
        click.option("--from", "since", callback=instant, required=True, help="Since when."),
    ):  # fmt: skip
        command = option(command)
    return command


@click.command()
@click.argument("device")
@window
def show(
    device: str, since: datetime, until: datetime, limit: int, out: Path | None, as_json: bool
) -> None:
    """Where DEVICE was, at most 31 days at once."""

    async def read(connection: Connection, after: Mark | None) -> Page:
        return await track(connection, device, since, until, after=after)

    _tell(read, limit, out, as_json)


@click.command()
@click.argument("area", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@window
def area(
    area: Path, since: datetime, until: datetime, limit: int, out: Path | None, as_json: bool
) -> None:
    """Who was inside AREA.geojson (polygons, WGS-84 degrees), at most 7 days at once.

    One day where the area reaches beyond the grid or takes in more than a third of it.
    """
    try:
        ground = read_area(area)
    except ValueError as error:
        fail(str(error), 2)
        return

    async def read(connection: Connection, after: Mark | None) -> Page:
        return await seen_in(connection, ground, since, until, after=after)

    _tell(read, limit, out, as_json)


def read_area(path: Path) -> Area:
    """Return the polygons of a GeoJSON file as one area. Raises ValueError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["type"] == "FeatureCollection":
            found = union_all([shape(one["geometry"]) for one in document["features"]])
        else:
            found = shape(document["geometry"] if document["type"] == "Feature" else document)
        return shape_to_area(force_2d(found))
    except (ValueError, KeyError, TypeError, AttributeError, GEOSException) as error:
        raise ValueError(f"{path.name} is not a GeoJSON polygon: {error}") from error


def _tell(read: Read, limit: int, out: Path | None, as_json: bool) -> None:
    try:
        points, more = asyncio.run(_gather(read, limit))
        drawn = collection(points)
        if out is not None:
            out.write_text(json.dumps(drawn, ensure_ascii=False), encoding="utf-8")
    except (ValueError, OSError, psycopg.Error) as error:
        fail(str(error))
        return
    if as_json:
        click.echo(json.dumps(drawn, ensure_ascii=False))
    else:
        for one in drawn["features"]:
            told = one["properties"]
            click.echo(
                f"{told['device_sn']:24} {told['points']:>7} points {told['length_m']:>9} m"
                f"  {told['from']} to {told['until']}"
            )
        click.echo(f"{len(points)} points of {len(drawn['features'])} devices")
    if more:
        click.echo(f"gridwing: there is more than --limit {limit}; the oldest is shown", err=True)


async def _gather(read: Read, limit: int) -> tuple[list[TrackPoint], bool]:
    url = required(settings().database_url, "DATABASE_URL")
    points: list[TrackPoint] = []
    after: Mark | None = None
    async with open_pool(url, 1) as pool, pool.connection() as connection:
        while len(points) <= limit:
            page = await read(connection, after)
            points += page.points
            after = page.after
            if after is None:
                break
    return points[:limit], len(points) > limit


def collection(points: list[TrackPoint]) -> dict[str, Any]:
    """Return one feature (RFC 7946) a device: a LineString, a Point where there is but one."""
    tracks: dict[str, list[TrackPoint]] = {}
    for point in points:
        tracks.setdefault(point.device_sn, []).append(point)
    features = [_feature(sn, tracks[sn]) for sn in sorted(tracks)]
    return {"type": "FeatureCollection", "features": features}


def _feature(device_sn: str, points: list[TrackPoint]) -> dict[str, Any]:
    where = [[p.position.lon_deg, p.position.lat_deg] for p in points]
    line: dict[str, Any] = {"type": "LineString", "coordinates": where}
    if len(points) == 1:
        line = {"type": "Point", "coordinates": where[0]}
    return {
        "type": "Feature",
        "geometry": line,
        "properties": {
            "device_sn": device_sn,
            "points": len(points),
            "length_m": round(_length_m(points)),
            "from": instant_text(points[0].at),
            "until": instant_text(points[-1].at),
            "times": [instant_text(p.at) for p in points],
            "heights_rel_m": [p.height_rel_m for p in points],
            "cells": sorted({p.cell_code for p in points if p.cell_code is not None}),
        },
    }


def _length_m(points: list[TrackPoint]) -> float:
    frame = LocalFrame(points[0].position)
    local = [complex(*frame.to_local(p.position.lat_deg, p.position.lon_deg)) for p in points]
    return sum(abs(b - a) for a, b in pairwise(local))
