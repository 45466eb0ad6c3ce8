"""Outbox to its readers: the live stream has it already; a signed webhook when one is set.

Rows are leased, sent outside any transaction and then settled, so a killed worker's message goes
out again once its lease is over: at least once, with `message_id` as the receiver's dedupe key.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

import httpx
import structlog

from domain.codec import canonical, instant_text
from runtime.clock import Clock
from runtime.database import going_on
from services.alerts.messages import Message
from services.alerts.store import AlertStore, OutboxRow

log = structlog.get_logger(__name__)

SIGNATURE_HEADER = "X-Gridwing-Signature"
SECRET_LEAST_CHARACTERS = 16
SEND_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """Clock seconds. Attempt n waits `backoff_s` · 2^(n−1), never over `backoff_limit_s`."""

    poll_s: float = 2.0
    poll_wall_s: float = 0.5
    lease_s: float = 600.0
    batch: int = 50
    attempts: int = 6
    backoff_s: float = 5.0
    backoff_limit_s: float = 300.0


class Sink(Protocol):
    async def send(self, message: Message) -> str | None:
        """Deliver one message; return what went wrong, or None."""
        ...


@dataclass(frozen=True, slots=True)
class WebhookTarget:
    """Where to post, and the secret both sides hold."""

    url: str
    secret: str

    def __post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://")):
            raise ValueError(f"url must be http(s)://, got {self.url!r}")
        if len(self.secret) < SECRET_LEAST_CHARACTERS:
            raise ValueError(f"secret must have at least {SECRET_LEAST_CHARACTERS} characters")


def signature(secret: str, sent_at: str, body: bytes) -> str:
    """Return `t=<instant>,v1=<hex>`: HMAC-SHA256 over instant, full stop, body."""
    digest = hmac.new(secret.encode(), sent_at.encode() + b"." + body, hashlib.sha256)
    return f"t={sent_at},v1={digest.hexdigest()}"


@dataclass(frozen=True, slots=True)
class WebhookSink:
    target: WebhookTarget
    client: httpx.AsyncClient
    clock: Clock

    async def send(self, message: Message) -> str | None:
        body = canonical(message).encode()
        sent_at = instant_text(self.clock.now())
        headers = {
            "Content-Type": "application/json",
            SIGNATURE_HEADER: signature(self.target.secret, sent_at, body),
        }
        try:
            answer = await self.client.post(
                self.target.url, content=body, headers=headers, timeout=SEND_TIMEOUT_S
            )
        except httpx.HTTPError as error:
            return f"{type(error).__name__}: {error}"
        return None if answer.is_success else f"HTTP {answer.status_code}"


def sink_for(
    target: WebhookTarget | None, simulation: bool, client: httpx.AsyncClient, clock: Clock
) -> tuple[Sink, ...]:
    """Return the webhook's sink, or none. Raises ValueError when a simulation would reach out."""
    if target is None:
        return ()
    if simulation:
        raise ValueError("a webhook is refused in a simulation: unset it, or run in production")
    return (WebhookSink(target, client, clock),)


async def deliver(
    store: AlertStore, clock: Clock, sinks: Sequence[Sink], policy: DeliveryPolicy
) -> None:
    """Empty the outbox until cancelled."""
    poll_s = max(policy.poll_s, policy.poll_wall_s * clock.rate)
    while going_on():
        if await deliver_once(store, clock, sinks, policy) < policy.batch:
            await clock.sleep(poll_s)


async def deliver_once(
    store: AlertStore, clock: Clock, sinks: Sequence[Sink], policy: DeliveryPolicy
) -> int:
    """Send one batch; return how many messages were taken up."""
    now = clock.now()
    rows = await store.claim_outbox(now, now + timedelta(seconds=policy.lease_s), policy.batch)
    for row in rows:
        await _send(store, clock, sinks, policy, row)
    return len(rows)


async def _send(
    store: AlertStore,
    clock: Clock,
    sinks: Sequence[Sink],
    policy: DeliveryPolicy,
    row: OutboxRow,
) -> None:
    problems = [p for sink in sinks if (p := await sink.send(row.message)) is not None]
    now, message_id = clock.now(), row.message.message_id
    if not problems:
        await store.settle_outbox(message_id, now, None, None, None)
        return
    problem = "; ".join(problems)[:500]
    if row.attempts >= policy.attempts:
        log.warning("message given up", message=message_id, problem=problem)
        await store.settle_outbox(message_id, None, None, now, problem)
        return
    wait_s = min(policy.backoff_s * 2 ** (row.attempts - 1), policy.backoff_limit_s)
    await store.settle_outbox(message_id, None, now + timedelta(seconds=wait_s), None, problem)
