"""Which looks are wanted, in which order, and when two are one."""

from dataclasses import replace
from datetime import timedelta

from domain.events import HazardRaised, VerificationRequested
from domain.hazard import Hazard, HazardKind
from domain.mission import MissionPurpose
from domain.place import ErrorEllipse
from services.patrol.looks import WantedLook, already_wanted, in_order, may_divert, wanted
from services.patrol.policy import PatrolPolicy
from tests.core.patrol_scene import EPOCH, FRAME

POLICY = PatrolPolicy()


def hazard(kind: HazardKind, number: int = 1, x_m: float = 0.0) -> HazardRaised:
    return HazardRaised(
        Hazard(
            f"hazard-{number}",
            kind,
            FRAME.to_position(x_m, 0.0),
            ErrorEllipse(5.0, 5.0, 0.0),
            0.9,
            "CAM1",
            EPOCH,
            EPOCH,
            3,
            5,
            None,
            (),
            (),
            0.0,
        )
    )


def asked(incident: str = "i1", attempt: int = 1) -> WantedLook:
    wish = VerificationRequested(
        incident, HazardKind.EXPOSED_RUBBISH, FRAME.to_position(0, 0), attempt
    )
    look = wanted(wish, EPOCH, POLICY)
    assert look is not None
    return look


def confirm(number: int = 1, x_m: float = 0.0) -> WantedLook:
    look = wanted(hazard(HazardKind.FIRE, number, x_m), EPOCH, POLICY)
    assert look is not None
    return look


def test_only_critical_hazards_are_confirmed() -> None:
    assert confirm().purpose is MissionPurpose.CONFIRM
    assert wanted(hazard(HazardKind.EXPOSED_RUBBISH), EPOCH, POLICY) is None


def test_confirmations_come_before_verifications() -> None:
    queue = [asked(), confirm()]
    assert [look.purpose for look in in_order(queue, EPOCH, POLICY)] == [
        MissionPurpose.CONFIRM,
        MissionPurpose.VERIFY,
    ]


def test_what_expired_or_failed_too_often_is_not_given() -> None:
    late = EPOCH + timedelta(seconds=POLICY.confirm_expiry_s + 1)
    assert in_order([confirm()], late, POLICY) == []
    assert in_order([replace(asked(), tries=POLICY.look_tries)], EPOCH, POLICY) == []


def test_the_same_happening_is_wanted_once() -> None:
    assert already_wanted(confirm(2, 10.0), [confirm(1)], POLICY)
    assert not already_wanted(confirm(2, 200.0), [confirm(1)], POLICY)
    smoke = wanted(hazard(HazardKind.SMOKE, 3, 10.0), EPOCH, POLICY)
    assert smoke is not None
    assert already_wanted(smoke, [confirm(1)], POLICY)
    assert already_wanted(asked(attempt=2), [asked()], POLICY)
    assert not already_wanted(asked("i2"), [asked()], POLICY)
    assert not already_wanted(asked(), [confirm()], POLICY)


def test_each_try_is_a_mission_of_its_own() -> None:
    look = asked()
    again = replace(look, tries=1)
    assert look.mission_id() != again.mission_id()
    assert again.given_by(look.mission_id())
    assert not look.given_by(again.mission_id())


def test_a_verification_turns_a_patrol_aside_only_after_a_wait() -> None:
    assert may_divert(confirm(), EPOCH, POLICY)
    assert not may_divert(asked(), EPOCH, POLICY)
    late = EPOCH + timedelta(seconds=POLICY.verify_diverts_after_s)
    assert may_divert(asked(), late, POLICY)
