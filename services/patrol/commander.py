"""Carries decisions out: intents to the ledger first, then each command once, then its answer."""

import asyncio
import math
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime, timedelta
from typing import Any

import structlog

from domain.device import Dock
from domain.events import (
    Event,
    LookStarted,
    MissionEnded,
    MissionOrdered,
    MissionStepAnswered,
    MissionStepIntended,
)
from domain.ids import derive
from domain.mission import Mission, MissionOutcome
from domain.mission_return import ReturnRegained
from runtime.ledger import VersionConflict
from services.patrol.ahead import remaining_s
from services.patrol.aircraft.wpml import airframe, fingerprint
from services.patrol.conversation import Conversation
from services.patrol.departure import Other
from services.patrol.dock_codes import BUSY, may_ask_again_s
from services.patrol.dock_state import HOMING_MODES, DeviceNow
from services.patrol.flight import TAKE_OFFS, Flight, Step
from services.patrol.gate import Stand, airtime_s
from services.patrol.next_step import (
    End,
    GiveUpAnswer,
    Intend,
    Next,
    Patience,
    StartLook,
    View,
    decide,
)
from services.patrol.orders import METHODS, Resource, order
from services.patrol.permits import NotPermitted, Permits, Wish
from services.patrol.policy import PatrolPolicy, patience_s
from services.patrol.presence import Presence
from services.patrol.surroundings import Surroundings

log = structlog.get_logger(__name__)

ANSWER_TRIES = 20
_TURN_NEWS_S = 60.0
"""A turn is waited for at rest: the next order would cancel a flight that is not quite there."""
_AT_TURN = 2.0
"""How many times further off than over a target an aircraft is still at a turn."""
_FRESH_NEWS_S = 20.0

Spawn = Callable[[Coroutine[Any, Any, None]], object]


def patience(policy: PatrolPolicy, rate: float) -> Patience:
    """Return how long to wait at a clock's rate."""
    return Patience(
        reply_s=patience_s(policy.reply_limit_s, policy.reply_limit_wall_s, rate),
        plan_stale_s=patience_s(policy.plan_stale_s, policy.plan_stale_wall_s, rate),
        quiet_s=patience_s(policy.quiet_limit_s, policy.quiet_limit_wall_s, rate),
        idle_enough_s=patience_s(policy.idle_enough_s, policy.idle_enough_wall_s, rate),
        look_s=patience_s(policy.look_limit_s, policy.look_limit_wall_s, rate),
        look_grace_s=patience_s(policy.look_grace_s, policy.look_grace_wall_s, rate),
        look_reach_s=policy.look_reach_limit_s,
        home_retry_s=patience_s(policy.home_retry_s, policy.reply_limit_wall_s, rate),
        home_tries=policy.home_tries,
    )


