"""Bytes of one datagram → the MAVLink messages in it, versions 1 and 2, with pymavlink's parser.

pymavlink is LGPL-3.0 and an optional extra: it is loaded when a wire is made, and nowhere else.
"""

import importlib
from typing import Any, NamedTuple, Self

from services.ingest.mavlink import TAKEN, Fields

DATAGRAM_LIMIT_BYTES = 2048
"""A message has at most 280 bytes, and what is sent over Ethernet at most 1,472."""
DIALECT = "pymavlink.dialects.v20.common"


class NoParser(RuntimeError):
    """pymavlink is not installed; the text says how to get it."""


class Said(NamedTuple):
    """One message: who said it, its name in the common dialect, and the fields that are read."""

    system: int
    component: int
    name: str
    fields: Fields


class Wire:
    """A reader of datagrams. Each is read for itself: half a message is never waited for."""

    def __init__(self, dialect: Any) -> None:
        self._dialect = dialect

    @classmethod
    def load(cls) -> Self:
        """Load the common dialect. Raises NoParser."""
        try:
            return cls(importlib.import_module(DIALECT))
        except ModuleNotFoundError as error:
            raise NoParser(f"{error.name} is missing: pip install 'gridwing[mavlink]'") from None

    def read(self, datagram: bytes) -> tuple[list[Said], int]:
        """Return (messages that are read here, pieces that are no whole MAVLink message).

        A wrong checksum, an unknown message and a signature nobody can check make no message: the
        first is a bad piece; of the others the unknown is passed over, the signed is taken as said.
        """
        if not 0 < len(datagram) <= DATAGRAM_LIMIT_BYTES:
            return [], 1
        parser = self._dialect.MAVLink(None)
        parser.robust_parsing = True
        said, bad = [], 0
        for message in parser.parse_buffer(datagram) or ():
            name = message.get_type()
            if name == "BAD_DATA":
                bad += 1
            elif name in TAKEN:
                fields = {key: getattr(message, key) for key in TAKEN[name]}
                said.append(Said(message.get_srcSystem(), message.get_srcComponent(), name, fields))
        return said, bad + (parser.buf_len() > 0)
