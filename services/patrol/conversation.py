"""Talking to docks in DJI Cloud API: services and their replies, what docks ask for and tell.

Commands go out at QoS 0: a lost command shows as a missing answer, which the mission's life knows
how to resolve; a command delivered twice might be flown twice.
"""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog

from domain.ids import derive
from runtime.bus import Bus, Message
from runtime.clock import Clock
from runtime.topics import (
    EVENTS_FILTER,
    REQUESTS_FILTER,
    SERVICES_REPLY_FILTER,
    requests_reply,
    services,
)
from services.patrol.orders import Resource

log = structlog.get_logger(__name__)

RESOURCE_METHOD = "flighttask_resource_get"
UNKNOWN_FLIGHT = 314004


ResourceOf = Callable[[str], Awaitable[Resource | None]]
AnswerOf = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any] | None]]
Take = Callable[[str, str, dict[str, Any]], Awaitable[None]]
TOLD = ("flight_areas_sync_progress", "flight_areas_drone_location", "file_upload_callback")
"""The events read here; ingest reads and answers them all."""


async def _no_answer(method: str, data: dict[str, Any]) -> dict[str, Any] | None:
    """Nothing but wayline files is given here."""


async def _not_taken(dock_sn: str, method: str, data: dict[str, Any]) -> None:
    """What docks tell of their files is not kept here."""


@dataclass(frozen=True, slots=True)
class LateReply:
    """An answer nobody waits for any more."""

    transaction_id: str
    result: int


class Conversation:
    """One connection's worth of talk. `listen` must run while anything is asked.

    `on_late` is called after a late reply was put into `late` (the newest `late_limit` are kept).
    """

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        late_limit: int,
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._waiting: dict[str, asyncio.Future[int]] = {}
        self.on_late: Callable[[], None] = lambda: None
        self.late: deque[LateReply] = deque(maxlen=late_limit)
        self.listening = asyncio.Event()

    async def listen(
        self, resource: ResourceOf, answer: AnswerOf = _no_answer, take: Take = _not_taken
    ) -> None:
        """Take replies, answer requests for wayline files and what `answer` knows, hand on what
        docks tell of their files, until cancelled."""
        filters = [SERVICES_REPLY_FILTER, REQUESTS_FILTER, EVENTS_FILTER]
        async with self._bus.subscribe(filters) as messages:
            self.listening.set()
            async for message in messages:
                body = _body(message)
                if body is None:
                    continue
                method, told = body.get("method"), body.get("data")
                data = told if isinstance(told, dict) else {}
                if message.topic.endswith("/services_reply"):
                    self._take_reply(body)
                elif message.topic.endswith("/events"):
                    if method in TOLD:
                        await take(message.topic.split("/")[2], str(method), data)
                elif method == RESOURCE_METHOD:
                    await self._answer_resource(message, body, resource)
                elif isinstance(method, str):
                    found = await answer(method, data)
                    if found is not None:
                        await self._reply(message, body, method, found)

    async def ask(
        self,
        gateway_sn: str,
        method: str,
        data: dict[str, Any],
        transaction_id: str,
        business_id: str,
        limit_s: float,
    ) -> int | None:
        """Send a service call once; return its result, or None when none came in `limit_s`.

        None also when the broker was away: whether the dock heard is then not known.
        """
        await self.listening.wait()
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting[transaction_id] = answer
        body = {
            "tid": transaction_id,
            "bid": business_id,
            "timestamp": self._now_ms(),
            "gateway": gateway_sn,
            "method": method,
            "data": data,
        }
        timer = asyncio.ensure_future(self._clock.sleep(limit_s))
        sending = asyncio.ensure_future(
            self._bus.publish(services(gateway_sn), json.dumps(body).encode(), 0)
        )
        try:
            either: set[asyncio.Future[Any]] = {answer, timer}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            _log_failure(sending, method)
            return answer.result() if answer.done() else None
        finally:
            del self._waiting[transaction_id]
            timer.cancel()
            sending.cancel()

    def _take_reply(self, body: dict[str, Any]) -> None:
        tid, data = body.get("tid"), body.get("data")
        result = data.get("result") if isinstance(data, dict) else None
        if not isinstance(tid, str) or not isinstance(result, int):
            return
        answer = self._waiting.get(tid)
        if answer is None:
            self.late.append(LateReply(tid, result))
            self.on_late()
        elif not answer.done():
            answer.set_result(result)

    async def _answer_resource(
        self, message: Message, body: dict[str, Any], resource: ResourceOf
    ) -> None:
        asked = body.get("data")
        flight_id = asked.get("flight_id") if isinstance(asked, dict) else None
        found = await resource(flight_id) if isinstance(flight_id, str) else None
        data: dict[str, Any] = {"result": UNKNOWN_FLIGHT}
        if found is not None:
            file = {"url": found.url, "fingerprint": found.fingerprint}
            data = {"result": 0, "output": {"file": file}}
        await self._reply(message, body, RESOURCE_METHOD, data)

    async def _reply(
        self, message: Message, body: dict[str, Any], method: str, data: dict[str, Any]
    ) -> None:
        gateway_sn = message.topic.split("/")[2]
        reply = {
            "tid": body.get("tid", derive("tid", method, gateway_sn)),
            "bid": body.get("bid", ""),
            "timestamp": self._now_ms(),
            "gateway": gateway_sn,
            "method": method,
            "data": data,
        }
        try:
            await self._bus.publish(requests_reply(gateway_sn), json.dumps(reply).encode())
        except ConnectionError as error:
            log.warning("dock left unanswered", dock=gateway_sn, method=method, error=str(error))

    def _now_ms(self) -> int:
        return int(self._clock.now().timestamp() * 1000)


def _body(message: Message) -> dict[str, Any] | None:
    """What cannot be read is not ours to keep: ingest holds the dead letters."""
    try:
        body = json.loads(message.payload)
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


def _log_failure(sending: asyncio.Future[None], method: str) -> None:
    if not sending.done() or sending.cancelled():
        return
    error = sending.exception()
    if isinstance(error, ConnectionError):
        log.warning("command not sent", method=method, error=str(error))
    elif error is not None:
        raise error
