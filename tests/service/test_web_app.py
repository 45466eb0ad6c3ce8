"""The composed web application over real HTTP: doors, cookies, errors, pictures, the stream."""

import asyncio
import io
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg
import pytest
import uvicorn
from fastapi import FastAPI
from PIL import Image

from domain.events import Event, IncidentFiled, IncidentReported
from domain.evidence import EvidenceViewed
from domain.hazard import Detection, HazardKind, Severity
from domain.place import Position
from gridwing.app import Deps, create_app
from gridwing.cluster import DatabaseUrls
from gridwing.eyes import load_blur
from gridwing.stream import RESUME_LIMIT_ENTRIES, Stream
from gridwing.web_server import serve
from models.noted import Noted, with_note
from runtime.access import Role
from runtime.access.accounts import HASHER, Account, Accounts, save_accounts
from runtime.clock import wall_clock
from runtime.database import Pool, open_pool
from runtime.evidence import EvidenceStore
from runtime.ledger import PostgresLedger, sequence_step
from simulators.district import generate

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
PASSWORD = "correct horse"
DISTRICT = generate(7)
RESPONDER = DISTRICT.responders[0]


@dataclass(frozen=True)
class Site:
    """A running web part and a service's pool beside it."""

    address: str
    pool: Pool
    ledger: PostgresLedger
    owner_url: str

    @asynccontextmanager
    async def visitor(self, account: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
        async with httpx.AsyncClient(base_url=self.address, trust_env=False, timeout=20) as client:
            if account is not None:
                body = {"account": account, "password": PASSWORD}
                (await client.post("/api/login", json=body)).raise_for_status()
                client.headers["x-csrf-token"] = client.cookies["gridwing_csrf"]
            yield client

    async def write(self, stream: str, *events: Event) -> None:
        async with self.ledger.transaction() as tx:
            await tx.append(stream, events, at=AT, actor="alerts")
        assert await sequence_step(self.pool) > 0


@asynccontextmanager
async def serving(deps: Deps) -> AsyncIterator[str]:
    config = uvicorn.Config(
        create_app(deps), log_level="warning", ws="none", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as door:
        task = asyncio.create_task(server.serve([door]))
        tail = asyncio.create_task(deps.stream.run())
        try:
            yield f"http://127.0.0.1:{door.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task
            tail.cancel()
            await asyncio.gather(tail, return_exceptions=True)


def pages_in(folder: Path) -> Path:
    (folder / "assets").mkdir(parents=True)
    for name in ("index.html", "m.html", "assets/console.js"):
        (folder / name).write_text(name)
    return folder


@pytest.fixture
async def site(database_urls: DatabaseUrls, tmp_path: Path) -> AsyncIterator[Site]:
    people = [
        Account("duty", Role.OPERATOR, "值班员", None),
        Account("audit", Role.AUDITOR, "审计", None),
        Account("worker", Role.GRID_WORKER, "网格员", RESPONDER.responder_id),
    ]
    hashed = HASHER.hash(PASSWORD)
    with psycopg.connect(database_urls.owner) as connection:
        save_accounts(connection, [(a, hashed) for a in people])
    async with open_pool(database_urls.app) as app, open_pool(database_urls.service) as service:
        ledger = PostgresLedger(app)
        deps = Deps(
            accounts=Accounts(app),
            ledger=ledger,
            stream=Stream(ledger, app),
            evidence=EvidenceStore(tmp_path / "evidence"),
            district=lambda: DISTRICT,
            clock=wall_clock(),
            routers=(),
            blur=load_blur().blur,
            pages=pages_in(tmp_path / "pages"),
        )
        async with serving(deps) as address:
            yield Site(address, service, PostgresLedger(service), database_urls.owner)


def picture(width: int = 64) -> bytes:
    sink = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "where I live"
    Image.new("RGB", (width, 48), (200, 30, 30)).save(sink, "JPEG", exif=exif)
    return sink.getvalue()


def reported(cell: str, *pictures: str, name: str = "i-1") -> IncidentReported:
    place = Position(22.54, 113.35)
    return IncidentReported(
        name, HazardKind.FIRE, Severity.CRITICAL, place, cell, None, "watch", "h", pictures
    )


class Listener:
    """One SSE connection, read message by message."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()

    async def next(self, event: str) -> tuple[str | None, str]:
        """Return (id, data) of the next message of that event."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(15):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if line:
                    fields[name] = value
                    continue
                if fields.get("event") == event:
                    return fields.get("id"), fields["data"]
                fields = {}
        raise EOFError


@asynccontextmanager
async def listening(client: httpx.AsyncClient, **headers: str) -> AsyncIterator[Listener]:
    async with client.stream("GET", "/api/stream", headers=headers) as response:
        response.raise_for_status()
        yield Listener(response)


async def test_nobody_is_let_in_without_a_session(site: Site) -> None:
    paths = ["/api/me", "/api/district", "/api/positions", "/api/stream", "/api/evidence/aa"]
    async with site.visitor() as client:
        for path in paths:
            answer = await client.get(path)
            assert answer.status_code == 401, path
            assert answer.headers["content-type"] == "application/problem+json"
            assert "default-src 'self'" in answer.headers["content-security-policy"]
        wrong = await client.post("/api/login", json={"account": "duty", "password": "no"})
        assert wrong.status_code == 401
        odd = await client.post("/api/login", json={"account": "duty"})
        assert odd.status_code == 422
        assert odd.json()["fields"][0]["field"] == "password"
        assert (await client.get("/healthz")).json() == {"status": "alive"}
        assert (await client.get("/readyz")).json() == {"position": 0}
        assert "gridwing_http_requests_total" in (await client.get("/metrics")).text


async def test_pages_are_given_to_everybody_and_nothing_beside_them(site: Site) -> None:
    wanted = {
        "/": (200, "index.html"),
        "/m": (200, "m.html"),
        "/assets/console.js": (200, "assets/console.js"),
        "/assets/../../evidence": (404, None),
        "/%2e%2e/evidence": (404, None),
        "/api/nothing": (404, None),
    }
    async with site.visitor() as client:
        for path, (status, text) in wanted.items():
            answer = await client.get(path)
            assert answer.status_code == status, path
            assert text is None or answer.text == text
        described = (await client.get("/api/openapi.json")).json()
    assert "/api/evidence/{sha256}" in described["paths"]


async def test_in_and_out_again(site: Site) -> None:
    async with site.visitor("duty") as client:
        me = (await client.get("/api/me")).json()
        assert (me["account"], me["role"]) == ("duty", "operator")
        cookies = {c.name: c for c in client.cookies.jar}
        assert cookies["gridwing_session"].has_nonstandard_attr("HttpOnly")
        token = client.headers.pop("x-csrf-token")
        assert (await client.post("/api/logout")).status_code == 403
        kept = client.cookies["gridwing_session"]
        headers = {"x-csrf-token": token}
        assert (await client.post("/api/logout", headers=headers)).status_code == 200
        client.cookies.set("gridwing_session", kept)
        assert (await client.get("/api/me")).status_code == 401


async def test_the_district_comes_without_addresses_or_people(site: Site) -> None:
    async with site.visitor("worker") as client:
        plain = (await client.get("/api/district")).json()
    assert len(plain["cells"]) == len(DISTRICT.cells)
    assert "responders" not in plain
    assert all("address" not in one for one in (*plain["cameras"], *plain["drones"]))


async def test_a_picture_is_cleaned_kept_shown_and_the_viewing_written_down(site: Site) -> None:
    async with site.visitor("duty") as client:
        answer = await client.post("/api/evidence", content=picture())
        sha256 = answer.json()["sha256"]
        missing = await client.get(f"/api/evidence/{sha256}")
        assert missing.status_code == 422
        assert missing.json()["fields"][0]["field"] == "purpose"
        curious = await client.get(f"/api/evidence/{sha256}?purpose=curiosity")
        assert curious.status_code == 422
        shown = await client.get(f"/api/evidence/{sha256}?purpose=review")
        gone = await client.get(f"/api/evidence/{'0' * 64}?purpose=review")
        assert gone.status_code == 404
    with Image.open(io.BytesIO(shown.content)) as seen:
        assert (seen.format, dict(seen.getexif())) == ("JPEG", {})
    assert await sequence_step(site.pool) == 1
    (entry,) = await site.ledger.read(0)
    assert (entry.event, entry.actor) == (EvidenceViewed(sha256, "review"), "duty")


async def test_boxes_are_drawn_when_a_picture_is_looked_at_and_stored_is_as_kept(
    site: Site, tmp_path: Path
) -> None:
    jpeg = with_note(picture(), Noted((Detection("fire", 0.9, 2, 2, 12, 12),)))
    sha256 = EvidenceStore(tmp_path / "evidence").put_now(jpeg)
    async with site.visitor("duty") as client:
        url = f"/api/evidence/{sha256}?purpose=audit"
        shown, stored = await client.get(url), await client.get(f"{url}&stored=true")
    assert stored.content == jpeg
    assert shown.content != jpeg
    with Image.open(io.BytesIO(shown.content)) as seen:
        assert seen.format == "JPEG"


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"no picture", 422), (b"", 422), (picture()[:200], 422), (b"x" * (8 * 1024**2 + 1), 413)],
)
async def test_what_is_no_picture_is_refused(site: Site, content: bytes, status: int) -> None:
    async with site.visitor("duty") as client:
        assert (await client.post("/api/evidence", content=content)).status_code == status


