"""Which reference belongs to a pose, how many there may be, how much ground a change covers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from domain.observation import FramePose
from domain.place import Position
from domain.sight import ReferenceTaken
from geo.frames import LocalFrame
from models.change import Region
from services.ingest.sight.changes import (
    Placing,
    ReferenceBook,
    ReferencePolicy,
    area_m2,
    changed_ground,
    pixels,
    same_pose,
    shares,
)
from services.ingest.sight.rules import read_rule
from services.ingest.sight.sightings import SightingPolicy

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
HERE = Position(22.54, 113.35)
FRAME = LocalFrame(HERE)
DOWN = FramePose(HERE, 90.0, 350.0, -90.0, 0.0, 66.0, AT)
POLE = FramePose(HERE, 8.0, 40.0, -20.0, 0.0, 75.0, AT)
POLICY = ReferencePolicy()
SIZE = (640, 480)


def moved(east_m: float) -> Position:
    return FRAME.to_position(east_m, 0.0)


def taken(reference_id: str, pose: FramePose, sn: str = "D1") -> ReferenceTaken:
    return ReferenceTaken(reference_id, sn, pose.pitch_deg < -60.0, pose, 64 * "a", (), AT)


def book(*events: ReferenceTaken, policy: ReferencePolicy = POLICY) -> ReferenceBook:
    made = ReferenceBook(FRAME, policy)
    for event in events:
        made.fold(event)
    return made


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"position": moved(3.0), "yaw_deg": 356.0, "height_agl_m": 92.0}, True),
        ({"position": moved(6.0)}, False),
        ({"yaw_deg": 5.0}, False),
        ({"height_agl_m": 97.0}, False),
        ({"pitch_deg": -80.0}, False),
        ({"hfov_deg": 30.0}, False),
    ],
)
def test_a_pose_is_the_same_within_the_policy(change: dict[str, Any], same: bool) -> None:
    assert same_pose(DOWN, replace(DOWN, **change), POLICY) is same


def test_yaw_is_compared_over_north() -> None:
    assert same_pose(DOWN, replace(DOWN, yaw_deg=357.9), POLICY)
    assert same_pose(replace(DOWN, yaw_deg=359.0), replace(DOWN, yaw_deg=2.0), POLICY)


def test_aircraft_share_references_and_cameras_do_not() -> None:
    known = book(taken("a", DOWN, "D1"), taken("b", POLE, "C1"))
    assert [r.taken.reference_id for r in known.of_pose("D2", True, DOWN)] == ["a"]
    assert known.of_pose("C2", False, POLE) == []
    assert [r.taken.reference_id for r in known.of_pose("C1", False, POLE)] == ["b"]


def test_new_references_are_apart_steep_and_bounded() -> None:
    known = book(taken("a", DOWN))
    assert not known.wants("D1", True, replace(DOWN, position=moved(20.0)))
    assert known.wants("D1", True, replace(DOWN, position=moved(60.0)))
    assert not known.wants("D1", True, replace(DOWN, position=moved(60.0), pitch_deg=-45.0))
    full = book(*(taken(str(i), POLE, "C1") for i in range(POLICY.views_limit)))
    assert not full.wants("C1", False, POLE)
    assert full.wants("C2", False, POLE)
    brim = book(taken("a", DOWN), policy=replace(POLICY, references_limit=1))
    assert not brim.wants("C2", False, POLE)


def test_looks_are_spaced_and_a_clock_set_back_does_not_block() -> None:
    known = book(taken("b", POLE, "C1"))
    (one,) = known.of_pose("C1", False, POLE)
    assert known.is_due(one, AT)
    known.looked([one], AT)
    assert not known.is_due(one, AT + timedelta(seconds=1799))
    assert known.is_due(one, AT + timedelta(seconds=1800))
    assert not known.is_free(AT + timedelta(seconds=59))
    assert known.is_free(AT - timedelta(hours=1))


def region(*outline: tuple[float, float]) -> Region:
    return Region(np.array(outline), (0.0, 0.0, 1.0, 1.0), 0.8)


def placing(pose: FramePose) -> Placing:
    return Placing(pose, SIZE, FRAME, {}, SightingPolicy({}), None)


def test_ground_seen_from_above_is_measured_as_it_lies() -> None:
    metre_px = 640 / (2 * 90.0 * np.tan(np.radians(33.0)))
    side = 10.0 * metre_px
    square = region((300, 200), (300 + side, 200), (300 + side, 200 + side), (300, 200 + side))
    assert area_m2(square, placing(DOWN)) == pytest.approx(100.0, rel=0.01)


def test_seen_obliquely_a_thing_is_no_deeper_than_wide() -> None:
    tall = region((300, 60), (360, 60), (360, 240), (300, 240))
    area = area_m2(tall, placing(POLE))
    wide = region((300, 230), (360, 230), (360, 240), (300, 240))
    assert area_m2(wide, placing(POLE)) < area < 30.0


def test_rules_take_changes_by_their_ground() -> None:
    small = read_rule("small", {"kind": "illegal_structure", "labels": ["change"], "most_m2": 50.0})
    large = read_rule("large", {"kind": "land_change", "labels": ["change"], "least_m2": 50.0})
    side = 10.0 * 640 / (2 * 90.0 * np.tan(np.radians(33.0)))
    square = region((300, 200), (300 + side, 200), (300 + side, 200 + side), (300, 200 + side))
    (found,) = changed_ground([square], [small, large], placing(DOWN))
    assert found.sighting.rule == "large"
    assert found.told().area_m2 == pytest.approx(100.0, rel=0.01)


def test_masks_are_kept_as_shares_of_their_picture() -> None:
    (share,) = shares([(-10.0, 48.0, 320.0, 480.0)], SIZE)
    assert pixels([share], (1280, 960)) == [(0.0, 96.0, 640.0, 960.0)]
