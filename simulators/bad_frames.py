"""Frame messages as broken devices send them: cut off, of other sizes, with poses and times that
cannot be. Seeded; each says what it is, so that what became of it can be counted.
"""

import io
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import cv2
import numpy as np
from PIL import Image

from domain.codec import to_plain
from domain.observation import FramePose
from simulators.frame_message import encode_frame

GOOD_SHARE = 0.7
ORIENTATION, QUARTER_TURN = 0x0112, 6
FLOOD_PX = 30_000
JUMPS = tuple(timedelta(days=days) for days in (-20_000, -1, 1, 400, 2_000_000))
Rng = np.random.Generator




def truncated(jpeg: bytes, rng: Rng) -> bytes:
    return jpeg[: int(rng.integers(2, len(jpeg) - 2))]


def one_pixel(jpeg: bytes, rng: Rng) -> bytes:
    return cv2.imencode(".jpg", np.full((1, 1, 3), 90, np.uint8))[1].tobytes()


def sixteen_bit(jpeg: bytes, rng: Rng) -> bytes:
    deep = rng.integers(0, 65536, (64, 64), np.uint16)
    return cv2.imencode(".png", deep)[1].tobytes()


def flood(jpeg: bytes, rng: Rng) -> bytes:
    """Return a picture whose head promises 900 million pixels."""
    at = jpeg.index(b"\xff\xc0")
    return jpeg[: at + 5] + struct.pack(">HH", FLOOD_PX, FLOOD_PX) + jpeg[at + 9 :]


def rotated(jpeg: bytes, rng: Rng) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = QUARTER_TURN
    return _saved(Image.open(io.BytesIO(jpeg)), exif.tobytes())


def grey(jpeg: bytes, rng: Rng) -> bytes:
    return _saved(Image.open(io.BytesIO(jpeg)).convert("L"), b"")


def other_size(jpeg: bytes, rng: Rng) -> bytes:
    wide, tall = (int(side) for side in rng.integers(16, 900, 2))
    return _saved(Image.open(io.BytesIO(jpeg)).resize((wide, tall)), b"")


def damaged(jpeg: bytes, rng: Rng) -> bytes:
    bad = bytearray(jpeg)
    for at in rng.integers(2, len(bad), 20):
        bad[at] = rng.integers(0, 256)
    return bytes(bad)


def _saved(picture: Image.Image, exif: bytes) -> bytes:
    sink = io.BytesIO()
    picture.save(sink, "JPEG", quality=85, exif=exif)
    return sink.getvalue()


PICTURES: Mapping[str, Callable[[bytes, Rng], bytes]] = {
    each.__name__: each
    for each in (
        truncated, one_pixel, sixteen_bit, flood, rotated, grey, other_size, damaged,
    )
}  # fmt: skip
NOT_OF_PICTURES = ("clock_jump", "nan_pose", "short_message")


def message(
    sn: str, at: datetime, pose: FramePose | None, pictures: Sequence[bytes], rng: Rng
) -> tuple[str, bytes]:
    """Return what a device sends next, and what is wrong with it (`good`: nothing)."""
    jpeg = pictures[int(rng.integers(len(pictures)))]
    if rng.random() < GOOD_SHARE:
        return "good", encode_frame(sn, at, jpeg, pose, None)
    kind = str(rng.choice([*PICTURES, *NOT_OF_PICTURES]))
    if kind == "short_message":
        return kind, b"\x00\x00"
    if kind == "nan_pose":
        return kind, _no_numbers(sn, at, pose, jpeg)
    if kind == "clock_jump":
        return kind, encode_frame(sn, _jumped(at, rng), jpeg, pose, None)
    return kind, encode_frame(sn, at, PICTURES[kind](jpeg, rng), pose, None)


def _jumped(at: datetime, rng: Rng) -> datetime:
    try:
        return at + JUMPS[int(rng.integers(len(JUMPS)))]
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def _no_numbers(sn: str, at: datetime, pose: FramePose | None, jpeg: bytes) -> bytes:
    """Return a message with a pose of NaN, which JSON has no word for and Python writes."""
    broken = None if pose is None else to_plain(replace(pose, height_agl_m=float("nan")))
    plain = {"device_sn": sn, "at": to_plain(at), "pose": broken or float("nan")}
    header = json.dumps(plain).encode()
    return len(header).to_bytes(4, "big") + header + jpeg
