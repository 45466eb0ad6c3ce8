"""Lengths, times and ways round."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import LineString, MultiPolygon, Polygon, box

from geo.routes import FlightModel, OpenSky, corner_radius_m, flight_time_s, length_m

MODEL = FlightModel(cruise_m_s=10.0, accel_m_s2=2.5, corner_cut_m=1.0)


def test_a_long_leg_costs_its_ramps() -> None:
    # 10 m/s at 2.5 m/s²: 4 s and 20 m to speed up, the same to stop.
    assert flight_time_s([(0.0, 0.0), (240.0, 0.0)], MODEL) == pytest.approx(8.0 + 20.0)


def test_a_short_leg_never_reaches_cruise() -> None:
    assert flight_time_s([(0.0, 0.0), (10.0, 0.0)], MODEL) == pytest.approx(2 * math.sqrt(10 / 2.5))


def test_standing_still_takes_no_time() -> None:
    assert flight_time_s([(1.0, 1.0)], MODEL) == 0.0
    assert flight_time_s([(1.0, 1.0), (1.0, 1.0)], MODEL) == 0.0


def test_a_straight_point_on_the_way_costs_nothing() -> None:
    straight = flight_time_s([(0.0, 0.0), (300.0, 0.0)], MODEL)
    assert flight_time_s([(0.0, 0.0), (100.0, 0.0), (300.0, 0.0)], MODEL) == pytest.approx(straight)


def test_a_turn_back_stops() -> None:
    there = flight_time_s([(0.0, 0.0), (200.0, 0.0)], MODEL)
    assert flight_time_s([(0.0, 0.0), (200.0, 0.0), (0.0, 0.0)], MODEL) == pytest.approx(2 * there)


@given(steps=st.integers(2, 12))
def test_cutting_a_corner_into_steps_gains_nothing(steps: int) -> None:
    """A right angle flown as small steps along its own arc takes no less time than the corner."""
    radius = corner_radius_m((-200.0, 0.0), (0.0, 0.0), (0.0, 200.0), MODEL)
    centre = (-radius, radius)
    arc = [
        (
            centre[0] + radius * math.sin(math.pi / 2 * i / steps),
            centre[1] - radius * math.cos(math.pi / 2 * i / steps),
        )
        for i in range(steps + 1)
    ]
    corner = flight_time_s([(-200.0, 0.0), (0.0, 0.0), (0.0, 200.0)], MODEL)
    stepped = flight_time_s([(-200.0, 0.0), *arc, (0.0, 200.0)], MODEL)
    assert stepped >= corner - 0.5


@pytest.mark.parametrize("name", ["cruise_m_s", "accel_m_s2", "corner_cut_m"])
@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_a_model_without_motion_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        FlightModel(**{name: value})


def opened(whole: Polygon, closed: Polygon) -> OpenSky:
    free = whole.difference(closed)
    assert isinstance(free, Polygon | MultiPolygon)
    return OpenSky(free)


def test_the_way_round_a_block_is_the_shortest() -> None:
    sky = opened(box(0, 0, 300, 300), box(100, 50, 200, 250))
    way = sky.way((50.0, 150.0), (250.0, 150.0))
    assert way is not None
    assert length_m(way) == pytest.approx(2 * math.hypot(50, 100) + 100)
    assert sky.free.buffer(1e-3).covers(LineString(way))


def test_there_is_no_way_between_separate_skies() -> None:
    sky = opened(box(0, 0, 300, 100), box(140, -10, 160, 110))
    assert sky.way((10.0, 50.0), (290.0, 50.0)) is None
    assert sky.way((10.0, 50.0), (150.0, 50.0)) is None
    assert sky.way((10.0, 50.0), (100.0, 50.0)) == [(10.0, 50.0), (100.0, 50.0)]


def test_nothing_open_is_refused() -> None:
    with pytest.raises(ValueError, match="free"):
        OpenSky(Polygon())
