"""Straight home from anywhere on a path: one height that clears ground and closed airspace."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import box

from domain.device import Dock
from domain.mission import BreakPoint, Mission, MissionPurpose, Wayline, Waypoint
from geo.airspace import SkyPolicy, Volume
from geo.terrain import FlatTerrain, GridTerrain
from geo.way_home import Shut, WaysHome, fan, ways_home
from services.patrol.aircraft.wpml import airframe, kmz
from services.patrol.aircraft.wpml_check import check
from services.patrol.aircraft.wpml_read import open_kmz, text_of
from services.patrol.departure import entered_path, planned_return, reasons
from services.patrol.flight import Step
from services.patrol.orders import Resource, order
from services.patrol.plan import PatrolGround
from services.patrol.policy import PatrolPolicy
from services.patrol.sky.rules import RULES, read_sky_rules
from services.patrol.sky.standing import sky_now
from tests.core.patrol_scene import EPOCH, FRAME, district, no_fly

SKY = SkyPolicy(120.0, 15.0, 30.0)
FLAT = FlatTerrain()
HOME = (0.0, 0.0)
OUT = ((0.0, 0.0, 90.0), (600.0, 0.0, 90.0), (600.0, 600.0, 90.0), (0.0, 0.0, 90.0))
POLICY = PatrolPolicy()
REFUSING = RULES.read_text("utf-8").replace('when_closed = "fly"', 'when_closed = "refuse"')
STRICT = replace(POLICY, rules=read_sky_rules(REFUSING))


def grid(heights: Any, corner: tuple[float, float] = (0.0, 0.0)) -> GridTerrain:
    """Posts at 0, 100, 200 … m east and south of a corner."""
    down = np.array([1.0, -1.0])
    return GridTerrain(np.asarray(heights, float), lambda p: (p - corner) * down / 100.0, 100.0)


def volume(x0: float, y0: float, x1: float, y1: float, floor: float, ceiling: float) -> Volume:
    return Volume("V", "no_fly", box(x0, y0, x1, y1), floor, ceiling)


# The heights


def test_open_and_flat_it_comes_home_at_what_is_wanted() -> None:
    ways = ways_home(OUT, HOME, (), SKY, FLAT)
    assert (ways.least_m, ways.most_m) == (90.0, 120.0)
    assert ways.height_m(0.0, 100.0) == 100.0
    assert ways.height_m(0.5, 100.2) == 100.5
    assert ways.height_m(0.0, 130.0) == 120.0


def test_a_volume_between_path_and_dock_is_cleared_where_a_height_does() -> None:
    low = volume(250.0, 100.0, 350.0, 200.0, 0.0, 90.0)
    ways = ways_home(OUT, HOME, [low], SKY, FLAT)
    assert ways.height_m(0.0, 100.0) == 105.0
    high = volume(250.0, 100.0, 350.0, 200.0, 110.0, 300.0)
    assert ways_home(OUT, HOME, [high], SKY, FLAT).height_m(0.0, 100.0) == 95.0
    whole = volume(250.0, 100.0, 350.0, 200.0, 0.0, 120.0)
    assert ways_home(OUT, HOME, [whole], SKY, FLAT).height_m(0.0, 100.0) is None
    beside = volume(250.0, 700.0, 350.0, 800.0, 0.0, 120.0)
    assert ways_home(OUT, HOME, [beside], SKY, FLAT).shut == ()


def test_a_volume_over_the_path_shuts_the_climb() -> None:
    over = volume(550.0, 200.0, 650.0, 300.0, 107.0, 108.0)
    (shut,) = ways_home(OUT, HOME, [over], SKY, FLAT).shut
    assert (shut.from_m, shut.to_m) == (92.0, float("inf"))
    below = volume(550.0, 200.0, 650.0, 300.0, 0.0, 60.0)
    (shut,) = ways_home(OUT, HOME, [below], SKY, FLAT).shut
    assert shut.to_m == 75.0


def test_the_ground_within_the_fan_counts_not_only_along_the_path() -> None:
    """A hill the patrol flies round stands between its far side and the dock."""
    hill = np.zeros((9, 9))
    hill[3, 4] = 80.0
    ground = grid(hill)
    path = [(0.0, 0.0, 90.0), (800.0, 0.0, 90.0), (800.0, -800.0, 90.0), (0.0, 0.0, 90.0)]
    ways = ways_home(path, HOME, (), SKY, ground)
    assert (ways.least_m, ways.most_m) == (110.0, 120.0)
    assert ways.height_m(0.0, 100.0) == 110.0
    hill[3, 4] = 100.0
    assert ways_home(path, HOME, (), SKY, grid(hill)).height_m(0.0, 100.0) is None


def test_no_height_is_taken_that_is_shut() -> None:
    ways = WaysHome(90.0, 120.0, (Shut("A", "no_fly", 95.0, 115.0), Shut("B", "x", 114.0, 200.0)))
    assert ways.height_m(0.0, 100.0) == 95.0
    assert [s.code for s in ways.met(114.5)] == ["A", "B"]


@settings(max_examples=60, deadline=None)
@given(
    heights=st.lists(st.integers(0, 90), min_size=36, max_size=36),
    corners=st.lists(
        st.tuples(st.integers(-50, 550), st.integers(-550, 50)), min_size=2, max_size=5
    ),
)
def test_the_ground_under_a_fan_is_never_missed(
    heights: list[int], corners: list[tuple[int, int]]
) -> None:
    ground = grid(np.array(heights).reshape(6, 6))
    path = [(float(x), float(y)) for x, y in corners]
    low, high = ground.range_under(fan(path, HOME))
    for a, b in pairwise(path):
        for s in np.linspace(0.0, 1.0, 9):
            x, y = a[0] + s * (b[0] - a[0]), a[1] + s * (b[1] - a[1])
            for t in np.linspace(0.0, 1.0, 9):
                assert low - 1e-6 <= ground.height_m(t * x, t * y) <= high + 1e-6
    x0, y0, x1, y1 = shapely.bounds(fan(path, HOME))
    lowest, highest = ground.range_m((float(x0), float(y0), float(x1), float(y1)))
    assert lowest <= low <= high <= highest


# The flight


def mission(*points: tuple[float, float], height_m: float = 90.0) -> Mission:
    waypoints = tuple(Waypoint(FRAME.to_position(*p), height_m, 12.0) for p in points)
    return Mission(
        "m1", MissionPurpose.PATROL, "DOCK1", "DRONE1", EPOCH, ("c",), Wayline(waypoints, 9.0, 60.0)
    )


def scene(
    policy: PatrolPolicy = POLICY, terrain: Any = None, **change: Any
) -> tuple[PatrolGround, Any]:
    here = replace(district(), **change)
    return PatrolGround(here, policy, terrain), sky_now((), here.approvals, EPOCH)


def judged(ground: PatrolGround, sky: Any, flown: Mission) -> tuple[Mission, list[tuple[str, str]]]:
    dock, drone = ground.district.docks[0], ground.district.drones[0]
    planned = planned_return(ground, flown, drone, dock, sky, EPOCH)
    why = reasons(ground, planned, drone, dock, sky, (), EPOCH)
    assert all(r.cure for r in why)
    return planned, [(r.code, r.field) for r in why]


def test_the_height_planned_is_the_one_the_dock_is_told() -> None:
    ground, sky = scene(airspaces=(replace(no_fly(0.0, 0.0, 50.0, 50.0), ceiling_m=90.0),))
    flown, why = judged(ground, sky, mission((-150.0, 200.0), (200.0, 200.0), (200.0, -100.0)))
    assert (flown.return_height_rel_m, why) == (105, [])
    dock, drone = ground.district.docks[0], ground.district.drones[0]
    file = Resource("http://x", "md5")
    told = order(Step.PREPARE, flown, dock, drone, file, EPOCH, POLICY)
    assert told["rth_altitude"] == 105
    frame = airframe(drone.model)
    assert frame is not None
    data = kmz(flown, frame, ground.model(drone))
    assert check(data) == []
    file_said = text_of(open_kmz(data).waylines)
    assert "<wpml:globalRTHHeight>105</wpml:globalRTHHeight>" in file_said


def test_a_hill_that_no_height_clears_is_refused_with_the_cure() -> None:
    """The patrol goes round it; 120 m over the dock's ground is less than 30 m over its top."""
    hill = np.full((9, 13), 20.0)
    hill[4, 6] = 115.0
    terrain = grid(hill, corner=(-500.0, 500.0))
    round_it = mission((-150.0, 300.0), (400.0, 300.0), (400.0, 400.0), (-150.0, 400.0))
    ground, sky = scene(terrain=terrain)
    flown, why = judged(ground, sky, round_it)
    assert flown.return_height_rel_m is None
    assert why == [("no_way_home", "return_height_rel_m")]
    near = mission((-150.0, 300.0), (-50.0, 300.0), (-50.0, 400.0))
    assert judged(ground, sky, near)[1] == []


