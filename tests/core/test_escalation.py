"""What must not wait for ever: every open incident wants a timer, and firing always moves it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from domain.hazard import HazardKind
from domain.incident import Incident, IncidentState
from domain.place import Position
from services.alerts.commands import Escalate, RequestVerification
from services.alerts.escalation import Timer, due_timers, next_look, on_due, wanted
from services.alerts.life import ENDED
from services.alerts.rules import load_rules

S = IncidentState
AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
RULES = load_rules()
MAX = RULES.escalation.max_level


def incident(
    state: IncidentState, kind: HazardKind = HazardKind.FIRE, **changes: object
) -> Incident:
    severity = RULES.kinds[kind].severity
    here = Position(22.54, 113.35)
    made = Incident("i-1", 1, state, kind, severity, here, None, None, AT, AT, "c", (), ())
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("now", "steps"),
    [
        (incident(S.FILED), {"accept:0:0": 60.0}),
        (incident(S.DISPATCHED), {"accept:0:0": 60.0}),
        (incident(S.DISPATCHED, level=2, rework_count=1), {"accept:1:2": 60.0}),
        (incident(S.DISPATCHED, HazardKind.EXPOSED_RUBBISH), {"accept:0:0": 300.0}),
        (incident(S.REWORK, rework_count=1), {"accept:1:0": 60.0}),
        (incident(S.HANDLING), {"handle:0:0": 1800.0}),
        (incident(S.VERIFYING, verification_attempts=2), {"look:0:2": 900.0}),
        (incident(S.VERIFYING, verification_attempts=3), {"check:0:0": 1800.0}),
        (incident(S.FEEDBACK, HazardKind.DEVICE_FAULT), {"check:0:0": 86400.0}),
        (incident(S.DISPATCHED, level=MAX), {}),
        (incident(S.CLOSED), {}),
        (incident(S.DISMISSED), {}),
    ],
)
def test_what_is_waited_for(now: Incident, steps: dict[str, float]) -> None:
    assert wanted(now, RULES) == steps


def test_rows_fall_due_after_their_wait() -> None:
    assert due_timers(incident(S.FILED), RULES, AT) == (
        Timer("i-1", "accept:0:0", AT + timedelta(seconds=60)),
    )


@pytest.mark.parametrize("state", [s for s in S if s not in ENDED])
@pytest.mark.parametrize("kind", [HazardKind.FIRE, HazardKind.DEVICE_FAULT])
@pytest.mark.parametrize("level", range(MAX + 1))
@pytest.mark.parametrize("attempts", range(RULES.escalation.max_attempts + 1))
def test_firing_always_leads_to_another_condition(
    state: IncidentState, kind: HazardKind, level: int, attempts: int
) -> None:
    """A step that fired must not be wanted again, or a refold would fire it twice."""
    now = incident(state, kind, level=level, verification_attempts=attempts)
    for step in wanted(now, RULES):
        command = on_due(now, step, RULES)
        if isinstance(command, Escalate):
            after = replace(now, level=command.level)
            assert command.level <= MAX
        else:
            assert isinstance(command, RequestVerification)
            after = replace(now, verification_attempts=command.attempt)
            assert command.attempt <= RULES.escalation.max_attempts
        assert step not in wanted(after, RULES)


def test_an_old_row_means_nothing_to_an_incident_that_moved_on() -> None:
    assert on_due(incident(S.HANDLING), "accept:0:0", RULES) is None
    assert on_due(incident(S.DISPATCHED, level=1), "accept:0:0", RULES) is None
    assert on_due(incident(S.CLOSED), "look:0:1", RULES) is None


def test_unclear_looks_are_flown_again_then_told_to_people() -> None:
    policy = RULES.escalation
    assert next_look(incident(S.VERIFYING, verification_attempts=1), policy) == (
        RequestVerification(2)
    )
    assert next_look(incident(S.VERIFYING, verification_attempts=3), policy) == Escalate(1)
    last = incident(S.VERIFYING, verification_attempts=3, level=MAX)
    assert next_look(last, policy) is None
