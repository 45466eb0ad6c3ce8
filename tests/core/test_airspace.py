"""Clearance from controlled airspace and the ceiling of true height."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import LineString, box

from domain.place import Airspace, AirspaceKind, Area, Position
from geo.airspace import SkyPolicy, breaches, closed_ground, open_sky, volumes
from geo.frames import LocalFrame
from geo.shapes import local_to_area

FRAME = LocalFrame(Position(22.54, 113.35))
POLICY = SkyPolicy(ceiling_agl_m=120.0, margin_m=10.0)


def airspace(x0: float, x1: float, floor_m: float = 0.0, ceiling_m: float = 120.0) -> Airspace:
    area: Area = local_to_area(box(x0, -100.0, x1, 100.0), FRAME)
    return Airspace("NF1", "学校", AirspaceKind.NO_FLY, area, floor_m, ceiling_m)


CLOSED = volumes([airspace(100.0, 200.0)], FRAME)
HIGH = volumes([airspace(100.0, 200.0, floor_m=110.0)], FRAME)


def codes(path: list[tuple[float, float]], heights: list[float]) -> list[tuple[str, int]]:
    return [(b.code, b.leg) for b in breaches(path, heights, CLOSED, POLICY)]


def test_a_clear_leg_breaks_nothing() -> None:
    assert codes([(0.0, 0.0), (80.0, 0.0)], [90.0, 90.0]) == []


def test_each_leg_through_closed_airspace_is_named() -> None:
    path = [(0.0, 0.0), (50.0, 0.0), (150.0, 0.0), (300.0, 0.0)]
    assert codes(path, [90.0] * 4) == [("no_fly", 1), ("no_fly", 2)]


def test_the_margin_counts() -> None:
    assert codes([(0.0, 0.0), (92.0, 0.0)], [90.0, 90.0]) == [("no_fly", 0)]


def test_a_point_is_a_leg_of_no_length() -> None:
    assert codes([(150.0, 0.0)], [60.0]) == [("no_fly", 0)]


def test_above_120_m_is_too_high() -> None:
    assert codes([(0.0, 0.0), (50.0, 0.0)], [90.0, 120.5]) == [("too_high", 0)]


def test_a_volume_above_is_passed_under() -> None:
    assert breaches([(0.0, 0.0), (300.0, 0.0)], [90.0, 90.0], HIGH, POLICY) == ()
    assert breaches([(0.0, 0.0), (300.0, 0.0)], [90.0, 105.0], HIGH, POLICY) != ()
    assert closed_ground(HIGH, 90.0, POLICY).is_empty


def test_a_way_over_open_sky_breaks_nothing() -> None:
    sky = open_sky(box(0, -300, 400, 300), closed_ground(CLOSED, 90.0, POLICY))
    way = sky.way((0.0, 0.0), (300.0, 0.0))
    assert way is not None
    assert LineString(way).length > 300.0
    assert breaches(way, [90.0] * len(way), CLOSED, POLICY) == ()


coordinates = st.integers(-300, 300).map(float)
heights = st.integers(0, 200).map(float)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(coordinates, coordinates, heights), min_size=1, max_size=5), heights)
def test_wherever_a_path_is_inside_a_volume_it_is_told(
    points: list[tuple[float, float, float]], floor_m: float
) -> None:
    zone = airspace(100.0, 200.0, floor_m, floor_m + 40.0)
    told = breaches([p[:2] for p in points], [p[2] for p in points], volumes([zone], FRAME), POLICY)
    legs = list(itertools.pairwise(points)) or [(points[0], points[0])]
    for i, (a, b) in enumerate(legs):
        codes = {t.code for t in told if t.leg == i}
        for k in range(101):
            x, y, z = (u + k / 100.0 * (v - u) for u, v in zip(a, b, strict=True))
            inside = 100.5 < x < 199.5 and -99.5 < y < 99.5 and floor_m < z < floor_m + 40.0
            assert not inside or "no_fly" in codes
            assert z <= 120.01 or "too_high" in codes
        # Nothing is told of a leg that keeps well away.
        if max(a[0], b[0]) < 89.0 and max(a[2], b[2]) <= 120.0:
            assert codes == set()


def test_a_volume_has_its_time() -> None:
    begins, ends = datetime(2026, 3, 1, 8, tzinfo=UTC), datetime(2026, 3, 1, 9, tzinfo=UTC)
    zone = replace(airspace(100.0, 200.0), valid_from=begins, valid_to=ends)
    minute = timedelta(minutes=1)
    assert zone.active_between(begins - minute, begins)
    assert zone.active_between(ends - minute, ends + minute)
    assert not zone.active_between(begins - 2 * minute, begins - minute)
    assert not zone.active_between(ends, ends + minute)
    for change in ({"floor_m": 120.0}, {"valid_to": begins}):
        with pytest.raises(ValueError, match="must"):
            replace(zone, **change)


def test_points_need_their_heights() -> None:
    with pytest.raises(ValueError, match="heights"):
        breaches([(0.0, 0.0)], [], CLOSED, POLICY)
