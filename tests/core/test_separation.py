"""How near two timed paths come: exact, whatever the paths."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.separation import Separation, Timed, closest_m, conflict

LEAST = Separation(25.0, 10.0)


def path(*points: Timed) -> list[Timed]:
    return list(points)


CROSSING = path((0.0, 50.0, -50.0, 90.0), (10.0, 50.0, 50.0, 90.0))


def test_two_that_cross_at_one_moment_meet() -> None:
    a = path((0.0, 0.0, 0.0, 90.0), (10.0, 100.0, 0.0, 90.0))
    met = conflict(a, CROSSING, LEAST)
    assert met is not None
    assert met.lateral_m == pytest.approx(0.0, abs=1e-9)
    assert met.at_s == pytest.approx(5.0)
    assert closest_m(a, CROSSING) == pytest.approx(0.0, abs=1e-9)


def test_the_same_lines_at_other_times_do_not() -> None:
    late = path((7.0, 0.0, 0.0, 90.0), (17.0, 100.0, 0.0, 90.0))
    assert conflict(late, CROSSING, LEAST) is None


def test_running_late_is_allowed_for() -> None:
    late = path((7.0, 0.0, 0.0, 90.0), (17.0, 100.0, 0.0, 90.0))
    assert conflict(late, CROSSING, Separation(25.0, 10.0, time_s=8.0)) is not None


def test_one_above_the_other_is_apart() -> None:
    above = path((0.0, 0.0, 0.0, 101.0), (10.0, 100.0, 0.0, 101.0))
    assert conflict(above, CROSSING, LEAST) is None
    assert closest_m(above, CROSSING) == pytest.approx(11.0)


def test_a_climb_through_another_height_counts_while_it_lasts() -> None:
    """Level with it only between 4.5 and 5.5 s of the climb, 60 m away: no conflict."""
    climbing = path((0.0, 0.0, 0.0, 0.0), (10.0, 0.0, 0.0, 200.0))
    passing = path((0.0, -600.0, 0.0, 100.0), (10.0, 600.0, 0.0, 100.0))
    assert conflict(climbing, passing, Separation(50.0, 10.0)) is not None
    aside = path((0.0, -600.0, 60.0, 100.0), (10.0, 600.0, 60.0, 100.0))
    assert conflict(climbing, aside, Separation(50.0, 10.0)) is None


def test_a_hover_is_two_points_at_one_place() -> None:
    hover = path((0.0, 50.0, 0.0, 90.0), (60.0, 50.0, 0.0, 90.0))
    assert conflict(hover, CROSSING, LEAST) is not None
    assert conflict(path((20.0, 50.0, 0.0, 90.0)), CROSSING, LEAST) is None


@pytest.mark.parametrize(
    ("a", "message"),
    [([], "at least one point"), ([(2.0, 0, 0, 0), (1.0, 0, 0, 0)], "run back")],
)
def test_bad_paths_are_refused(a: list[Timed], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        conflict(a, CROSSING, LEAST)


@st.composite
def paths(draw: st.DrawFn) -> list[Timed]:
    metres = st.integers(-200, 200).map(float)
    count = draw(st.integers(1, 5))
    times = sorted(draw(st.lists(st.integers(0, 60), min_size=count, max_size=count)))
    return [(float(t), draw(metres), draw(metres), draw(st.integers(0, 60)) * 1.0) for t in times]


def at(a: list[Timed], t: float) -> tuple[float, float, float]:
    for p, q in itertools.pairwise(a):
        if p[0] <= t <= q[0] and q[0] > p[0]:
            s = (t - p[0]) / (q[0] - p[0])
            return tuple(u + s * (v - u) for u, v in zip(p[1:], q[1:], strict=True))  # type: ignore[return-value]
    return next(p for p in reversed(a) if p[0] <= t)[1:]


@settings(max_examples=300, deadline=None)
@given(paths(), paths())
def test_no_sample_is_nearer_than_what_is_told(a: list[Timed], b: list[Timed]) -> None:
    start, end = max(a[0][0], b[0][0]), min(a[-1][0], b[-1][0])
    told, met = closest_m(a, b), conflict(a, b, LEAST)
    times = {p[0] for p in (*a, *b)}
    sampled = math.inf
    for i in range(401 if end >= start else 0):
        t = start + (end - start) * i / 400.0
        if t in times:
            continue  # a path that stands in two places at one time jumps
        p, q = at(a, t), at(b, t)
        sampled = min(sampled, math.dist(p, q))
        if math.dist(p[:2], q[:2]) < LEAST.lateral_m - 1e-6 and abs(p[2] - q[2]) < 10.0 - 1e-6:
            assert met is not None
    assert told <= sampled + 1e-6
    assert (conflict(b, a, LEAST) is None) == (met is None)


@settings(max_examples=100, deadline=None)
@given(paths(), st.integers(1, 50))
def test_a_shifted_copy_is_never_nearer_than_its_height(a: list[Timed], up_m: int) -> None:
    b = [(t, x, y, z + up_m) for t, x, y, z in a]
    assert closest_m(a, b) == pytest.approx(up_m)
    assert (conflict(a, b, LEAST) is None) == (up_m >= LEAST.vertical_m)
