"""Motion JPEG: whole pictures out of any chunks, bounded, with and without lengths."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.multipart import NotMultipart, PictureParts

TYPE = "multipart/x-mixed-replace; boundary=frame"
PICTURES = [b"\xff\xd8" + bytes([i]) * (50 + 13 * i) + b"\xff\xd9" for i in range(6)]


def body(with_length: bool, mark: bytes = b"--frame") -> bytes:
    parts = b""
    for picture in PICTURES:
        length = b"Content-Length: %d\r\n" % len(picture) if with_length else b""
        parts += mark + b"\r\nContent-Type: image/jpeg\r\n" + length + b"\r\n" + picture + b"\r\n"
    return parts + mark + b"\r\n"


@given(st.lists(st.integers(1, 90), min_size=1, max_size=60), st.booleans())
def test_pictures_come_whole_however_the_body_is_cut(sizes: list[int], with_length: bool) -> None:
    parts, rest, found = PictureParts(TYPE), body(with_length), list[bytes]()
    for size in [*sizes, len(rest)]:
        found += parts.feed(rest[:size])
        rest = rest[size:]
    assert found == PICTURES


def test_dashes_in_the_boundary_s_name_and_quotes() -> None:
    parts = PictureParts('multipart/x-mixed-replace;boundary="--frame"')
    assert parts.feed(body(True)) == PICTURES


def test_what_is_no_stream_is_refused() -> None:
    with pytest.raises(NotMultipart, match="boundary"):
        PictureParts("multipart/x-mixed-replace")
    with pytest.raises(NotMultipart, match="part of 999999999"):
        PictureParts(TYPE).feed(b"--frame\r\nContent-Length: 999999999\r\n\r\n")
    with pytest.raises(NotMultipart, match="header"):
        PictureParts(TYPE).feed(b"--frame\r\n" + b"x" * 9000)
    endless = b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + b"\0" * 5_000_000
    with pytest.raises(NotMultipart, match="a part of more"):
        PictureParts(TYPE).feed(endless)
