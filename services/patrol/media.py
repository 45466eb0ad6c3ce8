"""Which files of a flight a dock says it has uploaded (DJI file_upload_callback). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

METHOD = "file_upload_callback"
TEXT_LIMIT = 512
FILES_LIMIT = 1_000_000


@dataclass(frozen=True, slots=True)
class MediaFile:
    """One file in the media store; all of a flight's are there when `uploaded` is `expected`."""

    flight_id: str
    object_key: str
    name: str
    uploaded: int
    expected: int
    told_at: datetime


def media_file(data: Mapping[str, Any], at: datetime) -> MediaFile | None:
    """Return the file a dock tells of; None for what names no flight or file."""
    file, task = data.get("file"), data.get("flight_task")
    if not isinstance(file, dict):
        return None
    ext, counts = file.get("ext"), task if isinstance(task, dict) else {}
    flight_id = ext.get("flight_id") if isinstance(ext, dict) else None
    key, name = _text(file.get("object_key")), _text(file.get("name"))
    of = _text(flight_id)
    if not of or not key:
        return None
    uploaded, expected = (counts.get(f"{word}_file_count") for word in ("uploaded", "expected"))
    return MediaFile(of, key, name, _count(uploaded), _count(expected), at)


def _text(value: object) -> str:
    """A text that may be stored; empty for what is none."""
    fits = isinstance(value, str) and len(value) <= TEXT_LIMIT and value.isprintable()
    return str(value) if fits else ""


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return value if 0 <= value <= FILES_LIMIT else 0
