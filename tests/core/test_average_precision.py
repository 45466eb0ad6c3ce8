"""Figures of a detector, against cases counted by hand."""

from collections.abc import Sequence

import pytest

from domain.hazard import Detection
from models.average_precision import Evaluation, Outcome, Tally, TrueBox, overlap, verdicts

HALF = {"fire": 0.5, "smoke": 0.5}


def box(x: float, score: float = 1.0, label: str = "fire") -> Detection:
    return Detection(label, score, x, 0, x + 10, 10)


def true(*boxes: Detection) -> list[TrueBox]:
    return [TrueBox(b) for b in boxes]


def evaluated(*pictures: tuple[Sequence[Detection], Sequence[TrueBox]]) -> Evaluation:
    made = Evaluation(("fire", "smoke"), HALF)
    for found, labels in pictures:
        made.add(found, labels)
    return made


def test_overlap_is_intersection_over_union() -> None:
    assert overlap(box(0), box(0)) == pytest.approx(1)
    assert overlap(box(0), box(5)) == pytest.approx(1 / 3)
    assert overlap(box(0), box(10)) == 0


def test_a_thing_is_found_once_and_by_half_its_area() -> None:
    made = evaluated(([box(0, 0.9), box(1, 0.8), box(46, 0.7)], true(box(0), box(40))))
    tally = made.tallies["fire"]
    assert tally.boxes == [(0.9, True), (0.8, False), (0.7, False)]
    assert tally.average_precision() == pytest.approx(0.5)
    assert tally.at(0.85) == (1.0, 0.5)


def test_a_late_right_box_counts_with_its_precision() -> None:
    made = evaluated(([box(0, 0.9), box(60, 0.8), box(40, 0.7)], true(box(0), box(40))))
    assert made.tallies["fire"].average_precision() == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_precision_is_made_monotone_before_it_is_summed() -> None:
    # Precision 0, 1/2, 2/3, 1/2, 3/5 at recall 0, 1/4, 1/2, 1/2, 3/4: best to the right of each.
    scored = [(0.9, False), (0.8, True), (0.7, True), (0.6, False), (0.5, True)]
    assert Tally(scored, 4).average_precision() == pytest.approx(0.25 * (2 / 3 + 2 / 3 + 3 / 5))


def test_boxes_of_one_score_are_taken_together_in_whatever_order_they_came() -> None:
    one, other = Tally([(0.5, True), (0.5, False)], 1), Tally([(0.5, False), (0.5, True)], 1)
    assert one.average_precision() == other.average_precision() == pytest.approx(0.5)


def test_an_ignored_label_is_neither_asked_for_nor_held_against_anybody() -> None:
    labels = [TrueBox(box(0)), TrueBox(box(40), ignore=True)]
    found = [box(0, 0.9), box(44, 0.8), box(41, 0.7)]
    assert [v.outcome for v in verdicts(found, labels)] == [
        Outcome.RIGHT,
        Outcome.IGNORED,
        Outcome.IGNORED,
    ]
    made = evaluated((found, labels))
    assert made.tallies["fire"].true == 1
    assert made.tallies["fire"].average_precision() == 1
    assert made.confusion() == {"fire": {"fire": 1}}


def test_an_ignored_label_spares_no_box_of_another_class() -> None:
    labels = [TrueBox(box(40), ignore=True)]
    assert [v.outcome for v in verdicts([box(40, 0.8, "smoke")], labels)] == [Outcome.WRONG]


def test_what_is_missed_is_told() -> None:
    told = list(verdicts([box(60, 0.9)], true(box(0))))
    assert [(v.outcome, v.box.x0_px) for v in told] == [(Outcome.WRONG, 60), (Outcome.MISSED, 0)]


def test_confusion_pairs_by_place_and_prefers_the_right_class() -> None:
    found = [box(0, 0.9, "smoke"), box(0, 0.8), box(40, 0.7, "smoke"), box(90, 0.6), box(70, 0.4)]
    made = evaluated((found, true(box(0), box(40), box(60))))
    assert made.confusion() == {
        "fire": {"fire": 1, "smoke": 1, "nothing": 1},
        "nothing": {"fire": 1, "smoke": 1},
    }


def test_false_alarms_are_counted_from_the_threshold_on_in_pictures_without_the_class() -> None:
    made = evaluated(
        ([box(0, 0.5), box(40, 0.3)], []),
        ([], []),
        ([box(0, 0.6), box(0, 0.9, "person")], true(box(0, label="smoke"))),
        ([box(50, 0.9)], true(box(0))),
    )
    told = made.figures()
    assert told["per_class"]["fire"]["false_alarms_per_100_without"] == pytest.approx(66.7)
    assert told["per_class"]["smoke"]["false_alarms_per_100_without"] == 0
    assert told["per_class"]["smoke"]["pictures_without"] == 3


def test_the_mean_is_over_classes_that_are_labelled() -> None:
    told = evaluated(([box(0, 0.9)], true(box(0)))).figures()
    assert told["map50"] == 1
    assert told["per_class"]["smoke"]["ap50"] is None
    told = evaluated(([box(0, 0.9)], true(box(0), box(0, label="smoke")))).figures()
    assert told["map50"] == 0.5


def test_the_best_threshold_is_a_score_that_keeps_right_boxes_and_drops_wrong() -> None:
    assert Tally([(0.9, True), (0.8, True), (0.3, False)], 2).best_threshold() == 0.8
    assert Tally([], 2).best_threshold() == 1.0
