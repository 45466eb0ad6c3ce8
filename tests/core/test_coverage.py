"""Sweeps cover what they say, by a measure the planner does not choose."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import LineString, MultiPolygon, Point, Polygon, box

from geo.coverage import QUICK, NoSweep, Sweep, plan, swath_m, sweep
from geo.routes import FlightModel, OpenSky, length_m
from geo.starts import order
from geo.strip import Strip, coverage_share, covered

BENCHMARK = Path(__file__).parents[3] / "shared" / "data" / "coverage" / "coverage.json"


def opened(whole: Polygon, closed: Polygon) -> OpenSky:
    free = whole.difference(closed)
    assert isinstance(free, Polygon | MultiPolygon)
    return OpenSky(free)


def planned(area: Polygon | MultiPolygon, width_m: float, wanted: float = 0.99) -> Sweep:
    found = sweep(area, width_m, wanted=wanted)
    assert isinstance(found, Sweep), found
    return found


def seen_share(
    area: Polygon | MultiPolygon, path: tuple[tuple[float, float], ...], w: float
) -> float:
    """Count grid points within half a width of the line: another measure, by sampling."""
    line = LineString(path)
    x0, y0, x1, y1 = area.bounds
    inside = [
        p
        for i in range(30)
        for j in range(30)
        if area.contains(
            p := Point(x0 + (i + 0.5) * (x1 - x0) / 30, y0 + (j + 0.5) * (y1 - y0) / 30)
        )
    ]
    return sum(line.distance(p) <= w / 2 + 1e-6 for p in inside) / len(inside)


def test_a_rectangle_takes_its_lines_and_no_more() -> None:
    found = planned(box(0, 0, 400, 200), 50.0)
    # Four lines and three steps across cover all of it; a little less is asked.
    assert found.coverage >= 0.99
    assert found.length_m < 4 * 400 + 3 * 50
    assert found.length_m > 0.99 * 400 * 200 / 50 - math.pi * 50 / 4


def test_a_strip_has_flat_ends_and_round_turns() -> None:
    strip = covered([(0.0, 0.0), (100.0, 0.0), (100.0, 100.0)], 20.0)
    assert not strip.contains(Point(-1.0, 0.0))
    assert strip.contains(Point(105.0, -5.0))
    assert coverage_share(box(0, -10, 50, 10), [(0.0, 0.0), (100.0, 0.0)], 20.0) == pytest.approx(1)


def test_a_flat_ended_buffer_of_the_path_covers_as_much() -> None:
    area = Polygon([(0, 0), (310, 20), (280, 240), (120, 290), (10, 180)])
    found = plan(area, Strip(60.0), effort=QUICK)
    assert isinstance(found, Sweep)
    drawn = LineString(found.path).buffer(30.0, cap_style="flat", quad_segs=64)
    assert area.intersection(drawn).area / area.area >= 0.9989


def test_a_hole_is_flown_round() -> None:
    area = Polygon(box(0, 0, 500, 300).exterior, [box(200, 100, 300, 200).exterior.coords])
    found = planned(area, 40.0)
    assert found.coverage >= 0.99
    assert area.buffer(1e-3).covers(LineString(found.path))


def test_slanted_ends_are_covered_when_the_sky_is_open() -> None:
    area = Polygon([(0, 0), (400, 60), (330, 300), (-80, 250)])
    sky = OpenSky(box(-500, -500, 900, 900))
    found = sweep(area, 60.0, sky=sky)
    assert isinstance(found, Sweep)
    assert found.coverage >= 0.99


def test_closed_ground_is_left_out_and_said() -> None:
    area = box(0, 0, 600, 300)
    closed = box(450, -100, 800, 400)
    sky = opened(box(-200, -200, 900, 500), closed)
    found = sweep(area, 50.0, sky=sky)
    assert isinstance(found, Sweep)
    assert found.coverage < 0.99
    assert found.uncovered.difference(closed).area < 0.01 * area.area
    assert not LineString(found.path).crosses(closed.buffer(-0.1))


@pytest.mark.parametrize(
    ("area", "width_m", "wanted", "code"),
    [
        (Polygon(), 40.0, 0.99, "empty_area"),
        (Polygon([(0, 0), (10, 10), (10, 0), (0, 8)]), 40.0, 0.99, "invalid_area"),
        (box(0, 0, 9, 9), 0.0, 0.99, "bad_swath"),
        (box(0, 0, 9, 9), math.nan, 0.99, "bad_swath"),
        (box(0, 0, 9, 9), 4.0, 0.0, "bad_coverage"),
        (box(0, 0, 9, 9), 4.0, 1.2, "bad_coverage"),
    ],
)
def test_what_cannot_be_swept_is_refused(
    area: Polygon, width_m: float, wanted: float, code: str
) -> None:
    found = sweep(area, width_m, wanted=wanted)
    assert isinstance(found, NoSweep)
    assert found.code == code
    assert found.message


def test_separate_parts_are_all_covered() -> None:
    area = MultiPolygon([box(0, 0, 200, 200), box(400, 100, 600, 250)])
    assert planned(area, 50.0).coverage >= 0.99


def test_the_same_area_gives_the_same_path() -> None:
    area = Polygon([(0, 0), (300, 40), (260, 280), (120, 180), (-30, 240)])
    assert planned(area, 35.0) == planned(area, 35.0)


def test_swath_follows_height_and_lens() -> None:
    assert swath_m(90.0, 66.0, 0.0) == pytest.approx(2 * 90 * math.tan(math.radians(33)))
    assert swath_m(90.0, 66.0, 0.2) == pytest.approx(0.8 * swath_m(90.0, 66.0, 0.0))
    with pytest.raises(ValueError, match="hfov_deg"):
        swath_m(90.0, 0.0, 0.2)


def test_order_never_lengthens_the_given_order() -> None:
    lines = [((0.0, y), (100.0, y)) for y in (0.0, 30.0, 10.0, 20.0)]
    tour = order(lines, (0.0, 0.0))
    assert length_m([p for line in tour for p in line]) <= 400.0 + 30.0 + 1e-9


@settings(max_examples=12, deadline=None)
@given(
    radii=st.lists(st.floats(60.0, 300.0), min_size=4, max_size=9),
    width_m=st.floats(25.0, 80.0),
)
def test_any_star_shape_is_covered_or_says_what_is_not(radii: list[float], width_m: float) -> None:
    corners = [
        (r * math.cos(2 * math.pi * i / len(radii)), r * math.sin(2 * math.pi * i / len(radii)))
        for i, r in enumerate(radii)
    ]
    area = Polygon(corners)
    found = planned(area, width_m)
    assert area.buffer(1e-3).covers(LineString(found.path))
    assert found.uncovered.area == pytest.approx((1 - found.coverage) * area.area, abs=1e-3)
    assert seen_share(area, found.path, width_m) >= found.coverage - 0.02
    assert found.coverage >= 0.99


def test_time_is_counted_with_the_given_model() -> None:
    area = box(0, 0, 300, 150)
    slow = sweep(area, 50.0, model=FlightModel(cruise_m_s=6.0))
    fast = sweep(area, 50.0, model=FlightModel(cruise_m_s=12.0))
    assert isinstance(slow, Sweep)
    assert isinstance(fast, Sweep)
    assert fast.time_s < slow.time_s
