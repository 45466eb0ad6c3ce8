"""The telemetry reader: a message is acknowledged only after the database has committed it.

MQTT 3.1.1 with a persistent session: on mosquitto 2.0.11 that is what survives a broker restart.
paho acknowledges by hand (`manual_ack`); the client thread stops reading at the high-water mark,
so that TCP pushes back and the broker keeps what we cannot take. What was read and not
acknowledged when we die comes again with DUP set.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol, Self

import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion

from runtime.bus import Address, MemoryBus, Message

log = structlog.get_logger(__name__)

BATCH_LIMIT_MESSAGES = 500
BATCH_WAIT_S = 0.05
HIGH_WATER_MESSAGES = 20_000
RECONNECT_FIRST_S = 1
RECONNECT_LAST_S = 5
KEEPALIVE_S = 30


class Intake(Protocol):
    async def batch(self) -> list[Message]:
        """Return 1..BATCH_LIMIT_MESSAGES messages, waiting for the first one."""
        ...

    async def acknowledge(self, batch: Sequence[Message]) -> None:
        """Tell the broker that the batch given last is safe."""
        ...


class MqttIntake:
    """`async with MqttIntake(url, client_id, filters) as intake`. One client id a process slot."""

    def __init__(
        self,
        url: str,
        client_id: str,
        filters: Sequence[str],
        high_water_messages: int = HIGH_WATER_MESSAGES,
    ) -> None:
        self.address = Address.of(url)
        self.high_water_messages = high_water_messages
        self.filters = tuple(filters)
        self._messages: deque[tuple[Message, int, int]] = deque()
        self._unacknowledged: list[tuple[int, int]] = []
        self._connection = 0
        self._room = threading.Event()
        self._room.set()
        self._arrived = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False
        self.connected = False
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=False,
            protocol=paho.MQTTv311,
            manual_ack=True,
        )

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        client, address = self._client, self.address
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.max_inflight_messages_set(0)
        client.reconnect_delay_set(RECONNECT_FIRST_S, RECONNECT_LAST_S)
        if address.username is not None:
            client.username_pw_set(address.username, address.password)
        if (tls := address.tls()) is not None:
            client.tls_set_context(tls)
        client.connect_async(address.host, address.port, keepalive=KEEPALIVE_S)
        client.loop_start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopping = True
        self._room.set()
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    async def batch(self) -> list[Message]:
        while not self._messages:
            self._arrived.clear()
            if not self._messages:  # one may have come between the look and the clearing
                await self._arrived.wait()
        if len(self._messages) < BATCH_LIMIT_MESSAGES:
            await asyncio.sleep(BATCH_WAIT_S)
        taken = self._take()
        self._unacknowledged = [(mid, connection) for _, mid, connection in taken if mid]
        if len(self._messages) < self.high_water_messages / 2:
            self._room.set()
        return [message for message, _, _ in taken]

    def _take(self) -> list[tuple[Message, int, int]]:
        taken: list[tuple[Message, int, int]] = []
        while len(taken) < BATCH_LIMIT_MESSAGES:
            try:
                taken.append(self._messages.popleft())
            except IndexError:  # empty, or cleared by a reconnect in the client's thread
                break
        return taken

    async def acknowledge(self, batch: Sequence[Message]) -> None:
        # Identifiers belong to a connection: on a new one the same messages come again.
        for mid, connection in self._unacknowledged:
            if connection == self._connection:
                self._client.ack(mid, 1)
        self._unacknowledged = []

    def _on_connect(
        self, client: paho.Client, userdata: Any, flags: Any, code: Any, properties: Any
    ) -> None:
        if code.is_failure:
            log.warning("broker refused the intake", reason=str(code))
            return
        # What an earlier connection delivered and nobody acknowledged is about to come again.
        self._messages.clear()
        self._connection += 1
        self.connected = True
        client.subscribe([(f, 1) for f in self.filters])
        log.info("intake connected", session_kept=bool(flags.session_present))

    def _on_disconnect(
        self, client: paho.Client, userdata: Any, flags: Any, code: Any, properties: Any
    ) -> None:
        self.connected = False
        if not self._stopping:
            log.info("intake lost the broker", reason=str(code))

    def _on_message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        mid = message.mid if message.qos else 0
        kept = Message(message.topic, bytes(message.payload), message.dup)
        self._messages.append((kept, mid, self._connection))
        if len(self._messages) >= self.high_water_messages:
            self._room.clear()
        if self._loop is not None and not self._arrived.is_set():
            self._loop.call_soon_threadsafe(self._arrived.set)
        while not self._stopping and not self._room.wait(KEEPALIVE_S / 2):
            log.warning("intake is full and has stopped reading", messages=len(self._messages))


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

    async def batch(self) -> list[Message]:
        while not self._messages:
            self._arrived.clear()
            await self._arrived.wait()
        count = min(len(self._messages), BATCH_LIMIT_MESSAGES)
        return [self._messages.popleft() for _ in range(count)]

    async def acknowledge(self, batch: Sequence[Message]) -> None:
        return
