"""A look whose way bends is flown as a wayline: prepared, executed, looked, and home by itself."""

from dataclasses import replace

from domain.events import LookConcluded, LookStarted
from domain.hazard import HazardKind
from domain.mission import LookOutcome, MissionOutcome, Wayline
from services.patrol.flight import Step, evolve
from services.patrol.next_step import End, Intend, StartLook, View, decide
from tests.core.patrol_scene import ORIGIN
from tests.core.test_patrol_flight import (
    LOOK,
    PATIENCE,
    POINT,
    answered,
    later,
    meant,
    progress,
    told,
)

BENT = replace(LOOK, wayline=Wayline((POINT, POINT, POINT), 900.0, 120.0))


def test_a_bent_look_flies_a_wayline_and_is_not_called_home() -> None:
    assert decide(told(BENT), View(), later(1), PATIENCE) == Intend(Step.PREPARE)
    prepared = told(BENT, meant(Step.PREPARE, BENT), answered(Step.PREPARE, 0, BENT))
    assert decide(prepared, View(), later(3), PATIENCE) == Intend(Step.EXECUTE)
    flying = told(
        BENT,
        meant(Step.PREPARE, BENT),
        answered(Step.PREPARE, 0, BENT),
        meant(Step.EXECUTE, BENT),
        answered(Step.EXECUTE, 0, BENT),
        progress("in_progress", 25, BENT),
    )
    assert decide(flying, View(), later(9), PATIENCE) is None
    assert decide(flying, View(over_target=True), later(9), PATIENCE) == StartLook()
    started = evolve(
        flying,
        LookStarted(
            "m2", BENT.purpose, "DRONE1", ORIGIN, HazardKind.FIRE, 30.0, "i1", None, later(70)
        ),
        later(10),
    )
    concluded = evolve(
        started,
        LookConcluded("m2", BENT.purpose, "i1", None, LookOutcome.REFUTED, 6, 0, (), later(30)),
        later(30),
    )
    assert decide(concluded, View(over_target=True), later(31), PATIENCE) is None
    home = evolve(concluded, progress("ok", None, BENT), later(99))
    assert decide(home, View(), later(99), PATIENCE) == End(MissionOutcome.COMPLETED, "dock_ok")
