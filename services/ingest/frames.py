"""Our own MQTT frame message: 4-byte big-endian header length, JSON header, JPEG.

The header is `{device_sn, at, flight_id?, pose?}`; `pose` is a FramePose as codec JSON. A device
that can be programmed sends its pose with the picture, so no clock has to be trusted twice.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from math import isfinite

from domain.codec import from_plain
from domain.observation import Frame, FramePose

HEADER_LIMIT_BYTES = 4096
JPEG_LIMIT_BYTES = 4 * 1024 * 1024
JPEG_START = b"\xff\xd8"


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """What stands before the picture, as codec JSON: times are ISO 8601 in UTC."""

    device_sn: str
    at: datetime
    flight_id: str | None = None
    pose: FramePose | None = None


def decode_frame(topic: str, payload: bytes) -> Frame:
    """Return the frame. Raises ValueError naming what is wrong with the message."""
    if len(payload) < 4:
        raise ValueError("frame message is shorter than its 4-byte header length")
    size = int.from_bytes(payload[:4], "big")
    if size > HEADER_LIMIT_BYTES:
        raise ValueError(f"frame header of {size} bytes; the limit is {HEADER_LIMIT_BYTES}")
    jpeg = payload[4 + size :]
    if len(jpeg) > JPEG_LIMIT_BYTES:
        raise ValueError(f"picture of {len(jpeg)} bytes; the limit is {JPEG_LIMIT_BYTES}")
    if not jpeg.startswith(JPEG_START):
        raise ValueError("frame message carries no JPEG after its header")
    try:
        plain = json.loads(payload[4 : 4 + size], parse_float=_finite, parse_constant=_finite)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"frame header is not JSON: {error}") from error
    header = from_plain(FrameHeader, plain)
    if topic.rsplit("/", 1)[-1] != header.device_sn:
        raise ValueError(f"frame header names {header.device_sn}, its topic is {topic}")
    return Frame(header.device_sn, header.at, jpeg, header.pose, header.flight_id)


def _finite(text: str) -> float:
    """JSON knows no NaN and no infinity (RFC 8259, 6); a pose that has one says nothing."""
    value = float(text)
    if not isfinite(value):
        raise ValueError(f"{text[:20]} is no number")
    return value
