"""One contract, two alert stores: what holds on PostgreSQL holds in memory."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from domain.hazard import HazardKind, Severity
from domain.incident import CloseOutcome, Incident, IncidentState, VerifiedBy
from domain.place import Position
from domain.responder import Dispatch, DispatchState, Force
from runtime.database import open_pool
from runtime.ledger import Ledger, PostgresLedger
from runtime.ledger_memory import MemoryLedger
from services.alerts.escalation import Timer
from services.alerts.messages import Message
from services.alerts.store import AlertStore, Filter, Note, PostgresAlertStore, Standing
from services.alerts.store_memory import MemoryAlertStore

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
HERE = Position(22.54, 113.35)


@dataclass
class Ground:
    ledger: Ledger
    store: AlertStore


@pytest.fixture(params=["memory", "postgres"])
async def on(request: pytest.FixtureRequest) -> AsyncIterator[Ground]:
    if request.param == "memory":
        yield Ground(MemoryLedger(), MemoryAlertStore())
        return
    urls = request.getfixturevalue("database_urls")
    async with open_pool(urls.service) as pool:
        yield Ground(PostgresLedger(pool), PostgresAlertStore(pool))


def incident(name: str = "incident-1", **changes: object) -> Incident:
    made = Incident(
        incident_id=name,
        version=1,
        state=IncidentState.FILED,
        kind=HazardKind.FIRE,
        severity=Severity.CRITICAL,
        position=HERE,
        cell_code="442000001001001",
        police_code="P1",
        opened_at=AT,
        changed_at=AT,
        source="cam-1",
        hazard_ids=(f"hazard-of-{name}",),
        evidence=("ab" * 32,),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def dispatch(name: str, to: str = "r-1", state: DispatchState = DispatchState.OFFERED) -> Dispatch:
    return Dispatch(name, "incident-1", to, Force.GRID, state, AT, "own_area")


async def save(on: Ground, *incidents: Incident, unserved: bool = False) -> None:
    async with on.ledger.transaction() as tx:
        for one in incidents:
            await on.store.save(tx, one, unserved)


async def test_an_incident_comes_back_as_it_was_kept(on: Ground) -> None:
    kept = incident(dispatches=(dispatch("d-1"),), last_seen_at=AT, short=(Force.WATER,))
    await save(on, kept)
    assert await on.store.get("incident-1") == kept
    async with on.ledger.transaction() as tx:
        assert await on.store.incident(tx, "incident-1") == kept
        assert await on.store.of_cause(tx, "hazard-of-incident-1") == "incident-1"
        assert await on.store.of_dispatch(tx, "d-1") == "incident-1"
        assert await on.store.of_cause(tx, "hazard-unknown") is None
    assert await on.store.get("incident-2") is None


async def test_a_failed_transaction_leaves_nothing(on: Ground) -> None:
    await save(on, incident())

    async def cut_short() -> None:
        async with on.ledger.transaction() as tx:
            await on.store.save(tx, incident(version=2, state=IncidentState.CLOSED), False)
            await on.store.save(tx, incident("incident-2"), True)
            await on.store.arm(tx, "incident-1", [Timer("incident-1", "accept:0:0", AT)])
            await on.store.set_duty(tx, "r-1", True, AT)
            raise RuntimeError("cut")

    with pytest.raises(RuntimeError, match="cut"):
        await cut_short()
    assert await on.store.get("incident-1") == incident()
    assert await on.store.get("incident-2") is None
    assert await on.store.timers() == []
    assert await on.store.unserved(9) == []
    async with on.ledger.transaction() as tx:
        assert await on.store.standings(tx) == {}


async def test_only_open_incidents_near_are_found_nearest_first(on: Ground) -> None:
    far = Position(22.55, 113.35)
    near = Position(22.5403, 113.35)
    ended = {"state": IncidentState.CLOSED, "closed_at": AT, "outcome": CloseOutcome.HANDLED}
    await save(
        on,
        incident("incident-near", position=near),
        incident("incident-here"),
        incident("incident-far", position=far),
        incident("incident-closed", **ended),
    )
    async with on.ledger.transaction() as tx:
        found = await on.store.open_near(tx, HERE, 100.0)
    assert [i.incident_id for i in found] == ["incident-here", "incident-near"]


async def test_a_cause_belongs_to_the_newest_open_incident(on: Ground) -> None:
    old = incident("incident-old", hazard_ids=("hazard-1",))
    closed = replace(old, state=IncidentState.CLOSED, closed_at=AT, version=2)
    await save(on, old)
    await save(on, closed)
    await save(on, incident("incident-new", hazard_ids=("hazard-1",)))
    await save(on, replace(closed, looks=("mission-1",)))
    async with on.ledger.transaction() as tx:
        assert await on.store.of_cause(tx, "hazard-1") == "incident-new"


async def test_timers_keep_their_due_time_and_are_taken_once(on: Ground) -> None:
    await save(on, incident())
    first = Timer("incident-1", "accept:0:0", AT)
    later = replace(first, due_at=AT + timedelta(hours=1))
    other = Timer("incident-1", "look:0:1", AT + timedelta(seconds=5))
    for timers in ([first], [later, other]):
        async with on.ledger.transaction() as tx:
            await on.store.arm(tx, "incident-1", timers)
    assert await on.store.timers() == [first, other]
    assert await on.store.due(AT, 9) == [first]
    assert await on.store.due(AT - timedelta(seconds=1), 9) == []
    for taken in (True, False):
        async with on.ledger.transaction() as tx:
            assert await on.store.take_timer(tx, first) is taken
    async with on.ledger.transaction() as tx:
        await on.store.arm(tx, "incident-1", [])
    assert await on.store.timers() == []


async def test_load_counts_live_dispatches_and_positions_go_with_duty(on: Ground) -> None:
    await save(
        on,
        incident(
            dispatches=(
                dispatch("d-1"),
                dispatch("d-2", state=DispatchState.REFUSED),
                dispatch("d-3", to="r-2", state=DispatchState.ARRIVED),
            )
        ),
    )
    async with on.ledger.transaction() as tx:
        assert not await on.store.set_position(tx, "r-1", HERE, AT)
        await on.store.set_duty(tx, "r-1", True, AT)
        assert await on.store.set_position(tx, "r-1", HERE, AT)
        await on.store.set_duty(tx, "r-1", True, AT)
        assert await on.store.standings(tx) == {
            "r-1": Standing(True, 1, HERE, AT),
            "r-2": Standing(False, 1),
        }
        await on.store.set_duty(tx, "r-1", False, AT)
        assert (await on.store.standings(tx))["r-1"] == Standing(False, 1)


async def test_tasks_are_open_incidents_with_ones_own_live_dispatch(on: Ground) -> None:
    mine = incident(dispatches=(dispatch("d-1"), dispatch("d-2", to="r-2")))
    await save(on, mine)
    assert await on.store.dispatched_to("r-1") == [mine]
    refused = replace(mine, dispatches=(dispatch("d-1", state=DispatchState.REFUSED),), version=2)
    await save(on, refused)
    assert await on.store.dispatched_to("r-1") == []


async def test_unserved_incidents_are_found_oldest_first(on: Ground) -> None:
    await save(
        on,
        incident("incident-b", opened_at=AT + timedelta(seconds=1)),
        incident("incident-a", opened_at=AT + timedelta(seconds=2)),
        unserved=True,
    )
    await save(on, incident("incident-c"))
    assert await on.store.unserved(9) == ["incident-b", "incident-a"]
    assert await on.store.unserved(1) == ["incident-b"]


async def test_pages_run_newest_first_without_gap_or_repeat(on: Ground) -> None:
    made = [incident(f"incident-{n}", opened_at=AT + timedelta(seconds=n // 2)) for n in range(7)]
    await save(on, *made)
    seen: list[str] = []
    after = None
    while items := await on.store.page(Filter(after=after, limit=3)):
        seen += [i.incident_id for i in items]
        after = seen[-1]
    assert seen == [f"incident-{n}" for n in (6, 5, 4, 3, 2, 1, 0)]
    assert await on.store.page(Filter(kind="smoke")) == []
    assert await on.store.page(Filter(state="filed", limit=2)) == made[:-3:-1]
    assert await on.store.page(Filter(after="incident-unknown")) == []


async def test_outbox_rows_are_leased_settled_and_never_doubled(on: Ground) -> None:
    message = Message("m-1", "incident-1", "role:dispatcher", "incident.reported", {"a": 1}, AT)
    for _ in range(2):
        async with on.ledger.transaction() as tx:
            await on.store.queue(tx, [message])
    lease = AT + timedelta(seconds=60)
    (row,) = await on.store.claim_outbox(AT, lease, 9)
    assert (row.message, row.attempts) == (message, 1)
    assert await on.store.claim_outbox(AT, lease, 9) == []
    (again,) = await on.store.claim_outbox(lease, lease + timedelta(seconds=60), 9)
    assert again.attempts == 2
    await on.store.settle_outbox("m-1", lease, None, None, None)
    assert await on.store.claim_outbox(AT + timedelta(days=1), lease, 9) == []
    assert (await on.store.figures()).outbox_waiting == 0


async def test_a_posts_key_is_claimed_once_and_forgotten_after_a_day(on: Ground) -> None:
    async with on.ledger.transaction() as tx:
        assert await on.store.repeat(tx, "a", "k", "digest", AT) is None
        await on.store.remember(tx, "a", "k", "incident-1")
    async with on.ledger.transaction() as tx:
        assert await on.store.repeat(tx, "a", "k", "other", AT) == ("digest", "incident-1")
        assert await on.store.repeat(tx, "b", "k", "digest", AT) is None
    await on.store.forget_posts(AT + timedelta(days=2))
    async with on.ledger.transaction() as tx:
        assert await on.store.repeat(tx, "a", "k", "other", AT) is None


async def test_notes_come_back_oldest_first(on: Ground) -> None:
    async with on.ledger.transaction() as tx:
        await on.store.note(tx, "incident-1", "a", "已清理", AT)
        await on.store.note(tx, "incident-1", "b", "已复查", AT + timedelta(seconds=1))
    assert await on.store.notes("incident-1") == [
        Note("a", AT, "已清理"),
        Note("b", AT + timedelta(seconds=1), "已复查"),
    ]


async def test_figures_count_and_measure(on: Ground) -> None:
    done = {"state": IncidentState.CLOSED, "closed_at": AT, "verified_by": VerifiedBy.FLIGHT}
    await save(on, incident(dispatches=(dispatch("d-1"),)), incident("incident-2", level=1, **done))
    async with on.ledger.transaction() as tx:
        await on.store.await_dispatch(tx, "incident-1", 100.0)
    await on.store.dispatched("incident-1", 100.5)
    await on.store.dispatched("incident-1", 200.0)
    figures = await on.store.figures()
    assert (figures.incidents, figures.dispatches, figures.closed) == (2, 1, 1)
    assert (figures.verified_by_flight, figures.escalated) == (1, 1)
    assert figures.frame_to_dispatch_s == (0.5,)


async def test_dropping_forgets_what_the_ledger_can_tell(on: Ground) -> None:
    await save(on, incident(dispatches=(dispatch("d-1"),)), unserved=True)
    async with on.ledger.transaction() as tx:
        await on.store.set_duty(tx, "r-1", True, AT)
        await on.store.arm(tx, "incident-1", [Timer("incident-1", "accept:0:0", AT)])
        await on.store.drop(tx)
    assert await on.store.get("incident-1") is None
    assert await on.store.timers() == []
    async with on.ledger.transaction() as tx:
        assert await on.store.of_dispatch(tx, "d-1") is None
        assert await on.store.standings(tx) == {"r-1": Standing(True, 0)}
