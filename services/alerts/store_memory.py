"""The same store in memory: one transaction at a time, and what a failed one wrote is undone."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar, cast

from domain.incident import Incident, IncidentState, VerifiedBy
from domain.place import Position
from domain.responder import Dispatch
from geo.frames import LocalFrame
from runtime.ledger import Transaction
from services.alerts.escalation import Timer
from services.alerts.life import is_open, live
from services.alerts.messages import Message
from services.alerts.store import (
    LIST_LIMIT,
    NEAR_LIMIT,
    NOTES_LIMIT,
    REPEATED_POST_KEPT_S,
    Figures,
    Filter,
    Note,
    OutboxRow,
    Standing,
)

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class _Outgoing:
    message: Message
    next_at: datetime
    attempts: int = 0
    sent_at: datetime | None = None
    given_up_at: datetime | None = None


@dataclass(slots=True)
class MemoryAlertStore:
    """A transaction that touches the store holds it until it ends, as a row lock would."""

    _incidents: dict[str, Incident] = field(default_factory=dict)
    _open: dict[str, None] = field(default_factory=dict)
    _unserved: dict[str, None] = field(default_factory=dict)
    _causes: dict[str, str] = field(default_factory=dict)
    _dispatches: dict[str, Dispatch] = field(default_factory=dict)
    _timers: dict[tuple[str, str], Timer] = field(default_factory=dict)
    _duty: dict[str, Standing] = field(default_factory=dict)
    _outbox: dict[str, _Outgoing] = field(default_factory=dict)
    _unsent: dict[str, None] = field(default_factory=dict)
    _posts: dict[tuple[str, str], tuple[str, str, datetime]] = field(default_factory=dict)
    _notes: dict[str, tuple[Note, ...]] = field(default_factory=dict)
    _latency: dict[str, tuple[float, float | None]] = field(default_factory=dict)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _holder: Transaction | None = None

    async def enter(self, tx: Transaction) -> None:
        if self._holder is tx:
            return
        await self._lock.acquire()
        self._holder = tx
        tx.after_commit(self._release)
        tx.on_rollback(self._release)

    def _release(self) -> None:
        self._holder = None
        self._lock.release()

    async def _put(self, tx: Transaction, table: dict[K, V], key: K, value: V) -> None:
        await self.enter(tx)
        tx.on_rollback(_undo(table, key))
        table[key] = value

    async def _remove(self, tx: Transaction, table: dict[K, Any], key: K) -> None:
        await self.enter(tx)
        tx.on_rollback(_undo(table, key))
        table.pop(key, None)

    async def _mark(self, tx: Transaction, table: dict[str, None], key: str, there: bool) -> None:
        if there and key not in table:
            await self._put(tx, table, key, None)
        elif not there and key in table:
            await self._remove(tx, table, key)

    async def incident(self, tx: Transaction, incident_id: str) -> Incident | None:
        await self.enter(tx)
        return self._incidents.get(incident_id)

    async def of_cause(self, tx: Transaction, cause: str) -> str | None:
        await self.enter(tx)
        return self._causes.get(cause)

    async def of_dispatch(self, tx: Transaction, dispatch_id: str) -> str | None:
        await self.enter(tx)
        dispatch = self._dispatches.get(dispatch_id)
        return dispatch.incident_id if dispatch else None

    async def open_near(
        self, tx: Transaction, position: Position, radius_m: float
    ) -> list[Incident]:
        await self.enter(tx)
        frame = LocalFrame(position)

        def distance_m(incident: Incident) -> float:
            x_m, y_m = frame.to_local(incident.position.lat_deg, incident.position.lon_deg)
            return float((x_m**2 + y_m**2) ** 0.5)

        measured = ((distance_m(self._incidents[name]), name) for name in self._open)
        near = sorted(found for found in measured if found[0] <= radius_m)
        return [self._incidents[name] for _, name in near[:NEAR_LIMIT]]

    async def save(self, tx: Transaction, incident: Incident, unserved: bool) -> None:
        await self._put(tx, self._incidents, incident.incident_id, incident)
        await self._mark(tx, self._open, incident.incident_id, is_open(incident))
        await self._mark(tx, self._unserved, incident.incident_id, unserved)
        for cause in incident.hazard_ids:
            if cause not in self._causes or is_open(incident):
                await self._put(tx, self._causes, cause, incident.incident_id)
        for dispatch in incident.dispatches:
            await self._put(tx, self._dispatches, dispatch.dispatch_id, dispatch)

    async def arm(self, tx: Transaction, incident_id: str, timers: Sequence[Timer]) -> None:
        wanted = {(timer.incident_id, timer.step): timer for timer in timers}
        for key in [k for k in self._timers if k[0] == incident_id and k not in wanted]:
            await self._remove(tx, self._timers, key)
        for key, timer in wanted.items():
            if key not in self._timers:
                await self._put(tx, self._timers, key, timer)

    async def due(self, at: datetime, limit: int) -> list[Timer]:
        return [timer for timer in await self.timers() if timer.due_at <= at][:limit]

    async def take_timer(self, tx: Transaction, timer: Timer) -> bool:
        await self.enter(tx)
        key = (timer.incident_id, timer.step)
        if key not in self._timers:
            return False
        await self._remove(tx, self._timers, key)
        return True

    async def unserved(self, limit: int) -> list[str]:
        waiting = [self._incidents[name] for name in self._unserved]
        waiting.sort(key=lambda i: (i.opened_at, i.incident_id))
        return [i.incident_id for i in waiting[:limit]]

    async def standings(self, tx: Transaction) -> dict[str, Standing]:
        await self.enter(tx)
        loads: dict[str, int] = {}
        for name in self._open:
            for dispatch in live(self._incidents[name]):
                loads[dispatch.responder_id] = loads.get(dispatch.responder_id, 0) + 1
        idle = Standing(False, 0)
        return {
            name: replace(self._duty.get(name, idle), load=loads.get(name, 0))
            for name in sorted(self._duty.keys() | loads.keys())
        }

    async def set_duty(
        self, tx: Transaction, responder_id: str, on_duty: bool, at: datetime
    ) -> None:
        await self.enter(tx)
        known = self._duty.get(responder_id)
        if known is None or known.on_duty is not on_duty:
            await self._put(tx, self._duty, responder_id, Standing(on_duty, 0))

    async def set_position(
        self, tx: Transaction, responder_id: str, position: Position, at: datetime
    ) -> bool:
        await self.enter(tx)
        known = self._duty.get(responder_id)
        if known is None or not known.on_duty:
            return False
        await self._put(tx, self._duty, responder_id, Standing(True, 0, position, at))
        return True

    async def queue(self, tx: Transaction, messages: Sequence[Message]) -> None:
        for message in messages:
            if message.message_id not in self._outbox:
                row = _Outgoing(message, message.created_at)
                await self._put(tx, self._outbox, message.message_id, row)
                await self._mark(tx, self._unsent, message.message_id, there=True)

    async def claim_outbox(
        self, at: datetime, lease_until: datetime, limit: int
    ) -> list[OutboxRow]:
        due = [row for name in self._unsent if (row := self._outbox[name]).next_at <= at]
        claimed = []
        for row in due[:limit]:
            taken = replace(row, next_at=lease_until, attempts=row.attempts + 1)
            self._outbox[row.message.message_id] = taken
            claimed.append(OutboxRow(row.message, taken.attempts))
        return claimed

    async def settle_outbox(
        self,
        message_id: str,
        sent_at: datetime | None,
        next_at: datetime | None,
        given_up_at: datetime | None,
        problem: str | None,
    ) -> None:
        row = self._outbox[message_id]
        self._outbox[message_id] = replace(
            row, sent_at=sent_at, next_at=next_at or row.next_at, given_up_at=given_up_at
        )
        if sent_at is not None or given_up_at is not None:
            self._unsent.pop(message_id, None)

    async def repeat(
        self, tx: Transaction, account_id: str, key: str, digest: str, at: datetime
    ) -> tuple[str, str] | None:
        await self.enter(tx)
        earlier = self._posts.get((account_id, key))
        if earlier is None:
            await self._put(tx, self._posts, (account_id, key), (digest, "", at))
            return None
        return earlier[:2]

    async def remember(self, tx: Transaction, account_id: str, key: str, incident_id: str) -> None:
        digest, _, at = self._posts[account_id, key]
        await self._put(tx, self._posts, (account_id, key), (digest, incident_id, at))

    async def forget_posts(self, at: datetime) -> None:
        before = at - timedelta(seconds=REPEATED_POST_KEPT_S)
        for post in [p for p, (_, _, claimed_at) in self._posts.items() if claimed_at < before]:
            del self._posts[post]

    async def note(
        self, tx: Transaction, incident_id: str, account_id: str, text: str, at: datetime
    ) -> None:
        kept = (*self._notes.get(incident_id, ()), Note(account_id, at, text))
        await self._put(tx, self._notes, incident_id, kept)

    async def notes(self, incident_id: str) -> list[Note]:
        return list(self._notes.get(incident_id, ())[:NOTES_LIMIT])

    async def await_dispatch(self, tx: Transaction, incident_id: str, frame_wall_s: float) -> None:
        if incident_id not in self._latency:
            await self._put(tx, self._latency, incident_id, (frame_wall_s, None))

    async def dispatched(self, incident_id: str, wall_s: float) -> None:
        frame_wall_s, done = self._latency.get(incident_id, (None, None))
        if frame_wall_s is not None and done is None:
            self._latency[incident_id] = (frame_wall_s, wall_s)

    async def page(self, wanted: Filter) -> list[Incident]:
        def place(incident: Incident) -> tuple[datetime, str]:
            return incident.opened_at, incident.incident_id

        after = self._incidents.get(wanted.after or "")
        if wanted.after is not None and after is None:
            return []
        found = [
            i
            for i in self._incidents.values()
            if wanted.state in (None, i.state)
            and wanted.kind in (None, i.kind)
            and (after is None or place(i) < place(after))
        ]
        found.sort(key=place, reverse=True)
        return found[: min(wanted.limit, LIST_LIMIT)]

    async def get(self, incident_id: str) -> Incident | None:
        return self._incidents.get(incident_id)

    async def dispatched_to(self, responder_id: str) -> list[Incident]:
        asked = [
            self._incidents[name]
            for name in self._open
            if any(d.responder_id == responder_id for d in live(self._incidents[name]))
        ]
        return sorted(asked, key=lambda i: (i.opened_at, i.incident_id))[:LIST_LIMIT]

    async def figures(self) -> Figures:
        incidents = self._incidents.values()
        return Figures(
            incidents=len(incidents),
            dispatches=len(self._dispatches),
            closed=sum(i.state is IncidentState.CLOSED for i in incidents),
            verified_by_flight=sum(i.verified_by is VerifiedBy.FLIGHT for i in incidents),
            escalated=sum(i.level > 0 for i in incidents),
            outbox_waiting=len(self._unsent),
            frame_to_dispatch_s=tuple(
                sorted(done - start for start, done in self._latency.values() if done is not None)
            ),
        )

    async def timers(self) -> list[Timer]:
        return sorted(self._timers.values(), key=lambda t: (t.due_at, t.incident_id, t.step))

    async def drop(self, tx: Transaction) -> None:
        tables: tuple[dict[str, Any], ...] = (
            self._incidents,
            self._open,
            self._unserved,
            self._causes,
            self._dispatches,
        )
        for table in tables:
            for key in list(table):
                await self._remove(tx, table, key)
        for timer in list(self._timers):
            await self._remove(tx, self._timers, timer)


def _undo(table: dict[K, V], key: K) -> Callable[[], None]:
    was_there = key in table
    before = table.get(key)

    def undo() -> None:
        if was_there:
            table[key] = cast(V, before)
        else:
            table.pop(key, None)

    return undo
