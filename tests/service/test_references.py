"""Reference pictures over HTTP: listed, accepted with who and why; and how well a cell was seen."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request

from domain.events import CellSeen, Event
from domain.hazard import HazardKind
from domain.observation import FramePose, ImageBox
from domain.place import ErrorEllipse, Position
from domain.sight import ChangedGround, ChangeSeen, ReferenceTaken
from gridwing.cluster import DatabaseUrls
from runtime.access import Principal, Role
from runtime.clock import wall_clock
from runtime.database import open_pool
from runtime.ledger import PostgresLedger, sequence_step
from services.ingest.reference_api import reference_router
from services.ingest.references import References
from simulators.render import Item
from tests.core.change_stand import HALF_HOUR, stand
from tests.core.patrol_scene import district

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
HERE = Position(22.54, 113.35)
POSE = FramePose(HERE, 8.0, 40.0, -20.0, 0.0, 75.0, AT)
FIRST, NEWER = 64 * "a", 64 * "b"
TAKEN = ReferenceTaken("ref-1", "CAM1", False, POSE, FIRST, (ImageBox(0.1, 0.2, 0.3, 0.4),), AT)
SHED = ChangedGround(
    "built_since", HazardKind.ILLEGAL_STRUCTURE, HERE, ErrorEllipse(2, 1, 0), 42.0, 0.7, None
)
SEEN = ChangeSeen("ref-1", "CAM1", AT + timedelta(hours=1), (SHED,), NEWER, ())
URL = "/api/watch/references/CAM1"


@dataclass
class Web:
    client: httpx.AsyncClient
    ledger: PostgresLedger

    async def tell(self, stream: str, event: Event) -> None:
        async with self.ledger.transaction() as tx:
            await tx.append(stream, [event], at=AT, actor="watch", expected_version=None)


async def asking(request: Request) -> Principal:
    return Principal("op-1", Role(request.headers.get("role", "administrator")))


@pytest.fixture
async def web(database_urls: DatabaseUrls) -> AsyncIterator[Web]:
    async with open_pool(database_urls.app) as pool:
        ledger = PostgresLedger(pool)
        app = FastAPI()
        references = References(ledger, pool, district(docks=1), wall_clock())
        app.include_router(reference_router(references, asking))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield Web(client, ledger)


async def test_a_newer_picture_is_accepted_with_who_and_why(web: Web) -> None:
    await web.tell("reference/CAM1", TAKEN)
    await web.tell("reference/CAM1", SEEN)
    (before,) = (await web.client.get(URL)).json()["references"]
    assert (before["picture"], before["accepted_by"]) == (FIRST, None)
    assert before["newer"][0]["found"][0]["area_m2"] == 42.0
    body = {"picture": NEWER, "reason": "permitted"}
    assert (await web.client.post(f"{URL}/ref-1/accept", json=body)).json() == {"version": 3}
    (after,) = (await web.client.get(URL)).json()["references"]
    assert (after["picture"], after["accepted_by"], after["reason"]) == (NEWER, "op-1", "permitted")
    assert after["newer"] == []


@pytest.mark.parametrize(
    ("reference", "body", "status", "says"),
    [
        ("ref-9", {"picture": NEWER, "reason": "first"}, 422, "no reference ref-9"),
        ("ref-1", {"picture": 64 * "c", "reason": "first"}, 422, "take one that it lists"),
        ("ref-1", {"picture": NEWER, "reason": "whim"}, 422, "reason"),
        ("ref-1", {"picture": NEWER}, 422, "reason"),
    ],
)
async def test_what_cannot_be_accepted_says_why(
    web: Web, reference: str, body: dict[str, str], status: int, says: str
) -> None:
    await web.tell("reference/CAM1", TAKEN)
    await web.tell("reference/CAM1", SEEN)
    answer = await web.client.post(f"{URL}/{reference}/accept", json=body)
    assert (answer.status_code, says in answer.text) == (status, True)


@pytest.mark.parametrize(("role", "status"), [("operator", 403), ("engineer", 200)])
async def test_who_may(web: Web, role: str, status: int) -> None:
    await web.tell("reference/CAM1", TAKEN)
    body = {"picture": FIRST, "reason": "first"}
    answer = await web.client.post(f"{URL}/ref-1/accept", json=body, headers={"role": role})
    assert answer.status_code == status
    (now,) = (await web.client.get(URL)).json()["references"]
    assert (now["reason"] == "first") == (status == 200)


async def test_a_cell_says_when_and_how_sharply_it_was_seen(web: Web) -> None:
    code = "442000001001001"
    old = CellSeen(code, "f1", "D1", 0.95, AT)
    new = CellSeen(code, "f2", "D1", 0.97, AT + timedelta(hours=1), AT, 0.9, 0.061, 0.044)
    for event in (old, new):
        await web.tell(f"cell/{code}", event)
    told = (await web.client.get(f"/api/cells/{code}/seen")).json()["seen"]
    assert [one["flight_id"] for one in told] == ["f2", "f1"]
    assert (told[0]["worst_m_per_px"], told[0]["whole_share"]) == (0.061, 0.9)
    assert told[1]["worst_m_per_px"] is None
    assert (await web.client.get("/api/cells/1/seen")).status_code == 422


async def test_watch_raises_a_shed_until_somebody_permits_it(
    web: Web, database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    async with open_pool(database_urls.service) as pool:
        here = stand(tmp_path, PostgresLedger(pool))
        url = f"/api/watch/references/{here.camera.sn}"

        async def seen(i: int, *items: Item) -> None:
            await sequence_step(pool)
            await here.sees(AT + i * HALF_HOUR, items, i)

        await seen(0)
        for i in range(1, 6):
            await seen(i, here.shed)
        await sequence_step(pool)
        (found,) = await here.raised()
        (reference,) = (await web.client.get(url)).json()["references"]
        newest = reference["newer"][-1]
        assert newest["found"][0]["hazard_id"] == found.hazard.hazard_id
        body = {"picture": newest["picture"], "reason": "permitted"}
        path = f"{url}/{reference['reference_id']}/accept"
        assert (await web.client.post(path, json=body)).status_code == 200
        for i in range(6, 9):
            await seen(i, here.shed)
        await sequence_step(pool)
        (after,) = (await web.client.get(url)).json()["references"]
        assert (after["picture"], after["newer"]) == (newest["picture"], [])
        assert len(await here.raised()) == 1
