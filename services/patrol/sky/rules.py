"""The sky's rules as data: `rules/sky.toml`, each with its clause."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any

from domain.codec import from_plain
from geo.airspace import SkyPolicy
from services.patrol.lost_link import LostLink

RULES = Path(__file__).parents[1] / "rules" / "sky.toml"
ACTIONS = ("return_home", "hold", "nothing")
REFUSE, FLY = "refuse", "fly"


@dataclass(frozen=True, slots=True)
class HeightRule:
    clause: str
    ceiling_agl_m: float
    floor_agl_m: float


@dataclass(frozen=True, slots=True)
class MarginRule:
    clause: str
    margin_m: float


@dataclass(frozen=True, slots=True)
class SeparationRule:
    clause: str
    lateral_m: float
    vertical_m: float
    time_s: float


@dataclass(frozen=True, slots=True)
class ApplicationRule:
    """`deadline_hour` is local time of the day before; `needed` False is a lawyer's decision."""

    clause: str
    deadline_hour: float
    utc_offset_h: float
    needed: bool


@dataclass(frozen=True, slots=True)
class LeadRule:
    clause: str
    lead_s: float


@dataclass(frozen=True, slots=True)
class TemporaryRule:
    clause: str
    lead_s: float
    emergency_lead_s: float
    horizon_s: float


@dataclass(frozen=True, slots=True)
class NightRule:
    clause: str
    allowed: bool
    from_hour: float
    until_hour: float


@dataclass(frozen=True, slots=True)
class ClassRule:
    clause: str
    ceiling_agl_m: float


@dataclass(frozen=True, slots=True)
class RecallRule:
    """What a flight does when a rule is met in the air. Actions: see ACTIONS."""

    clause: str
    new_zone: str
    wind: str
    rain: str
    link_lost: str
    zone_ahead_s: float
    wind_limit_m_s: float
    rain_limit_level: int
    link_lost_s: float
    link_lost_wall_s: float
    hold_limit_s: float

    def __post_init__(self) -> None:
        for name in ("new_zone", "wind", "rain", "link_lost"):
            if getattr(self, name) not in ACTIONS:
                raise ValueError(f"recall.{name} must be one of {', '.join(ACTIONS)}")


@dataclass(frozen=True, slots=True)
class WayHomeRule:
    """`above_m` is kept over the flight's own highest point; `when_closed` is REFUSE or FLY."""

    clause: str
    above_m: float
    when_closed: str

    def __post_init__(self) -> None:
        if self.when_closed not in (REFUSE, FLY):
            raise ValueError(f"way_home.when_closed must be one of {REFUSE}, {FLY}")


@dataclass(frozen=True, slots=True)
class LostLinkRule:
    """What an aircraft does by itself once its link is lost."""

    clause: str
    action: LostLink


@dataclass(frozen=True, slots=True)
class SkyRules:
    height: HeightRule
    margin: MarginRule
    separation: SeparationRule
    application: ApplicationRule
    emergency: LeadRule
    confirmation: LeadRule
    temporary: TemporaryRule
    night: NightRule
    way_home: WayHomeRule
    lost_link: LostLinkRule
    recall: RecallRule
    classes: tuple[tuple[str, ClassRule], ...]
    models: tuple[tuple[str, str], ...]

    def policy(self, model: str | None = None) -> SkyPolicy:
        """Return what airspace checks need of the rules, for everybody or one model."""
        ceiling_m = self.height.ceiling_agl_m if model is None else self.ceiling_agl_m(model)
        return SkyPolicy(ceiling_m, self.margin.margin_m, self.height.floor_agl_m)

    def ceiling_agl_m(self, model: str) -> float:
        """Return how high a model may fly: the class's limit and everybody's. A model whose class
        is not known has the lowest one's."""
        of_class = dict(self.classes)
        name = dict(self.models).get(model)
        if name is None:
            lowest = min(rule.ceiling_agl_m for rule in of_class.values())
            return min(self.height.ceiling_agl_m, lowest)
        return min(self.height.ceiling_agl_m, of_class[name].ceiling_agl_m)

    def local(self, at: datetime) -> datetime:
        """Return a time on the authority's clock."""
        return at.astimezone(timezone(timedelta(hours=self.application.utc_offset_h)))

    def at_night(self, at: datetime) -> bool:
        """Tell whether a time lies in the rule's night."""
        local = self.local(at)
        hour = local.hour + local.minute / 60.0
        return hour >= self.night.from_hour or hour < self.night.until_hour


def read_sky_rules(text: str) -> SkyRules:
    """Build the rules from TOML. Raises ValueError naming the field that does not fit."""
    plain: dict[str, Any] = tomllib.loads(text)
    for name in ("classes", "models"):
        table = plain.get(name)
        if not isinstance(table, Mapping) or not table:
            raise ValueError(f"{name} must be a table with at least one entry")
        plain[name] = [[key, value] for key, value in table.items()]
    rules = from_plain(SkyRules, plain)
    unknown = {name for _, name in rules.models} - {name for name, _ in rules.classes}
    if unknown:
        raise ValueError(f"models name classes that are not there: {', '.join(sorted(unknown))}")
    return rules


@cache
def load_sky_rules() -> SkyRules:
    """Return the rules that come with Gridwing."""
    return read_sky_rules(RULES.read_text(encoding="utf-8"))
