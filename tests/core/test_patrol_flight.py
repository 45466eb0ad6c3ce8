"""A mission's life, decision by decision."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from domain.events import (
    Event,
    FlightProgressed,
    LookConcluded,
    LookStarted,
    MissionDiverted,
    MissionEnded,
    MissionPlanned,
    MissionStepAnswered,
    MissionStepIntended,
)
from domain.hazard import HazardKind
from domain.mission import (
    BreakPoint,
    LookOutcome,
    Mission,
    MissionOutcome,
    MissionPurpose,
    MissionState,
    Wayline,
    Waypoint,
)
from services.patrol.commander import patience
from services.patrol.flight import Flight, Step, evolve, opened
from services.patrol.next_step import End, GiveUpAnswer, Intend, StartLook, View, decide
from services.patrol.policy import PatrolPolicy
from tests.core.patrol_scene import EPOCH, ORIGIN

PATIENCE = patience(PatrolPolicy(), 1.0)
POINT = Waypoint(ORIGIN, 90.0, 12.0)
PATROL = Mission(
    "m1", MissionPurpose.PATROL, "DOCK1", "DRONE1", EPOCH, ("c1",), Wayline((POINT, POINT), 0, 100)
)
LOOK = replace(
    PATROL,
    mission_id="m2",
    purpose=MissionPurpose.VERIFY,
    cell_codes=(),
    wayline=replace(PATROL.wayline, waypoints=PATROL.wayline.waypoints[:1]),
    target=ORIGIN,
    kind=HazardKind.FIRE,
    incident_id="i1",
)


def later(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def told(mission: Mission, *events: Event, carrier_id: str | None = None) -> Flight:
    """Fold events one second apart, after the plan."""
    flight = opened(MissionPlanned(mission), EPOCH, carrier_id)
    for i, event in enumerate(events, 1):
        flight = evolve(flight, event, later(i))
    return flight


def meant(step: Step, mission: Mission = PATROL, number: int = 0) -> MissionStepIntended:
    return MissionStepIntended(mission.mission_id, "DOCK1", step, f"{step}-{number}")


def answered(
    step: Step, result: int | None = 0, mission: Mission = PATROL, number: int = 0
) -> MissionStepAnswered:
    return MissionStepAnswered(mission.mission_id, step, f"{step}-{number}", result)


def progress(status: str, step: int | None = 25, mission: Mission = PATROL) -> FlightProgressed:
    return FlightProgressed(mission.mission_id, "DOCK1", status, step, None, 1, None, 0, EPOCH)


FLYING = (
    meant(Step.PREPARE),
    answered(Step.PREPARE),
    meant(Step.EXECUTE),
    answered(Step.EXECUTE),
    progress("in_progress"),
)
ASIDE = (*FLYING, MissionDiverted("m1", "m2", (), "eta_s=9"))


def test_the_ordinary_way() -> None:
    view = View()
    assert decide(told(PATROL), view, later(1), PATIENCE) == Intend(Step.PREPARE)
    assert decide(told(PATROL, *FLYING[:1]), view, later(2), PATIENCE) is None
    assert decide(told(PATROL, *FLYING[:2]), view, later(3), PATIENCE) == Intend(Step.EXECUTE)
    assert told(PATROL, *FLYING[:4]).state is MissionState.EXECUTING
    assert told(PATROL, *FLYING).state is MissionState.FLYING
    done = told(PATROL, *FLYING, progress("ok"))
    assert decide(done, view, later(9), PATIENCE) == End(MissionOutcome.COMPLETED, "dock_ok")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("ok", MissionOutcome.COMPLETED),
        ("partially_done", MissionOutcome.PARTIAL),
        ("failed", MissionOutcome.FAILED),
        ("rejected", MissionOutcome.FAILED),
        ("timeout", MissionOutcome.FAILED),
        ("canceled", MissionOutcome.CANCELLED),
    ],
)
def test_every_terminal_word_ends_the_mission(status: str, outcome: MissionOutcome) -> None:
    flight = told(PATROL, *FLYING, progress(status))
    ended = decide(flight, View(), later(9), PATIENCE)
    assert ended == End(outcome, f"dock_{status}")


@pytest.mark.parametrize("step", [Step.PREPARE, Step.EXECUTE])
def test_an_intended_step_is_never_sent_again(step: Step) -> None:
    """Whatever is decided after an intent without an answer, it is not the same step."""
    before = () if step is Step.PREPARE else FLYING[:2]
    flight = told(PATROL, *before, meant(step))
    for seconds in (2, 10, 60, 600, 6000):
        for idle in (None, EPOCH):
            found = decide(flight, View(dock_idle_since=idle), later(seconds), PATIENCE)
            assert not isinstance(found, Intend)
    unknown = evolve(flight, answered(step, None), later(12))
    assert unknown.state is MissionState.UNKNOWN
    for seconds in (20, 100, 1000):
        assert decide(unknown, View(), later(seconds), PATIENCE) is None


def test_an_answer_is_given_up_only_by_who_does_not_wait_for_it() -> None:
    flight = told(PATROL, meant(Step.PREPARE))
    waiting = View(in_flight=frozenset({"prepare-0"}))
    assert decide(flight, waiting, later(60), PATIENCE) is None
    assert decide(flight, View(), later(60), PATIENCE) == GiveUpAnswer("prepare", "prepare-0")


def test_unknown_is_resolved_by_progress() -> None:
    flight = told(PATROL, *FLYING[:3], answered(Step.EXECUTE, None), progress("in_progress"))
    assert flight.state is MissionState.FLYING


def test_unknown_is_resolved_by_a_late_answer() -> None:
    flight = told(PATROL, meant(Step.PREPARE), answered(Step.PREPARE, None))
    assert evolve(flight, answered(Step.PREPARE), later(20)).state is MissionState.PREPARED


def test_giving_up_never_unsays_an_answer() -> None:
    flight = told(PATROL, meant(Step.PREPARE), answered(Step.PREPARE))
    assert evolve(flight, answered(Step.PREPARE, None), later(20)) == flight


def test_never_flown_needs_an_idle_dock_for_long_enough() -> None:
    flight = told(PATROL, *FLYING[:3], answered(Step.EXECUTE, None))
    idle = View(dock_idle_since=later(-100))
    assert decide(flight, idle, later(100), PATIENCE) is None
    assert decide(flight, View(), later(4000), PATIENCE) is None
    just_idle = View(dock_idle_since=later(190))
    assert decide(flight, just_idle, later(200), PATIENCE) is None
    assert decide(flight, idle, later(200), PATIENCE) == End(
        MissionOutcome.NEVER_FLOWN, "dock_idle"
    )


def test_a_plan_left_lying_is_not_flown() -> None:
    over = End(MissionOutcome.NEVER_FLOWN, "plan_stale")
    assert decide(told(PATROL), View(), later(1000), PATIENCE) == over
    # What the dock has agreed to is undone first, and not executed any more.
    prepared = told(PATROL, *FLYING[:2])
    assert decide(prepared, View(), later(1000), PATIENCE) == Intend(Step.UNDO)
    undoing = evolve(prepared, meant(Step.UNDO), later(1001))
    assert decide(undoing, View(), later(1002), PATIENCE) is None
    for result in (0, 325001, None):
        undone = evolve(undoing, answered(Step.UNDO, result), later(1003))
        assert decide(undone, View(), later(1004), PATIENCE) == over


def test_a_flight_is_called_off_before_its_take_off() -> None:
    stop = View(home_asked_by="op-1")
    assert decide(told(PATROL), stop, later(3), PATIENCE) == End(
        MissionOutcome.CANCELLED, "called_home"
    )
    prepared = told(PATROL, *FLYING[:2])
    assert decide(prepared, stop, later(3), PATIENCE) == Intend(Step.UNDO)
    undone = evolve(evolve(prepared, meant(Step.UNDO), later(4)), answered(Step.UNDO), later(5))
    assert decide(undone, stop, later(6), PATIENCE) == End(MissionOutcome.CANCELLED, "called_home")
    executing = told(PATROL, *FLYING[:4])
    assert executing.state is MissionState.EXECUTING
    assert decide(executing, stop, later(9), PATIENCE) == Intend(Step.UNDO, "op-1")


def test_an_execute_refused_is_undone_and_ends_with_its_code() -> None:
    refused = told(PATROL, *FLYING[:3], answered(Step.EXECUTE, 319001))
    assert decide(refused, View(), later(9), PATIENCE) == Intend(Step.UNDO)
    undone = evolve(evolve(refused, meant(Step.UNDO), later(9)), answered(Step.UNDO), later(9))
    assert decide(undone, View(), later(10), PATIENCE) == End(
        MissionOutcome.FAILED, "execute_refused_319001"
    )


def test_a_refusal_ends_with_its_code() -> None:
    flight = told(PATROL, meant(Step.PREPARE), answered(Step.PREPARE, 316009))
    ended = decide(flight, View(), later(3), PATIENCE)
    assert ended == End(MissionOutcome.FAILED, "prepare_refused_316009")


def test_a_diverted_patrol_pauses_and_goes_on_after_the_look() -> None:
    look = told(LOOK, carrier_id="m1")
    aside = told(PATROL, *ASIDE)
    assert aside.state is MissionState.DIVERTED
    assert decide(aside, View(other=look), later(8), PATIENCE) == Intend(Step.PAUSE)
    paused = evolve(evolve(aside, meant(Step.PAUSE), later(8)), answered(Step.PAUSE), later(9))
    assert decide(paused, View(other=look), later(10), PATIENCE) is None
    assert decide(look, View(other=paused), later(10), PATIENCE) == Intend(Step.GRAB_AUTHORITY)
    grabbing = evolve(look, meant(Step.GRAB_AUTHORITY), later(10))
    grabbed = evolve(grabbing, answered(Step.GRAB_AUTHORITY), later(11))
    assert decide(grabbed, View(other=paused), later(11), PATIENCE) == Intend(Step.FLY_TO_POINT)
    over = evolve(look, MissionEnded("m2", MissionOutcome.COMPLETED, ""), later(60))
    assert decide(paused, View(other=over), later(61), PATIENCE) == Intend(Step.RECOVERY)
    short = View(other=over, can_finish=False)
    assert decide(paused, short, later(61), PATIENCE) == Intend(Step.RETURN_HOME)
    resumed = evolve(
        evolve(paused, meant(Step.RECOVERY), later(62)), answered(Step.RECOVERY), later(63)
    )
    assert resumed.state is MissionState.FLYING
    assert resumed.diverted_for is None


def test_control_that_is_refused_is_asked_for_three_times() -> None:
    paused = told(PATROL, *ASIDE, meant(Step.PAUSE), answered(Step.PAUSE))
    look = told(LOOK, carrier_id="m1")
    for n in range(3):
        at = 20.0 * (n + 1)
        assert decide(look, View(other=paused), later(at), PATIENCE) == Intend(Step.GRAB_AUTHORITY)
        sent = MissionStepIntended("m2", "DOCK1", Step.GRAB_AUTHORITY, f"g{n}")
        refused = MissionStepAnswered("m2", Step.GRAB_AUTHORITY, f"g{n}", 325004)
        look = evolve(evolve(look, sent, later(at)), refused, later(at + 1))
        if n < 2:
            assert decide(look, View(other=paused), later(at + 2), PATIENCE) is None
    assert decide(look, View(other=paused), later(90), PATIENCE) == End(
        MissionOutcome.FAILED, "authority_refused_325004"
    )


def test_a_flight_to_a_point_that_was_not_reached_is_stopped_before_the_wayline_goes_on() -> None:
    paused = told(PATROL, *ASIDE, meant(Step.PAUSE), answered(Step.PAUSE))
    look = told(LOOK, meant(Step.FLY_TO_POINT), answered(Step.FLY_TO_POINT), carrier_id="m1")
    over = evolve(look, MissionEnded("m2", MissionOutcome.FAILED, "late"), later(60))
    assert decide(paused, View(other=over), later(61), PATIENCE) == Intend(Step.FLY_TO_POINT_STOP)
    stopped = evolve(
        evolve(paused, meant(Step.FLY_TO_POINT_STOP), later(61)),
        answered(Step.FLY_TO_POINT_STOP, 325012),
        later(62),
    )
    assert decide(stopped, View(other=over), later(63), PATIENCE) == Intend(Step.RECOVERY)
    arrived = replace(over, status="wayline_ok")
    assert decide(paused, View(other=arrived), later(61), PATIENCE) == Intend(Step.RECOVERY)


def test_a_look_round_closed_airspace_is_flown_from_turn_to_turn_and_back() -> None:
    """Each point is one order, given once the one before is reached; then the patrol goes on."""
    paused = told(PATROL, *ASIDE, meant(Step.PAUSE), answered(Step.PAUSE))
    bent = replace(LOOK, turns=(POINT,), turns_back=(POINT,))
    look, clock = told(bent, carrier_id="m1"), 20.0

    def next_point(look: Flight) -> Flight:
        nonlocal clock
        clock += 10.0
        tid = f"f{look.points_sent}"
        sent = MissionStepIntended("m2", "DOCK1", Step.FLY_TO_POINT, tid)
        look = replace(look, status="wayline_ok")
        look = evolve(look, sent, later(clock))
        assert look.status is None
        return evolve(
            look, MissionStepAnswered("m2", Step.FLY_TO_POINT, tid, 0), later(clock + 1)
        )

    def now(look: Flight, over: bool = False) -> object:
        return decide(look, View(other=paused, over_target=over), later(clock + 2), PATIENCE)

    look = next_point(look)
    assert now(look) is None
    assert now(look, over=True) == Intend(Step.FLY_TO_POINT)
    look = next_point(look)
    assert now(look) is None
    assert now(look, over=True) == StartLook()
    look = evolve(look, LookStarted(
        "m2", MissionPurpose.VERIFY, "DRONE1", ORIGIN, HazardKind.FIRE, 30.0, "i1", None, later(90)
    ), later(clock))  # fmt: skip
    assert now(look, over=True) is None
    look = replace(look, concluded=LookOutcome.REFUTED)
    assert now(look, over=True) == Intend(Step.FLY_TO_POINT)
    look = next_point(look)
    assert now(look) is None
    assert now(look, over=True) == End(MissionOutcome.COMPLETED, "look_over")
    lost = evolve(
        look, FlightProgressed("m2", "DOCK1", "wayline_failed", None, None, None, None, 0, EPOCH),
        later(clock + 1),
    )  # fmt: skip
    assert now(lost) == End(MissionOutcome.COMPLETED, "look_over")


def test_the_break_point_told_last_is_kept_until_the_wayline_goes_on() -> None:
    flight = told(PATROL, *FLYING[:4])
    left = BreakPoint(3, 0, 0.4)

    def say(flight: Flight, status: str, point: BreakPoint | None, s: float) -> Flight:
        event = FlightProgressed("m1", "DOCK1", status, 25, 40, 3, None, 0, EPOCH, point)
        return evolve(flight, event, later(s))

    paused = say(flight, "paused", left, 20)
    assert paused.break_point == left
    assert say(paused, "paused", None, 21).break_point == left
    assert say(paused, "in_progress", None, 22).break_point is None
    assert say(paused, "partially_done", None, 23).break_point == left


def test_a_pause_refused_fails_the_look_and_the_patrol_flies_on() -> None:
    refused = told(PATROL, *ASIDE, meant(Step.PAUSE), answered(Step.PAUSE, 325012))
    look = told(LOOK, carrier_id="m1")
    ended = decide(look, View(other=refused), later(10), PATIENCE)
    assert ended == End(MissionOutcome.FAILED, "pause_refused_325012")
    flying = told(
        PATROL,
        *ASIDE,
        meant(Step.PAUSE),
        answered(Step.PAUSE, 325012),
        meant(Step.RECOVERY),
        answered(Step.RECOVERY, 325012),
    )
    assert flying.state is MissionState.FLYING


def test_a_second_diversion_pauses_anew() -> None:
    first = (
        *ASIDE,
        meant(Step.PAUSE),
        answered(Step.PAUSE),
        meant(Step.RECOVERY),
        answered(Step.RECOVERY),
    )
    again = told(PATROL, *first, MissionDiverted("m1", "m3", (), ""))
    look = told(replace(LOOK, mission_id="m3"), carrier_id="m1")
    assert decide(again, View(other=look), later(20), PATIENCE) == Intend(Step.PAUSE)
    assert decide(look, View(other=again), later(20), PATIENCE) is None


def test_progress_after_an_earlier_recovery_does_not_end_a_second_diversion() -> None:
    first = (*ASIDE, meant(Step.PAUSE), answered(Step.PAUSE), meant(Step.RECOVERY))
    resumed = (*first, answered(Step.RECOVERY), progress("in_progress"))
    again = told(PATROL, *resumed, MissionDiverted("m1", "m3", (), ""), progress("in_progress"))
    assert again.state is MissionState.DIVERTED
    assert again.diverted_for == "m3"


def test_a_look_from_the_dock_starts_over_the_target_and_comes_home() -> None:
    flown = (
        meant(Step.TAKEOFF_TO_POINT, LOOK),
        answered(Step.TAKEOFF_TO_POINT, 0, LOOK),
        progress("wayline_progress", None, LOOK),
    )
    assert decide(told(LOOK), View(), later(1), PATIENCE) == Intend(Step.TAKEOFF_TO_POINT)
    flight = told(LOOK, *flown)
    assert decide(flight, View(), later(9), PATIENCE) is None
    assert decide(flight, View(over_target=True), later(9), PATIENCE) == StartLook()
    started = evolve(
        flight,
        LookStarted(
            "m2", LOOK.purpose, "DRONE1", ORIGIN, HazardKind.FIRE, 30.0, "i1", None, later(70)
        ),
        later(10),
    )
    view = View(over_target=True)
    assert decide(started, view, later(30), PATIENCE) is None
    concluded = evolve(
        started,
        LookConcluded("m2", LOOK.purpose, "i1", None, LookOutcome.REFUTED, 6, 0, (), later(30)),
        later(30),
    )
    assert decide(concluded, view, later(31), PATIENCE) == Intend(Step.RETURN_HOME)
    # Without a judgement it comes home once its deadline and the grace have passed.
    assert decide(started, view, later(71), PATIENCE) is None
    assert decide(started, view, later(90), PATIENCE) == Intend(Step.RETURN_HOME)
    home = evolve(concluded, progress("task_finish", None, LOOK), later(99))
    assert decide(home, View(), later(99), PATIENCE) == End(
        MissionOutcome.COMPLETED, "dock_task_finish"
    )
    unjudged = evolve(started, progress("task_finish", None, LOOK), later(99))
    found = decide(unjudged, View(), later(99), PATIENCE)
    assert found == End(MissionOutcome.FAILED, "dock_task_finish")


def test_home_is_asked_again_after_a_refusal_but_not_for_ever() -> None:
    events: list[Event] = [*FLYING]
    asked = 0
    for number in range(6):
        flight = told(PATROL, *events)
        view = View(home_asked_by="op-1")
        found = decide(flight, view, later(1000 * (number + 1)), PATIENCE)
        if not isinstance(found, Intend):
            break
        assert found == Intend(Step.RETURN_HOME, "op-1")
        asked += 1
        events += [
            meant(Step.RETURN_HOME, number=number),
            answered(Step.RETURN_HOME, 325012, number=number),
        ]
    assert asked == PATIENCE.home_tries


def test_what_has_ended_stays_ended() -> None:
    flight = told(PATROL, *FLYING, MissionEnded("m1", MissionOutcome.FAILED, "x"))
    assert evolve(flight, progress("in_progress"), later(50)) == flight
    assert decide(flight, View(), later(50), PATIENCE) is None


@pytest.mark.parametrize("rate", [1.0, 30.0])
def test_patience_never_asks_the_network_to_hurry(rate: float) -> None:
    found = patience(PatrolPolicy(), rate)
    assert found.reply_s >= 10.0
    assert found.reply_s / rate >= 3.0
