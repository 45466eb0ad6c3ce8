"""A publisher for benchmarks and chaos runs: PUBLISH packets made beforehand, sent as asked.

It speaks MQTT 3.1.1 at QoS 1 on one plain socket and counts the broker's PUBACKs; what was sent
and not acknowledged when a connection ends is sent again, as a device would.
"""

import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from runtime import mqtt_packets
from runtime.bus import Address
from runtime.mqtt_packets import CONNACK, Reader

WINDOW_MESSAGES = 10_000
CHUNK_MESSAGES = 200
RECEIVE_BYTES = 1 << 18
PATIENCE_S = 60.0
KEEPALIVE_S = 600


def packets(messages: Sequence[tuple[str, bytes]]) -> list[bytes]:
    """Return each (topic, payload) as a PUBLISH, its packet identifier by its place."""
    return [
        mqtt_packets.publish(topic, payload, i % 65_535 + 1)
        for i, (topic, payload) in enumerate(messages)
    ]


@dataclass(slots=True)
class Flood:
    """One publishing connection. `send` returns when the broker has acknowledged everything."""

    url: str
    client_id: str
    reconnects: int = 0
    _socket: socket.socket | None = field(default=None, repr=False)
    _reader: Reader = field(default_factory=Reader, repr=False)

    def open(self) -> None:
        """Connect. Raises OSError."""
        address = Address.of(self.url)
        self._reader = Reader()
        self._socket = socket.create_connection((address.host, address.port), timeout=PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(
            mqtt_packets.connect(
                self.client_id, address.username, address.password, KEEPALIVE_S, clean=True
            )
        )
        while not self._reader.controls:
            self._receive()
        kind, body = self._reader.controls.pop(0)
        if kind != CONNACK or body[1]:
            raise ConnectionRefusedError(f"the broker refused {self.client_id}: {body!r}")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def send(self, made: Sequence[bytes], per_s: float | None = None) -> None:
        """Send packets, at most WINDOW_MESSAGES unacknowledged, at `per_s` a second if given.

        A connection that ends is opened again, and what was not acknowledged sent again.
        """
        began, first = time.monotonic(), 0
        while first < len(made):
            try:
                if self._socket is None:
                    self.open()
                self._send_from(made, first, began, per_s)
                return
            except OSError:
                # PUBACKs come in order: everything before the last one is safe.
                first += self._acknowledged()
                self.close()
                self.reconnects += 1
                if time.monotonic() - began > len(made) / (per_s or 1e9) + PATIENCE_S:
                    raise
                time.sleep(0.1)

    def _send_from(
        self, made: Sequence[bytes], first: int, began: float, per_s: float | None
    ) -> None:
        assert self._socket is not None
        at, end = first, len(made)
        while at < end:
            due = end if per_s is None else int((time.monotonic() - began) * per_s)
            stop = min(at + CHUNK_MESSAGES, end, due)
            if stop > at:
                self._socket.sendall(b"".join(made[at:stop]))
                at = stop
            elif per_s is not None:
                time.sleep(min(0.002, 1 / per_s))
            while select.select([self._socket], [], [], 0)[0]:
                self._receive()
            while at - first - self._acknowledged() > WINDOW_MESSAGES:
                self._receive()
        while self._acknowledged() < end - first:
            self._receive()
        self._reader.controls.clear()

    def _acknowledged(self) -> int:
        return len(self._reader.controls)

    def _receive(self) -> None:
        assert self._socket is not None
        data = self._socket.recv(RECEIVE_BYTES)
        if not data:
            raise ConnectionResetError("the broker closed the connection")
        self._reader.feed(data)
