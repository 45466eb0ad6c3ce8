"""The alerts part and the desk on the real PostgreSQL, each with its own role."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from domain.events import (
    Event,
    HazardRaised,
    HazardRenewed,
    LookConcluded,
    VerificationRequested,
)
from domain.hazard import Hazard, HazardKind
from domain.ids import derive
from domain.incident import CloseOutcome, Incident, IncidentState, VerifiedBy
from domain.mission import LookOutcome, MissionPurpose
from domain.place import ErrorEllipse, Position
from domain.responder import DispatchState, Force
from gridwing.cluster import DatabaseUrls
from runtime.access import Principal, Role
from runtime.clock import Clock, wall_clock
from runtime.database import Pool, open_pool
from runtime.ledger import PostgresLedger, sequence
from services.alerts.desk import Desk
from services.alerts.loop import AlertPolicy, run
from services.alerts.refold import refold
from services.alerts.rules import load_rules
from services.alerts.store import PostgresAlertStore
from simulators.district import generate

DISTRICT = generate(7)
RULES = load_rules()
OPERATOR = Principal("operator-1", Role.OPERATOR)
WAIT_S = 15.0


@dataclass
class House:
    ledger: PostgresLedger
    store: PostgresAlertStore
    desk: Desk
    clock: Clock
    pool: Pool

    async def say(self, stream: str, event: Event) -> None:
        async with self.ledger.transaction() as tx:
            await tx.append(stream, [event], at=self.clock.now(), actor="watch")

    async def raise_hazard(self, number: int = 1) -> Hazard:
        hazard = hazard_at(self.clock, number)
        await self.say(f"hazard/{hazard.hazard_id}", HazardRaised(hazard))
        return hazard

    async def everybody_on_duty(self) -> None:
        for responder in DISTRICT.responders:
            assert await self.desk.duty(principal(responder.responder_id), on_duty=True) is None

    async def until(self, holds: Callable[[Incident], bool], hazard: Hazard) -> Incident:
        """Wait for the hazard's incident to come to a condition."""
        async with asyncio.timeout(WAIT_S):
            while True:
                incident = await self.store.get(derive("incident", hazard.hazard_id))
                if incident is not None and holds(incident):
                    return incident
                await asyncio.sleep(0.02)

    async def numbered(self) -> None:
        """Wait until the sequencer has numbered every committed row."""
        async with asyncio.timeout(WAIT_S):
            while True:
                async with self.pool.connection() as connection:
                    row = await (
                        await connection.execute(
                            "SELECT (SELECT count(*) FROM ledger) = position FROM ledger_head"
                        )
                    ).fetchone()
                if row == (True,):
                    return
                await asyncio.sleep(0.02)

    async def delivered(self) -> None:
        """Wait until the outbox is empty."""
        async with asyncio.timeout(WAIT_S):
            while True:
                if not (await self.store.figures()).outbox_waiting:
                    return
                await asyncio.sleep(0.05)

    async def events(self, incident: Incident) -> list[Event]:
        """Return the incident's events once the sequencer has numbered them all."""
        async with asyncio.timeout(WAIT_S):
            while True:
                entries = await self.ledger.read(0, 500, f"incident/{incident.incident_id}")
                if len(entries) >= incident.version:
                    return [entry.event for entry in entries]
                await asyncio.sleep(0.02)


def principal(responder_id: str) -> Principal:
    responder = next(r for r in DISTRICT.responders if r.responder_id == responder_id)
    roles = {Force.GRID: Role.GRID_WORKER, Force.POLICE_GRID: Role.POLICE_OFFICER}
    role = roles.get(responder.force, Role.PROFESSIONAL)
    return Principal(responder.account, role, responder_id=responder_id)


def hazard_at(clock: Clock, number: int) -> Hazard:
    lon, lat = DISTRICT.cells[40].area.polygons[0][0][0]
    return Hazard(
        hazard_id=derive("hazard", str(number)),
        kind=HazardKind.FIRE,
        position=Position(lat + number * 1e-6, lon),
        ellipse=ErrorEllipse(12.0, 6.0, 30.0),
        score=0.9,
        device_sn=DISTRICT.cameras[0].sn,
        first_seen_at=clock.now(),
        last_seen_at=clock.now(),
        votes=3,
        frames=4,
        cell_code=DISTRICT.cells[40].code,
        other_cell_codes=(),
        evidence=("ab" * 32,),
        frame_completed_wall_s=clock.wall_s(),
    )


