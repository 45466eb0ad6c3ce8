"""Patrol's read tables: one contract on PostgreSQL and in memory, and what survives a refold."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from domain.events import (
    CellSeen,
    Event,
    FlightProgressed,
    IncidentClosed,
    IncidentDismissed,
    IncidentFiled,
    IncidentReported,
    LookConcluded,
    MissionDiverted,
    MissionEnded,
    MissionPlanned,
    MissionStepAnswered,
    MissionStepIntended,
    VerificationRequested,
)
from domain.hazard import HazardKind, Severity
from domain.incident import CloseOutcome
from domain.mission import (
    LookOutcome,
    Mission,
    MissionOutcome,
    MissionPurpose,
    MissionState,
    MissionTheme,
    Wayline,
    Waypoint,
)
from runtime.database import open_pool
from runtime.follower import follow_once
from runtime.ledger import Ledger, PostgresLedger, sequence_step
from runtime.ledger_memory import MemoryLedger
from services.patrol.demand import CellVisits
from services.patrol.dock_store import DockStore, MemoryDockStore, PostgresDockStore
from services.patrol.flight import opened
from services.patrol.flight_areas import AreaDistance, AreaSync, area_file
from services.patrol.fold import Fold
from services.patrol.history import PastIncident
from services.patrol.media import MediaFile
from services.patrol.policy import PatrolPolicy
from services.patrol.store import DroneTakenError, PatrolStore, PostgresPatrolStore
from services.patrol.store_memory import MemoryPatrolStore
from tests.core.patrol_scene import EPOCH, FRAME, ORIGIN, district, no_fly

DISTRICT = district()
CELLS = tuple(c.code for c in DISTRICT.cells)


@dataclass
class Ground:
    ledger: Ledger
    store: PatrolStore
    pool: Any = None

    async def tell(self, stream: str, *events: Event) -> None:
        async with self.ledger.transaction() as tx:
            await tx.append(stream, events, at=EPOCH, actor="patrol")

    async def fold(self, store: PatrolStore | None = None, name: str = "patrol") -> None:
        if self.pool is not None:
            while await sequence_step(self.pool) > 0:
                pass
        fold = Fold(store or self.store, DISTRICT, PatrolPolicy())
        while (await follow_once(self.ledger, name, fold.entry))[1]:
            pass


@pytest.fixture(params=["memory", "postgres"])
async def ground(request: pytest.FixtureRequest) -> AsyncIterator[Ground]:
    if request.param == "memory":
        yield Ground(MemoryLedger(), MemoryPatrolStore())
        return
    urls = request.getfixturevalue("database_urls")
    async with open_pool(urls.service) as pool:
        yield Ground(PostgresLedger(pool), PostgresPatrolStore(pool), pool)


def mission(mission_id: str, purpose: MissionPurpose = MissionPurpose.PATROL) -> Mission:
    points = tuple(
        Waypoint(FRAME.to_position(x, 0.0), 90.0, 12.0, cell_code=CELLS[0]) for x in (0, 50, 100)
    )
    look = purpose is not MissionPurpose.PATROL
    return Mission(
        mission_id,
        purpose,
        "DOCK1",
        "DRONE1",
        EPOCH,
        () if look else CELLS,
        Wayline(points, 100.0, 20.0),
        "i1" if look else None,
        None,
        ORIGIN if look else None,
        "",
        HazardKind.FIRE if look else None,
    )


async def test_a_flight_is_kept_whole(ground: Ground) -> None:
    flight = opened(MissionPlanned(mission("m1")), EPOCH, None)
    async with ground.ledger.transaction() as tx:
        await ground.store.put(tx, flight, b"kmz")
    assert await ground.store.flight("m1") == flight
    assert await ground.store.open_flights() == [flight]
    async with ground.ledger.transaction() as tx:
        assert await ground.store.locked(tx, "m1") == flight
        await ground.store.put(tx, replace(flight, percent=40))
    assert await ground.store.kmz("m1") == b"kmz"
    assert await ground.store.flights() == [replace(flight, percent=40)]
    assert await ground.store.flight("m9") is None
    assert await ground.store.kmz("m9") is None


async def test_a_drone_has_one_open_sortie(ground: Ground) -> None:
    first = opened(MissionPlanned(mission("m1")), EPOCH, None)
    second = opened(MissionPlanned(mission("m2")), EPOCH, None)
    async with ground.ledger.transaction() as tx:
        await ground.store.put(tx, first)
    with pytest.raises(DroneTakenError):
        async with ground.ledger.transaction() as tx:
            await ground.store.put(tx, second)
    look = opened(MissionPlanned(mission("m3", MissionPurpose.VERIFY)), EPOCH, "m1")
    async with ground.ledger.transaction() as tx:
        await ground.store.put(tx, look)
        await ground.store.put(tx, replace(first, state=MissionState.ENDED))
        await ground.store.put(tx, second)
    assert {f.mission.mission_id for f in await ground.store.open_flights()} == {"m2", "m3"}


async def write_and_fail(ground: Ground) -> None:
    async with ground.ledger.transaction() as tx:
        await ground.store.put(tx, opened(MissionPlanned(mission("m1")), EPOCH, None))
        await ground.store.saw(tx, CELLS[0], EPOCH)
        raise KeyError


async def test_what_is_rolled_back_was_never_there(ground: Ground) -> None:
    with pytest.raises(KeyError):
        await write_and_fail(ground)
    assert await ground.store.flight("m1") is None
    assert await ground.store.visits() == {}


async def test_visits_keep_the_latest(ground: Ground) -> None:
    late = EPOCH + timedelta(seconds=60)
    async with ground.ledger.transaction() as tx:
        await ground.store.saw(tx, CELLS[0], late)
        await ground.store.saw(tx, CELLS[0], EPOCH)
        await ground.store.flew(tx, CELLS[:2], EPOCH)
        await ground.store.flew(tx, CELLS[:1], late)
    visits = await ground.store.visits()
    assert visits[CELLS[0]].seen_at == late
    assert (visits[CELLS[0]].flown_at, visits[CELLS[0]].flown_count) == (late, 2)
    assert (visits[CELLS[1]].seen_at, visits[CELLS[1]].flown_count) == (None, 1)


async def test_the_secret_stays_the_same(ground: Ground) -> None:
    assert await ground.store.secret() == await ground.store.secret() != ""


async def tell_a_day(ground: Ground) -> None:
    """A patrol, turned aside for a look, and a wish that comes too often."""
    progress = FlightProgressed("m1", "DOCK1", "in_progress", 25, None, 1, None, 0, EPOCH)
    wish = VerificationRequested("i1", HazardKind.FIRE, ORIGIN, 1)
    await ground.tell("incident/i1", wish, replace(wish, attempt=2))
    await ground.fold()
    look_id = (await ground.store.looks())[0].mission_id()
    look = replace(mission("", MissionPurpose.VERIFY), mission_id=look_id)
    await ground.tell(
        "mission/m1",
        MissionPlanned(mission("m1")),
        MissionStepIntended("m1", "DOCK1", "execute", "t1"),
        MissionStepAnswered("m1", "execute", "t1", 0),
    )
    await ground.tell("flight/m1", progress)
    await ground.tell("mission/m1", MissionDiverted("m1", look_id, (), "eta_s=9"))
    await ground.tell(f"mission/{look_id}", MissionPlanned(look))
    concluded = LookConcluded(
        look_id, look.purpose, "i1", None, LookOutcome.REFUTED, 6, 0, (), EPOCH
    )
    await ground.tell(f"look/{look_id}", concluded)
    await ground.tell(f"mission/{look_id}", MissionEnded(look_id, MissionOutcome.COMPLETED, ""))
    await ground.tell(f"cell/{CELLS[0]}", CellSeen(CELLS[0], "m1", "DRONE1", 0.95, EPOCH))
    await ground.tell("mission/m1", MissionEnded("m1", MissionOutcome.COMPLETED, "dock_ok"))


async def test_the_ledger_folds_into_flights_looks_and_visits(ground: Ground) -> None:
    await tell_a_day(ground)
    await ground.fold()
    flights = {f.mission.mission_id: f for f in await ground.store.flights()}
    patrol = flights.pop("m1")
    (look,) = flights.values()
    assert patrol.outcome is look.outcome is MissionOutcome.COMPLETED
    assert look.carrier_id == "m1"
    assert look.concluded is LookOutcome.REFUTED
    assert await ground.store.looks() == []
    visits = await ground.store.visits()
    assert visits[CELLS[0]].seen_at == EPOCH
    assert {code: v.flown_count for code, v in visits.items()} == dict.fromkeys(CELLS, 1)
    assert await ground.store.kmz("m1") is not None


async def test_read_tables_dropped_and_refolded_are_the_same(ground: Ground) -> None:
    await tell_a_day(ground)
    await ground.fold()
    before = (
        await ground.store.flights(),
        await ground.store.visits(),
        await ground.store.kmz("m1"),
    )
    store: PatrolStore = MemoryPatrolStore()
    if ground.pool is not None:
        store = ground.store
        async with ground.pool.connection() as connection:
            await connection.execute("DELETE FROM patrol_flight")
            await connection.execute("DELETE FROM patrol_visit")
            await connection.execute("DELETE FROM patrol_look")
    await ground.fold(store, "patrol-again")
    assert (await store.flights(), await store.visits(), await store.kmz("m1")) == before


async def test_what_was_applied_at_once_is_not_applied_again(ground: Ground) -> None:
    """The commander applies its own events in the transaction that appends them."""
    fold = Fold(ground.store, DISTRICT, PatrolPolicy())
    planned = MissionPlanned(mission("m1"))
    intended = MissionStepIntended("m1", "DOCK1", "prepare", "t1")
    async with ground.ledger.transaction() as tx:
        await tx.append("mission/m1", [planned, intended], at=EPOCH, actor="patrol")
        await fold.event(tx, planned, EPOCH, 1)
        await fold.event(tx, intended, EPOCH, 2)
    before = await ground.store.flight("m1")
    await ground.fold()
    assert await ground.store.flight("m1") == before
    assert before is not None
    assert len(before.steps) == 1


async def test_a_look_that_failed_is_wanted_again(ground: Ground) -> None:
    wish = VerificationRequested("i1", HazardKind.FIRE, ORIGIN, 1)
    await ground.tell("incident/i1", wish)
    await ground.fold()
    (look,) = await ground.store.looks()
    planned = replace(mission("", MissionPurpose.VERIFY), mission_id=look.mission_id())
    failed = MissionEnded(look.mission_id(), MissionOutcome.FAILED, "takeoff_refused")
    await ground.tell(f"mission/{look.mission_id()}", MissionPlanned(planned), failed)
    await ground.fold()
    assert await ground.store.looks() == [replace(look, tries=1)]


def reported(incident_id: str, cell_code: str | None = CELLS[0]) -> IncidentReported:
    return IncidentReported(
        incident_id, HazardKind.FIRE, Severity.HIGH, ORIGIN, cell_code, None, "drone", "h1", ()
    )


async def test_filed_incidents_are_history_until_they_prove_to_be_none(ground: Ground) -> None:
    for name in ("i1", "i2", "i3", "i4"):
        await ground.tell(f"incident/{name}", reported(name))
    await ground.tell("incident/i5", reported("i5", None), IncidentFiled("i5"))
    for name in ("i1", "i2", "i3"):
        await ground.tell(f"incident/{name}", IncidentFiled(name))
    await ground.tell("incident/i2", IncidentDismissed("i2", CloseOutcome.FALSE_ALARM))
    await ground.tell("incident/i3", IncidentClosed("i3", CloseOutcome.UNFOUNDED))
    await ground.tell("incident/i1", IncidentClosed("i1", CloseOutcome.HANDLED))
    await ground.fold()
    assert await ground.store.incidents(EPOCH) == [PastIncident("i1", CELLS[0], EPOCH)]
    assert await ground.store.incidents(EPOCH + timedelta(seconds=1)) == []


async def test_old_incidents_are_forgotten(ground: Ground) -> None:
    late = EPOCH + timedelta(days=200)
    async with ground.ledger.transaction() as tx:
        await ground.store.reported(tx, PastIncident("i1", CELLS[0], EPOCH), EPOCH)
        await ground.store.filed(tx, "i1")
        await ground.store.reported(tx, PastIncident("i1", CELLS[1], late), EPOCH)
    assert await ground.store.incidents(EPOCH) == [PastIncident("i1", CELLS[0], EPOCH)]
    async with ground.ledger.transaction() as tx:
        await ground.store.reported(tx, PastIncident("i2", CELLS[1], late), late)
        await ground.store.filed(tx, "i2")
    assert await ground.store.incidents(EPOCH) == [PastIncident("i2", CELLS[1], late)]


def over_sites(mission_id: str) -> Mission:
    flown = mission(mission_id)
    points = tuple(
        replace(w, site_code=f"ST{i}", hover_s=8.0)
        for i, w in enumerate(flown.wayline.waypoints)
    )
    return replace(flown, wayline=replace(flown.wayline, waypoints=points))


async def test_sites_flown_over_are_remembered(ground: Ground) -> None:
    part = FlightProgressed("m1", "DOCK1", "in_progress", 25, 50, 1, None, 0, EPOCH)
    await ground.tell("mission/m1", MissionPlanned(over_sites("m1")))
    await ground.tell("flight/m1", part)
    await ground.tell("mission/m1", MissionEnded("m1", MissionOutcome.PARTIAL, "wind"))
    await ground.fold()
    assert await ground.store.site_visits() == {"ST0": EPOCH, "ST1": EPOCH}
    await ground.tell("mission/m2", MissionPlanned(over_sites("m2")))
    await ground.tell("mission/m2", MissionEnded("m2", MissionOutcome.FAILED, "refused"))
    await ground.fold()
    assert "ST2" not in await ground.store.site_visits()
    async with ground.ledger.transaction() as tx:
        await ground.store.hovered(tx, ["ST0", "ST2"], EPOCH - timedelta(seconds=9))
    assert (await ground.store.site_visits())["ST0"] == EPOCH


async def test_a_flight_for_a_theme_counts_for_the_theme_alone(ground: Ground) -> None:
    theme = MissionTheme("river", "河涌", 75.0, (HazardKind.FLOATING_DEBRIS,))
    for name in ("m1", "m2"):
        flown = replace(mission(name), theme=theme)
        await ground.tell(f"mission/{name}", MissionPlanned(flown))
        await ground.tell(f"mission/{name}", MissionEnded(name, MissionOutcome.COMPLETED, "ok"))
    await ground.fold()
    cells = dict.fromkeys(mission("m1").cell_codes, CellVisits(EPOCH, EPOCH, 2))
    assert await ground.store.theme_visits() == {"river": cells}
    assert await ground.store.visits() == {}
    kept = await ground.store.flight("m2")
    assert kept is not None
    assert kept.mission.theme == theme


@pytest.fixture(params=["postgres", "memory"])
async def docks(request: pytest.FixtureRequest) -> AsyncIterator[DockStore]:
    if request.param == "memory":
        yield MemoryDockStore()
        return
    urls = request.getfixturevalue("database_urls")
    async with open_pool(urls.service) as pool:
        yield PostgresDockStore(pool)


async def test_areas_and_media_of_docks_are_kept(docks: DockStore) -> None:
    file = area_file([no_fly(0.0, 0.0, 50.0, 50.0)])
    await docks.keep_areas(file)
    await docks.keep_areas(file)
    assert await docks.areas(file.name) == file.body
    assert await docks.areas("geofence_0.json") is None
    near = (AreaDistance("NF1", 12.5, True),)
    sync = AreaSync("DOCK1", file.checksum, "synchronized", 0, EPOCH, 2, near, EPOCH)
    await docks.put_sync(AreaSync("DOCK1"))
    await docks.put_sync(sync)
    assert await docks.syncs() == {"DOCK1": sync}
    media = MediaFile("m1", "m1/a.mp4", "a.mp4", 1, 2, EPOCH)
    await docks.keep_media(media)
    await docks.keep_media(replace(media, uploaded=2))
    assert await docks.media("m1") == [replace(media, uploaded=2)]
    assert await docks.media("m2") == []
