"""Who goes: forces by rule, responders by area, load and distance, shortfalls by name."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from domain.hazard import HazardKind, Severity
from domain.incident import Incident, IncidentState
from domain.place import Position
from domain.responder import Dispatch, DispatchState, Force, Responder
from geo.frames import LocalFrame
from services.alerts.attention import Forces, next_commands, reinforce
from services.alerts.commands import FallShort, File, Offer, RequestVerification
from services.alerts.routing import Candidate, Choice, Shortfall, choose, forces_for
from services.alerts.rules import FOLDER, load_rules

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
HERE = Position(22.54, 113.35)
FRAME = LocalFrame(HERE)
RULES = load_rules()
CELL = "442000001001001"


def incident(kind: HazardKind = HazardKind.EXPOSED_RUBBISH, **changes: object) -> Incident:
    severity = RULES.kinds[kind].severity
    made = Incident(
        "i-1", 2, IncidentState.FILED, kind, severity, HERE, CELL, "P1", AT, AT, "cam-1", (), ()
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def candidate(
    name: str,
    away_m: float = 100.0,
    area: str = CELL,
    force: Force = Force.GRID,
    **changes: object,
) -> Candidate:
    home = FRAME.to_position(away_m, 0.0)
    areas = (area,) if area else ()
    made = Candidate(Responder(name, name, force, areas, home, name), on_duty=True, load=0)
    return replace(made, **changes)  # type: ignore[arg-type]


def chosen(*candidates: Candidate, asked: frozenset[str] = frozenset()) -> Choice | Shortfall:
    return choose(Force.GRID, incident(), candidates, asked, FRAME, AT, RULES.choice)


@pytest.mark.parametrize(
    ("kind", "forces"),
    [
        (HazardKind.FIRE, {Force.GRID, Force.POLICE_GRID, Force.FIRE_POST}),
        (HazardKind.SMOKE, {Force.GRID, Force.POLICE_GRID, Force.FIRE_POST}),
        (HazardKind.CROWD, {Force.GRID, Force.POLICE_GRID}),
        (HazardKind.EXPOSED_RUBBISH, {Force.GRID}),
        (HazardKind.FLOATING_DEBRIS, {Force.WATER}),
        (HazardKind.ILLEGAL_STRUCTURE, {Force.URBAN_MANAGEMENT}),
        (HazardKind.DEVICE_FAULT, {Force.SAFETY}),
    ],
)
def test_the_rules_send_forces(kind: HazardKind, forces: set[Force]) -> None:
    assert set(forces_for(incident(kind), RULES.routes)) == forces


def test_every_kind_and_severity_has_a_rule() -> None:
    for kind in HazardKind:
        for severity in Severity:
            assert forces_for(incident(kind, severity=severity), RULES.routes)


@pytest.mark.parametrize(
    ("candidates", "best", "reason"),
    [
        ((candidate("a", 300.0), candidate("b", 100.0)), "b", "own_area"),
        ((candidate("a", 700.0), candidate("b", 100.0, area="other")), "a", "own_area"),
        ((candidate("a", 1000.0), candidate("b", 100.0, area="other")), "b", "nearest"),
        ((candidate("a", 100.0, load=1), candidate("b", 400.0)), "b", "own_area"),
        ((candidate("a", 100.0, area=""), candidate("b", 400.0)), "a", "own_area"),
        ((candidate("a"), candidate("b")), "a", "own_area"),
        (
            (
                candidate("a", 900.0, position=HERE, position_at=AT - timedelta(seconds=60)),
                candidate("b", 100.0),
            ),
            "a",
            "own_area",
        ),
        (
            (
                candidate("a", 900.0, position=HERE, position_at=AT - timedelta(hours=1)),
                candidate("b", 100.0),
            ),
            "b",
            "own_area",
        ),
    ],
)
def test_the_choice(candidates: tuple[Candidate, ...], best: str, reason: str) -> None:
    found = chosen(*candidates)
    assert isinstance(found, Choice)
    assert (found.chosen.responder_id, found.reason) == (best, reason)
    assert found.chosen == found.weighed[0]
    assert len(found.weighed) == len(candidates)


@pytest.mark.parametrize(
    ("candidates", "asked", "reason"),
    [
        ((), (), "no_responder"),
        ((candidate("a", force=Force.WATER),), (), "no_responder"),
        ((candidate("a", on_duty=False),), (), "nobody_on_duty"),
        ((candidate("a"),), ("a",), "all_asked"),
        ((candidate("a", load=3),), (), "all_busy"),
        ((candidate("a", 7000.0),), (), "out_of_reach"),
    ],
)
def test_shortfalls_have_names(
    candidates: tuple[Candidate, ...], asked: tuple[str, ...], reason: str
) -> None:
    assert chosen(*candidates, asked=frozenset(asked)) == Shortfall(Force.GRID, reason)


def forces(*candidates: Candidate) -> Forces:
    return Forces(candidates, FRAME, AT)


def dispatch(name: str, state: DispatchState, at: datetime = AT) -> Dispatch:
    return Dispatch(f"d-{name}", "i-1", name, Force.GRID, state, at, "own_area")


def test_a_reported_incident_is_filed_then_offered_then_left_alone() -> None:
    near, far = candidate("a"), candidate("b", 300.0)
    reported = incident(state=IncidentState.REPORTED)
    assert next_commands(reported, RULES, forces(near, far)) == (File(),)
    (offer,) = next_commands(incident(), RULES, forces(near, far))
    assert isinstance(offer, Offer)
    assert (offer.responder_id, offer.reason) == ("a", "own_area")
    offered = incident(
        state=IncidentState.DISPATCHED, dispatches=(dispatch("a", DispatchState.OFFERED),)
    )
    assert next_commands(offered, RULES, forces(near, far)) == ()
    (more,) = reinforce(offered, RULES, forces(near, far))
    assert isinstance(more, Offer)
    assert (more.responder_id, more.reason) == ("b", "escalated")


def test_a_refusal_asks_the_next_and_a_shortfall_is_said_once() -> None:
    refused = incident(
        state=IncidentState.DISPATCHED, dispatches=(dispatch("a", DispatchState.REFUSED),)
    )
    (offer,) = next_commands(refused, RULES, forces(candidate("a"), candidate("b")))
    assert isinstance(offer, Offer)
    assert offer.responder_id == "b"
    assert next_commands(refused, RULES, forces(candidate("a"))) == (
        FallShort(Force.GRID, "all_asked"),
    )
    known = replace(refused, short=(Force.GRID,))
    assert next_commands(known, RULES, forces(candidate("a"))) == ()


def test_after_rework_everybody_may_be_asked_again() -> None:
    later = AT + timedelta(hours=1)
    reworked = incident(
        state=IncidentState.REWORK,
        reworked_at=later,
        dispatches=(dispatch("a", DispatchState.HANDED_BACK),),
    )
    (offer,) = next_commands(reworked, RULES, forces(candidate("a")))
    assert isinstance(offer, Offer)
    assert offer.responder_id == "a"
    assert offer.dispatch_id != "d-a"


def test_a_hand_back_asks_for_a_flight_where_a_flight_can_tell() -> None:
    back = IncidentState.FEEDBACK
    assert next_commands(incident(state=back), RULES, forces()) == (RequestVerification(1),)
    standing = incident(HazardKind.DEVICE_FAULT, standing=("alarm-1",), state=back)
    assert next_commands(standing, RULES, forces()) == ()


@pytest.mark.parametrize(
    ("file", "find", "put", "says"),
    [
        ("kinds.toml", "extent_m = 15.0", "extent_m = -1.0", "extent_m"),
        ("kinds.toml", 'severity = "low"', 'severity = "dire"', "dire"),
        ("kinds.toml", "[smoke]", "[smog]", r"\[smoke\] is missing"),
        ("routing.toml", '["water"]', '["navy"]', "navy"),
        ("routing.toml", 'kinds = ["crowd"]', 'where = ["crowd"]', "where"),
        ("routing.toml", "busy_at = 3", "", "busy_at"),
        ("escalation.toml", "critical = 60.0", "critical = 0.0", r"\[accept_s\]"),
        ("escalation.toml", "max_level", "max level", "cannot be read"),
    ],
)
def test_bad_rules_are_refused_by_name(
    tmp_path: Path, file: str, find: str, put: str, says: str
) -> None:
    for rules in FOLDER.glob("*.toml"):
        text = rules.read_text()
        assert rules.name != file or find in text
        changed = text.replace(find, put) if rules.name == file else text
        (tmp_path / rules.name).write_text(changed)
    with pytest.raises(ValueError, match=says):
        load_rules(tmp_path)
