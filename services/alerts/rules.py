"""The rules as data: read from rules/*.toml, checked in full before anything uses them."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from domain.codec import from_plain
from domain.hazard import HazardKind, Severity
from domain.incident import VerifiedBy
from domain.responder import Force

FOLDER = Path(__file__).resolve().parent / "rules"


@dataclass(frozen=True, slots=True)
class KindRule:
    """What a kind of happening calls for; `renders_as` maps other kinds to a likelihood 0..1."""

    severity: Severity
    verify: VerifiedBy
    extent_m: float
    memory_s: float
    renders_as: Mapping[HazardKind, float]


@dataclass(frozen=True, slots=True)
class RouteRule:
    """Empty `kinds` or `severities` stand for any."""

    forces: tuple[Force, ...]
    kinds: tuple[HazardKind, ...] = ()
    severities: tuple[Severity, ...] = ()


@dataclass(frozen=True, slots=True)
class ChoicePolicy:
    """Costs that turn area and load into metres, so that one figure compares responders."""

    position_fresh_s: float
    busy_at: int
    load_costs_m: float
    foreign_area_costs_m: float
    reach_m: float


@dataclass(frozen=True, slots=True)
class EscalationPolicy:
    """Waits in clock seconds by severity; every one is bounded by `max_level` or attempts."""

    max_level: int
    accept_s: Mapping[Severity, float]
    handle_s: Mapping[Severity, float]
    check_s: Mapping[Severity, float]
    look_s: float
    max_attempts: int


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """Which device alarms become incidents, and how serious each level is."""

    minimum_level: int
    severities: Mapping[int, Severity]


@dataclass(frozen=True, slots=True)
class Rules:
    kinds: Mapping[HazardKind, KindRule]
    routes: tuple[RouteRule, ...]
    choice: ChoicePolicy
    alarm: AlarmRule
    escalation: EscalationPolicy


def load_rules(folder: Path = FOLDER) -> Rules:
    """Read the three files. Raises ValueError naming file and key of what does not fit."""
    kinds, routing = _read(folder, "kinds.toml"), _read(folder, "routing.toml")
    return Rules(
        kinds=_kinds(kinds),
        routes=_routes(routing),
        choice=from_plain(ChoicePolicy, _table(routing, "routing.toml", "choice")),
        alarm=_alarm(_table(routing, "routing.toml", "device_alarm")),
        escalation=_escalation(_read(folder, "escalation.toml")),
    )


def _read(folder: Path, name: str) -> dict[str, Any]:
    try:
        return tomllib.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{name} cannot be read: {error}") from error


def _table(data: Mapping[str, Any], file: str, key: str) -> dict[str, Any]:
    value = data.get(key)
    if not isinstance(value, dict):
        raise ValueError(f"{file}: table [{key}] is missing")
    return value


def _kinds(data: Mapping[str, Any]) -> dict[HazardKind, KindRule]:
    rules = {}
    for kind in HazardKind:
        table = _table(data, "kinds.toml", kind.value)
        try:
            rules[kind] = _kind(table)
        except (KeyError, ValueError) as error:
            raise ValueError(f"kinds.toml [{kind.value}]: {error}") from error
    return rules


def _kind(table: Mapping[str, Any]) -> KindRule:
    extent_m, memory_s = float(table["extent_m"]), float(table["memory_s"])
    if extent_m <= 0.0 or memory_s <= 0.0:
        raise ValueError("extent_m and memory_s must be above 0")
    renders_as = {HazardKind(k): float(v) for k, v in table.get("renders_as", {}).items()}
    if not all(0.0 <= v <= 1.0 for v in renders_as.values()):
        raise ValueError("renders_as must lie in 0..1")
    severity, verify = Severity(table["severity"]), VerifiedBy(table["verify"])
    return KindRule(severity, verify, extent_m, memory_s, renders_as)


def _routes(data: Mapping[str, Any]) -> tuple[RouteRule, ...]:
    routes = []
    for index, table in enumerate(data.get("rule", ())):
        unknown = table.keys() - {"kinds", "severities", "forces"}
        if unknown or not table.get("forces"):
            wrong = ", ".join(sorted(unknown)) or "forces must name at least one force"
            raise ValueError(f"routing.toml rule {index}: {wrong}")
        try:
            routes.append(from_plain(RouteRule, table))
        except ValueError as error:
            raise ValueError(f"routing.toml rule {index}: {error}") from error
    if not routes or routes[-1].kinds or routes[-1].severities:
        raise ValueError("routing.toml: the last rule must hold for everything")
    return tuple(routes)


def _alarm(table: Mapping[str, Any]) -> AlarmRule:
    severities = {int(k): Severity(v) for k, v in table["severities"].items()}
    return AlarmRule(int(table["minimum_level"]), severities)


def _escalation(data: Mapping[str, Any]) -> EscalationPolicy:
    def waits(key: str) -> dict[Severity, float]:
        table = _table(data, "escalation.toml", key)
        missing = [s.value for s in Severity if float(table.get(s.value, 0.0)) <= 0.0]
        if missing:
            raise ValueError(f"escalation.toml [{key}]: give seconds above 0 for {missing}")
        return {s: float(table[s.value]) for s in Severity}

    verification = _table(data, "escalation.toml", "verification")
    return EscalationPolicy(
        max_level=int(data["max_level"]),
        accept_s=waits("accept_s"),
        handle_s=waits("handle_s"),
        check_s=waits("check_s"),
        look_s=float(verification["look_s"]),
        max_attempts=int(verification["max_attempts"]),
    )
