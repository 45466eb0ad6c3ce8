"""The telemetry reader: a message is acknowledged only after the database has committed it.

MQTT 3.1.1 with a persistent session: on mosquitto 2.0.11 that is what survives a broker restart.
Reading stops at the high-water mark, so that TCP pushes back and the broker keeps what we cannot
take. What was read and not acknowledged when we die comes again with DUP set.
"""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from typing import Protocol, Self, cast

import structlog

from runtime.bus import Address, MemoryBus, Message
from runtime.mqtt_packets import (
    CONNACK,
    DISCONNECT,
    PING,
    REFUSALS,
    SUBACK,
    UNSUBACK,
    BadPacket,
    Reader,
    connect,
    pubacks,
    subscribe,
    unsubscribe,
)

log = structlog.get_logger(__name__)

BATCH_LIMIT_MESSAGES = 4000
BACKLOG_MESSAGES = 1000
LINGER_S = 0.004
"""After a first message others are waited for so long: a commit for each would cost more."""
REST_S = 0.002
"""Between two reads of the socket, so that one read takes what many writes have brought."""
HIGH_WATER_MESSAGES = 20_000
HIGH_WATER_BYTES = 64 * 1024 * 1024
SUSPECT_AFTER_CONNECT_S = 30.0
CONNECT_TIMEOUT_S = 10.0
RECONNECT_FIRST_S = 0.5
RECONNECT_LAST_S = 5.0
KEEPALIVE_S = 30


class Delivery(list[Message]):
    """A batch of messages, and what it takes to acknowledge it."""

    def __init__(
        self, messages: Sequence[Message], acknowledgement: bytes = b"", connection: int = 0
    ) -> None:
        super().__init__(messages)
        self.acknowledgement, self.connection = acknowledgement, connection
        self.suspect = False
        """Whether some of it may have been stored before: redelivered, or soon after connecting."""


class Intake(Protocol):
    async def batch(self) -> Delivery:
        """Return 1..BATCH_LIMIT_MESSAGES messages, waiting for the first one."""
        ...

    async def backlog(self) -> None:
        """Return once BACKLOG_MESSAGES wait to be taken."""
        ...

    async def acknowledge(self, batch: Delivery) -> None:
        """Tell the broker that a batch is safe."""
        ...