def test_closed_airspace_on_every_way_home_is_the_rules_to_judge() -> None:
    between = no_fly(0.0, 0.0, 100.0, 100.0)
    round_it = mission((-150.0, 200.0), (200.0, 200.0), (-150.0, 200.0))
    ground, sky = scene(airspaces=(between,))
    flown, why = judged(ground, sky, round_it)
    assert (flown.return_height_rel_m, why) == (100, [])
    ground, sky = scene(STRICT, airspaces=(between,))
    assert judged(ground, sky, round_it)[1] == [("no_way_home", "airspace NF1")]
    near_side = mission((-150.0, 100.0), (-50.0, -100.0))
    assert judged(ground, sky, near_side)[1] == []


def test_a_zone_closed_since_it_was_planned_is_seen_at_take_off() -> None:
    ground, sky = scene(STRICT)
    dock, drone = ground.district.docks[0], ground.district.drones[0]
    round_it = mission((-150.0, 300.0), (300.0, 300.0), (-150.0, 300.0))
    flown = planned_return(ground, round_it, drone, dock, sky, EPOCH)
    low = replace(no_fly(0.0, 0.0, 60.0, 60.0), ceiling_m=90.0)
    zone = replace(low, valid_to=EPOCH + timedelta(hours=1))
    later, _ = scene(STRICT, airspaces=(zone,))
    why = reasons(later, flown, drone, dock, sky, (), EPOCH)
    assert [(r.code, r.field) for r in why] == [("no_way_home", "airspace NF1")]
    again = planned_return(later, flown, drone, dock, sky, EPOCH)
    assert again.return_height_rel_m == 105
    assert reasons(later, again, drone, dock, sky, (), EPOCH) == ()


def test_a_resumed_patrol_enters_straight_at_its_break_point() -> None:
    """What stands between the dock and the break point is met, though the wayline goes round."""
    whole = mission((-150.0, 300.0), (300.0, 300.0), (500.0, 300.0), (-150.0, 400.0))
    ground, sky = scene(airspaces=(no_fly(50.0, 50.0, 150.0, 150.0),))
    assert judged(ground, sky, whole)[1] == []
    rest = replace(whole, break_point=BreakPoint(1, 0, 0.5), resumes_id="m0")
    dock: Dock = ground.district.docks[0]
    path = entered_path(ground, rest, dock)
    assert path[1][:2] == pytest.approx((400.0, 300.0), abs=0.01)
    assert len(path) == 5
    assert ("no_fly", "airspace NF1") in judged(ground, sky, rest)[1]
