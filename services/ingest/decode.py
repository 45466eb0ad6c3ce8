"""Which adapter reads a topic; whatever it cannot take becomes a Refusal. Pure.

A new vendor is one adapter file and one line of ADAPTERS.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

from domain.observation import Refusal
from runtime.topics import (
    DJI_UP_FILTERS,
    FRIGATE_FILTERS,
    ONVIF_FILTERS,
    TELEMETRY_FILTER,
    matches,
)
from services.ingest import compact, dji, frigate, onvif
from services.ingest.devices import Devices
from services.ingest.fields import Unreadable
from services.ingest.heard import Heard
from services.ingest.misplaced import refuse_gcj02

TOPICS_REMEMBERED = 20_000
Adapter = Callable[[str, bytes, datetime, Devices], Heard]

ADAPTERS: tuple[tuple[str, Adapter], ...] = (
    *((topic_filter, dji.read) for topic_filter in DJI_UP_FILTERS),
    (TELEMETRY_FILTER, compact.read),
    *((topic_filter, frigate.read) for topic_filter in FRIGATE_FILTERS),
    *((topic_filter, onvif.read) for topic_filter in ONVIF_FILTERS),
)
WITHHELD: tuple[Adapter, ...] = (frigate.read, onvif.read)
"""Adapters whose messages may tell of faces and number plates: refused bytes are not kept."""


@lru_cache(TOPICS_REMEMBERED)
def adapter_of(topic: str) -> Adapter | None:
    """Return who reads a topic."""
    return next((adapter for wanted, adapter in ADAPTERS if matches(wanted, topic)), None)


def decode(topic: str, payload: bytes, received_at: datetime, devices: Devices) -> Heard | Refusal:
    """Return what the message says, or why it cannot be taken. Never raises."""
    adapter = adapter_of(topic)
    if adapter is None:
        return Refusal(topic, payload, f"nobody reads the topic {topic}", received_at)
    try:
        heard = adapter(topic, payload, received_at, devices)
        refuse_gcj02(topic, heard, devices.stands)
    except (Unreadable, OverflowError, RecursionError) as error:
        if adapter in WITHHELD:
            payload = b"not kept; SHA-256 " + hashlib.sha256(payload).hexdigest().encode()
        return Refusal(topic, payload, str(error), received_at)
    return heard
