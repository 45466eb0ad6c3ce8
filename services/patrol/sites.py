"""Key sites (重点场所) as errands: each is hovered over when its interval has run out. Pure.

How often and how long is data (`rules/sites.toml`). A site under closed airspace is left out: it
cannot be looked at straight from above.
"""

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path

import shapely

from domain.codec import from_plain
from domain.mission import Mission
from domain.place import Site, SiteKind
from geo.routes import Point
from services.patrol.plan import PatrolGround

RULES = Path(__file__).parent / "rules" / "sites.toml"
_DEFAULT = "default"
_SHARE_LIMIT = 10.0
_HOVER_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class SiteRule:
    """How often a kind of site is visited, and how long it is hovered over. 0 s: never."""

    revisit_s: float
    hover_s: float


SiteRules = Mapping[str, SiteRule]
"""By kind of site; `default` is for the others."""


@dataclass(frozen=True, slots=True)
class Errand:
    """A place to hover over. `prize` is what leaving it out costs a plan, in flight seconds."""

    site_code: str
    point: Point
    hover_s: float
    prize: float


def read_site_rules(text: str) -> dict[str, SiteRule]:
    """Read rules from TOML. Raises ValueError naming kind and field of what does not fit."""
    found = {}
    for kind, plain in tomllib.loads(text).items():
        if kind != _DEFAULT and kind not in {*SiteKind}:
            raise ValueError(f"{kind}: no kind of site; use one of {', '.join(SiteKind)}")
        rule = from_plain(SiteRule, plain)
        if rule.revisit_s < 0.0:
            raise ValueError(f"{kind}.revisit_s must not be negative, got {rule.revisit_s:g}")
        if not 0.0 <= rule.hover_s <= _HOVER_LIMIT_S or (rule.revisit_s and not rule.hover_s):
            raise ValueError(f"{kind}.hover_s must lie in 0..120, above 0 where visited")
        found[kind] = rule
    if _DEFAULT not in found:
        raise ValueError(f"{_DEFAULT}: missing; it is for the kinds that are not named")
    return found


@cache
def load_site_rules() -> SiteRules:
    """Return the rules that come with Gridwing."""
    return read_site_rules(RULES.read_text(encoding="utf-8"))


def sites_of(mission: Mission, first: int = 0, last: int | None = None) -> tuple[str, ...]:
    """Return the sites a mission hovers over, from waypoint `first` to `last` (None: the end)."""
    stop = None if last is None else last + 1
    points = mission.wayline.waypoints[first:stop]
    return tuple(dict.fromkeys(w.site_code for w in points if w.site_code is not None))


def errands(
    ground: PatrolGround,
    rules: SiteRules,
    visited: Mapping[str, datetime],
    in_air: Collection[str],
    since: datetime,
    at: datetime,
) -> tuple[Errand, ...]:
    """Return the sites that are due by the time the next sorties leave, each worth more the
    longer it waits. One never visited is due at once, and counts from `since`; those `in_air` are
    left to who flies there."""
    policy = ground.policy
    found = []
    for site in ground.district.sites:
        rule = rule_of(rules, site)
        if rule.revisit_s <= 0.0 or site.code in in_air:
            continue
        last = visited.get(site.code)
        gone_s = (at - (last or since)).total_seconds() + (0.0 if last else rule.revisit_s)
        if gone_s + policy.exact_s < rule.revisit_s or (point := open_point(ground, site)) is None:
            continue
        share = min(_SHARE_LIMIT, max(1.0, gone_s / rule.revisit_s))
        found.append(Errand(site.code, point, rule.hover_s, policy.site_worth_s * share**2))
    return tuple(found)


def rule_of(rules: SiteRules, site: Site) -> SiteRule:
    """Return the rule for a site's kind, or what holds for kinds that are not named."""
    return rules.get(site.kind, rules[_DEFAULT])


def open_point(ground: PatrolGround, site: Site) -> Point | None:
    """Return where a site is hovered over, or None under closed airspace."""
    point = ground.local(site.position)
    return point if ground.sky.free.covers(shapely.Point(point)) else None
