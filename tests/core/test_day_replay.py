"""A day's hazards against the truth: who is found, what is false, how late."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from domain.hazard import Hazard, HazardKind
from domain.place import ErrorEllipse, Position
from geo.frames import LocalFrame
from gridwing.day_replay import Looked, scored
from gridwing.summary import TrueHazard

AT = datetime(2026, 11, 23, tzinfo=UTC)
FRAME = LocalFrame(Position(22.54, 113.35))


def later(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def true(kind: HazardKind, x_m: float, frames: int = 9) -> Looked:
    return Looked(
        TrueHazard(f"{kind}{x_m}", kind, x_m, 0.0, AT, later(1800), frames), later(60)
    )


def seen(kind: HazardKind, x_m: float, at_s: float = 100.0) -> Hazard:
    place = FRAME.to_position(x_m, 0.0)
    return Hazard(
        f"h{x_m}{at_s}", kind, place, ErrorEllipse(1, 1, 0), 0.9, "CAM1", later(at_s - 10),
        later(at_s), 3, 3, None, (), (), 0.0,
    )  # fmt: skip


def test_found_missed_false_and_late() -> None:
    truth = [
        true(HazardKind.FIRE, 0),
        true(HazardKind.EXPOSED_RUBBISH, 500),
        true(HazardKind.FIRE, 900, frames=1),
    ]
    raised = [seen(HazardKind.FIRE, 5), seen(HazardKind.FIRE, 700), seen(HazardKind.SMOKE, 3)]
    told = scored(truth, raised, FRAME, 2.0)
    assert (told["true"], told["found"], told["recall"], told["unseen"]) == (2, 1, 0.5, 1)
    # Smoke at a fire is no false alarm.
    assert (told["false_alarms"], told["false_alarms_per_camera_day"]) == (1, 0.5)
    assert told["median_delay_s"] == 40.0
    assert told["kinds"]["exposed_rubbish"]["recall"] == 0.0
    assert told["kinds"]["fire"]["false_alarms"] == 1


def test_another_kind_finds_nothing_and_what_is_gone_is_false() -> None:
    told = scored([true(HazardKind.SMOKE, 0)], [seen(HazardKind.FIRE, 0)], FRAME, 1.0)
    assert (told["recall"], told["false_alarms"]) == (0.0, 0)
    gone = replace(seen(HazardKind.FIRE, 0, 2000.0))
    told = scored([true(HazardKind.FIRE, 0)], [gone], FRAME, 1.0)
    assert (told["recall"], told["false_alarms"]) == (0.0, 1)
