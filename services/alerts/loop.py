"""The alerts part: follows the ledger, opens and fuses, sends people, minds the timers.

Everything one entry leads to (events, read tables, timers, outbox, cursor) commits together.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from domain.district import District
from domain.events import (
    DeviceAlarmCleared,
    DeviceAlarmRaised,
    DeviceEventNoted,
    Event,
    HazardRaised,
    HazardRenewed,
    LookConcluded,
)
from domain.hazard import HazardKind
from domain.ids import derive
from domain.incident import CloseOutcome, Incident, IncidentState
from domain.mission import LookOutcome, MissionPurpose
from domain.observation import EventSeverity, EventState
from runtime.clock import Clock
from runtime.database import going_on
from runtime.follower import follow
from runtime.ledger import Entry, Ledger, Transaction
from services.alerts.attention import reinforce
from services.alerts.commands import ConcludeLook, Escalate, Fuse, Refused
from services.alerts.delivery import DeliveryPolicy, Sink, deliver
from services.alerts.escalation import Timer, next_look, on_due
from services.alerts.fold import evolve
from services.alerts.fusion import Sighting
from services.alerts.ground import Ground
from services.alerts.intake import News, fuse_or_open, open_new
from services.alerts.journal import ACTOR, Journal
from services.alerts.life import alarm_id, is_open
from services.alerts.rules import Rules
from services.alerts.store import AlertStore

log = structlog.get_logger(__name__)

FOLLOWER = "alerts"
STREAM = "incident/"
CAMERA_HAZARDS = {"fire": HazardKind.FIRE, "smoke": HazardKind.SMOKE}


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """`tick_s` and `sweep_s` are clock seconds, never under `tick_wall_s` of wall time.

    A handled and closed happening seen again more than `reopens_after_s` after its close is a new
    incident: somebody closed too early, or it came back.
    """

    rules: Rules
    tick_s: float = 1.0
    tick_wall_s: float = 0.25
    sweep_s: float = 10.0
    due_limit: int = 100
    unserved_limit: int = 50
    reopens_after_s: float = 60.0
    delivery: DeliveryPolicy = field(default_factory=DeliveryPolicy)


@dataclass
class Attendant:
    """Handles ledger entries and timers, each in the transaction it is given."""

    journal: Journal
    policy: AlertPolicy

    async def handle(self, tx: Transaction, entry: Entry) -> None:
        """Do what one ledger entry calls for. Told twice, the second time changes nothing."""
        event = entry.event
        if isinstance(event, HazardRaised):
            await self._hazard(tx, event)
        elif isinstance(event, HazardRenewed):
            await self._renewed(tx, event, entry)
        elif isinstance(event, DeviceAlarmRaised):
            await self._alarm(tx, event)
        elif isinstance(event, DeviceAlarmCleared):
            cause = alarm_id(event.device_sn, event.code, event.component)
            await self._learn(tx, await self.journal.store.of_cause(tx, cause), event, entry)
        elif isinstance(event, DeviceEventNoted):
            await self._event(tx, event)
        elif isinstance(event, LookConcluded):
            await self._look(tx, event, entry)
        elif entry.stream.startswith(STREAM) and entry.actor != ACTOR:
            await self._attend(tx, entry.stream.removeprefix(STREAM))

    async def _attend(self, tx: Transaction, incident_id: str) -> None:
        await self.journal.store.enter(tx)
        incident = await self.journal.store.incident(tx, incident_id)
        if incident is not None:
            await self.journal.attend(tx, incident)

    # --- what was seen --------------------------------------------------------------------------

    async def _hazard(self, tx: Transaction, event: HazardRaised) -> None:
        hazard = event.hazard
        await self._news(
            tx,
            News(
                Sighting(
                    hazard.kind,
                    hazard.position,
                    hazard.ellipse,
                    hazard.last_seen_at,
                    hazard.device_sn,
                ),
                hazard.hazard_id,
                derive("incident", hazard.hazard_id),
                self.policy.rules.kinds[hazard.kind].severity,
                hazard.evidence,
                hazard.cell_code,
                hazard.frame_completed_wall_s,
            ),
        )

    async def _alarm(self, tx: Transaction, event: DeviceAlarmRaised) -> None:
        rule = self.policy.rules.alarm
        if event.level < rule.minimum_level:
            return
        ground = self.journal.ground
        position = ground.device_position(event.device_sn, event.position)
        kind = HazardKind.DEVICE_FAULT
        cause = alarm_id(event.device_sn, event.code, event.component)
        default = self.policy.rules.kinds[kind].severity
        await self._news(
            tx,
            News(
                Sighting(kind, position, None, event.at, event.device_sn),
                cause,
                derive("incident", cause, event.at.isoformat()),
                rule.severities.get(event.level, default),
                (),
                ground.cells.at(position),
            ),
        )

    async def _event(self, tx: Transaction, event: DeviceEventNoted) -> None:
        """A camera's own fire or smoke is taken at the camera's place: it tells no other."""
        kind = CAMERA_HAZARDS.get(event.label)
        if kind is None or event.severity is not EventSeverity.ALERT or event.stale:
            return
        if event.state is EventState.ENDED or event.position is None:
            return
        cause = derive("event", event.device_sn, event.key, event.label)
        await self._news(
            tx,
            News(
                Sighting(kind, event.position, None, event.at, event.device_sn),
                cause,
                derive("incident", cause),
                self.policy.rules.kinds[kind].severity,
                (),
                self.journal.ground.cells.at(event.position),
            ),
        )

    async def _news(self, tx: Transaction, news: News) -> None:
        journal = self.journal
        await journal.store.enter(tx)
        known = await journal.store.of_cause(tx, news.cause)
        if known is not None and await self._told_before(tx, known, news):
            return
        done = await fuse_or_open(journal, tx, news, ACTOR)
        if isinstance(done, Refused):
            log.warning("sighting refused", cause=news.cause, code=done.code)
            return
        await journal.attend(tx, done)

    async def _told_before(self, tx: Transaction, incident_id: str, news: News) -> bool:
        """An alarm may stand again after it was cleared; a hazard id is told once for ever."""
        if news.sighting.kind is not HazardKind.DEVICE_FAULT:
            return True
        incident = await self.journal.store.incident(tx, incident_id)
        return incident is not None and news.cause in incident.standing and is_open(incident)

    async def _renewed(self, tx: Transaction, event: HazardRenewed, entry: Entry) -> None:
        await self.journal.store.enter(tx)
        known = await self.journal.store.of_cause(tx, event.hazard_id)
        incident = await self._learn(tx, known, event, entry)
        if incident is None or incident.outcome is not CloseOutcome.HANDLED:
            return
        assert incident.closed_at is not None
        back_s = (event.last_seen_at - incident.closed_at).total_seconds()
        if back_s <= self.policy.reopens_after_s:
            return
        seen = event.last_seen_at
        news = News(
            Sighting(incident.kind, incident.position, incident.ellipse, seen, incident.source),
            event.hazard_id,
            derive("incident", event.hazard_id, seen.isoformat()),
            incident.severity,
            incident.evidence[-1:],
            incident.cell_code,
        )
        opened = await open_new(self.journal, tx, news, ACTOR)
        if isinstance(opened, Incident):
            await self.journal.attend(tx, opened)

    async def _learn(
        self, tx: Transaction, incident_id: str | None, event: Event, entry: Entry
    ) -> Incident | None:
        """Fold what another stream tells of an incident, and attend to it."""
        await self.journal.store.enter(tx)
        if incident_id is None:
            return None
        incident = await self.journal.store.incident(tx, incident_id)
        if incident is None:
            return None
        after = evolve(incident, event, entry.at, entry.actor)
        if after != incident:
            await self.journal.keep(tx, after)
        return await self.journal.attend(tx, after)

    # --- what a flight saw ----------------------------------------------------------------------

    async def _look(self, tx: Transaction, event: LookConcluded, entry: Entry) -> None:
        incident_id = event.incident_id
        if incident_id is None and event.hazard_id is not None:
            incident_id = await self.journal.store.of_cause(tx, event.hazard_id)
        incident = await self._learn(tx, incident_id, event, entry)
        if incident is None or not is_open(incident):
            return
        if event.purpose is MissionPurpose.VERIFY:
            await self._verified(tx, incident, event)
        elif event.outcome is LookOutcome.CONFIRMED:
            fuse = Fuse(event.mission_id, 0.0, 0.0, 1.0, event.evidence)
            await self.journal.act_all(tx, incident, (fuse,))

    async def _verified(self, tx: Transaction, incident: Incident, event: LookConcluded) -> None:
        look = ConcludeLook(event.outcome, event.concluded_at, event.evidence)
        done = await self.journal.act(tx, incident, look, ACTOR)
        if isinstance(done, Refused):
            log.info("look not used", incident=incident.incident_id, code=done.code)
            return
        if done.version == incident.version and done.state is IncidentState.VERIFYING:
            following = next_look(done, self.policy.rules.escalation)
            await self.journal.act_all(tx, done, () if following is None else (following,))
            return
        await self.journal.attend(tx, done)

    # --- what time asks for ---------------------------------------------------------------------

    async def on_time(self, at: datetime) -> int:
        """Fire what is due at `at`, one transaction each; return how many did something."""
        fired = 0
        for timer in await self.journal.store.due(at, self.policy.due_limit):
            fired += await self.journal.transact(lambda tx, t=timer: self._fire(tx, t))  # type: ignore[misc]
        return fired

    async def _fire(self, tx: Transaction, timer: Timer) -> bool:
        store, journal = self.journal.store, self.journal
        incident = await store.incident(tx, timer.incident_id)
        if incident is None or not await store.take_timer(tx, timer):
            return False
        command = on_due(incident, timer.step, self.policy.rules)
        if command is None:
            return False
        after = await journal.act_all(tx, incident, (command,))
        if isinstance(command, Escalate):
            more = reinforce(after, self.policy.rules, await journal.forces(tx))
            await journal.act_all(tx, after, more)
        log.info("timer fired", incident=incident.incident_id, step=timer.step)
        return True

    async def sweep(self) -> None:
        """Try again for whatever misses a force: somebody may have come on duty."""
        for incident_id in await self.journal.store.unserved(self.policy.unserved_limit):
            await self.journal.transact(lambda tx, i=incident_id: self._attend(tx, i))  # type: ignore[misc]


async def run(
    ledger: Ledger,
    store: AlertStore,
    district: District,
    clock: Clock,
    policy: AlertPolicy,
    sinks: Sequence[Sink] = (),
) -> None:
    """Run the part until cancelled. `sinks` are the channels beside the live stream."""
    journal = Journal(ledger, store, Ground.of(district), clock, policy.rules)
    attendant = Attendant(journal, policy)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(follow(ledger, FOLLOWER, attendant.handle))
        tasks.create_task(_mind_time(attendant, clock, policy))
        tasks.create_task(deliver(store, clock, sinks, policy.delivery))


async def _mind_time(attendant: Attendant, clock: Clock, policy: AlertPolicy) -> None:
    tick_s = max(policy.tick_s, policy.tick_wall_s * clock.rate)
    sweep_at = clock.now()
    while going_on():
        now = clock.now()
        await attendant.on_time(now)
        if now >= sweep_at:
            await attendant.sweep()
            await attendant.journal.store.forget_posts(now)
            sweep_at = now + timedelta(seconds=policy.sweep_s)
        await attendant.journal.keep_latencies()
        await clock.sleep(tick_s)
