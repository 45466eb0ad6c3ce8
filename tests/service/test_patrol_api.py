"""Missions over HTTP: who may see them, call them home, and fetch a wayline."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI, Request

from domain.events import MissionPlanned
from domain.mission import Mission, MissionPurpose, Wayline, Waypoint
from gridwing.cluster import DatabaseUrls
from runtime.access import Principal, Role
from runtime.clock import wall_clock
from runtime.database import open_pool
from runtime.ledger import PostgresLedger
from services.patrol.api import router
from services.patrol.flight import opened
from services.patrol.store import PostgresPatrolStore, wayline_key
from tests.core.patrol_scene import EPOCH, FRAME

POINTS = tuple(Waypoint(FRAME.to_position(x, 0.0), 90.0, 12.0) for x in (0.0, 80.0))
MISSION = Mission(
    "m1", MissionPurpose.PATROL, "DOCK1", "DRONE1", EPOCH, ("c1",), Wayline(POINTS, 80.0, 9.0)
)

Web = tuple[httpx.AsyncClient, PostgresPatrolStore]


async def asking(request: Request) -> Principal:
    """The test's own door: the role is what the header says."""
    return Principal("op-1", Role(request.headers.get("role", "operator")))


@pytest.fixture
async def web(database_urls: DatabaseUrls) -> AsyncIterator[Web]:
    # The web part runs as the app role; the flight was written by the service role.
    flight = opened(MissionPlanned(MISSION), EPOCH, None)
    async with (
        open_pool(database_urls.service) as pool,
        PostgresLedger(pool).transaction() as tx,
    ):
        await PostgresPatrolStore(pool).put(tx, flight, b"PK-wayline")
    async with open_pool(database_urls.app) as pool:
        store = PostgresPatrolStore(pool)
        app = FastAPI()
        app.include_router(router(store, asking, wall_clock()))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            yield client, store


async def test_missions_are_listed_and_shown(web: Web) -> None:
    client, _ = web
    (listed,) = (await client.get("/api/missions")).json()
    assert listed["mission_id"] == "m1"
    assert listed["state"] == "planned"
    shown = (await client.get("/api/missions/m1")).json()
    assert shown["mission"]["dock_sn"] == "DOCK1"
    assert shown["outcome"] is None
    line = shown["wayline"]["geometry"]
    assert line["type"] == "LineString"
    assert line["coordinates"][0] == pytest.approx([113.35, 22.54], abs=1e-6)
    assert (await client.get("/api/missions/m9")).status_code == 404


async def test_a_grid_worker_sees_no_missions(web: Web) -> None:
    client, _ = web
    headers = {"role": "grid_worker"}
    assert (await client.get("/api/missions", headers=headers)).status_code == 403
    refused = await client.post("/api/missions/m1/return-home", headers=headers)
    assert refused.status_code == 403


async def test_an_operator_calls_a_flight_home(web: Web) -> None:
    client, store = web
    found = await client.post("/api/missions/m1/return-home")
    assert found.json() == {"ok": True, "mission_id": "m1"}
    assert await store.home_requests() == {"m1": "op-1"}


async def test_a_wayline_is_given_for_its_key_only(web: Web) -> None:
    client, store = web
    key = wayline_key(await store.secret(), "m1")
    given = await client.get(f"/api/waylines/m1.kmz?key={key}")
    assert given.content == b"PK-wayline"
    other = wayline_key(await store.secret(), replace(MISSION, mission_id="m2").mission_id)
    for wrong in ("", "x", other, key[:-1], "钥匙"):
        answer = await client.get("/api/waylines/m1.kmz", params={"key": wrong})
        assert answer.status_code == 404
    assert (await client.get(f"/api/waylines/m2.kmz?key={other}")).status_code == 404
