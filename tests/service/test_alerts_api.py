"""The alerts routes over HTTP: shapes, problems that name field and cure, repeated posts."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

import httpx
import pytest
from fastapi import FastAPI, Header

from domain.codec import from_plain
from domain.incident import Incident
from domain.responder import Force
from gridwing.cluster import DatabaseUrls
from runtime.access import Principal, Role
from runtime.clock import wall_clock
from runtime.database import open_pool
from runtime.ledger import PostgresLedger, sequence_step
from services.alerts.api import router
from services.alerts.desk import Desk
from services.alerts.store import PostgresAlertStore
from simulators.district import generate

DISTRICT = generate(7)
HOME = DISTRICT.responders[0].home
WORKER = next(r for r in DISTRICT.responders if r.force is Force.GRID)
PEOPLE = {
    "operator": Principal("operator-1", Role.OPERATOR),
    "auditor": Principal("auditor-1", Role.AUDITOR),
    "worker": Principal(WORKER.account, Role.GRID_WORKER, "", WORKER.responder_id),
}


def asked_by(name: Annotated[str, Header(alias="X-Test-Account")]) -> Principal:
    return PEOPLE[name]


@dataclass
class Web:
    client: httpx.AsyncClient
    number: object

    async def post(
        self, path: str, body: object = None, who: str = "operator", key: str | None = None
    ) -> httpx.Response:
        headers = {"X-Test-Account": who} | ({} if key is None else {"Idempotency-Key": key})
        return await self.client.post(f"/api{path}", json=body, headers=headers)

    async def get(self, path: str, who: str = "operator") -> httpx.Response:
        return await self.client.get(f"/api{path}", headers={"X-Test-Account": who})


@pytest.fixture
async def web(database_urls: DatabaseUrls) -> AsyncIterator[Web]:
    async with open_pool(database_urls.app) as pool, open_pool(database_urls.service) as service:
        desk = Desk(PostgresLedger(pool), PostgresAlertStore(pool), DISTRICT, wall_clock())
        app = FastAPI()
        app.include_router(router(desk, asked_by))

        async def number() -> None:
            while await sequence_step(service) > 0:
                pass

        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield Web(client, number)


def report(**changes: object) -> dict[str, object]:
    place = {"lat_deg": HOME.lat_deg, "lon_deg": HOME.lon_deg}
    return {"kind": "exposed_rubbish", **place, **changes}


async def test_a_report_becomes_an_incident_with_its_timeline(web: Web) -> None:
    answer = await web.post("/reports", report(note="巷口"), who="worker", key="k")
    assert answer.status_code == 200
    incident = from_plain(Incident, answer.json())
    again = await web.post("/reports", report(note="巷口"), who="worker", key="k")
    assert again.json() == answer.json()
    assert (await web.post(f"/incidents/{incident.incident_id}/acknowledge")).status_code == 200
    await web.number()  # type: ignore[operator]
    page = (await web.get(f"/incidents/{incident.incident_id}")).json()
    assert [e["kind"] for e in page["timeline"]] == ["incident.reported", "incident.acknowledged"]
    assert page["why"][0]["code"] == "opened"
    assert page["notes"][0]["text"] == "巷口"
    assert page["incident"]["acknowledged_by"] == "operator-1"


async def test_pages_and_filters(web: Web) -> None:
    for kind in ("fire", "crowd", "flooded_road"):
        assert (await web.post("/reports", report(kind=kind))).status_code == 200
    first = (await web.get("/incidents?limit=2")).json()
    assert [i["kind"] for i in first["items"]] == ["flooded_road", "crowd"]
    second = (await web.get(f"/incidents?limit=2&after={first['next']}")).json()
    assert [i["kind"] for i in second["items"]] == ["fire"]
    assert second["next"] is None
    assert len((await web.get("/incidents?kind=fire")).json()["items"]) == 1


async def test_problems_name_field_and_cure(web: Web) -> None:
    incident = (await web.post("/reports", report())).json()["incident_id"]
    for answer, status, code in (
        (await web.post("/reports", report(lat_deg=10.0)), 422, "outside_district"),
        (await web.post("/incidents/nope/acknowledge"), 404, "unknown_incident"),
        (await web.post(f"/incidents/{incident}/acknowledge", who="auditor"), 403, "not_allowed"),
        (
            await web.post(f"/incidents/{incident}/close", {"outcome": "handled"}),
            409,
            "needs_verification",
        ),
        (await web.post("/dispatches/nope/accept", who="worker"), 404, "unknown_dispatch"),
        (
            await web.post("/position", {"lat_deg": 22.5, "lon_deg": 113.3}, who="worker"),
            409,
            "off_duty",
        ),
    ):
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["code"] == code
        assert problem["field"]
        assert problem["cure"]


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "flying_saucer"},
        {"lat_deg": False},
        {"lat_deg": "22.5"},
        {"lat_deg": 91.0},
        {"evidence": ["short"]},
        {"surprise": 1},
    ],
)
async def test_bodies_are_strict(web: Web, body: dict[str, object]) -> None:
    assert (await web.post("/reports", report(**body))).status_code == 422


async def test_duty_tasks_and_responders(web: Web) -> None:
    assert (await web.post("/duty", {"on_duty": True}, who="worker")).json() == {"ok": True}
    place = {"lat_deg": HOME.lat_deg, "lon_deg": HOME.lon_deg}
    assert (await web.post("/position", place, who="worker")).json() == {"ok": True}
    incident = (await web.post("/reports", report())).json()["incident_id"]
    sent = await web.post(f"/incidents/{incident}/dispatch", {"responder_id": WORKER.responder_id})
    assert sent.status_code == 200
    (task,) = (await web.get("/tasks", who="worker")).json()["items"]
    assert task["incident"]["incident_id"] == incident
    dispatch = task["dispatch"]["dispatch_id"]
    for verb, body in (("accept", None), ("arrive", None), ("hand-back", {"evidence": []})):
        answer = await web.post(f"/dispatches/{dispatch}/{verb}", body, "worker", f"key-{verb}")
        assert answer.status_code == 200, answer.text
    assert answer.json()["state"] == "feedback"
    states = (await web.get("/responders")).json()
    mine = next(s for s in states if s["responder_id"] == WORKER.responder_id)
    assert mine["on_duty"]
    assert mine["position"] == place
    gone = await web.post(f"/incidents/{incident}/verify", {"gone": True})
    assert (gone.json()["state"], gone.json()["outcome"]) == ("closed", "handled")


async def test_the_description_is_whole(web: Web) -> None:
    described = (await web.client.get("/openapi.json")).json()
    paths = {p for p in described["paths"] if p.startswith("/api/")}
    assert len(paths) == 16
    for methods in described["paths"].values():
        for operation in methods.values():
            assert operation["tags"]
