"""The verifier against sampling: points inside a rectangle or disc, counted one by one."""

import math
import random
from itertools import pairwise

import pytest
from shapely.geometry import LineString, Point, box

from geo.camera import LENSES, Lens, ground_footprint
from geo.strip import FOOTPRINT, Strip, coverage_share, covered, waste

PATH = [(10.0, 10.0), (90.0, 20.0), (90.0, 60.0), (95.0, 64.0), (20.0, 80.0)]
AREA = box(0, 0, 100, 100)


def is_seen(x: float, y: float, strip: Strip) -> bool:
    for a, b in pairwise(PATH):
        length = math.dist(a, b)
        ux, uy = (b[0] - a[0]) / length, (b[1] - a[1]) / length
        along = (x - a[0]) * ux + (y - a[1]) * uy
        across = abs((y - a[1]) * ux - (x - a[0]) * uy)
        if length < strip.shortest_m or across > strip.width_m / 2:
            continue
        if -strip.reach_m <= along <= length + strip.reach_m:
            return True
    turns = PATH[1:-1] if strip.ends != FOOTPRINT else []
    return any(math.dist((x, y), turn) <= strip.width_m / 2 for turn in turns)


@pytest.mark.parametrize(
    "strip", [Strip(20.0), Strip(20.0, FOOTPRINT), Strip(20.0, FOOTPRINT, 12.0)]
)
def test_the_share_is_what_sampling_says(strip: Strip) -> None:
    rng = random.Random(3)
    points = [(rng.uniform(0, 100), rng.uniform(0, 100)) for _ in range(20_000)]
    sampled = sum(is_seen(x, y, strip) for x, y in points) / len(points)
    assert coverage_share(AREA, PATH, strip) == pytest.approx(sampled, abs=0.012)


def test_wiggles_do_not_widen_a_footprint() -> None:
    straight = [(0.0, 50.0), (100.0, 50.0)]
    wiggly = [(x, 50.0 + 3.0 * (x // 5 % 2)) for x in (i * 5.0 for i in range(21))]
    assert coverage_share(AREA, straight, Strip(20.0, FOOTPRINT)) == pytest.approx(0.2)
    assert covered(wiggly, Strip(20.0, FOOTPRINT)).area == 0.0


def test_a_disc_is_seen_at_turns_only() -> None:
    strip = covered(PATH, Strip(20.0))
    assert strip.contains(Point(99.0, 20.0))
    assert not strip.contains(Point(2.0, 9.0))


def test_a_tiny_first_leg_does_not_round_the_end_off() -> None:
    straight = [(0.0, 50.0), (100.0, 50.0)]
    hooked = [(0.0, 50.1), *straight, (100.0, 49.9)]
    more_m2 = covered(hooked, 20.0).difference(covered(straight, 20.0)).area
    assert more_m2 < 2 * 0.2 * 20.0


def test_flat_ends_are_those_of_a_flat_ended_buffer() -> None:
    drawn = LineString([*PATH[:4], (20.0, 80.0), (20.0, 95.0)]).buffer(10.0, cap_style="flat")
    ours = covered([*PATH[:4], (20.0, 80.0), (20.0, 95.0)], 20.0)
    assert ours.symmetric_difference(drawn).area < 1e-3 * drawn.area


@pytest.mark.parametrize("strip", [Strip(20.0), Strip(20.0, FOOTPRINT)])
def test_waste_adds_up_to_what_the_ratio_exceeds_coverage_by(strip: Strip) -> None:
    lost = waste(AREA, PATH, strip)
    length_m = sum(math.dist(a, b) for a, b in pairwise(PATH))
    over = length_m * strip.width_m / AREA.area - coverage_share(AREA, PATH, strip)
    assert lost.outside + lost.turns + lost.overlap == pytest.approx(over, abs=1e-9)


@pytest.mark.parametrize(
    ("width_m", "ends", "along_m"),
    [(0.0, "flat", None), (-1.0, "flat", None), (math.nan, "flat", None), (9.0, "round", None),
     (9.0, "footprint", math.inf)],
)  # fmt: skip
def test_what_is_no_strip_is_refused(width_m: float, ends: str, along_m: float | None) -> None:
    with pytest.raises(ValueError, match="must be"):
        Strip(width_m, ends, along_m)


def test_a_camera_that_looks_down_sees_its_sensor_scaled() -> None:
    seen = ground_footprint(Lens(10.0, 8.0, 5.0), 50.0, -90.0)
    assert seen.width_m == pytest.approx(100.0)
    assert (seen.near_m, seen.far_m) == pytest.approx((-40.0, 40.0))


def test_a_tilted_camera_sees_ahead_and_wider() -> None:
    down = ground_footprint(LENSES["M4TD"], 80.0, -90.0)
    ahead = ground_footprint(LENSES["M4TD"], 80.0, -60.0)
    assert ahead.near_m > down.near_m
    assert ahead.far_m > down.far_m
    with pytest.raises(ValueError, match="horizon"):
        ground_footprint(LENSES["M4TD"], 80.0, -20.0)


def test_a_lens_without_focal_length_is_refused() -> None:
    with pytest.raises(ValueError, match="focal_mm"):
        Lens(9.6, 7.2, 0.0)
