"""Dwell is a thing's own: one that stays has it, those that follow one another have not."""

from datetime import UTC, datetime, timedelta

import pytest

from domain.hazard import Detection, HazardKind
from domain.place import ErrorEllipse, Position
from domain.sight import VoteRule
from services.ingest.sight.following import Followed, FollowPolicy, dwelling, follow
from services.ingest.sight.sightings import Sighting
from services.ingest.sight.votes import Candidate, VotePolicy, stands, tally

START = datetime(2026, 11, 23, 8, tzinfo=UTC)
FIXED = FollowPolicy().fixed
PARKED = VoteRule(hits=3, share=0.6, dwell_s=60.0)
IN_ZONE = (300.0, 420.0)


def vehicle(left: float) -> Detection:
    return Detection("vehicle", 0.8, left, 200.0, left + 80.0, 250.0)


def sighting(box: Detection) -> Sighting:
    """A lane of which a tenth of a metre is a pixel."""
    ellipse = ErrorEllipse(3.0, 2.0, 0.0)
    at = (Position(22.5, 113.3), box.x0_px / 10, 0.0)
    return Sighting("lane", HazardKind.BLOCKED_FIRE_LANE, *at, ellipse, box.score, (box,))


def everywhere(x_m: float, y_m: float) -> bool:
    return True


def watched(frames: list[list[Detection]], every_s: float) -> list[float]:
    """Return the times, in seconds, at which a vehicle in the zone stood its vote."""
    things, candidates, stood = Followed(), tuple[Candidate, ...](), []
    for i, boxes in enumerate(frames):
        at = START + timedelta(seconds=i * every_s)
        inside = [sighting(b) for b in boxes if IN_ZONE[0] <= b.x0_px <= IN_ZONE[1]]
        things, seen = dwelling(follow(things, boxes, at, FIXED), inside)
        candidates = tally(candidates, seen, everywhere, at, VotePolicy())
        if any(stands(c, PARKED) for c in candidates):
            stood.append(i * every_s)
    return stood


@pytest.mark.parametrize("every_s", [0.2, 0.5, 1.0, 10.0, 30.0])
def test_a_vehicle_that_stays_dwells_however_often_it_is_looked_at(every_s: float) -> None:
    stood = watched([[vehicle(350.0)]] * (int(90 / every_s) + 1), every_s)
    assert stood[0] == pytest.approx(60.0, abs=every_s)


def test_vehicles_that_follow_one_another_do_not_dwell() -> None:
    """A column that fills the zone for three minutes: there is always one in it, never one."""
    frames = [
        [vehicle(at) for at in range(-1200 + 24 * i % 130, 900, 130)] for i in range(360)
    ]
    assert watched(frames, 0.5) == []


def test_what_is_hidden_for_a_while_is_the_same_that_stood_there() -> None:
    there = [[vehicle(350.0)]] * 50
    stood = watched([*there, *([[]] * 16), *there, *there], 0.5)
    assert stood[0] == pytest.approx(60.0, abs=2.0)


def test_one_that_left_and_another_that_came_are_two() -> None:
    leaves = [[vehicle(350.0 + 30.0 * i)] for i in range(20)]
    comes = [[vehicle(900.0 - 30.0 * i)] for i in range(19)]
    stay = [[vehicle(350.0)]] * 90
    stood = watched([*stay, *leaves, *([[]] * 10), *comes, *stay], 0.5)
    assert stood == []


def test_a_clock_set_back_begins_anew() -> None:
    things = follow(Followed(), [vehicle(350.0)], START, FIXED)
    earlier = START - timedelta(hours=1)
    things, (seen,) = dwelling(
        follow(things, [vehicle(350.0)], earlier, FIXED), [sighting(vehicle(350.0))]
    )
    assert seen.since == earlier
    assert things.tracks.at == earlier


def test_a_crowd_is_no_one_thing() -> None:
    box = vehicle(350.0)
    gathering = Sighting(
        "crowd", HazardKind.CROWD, Position(22.5, 113.3), 0.0, 0.0, ErrorEllipse(3.0, 2.0, 0.0),
        0.8, (box, vehicle(600.0)),
    )  # fmt: skip
    _, (seen,) = dwelling(follow(Followed(), [box], START, FIXED), [gathering])
    assert seen.since is None
