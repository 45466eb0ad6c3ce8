"""Missions over HTTP: who may see them, call them home, and fetch a wayline."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx
import psycopg
import pytest
from click.testing import CliRunner
from fastapi import FastAPI, Request

from domain.events import MissionPlanned
from domain.mission import Mission, MissionPurpose, Wayline, Waypoint
from gridwing.cli import main
from gridwing.cluster import DatabaseUrls
from gridwing.wayline_cli import wayline
from runtime.access import Principal, Role
from runtime.clock import Clock, wall_clock
from runtime.database import open_pool
from runtime.ledger import PostgresLedger
from runtime.registry import save
from services.patrol import schedule
from services.patrol.aircraft.qgc_plan import read_plan
from services.patrol.api import router
from services.patrol.fleet.timetable import Timetable
from services.patrol.flight import opened
from services.patrol.plan import PatrolGround
from services.patrol.plan_shown import shown
from services.patrol.policy import PatrolPolicy
from services.patrol.schedule import Standing, Wanted
from services.patrol.sites import load_site_rules
from services.patrol.sky.rules import load_sky_rules
from services.patrol.sky_api import sky_router
from services.patrol.sky_desk import SkyDesk
from services.patrol.store import PostgresPatrolStore, wayline_key
from tests.core.patrol_scene import EPOCH, FRAME, district, no_fly

DISTRICT = district(docks=2, airspaces=(no_fly(0.0, 0.0, 50.0, 50.0),))
CLOCK: Clock = replace(wall_clock(), epoch=EPOCH)
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
        app.include_router(router(store, asking, wall_clock(), lambda: DISTRICT))
        desk = SkyDesk(PostgresLedger(pool), store, DISTRICT, CLOCK, load_sky_rules())
        app.include_router(sky_router(desk, asking))
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


async def test_the_plan_last_released_is_shown_and_printed(
    web: Web, database_urls: DatabaseUrls, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _ = web
    monkeypatch.setenv("DATABASE_APP_URL", database_urls.app)
    typed = partial(CliRunner().invoke, main)
    assert (await client.get("/api/patrol/plan")).status_code == 404
    nothing = await asyncio.to_thread(typed, ["patrol-plan", "--json"])
    assert json.loads(nothing.stdout)["refused"]["code"] == "no_plan"
    ground = PatrolGround(DISTRICT, PatrolPolicy())
    fleet = [Standing(DISTRICT.docks[0], DISTRICT.drones[0], 95.0)]
    made = schedule.plan(ground, fleet, Wanted({}, {}, {}), EPOCH)
    assert isinstance(made, Timetable)
    async with open_pool(database_urls.service) as pool:
        await PostgresPatrolStore(pool).put_plan(shown(made, ground, load_site_rules(), {}))
    told = (await client.get("/api/patrol/plan")).json()
    assert told["docks"][0]["sorties"][0]["drone_sn"] == "DRONE1"
    printed = await asyncio.to_thread(typed, ["patrol-plan", "--json"])
    assert json.loads(printed.stdout) == told
    words = await asyncio.to_thread(typed, ["patrol-plan"])
    assert words.exit_code == 0
    assert "worst idleness" in words.stdout


async def test_a_grid_worker_sees_no_missions(web: Web) -> None:
    client, _ = web
    headers = {"role": "grid_worker"}
    assert (await client.get("/api/missions", headers=headers)).status_code == 403
    refused = await client.post("/api/missions/m1/return-home", headers=headers)
    assert refused.status_code == 403


async def test_an_operator_calls_a_flight_home(web: Web) -> None:
    client, _ = web
    why = {"reason": "weather", "note": "雷暴将至"}
    found = await client.post("/api/missions/m1/return-home", json=why)
    assert found.json() == {"ok": True, "stream": "mission/m1", "version": 1}
    assert (await client.post("/api/missions/m9/return-home")).status_code == 404


async def test_a_ground_stop_takes_two_calls_and_is_lifted_by_who_may(web: Web) -> None:
    client, _ = web
    body = {"reason": "safety", "all_home": True}
    shown = await client.post("/api/ground-stop", json=body)
    assert shown.status_code == 202
    confirm = shown.json()["confirm"]
    assert confirm["effect"] == {"in_the_air": [], "taking_off": [], "planned": ["DRONE1"]}
    assert (await client.get("/api/sky")).json()["ground_stop"] is None
    wrong = await client.post("/api/ground-stop", json={**body, "token": "1.ff"})
    assert (wrong.status_code, wrong.json()["code"]) == (409, "bad_token")
    # A token for one thing does not confirm another.
    other = {**body, "all_home": False, "token": confirm["token"]}
    assert (await client.post("/api/ground-stop", json=other)).json()["code"] == "bad_token"
    done = await client.post("/api/ground-stop", json={**body, "token": confirm["token"]})
    assert done.status_code == 200
    stands = (await client.get("/api/sky")).json()["ground_stop"]
    assert (stands["by"], stands["reason"], stands["all_home"]) == ("op-1", "safety", True)
    assert (await client.post("/api/ground-stop", json=body)).json()["code"] == "stopped"
    lift = {"reason": "clear"}
    refused = await client.post("/api/ground-stop/lift", json=lift)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    headers = {"role": "dispatcher"}
    assert (await client.post("/api/ground-stop/lift", json=lift, headers=headers)).is_success
    assert (await client.get("/api/sky")).json()["ground_stop"] is None
    used = await client.post("/api/ground-stop", json={**body, "token": confirm["token"]})
    assert used.json()["code"] == "bad_token"


async def test_a_drone_is_taken_in_hand_by_one_person(web: Web) -> None:
    client, _ = web
    why = {"reason": "technical"}
    assert (await client.post("/api/drones/DRONE1/take-control", json=why)).is_success
    again = await client.post("/api/drones/DRONE1/take-control", json=why)
    assert (again.status_code, again.json()["code"]) == (409, "in_hand")
    assert (await client.get("/api/sky")).json()["controls"]["DRONE1"]["by"] == "op-1"
    assert (await client.post("/api/drones/DRONE1/release-control", json=why)).is_success
    stranger = await client.post("/api/drones/X/take-control", json=why)
    assert (stranger.status_code, stranger.json()["field"]) == (404, "drone_sn")
    unknown = await client.post("/api/drones/DRONE1/take-control", json={"reason": "mood"})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "unknown_reason")


SQUARE = [[[[113.35, 22.54], [113.352, 22.54], [113.352, 22.542], [113.35, 22.54]]]]


@pytest.mark.parametrize(
    ("change", "status", "word"),
    [
        ({}, 200, "airspace/TZ01"),
        ({"ceiling_m": 0.0}, 422, "floor_m"),
        ({"valid_to": "2026-03-01T01:00:00Z"}, 422, "valid_to"),
        ({"valid_from": "2026-03-01T01:00:00"}, 422, "timezone"),
        ({"polygons": [[[[5000.0, 1.0], [1.0, 2.0], [2.0, 2.0], [5000.0, 1.0]]]]}, 422, "degrees"),
        ({"polygons": [[[[1.0, 1.0], [1.0, 2.0], [2.0, 2.0], [1.0, 1.0]]]]}, 422, "5 km"),
        ({"polygons": [[[[0, 0], [1, 1], [0, 1], [1, 0], [0, 0]]]]}, 422, "cross"),
        ({"code": "a b"}, 422, "pattern"),
    ],
)
async def test_a_temporary_zone_is_announced_or_refused(
    web: Web, change: dict[str, object], status: int, word: str
) -> None:
    client, _ = web
    body: dict[str, object] = {
        "code": "TZ01",
        "name": "赛事",
        "polygons": SQUARE,
        "ceiling_m": 120.0,
        "valid_from": "2099-03-01T01:30:00Z",
        "valid_to": "2099-03-01T05:00:00Z",
    }
    told = await client.post("/api/airspaces", json={**body, **change})
    assert told.status_code == status
    assert word in told.text
    if status == 200:
        assert told.json()["notice"]["late"] is False
        again = await client.post("/api/airspaces", json=body)
        assert again.json()["code"] == "known"
        path = "/api/airspaces/TZ01/withdraw"
        assert (await client.post(path, json={"reason": "authority"})).is_success
        assert (await client.get("/api/sky")).json()["airspaces"] == []


async def test_a_zone_announced_too_late_is_closed_all_the_same(web: Web) -> None:
    client, _ = web
    now = CLOCK.now()
    body: dict[str, object] = {"name": "救援", "polygons": SQUARE, "ceiling_m": 120.0}
    ends = (now + timedelta(hours=3)).isoformat()
    for code, minutes, emergency, late in (("Z1", 45, True, False), ("Z2", 10, True, True)):
        begins = (now + timedelta(minutes=minutes)).isoformat()
        times = {"valid_from": begins, "valid_to": ends, "emergency": emergency}
        told = await client.post("/api/airspaces", json={**body, **times, "code": code})
        assert (told.status_code, told.json()["notice"]["late"]) == (200, late)
    stands = (await client.get("/api/sky")).json()["airspaces"]
    assert [zone["code"] for zone in stands] == ["Z1", "Z2"]
    assert "called home" in stands[1]["announced"]["notice"]["means"]
    assert stands[1]["announced"]["by"] == "op-1"


async def test_an_application_is_filed_approved_confirmed_and_printed(web: Web) -> None:
    client, _ = web
    chief = {"role": "dispatcher"}
    body = {
        "kind": "daily",
        "drone_sns": ["DRONE1", "DRONE2"],
        "starts_at": "2099-03-02T01:00:00Z",
        "ends_at": "2099-03-02T09:00:00Z",
        "ceiling_agl_m": 120.0,
    }
    filed = await client.post("/api/applications", json=body)
    assert filed.is_success, filed.text
    application_id = filed.json()["stream"].removeprefix("application/")
    path = f"/api/applications/{application_id}"
    early = {"from_at": "2099-03-02T01:00:00Z", "until_at": "2099-03-02T03:00:00Z"}
    waiting = await client.post(f"{path}/confirmation", json=early, headers=chief)
    assert waiting.json()["code"] == "not_approved"
    nameless = await client.post(f"{path}/decision", json={"approved": True}, headers=chief)
    assert (nameless.status_code, nameless.json()["field"]) == (422, "number")
    said = {"approved": True, "number": "ZS-17"}
    assert (await client.post(f"{path}/decision", json=said)).status_code == 403
    assert (await client.post(f"{path}/decision", json=said, headers=chief)).is_success
    assert (await client.post(f"{path}/confirmation", json=early, headers=chief)).is_success
    (listed,) = [
        a
        for a in (await client.get("/api/sky")).json()["applications"]
        if a["application"]["application_id"] == application_id
    ]
    assert listed["state"] == "approved"
    assert listed["deadlines"]["apply_by"] == "2099-03-01T04:00:00.000000Z"
    page = await client.get(f"{path}/form")
    assert page.headers["content-type"].startswith("text/html")
    assert "ZS-17" in page.text
    table = await client.get(f"{path}/form?form=csv")
    assert table.content.startswith(b"\xef\xbb\xbf")
    late = {**body, "starts_at": "2020-03-02T01:00:00Z", "ends_at": "2099-03-02T09:00:00Z"}
    refused = await client.post("/api/applications", json=late)
    assert refused.json()["code"] == "too_long"


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


async def test_the_command_line_writes_a_stored_mission_and_the_map(
    web: Web, database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    with psycopg.connect(database_urls.owner) as connection:
        save(connection, DISTRICT, EPOCH)
    env = {"DATABASE_URL": database_urls.service}

    async def call(*args: str) -> str:
        done = await asyncio.to_thread(CliRunner().invoke, wayline, list(args), env=env)
        assert done.exit_code == 0, done.output
        return done.output

    for kind in ("kmz", "plan"):
        await call("export", "m1", "--format", kind, "--out", str(tmp_path / f"m.{kind}"))
        assert await call("check", str(tmp_path / f"m.{kind}")) == "no fault\n"
    plan = read_plan((tmp_path / "m.plan").read_bytes())
    assert len(plan.polygons) == len(plan.rally) == 1
    assert plan.home == DISTRICT.docks[0].position
    told = await call("geojson", "--out", str(tmp_path / "all.geojson"))
    assert "6 features" in told


async def test_what_docks_say_is_told_in_words(web: Web) -> None:
    client, _ = web
    shown = (await client.get("/api/missions/m1")).json()
    assert shown["dock"]["status"] is None
    assert shown["dock"]["result"] == {"code": 0, "zh": "成功", "en": "agreed"}
    assert shown["media"] == []
    assert (await client.get("/api/flight-areas")).json() == []
    assert (await client.get("/api/flight-areas/geofence_0.json?key=x")).status_code == 404


async def test_everything_is_told_as_geojson(web: Web) -> None:
    client, _ = web
    answer = await client.get("/api/geojson")
    assert answer.headers["content-type"] == "application/geo+json"
    told = answer.json()
    roles = [f["properties"]["role"] for f in told["features"]]
    assert roles == ["cell"] * 4 + ["nfz", "path"]
    assert len(told["bbox"]) == 4
    line = told["features"][-1]["geometry"]
    assert line["type"] == "LineString"
    assert line["coordinates"][0][2] == 110.0, "20 m of the dock and 90 m above it"
    only = (await client.get("/api/geojson?layer=no_fly")).json()
    assert [f["properties"]["code"] for f in only["features"]] == ["NF1"]
    refused = await client.get("/api/geojson?layer=clouds")
    assert refused.status_code == 422
    assert "cells" in refused.json()["detail"]
