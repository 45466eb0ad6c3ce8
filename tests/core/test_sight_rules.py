"""Rules as data: what ships reads, hours and cameras hold, what does not fit is named."""

from datetime import UTC, datetime

import pytest

from domain.hazard import HazardKind
from domain.place import ZoneKind
from domain.sight import SightRule
from services.ingest.sight.rules import changed, load_rules, read_rule, read_rules

NOON = datetime(2026, 11, 23, 4, tzinfo=UTC)
NIGHT = datetime(2026, 11, 23, 16, tzinfo=UTC)
PLAIN = {"kind": "crowd", "labels": ["person"], "camera": {"hits": 3}}


def test_what_ships_reads_and_names_each_kind_watch_can_see() -> None:
    rules = load_rules()
    assert len({r.code for r in rules}) == len(rules)
    assert {r.kind for r in rules} >= {HazardKind.FIRE, HazardKind.PERSON_IN_WATER}


def test_hours_are_local_and_may_pass_midnight() -> None:
    day = read_rule("r", PLAIN | {"hours": [8, 18]})
    night = read_rule("r", PLAIN | {"hours": [22, 6]})
    assert [day.is_on(at, "C1", flying=False) for at in (NOON, NIGHT)] == [True, False]
    assert [night.is_on(at, "C1", flying=False) for at in (NOON, NIGHT)] == [False, True]


def test_a_rule_may_be_for_some_cameras_and_for_no_drone() -> None:
    rule = read_rule("r", PLAIN | {"cameras": ["C1"]})
    assert rule.is_on(NOON, "C1", flying=False)
    assert not rule.is_on(NOON, "C2", flying=False)
    assert not rule.is_on(NOON, "C1", flying=True)
    assert not read_rule("r", PLAIN | {"enabled": False}).is_on(NOON, "C1", flying=False)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"kind": "dragon"}, "kind"),
        ({"labels": []}, "labels must name"),
        ({"hours": [8, 8]}, "hours must be"),
        ({"hours": [8, 30]}, "hours must be"),
        ({"radius_m": 0.0}, "radius_m must lie"),
        ({"together": 0}, "together must lie"),
        ({"least_score": 1.5}, "least_score must lie"),
        ({"sealed_days": -1}, "sealed_days must lie"),
        ({"sealed_days": 366}, "sealed_days must lie"),
        ({"camera": {"hits": 0}}, "camera must have hits"),
        ({"camera": {"dwell_s": -1.0}}, "camera must have hits"),
        ({"surely": True}, "surely needs"),
        ({"on": ["moon"]}, "moon"),
        ({"colour": "red"}, "colour"),
        ({"least_m2": 5.0}, "least_m2 is of rules with labels"),
        ({"labels": ["change", "fire"]}, "labels 'change' stands alone"),
        ({"labels": ["change"], "together": 2}, "together counts boxes"),
        ({"labels": ["change"], "least_m2": 9.0, "most_m2": 9.0}, "most_m2 must exceed"),
        ({"labels": ["change"], "least_m2": float("nan")}, "least_m2 must lie"),
        ({"camera": {"dwell_s": 7200.0}}, "dwell_s in 0..3600"),
    ],
)
def test_what_does_not_fit_is_named(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_rule("r", PLAIN | wrong)


def test_people_change_rules_and_add_their_own() -> None:
    rules = read_rules('[a]\nkind = "fire"\nlabels = ["fire"]\ncamera = { hits = 3 }\n')
    other = SightRule("a", HazardKind.FIRE, ("fire",), enabled=False)
    new = SightRule("b", HazardKind.CROWD, ("person",), on=(ZoneKind.PLAZA,))
    assert changed(rules, {"a": other, "b": new}) == (other, new)
    assert changed(rules, {}) == rules
