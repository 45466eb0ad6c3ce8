"""Which files of a flight a dock says it has uploaded (DJI file_upload_callback). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

METHOD = "file_upload_callback"


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
    key, name = file.get("object_key"), file.get("name")
    if not all(isinstance(v, str) and v for v in (flight_id, key)):
        return None
    return MediaFile(
        str(flight_id), str(key), str(name or ""), _count(counts.get("uploaded_file_count")),
        _count(counts.get("expected_file_count")), at,
    )  # fmt: skip


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
