"""The rim: commands, replies and frames over MQTT (aiomqtt), or in memory for one process.

Telemetry that must not be lost does not come through here but through `runtime.intake`, which
acknowledges only after the database has committed.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, Self
from urllib.parse import unquote, urlsplit

import aiomqtt
import structlog

from runtime.topics import matches

log = structlog.get_logger(__name__)

QUEUE_LIMIT_MESSAGES = 4096
PUBLISH_TIMEOUT_S = 10.0
PUBLISH_TRIES = 6
BACKOFF_FIRST_S = 0.2
BACKOFF_LAST_S = 5.0
KEEPALIVE_S = 30


class Message(NamedTuple):
    topic: str
    payload: bytes
    duplicate: bool = False


class Bus(Protocol):
    async def publish(self, topic: str, payload: bytes, qos: int = 1) -> None:
        """Send one message; at QoS 1 return after the broker has acknowledged it.

        At QoS 0 a message is given to the broker at most once, and may be lost. Raises
        ConnectionError when the broker stays away.
        """
        ...

    def subscribe(
        self, filters: Sequence[str], qos: int = 1
    ) -> AbstractAsyncContextManager[AsyncIterator[Message]]:
        """Give the messages that match any filter, from now on."""
        ...


@dataclass(eq=False)
class _Subscriber:
    filters: tuple[str, ...]
    queue: asyncio.Queue[Message] = field(default_factory=asyncio.Queue)

    async def stream(self) -> AsyncIterator[Message]:
        while True:
            yield await self.queue.get()


class MemoryBus:
    """All of MQTT that one process needs: wildcards, order per publisher, nothing lost."""

    def __init__(self) -> None:
        self._subscribers: list[_Subscriber] = []
        self.published = 0

    async def publish(self, topic: str, payload: bytes, qos: int = 1) -> None:
        message = Message(topic, payload)
        self.published += 1
        for subscriber in self._subscribers:
            if any(matches(f, topic) for f in subscriber.filters):
                subscriber.queue.put_nowait(message)

    @asynccontextmanager
    async def subscribe(
        self, filters: Sequence[str], qos: int = 1
    ) -> AsyncIterator[AsyncIterator[Message]]:
        subscriber = _Subscriber(tuple(filters))
        self._subscribers.append(subscriber)
        try:
            yield subscriber.stream()
        finally:
            self._subscribers.remove(subscriber)


@dataclass(frozen=True, slots=True)
class Address:
    """A broker as its URL names it: mqtt://user:password@host:port or mqtts://…"""

    host: str
    port: int
    username: str | None
    password: str | None
    secure: bool

    @classmethod
    def of(cls, url: str) -> "Address":
        parts = urlsplit(url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise ValueError(f"MQTT_URL must be mqtt:// or mqtts://host:port, got {parts.scheme!r}")
        secure = parts.scheme == "mqtts"
        port = parts.port or (8883 if secure else 1883)
        user = unquote(parts.username) if parts.username else None
        password = unquote(parts.password) if parts.password else None
        return cls(parts.hostname, port, user, password, secure)

    def tls(self) -> ssl.SSLContext | None:
        return ssl.create_default_context() if self.secure else None


class MqttBus:
    """A bus on a broker. One connection publishes; each subscription has its own.

    A lost broker is found again with backoff; a subscriber that falls behind by
    QUEUE_LIMIT_MESSAGES loses the newest messages, which is logged and counted in `dropped`.
    """

    def __init__(self, url: str, client_id: str) -> None:
        self.address = Address.of(url)
        self.client_id = client_id
        self.dropped = 0
        self._client: aiomqtt.Client | None = None
        self._opening = asyncio.Lock()
        self._subscriptions = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._drop_client()

    async def publish(self, topic: str, payload: bytes, qos: int = 1) -> None:
        backoff_s = BACKOFF_FIRST_S
        for attempt in range(PUBLISH_TRIES):
            try:
                client = await self._connected()
                await client.publish(topic, payload, qos=qos, timeout=PUBLISH_TIMEOUT_S)
                return
            except aiomqtt.MqttError as error:
                log.info("publish failed", topic=topic, attempt=attempt, error=str(error))
                connected = self._client is not None
                await self._drop_client()
                if qos == 0 and connected:
                    return
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, BACKOFF_LAST_S)
        raise ConnectionError(f"broker did not take {topic} in {PUBLISH_TRIES} tries")

    @asynccontextmanager
    async def subscribe(
        self, filters: Sequence[str], qos: int = 1
    ) -> AsyncIterator[AsyncIterator[Message]]:
        self._subscriptions += 1
        subscriber = _Subscriber(tuple(filters), asyncio.Queue(QUEUE_LIMIT_MESSAGES))
        listening = asyncio.Event()
        name = f"{self.client_id}-s{self._subscriptions}"
        task = asyncio.create_task(self._listen(name, subscriber, qos, listening))
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                await listening.wait()
            yield subscriber.stream()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _listen(
        self, name: str, subscriber: _Subscriber, qos: int, listening: asyncio.Event
    ) -> None:
        backoff_s = BACKOFF_FIRST_S
        while True:
            try:
                async with self._new_client(name) as client:
                    await client.subscribe([(f, qos) for f in subscriber.filters])
                    listening.set()
                    backoff_s = BACKOFF_FIRST_S
                    async for message in client.messages:
                        self._offer(subscriber, message)
            except aiomqtt.MqttError as error:
                log.info("subscription opened again", client=name, error=str(error))
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, BACKOFF_LAST_S)

    def _offer(self, subscriber: _Subscriber, message: aiomqtt.Message) -> None:
        payload = message.payload if isinstance(message.payload, bytes) else b""
        try:
            subscriber.queue.put_nowait(Message(str(message.topic), payload))
        except asyncio.QueueFull:
            self.dropped += 1
            if self.dropped % 1000 == 1:
                log.warning("subscriber fell behind", filters=subscriber.filters)

    async def _connected(self) -> aiomqtt.Client:
        async with self._opening:
            if self._client is None:
                client = self._new_client(self.client_id)
                await client.__aenter__()
                self._client = client
            return self._client

    async def _drop_client(self) -> None:
        async with self._opening:
            client, self._client = self._client, None
            if client is not None:
                try:
                    await client.__aexit__(None, None, None)
                except aiomqtt.MqttError as error:
                    log.debug("broker was gone at parting", error=str(error))

    def _new_client(self, identifier: str) -> aiomqtt.Client:
        address = self.address
        client = aiomqtt.Client(
            address.host,
            address.port,
            username=address.username,
            password=address.password,
            identifier=identifier,
            keepalive=KEEPALIVE_S,
            tls_context=address.tls(),
            max_queued_incoming_messages=QUEUE_LIMIT_MESSAGES,
        )
        # Many publishers share the connection on purpose: waiting calls are no cause for alarm.
        client.pending_calls_threshold = QUEUE_LIMIT_MESSAGES
        return client
