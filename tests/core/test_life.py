"""The incident's life: no path skips verification; every command is events or a named refusal."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from domain.events import (
    DeviceAlarmCleared,
    DispatchAccepted,
    DispatchWithdrawn,
    Event,
    HazardRenewed,
    IncidentClosed,
    IncidentReworked,
    IncidentVerified,
    LookConcluded,
)
from domain.hazard import HazardKind, Severity
from domain.incident import CloseOutcome, Incident, IncidentState, VerifiedBy
from domain.mission import LookOutcome, MissionPurpose
from domain.place import Position
from domain.responder import DispatchState, Force
from services.alerts.commands import (
    Accept,
    Acknowledge,
    Arrive,
    Close,
    Command,
    ConcludeLook,
    Dismiss,
    Escalate,
    FallShort,
    File,
    Fuse,
    HandBack,
    Offer,
    Open,
    Refuse,
    Refused,
    RequestVerification,
    VerifyByDevice,
    VerifyByPerson,
)
from services.alerts.fold import evolve
from services.alerts.life import LIVE, alarm_id, decide, is_open

S = IncidentState
AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
ALARM = alarm_id("dock-1", "0x1", "")


def opening(kind: HazardKind = HazardKind.FIRE) -> Open:
    cause = ALARM if kind is HazardKind.DEVICE_FAULT else "hazard-1"
    where = Position(22.54, 113.35)
    return Open(
        "incident-1", kind, Severity.CRITICAL, where, "c", "p", "cam-1", cause, ("a",), None
    )


def offer(n: int, force: Force = Force.GRID) -> Offer:
    return Offer(f"d-{n}", f"r-{n}", force, "own_area", 10.0)


def after(*commands: Command, kind: HazardKind = HazardKind.FIRE) -> Incident:
    """Live through commands a second apart; each must be taken."""
    incident: Incident | None = None
    for number, command in enumerate((opening(kind), *commands)):
        at = AT + timedelta(seconds=number)
        decided = decide(incident, command, at)
        assert not isinstance(decided, Refused), (command, decided)
        for event in decided:
            incident = evolve(incident, event, at, "somebody")
    assert incident is not None
    return incident


def refusal(incident: Incident | None, command: Command) -> str:
    decided = decide(incident, command, AT + timedelta(hours=1))
    assert isinstance(decided, Refused), decided
    assert decided.field
    assert decided.cure
    return decided.code


HANDED_BACK = (File(), offer(1), Accept("d-1"), Arrive("d-1"), HandBack("d-1", ("b",)))
LOOK_AT = AT + timedelta(minutes=5)


def look(outcome: LookOutcome, at: datetime = LOOK_AT) -> ConcludeLook:
    return ConcludeLook(outcome, at, ("after",))


def test_the_whole_way_to_a_verified_close() -> None:
    incident = after(*HANDED_BACK, RequestVerification(1), look(LookOutcome.REFUTED))
    assert incident.state is S.CLOSED
    assert incident.outcome is CloseOutcome.HANDLED
    assert incident.verified_by is VerifiedBy.FLIGHT
    assert incident.evidence == ("a", "b", "after")
    assert incident.version == 9


@pytest.mark.parametrize(
    ("commands", "state"),
    [
        ((), S.REPORTED),
        ((File(),), S.FILED),
        ((File(), offer(1)), S.DISPATCHED),
        ((File(), offer(1), Accept("d-1")), S.HANDLING),
        ((File(), offer(1), Accept("d-1"), Refuse("d-1", "busy")), S.DISPATCHED),
        (HANDED_BACK, S.FEEDBACK),
        ((*HANDED_BACK, RequestVerification(1)), S.VERIFYING),
        ((*HANDED_BACK, RequestVerification(1), look(LookOutcome.UNCLEAR)), S.VERIFYING),
        ((*HANDED_BACK, RequestVerification(1), look(LookOutcome.CONFIRMED)), S.REWORK),
        ((*HANDED_BACK, VerifyByPerson(True, "r-9", ())), S.CLOSED),
        ((*HANDED_BACK, VerifyByPerson(False, None, ()), offer(2)), S.DISPATCHED),
        ((File(), offer(1), Close(CloseOutcome.FALSE_ALARM)), S.CLOSED),
        ((Dismiss(CloseOutcome.UNFOUNDED),), S.DISMISSED),
    ],
)
def test_each_state_is_reached(commands: tuple[Command, ...], state: IncidentState) -> None:
    assert after(*commands).state is state


@pytest.mark.parametrize(
    ("commands", "command", "code"),
    [
        ((), opening(), "exists"),
        ((), offer(1), "not_filed"),
        ((File(),), Accept("d-1"), "unknown_dispatch"),
        ((File(), offer(1)), Arrive("d-1"), "not_accepted"),
        ((File(), offer(1), Accept("d-1")), HandBack("d-1", ()), "not_arrived"),
        ((File(), offer(1), Refuse("d-1", "busy")), Accept("d-1"), "refused"),
        ((File(), offer(1)), Dismiss(CloseOutcome.UNFOUNDED), "dispatched"),
        ((File(),), Dismiss(CloseOutcome.HANDLED), "outcome_not_allowed"),
        ((File(),), Close(CloseOutcome.HANDLED), "needs_verification"),
        ((File(),), Close(CloseOutcome.HANDED_OVER), "outcome_not_allowed"),
        ((File(), offer(1)), RequestVerification(1), "not_handled"),
        ((File(), offer(1)), VerifyByPerson(True, None, ()), "not_handled"),
        (HANDED_BACK, VerifyByPerson(True, "r-1", ()), "own_work"),
        (HANDED_BACK, RequestVerification(2), "attempt_skipped"),
        (HANDED_BACK, look(LookOutcome.REFUTED), "not_verifying"),
        ((*HANDED_BACK, RequestVerification(1)), look(LookOutcome.REFUTED, AT), "stale_look"),
        ((File(),), Escalate(2), "level_skipped"),
        ((File(),), VerifyByDevice(), "not_a_device_fault"),
        ((Close(CloseOutcome.UNFOUNDED),), Acknowledge(), "ended"),
        ((File(), offer(1)), Offer("d-9", "r-1", Force.GRID, "x", 1.0), "already_asked"),
    ],
)
def test_each_refusal_names_its_reason(
    commands: tuple[Command, ...], command: Command, code: str
) -> None:
    assert refusal(after(*commands), command) == code


def test_an_unknown_incident_refuses_everything_but_opening() -> None:
    assert refusal(None, File()) == "unknown_incident"


def test_the_first_to_accept_relieves_the_others_of_the_force() -> None:
    asked = after(File(), offer(1), offer(2), offer(3, Force.POLICE_GRID))
    decided = decide(asked, Accept("d-2"), AT)
    assert decided == (
        DispatchAccepted("incident-1", "d-2"),
        DispatchWithdrawn("incident-1", "d-1"),
    )


def test_repeating_a_command_changes_nothing() -> None:
    done = after(*HANDED_BACK, RequestVerification(1), Acknowledge(), Escalate(1))
    for command in (*HANDED_BACK, RequestVerification(1), Acknowledge(), Escalate(1)):
        if not isinstance(command, Offer | File):
            assert decide(done, command, AT) == ()
    closed = after(Close(CloseOutcome.UNFOUNDED))
    assert decide(closed, Close(CloseOutcome.UNFOUNDED), AT) == ()


def test_a_device_fault_closes_when_its_last_alarm_cleared_unless_handled_now() -> None:
    cleared = DeviceAlarmCleared("dock-1", "0x1", "", AT)
    fault = after(File(), offer(1), kind=HazardKind.DEVICE_FAULT)
    assert refusal(fault, VerifyByDevice()) == "still_standing"
    assert refusal(fault, RequestVerification(1)) == "not_by_flight"
    gone = evolve(fault, cleared, AT, "ingest")
    assert gone.version == fault.version
    decided = decide(gone, VerifyByDevice(), AT)
    assert isinstance(decided, tuple)
    assert [event.KIND for event in decided] == [
        "incident.verified",
        "dispatch.withdrawn",
        "incident.closed",
    ]
    handling = after(File(), offer(1), Accept("d-1"), kind=HazardKind.DEVICE_FAULT)
    assert refusal(evolve(handling, cleared, AT, "ingest"), VerifyByDevice()) == "being_handled"


def test_what_others_saw_changes_knowledge_never_state() -> None:
    before = after(File())
    later = AT + timedelta(hours=1)
    seen = evolve(before, HazardRenewed("hazard-1", later, 0.9), later, "watch")
    assert (seen.last_seen_at, seen.state, seen.version) == (later, S.FILED, 2)
    stale = evolve(seen, HazardRenewed("hazard-1", AT, 0.9), later, "watch")
    assert stale.last_seen_at == later
    concluded = LookConcluded(
        "mission-1",
        MissionPurpose.CONFIRM,
        "incident-1",
        None,
        LookOutcome.REFUTED,
        5,
        0,
        (),
        later,
    )
    assert evolve(seen, concluded, later, "watch").looks == ("mission-1",)


def test_the_fold_refuses_what_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"before incident\.reported"):
        evolve(None, IncidentVerified("incident-1", VerifiedBy.PERSON, ()), AT, "x")
    with pytest.raises(ValueError, match="never offered"):
        evolve(after(File()), DispatchAccepted("incident-1", "d-9"), AT, "x")


def test_evidence_on_the_incident_is_bounded() -> None:
    fused = [Fuse(f"hazard-{n}", 1.0, 1.0, 0.9, (f"pic-{n}",)) for n in range(60)]
    incident = after(*fused)
    assert incident.sightings == 61
    assert len(incident.evidence) == 24
    assert incident.evidence[0] == "a"
    assert incident.evidence[-1] == "pic-59"


DISPATCHES = st.integers(0, 6).map(lambda n: f"d-{n}")
EVIDENCE = st.just(("e",))


class Life(RuleBasedStateMachine):
    """Any command at any time: legal events or a refusal, and the promises hold throughout."""

    def __init__(self) -> None:
        super().__init__()
        self.incident: Incident | None = None
        self.history: list[Event] = []
        self.now = AT
        self.offers = 0

    def give(self, command: Command) -> None:
        self.now += timedelta(seconds=1)
        decided = decide(self.incident, command, self.now)
        if isinstance(decided, Refused):
            assert decided.code
            assert decided.field
            assert decided.cure
            return
        version = 0 if self.incident is None else self.incident.version
        for event in decided:
            self.incident = evolve(self.incident, event, self.now, "somebody")
            self.history.append(event)
        assert self.incident is not None
        assert self.incident.version == version + len(decided)

    @initialize(fault=st.booleans())
    def open(self, fault: bool) -> None:
        self.give(opening(HazardKind.DEVICE_FAULT if fault else HazardKind.FIRE))

    @rule(command=st.sampled_from([File(), Acknowledge(), VerifyByDevice()]))
    def simple(self, command: Command) -> None:
        self.give(command)

    @rule(force=st.sampled_from([Force.GRID, Force.POLICE_GRID]))
    def ask(self, force: Force) -> None:
        self.give(offer(self.offers % 7, force))
        self.offers += 1

    @rule(force=st.sampled_from([Force.GRID, Force.WATER]))
    def fall_short(self, force: Force) -> None:
        self.give(FallShort(force, "all_busy"))

    @rule(name=DISPATCHES, step=st.sampled_from([Accept, Arrive]))
    def act(self, name: str, step: type[Accept] | type[Arrive]) -> None:
        self.give(step(name))

    @rule(name=DISPATCHES)
    def refuse(self, name: str) -> None:
        self.give(Refuse(name, "busy"))

    @rule(name=DISPATCHES, evidence=EVIDENCE)
    def hand_back(self, name: str, evidence: tuple[str, ...]) -> None:
        self.give(HandBack(name, evidence))

    @rule(name=DISPATCHES)
    def handle_at_once(self, name: str) -> None:
        for command in (File(), Accept(name), Arrive(name), HandBack(name, ())):
            self.give(command)

    @rule(attempt=st.integers(1, 4))
    def request(self, attempt: int) -> None:
        self.give(RequestVerification(attempt))

    @rule(outcome=st.sampled_from(LookOutcome), stale=st.booleans())
    def look(self, outcome: LookOutcome, stale: bool) -> None:
        self.give(ConcludeLook(outcome, AT if stale else self.now, ("after",)))

    @rule(gone=st.booleans(), who=st.sampled_from([None, "r-0", "r-1", "r-9"]))
    def check(self, gone: bool, who: str | None) -> None:
        self.give(VerifyByPerson(gone, who, ()))

    @rule(level=st.integers(1, 4))
    def escalate(self, level: int) -> None:
        self.give(Escalate(level))

    @rule(outcome=st.sampled_from(CloseOutcome), step=st.sampled_from([Close, Dismiss]))
    def end(self, outcome: CloseOutcome, step: type[Close] | type[Dismiss]) -> None:
        self.give(step(outcome))

    @rule(number=st.integers(0, 3))
    def fuse(self, number: int) -> None:
        self.give(Fuse(f"hazard-{number}", 3.0, 4.0, 0.7, ()))

    @rule()
    def clear(self) -> None:
        if self.incident is not None:
            cleared = DeviceAlarmCleared("dock-1", "0x1", "", self.now)
            self.incident = evolve(self.incident, cleared, self.now, "ingest")

    @invariant()
    def handled_only_after_an_independent_check(self) -> None:
        for index, event in enumerate(self.history):
            if isinstance(event, IncidentClosed) and event.outcome is CloseOutcome.HANDLED:
                before = [
                    e
                    for e in self.history[:index]
                    if isinstance(e, IncidentVerified | IncidentReworked)
                ]
                assert before
                assert isinstance(before[-1], IncidentVerified)

    @invariant()
    def nothing_follows_the_end(self) -> None:
        ends = [n for n, e in enumerate(self.history) if e.KIND.endswith(("closed", "dismissed"))]
        assert ends in ([], [len(self.history) - 1])

    @invariant()
    def states_agree_with_dispatches(self) -> None:
        incident = self.incident
        if incident is None:
            return
        states = {d.state for d in incident.dispatches}
        if not is_open(incident):
            assert not states & LIVE
        if incident.state is S.HANDLING:
            assert states & {DispatchState.ACCEPTED, DispatchState.ARRIVED}
        if incident.state in (S.FEEDBACK, S.VERIFYING):
            assert DispatchState.HANDED_BACK in states
        if incident.state in (S.REPORTED, S.FILED):
            assert not states


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
