"""A database from before patrol kept incidents and zones' announcements, brought up to date."""

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.types.json import Json

from domain.codec import to_plain
from domain.events import (
    AirspaceAnnounced,
    Event,
    IncidentClosed,
    IncidentDismissed,
    IncidentFiled,
    IncidentReported,
)
from domain.hazard import HazardKind, Severity
from domain.incident import CloseOutcome
from domain.place import AirspaceKind
from gridwing.cluster import DatabaseUrls
from runtime import database
from runtime.database import MIGRATIONS, migrate, open_pool
from runtime.follower import follow_once
from runtime.ledger import PostgresLedger, sequence_step
from services.patrol.fold import Fold
from services.patrol.policy import PatrolPolicy
from services.patrol.sky.standing import Zone
from services.patrol.store import PostgresPatrolStore
from services.patrol.store_memory import MemoryPatrolStore
from tests.core.patrol_scene import EPOCH, ORIGIN, district, no_fly

DISTRICT = district()
CELL = DISTRICT.cells[0].code
LONG_AGO = EPOCH - timedelta(days=113)
ZONE = replace(
    no_fly(0.0, 0.0, 50.0, 50.0),
    kind=AirspaceKind.TEMPORARY,
    valid_from=EPOCH,
    valid_to=EPOCH + timedelta(days=2),
)


def reported(name: str, kind: HazardKind = HazardKind.FIRE, cell: str | None = CELL) -> Event:
    return IncidentReported(
        name, kind, Severity.HIGH, ORIGIN, cell, None, "drone", f"h-{name}", ()
    )


STORY: tuple[tuple[str, tuple[Event, ...]], ...] = (
    ("handled", (IncidentFiled("handled"), IncidentClosed("handled", CloseOutcome.HANDLED))),
    ("open", (IncidentFiled("open"),)),
    ("not-filed", ()),
    ("false", (IncidentFiled("false"), IncidentClosed("false", CloseOutcome.FALSE_ALARM))),
    ("none", (IncidentFiled("none"), IncidentClosed("none", CloseOutcome.UNFOUNDED))),
    ("dismissed", (IncidentDismissed("dismissed", CloseOutcome.HANDLED),)),
)


async def told(ledger: PostgresLedger) -> None:
    async with ledger.transaction() as tx:
        for name, later in STORY:
            await tx.append(f"incident/{name}", [reported(name), *later], at=EPOCH, actor="alerts")
        device, nowhere = reported("d", HazardKind.DEVICE_FAULT), reported("n", cell=None)
        await tx.append("incident/d", [device, IncidentFiled("d")], at=EPOCH, actor="alerts")
        await tx.append("incident/n", [nowhere, IncidentFiled("n")], at=EPOCH, actor="alerts")
        old = [reported("old"), IncidentFiled("old")]
        await tx.append("incident/old", old, at=LONG_AGO, actor="alerts")
        await tx.append("airspace/NF1", [AirspaceAnnounced(ZONE)], at=EPOCH, actor="op-1")


async def test_what_was_read_before_is_found_again(
    blank_database_urls: DatabaseUrls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = blank_database_urls
    for path in sorted(MIGRATIONS.glob("[0-9]*.sql")):
        if path.name < "0015":
            shutil.copy(path, tmp_path)
    monkeypatch.setattr(database, "MIGRATIONS", tmp_path)
    migrate(urls.owner)
    async with open_pool(urls.service) as pool:
        await told(PostgresLedger(pool))
    with psycopg.connect(urls.owner) as connection:
        connection.execute(
            "INSERT INTO patrol_sky VALUES ('airspace/NF1', 1, %s, %s)",
            [Json(to_plain(ZONE)), ZONE.valid_to],
        )
    monkeypatch.setattr(database, "MIGRATIONS", MIGRATIONS)
    assert "0015_patrol_backfill.sql" in migrate(urls.owner)
    async with open_pool(urls.service) as pool:
        while await sequence_step(pool) > 0:
            pass
        ledger, store = PostgresLedger(pool), PostgresPatrolStore(pool)
        found, zones = await store.incidents(LONG_AGO), await store.sky.rows(EPOCH)
        assert {i.incident_id for i in found} == {"handled", "open"}
        assert [row.state for row in zones] == [Zone(ZONE, EPOCH, "op-1")]
        # The follower's own way to the same rows, and once more over those that were found.
        folded = MemoryPatrolStore()
        for name, into in (("again", folded), ("patrol", store)):
            fold = Fold(into, DISTRICT, PatrolPolicy())
            while (await follow_once(ledger, name, fold.entry))[1]:
                pass
            assert await into.incidents(EPOCH) == found
            assert await into.sky.rows(EPOCH) == zones