@pytest.fixture
async def house(database_urls: DatabaseUrls) -> AsyncIterator[House]:
    real = wall_clock()
    clock = Clock(real.epoch, real.started_wall_s, 60.0)
    async with (
        open_pool(database_urls.service) as pool,
        open_pool(database_urls.app) as app_pool,
        running(sequence(pool)),
    ):
        ledger, store = PostgresLedger(pool), PostgresAlertStore(pool)
        desk = Desk(PostgresLedger(app_pool), PostgresAlertStore(app_pool), DISTRICT, clock, RULES)
        yield House(ledger, store, desk, clock, pool)


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def alerts(house: House) -> Coroutine[Any, Any, None]:
    return run(house.ledger, house.store, DISTRICT, house.clock, AlertPolicy(RULES))


async def tables(pool: Pool) -> list[list[Any]]:
    """Everything that can be told from the ledger again."""
    found = []
    async with pool.connection() as connection:
        for table, order in (
            ("incident", "1"),
            ("incident_cause", "1"),
            ("dispatch", "1"),
            ("incident_timer", "1, 2"),
        ):
            query = f"SELECT t::text FROM (SELECT * FROM {table} ORDER BY {order}) t"
            found.append(await (await connection.execute(query.encode())).fetchall())
    return found


async def handle(house: House, incident: Incident) -> None:
    """The grid worker of the incident accepts, arrives and hands back."""
    mine = next(d for d in incident.dispatches if d.force is Force.GRID)
    who = principal(mine.responder_id)
    steps: tuple[Callable[[], Awaitable[Any]], ...] = (
        lambda: house.desk.accept(who, mine.dispatch_id, "k1"),
        lambda: house.desk.arrive(who, mine.dispatch_id, "k2"),
        lambda: house.desk.hand_back(who, mine.dispatch_id, ("cd" * 32,), "火已扑灭", "k3"),
    )
    for step in steps:
        for _ in range(2):
            assert isinstance(await step(), Incident)


def looked(house: House, incident: Incident, outcome: LookOutcome) -> LookConcluded:
    return LookConcluded(
        derive("mission", incident.incident_id, outcome),
        MissionPurpose.VERIFY,
        incident.incident_id,
        None,
        outcome,
        9,
        0,
        ("ef" * 32,),
        house.clock.now(),
    )


async def test_a_hazard_is_handled_verified_by_flight_and_closed(house: House) -> None:
    await house.everybody_on_duty()
    async with running(alerts(house)):
        hazard = await house.raise_hazard()
        sent = await house.until(lambda i: i.state is IncidentState.DISPATCHED, hazard)
        assert {d.force for d in sent.dispatches} == {
            Force.GRID,
            Force.POLICE_GRID,
            Force.FIRE_POST,
        }
        await handle(house, sent)
        asked = await house.until(lambda i: i.state is IncidentState.VERIFYING, hazard)
        assert any(isinstance(e, VerificationRequested) for e in await house.events(asked))
        still_there = looked(house, asked, LookOutcome.CONFIRMED)
        await house.say(f"look/{still_there.mission_id}", still_there)
        again = await house.until(
            lambda i: i.rework_count == 1 and i.state is IncidentState.DISPATCHED, hazard
        )
        worker = next(
            d
            for d in again.dispatches
            if d.force is Force.GRID and d.state is DispatchState.OFFERED
        )
        who = principal(worker.responder_id)
        for step in (house.desk.accept, house.desk.arrive):
            assert isinstance(await step(who, worker.dispatch_id), Incident)
        assert isinstance(await house.desk.hand_back(who, worker.dispatch_id, ()), Incident)
        asked = await house.until(lambda i: i.state is IncidentState.VERIFYING, hazard)
        gone = looked(house, asked, LookOutcome.REFUTED)
        await house.say(f"look/{gone.mission_id}", gone)
        closed = await house.until(lambda i: i.state is IncidentState.CLOSED, hazard)
        # The outbox empties behind the close.
        await house.delivered()
    assert closed.verified_by is VerifiedBy.FLIGHT
    assert closed.outcome is CloseOutcome.HANDLED
    figures = await house.store.figures()
    assert (figures.closed, figures.verified_by_flight) == (1, 1)
    (latency_s,) = figures.frame_to_dispatch_s
    assert 0.0 < latency_s < 5.0
    detail = await house.desk.incident(OPERATOR, closed.incident_id)
    assert not hasattr(detail, "code")
    assert [note.text for note in await house.store.notes(closed.incident_id)] == ["火已扑灭"]


