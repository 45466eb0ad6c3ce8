"""Votes over frames: what wins, what does not, and that order and repetition do no harm."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.hazard import HazardKind
from domain.place import ErrorEllipse, Position
from domain.sight import VoteRule
from services.ingest.sight.sightings import Sighting
from services.ingest.sight.votes import Candidate, VotePolicy, stands, tally

START = datetime(2026, 11, 23, 8, tzinfo=UTC)
POLICY = VotePolicy()
RULE = VoteRule(hits=3, share=0.6)


def sighting(x_m: float, y_m: float = 0.0, kind: HazardKind = HazardKind.FIRE) -> Sighting:
    ellipse = ErrorEllipse(3.0, 2.0, 0.0)
    return Sighting(kind.value, kind, Position(22.5, 113.3), x_m, y_m, ellipse, 0.8, ())


def everywhere(x_m: float, y_m: float) -> bool:
    return True


def frames(*seen: list[Sighting], every_s: float = 1.0) -> tuple[Candidate, ...]:
    candidates: tuple[Candidate, ...] = ()
    for i, sightings in enumerate(seen):
        at = START + timedelta(seconds=i * every_s)
        candidates = tally(candidates, sightings, everywhere, at, POLICY)
    return candidates


def test_a_thing_seen_three_times_in_one_place_wins() -> None:
    (candidate,) = frames([sighting(0)], [sighting(3)], [sighting(1)])
    assert stands(candidate, RULE)
    assert abs(candidate.x_m) < 3


def test_two_of_five_frames_are_not_enough() -> None:
    (candidate,) = frames([sighting(0)], [], [sighting(0)], [], [])
    assert not stands(candidate, RULE)


def test_places_apart_are_counted_apart() -> None:
    candidates = frames([sighting(0)], [sighting(60)], [sighting(120)])
    assert len(candidates) == 3
    assert not any(stands(c, RULE) for c in candidates)


def test_kinds_are_counted_apart() -> None:
    smoke = sighting(0, kind=HazardKind.SMOKE)
    candidates = frames([sighting(0)], [smoke], [sighting(0)])
    assert {c.kind for c in candidates} == {HazardKind.FIRE, HazardKind.SMOKE}


def test_dwell_asks_for_time_not_only_frames() -> None:
    seen = [[sighting(0)] for _ in range(10)]
    (candidate,) = frames(*seen, every_s=1.0)
    assert not stands(candidate, VoteRule(hits=3, dwell_s=60))
    (candidate,) = frames(*seen, every_s=10.0)
    assert stands(candidate, VoteRule(hits=3, dwell_s=60))


def test_looks_older_than_the_window_are_forgotten() -> None:
    (candidate,) = frames([sighting(0)], [sighting(0)], [sighting(0)], every_s=200.0)
    assert len(candidate.looks) == 2


def test_a_candidate_out_of_view_neither_gains_nor_loses() -> None:
    (candidate,) = frames([sighting(0)])
    later = START + timedelta(seconds=5)
    (after,) = tally((candidate,), [], lambda x_m, y_m: False, later, POLICY)
    assert after.looks == candidate.looks


def test_a_repeated_frame_counts_once() -> None:
    (candidate,) = frames([sighting(0)])
    (again,) = tally((candidate,), [sighting(0)], everywhere, START, POLICY)
    assert again == candidate


def test_two_boxes_of_one_thing_make_one_candidate() -> None:
    assert len(frames([sighting(0), sighting(2)])) == 1


@given(st.lists(st.lists(st.floats(-200, 200), max_size=6), max_size=30))
def test_no_candidate_ever_outvotes_the_frames_given(places: list[list[float]]) -> None:
    candidates = frames(*[[sighting(x) for x in frame] for frame in places])
    assert all(1 <= len(c.hits) <= len(c.looks) <= max(1, len(places)) for c in candidates)
