"""Seeded virtual days of the alerts part with crashes: named invariants hold at the end of each."""

import asyncio
from datetime import datetime
from functools import cache

import pytest

from domain.events import (
    DispatchOffered,
    HazardRaised,
    IncidentClosed,
    IncidentFused,
    IncidentReported,
    IncidentVerified,
)
from domain.incident import CloseOutcome, IncidentState, VerifiedBy
from services.alerts.life import is_open
from services.alerts.loop import FOLLOWER
from services.alerts.refold import refold
from services.alerts.rules import load_rules
from services.alerts.store_memory import MemoryAlertStore
from tests.simulation.alert_town import Day, live_a_day

SEEDS = range(1, 6)
RULES = load_rules()


@cache
def day_of(seed: int) -> Day:
    return live_a_day(seed)


@pytest.fixture(params=SEEDS)
def day(request: pytest.FixtureRequest) -> Day:
    return day_of(request.param)


def test_a_day_is_worth_testing(day: Day) -> None:
    states = {i.state for i in day.incidents}
    assert len(day.incidents) > 20
    assert IncidentState.CLOSED in states
    assert day.crashes > 3


def test_every_hazard_is_in_exactly_one_incident(day: Day) -> None:
    raised = [e.event.hazard.hazard_id for e in day.entries if isinstance(e.event, HazardRaised)]
    taken = [
        e.event.cause
        for e in day.entries
        if isinstance(e.event, IncidentReported | IncidentFused)
        and e.event.cause.startswith("hazard-")
    ]
    assert set(taken) == set(raised)
    reopened = sum(
        i.opened_at > e.at
        for e in day.entries
        if isinstance(e.event, IncidentClosed)
        for i in day.incidents
        if i.incident_id != e.event.incident_id and set(i.hazard_ids) & {e.event.incident_id}
    )
    assert reopened == 0


def test_nothing_closes_as_handled_unchecked(day: Day) -> None:
    checked: dict[str, VerifiedBy] = {}
    for entry in day.entries:
        event = entry.event
        if isinstance(event, IncidentVerified):
            checked[event.incident_id] = event.by
        elif isinstance(event, IncidentClosed) and event.outcome is CloseOutcome.HANDLED:
            assert event.incident_id in checked


def test_nothing_open_is_forgotten(day: Day) -> None:
    timed = {t.incident_id for t in asyncio.run(day.store.timers())}
    for incident in day.incidents:
        if is_open(incident) and incident.level < RULES.escalation.max_level:
            assert incident.incident_id in timed, incident
        if not is_open(incident):
            assert incident.incident_id not in timed


def test_nobody_off_duty_is_asked_by_the_rules(day: Day) -> None:
    for entry in day.entries:
        event = entry.event
        if isinstance(event, DispatchOffered) and event.reason != "operator":
            assert _on_duty(day.duty[event.responder_id], entry.at), event


def _on_duty(log: list[tuple[datetime, bool]], at: datetime) -> bool:
    said = [on for since, on in log if since <= at]
    return bool(said) and said[-1]


def test_levels_stay_bounded_and_rise_by_one(day: Day) -> None:
    assert all(i.level <= RULES.escalation.max_level for i in day.incidents)


def test_the_chain_verifies(day: Day) -> None:
    assert day.verification.ok
    assert day.verification.entries == len(day.entries)


def test_refolding_the_ledger_equals_the_read_tables(day: Day) -> None:
    async def again() -> MemoryAlertStore:
        store = MemoryAlertStore()
        await refold(day.ledger, store, RULES)
        return store

    store = asyncio.run(again())
    for incident in day.incidents:
        assert asyncio.run(store.get(incident.incident_id)) == incident
    assert asyncio.run(store.timers()) == asyncio.run(day.store.timers())


def test_the_loop_read_everything(day: Day) -> None:
    assert day.ledger.cursors[FOLLOWER] >= max(
        e.position for e in day.entries if e.actor != "alerts"
    )


def test_one_seed_gives_one_ledger() -> None:
    first, second = live_a_day(3, hours=6.0), live_a_day(3, hours=6.0)
    assert first.verification.head_hash == second.verification.head_hash
    assert first.verification.entries > 100
