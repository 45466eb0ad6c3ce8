"""What comes as a picture may be anything: refused from its head, before a pixel is decoded."""

import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from services.ingest.frame_picture import wrong_with

STREET = np.random.default_rng(5).integers(0, 255, (48, 64, 3), np.uint8)
JPEG = cv2.imencode(".jpg", STREET)[1].tobytes()


def claiming(wide: int, tall: int) -> bytes:
    """Return the picture with another size in its header."""
    at = JPEG.index(b"\xff\xc0")
    return JPEG[: at + 5] + struct.pack(">HH", tall, wide) + JPEG[at + 9 :]


def saved(**how: object) -> bytes:
    sink = io.BytesIO()
    mode = how.pop("mode", "RGB")
    Image.fromarray(STREET).convert(str(mode)).save(sink, "JPEG", **how)
    return sink.getvalue()


def test_a_whole_picture_is_taken_whatever_follows_it() -> None:
    assert wrong_with(JPEG) is None
    assert wrong_with(JPEG + bytes(500)) is None


@pytest.mark.parametrize("how", [{"progressive": True}, {"mode": "L"}, {"mode": "CMYK"}])
def test_every_coding_is_taken(how: dict[str, object]) -> None:
    assert wrong_with(saved(**how)) is None


@pytest.mark.parametrize(
    ("jpeg", "says"),
    [
        (b"", "header"),
        (b"\x89PNG\r\n\x1a\n", "header"),
        (JPEG[:2], "header"),
        (JPEG[:100], "header"),
        (JPEG[: len(JPEG) // 2], "cut off"),
        (JPEG[:-2], "cut off"),
        (claiming(30_000, 30_000), "30000 x 30000; the limit"),
        (claiming(1, 1), "at least 16"),
        (claiming(0, 48), "header"),
        (b"\xff\xd8" + b"\xff" * 5000, "header"),
        (b"\xff\xd8" + b"\xff\xe0\x00\x02" * 5000, "header"),
    ],
)
def test_what_cannot_be_judged_is_refused(jpeg: bytes, says: str) -> None:
    wrong = wrong_with(jpeg)
    assert wrong is not None
    assert says in wrong


def test_the_end_of_a_thumbnail_in_the_head_is_not_the_pictures() -> None:
    exif = Image.Exif()
    exif[0x010E] = "\xff\xd9" * 3
    assert b"\xff\xd9" in (whole := saved(exif=exif.tobytes() + b"\xff\xd9"))
    assert wrong_with(whole) is None
    assert wrong_with(whole[:-2]) == "picture is cut off before its end"


def test_noise_after_a_good_head_never_raises() -> None:
    rng = np.random.default_rng(6)
    for _ in range(500):
        bad = bytearray(JPEG)
        for at in rng.integers(2, len(bad), 8):
            bad[at] = rng.integers(0, 256)
        assert isinstance(wrong_with(bytes(bad)), str | None)