async def test_in_the_field_only_ones_own_pictures(site: Site) -> None:
    async with site.visitor("duty") as desk, site.visitor("worker") as field:
        posts = [await desk.post("/api/evidence", content=picture(w)) for w in (64, 80)]
        mine, other = (post.json()["sha256"] for post in posts)
        own_cell = RESPONDER.area_codes[0]
        async with listening(field) as heard:
            await site.write("incident/i-2", reported("elsewhere", other, name="i-2"))
            await site.write("incident/i-1", reported(own_cell, mine))
            position, data = await heard.next("entry")
        assert position == "2"
        assert '"i-1"' in data
        query = "?purpose=handling"
        assert (await field.get(f"/api/evidence/{mine}{query}")).status_code == 200
        assert (await field.get(f"/api/evidence/{other}{query}")).status_code == 403


async def test_a_screen_that_comes_back_is_given_what_it_missed(site: Site) -> None:
    async with site.visitor("duty") as client:
        async with listening(client) as heard:
            await site.write("incident/a", IncidentFiled("a"))
            assert (await heard.next("entry"))[0] == "1"
        await site.write("incident/b", IncidentFiled("b"))
        await site.write("incident/c", IncidentFiled("c"))
        async with listening(client, **{"last-event-id": "1"}) as heard:
            assert [(await heard.next("entry"))[0] for _ in range(2)] == ["2", "3"]
        async with listening(client, **{"last-event-id": "99"}) as heard:
            assert (await heard.next("reset"))[0] == "3"


