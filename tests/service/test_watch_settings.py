"""What people tell watch over HTTP, and that the ledger tells watch."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from fastapi import FastAPI, Request

from domain.device import Camera
from domain.place import Position
from geo.camera import Pinhole
from geo.frames import LocalFrame
from gridwing.cluster import DatabaseUrls
from runtime.access import Principal, Role
from runtime.clock import wall_clock
from runtime.database import open_pool
from runtime.ledger import PostgresLedger
from services.ingest.sight.rules import load_rules
from services.ingest.watch_api import watch_router
from services.ingest.watch_settings import WatchSettings
from tests.core.patrol_scene import district

LENS = Position(22.54, 113.35)
CAMERA = Camera("CAM1", "桥头", LENS, 8.0, 40.0, -20.0, 75.0, 1280, 720, "http://127.0.0.1/c")
Web = httpx.AsyncClient


async def asking(request: Request) -> Principal:
    return Principal("op-1", Role(request.headers.get("role", "administrator")))


@pytest.fixture
async def web(database_urls: DatabaseUrls) -> AsyncIterator[Web]:
    here = replace(district(docks=1), cameras=(CAMERA,))
    async with open_pool(database_urls.app) as pool:
        ledger = PostgresLedger(pool)
        app = FastAPI()
        app.include_router(watch_router(WatchSettings(ledger, pool, here, wall_clock()), asking))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield client


def points(n: int) -> list[dict[str, float]]:
    frame, lens = LocalFrame(LENS), Pinhole(40.0, -20.0, 0.0, 75.0, 1280, 720)
    made = []
    for i in range(n):
        u, v = 150.0 + 140.0 * i, 330.0 + 90.0 * (i % 3) + 7.0 * i
        ray = lens.rays(u, v)
        at = frame.to_position(float(ray[0] * 8 / -ray[2]), float(ray[1] * 8 / -ray[2]))
        made.append({"u_px": u, "v_px": v, "lat_deg": at.lat_deg, "lon_deg": at.lon_deg})
    return made


async def test_a_rule_is_changed_and_dropped(
    web: Web,
) -> None:
    before = (await web.get("/api/watch/rules")).json()["rules"]
    assert [r["rule"]["code"] for r in before] == [r.code for r in load_rules()]
    body = {"kind": "crowd", "labels": ["person"], "together": 20, "camera": {"hits": 3}}
    assert (await web.put("/api/watch/rules/crowd", json=body)).json() == {"version": 1}
    held = {r["rule"]["code"]: r for r in (await web.get("/api/watch/rules")).json()["rules"]}
    assert held["crowd"]["changed"]
    assert held["crowd"]["rule"]["together"] == 20
    assert held["crowd"]["told"]["by"] == "op-1"
    assert (await web.delete("/api/watch/rules/crowd")).json() == {"version": 2}
    again = {r["rule"]["code"]: r for r in (await web.get("/api/watch/rules")).json()["rules"]}
    assert again["crowd"]["rule"]["together"] == 6
    assert (await web.delete("/api/watch/rules/crowd")).status_code == 422


@pytest.mark.parametrize(
    ("role", "status"), [("operator", 403), ("grid_worker", 403), ("engineer", 200)]
)
async def test_who_may(
    web: Web, role: str, status: int
) -> None:
    body = {"kind": "fire", "labels": ["fire"], "camera": {"hits": 2}}
    answer = await web.put("/api/watch/rules/fire", json=body, headers={"role": role})
    assert answer.status_code == status


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"kind": "dragon", "labels": ["x"]}, "kind"),
        ({"kind": "fire", "labels": ["fire"], "hours": [3, 3]}, "hours"),
        ({"kind": "fire", "labels": ["fire"], "cameras": ["NONE"]}, "NONE, which is no camera"),
    ],
)
async def test_a_bad_rule_names_its_field(
    web: Web, body: dict[str, object], says: str
) -> None:
    answer = await web.put("/api/watch/rules/mine", json=body)
    assert answer.status_code == 422
    assert says in answer.text


async def test_a_camera_is_calibrated_tried_and_let_go(
    web: Web,
) -> None:
    url = "/api/cameras/CAM1/calibration"
    few = await web.put(url, json={"points": points(5)})
    assert (few.status_code, "5 control points" in few.text) == (422, True)
    tried = (await web.put(url, json={"points": points(8), "dry": True})).json()
    assert max(tried["fit"]["residuals_m"]) < 0.1
    assert (await web.get(url)).json()["points"] == []
    assert (await web.put(url, json={"points": points(8)})).json()["version"] == 1
    held = (await web.get(url)).json()
    assert len(held["points"]) == 8
    assert held["told"]["by"] == "op-1"
    assert (await web.put(url, json={"points": []})).json() == {"fit": None, "version": 2}
    assert (await web.get("/api/cameras/NONE/calibration")).status_code == 422
