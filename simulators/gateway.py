"""What every DJI gateway (dock or remote control) does on the wire, whatever it is the gateway of.

Properties, events, requests and replies in the vendor's envelope; an event that wants a reply is
repeated with the same tid until it has one. Only counts what the broker has acknowledged.
"""

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Any

import orjson
import structlog

from runtime import topics
from runtime.bus import Bus, Message
from runtime.clock import Clock
from simulators.counters import Counters
from simulators.reply import Reply

log = structlog.get_logger(__name__)

BATCH_MESSAGES = 100
EVENT_TRIES = 10
EVENT_AGAIN_S = 5.0
EVENT_AGAIN_WALL_S = 2.0
EVENTS_WAITING_LIMIT = 500
REPLIES_KEPT = 64
REQUEST_TRIES = 5
REQUEST_WAIT_S = 10.0
REQUEST_WAIT_WALL_S = 3.0
ANNOUNCE_WAIT_WALL_S = 5.0

Service = Callable[[str, dict[str, Any]], Reply]


@dataclass(slots=True)
class _Waiting:
    """An event without its reply yet."""

    payload: bytes
    tries: int
    due_at: float


@dataclass(frozen=True, slots=True)
class Outgoing:
    topic: str
    payload: bytes
    count: str


class Gateway:
    """One gateway's conversation. `serve` answers a service call; its replies are remembered."""

    def __init__(self, sn: str, bus: Bus, clock: Clock, counters: Counters, boot: int) -> None:
        self.sn, self.bus, self.clock, self.counters = sn, bus, clock, counters
        self._boot = boot
        self._numbers = 0
        self._waiting: dict[str, _Waiting] = {}
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._replied: OrderedDict[str, bytes] = OrderedDict()

    # envelopes

    def next_id(self) -> str:
        """Return an id no other message of this device has or had: serial, boot, number."""
        self._numbers += 1
        name = f"{self.sn}/{self._boot}/{self._numbers}".encode()
        return str(uuid.UUID(bytes=blake2b(name, digest_size=16).digest()))

    def envelope(
        self, data: Any, at: datetime, method: str | None = None, **more: Any
    ) -> tuple[str, bytes]:
        """Return (tid, payload) of a message sent at `at`."""
        tid = self.next_id()
        message = {
            "tid": tid,
            "bid": self.next_id() if method else tid,
            "timestamp": round(at.timestamp() * 1000),
            "gateway": self.sn,
            **({"method": method} if method else {}),
            **more,
            "data": data,
        }
        return tid, orjson.dumps(message)

    def properties(self, sn: str, data: Any, at: datetime) -> Outgoing:
        return Outgoing(topics.osd(sn), self.envelope(data, at)[1], "telemetry_sent")

    def pose(self, data: dict[str, Any], at: datetime) -> Outgoing:
        message = {"method": "osd_info_push", "timestamp": round(at.timestamp() * 1000), **data}
        return Outgoing(topics.drc_up(self.sn), orjson.dumps(message), "telemetry_sent")

    def event(self, method: str, data: Any, at: datetime) -> Outgoing:
        """Return an event and remember it until its reply comes."""
        tid, payload = self.envelope(data, at, method, need_reply=1)
        if len(self._waiting) < EVENTS_WAITING_LIMIT:
            self._waiting[tid] = _Waiting(payload, 1, self._again_at())
        return Outgoing(topics.events(self.sn), payload, "events_sent")

    # sending

    async def send(self, outgoing: Sequence[Outgoing]) -> None:
        """Publish in order, many under way at once, and count each when acknowledged."""
        for start in range(0, len(outgoing), BATCH_MESSAGES):
            batch = outgoing[start : start + BATCH_MESSAGES]
            await asyncio.gather(*(self._send_one(one) for one in batch))

    async def _send_one(self, one: Outgoing) -> None:
        try:
            await self.bus.publish(one.topic, one.payload)
        except ConnectionError as error:
            log.warning("broker away; message dropped", topic=one.topic, error=str(error))
            return
        self.counters.add(one.count)

    def overdue(self) -> list[Outgoing]:
        """Return the events to repeat now; one repeated EVENT_TRIES times is given up."""
        now = self.clock.wall_s()
        out = []
        for tid, waiting in list(self._waiting.items()):
            if waiting.due_at > now:
                continue
            if waiting.tries >= EVENT_TRIES:
                del self._waiting[tid]
                self.counters.add("events_given_up")
                continue
            waiting.tries += 1
            waiting.due_at = self._again_at()
            out.append(Outgoing(topics.events(self.sn), waiting.payload, "events_repeated"))
        return out

    def _again_at(self) -> float:
        return self.clock.wall_s() + max(EVENT_AGAIN_S / self.clock.rate, EVENT_AGAIN_WALL_S)

    # asking

    async def ask(
        self, method: str, data: dict[str, Any], tries: int = REQUEST_TRIES
    ) -> dict[str, Any] | None:
        """Ask the server; return the reply's data, or None when none came."""
        wall_s = max(REQUEST_WAIT_S / self.clock.rate, REQUEST_WAIT_WALL_S)
        topic = topics.requests(self.sn)
        for _ in range(tries):
            tid, payload = self.envelope(data, self.clock.now(), method)
            reply = await self._exchange(tid, Outgoing(topic, payload, "requests_sent"), wall_s)
            if reply is not None:
                answer = reply.get("data")
                return answer if isinstance(answer, dict) else {}
        return None

    async def announce(self, topology: dict[str, Any]) -> None:
        """Tell the topology until the server has taken note; until then a device is nobody."""
        while True:
            tid, payload = self.envelope(topology, self.clock.now(), "update_topo")
            out = Outgoing(topics.status(self.sn), payload, "statuses_sent")
            if await self._exchange(tid, out, ANNOUNCE_WAIT_WALL_S) is not None:
                return

    async def _exchange(self, tid: str, out: Outgoing, wall_s: float) -> dict[str, Any] | None:
        waiter = self._answers[tid] = asyncio.get_running_loop().create_future()
        try:
            await self.send([out])
            async with asyncio.timeout(wall_s):
                answer: dict[str, Any] = await waiter
                return answer
        except TimeoutError:
            return None
        finally:
            self._answers.pop(tid, None)

    # hearing

    async def listen(self, serve: Service, ready: asyncio.Event) -> None:
        """Take what the server says until cancelled."""
        filters = [
            topics.services(self.sn),
            topics.events_reply(self.sn),
            topics.requests_reply(self.sn),
            topics.status_reply(self.sn),
        ]
        async with self.bus.subscribe(filters) as messages:
            ready.set()
            async for message in messages:
                await self._hear(message, serve)

    async def _hear(self, message: Message, serve: Service) -> None:
        try:
            said = orjson.loads(message.payload)
        except orjson.JSONDecodeError:
            log.info("not JSON", topic=message.topic)
            return
        if not isinstance(said, dict) or not isinstance(said.get("tid"), str):
            log.info("no tid", topic=message.topic)
            return
        channel = message.topic.rsplit("/", 1)[-1]
        if channel == "services":
            await self._serve(said, serve)
        elif channel == "events_reply":
            self._waiting.pop(said["tid"], None)
        else:
            waiter = self._answers.get(said["tid"])
            if waiter is not None and not waiter.done():
                waiter.set_result(said)

    async def _serve(self, said: dict[str, Any], serve: Service) -> None:
        tid = said["tid"]
        payload = self._replied.get(tid)
        if payload is None:
            payload = self._reply(said, serve)
            self._replied[tid] = payload
            while len(self._replied) > REPLIES_KEPT:
                self._replied.popitem(last=False)
        else:
            self.counters.add("repeated_commands")
        await self.send([Outgoing(topics.services_reply(self.sn), payload, "replies_sent")])

    def _reply(self, said: dict[str, Any], serve: Service) -> bytes:
        method, data = str(said.get("method", "")), said.get("data")
        reply = serve(method, data if isinstance(data, dict) else {})
        answer: dict[str, Any] = {"result": reply.result}
        if reply.output is not None:
            answer["output"] = reply.output
        return orjson.dumps(
            {
                "tid": said["tid"],
                "bid": said.get("bid", said["tid"]),
                "timestamp": round(self.clock.now().timestamp() * 1000),
                "gateway": self.sn,
                "method": method,
                "data": answer,
            }
        )