class Commander:
    """The one who speaks to docks. `wake` is set whenever something may be decided anew."""

    def __init__(self, around: Surroundings, conversation: Conversation, spawn: Spawn) -> None:
        self.around = around
        self.patience = patience(around.policy, around.clock.rate)
        self.presence = Presence(around)
        self.permits = Permits(around, self.presence)
        self.devices = self.presence.devices
        self.docks, self.drones = self.presence.docks, self.presence.drones
        self.wake = asyncio.Event()
        self._conversation = conversation
        self.spawn = spawn
        self._in_flight: set[str] = set()
        self._ended_at: dict[str, datetime] = {}
        self._refused: dict[str, tuple[int, datetime]] = {}

    @property
    def stale_s(self) -> float:
        """Clock seconds after which a device's word no longer counts."""
        return self.presence.stale_s

    def stand(self, dock: Dock) -> Stand:
        return self.presence.stand(dock)

    def here(self, drone_sn: str, at: datetime) -> DeviceNow | None:
        """Return an aircraft's state if its position is fresh."""
        return self.presence.here(drone_sn, at)

    async def advance(self, flights: Sequence[Flight]) -> None:
        """Decide and act for every open mission whose drone this part commands."""
        at = self.around.clock.now()
        await self.permits.refresh(at)
        by_id = {f.mission.mission_id: f for f in flights}
        for flight in flights:
            if not self.permits.commands(flight.mission.drone_sn):
                continue
            if await self._seen_homing(flight, at) or await self._recalled(flight, at):
                continue
            view = await self._view(flight, by_id, at)
            await self._act(flight, decide(flight, view, at, self.patience), at, flights)

    async def _seen_homing(self, flight: Flight, at: datetime) -> bool:
        """Note that an aircraft that had given up its return is on its way home again."""
        lost, drone_sn = flight.given_up, flight.mission.drone_sn
        now = self.devices.get(drone_sn)
        if lost is None or now is None or now.mode_code not in HOMING_MODES:
            return False
        if now.mode_told_at is None or now.mode_told_at <= lost.at:
            return False
        event = ReturnRegained(flight.mission.mission_id, drone_sn, now.mode_code)
        await self.append(event.mission_id, [event], at, expected=flight.version)
        log.info("comes home after all", mission=event.mission_id)
        return True

    async def _recalled(self, flight: Flight, at: datetime) -> bool:
        """Order a flight home, or to hold or go on, where a rule says so."""
        mission = flight.mission
        if self.permits.sky.control(mission.drone_sn) is not None:
            return False
        ordered = self.permits.recall(flight, at)
        if ordered is None:
            return False
        event = MissionOrdered(
            mission.mission_id, ordered.order.value, "patrol", ordered.reason, ordered.where
        )
        await self.append(mission.mission_id, [event], at, expected=flight.version)
        log.info("ordered by rule", mission=mission.mission_id, order=event.order, why=event.reason)
        return True

    async def take_late_replies(self, flights: Sequence[Flight]) -> None:
        """Put answers that came after their limit, or after a restart, where they belong."""
        late = self._conversation.late
        while late:
            reply = late.popleft()
            for flight in flights:
                for sent in flight.steps:
                    if sent.transaction_id == reply.transaction_id and sent.result is None:
                        answer = MissionStepAnswered(
                            flight.mission.mission_id,
                            sent.step,
                            sent.transaction_id,
                            reply.result,
                        )
                        await self._append_surely(flight.mission.mission_id, answer)

    async def resource(self, flight_id: str) -> Resource | None:
        """Return where a flight's wayline file is (asked by docks)."""
        data = await self.around.store.kmz(flight_id)
        if data is None:
            return None
        return Resource(self.around.wayline_url(flight_id), fingerprint(data))

    async def _view(self, flight: Flight, by_id: dict[str, Flight], at: datetime) -> View:
        mission = flight.mission
        stop, control = self.permits.sky.stop, self.permits.sky.control(mission.drone_sn)
        other_id = flight.carrier_id or flight.diverted_for
        other = by_id.get(other_id) if other_id is not None else None
        if other is None and other_id is not None:
            other = await self.around.store.flight(other_id)
        dock = self.devices.get(mission.dock_sn)
        heard = dock is not None and (at - dock.heard_at).total_seconds() <= self.stale_s
        return View(
            dock_idle_since=dock.idle_since if dock is not None and heard else None,
            over_target=self._over_target(flight, at),
            other=other,
            can_finish=self._can_finish(flight, at),
            home_asked_by=stop.by if stop is not None and stop.all_home else None,
            home_asked_at=stop.at if stop is not None and stop.all_home else None,
            controlled_by=control.by if control is not None else None,
            camera=airframe(self.drones[mission.drone_sn].model) is not None,
            in_flight=frozenset(self._in_flight),
        )

    def _over_target(self, flight: Flight, at: datetime) -> bool:
        """The dock says so; or its word is old and the aircraft is there by its own position."""
        mission = flight.mission
        points, sent = mission.flown_to, flight.points_sent
        target = points[sent - 1].position if 0 < sent <= len(points) else mission.target
        turns = bool(mission.turns or mission.turns_back)
        if flight.status == "wayline_ok" and not turns:
            return True
        now = self.here(mission.drone_sn, at)
        news = flight.progressed_at or flight.changed_at
        if target is None or now is None or now.position is None:
            return False
        local = self.around.ground.local
        apart_m = math.dist(local(now.position), local(target))
        if flight.status == "wayline_ok":
            # A late word of the turn before must not cut a corner of closed airspace.
            return apart_m <= _AT_TURN * self.around.policy.over_target_m
        # A wayline's dock tells of waypoints, not of targets.
        told = not mission.by_wayline
        fresh_s = _TURN_NEWS_S if turns else _FRESH_NEWS_S
        if told and (at - news).total_seconds() < fresh_s:
            return False
        return apart_m <= self.around.policy.over_target_m

    def _can_finish(self, flight: Flight, at: datetime) -> bool:
        """Tell whether a patrol turned aside may fly on afterwards."""
        if flight.released_cells:
            return False
        now = self.here(flight.mission.drone_sn, at)
        drone = self.drones[flight.mission.drone_sn]
        if now is None or now.battery_pct is None:
            return True
        return airtime_s(drone, now.battery_pct, self.around.policy) >= remaining_s(flight)

    async def _act(
        self, flight: Flight, step: Next, at: datetime, flights: Sequence[Flight]
    ) -> None:
        mission = flight.mission
        match step:
            case None:
                return
            case Intend():
                others = self.permits.others(flights, mission.drone_sn, at)
                await self._intend(flight, step, others)
            case GiveUpAnswer(step=name, transaction_id=tid):
                answer = MissionStepAnswered(mission.mission_id, name, tid, None)
                await self.append(mission.mission_id, [answer], at, expected=flight.version)
            case StartLook():
                await self._start_look(flight, at)
            case End(outcome=outcome, reason=reason):
                ended = MissionEnded(mission.mission_id, outcome, reason)
                await self.append(mission.mission_id, [ended], at, expected=flight.version)
                self._ended_at[mission.dock_sn] = at
                log.info(
                    "mission ended",
                    mission=mission.mission_id,
                    outcome=outcome.value,
                    reason=reason,
                )

    def rested(self, dock_sn: str, at: datetime) -> bool:
        """Tell whether the follower had time to fold what the dock's last flight has seen."""
        ended, policy = self._ended_at.get(dock_sn), self.around.policy
        rest_s = patience_s(policy.rest_s, policy.rest_wall_s, self.around.clock.rate)
        return ended is None or (at - ended).total_seconds() >= rest_s

    def _note_answer(self, dock_sn: str, step: Step, result: int | None) -> None:
        """Count a dock's refusals as busy, in a row."""
        if step not in (Step.PREPARE, *TAKE_OFFS):
            return
        if result in BUSY:
            count, _ = self._refused.get(dock_sn, (0, None))
            self._refused[dock_sn] = (count + 1, self.around.clock.now())
        elif result is not None:
            self._refused.pop(dock_sn, None)

    def busy_s(self, dock_sn: str, at: datetime) -> float:
        """Return the seconds until a dock that said it is busy is asked for a take-off again."""
        count, refused_at = self._refused.get(dock_sn, (0, at))
        policy = self.around.policy
        wait_s = may_ask_again_s(count, policy.busy_wait_s, policy.busy_wait_limit_s)
        return wait_s - (at - refused_at).total_seconds() if count else 0.0

    async def _start_look(self, flight: Flight, at: datetime) -> None:
        mission = flight.mission
        if mission.target is None or mission.kind is None:
            raise ValueError(f"{mission.mission_id} is a look without a target and a kind")
        started = LookStarted(
            mission_id=mission.mission_id,
            purpose=mission.purpose,
            drone_sn=mission.drone_sn,
            target=mission.target,
            kind=mission.kind,
            radius_m=self.around.policy.look_radius_m,
            incident_id=mission.incident_id,
            hazard_id=mission.hazard_id,
            deadline_at=at + timedelta(seconds=self.patience.look_s),
        )
        await self.append(mission.mission_id, [started], at, expected=flight.version)

    async def _intend(
        self, flight: Flight, intent: Intend, others: tuple[Other, ...]
    ) -> None:
        """Commit the intent; only who committed it sends, and sends once."""
        mission, step, at = flight.mission, intent.step, self.around.clock.now()
        file = await self.resource(mission.mission_id) if step is Step.PREPARE else None
        count = sum(1 for s in flight.steps if s.step == step)
        tid = derive("tid", mission.mission_id, step.value, str(count))
        wish = Wish(flight, step, intent.actor, others, intent.reason)
        self._in_flight.add(tid)
        try:
            committed = await self._commit_intent(wish, tid, at)
        except NotPermitted as refusal:
            self._in_flight.discard(tid)
            await self._not_permitted(wish, refusal, at)
            return
        if not committed:
            self._in_flight.discard(tid)
            return
        self.spawn(self._send(mission, step, tid, file, at, count))

    async def _commit_intent(self, wish: Wish, tid: str, at: datetime) -> bool:
        """Append the intent under the lease and the sky as they stand in its own transaction."""
        mission, version = wish.flight.mission, wish.flight.version
        try:
            async with self.around.ledger.transaction() as tx:
                token = await self.permits.check(tx, wish, at)
                event = MissionStepIntended(
                    mission.mission_id, mission.dock_sn, wish.step.value, tid, token, wish.reason
                )
                stream = f"mission/{mission.mission_id}"
                await tx.append(
                    stream, [event], at=at, actor=wish.actor, expected_version=version
                )
                await self.around.fold.event(tx, event, at, version + 1)
        except VersionConflict as conflict:
            log.info("mission moved on meanwhile", conflict=str(conflict))
            return False
        self.wake.set()
        return True

    async def _not_permitted(self, wish: Wish, refusal: NotPermitted, at: datetime) -> None:
        """A take-off the gate refuses ends its mission, undone first on a dock that has agreed to
        it; other commands wait."""
        mission = wish.flight.mission
        log.info("not permitted", mission=mission.mission_id, step=wish.step, why=str(refusal))
        codes = {r.code for r in refusal.why}
        if wish.step not in TAKE_OFFS or codes & {"lease_lost", "person_in_control"}:
            return
        reason = "gate_" + "_and_".join(dict.fromkeys(r.code for r in refusal.why))
        if wish.step is Step.EXECUTE:
            await self._intend(wish.flight, Intend(Step.UNDO, reason=reason), ())
            return
        ended = MissionEnded(mission.mission_id, MissionOutcome.NEVER_FLOWN, reason)
        await self.append(mission.mission_id, [ended], at, expected=wish.flight.version)

    async def _send(
        self,
        mission: Mission,
        step: Step,
        tid: str,
        file: Resource | None,
        at: datetime,
        count: int,
    ) -> None:
        dock, drone = self.docks[mission.dock_sn], self.drones[mission.drone_sn]
        mission_id, now = mission.mission_id, self.around.clock.now()
        if await self._may_send(mission, at, now):
            # Docks refuse an execute time that is 30 s off, so it is told at the last moment.
            data = order(step, mission, dock, drone, file, now, self.around.policy, count)
            result = await self._conversation.ask(
                dock.sn,
                METHODS[step],
                data,
                tid,
                derive("bid", mission_id),
                self.patience.reply_s,
            )
        else:
            log.warning("not sent: out of hand since", mission=mission_id, step=step.value)
            result = None
        log.info("step answered", mission=mission_id, step=step.value, result=result)
        self._note_answer(dock.sn, step, result)
        await self._append_surely(
            mission_id, MissionStepAnswered(mission_id, step.value, tid, result)
        )
        self._in_flight.discard(tid)
        self.wake.set()

    async def _may_send(self, mission: Mission, intended_at: datetime, now: datetime) -> bool:
        """A process that was stopped between intent and sending has lost its say."""
        policy, rate = self.around.policy, self.around.clock.rate
        within_s = patience_s(policy.send_within_s, policy.send_within_wall_s, rate)
        if (now - intended_at).total_seconds() > within_s:
            return False
        return await self.permits.still_commands(mission.drone_sn)

    async def _append_surely(self, mission_id: str, event: Event) -> None:
        """Append after whatever is there: an answer must not be lost to a conflict."""
        for _ in range(ANSWER_TRIES):
            if await self.append(mission_id, [event], self.around.clock.now()):
                return
        raise VersionConflict(f"mission/{mission_id} was written {ANSWER_TRIES} times meanwhile")

    async def append(
        self,
        mission_id: str,
        events: Sequence[Event],
        at: datetime,
        *,
        actor: str = "patrol",
        expected: int | None = None,
    ) -> bool:
        """Append to a mission's stream and apply at once; False when another wrote first."""
        try:
            async with self.around.ledger.transaction() as tx:
                version = await tx.append(
                    f"mission/{mission_id}", events, at=at, actor=actor, expected_version=expected
                )
                for i, event in enumerate(events):
                    place = version - len(events) + 1 + i
                    await self.around.fold.event(tx, event, at, place)
        except VersionConflict as conflict:
            log.info("mission moved on meanwhile", conflict=str(conflict))
            return False
        self.wake.set()
        return True
