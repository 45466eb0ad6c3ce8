"""Frames against pyproj, GCJ-02 against its own image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import Geod, Transformer

from domain.place import Position
from geo.frames import LocalFrame, distance_m, gcj02_to_wgs84, wgs84_to_gcj02

ORIGIN = Position(22.54, 113.35)
near = st.tuples(st.floats(22.45, 22.63), st.floats(113.25, 113.45))


@given(near)
def test_round_trip_is_exact_to_a_millimetre(at: tuple[float, float]) -> None:
    frame = LocalFrame(ORIGIN)
    x_m, y_m = frame.to_local(*at)
    back = frame.to_position(x_m, y_m)
    assert abs(back.lat_deg - at[0]) < 1e-8
    assert abs(back.lon_deg - at[1]) < 1e-8


@given(near)
def test_plane_metres_agree_with_the_topocentric_frame_of_proj(at: tuple[float, float]) -> None:
    to_enu = Transformer.from_pipeline(
        "+proj=pipeline +step +proj=cart +ellps=WGS84"
        f" +step +proj=topocentric +ellps=WGS84 +lat_0={ORIGIN.lat_deg} +lon_0={ORIGIN.lon_deg}"
    )
    east, north, _ = to_enu.transform(at[1], at[0], 0.0, radians=False)
    assert LocalFrame(ORIGIN).to_local(*at) == pytest.approx((east, north), abs=0.005)


def test_distance_agrees_with_the_geodesic() -> None:
    b = Position(22.57, 113.39)
    _, _, geodesic_m = Geod(ellps="WGS84").inv(113.35, 22.54, 113.39, 22.57)
    assert distance_m(ORIGIN, b) == pytest.approx(geodesic_m, abs=0.01)


def test_arrays_and_scalars_agree() -> None:
    frame = LocalFrame(ORIGIN)
    lat, lon = np.array([22.5, 22.55]), np.array([113.3, 113.4])
    xs, ys = frame.to_local(lat, lon)
    assert (xs[1], ys[1]) == frame.to_local(22.55, 113.4)


@given(near)
def test_gcj02_is_some_600_m_off_here_and_comes_back(at: tuple[float, float]) -> None:
    place = Position(*at)
    image = wgs84_to_gcj02(place)
    assert 450 < distance_m(place, image) < 750
    assert distance_m(place, gcj02_to_wgs84(image)) < 0.2


def test_gcj02_leaves_other_countries_alone() -> None:
    london = Position(51.5, -0.12)
    assert wgs84_to_gcj02(london) == london
