"""The registered district, in versions: everybody reads the newest, nothing is half-changed."""

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg

from domain.codec import canonical, from_plain
from domain.district import District
from geo.shapes import area_to_shape
from runtime.database import Pool

CHANNEL = "registry"


class NoDistrict(LookupError):
    """No district has been registered yet; `gridwing grid import` registers one."""


def save(connection: psycopg.Connection[Any], district: District, at: datetime) -> int:
    """Store the district as the next version, in the caller's transaction; return the version."""
    connection.execute("LOCK TABLE registry IN EXCLUSIVE MODE")
    row = connection.execute("SELECT coalesce(max(version), 0) + 1 FROM registry").fetchone()
    assert row is not None
    version = int(row[0])
    text = canonical(replace(district, version=version))
    connection.execute("INSERT INTO registry VALUES (%s, %s, %s::json)", [version, at, text])
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO registry_cell VALUES (%s, %s, ST_GeomFromText(%s, 4326))",
            [(version, cell.code, area_to_shape(cell.area).wkt) for cell in district.cells],
        )
    connection.execute("SELECT pg_notify(%s, %s)", [CHANNEL, str(version)])
    return version


def load_now(connection: psycopg.Connection[Any]) -> District:
    """Return the newest district. Raises NoDistrict."""
    return _district(connection.execute(_NEWEST).fetchone())


async def load(pool: Pool) -> District:
    """Return the newest district. Raises NoDistrict."""
    async with pool.connection() as connection:
        return _district(await (await connection.execute(_NEWEST)).fetchone())


_NEWEST = "SELECT district::text FROM registry ORDER BY version DESC LIMIT 1"


def _district(row: tuple[Any, ...] | None) -> District:
    if row is None:
        raise NoDistrict("no district is registered: `gridwing grid import FILE` registers one")
    plain = json.loads(row[0])
    for airspace in plain.get("airspaces", ()):
        # Districts stored before heights had a reference.
        for name in ("floor", "ceiling"):
            if f"{name}_agl_m" in airspace:
                airspace[f"{name}_m"] = airspace.pop(f"{name}_agl_m")
    return from_plain(District, plain)
