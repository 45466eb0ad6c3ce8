"""What watch takes for a hazard, as data: which class, where, when, how many, how often. Pure."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from math import isfinite
from pathlib import Path
from typing import Any

from domain.codec import from_plain
from domain.sight import CHANGE, SightRule, VoteRule

RULES = Path(__file__).parents[1] / "rules" / "watch.toml"
RULES_LIMIT = 100
TOGETHER_LIMIT = 200
METRES_LIMIT = 500.0
HITS_LIMIT = 40
DWELL_LIMIT_S = 3600.0
CHANGE_DWELL_LIMIT_S = 30 * 86400.0
M2_LIMIT = 1_000_000.0
SEALED_LIMIT_DAYS = 365


@cache
def load_rules() -> tuple[SightRule, ...]:
    """Return the rules that come with Gridwing."""
    return read_rules(RULES.read_text(encoding="utf-8"))


def read_rules(text: str) -> tuple[SightRule, ...]:
    """Read rules from TOML. Raises ValueError naming rule and field of what does not fit."""
    plain = tomllib.loads(text)
    if len(plain) > RULES_LIMIT:
        raise ValueError(f"{len(plain)} rules; the limit is {RULES_LIMIT}")
    return tuple(read_rule(code, one) for code, one in plain.items())


def read_rule(code: str, plain: Mapping[str, Any]) -> SightRule:
    """Read one rule from plain data. Raises ValueError naming rule and field."""
    unknown = sorted(plain.keys() - {field.name for field in fields(SightRule)})
    if unknown:
        raise ValueError(f"{code}.{unknown[0]} is no field of a rule")
    try:
        rule = from_plain(SightRule, {**plain, "code": code})
    except ValueError as error:
        raise ValueError(f"{code}: {error}") from error
    for field, fits, says in _bounds(rule):
        if not fits:
            raise ValueError(f"{code}.{field} {says}, got {getattr(rule, field)!r}")
    for who, vote in (("camera", rule.camera), ("drone", rule.drone)):
        dwell_limit_s = CHANGE_DWELL_LIMIT_S if rule.of_change else DWELL_LIMIT_S
        if vote is not None and not _fair(vote, dwell_limit_s):
            raise ValueError(
                f"{code}.{who} must have hits in 1..{HITS_LIMIT}, share in 0..1 and dwell_s in "
                f"0..{dwell_limit_s:g}, got {vote}"
            )
    return rule


def _bounds(rule: SightRule) -> tuple[tuple[str, bool, str], ...]:
    first, last = rule.hours
    score, most_m2 = rule.least_score, rule.most_m2
    areas = rule.least_m2 > 0.0 or most_m2 is not None
    return (
        ("labels", 0 < len(rule.labels) <= 20, "must name 1 to 20 classes"),
        ("margin_m", 0.0 <= rule.margin_m <= METRES_LIMIT, f"must lie in 0..{METRES_LIMIT:g}"),
        ("radius_m", 0.0 < rule.radius_m <= METRES_LIMIT, f"must lie in 0..{METRES_LIMIT:g}"),
        ("together", 1 <= rule.together <= TOGETHER_LIMIT, f"must lie in 1..{TOGETHER_LIMIT}"),
        ("hours", 0 <= first <= 23 and 0 < last <= 24 and first != last, "must be from..to"),
        ("least_score", score is None or 0.0 < score <= 1.0, "must lie in 0..1"),
        ("labels", not rule.of_change or len(rule.labels) == 1, f"{CHANGE!r} stands alone"),
        ("together", not rule.of_change or rule.together == 1, "counts boxes, not changes"),
        ("least_m2", rule.of_change or not areas, f"is of rules with labels = [{CHANGE!r}]"),
        ("least_m2", 0.0 <= rule.least_m2 <= M2_LIMIT, f"must lie in 0..{M2_LIMIT:g}"),
        ("most_m2", most_m2 is None or rule.least_m2 < most_m2 <= M2_LIMIT, "must exceed least_m2"),
        (
            "sealed_days",
            0 <= rule.sealed_days <= SEALED_LIMIT_DAYS,
            f"must lie in 0..{SEALED_LIMIT_DAYS}",
        ),
        ("surely", not rule.surely or bool(rule.on), "needs the zones in `on`"),
    )


def _fair(vote: VoteRule, dwell_limit_s: float) -> bool:
    counted = 1 <= vote.hits <= HITS_LIMIT and isfinite(vote.dwell_s)
    return counted and 0.0 <= vote.share <= 1.0 and 0.0 <= vote.dwell_s <= dwell_limit_s


def sealing(rules: Sequence[SightRule]) -> tuple[str, ...]:
    """Return the codes of rules that ask for sealed originals."""
    return tuple(rule.code for rule in rules if rule.enabled and rule.sealed_days)


def changed(
    rules: Sequence[SightRule], overrides: Mapping[str, SightRule]
) -> tuple[SightRule, ...]:
    """Return the rules with those that people changed or added in their place."""
    kept = [overrides.get(rule.code, rule) for rule in rules]
    known = {rule.code for rule in rules}
    return (*kept, *(rule for code, rule in sorted(overrides.items()) if code not in known))
