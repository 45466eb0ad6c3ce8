"""The registry on the real database: versions, geometry, and what an empty one says."""

from datetime import UTC, datetime

import psycopg
import pytest

from domain.codec import canonical
from gridwing.cluster import DatabaseUrls
from runtime.database import open_pool
from runtime.registry import NoDistrict, load, load_now, save
from simulators.district import generate

AT = datetime(2026, 11, 23, tzinfo=UTC)


async def test_a_saved_district_is_read_back_whole(database_urls: DatabaseUrls) -> None:
    district = generate(7)
    with psycopg.connect(database_urls.owner) as connection:
        assert save(connection, district, AT) == 1
        assert save(connection, district, AT) == 2
    async with open_pool(database_urls.service) as pool:
        loaded = await load(pool)
    assert loaded.version == 2
    assert canonical(loaded.cells) == canonical(district.cells)
    with psycopg.connect(database_urls.owner) as connection:
        row = connection.execute(
            "SELECT count(*), bool_and(ST_IsValid(geom)) FROM registry_cell WHERE version = 2"
        ).fetchone()
    assert row == (108, True)


def test_an_empty_registry_names_the_cure(database_urls: DatabaseUrls) -> None:
    with (
        psycopg.connect(database_urls.service) as connection,
        pytest.raises(NoDistrict, match="grid import"),
    ):
        load_now(connection)
