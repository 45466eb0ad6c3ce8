"""Build the read tables again from the ledger alone.

The loop learns what other streams tell (a hazard renewed, an alarm cleared, a look) some time
after it stands in the ledger, and an incident it belongs to may be numbered later still: such
facts are held by their cause until that incident is there. Their order does not matter to the
fold, so both ways give the same tables; outbox, duty and measures are not the ledger's to tell.
"""

from dataclasses import dataclass, field

from domain.events import (
    DeviceAlarmCleared,
    DeviceAlarmRaised,
    HazardRenewed,
    IncidentFused,
    IncidentReported,
    LookConcluded,
)
from runtime.ledger import Entry, Ledger, Transaction
from services.alerts.attention import unserved
from services.alerts.escalation import due_timers
from services.alerts.fold import evolve
from services.alerts.life import alarm_id, is_open
from services.alerts.rules import Rules
from services.alerts.store import AlertStore

STREAM = "incident/"
Fact = HazardRenewed | DeviceAlarmCleared | LookConcluded


@dataclass
class _Refold:
    store: AlertStore
    rules: Rules
    held: dict[str, list[Entry]] = field(default_factory=dict)

    async def take(self, tx: Transaction, entry: Entry) -> None:
        event = entry.event
        if entry.stream.startswith(STREAM):
            await self._own(tx, entry)
        elif isinstance(event, DeviceAlarmRaised):
            self.held.pop(alarm_id(event.device_sn, event.code, event.component), None)
        elif isinstance(event, Fact):
            await self._fact(tx, entry, event)

    async def _own(self, tx: Transaction, entry: Entry) -> None:
        event, at = entry.event, entry.at
        before = await self.store.incident(tx, entry.stream.removeprefix(STREAM))
        after = evolve(before, event, at, entry.actor)
        if isinstance(event, IncidentReported | IncidentFused):
            for told in self.held.pop(event.cause, ()):
                after = evolve(after, told.event, told.at, told.actor)
        await self.store.save(tx, after, bool(unserved(after, self.rules)))
        await self.store.arm(tx, after.incident_id, due_timers(after, self.rules, at))

    async def _fact(self, tx: Transaction, entry: Entry, event: Fact) -> None:
        incident_id = event.incident_id if isinstance(event, LookConcluded) else None
        cause = _cause(event)
        if incident_id is None and cause is not None:
            incident_id = await self.store.of_cause(tx, cause)
        incident = await self.store.incident(tx, incident_id) if incident_id else None
        if incident is not None:
            after = evolve(incident, event, entry.at, entry.actor)
            await self.store.save(tx, after, bool(unserved(after, self.rules)))
        if cause is not None and (incident is None or not is_open(incident)):
            self.held.setdefault(cause, []).append(entry)


def _cause(event: Fact) -> str | None:
    if isinstance(event, DeviceAlarmCleared):
        return alarm_id(event.device_sn, event.code, event.component)
    return event.hazard_id


async def refold(ledger: Ledger, store: AlertStore, rules: Rules) -> int:
    """Drop and rebuild incidents, causes, dispatches and timers; return the entries read.

    Let nothing else write meanwhile: the tables stand for the ledger as read here.
    """
    work = _Refold(store, rules)
    position = 0
    async with ledger.transaction() as tx:
        await store.enter(tx)
        await store.drop(tx)
        while entries := await ledger.read(position):
            for entry in entries:
                await work.take(tx, entry)
            position = entries[-1].position
    return position
