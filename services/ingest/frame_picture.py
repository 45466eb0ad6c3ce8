"""Whether a frame's JPEG is whole and of a size that can be judged, before it is decoded. Pure.

libjpeg paints what is missing of a picture grey and OpenCV lets it pass, and a header of some
bytes may ask for gigabytes; both are refused here from the markers alone (ITU-T T.81, annex B).
"""

from models.motion import PIXELS_LIMIT

LEAST_SIDE_PX = 16
SEGMENTS_LIMIT = 200
START, SCAN, END = b"\xff\xd8", 0xDA, b"\xff\xd9"
SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Start of frame, whatever the coding; the others of that range are tables."""


def wrong_with(jpeg: bytes) -> str | None:
    """Return why nothing can be judged by this picture, or None where it looks whole."""
    head = _head(jpeg)
    if head is None:
        return "picture's header is cut off or damaged"
    wide, tall, scan = head
    if wide * tall > PIXELS_LIMIT:
        return f"picture of {wide} x {tall}; the limit is {PIXELS_LIMIT} pixels"
    if min(wide, tall) < LEAST_SIDE_PX:
        return f"picture of {wide} x {tall}; a side has at least {LEAST_SIDE_PX} pixels"
    if jpeg.rfind(END) < scan:
        return "picture is cut off before its end"
    return None


def _head(jpeg: bytes) -> tuple[int, int, int] | None:
    """Return width, height, and where the picture's scans begin."""
    if not jpeg.startswith(START):
        return None
    size, at = (0, 0), 2
    for _ in range(SEGMENTS_LIMIT):
        if at + 9 > len(jpeg) or jpeg[at] != 0xFF:
            break
        kind, length = jpeg[at + 1], int.from_bytes(jpeg[at + 2 : at + 4], "big")
        if kind == 0xFF:  # a fill byte
            at += 1
            continue
        if kind in SIZES:
            tall = int.from_bytes(jpeg[at + 5 : at + 7], "big")
            size = int.from_bytes(jpeg[at + 7 : at + 9], "big"), tall
        if kind == SCAN and 0 not in size:
            return *size, at
        at += 2 + length
    return None
