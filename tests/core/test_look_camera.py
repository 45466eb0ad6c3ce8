"""A look's camera: taken in hand, pointed, looked through, one photograph; each asked once."""

from dataclasses import replace

import pytest

from domain.events import LookStarted
from domain.hazard import HazardKind
from domain.mission import MissionPurpose
from services.patrol.aircraft.wpml import AIRFRAMES
from services.patrol.flight import Flight, Step, evolve
from services.patrol.next_step import Intend, StartLook, View, decide
from services.patrol.orders import METHODS, order
from services.patrol.policy import PatrolPolicy
from simulators.osd import MODELS
from tests.core.patrol_scene import EPOCH, ORIGIN, dock_and_drone
from tests.core.test_patrol_flight import LOOK, PATIENCE, answered, later, meant, progress, told

OVER = View(over_target=True, camera=True)
THERE = (
    meant(Step.TAKEOFF_TO_POINT, LOOK),
    answered(Step.TAKEOFF_TO_POINT, 0, LOOK),
    progress("wayline_ok", None, LOOK),
)
GRABBED = (meant(Step.GRAB_PAYLOAD, LOOK), answered(Step.GRAB_PAYLOAD, 0, LOOK))
STARTED = LookStarted(
    "m2", MissionPurpose.VERIFY, "DRONE1", ORIGIN, HazardKind.FIRE, 30.0, "i1", None, later(90)
)


def next_of(flight: Flight, after_s: float = 12.0) -> object:
    return decide(flight, OVER, later(after_s), PATIENCE)


@pytest.mark.parametrize("pointed", [0, 325001, None])
def test_in_hand_pointed_then_looked_through_and_photographed_once(pointed: int | None) -> None:
    assert next_of(told(LOOK, *THERE)) == Intend(Step.GRAB_PAYLOAD)
    assert next_of(told(LOOK, *THERE, *GRABBED)) == Intend(Step.LOOK_AT)
    aimed = (meant(Step.LOOK_AT, LOOK), answered(Step.LOOK_AT, pointed, LOOK))
    flight = told(LOOK, *THERE, *GRABBED, *aimed)
    # What was refused, or heard perhaps, is not sent again.
    assert next_of(flight) == StartLook()
    looking = evolve(flight, STARTED, later(13))
    assert next_of(looking, 14.0) == (Intend(Step.TAKE_PHOTO) if pointed == 0 else None)
    for result in (0, 325001, None):
        photo = evolve(looking, meant(Step.TAKE_PHOTO, LOOK), later(15))
        taken = evolve(photo, answered(Step.TAKE_PHOTO, result, LOOK), later(16))
        assert next_of(taken, 17.0) is None


def test_a_camera_that_is_not_given_is_asked_for_three_times_and_the_look_begins() -> None:
    flight = told(LOOK, *THERE)
    for n in range(3):
        at = 20.0 * (n + 1)
        assert next_of(flight, at) == Intend(Step.GRAB_PAYLOAD)
        sent = meant(Step.GRAB_PAYLOAD, LOOK, n)
        refused = answered(Step.GRAB_PAYLOAD, 325004, LOOK, n)
        flight = evolve(evolve(flight, sent, later(at)), refused, later(at + 1))
        assert next_of(flight, at + 2) == (None if n < 2 else StartLook())


def test_a_camera_whose_index_is_not_known_is_left_as_it_hangs() -> None:
    flight = told(LOOK, *THERE)
    assert decide(flight, replace(OVER, camera=False), later(12), PATIENCE) == StartLook()


def test_a_camera_on_its_way_home_is_left_alone() -> None:
    """The aircraft was called home late, then its dock says that it had arrived."""
    home = (meant(Step.RETURN_HOME, LOOK), answered(Step.RETURN_HOME, 0, LOOK))
    assert next_of(told(LOOK, *THERE, *home)) == StartLook()
    aimed = (meant(Step.LOOK_AT, LOOK), answered(Step.LOOK_AT, 0, LOOK))
    assert next_of(told(LOOK, *THERE, *GRABBED, *aimed, STARTED, *home), 14.0) is None


def test_the_camera_is_named_and_told_the_ground_at_the_target() -> None:
    dock, drone = dock_and_drone(1, 0.0, 0.0)
    policy = PatrolPolicy()
    here = replace(LOOK.wayline.waypoints[0], height_rel_m=65.0)
    look = replace(LOOK, wayline=replace(LOOK.wayline, waypoints=(here,)))

    def data(step: Step) -> dict[str, object]:
        return order(step, look, dock, drone, None, EPOCH, policy)

    index = {"payload_index": "81-0-0"}
    assert METHODS[Step.GRAB_PAYLOAD] == "payload_authority_grab"
    assert data(Step.GRAB_PAYLOAD) == data(Step.TAKE_PHOTO) == index
    target = {"latitude": ORIGIN.lat_deg, "longitude": ORIGIN.lon_deg}
    # 60 m are flown over the target's ground, which lies 5 m over the dock's.
    height_m = dock.height_ellipsoid_m + 5.0
    assert data(Step.LOOK_AT) == {**index, **target, "locked": True, "height": height_m}
    with pytest.raises(ValueError, match="camera has no known index"):
        order(Step.TAKE_PHOTO, look, dock, replace(drone, model="M300"), None, EPOCH, policy)


def test_our_indices_are_the_simulated_docks() -> None:
    assert all(AIRFRAMES[name].payload_index == told[2] for name, told in MODELS.items())
