"""Motion JPEG over HTTP: the pictures in a multipart/x-mixed-replace body. Pure.

A part's Content-Length is believed where it is written; else the next boundary ends it (RFC 2046).
"""

import re

from services.ingest.frames import JPEG_LIMIT_BYTES

HEADER_LIMIT_BYTES = 8192
_BOUNDARY = re.compile(r"boundary=\"?([^\";,\s]{1,200})\"?", re.IGNORECASE)
_LENGTH = re.compile(rb"content-length:\s*(\d{1,9})", re.IGNORECASE)


class NotMultipart(ValueError):
    """The body is no stream of pictures; the message says what is wrong."""


class PictureParts:
    """Feed it the body as it comes; it gives back whole pictures and keeps a bounded rest."""

    def __init__(self, content_type: str) -> None:
        found = _BOUNDARY.search(content_type)
        if found is None:
            raise NotMultipart(f"content type {content_type[:100]!r} names no boundary")
        # Some cameras write the dashes into the name of the boundary itself.
        self._mark = b"--" + found[1].removeprefix("--").encode()
        self._held = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the pictures that are whole now. Raises NotMultipart beyond the limits."""
        self._held += chunk
        found = []
        while (picture := self._next()) is not None:
            found.append(picture)
        if len(self._held) > JPEG_LIMIT_BYTES + HEADER_LIMIT_BYTES:
            raise NotMultipart(f"a part of more than {JPEG_LIMIT_BYTES} bytes")
        return found

    def _next(self) -> bytes | None:
        start = self._held.find(self._mark)
        if start < 0:
            return None
        head_end = self._held.find(b"\r\n\r\n", start)
        if head_end < 0:
            if len(self._held) - start > HEADER_LIMIT_BYTES:
                raise NotMultipart(f"a part's header of more than {HEADER_LIMIT_BYTES} bytes")
            return None
        body = head_end + 4
        told = _LENGTH.search(self._held, start, head_end)
        if told is not None:
            end = body + int(told[1])
            if int(told[1]) > JPEG_LIMIT_BYTES:
                raise NotMultipart(f"a part of {int(told[1])} bytes; limit {JPEG_LIMIT_BYTES}")
            if len(self._held) < end:
                return None
        else:
            end = self._held.find(b"\r\n" + self._mark, body)
            if end < 0:
                return None
        picture, self._held = self._held[body:end], self._held[end:]
        return picture
