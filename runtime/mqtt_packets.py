"""MQTT 3.1.1 packets of a reader, without I/O: what the intake says and hears.

Our own because none kept has all three: acknowledgement by hand, version 3.1.1 (whose sessions
survive a restart of mosquitto 2.0.11; those of version 5 did not) and a cost that leaves the
processor to the work behind it. docs/performance.md has the comparison. OASIS MQTT 3.1.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from runtime.bus import Message

PACKET_LIMIT_BYTES = 8 * 1024 * 1024
TOPICS_REMEMBERED = 20_000
NEW = tuple.__new__
"""A Message of values known to be right, without the detour through its own constructor."""
PING = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"
CONNACK, PUBLISH, SUBACK, UNSUBACK, PINGRESP = 2, 3, 9, 11, 13
REFUSALS = {
    1: "it does not speak MQTT 3.1.1",
    2: "it does not take the client id",
    3: "it is not available",
    4: "wrong user name or password",
    5: "not authorised",
}


class BadPacket(ValueError):
    """The peer sent what is no MQTT 3.1.1; the connection is of no more use."""


def _length(value: int) -> bytes:
    out = bytearray()
    while True:
        value, low = divmod(value, 128)
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def _packet(first: int, body: bytes) -> bytes:
    return bytes((first,)) + _length(len(body)) + body


def _text(text: str) -> bytes:
    raw = text.encode()
    return len(raw).to_bytes(2, "big") + raw


def connect(
    client_id: str, user: str | None, password: str | None, keepalive_s: int, *, clean: bool
) -> bytes:
    flags, payload = (2 if clean else 0), _text(client_id)
    if user is not None:
        flags |= 0x80
        payload += _text(user)
        if password is not None:
            flags |= 0x40
            payload += _text(password)
    head = _text("MQTT") + bytes((4, flags)) + keepalive_s.to_bytes(2, "big")
    return _packet(0x10, head + payload)


def subscribe(packet_id: int, filters: Sequence[str]) -> bytes:
    """Ask for each filter at QoS 1."""
    body = b"".join(_text(f) + b"\x01" for f in filters)
    return _packet(0x82, packet_id.to_bytes(2, "big") + body)


def unsubscribe(packet_id: int, filters: Sequence[str]) -> bytes:
    body = b"".join(_text(f) for f in filters)
    return _packet(0xA2, packet_id.to_bytes(2, "big") + body)


def publish(topic: str, payload: bytes, packet_id: int) -> bytes:
    """Say one message at QoS 1."""
    return _packet(0x32, _text(topic) + packet_id.to_bytes(2, "big") + payload)


def pubacks(packet_ids: Sequence[bytes]) -> bytes:
    """Acknowledge messages by their two-byte packet identifiers."""
    return b"\x40\x02" + b"\x40\x02".join(packet_ids) if packet_ids else b""


@dataclass(slots=True)
class Reader:
    """Bytes in, messages and control packets out; keeps the incomplete rest."""

    messages: list[Message] = field(default_factory=list)
    packet_ids: list[bytes] = field(default_factory=list)
    """One for each message; empty for one of QoS 0."""
    controls: list[tuple[int, bytes]] = field(default_factory=list)
    """(packet type, body) of everything that is no PUBLISH."""
    _rest: bytes = b""
    _topics: dict[bytes, str] = field(default_factory=dict)

    def feed(self, data: bytes) -> None:
        """Take what the socket gave. Raises BadPacket."""
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        topics, message, identify = self._topics, self.messages.append, self.packet_ids.append
        while end - at >= 2:
            length, body = data[at + 1], at + 2
            if length & 0x80:
                length, body = _long_length(data, at, end)
                if not body:
                    break
            after = body + length
            if after > end:
                break
            first = data[at]
            at = after
            if first & 0xF0 != 0x30:
                self.controls.append((first >> 4, data[body:after]))
                continue
            start = body + 2
            if start > after or first & 0x06 == 0x06:
                raise BadPacket("a PUBLISH with impossible lengths or QoS")
            stop = start + (data[body] << 8 | data[body + 1])
            payload = stop + 2 if first & 0x06 else stop
            if payload > after:
                raise BadPacket("a PUBLISH with impossible lengths")
            topic = topics.get(data[start:stop]) or self._topic(data[start:stop])
            message(NEW(Message, (topic, data[payload:after], first & 0x08 != 0)))
            identify(data[stop:payload])
        self._rest = data[at:]

    def _topic(self, raw: bytes) -> str:
        try:
            topic = raw.decode()
        except UnicodeDecodeError:
            raise BadPacket("a topic that is not UTF-8") from None
        if len(self._topics) >= TOPICS_REMEMBERED:
            self._topics.clear()
        self._topics[raw] = topic
        return topic


def _long_length(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return (length, where the body begins), (0, 0) while bytes are missing."""
    if at + 2 < end and data[at + 2] < 0x80:
        return data[at + 1] & 0x7F | data[at + 2] << 7, at + 3
    length = 0
    for i in range(4):
        if at + 1 + i >= end:
            return 0, 0
        byte = data[at + 1 + i]
        length |= (byte & 0x7F) << 7 * i
        if not byte & 0x80:
            if length > PACKET_LIMIT_BYTES:
                raise BadPacket(f"a packet of {length} bytes; the limit is {PACKET_LIMIT_BYTES}")
            return length, at + 2 + i
    raise BadPacket("a length of more than four bytes")
