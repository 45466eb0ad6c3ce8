"""A simulated responder's phone against the composed application: login to hand-back."""

import asyncio
from pathlib import Path

import httpx
import psycopg

from domain.hazard import HazardKind
from domain.responder import Force
from gridwing.app import Deps, create_app
from gridwing.cluster import DatabaseUrls
from gridwing.eyes import load_blur
from gridwing.stream import Stream
from runtime.access import Principal, Role
from runtime.access.accounts import Account, Accounts, password_hash, save_accounts
from runtime.access.http import current_principal
from runtime.clock import wall_clock
from runtime.database import open_pool
from runtime.evidence import EvidenceStore
from runtime.ledger import PostgresLedger
from services.alerts.api import router
from services.alerts.desk import Desk
from services.alerts.store import PostgresAlertStore
from simulators.district import generate
from simulators.phone import HttpPhone

DISTRICT = generate(7)
WORKER = next(r for r in DISTRICT.responders if r.force is Force.GRID)
PASSWORD = "a worker's own"


async def test_a_phone_takes_a_task_from_login_to_hand_back(
    database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    account = Account(WORKER.account, Role.GRID_WORKER, WORKER.call_sign, WORKER.responder_id)
    with psycopg.connect(database_urls.owner) as connection:
        save_accounts(connection, [(account, password_hash(PASSWORD))])
    async with open_pool(database_urls.app) as pool:
        ledger, clock = PostgresLedger(pool), wall_clock()
        desk = Desk(ledger, PostgresAlertStore(pool), DISTRICT, clock)
        deps = Deps(
            accounts=Accounts(pool),
            ledger=ledger,
            stream=Stream(ledger, pool),
            evidence=EvidenceStore(tmp_path),
            district=lambda: DISTRICT,
            clock=clock,
            routers=(router(desk, current_principal),),
            blur=load_blur().blur,
        )
        transport = httpx.ASGITransport(create_app(deps))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            phone = HttpPhone(client, WORKER.account, PASSWORD, asyncio.Semaphore(1))
            assert await phone.duty(on=True)
            assert await phone.position(WORKER.home)
            operator = Principal("operator-1", Role.OPERATOR)
            reported = await desk.report(operator, HazardKind.EXPOSED_RUBBISH, WORKER.home)
            name = reported.incident_id  # type: ignore[union-attr]
            await desk.dispatch(operator, name, WORKER.responder_id)
            (task,) = await phone.tasks()
            assert task.kind is HazardKind.EXPOSED_RUBBISH
            assert await phone.accept(task.dispatch_id)
            assert await phone.arrive(task.dispatch_id)
            sha = await phone.photo(_picture())
            assert sha is not None
            assert await phone.hand_back(task.dispatch_id, [sha])
            assert await phone.tasks() == []
            assert not await phone.arrive("dispatch-of-another")
        incident = await desk.incident(operator, name)
    assert incident.incident.state == "feedback"  # type: ignore[union-attr]
    assert sha in incident.incident.evidence  # type: ignore[union-attr]


def _picture() -> bytes:
    from io import BytesIO

    from PIL import Image

    buffer = BytesIO()
    Image.new("RGB", (64, 48), (90, 120, 80)).save(buffer, "JPEG")
    return buffer.getvalue()
