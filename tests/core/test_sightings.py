"""From boxes to sightings: where they are, and what a place has to be for a kind to be there."""

from datetime import UTC, datetime

import pytest
from shapely import STRtree, box

from domain.hazard import Detection, HazardKind
from domain.observation import FramePose
from domain.place import Position, ZoneKind
from geo.frames import LocalFrame
from services.ingest.sight.rules import load_rules
from services.ingest.sight.sightings import Sighting, SightingPolicy, fits, sightings

ORIGIN = Position(22.54, 113.35)
FRAME = LocalFrame(ORIGIN)
POSE = FramePose(ORIGIN, 90.0, 0.0, -90.0, 0.0, 66.0, datetime(2026, 11, 23, tzinfo=UTC))
POLICY = SightingPolicy({})
RULES = load_rules()
EAST = {kind: STRtree([box(20, -30, 60, 30)]) for kind in (ZoneKind.RIVER, ZoneKind.ROAD)}
LANE = {ZoneKind.FIRE_LANE: STRtree([box(-30, -3, 30, 3)])}


def seen(label: str, u_px: float, zones: dict[ZoneKind, STRtree]) -> list[Sighting]:
    found = [Detection(label, 0.9, u_px - 6, 234, u_px + 6, 246)]
    return sightings(found, RULES, POSE, (640, 480), FRAME, zones, POLICY)


@pytest.mark.parametrize("kind", [HazardKind.FLOATING_DEBRIS, HazardKind.FLOODED_ROAD])
def test_debris_needs_water_and_floods_a_road(kind: HazardKind) -> None:
    assert [s.kind for s in seen(kind.value, 520.0, EAST)] == [kind]
    assert seen(kind.value, 120.0, EAST) == []


def test_a_district_without_such_zones_is_believed() -> None:
    assert seen("floating_debris", 120.0, {}) != []
    assert seen("vehicle", 320.0, {}) == []


def test_a_vehicle_is_a_hazard_in_a_fire_lane_only() -> None:
    (blocked,) = seen("vehicle", 320.0, LANE)
    assert blocked.kind is HazardKind.BLOCKED_FIRE_LANE
    assert abs(blocked.x_m) < 1.0
    assert seen("vehicle", 320.0 + 300.0, LANE) == []


def test_what_is_seen_anywhere_needs_no_ground() -> None:
    (fire,) = seen("fire", 120.0, EAST | LANE)
    rule = next(r for r in RULES if r.code == "fire")
    assert fits(rule, fire, {})


def test_a_person_is_in_the_water_only_where_placing_leaves_no_doubt() -> None:
    deep = seen("person", 520.0, EAST)
    assert HazardKind.PERSON_IN_WATER in {s.kind for s in deep}
    at_the_bank = seen("person", 320.0 + 20.5 / 117 * 640, EAST)
    assert HazardKind.PERSON_IN_WATER not in {s.kind for s in at_the_bank}


def test_one_box_may_meet_two_rules() -> None:
    zones = LANE | {ZoneKind.NO_STOPPING: LANE[ZoneKind.FIRE_LANE]}
    kinds = {s.kind for s in seen("vehicle", 320.0, zones)}
    assert kinds == {HazardKind.BLOCKED_FIRE_LANE, HazardKind.ILLEGAL_PARKING}


def test_a_crowd_is_persons_together() -> None:
    people = [Detection("person", 0.9, 300 + 5 * i, 236, 304 + 5 * i, 244) for i in range(7)]
    (crowd,) = sightings(people, RULES, POSE, (640, 480), FRAME, {}, POLICY)
    assert crowd.kind is HazardKind.CROWD
    assert len(crowd.boxes) == len(people)
    few = sightings(people[:5], RULES, POSE, (640, 480), FRAME, {}, POLICY)
    assert few == []
