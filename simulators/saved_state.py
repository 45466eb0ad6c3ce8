"""A device's memory across restarts: one JSON file, replaced whole.

The kernel keeps what was written when a process is killed, so no fsync is needed for that; a
machine that loses power loses the last seconds, as the hardware's flash would.
"""

from pathlib import Path
from typing import TypeVar

import orjson
import structlog

from domain.codec import from_plain, to_plain

log = structlog.get_logger(__name__)
T = TypeVar("T")


def save(path: Path, state: object) -> None:
    """Write `state`, a dataclass, so that a reader sees the old file or the new one."""
    draft = path.with_suffix(".draft")
    draft.write_bytes(orjson.dumps(to_plain(state)))
    draft.replace(path)


def load(path: Path, kind: type[T]) -> T | None:
    """Return the saved state; None when there is none or it is of another shape."""
    if not path.exists():
        return None
    try:
        return from_plain(kind, orjson.loads(path.read_bytes()))
    except ValueError as error:
        log.warning("saved state not taken", file=path.name, error=str(error))
        return None