async def test_refolding_the_ledger_gives_the_same_tables(house: House) -> None:
    await house.everybody_on_duty()
    async with running(alerts(house)):
        hazards = [await house.raise_hazard(n * 1000) for n in range(1, 5)]
        for hazard in hazards:
            await house.until(lambda i: bool(i.dispatches), hazard)
        renewed = HazardRenewed(hazards[0].hazard_id, house.clock.now(), 0.9)
        await house.say(f"hazard/{hazards[0].hazard_id}", renewed)
        first = await house.until(lambda i: i.last_seen_at == renewed.last_seen_at, hazards[0])
        await handle(house, first)
        await house.until(lambda i: i.state is IncidentState.VERIFYING, hazards[0])
    await house.numbered()
    before = await tables(house.pool)
    assert [len(rows) for rows in before] == [4, 4, 12, 4]
    await refold(house.ledger, house.store, RULES)
    assert await tables(house.pool) == before


async def test_an_overdue_timer_fires_once_after_a_restart(house: House) -> None:
    await house.everybody_on_duty()
    async with running(alerts(house)):
        hazard = await house.raise_hazard()
        sent = await house.until(lambda i: bool(i.dispatches), hazard)
    (timer,) = await house.store.timers()
    await house.clock.sleep_until(timer.due_at)
    assert await house.store.get(sent.incident_id) == sent
    async with running(alerts(house)), running(alerts(house)):
        raised = await house.until(lambda i: i.level >= 1, hazard)
        kinds = [e.KIND for e in await house.events(raised)]
    assert kinds.count("incident.escalated") == raised.level == 1
    assert len(raised.dispatches) == 6
    assert {d.reason for d in raised.dispatches[3:]} == {"escalated"}


async def test_a_refused_dispatch_goes_to_the_next_best(house: House) -> None:
    await house.everybody_on_duty()
    async with running(alerts(house)):
        hazard = await house.raise_hazard()
        sent = await house.until(lambda i: bool(i.dispatches), hazard)
        first = next(d for d in sent.dispatches if d.force is Force.GRID)
        who = principal(first.responder_id)
        assert isinstance(await house.desk.refuse(who, first.dispatch_id, "busy"), Incident)
        after = await house.until(lambda i: len(i.dispatches) == 4, hazard)
    assert after.dispatches[-1].force is Force.GRID
    assert after.dispatches[-1].responder_id != first.responder_id


async def test_who_comes_on_duty_later_is_asked_then(house: House) -> None:
    async with running(alerts(house)):
        hazard = await house.raise_hazard()
        short = await house.until(lambda i: len(i.short) == 3, hazard)
        assert short.state is IncidentState.FILED
        await house.everybody_on_duty()
        sent = await house.until(lambda i: len(i.dispatches) >= 3, hazard)
    assert sent.short == ()


async def test_simultaneous_reports_of_one_place_make_one_incident(house: House) -> None:
    at = hazard_at(house.clock, 1).position
    reporters = [replace(OPERATOR, account_id=f"operator-{n}") for n in range(32)]
    answers = await asyncio.gather(
        *(house.desk.report(who, HazardKind.CROWD, at, key="k") for who in reporters),
        *(house.desk.report(who, HazardKind.CROWD, at, key="k") for who in reporters),
    )
    incidents = [a for a in answers if isinstance(a, Incident)]
    assert len(incidents) == 64
    assert len({i.incident_id for i in incidents}) == 1
    final = await house.store.get(incidents[0].incident_id)
    assert final is not None
    assert (final.sightings, final.version) == (32, 32)
