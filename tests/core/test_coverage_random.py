"""Whatever the area: a plan that covers what was asked and stays in the sky, or a reason."""

import math

import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.geometry import LineString, MultiPolygon, Polygon, box

from geo.coverage import QUICK, NoSweep, Sweep, own_sky, plan
from geo.routes import OpenSky
from geo.strip import FLAT, FOOTPRINT, Strip, coverage_share

WANTED = 0.999
OFTEN = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def star(radii: list[float], x: float = 0.0, y: float = 0.0) -> Polygon:
    turn = 2 * math.pi / len(radii)
    return Polygon(
        [(x + r * math.cos(turn * i), y + r * math.sin(turn * i)) for i, r in enumerate(radii)]
    )


def holds(
    area: Polygon | MultiPolygon, strip: Strip, sky: Polygon | MultiPolygon | None = None
) -> None:
    """Plan, and judge what comes back without asking the planner."""
    open_sky = None if sky is None else OpenSky(sky)
    found = plan(area, strip, sky=open_sky, wanted=WANTED, effort=QUICK)
    if isinstance(found, NoSweep):
        assert found.code in ("not_reachable", "not_covered", "no_straight_leg", "bad_swath")
        assert found.message
        if found.code == "not_covered":
            assert found.where is not None
            assert found.where.area > (1.0 - WANTED) * area.area * 0.999
        return
    assert isinstance(found, Sweep)
    assert coverage_share(area, found.path, strip) >= WANTED
    assert (own_sky(area) if sky is None else sky).covers(LineString(found.path))


@st.composite
def holed(draw: st.DrawFn) -> Polygon | MultiPolygon:
    """A star with up to 15 holes; where holes cut it up, every piece of it."""
    outer = star(draw(st.lists(st.floats(80.0, 400.0), min_size=3, max_size=40)))
    closed = [
        star(
            draw(st.lists(st.floats(2.0, 60.0), min_size=3, max_size=7)),
            draw(st.floats(-300.0, 300.0)),
            draw(st.floats(-300.0, 300.0)),
        )
        for _ in range(draw(st.integers(0, 15)))
    ]
    left = outer.difference(shapely.union_all(closed))
    assert isinstance(left, Polygon | MultiPolygon)
    return left


@OFTEN
@given(area=holed(), width_m=st.floats(15.0, 120.0), ends=st.sampled_from([FLAT, FOOTPRINT]))
def test_random_areas_with_holes(area: Polygon | MultiPolygon, width_m: float, ends: str) -> None:
    if not area.is_empty and area.is_valid:
        holds(area, Strip(width_m, ends))


@OFTEN
@given(
    area=holed(),
    closed=st.tuples(*[st.floats(-400.0, 400.0)] * 2, *[st.floats(5.0, 300.0)] * 2),
    width_m=st.floats(25.0, 120.0),
)
def test_random_areas_beside_closed_sky(
    area: Polygon | MultiPolygon, closed: tuple[float, float, float, float], width_m: float
) -> None:
    x, y, w, h = closed
    sky = own_sky(area).difference(box(x, y, x + w, y + h)) if not area.is_empty else area
    if not sky.is_empty and area.is_valid:
        assert isinstance(sky, Polygon | MultiPolygon)
        holds(area, Strip(width_m), sky)


@OFTEN
@given(
    length_m=st.floats(0.5, 3_000.0), height_m=st.floats(0.01, 60.0), slant=st.floats(-1.0, 1.0)
)
def test_needles_and_slivers(length_m: float, height_m: float, slant: float) -> None:
    holds(Polygon([(0, 0), (length_m, slant * length_m), (0, height_m)]), Strip(40.0))


@pytest.mark.parametrize("width_m", [1e-3, 0.2, 1e5])
def test_a_strip_out_of_all_proportion_is_bounded_work(width_m: float) -> None:
    holds(star([300.0, 200.0, 350.0, 250.0, 320.0]), Strip(width_m))
