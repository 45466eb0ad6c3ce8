"""Figures of a detector, counted by hand."""

import pytest

from domain.hazard import Detection
from models.figures import false_alarms_per_100, overlap, tallied


def box(x: float, score: float = 1.0, label: str = "fire") -> Detection:
    return Detection(label, score, x, 0, x + 10, 10)


def test_overlap_is_intersection_over_union() -> None:
    assert overlap(box(0), box(0)) == pytest.approx(1)
    assert overlap(box(0), box(5)) == pytest.approx(1 / 3)
    assert overlap(box(0), box(10)) == 0


def test_a_thing_is_found_once_and_by_half_its_area() -> None:
    judged = [([box(0, 0.9), box(1, 0.8), box(46, 0.7)], [box(0), box(40)])]
    tally = tallied(judged, ["fire", "smoke"])["fire"]
    assert tally.boxes == [(0.9, True), (0.8, False), (0.7, False)]
    assert tally.average_precision() == pytest.approx(0.5)
    assert tally.at(0.85) == (1.0, 0.5)
    assert tallied(judged, ["fire", "smoke"])["smoke"].average_precision() == 0


def test_a_late_right_box_counts_with_its_precision() -> None:
    judged = [([box(0, 0.9), box(60, 0.8), box(40, 0.7)], [box(0), box(40)])]
    assert tallied(judged, ["fire"])["fire"].average_precision() == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_false_alarms_are_counted_from_the_threshold_on() -> None:
    found = [[box(0, 0.5), box(40, 0.3)], [], [box(0, 0.6), box(0, 0.9, "person")], []]
    assert false_alarms_per_100(found, {"fire": 0.4, "smoke": 0.4}) == {"fire": 50.0, "smoke": 0.0}