async def test_who_was_away_too_long_is_told_to_start_anew(site: Site) -> None:
    count = RESUME_LIMIT_ENTRIES + 1
    async with site.visitor("duty") as client:
        async with site.ledger.transaction() as tx:
            await tx.append("incident/a", [IncidentFiled("a")] * count, at=AT, actor="t")
        while await sequence_step(site.pool) > 0:
            pass
        async with listening(client) as heard:
            await site.write("incident/b", IncidentFiled("b"))
            while (await heard.next("entry"))[0] != str(count + 1):
                pass
        async with listening(client, **{"last-event-id": "0"}) as heard:
            assert (await heard.next("reset"))[0] == str(count + 1)
        async with listening(client, **{"last-event-id": "2"}) as heard:
            assert (await heard.next("entry"))[0] == "3"


async def test_the_stream_ends_when_the_session_does(site: Site) -> None:
    async with site.visitor("duty") as client, listening(client) as heard:
        with psycopg.connect(site.owner_url) as connection:
            connection.execute("UPDATE account SET disabled = true WHERE account = 'duty'")
        with pytest.raises(EOFError):
            await heard.next("entry")


async def test_a_failing_task_beside_the_server_ends_it() -> None:
    async def fail() -> None:
        await asyncio.sleep(0.2)
        raise KeyError("tail")

    async with asyncio.timeout(10):
        with pytest.raises(ExceptionGroup) as caught:
            await serve(FastAPI(), "127.0.0.1", 0, [fail()])
    assert caught.group_contains(KeyError)


async def test_the_server_ends_its_company_when_it_is_stopped() -> None:
    company = asyncio.get_running_loop().create_future()

    async def stay() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            company.set_result(None)

    task = asyncio.create_task(serve(FastAPI(), "127.0.0.1", 0, [stay()]))
    await asyncio.sleep(0.3)
    task.cancel()
    async with asyncio.timeout(10):
        await asyncio.gather(task, return_exceptions=True)
    assert company.done()
