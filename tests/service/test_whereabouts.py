"""Tracks by device and by area beside a plain look at every row."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from fastapi import FastAPI, Request
from httpx import ASGITransport, AsyncClient
from shapely import contains_xy
from shapely.geometry import Polygon, box, mapping

from domain.device import DeviceKind
from domain.district import District
from domain.observation import Telemetry
from domain.place import Area, Position
from geo.shapes import area_to_shape, shape_to_area
from gridwing.cluster import DatabaseUrls
from gridwing.track_cli import track as command
from runtime.access import Principal, Role
from runtime.clock import wall_clock
from runtime.database import Pool, open_pool
from runtime.ledger import PostgresLedger
from services.ingest.api import router
from services.ingest.columns import Columns, Gathered
from services.ingest.keep import Keeper
from services.ingest.store import PostgresIngestStore
from services.ingest.whereabouts import Mark, TrackPoint, Unanswerable, ground_of, seen_in, track
from simulators.district import generate
from tests.service.ingest_town import register

DISTRICT = generate(7)
AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
UNTIL = AT + timedelta(minutes=20)
DEVICES = [drone.sn for drone in DISTRICT.drones[:4]]
WEST, SOUTH, EAST, NORTH = 113.33, 22.523, 113.37, 22.557
EACH = 600
SMALL = shape_to_area(box(113.345, 22.536, 113.351, 22.541))
BENT = shape_to_area(
    Polygon([(113.342, 22.533), (113.356, 22.535), (113.348, 22.539), (113.352, 22.546)])
)
WIDE = shape_to_area(box(WEST, SOUTH, EAST, NORTH))


def flown() -> list[Telemetry]:
    """Every device back and forth over all of the district and beyond, with a break midway."""
    rng = np.random.default_rng(3)
    lat, lon = rng.uniform(SOUTH, NORTH, (4, EACH)), rng.uniform(WEST - 0.01, EAST, (4, EACH))
    return [
        Telemetry(
            sn, DeviceKind.DRONE, AT + timedelta(seconds=2 * i), 0, UNTIL,
            Position(float(lat[d, i]), float(lon[d, i])) if i % 50 else None, battery_pct=float(d),
        )
        for i in range(EACH)
        for d, sn in enumerate(DEVICES)
    ]  # fmt: skip


ROWS = flown()


async def store(pool: Pool, district: District, rows: list[Telemetry]) -> None:
    keeper = Keeper(PostgresLedger(pool), PostgresIngestStore(pool), district, wall_clock())
    kinds = dict.fromkeys(DEVICES, DeviceKind.DRONE)
    columns = Columns.of(Gathered(rows), kinds, UNTIL)
    columns.key = columns.content_keys()
    keeper.place(columns)
    async with PostgresLedger(pool).transaction() as tx:
        await PostgresIngestStore(pool).save(tx, columns, suspect=False)


@pytest.fixture
async def pool(database_urls: DatabaseUrls) -> AsyncIterator[Pool]:
    await asyncio.to_thread(register, database_urls, DISTRICT, AT - timedelta(days=90))
    async with open_pool(database_urls.service) as pool:
        await PostgresIngestStore(pool).prepare_days(AT.date())
        await store(pool, DISTRICT, ROWS)
        yield pool


def inside(area: Area, since: datetime = AT, until: datetime = UNTIL) -> list[tuple[str, datetime]]:
    shape = area_to_shape(area)
    return sorted(
        (
            (row.device_sn, row.at)
            for row in ROWS
            if row.position is not None
            and since <= row.at < until
            and contains_xy(shape, row.position.lon_deg, row.position.lat_deg)
        ),
        key=lambda seen: (seen[1], seen[0]),
    )


def told(points: tuple[TrackPoint, ...]) -> list[tuple[str, datetime]]:
    return [(point.device_sn, point.at) for point in points]


async def test_a_track_comes_in_pages_without_gap_or_repetition(pool: Pool) -> None:
    found: list[TrackPoint] = []
    after: Mark | None = None
    async with pool.connection() as connection:
        while True:
            page = await track(connection, DEVICES[1], AT, UNTIL, 100, after)
            found += page.points
            if (after := page.after) is None:
                break
    placed = [row for row in ROWS if row.device_sn == DEVICES[1] and row.position is not None]
    assert [(p.at, p.position) for p in found] == [(row.at, row.position) for row in placed]


@pytest.mark.parametrize("area", [SMALL, BENT, WIDE], ids=["small", "bent", "wide"])
@pytest.mark.parametrize("limit", [10_000, 70])
async def test_who_was_in_an_area_is_what_a_look_at_every_row_finds(
    pool: Pool, area: Area, limit: int
) -> None:
    found: list[tuple[str, datetime]] = []
    after: Mark | None = None
    since, until = AT + timedelta(minutes=3), UNTIL - timedelta(minutes=3)
    async with pool.connection() as connection:
        assert (await ground_of(connection, area, AT)).by_time == (area is WIDE)
        while True:
            page = await seen_in(connection, area, since, until, limit, after)
            assert len(page.points) <= limit
            found += told(page.points)
            if (after := page.after) is None:
                break
    assert found == inside(area, since, until)
    assert len(found) > 15


async def test_rows_of_an_earlier_grid_are_found_by_the_cells_they_were_given(
    pool: Pool, database_urls: DatabaseUrls
) -> None:
    codes = [cell.code for cell in DISTRICT.cells]
    moved = [
        replace(cell, code=code)
        for cell, code in zip(DISTRICT.cells, codes[9:] + codes[:9], strict=True)
    ]
    redrawn = replace(DISTRICT, cells=tuple(moved))
    await asyncio.to_thread(register, database_urls, redrawn, UNTIL)
    async with pool.connection() as connection:
        ground = await ground_of(connection, SMALL, AT)
        page = await seen_in(connection, SMALL, AT, UNTIL)
        assert page == await seen_in(connection, SMALL, AT, UNTIL, by_time=True)
    assert not ground.by_time
    assert not any(ground.inside), "no code means the same ground in both"
    assert told(page.points) == inside(SMALL)


async def test_ground_outside_the_grid_is_read_by_time(pool: Pool) -> None:
    beyond = shape_to_area(box(113.321, 22.53, 113.326, 22.55))
    async with pool.connection() as connection:
        page = await seen_in(connection, beyond, AT, UNTIL)
        assert told(page.points) == inside(beyond)
        assert page.points[0].cell_code is None
        with pytest.raises(Unanswerable, match="at most 1 day"):
            await seen_in(connection, beyond, AT, AT + timedelta(days=2))


async def test_questions_beyond_the_limits_name_the_cure(pool: Pool) -> None:
    bow = Area(((((113.34, 22.53), (113.35, 22.54), (113.35, 22.53), (113.34, 22.54),
                  (113.34, 22.53)),),))  # fmt: skip
    async with pool.connection() as connection:
        with pytest.raises(Unanswerable, match="to must lie after from, at most 31 days"):
            await track(connection, "D", AT, AT)
        with pytest.raises(Unanswerable, match="need a time zone"):
            await track(connection, "D", AT.replace(tzinfo=None), UNTIL)
        with pytest.raises(Unanswerable, match=r"limit must lie in 1\.\.10000"):
            await track(connection, "D", AT, UNTIL, 10_001)
        with pytest.raises(Unanswerable, match="at most 7 days"):
            await seen_in(connection, SMALL, AT, AT + timedelta(days=8))
        with pytest.raises(Unanswerable, match="Self-intersection"):
            await seen_in(connection, bow, AT, UNTIL)


async def test_the_commands_draw_what_they_tell(
    pool: Pool, database_urls: DatabaseUrls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_urls.service)
    ground, drawn = tmp_path / "area.geojson", tmp_path / "tracks.geojson"
    ground.write_text(json.dumps(mapping(area_to_shape(SMALL))))
    window = ["--from", AT.isoformat(), "--to", UNTIL.isoformat()]

    async def said(*arguments: str) -> str:
        done = await asyncio.to_thread(CliRunner().invoke, command, [*arguments, *window])
        assert done.exit_code == 0, done.output
        return done.stdout

    text = await said("area", str(ground), "--out", str(drawn))
    seen = inside(SMALL)
    assert f"{len(seen)} points of 4 devices" in text
    features = json.loads(drawn.read_text())["features"]
    assert [f["properties"]["device_sn"] for f in features] == sorted(DEVICES)
    assert sum(len(f["geometry"]["coordinates"]) for f in features) == len(seen)
    (only,) = json.loads(await said("show", DEVICES[0], "--json"))["features"]
    assert only["properties"]["points"] == EACH - EACH // 50
    wrong = CliRunner().invoke(command, ["show", "D", "--from", "2026-11-23", "--to", "noon"])
    assert wrong.exit_code == 2
    assert "needs a zone" in wrong.stderr


async def test_the_web_gives_pages_of_a_track(pool: Pool) -> None:
    async def engineer(request: Request) -> Principal:
        return Principal("a", Role.ENGINEER)

    app = FastAPI()
    app.include_router(router(pool, engineer))
    asked = {"device": DEVICES[0], "from": AT.isoformat(), "to": UNTIL.isoformat()}
    async with AsyncClient(transport=ASGITransport(app), base_url="http://web") as web:
        whole = (await web.get("/api/tracks", params=asked)).json()
        later = f"{int((AT + timedelta(minutes=10)).timestamp() * 1e6)},9223372036854775807"
        rest = (await web.get("/api/tracks", params=asked | {"after": later})).json()
        refused = await web.get("/api/tracks", params=asked | {"to": "2026-12-23T08:00:00Z"})
    assert (len(whole["points"]), whole["next"]) == (EACH - EACH // 50, None)
    assert set(whole["points"][0]) >= {"at", "position", "cell_code"}
    assert 0 < len(rest["points"]) < len(whole["points"])
    assert (refused.status_code, refused.json()["detail"]) == (
        422, "to must lie after from, at most 2 days",
    )  # fmt: skip