class _Wire(asyncio.Protocol):
    """One connection: bytes to the intake, and when it ended."""

    def __init__(self, intake: "MqttIntake") -> None:
        self.intake = intake
        self.reader = Reader()
        self.ended = asyncio.get_running_loop().create_future()
        self.answers: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self.transport: asyncio.Transport | None = None
        self.heard_s = time.monotonic()
        self.held = False
        self.resting = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is one in all but name.
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(str(exc) if exc else "the broker closed the connection")

    def data_received(self, data: bytes) -> None:
        self.heard_s = time.monotonic()
        reader = self.reader
        try:
            reader.feed(data)
        except BadPacket as error:
            self.end(str(error))
            return
        for control in reader.controls:
            self.answers.put_nowait(control)
        reader.controls.clear()
        if reader.messages:
            self.intake.arrived(self)
            self._rest()

    def _rest(self) -> None:
        """Read on in a moment: a broker sends message by message, and each read costs as much."""
        if self.held or self.resting or self.transport is None or self.transport.is_closing():
            return
        self.resting = True
        self.transport.pause_reading()
        asyncio.get_running_loop().call_later(REST_S, self._rested)

    def _rested(self) -> None:
        self.resting = False
        if not self.held and self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def say(self, packet: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(packet)

    def end(self, reason: str) -> None:
        if not self.ended.done():
            self.ended.set_result(reason)
        if self.transport is not None:
            self.transport.abort()

    def hold(self, held: bool) -> None:
        """Stop or resume reading."""
        if self.transport is None or held == self.held or self.transport.is_closing():
            return
        self.held = held
        if self.resting:
            return
        if held:
            self.transport.pause_reading()
        else:
            self.heard_s = time.monotonic()
            self.transport.resume_reading()

    async def answer(self, kind: int) -> bytes:
        """Wait for the packet of a type; others before it are dropped. Raises ConnectionError."""
        while True:
            waiting = asyncio.ensure_future(self.answers.get())
            done, _ = await asyncio.wait(
                {waiting, self.ended},
                timeout=CONNECT_TIMEOUT_S,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if waiting not in done:
                waiting.cancel()
                raise ConnectionError(self.ended.result() if self.ended.done() else "no answer")
            got, body = waiting.result()
            if got == kind:
                return body


class MqttIntake:
    """`async with MqttIntake(url, client_id, filters) as intake`. One client id a process slot.

    With a `share` the filters are read as one of several slots that share the stream.
    """

    def __init__(
        self,
        url: str,
        client_id: str,
        filters: Sequence[str],
        share: str | None = None,
        high_water_messages: int = HIGH_WATER_MESSAGES,
    ) -> None:
        self.address = Address.of(url)
        self.client_id = client_id
        self.high_water_messages = high_water_messages
        prefix = f"$share/{share}/" if share else ""
        self.filters = tuple(prefix + f for f in filters)
        self.connected = False
        self._messages: deque[Message] = deque()
        self._packet_ids: deque[bytes] = deque()
        self._bytes = 0
        self._connection = 0
        self._connected_s = 0.0
        self._first_s = 0.0
        """When the oldest of `_messages` came, or one before it."""
        self._arrived = asyncio.Event()
        self._wire: _Wire | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._stay_connected())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if (wire := self._wire) is not None:
            wire.say(DISCONNECT)
            if wire.transport is not None:
                wire.transport.close()

    async def backlog(self) -> None:
        await self._holds(BACKLOG_MESSAGES)

    async def _holds(self, count: int) -> None:
        while len(self._messages) < count:
            self._arrived.clear()
            await self._arrived.wait()

    async def batch(self) -> Delivery:
        while True:
            await self._holds(1)
            linger_s = self._first_s + LINGER_S - time.monotonic()
            if linger_s <= 0 or len(self._messages) >= BATCH_LIMIT_MESSAGES:
                break
            await asyncio.sleep(linger_s)  # in which a reconnect may clear what has come
        count = min(len(self._messages), BATCH_LIMIT_MESSAGES)
        take, identify = self._messages.popleft, self._packet_ids.popleft
        messages = [take() for _ in range(count)]
        acknowledged = pubacks([i for i in (identify() for _ in range(count)) if i])
        delivery = Delivery(messages, acknowledged, self._connection)
        early = time.monotonic() - self._connected_s < SUSPECT_AFTER_CONNECT_S
        delivery.suspect = early or any(m.duplicate for m in messages)
        self._bytes -= sum(len(m.payload) for m in messages)
        self._hold()
        return delivery

    async def acknowledge(self, batch: Delivery) -> None:
        # Identifiers belong to a connection: on a new one the same messages come again.
        if self._wire is not None and batch.connection == self._connection:
            self._wire.say(batch.acknowledgement)

    def arrived(self, wire: _Wire) -> None:
        """Take what a connection has read."""
        reader = wire.reader
        if wire is self._wire:
            if not self._messages:
                self._first_s = time.monotonic()
            self._messages.extend(reader.messages)
            self._packet_ids.extend(reader.packet_ids)
            self._bytes += sum(len(m.payload) for m in reader.messages)
            self._arrived.set()
            self._hold()
        reader.messages.clear()
        reader.packet_ids.clear()

    def _hold(self) -> None:
        if self._wire is None:
            return
        full = self.high_water_messages
        if len(self._messages) >= full or self._bytes >= HIGH_WATER_BYTES:
            self._wire.hold(True)
        elif len(self._messages) <= full // 2 and self._bytes <= HIGH_WATER_BYTES // 2:
            self._wire.hold(False)

    async def _stay_connected(self) -> None:
        wait_s = RECONNECT_FIRST_S
        while True:
            try:
                wire = await self._connect(clean=False)
                wait_s = RECONNECT_FIRST_S
                log.info("intake lost the broker", reason=await self._watch(wire))
            except OSError as error:
                log.warning("broker did not take the intake", reason=str(error))
            self.connected = False
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, RECONNECT_LAST_S)

    async def _connect(self, *, clean: bool) -> _Wire:
        """Open a connection with its session and subscriptions. Raises OSError."""
        loop, address = asyncio.get_running_loop(), self.address
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, wire = await loop.create_connection(
                lambda: _Wire(self), address.host, address.port, ssl=address.tls()
            )
        # What an earlier connection delivered and nobody acknowledged is about to come again.
        self._messages.clear()
        self._packet_ids.clear()
        self._bytes = 0
        self._wire, self._connection = wire, self._connection + 1
        wire.say(
            connect(self.client_id, address.username, address.password, KEEPALIVE_S, clean=clean)
        )
        taken = await wire.answer(CONNACK)
        if len(taken) != 2 or taken[1]:
            wire.end("refused")
            raise ConnectionRefusedError(REFUSALS.get(taken[-1], "for a reason unknown"))
        self._connected_s = time.monotonic()
        if not clean:
            wire.say(subscribe(1, self.filters))
            codes = (await wire.answer(SUBACK))[2:]
            if len(codes) != len(self.filters) or 0x80 in codes:
                wire.end("refused")
                raise PermissionError(f"may not read all of {', '.join(self.filters)}")
            self.connected = True
            log.info("intake connected", session_kept=bool(taken[0] & 1))
        return wire

    async def _watch(self, wire: _Wire) -> str:
        """Ping until the connection ends; return why it did."""
        while not wire.ended.done():
            await asyncio.wait({wire.ended}, timeout=KEEPALIVE_S / 2)
            if wire.ended.done():
                break
            # A held connection hears no answer to its ping, and is alive all the same.
            if not wire.held and time.monotonic() - wire.heard_s > 2 * KEEPALIVE_S:
                wire.end(f"nothing heard for {2 * KEEPALIVE_S} s")
            wire.say(PING)
            if wire.held:
                log.warning("intake is full and has stopped reading", messages=len(self._messages))
        return str(wire.ended.result())

    @property
    def connections(self) -> int:
        """How many connections were opened since the start."""
        return self._connection

    async def leave(self) -> None:
        """Give the subscriptions back, keeping what is still queued for this client to be read."""
        assert self._wire is not None
        self._wire.say(unsubscribe(2, self.filters))
        await self._wire.answer(UNSUBACK)

    async def forget(self) -> None:
        """End the session for good: the broker keeps nothing more for this client id."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        wire = await self._connect(clean=True)
        wire.say(DISCONNECT)


class MemoryIntake:
    """The same over a MemoryBus: nothing is lost, acknowledgement has nobody to tell."""

    def __init__(self, bus: MemoryBus, filters: Sequence[str]) -> None:
        self._bus = bus
        self._filters = tuple(filters)
        self._messages: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        listening = asyncio.Event()
        self._task = asyncio.create_task(self._hear(listening))
        await listening.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _hear(self, listening: asyncio.Event) -> None:
        async with self._bus.subscribe(self._filters) as messages:
            listening.set()
            async for message in messages:
                self._messages.append(message)
                self._arrived.set()

    async def batch(self) -> Delivery:
        while not self._messages:
            self._arrived.clear()
            await self._arrived.wait()
        count = min(len(self._messages), BATCH_LIMIT_MESSAGES)
        return Delivery([self._messages.popleft() for _ in range(count)])

    async def backlog(self) -> None:
        while len(self._messages) < BACKLOG_MESSAGES:
            self._arrived.clear()
            await self._arrived.wait()

    async def acknowledge(self, batch: Delivery) -> None:
        return
