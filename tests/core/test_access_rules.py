"""Who may do what: one table, asked for every role."""

from datetime import UTC, datetime

import pytest

from domain.events import DispatchOffered, IncidentReported
from domain.evidence import EvidenceViewed
from domain.hazard import HazardKind, Severity
from domain.place import Position
from domain.responder import Dispatch, DispatchState, Force
from runtime.access import Principal, Role, allow
from runtime.access.rules import ACTIONS, Scope
from runtime.access.scopes import Scopes
from runtime.ledger import Entry

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
OPERATOR = Principal("duty", Role.OPERATOR)
WORKER = Principal("w1", Role.GRID_WORKER, "网格员", "r-1", frozenset({"cell-1"}))
OFFICER = Principal("p1", Role.POLICE_OFFICER, "民警", "r-2", frozenset(), frozenset({"police-1"}))


@pytest.mark.parametrize("role", Role)
def test_unknown_actions_are_refused_to_everybody(role: Role) -> None:
    assert not allow(Principal("a", role), "database.drop")


@pytest.mark.parametrize("action", ACTIONS)
def test_an_auditor_changes_nothing(action: str) -> None:
    reads = action.endswith(".read")
    assert reads or not allow(Principal("a", Role.AUDITOR), action)


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.OPERATOR, True),
        (Role.DISPATCHER, True),
        (Role.ADMINISTRATOR, True),
        (Role.ENGINEER, False),
        (Role.AUDITOR, False),
        (Role.GRID_WORKER, False),
        (Role.POLICE_OFFICER, False),
        (Role.PROFESSIONAL, False),
    ],
)
def test_where_people_are_is_for_the_desk_alone(role: Role, may: bool) -> None:
    assert allow(Principal("a", role), "responder.read") is may


@pytest.mark.parametrize(
    ("principal", "scope", "may"),
    [
        (WORKER, Scope("cell-1"), True),
        (WORKER, Scope("cell-2"), False),
        (WORKER, Scope("cell-2", "police-1", {"r-1"}), True),
        (WORKER, Scope(), False),
        (OFFICER, Scope("cell-2", "police-1"), True),
        (OFFICER, Scope("cell-1", "police-2"), False),
        (OPERATOR, Scope(), True),
        (Principal("x", Role.PROFESSIONAL), Scope(None, None, set()), False),
    ],
)
def test_in_the_field_one_sees_ones_own(principal: Principal, scope: Scope, may: bool) -> None:
    assert allow(principal, "incident.read", scope) is may


@pytest.mark.parametrize(("responder", "may"), [("r-1", True), ("r-2", False)])
def test_only_the_one_who_was_sent_acts_on_a_dispatch(responder: str, may: bool) -> None:
    dispatch = Dispatch("d", "i", responder, Force.GRID, DispatchState.OFFERED, AT, "nearest")
    assert allow(WORKER, "dispatch.act", dispatch) is may
    assert not allow(OPERATOR, "dispatch.act", dispatch)


def entry(position: int, stream: str, event: object) -> Entry:
    return Entry(position, stream, 1, event.KIND, AT, "alerts", event, b"")  # type: ignore[attr-defined, arg-type]


def reported(cell: str, picture: str) -> IncidentReported:
    place = Position(22.54, 113.35)
    return IncidentReported(
        "i", HazardKind.FIRE, Severity.CRITICAL, place, cell, None, "watch", "h", (picture,)
    )


def test_entries_and_pictures_belong_to_their_incident() -> None:
    scopes = Scopes()
    first = entry(1, "incident/i", reported("cell-9", "aa"))
    scopes.learn(first)
    assert not scopes.may_read(WORKER, first)
    assert not scopes.may_see(WORKER, "aa")
    offered = DispatchOffered("i", "d", "r-1", Force.GRID, 1, "nearest", 12.0)
    scopes.learn(entry(2, "incident/i", offered))
    assert scopes.may_read(WORKER, first)
    assert scopes.may_see(WORKER, "aa")
    assert not scopes.may_see(WORKER, "bb")
    assert scopes.may_see(OPERATOR, "bb")
    assert not scopes.may_read(WORKER, entry(3, "hazard/h", reported("cell-1", "aa")))


def test_who_looked_at_what_is_for_auditors() -> None:
    viewed = entry(1, "evidence/aa", EvidenceViewed("aa", "review"))
    assert Scopes().may_read(Principal("a", Role.AUDITOR), viewed)
    assert not Scopes().may_read(OPERATOR, viewed)
