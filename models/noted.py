"""What a detector found in a kept picture, noted in the picture's own file.

The boxes stand in a JPEG comment (ISO/IEC 10918-1, B.2.4.5), so that a picture is kept without a
line drawn on it: what is drawn would be learnt by whoever is trained on it.
"""

import json
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from domain.codec import from_plain, to_plain
from domain.hazard import Detection
from models.boxes import Image

HEAD = b"gridwing boxes "
START, COMMENT = b"\xff\xd8", b"\xff\xfe"
NOTE_LIMIT_BYTES = 65_533
BOXES_LIMIT = 200
COLOUR, LINE_PX = (40, 200, 255), 2
"""BGR."""
QUALITY = 85


@dataclass(frozen=True, slots=True)
class Noted:
    """`marked` is why the picture was kept, `others` what else was found in it."""

    marked: tuple[Detection, ...]
    others: tuple[Detection, ...] = ()


def with_note(jpeg: bytes, noted: Noted) -> bytes:
    """Return the JPEG with a comment that holds the boxes, at most BOXES_LIMIT of them."""
    marked = noted.marked[:BOXES_LIMIT]
    others = noted.others[: BOXES_LIMIT - len(marked)]
    plain = to_plain(Noted(marked, others))
    note = HEAD + json.dumps(_short(plain), separators=(",", ":")).encode()
    if not jpeg.startswith(START) or len(note) > NOTE_LIMIT_BYTES:
        return jpeg
    return START + COMMENT + (len(note) + 2).to_bytes(2, "big") + note + jpeg[2:]


def _short(plain: Any) -> Any:
    if isinstance(plain, float):
        return round(plain, 3)
    if isinstance(plain, dict):
        return {key: _short(value) for key, value in plain.items()}
    return [_short(value) for value in plain] if isinstance(plain, list) else plain


def noted_in(jpeg: bytes) -> Noted | None:
    """Return what stands in a JPEG's note, None where it has none."""
    if jpeg[:4] != START + COMMENT:
        return None
    size = int.from_bytes(jpeg[4:6], "big")
    note = jpeg[6 : 4 + size]
    if not note.startswith(HEAD):
        return None
    try:
        return from_plain(Noted, json.loads(note[len(HEAD) :]))
    except ValueError:
        return None


def shown(jpeg: bytes) -> bytes:
    """Return the picture with what it was kept for framed, for eyes; as it is without a note."""
    noted = noted_in(jpeg)
    if noted is None or not noted.marked:
        return jpeg
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        return jpeg
    framed(np.asarray(image, np.uint8), noted.marked)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def framed(image: Image, boxes: tuple[Detection, ...]) -> None:
    """Draw the boxes into the picture given."""
    for box in boxes:
        one, other = (round(box.x0_px), round(box.y0_px)), (round(box.x1_px), round(box.y1_px))
        cv2.rectangle(image, one, other, COLOUR, LINE_PX)
