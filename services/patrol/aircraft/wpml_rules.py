"""What DJI's WPML reference says of each element: words, ranges, and whether it must be there.

The table itself, with its source, is data: `wpml_rules.txt`.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).with_name("wpml_rules.txt")
_INTERVAL = re.compile(r"(number|whole) ([\[(])(\S+), (\S+)([\])])")


@dataclass(frozen=True, slots=True)
class Rule:
    """What one element may hold. `allowed` is the text a person reads."""

    name: str
    required: bool
    kind: str
    allowed: str
    words: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def fits(self, value: str) -> bool:
        """Tell whether a trimmed text is allowed."""
        match self.kind:
            case "words":
                return value in self.words
            case "list":
                return all(part.strip() in self.words for part in value.split(","))
            case "latlonalt":
                parts = [_float(part) for part in value.split(",")]
                lat, lon = (*parts, None, None)[:2]
                known = None not in parts and len(parts) == 3
                return known and abs(lat or 0.0) <= 90.0 and abs(lon or 0.0) <= 180.0
            case "text":
                return True
        number = _float(value)
        if number is None or (self.kind == "whole" and not re.fullmatch(r"[+-]?\d+", value)):
            return False
        above = number > self.low if self.low_open else number >= self.low
        return above and (number < self.high if self.high_open else number <= self.high)


def _float(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _rule(line: str) -> Rule:
    name, _, rest = line.partition(" ")
    rest = rest.strip()
    required = not rest.startswith("?")
    spec = rest.removeprefix("?").strip()
    found = _INTERVAL.match(spec)
    if found is not None:
        kind, opens, low, high, closes = found.groups()
        allowed = spec.removeprefix(kind).strip()
        return Rule(
            name, required, kind, allowed if kind == "number" else f"whole number in {allowed}",
            (), float(low), float(high), opens == "(", closes == ")",
        )  # fmt: skip
    if spec == "flag":
        return Rule(name, required, "words", "0 or 1", ("0", "1"))
    if spec == "text":
        return Rule(name, required, "text", "a text")
    if spec == "latlonalt":
        return Rule(name, required, "latlonalt", '"latitude,longitude,height"')
    kind = "list" if spec.startswith("list ") else "words"
    words = tuple(spec.removeprefix("list ").split("|"))
    return Rule(name, required, kind, " | ".join(words), words)


def _tables(source: str) -> dict[str, tuple[Rule, ...]]:
    tables: dict[str, tuple[Rule, ...]] = {}
    section = ""
    for line in filter(None, map(str.strip, source.splitlines())):
        if line.startswith("#"):
            continue
        if line.startswith("["):
            section = line.strip("[]")
            tables[section] = ()
        else:
            tables[section] = (*tables[section], _rule(line))
    return tables


RULES = _tables(_FILE.read_text(encoding="utf-8"))
"""Section → its rules."""
