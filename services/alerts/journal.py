"""Writing about incidents: ledger rows, read tables, timers and outbox in one transaction."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from domain.events import DispatchOffered, Event
from domain.incident import Incident
from runtime.clock import Clock
from runtime.ledger import Ledger, Transaction, VersionConflict
from services.alerts.attention import Forces, next_commands, unserved
from services.alerts.commands import Command, Open, Refused
from services.alerts.escalation import due_timers
from services.alerts.fold import evolve
from services.alerts.fusion import Match, Sighting, reach_m, same_happening
from services.alerts.ground import Ground
from services.alerts.life import decide
from services.alerts.messages import messages
from services.alerts.routing import Candidate
from services.alerts.rules import Rules
from services.alerts.store import AlertStore, Standing

log = structlog.get_logger(__name__)

ACTOR = "alerts"
ATTENTION_ROUNDS = 4
"""File, dispatch: what the house does by itself settles in two; more would be going in circles."""
CONFLICT_TRIES = 8
NOBODY = Standing(False, 0)
T = TypeVar("T")


@dataclass
class Journal:
    ledger: Ledger
    store: AlertStore
    ground: Ground
    clock: Clock
    rules: Rules
    _dispatched: list[tuple[str, float]] = field(default_factory=list)

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run `work` in one transaction, anew when another wrote first (≤ CONFLICT_TRIES)."""
        for attempt in range(CONFLICT_TRIES):
            try:
                async with self.ledger.transaction() as tx:
                    done = await work(tx)
            except VersionConflict as conflict:
                if attempt == CONFLICT_TRIES - 1:
                    raise
                log.info("handled again", conflict=str(conflict))
                continue
            break
        await self.keep_latencies()
        return done

    async def act(
        self, tx: Transaction, incident: Incident | None, command: Command, actor: str
    ) -> Incident | Refused:
        """Decide and write one command; returns the incident as it then is."""
        at = self.clock.now()
        decided = decide(incident, command, at)
        if isinstance(decided, Refused):
            return decided
        if not decided:
            assert incident is not None
            return incident
        name = command.incident_id if isinstance(command, Open) else None
        return await self._write(tx, incident, name, decided, actor)

    async def _write(
        self,
        tx: Transaction,
        before: Incident | None,
        name: str | None,
        events: Sequence[Event],
        actor: str,
    ) -> Incident:
        # One incident's history never runs backwards, whatever two machines' clocks say.
        at = self.clock.now() if before is None else max(self.clock.now(), before.changed_at)
        version = 0 if before is None else before.version
        incident_id = name if before is None else before.incident_id
        await tx.append(
            f"incident/{incident_id}", events, at=at, actor=actor, expected_version=version
        )
        after = before
        for event in events:
            after = evolve(after, event, at, actor)
        assert after is not None
        await self.keep(tx, after)
        await self.store.arm(tx, after.incident_id, due_timers(after, self.rules, at))
        await self.store.queue(tx, messages(after, events, version + 1, at))
        first = before is None or not before.dispatches
        if first and any(isinstance(event, DispatchOffered) for event in events):
            tx.after_commit(lambda: self._note_dispatch(after.incident_id))
        return after

    async def keep(self, tx: Transaction, incident: Incident) -> None:
        await self.store.save(tx, incident, bool(unserved(incident, self.rules)))

    def _note_dispatch(self, incident_id: str) -> None:
        self._dispatched.append((incident_id, self.clock.wall_s()))

    async def keep_latencies(self) -> None:
        """Write down when dispatches were committed; asked after each transaction."""
        while self._dispatched:
            await self.store.dispatched(*self._dispatched.pop(0))

    async def attend(self, tx: Transaction, incident: Incident) -> Incident:
        """Do what the house does by itself until the incident waits on somebody."""
        for _ in range(ATTENTION_ROUNDS):
            commands = next_commands(incident, self.rules, await self.forces(tx))
            version = incident.version
            incident = await self.act_all(tx, incident, commands)
            if incident.version == version:
                return incident
        return incident

    async def act_all(
        self, tx: Transaction, incident: Incident, commands: Sequence[Command]
    ) -> Incident:
        """Write commands the house decided itself; one that is refused is logged and left."""
        for command in commands:
            done = await self.act(tx, incident, command, ACTOR)
            if isinstance(done, Refused):
                log.warning(
                    "own command refused",
                    incident=incident.incident_id,
                    command=type(command).__name__,
                    code=done.code,
                )
                continue
            incident = done
        return incident

    async def forces(self, tx: Transaction) -> Forces:
        standings = await self.store.standings(tx)
        candidates = [
            Candidate(r, s.on_duty, s.load, s.position, s.position_at)
            for r in self.ground.responders.values()
            for s in (standings.get(r.responder_id, NOBODY),)
        ]
        return Forces(candidates, self.ground.frame, self.clock.now())

    async def match(self, tx: Transaction, sighting: Sighting) -> Match | None:
        """Return the open incident a sighting belongs to. Hold the opening lock before."""
        near = await self.store.open_near(tx, sighting.position, reach_m(sighting, self.rules))
        return same_happening(sighting, near, self.ground.frame, self.rules)
