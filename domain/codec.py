"""Dataclasses to plain JSON values and back, by their own annotations.

One codec serves the ledger, the stream and the API, so no concept needs a second type.
Dates are ISO 8601 in UTC with microseconds; enums are their values; tuples are lists.
"""

import json
import types
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Return `value` as dicts, lists, strings, numbers, booleans and None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return instant_text(value)
    if isinstance(value, tuple | list | frozenset):
        return [to_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: to_plain(v) for k, v in value.items()}
    return value


def instant_text(at: datetime) -> str:
    """Return an aware datetime as `2026-11-23T05:00:01.250000Z`; ValueError when naive."""
    if at.tzinfo is None:
        raise ValueError("a time needs its zone; got a naive datetime")
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def canonical(value: Any) -> str:
    """Return JSON text with sorted keys and no spaces; NaN and infinities are refused."""
    return json.dumps(
        to_plain(value),
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
    )


def from_plain(cls: type[T], plain: Any) -> T:
    """Build `cls` from plain JSON values. Raises ValueError naming the field that does not fit."""
    built = _build(cls, plain, cls.__name__)
    assert isinstance(built, cls)
    return built


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _build(kind: Any, plain: Any, where: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _build_union(get_args(kind), plain, where)
    if origin is tuple:
        return _build_tuple(get_args(kind), plain, where)
    if origin is dict or kind in (Any, object):
        return plain
    if is_dataclass(kind):
        return _build_dataclass(kind, plain, where)
    return _build_scalar(kind, plain, where)


def _build_dataclass(kind: Any, plain: Any, where: str) -> Any:
    if not isinstance(plain, dict):
        raise ValueError(f"{where} must be an object, got {type(plain).__name__}")
    hints = _hints(kind)
    known = {f.name for f in fields(kind)}
    values = {k: _build(hints[k], v, f"{where}.{k}") for k, v in plain.items() if k in known}
    try:
        return kind(**values)
    except TypeError as error:
        raise ValueError(f"{where}: {error}") from error


def _build_union(options: tuple[Any, ...], plain: Any, where: str) -> Any:
    if plain is None and type(None) in options:
        return None
    rest = [o for o in options if o is not type(None)]
    if len(rest) != 1:
        raise ValueError(f"{where}: only `X | None` unions can be read back")
    return _build(rest[0], plain, where)


def _build_tuple(args: tuple[Any, ...], plain: Any, where: str) -> Any:
    if not isinstance(plain, list | tuple):
        raise ValueError(f"{where} must be a list, got {type(plain).__name__}")
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_build(args[0], v, f"{where}[{i}]") for i, v in enumerate(plain))
    if len(args) != len(plain):
        raise ValueError(f"{where} must have {len(args)} entries, got {len(plain)}")
    return tuple(
        _build(a, v, f"{where}[{i}]") for i, (a, v) in enumerate(zip(args, plain, strict=True))
    )


def _build_scalar(kind: Any, plain: Any, where: str) -> Any:
    if kind is datetime:
        return _build_instant(plain, where)
    if isinstance(kind, type) and issubclass(kind, Enum):
        try:
            return kind(plain)
        except ValueError:
            allowed = ", ".join(str(m.value) for m in kind)
            raise ValueError(f"{where} must be one of {allowed}; got {plain!r}") from None
    if kind is float and isinstance(plain, int) and not isinstance(plain, bool):
        return float(plain)
    if isinstance(plain, bool) and kind is not bool:
        raise ValueError(f"{where} must be {kind.__name__}, got a boolean")
    if not isinstance(plain, kind):
        raise ValueError(f"{where} must be {kind.__name__}, got {type(plain).__name__}")
    return plain


def _build_instant(plain: Any, where: str) -> datetime:
    try:
        at = datetime.fromisoformat(plain)
    except (TypeError, ValueError):
        raise ValueError(f"{where} must be an ISO 8601 time, got {plain!r}") from None
    if at.tzinfo is None:
        raise ValueError(f"{where} needs a time zone, got {plain!r}")
    return at.astimezone(UTC)
