"""What a dock's codes mean, in Chinese and English; the table is data: `rules/dock_codes.toml`."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

_FILE = Path(__file__).parent / "rules" / "dock_codes.toml"
_TABLE = tomllib.loads(_FILE.read_text(encoding="utf-8"))
BUSY = frozenset(_TABLE["busy"]["results"])
"""Results of a dock that could not now and may shortly."""
RESUMABLE = frozenset(_TABLE["resumable"]["break_reasons"])
"""Break reasons after which the rest of a wayline may be flown."""


@dataclass(frozen=True, slots=True)
class Words:
    """A code with its texts."""

    code: int | str
    zh: str
    en: str


def words(kind: str, code: int | str | None) -> Words | None:
    """Return the words of a code of a kind (status, step, break_reason, result, …); None for None.

    A code that is not in the table is told as such.
    """
    if code is None:
        return None
    zh, en = _TABLE[kind].get(str(code), (f"未知代码 {code}", f"unknown code {code}"))
    return Words(code, zh, en)


def may_ask_again_s(refusals: int, first_s: float, limit_s: float) -> float:
    """Return the wait after so many refusals in a row: doubled each time, up to the limit."""
    return min(limit_s, first_s * 2.0 ** max(0, min(refusals, 32) - 1))
