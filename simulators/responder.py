"""People who act: they take a dispatch, go there, do the work, send a picture, hand back.

What each decides follows from the seed and the dispatch, so a run repeats; they act through a
Phone as real people do, and learn of nothing but their own tasks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Protocol

import structlog

from domain.hazard import HazardKind
from domain.observation import FramePose
from domain.place import Position
from domain.responder import DispatchState, Responder
from geo.frames import LocalFrame, distance_m
from runtime.clock import Clock
from simulators.shutter import Shutter
from simulators.world import World

log = structlog.get_logger(__name__)

PHOTO_HEIGHT_M = 3.0
PHOTO_AWAY_M = 9.0
PHOTO_PITCH_DEG = -14.0
PHOTO_HFOV_DEG = 68.0


@dataclass(frozen=True, slots=True)
class Task:
    """One dispatch of one's own, as the phone shows it."""

    dispatch_id: str
    incident_id: str
    state: DispatchState
    kind: HazardKind
    position: Position
    offered_at: datetime


class Phone(Protocol):
    """What a responder can do. A refusal or an absent server is False, None or no tasks."""

    async def tasks(self) -> list[Task]: ...
    async def accept(self, dispatch_id: str) -> bool: ...
    async def refuse(self, dispatch_id: str, reason: str) -> bool: ...
    async def arrive(self, dispatch_id: str) -> bool: ...
    async def photo(self, jpeg: bytes) -> str | None: ...
    async def hand_back(self, dispatch_id: str, shas: Sequence[str]) -> bool: ...
    async def duty(self, on: bool) -> bool: ...
    async def position(self, at: Position) -> bool: ...


@dataclass(frozen=True, slots=True)
class ResponderPolicy:
    """Clock seconds unless the name says wall."""

    poll_s: float = 5.0
    poll_wall_s: float = 3.0
    react_s: tuple[float, float] = (20.0, 60.0)
    refuse_share: float = 0.03
    ignore_share: float = 0.03
    walk_m_s: float = 4.0
    road_factor: float = 1.35
    handle_s: tuple[float, float] = (60.0, 240.0)
    position_every_wall_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Intention:
    """What a responder makes of a dispatch."""

    answer: str
    """accept, refuse or ignore"""
    answer_at: datetime
    handle_s: float
    reason: str


@dataclass(slots=True)
class _Job:
    """The task in hand: on the way until `arrive_at`, then at work until `done_at`."""

    task: Task
    left_at: datetime
    start: Position
    arrive_at: datetime
    done_at: datetime | None = None
    photo: str | None = None
    handled: bool = False


def intend(task: Task, seed: int, policy: ResponderPolicy) -> Intention:
    """Return what will be done about a dispatch: a function of the seed and its id."""
    chance = Random(f"{seed}/dispatch/{task.dispatch_id}")
    draw = chance.random()
    answer = "accept"
    if draw < policy.refuse_share:
        answer = "refuse"
    elif draw < policy.refuse_share + policy.ignore_share:
        answer = "ignore"
    answer_at = task.offered_at + timedelta(seconds=chance.uniform(*policy.react_s))
    return Intention(
        answer, answer_at, chance.uniform(*policy.handle_s), chance.choice(("busy", "too_far"))
    )


class Person:
    """One responder living with a phone."""

    def __init__(
        self,
        responder: Responder,
        phone: Phone,
        world: World,
        shutter: Shutter,
        clock: Clock,
        seed: int,
        policy: ResponderPolicy,
    ) -> None:
        self.responder, self.phone, self.world = responder, phone, world
        self.shutter, self.clock, self.seed, self.policy = shutter, clock, seed, policy
        self.place = responder.home
        self._job: _Job | None = None
        self._told_wall_s = -math.inf

    async def live(self, start_after_s: float) -> None:
        """Come on duty after a while (clock seconds) and act until cancelled."""
        await self.clock.sleep(start_after_s)
        while not await self.phone.duty(True):
            await self.clock.sleep(self._poll_s())
        while True:
            await self.turn(self.clock.now())
            await self.clock.sleep(self._wait_s(self.clock.now()))

    async def turn(self, at: datetime) -> None:
        """Look at the phone once and do what is due."""
        tasks = await self.phone.tasks()
        for task in tasks:
            if task.state is DispatchState.OFFERED:
                await self._answer(task, at)
        standing = {t.dispatch_id: t for t in tasks if _in_hand(t)}
        if self._job is not None and self._job.task.dispatch_id not in standing:
            self._job = None  # withdrawn while on the way
        if self._job is None and standing:
            self._start(min(standing.values(), key=lambda t: (t.offered_at, t.dispatch_id)), at)
        if self._job is not None:
            await self._work(self._job, at)
        await self._tell_position(at)

    async def _answer(self, task: Task, at: datetime) -> None:
        intention = intend(task, self.seed, self.policy)
        if at < intention.answer_at or intention.answer == "ignore":
            return
        if intention.answer == "refuse":
            await self.phone.refuse(task.dispatch_id, intention.reason)
        else:
            await self.phone.accept(task.dispatch_id)

    def _start(self, task: Task, at: datetime) -> None:
        way_s = (
            distance_m(self.place, task.position) * self.policy.road_factor / self.policy.walk_m_s
        )
        there = task.state is DispatchState.ARRIVED
        arrive_at = at if there else at + timedelta(seconds=way_s)
        self._job = _Job(task, at, self.place, arrive_at)
        if there:
            self._begin_work(self._job, at)

    def _begin_work(self, job: _Job, at: datetime) -> None:
        handle_s = intend(job.task, self.seed, self.policy).handle_s
        self.place = job.task.position
        job.done_at = at + timedelta(seconds=handle_s)

    async def _work(self, job: _Job, at: datetime) -> None:
        self.place = _between(job, at)
        if job.done_at is None:
            if at >= job.arrive_at and await self.phone.arrive(job.task.dispatch_id):
                self._begin_work(job, at)
            return
        if at < job.done_at:
            return
        if not job.handled:
            ended = self.world.handle(job.task.position, at)
            log.info("handled", responder=self.responder.responder_id, hazards=len(ended))
            job.handled = True
        if job.photo is None:
            job.photo = await self.phone.photo(await self._photograph(job.task.position, at))
        if job.photo and await self.phone.hand_back(job.task.dispatch_id, [job.photo]):
            self._job = None

    async def _photograph(self, place: Position, at: datetime) -> bytes:
        lens = LocalFrame(place).to_position(0.0, -PHOTO_AWAY_M)
        pose = FramePose(lens, PHOTO_HEIGHT_M, 0.0, PHOTO_PITCH_DEG, 0.0, PHOTO_HFOV_DEG, at)
        x_m, y_m = self.world.terrain.frame.to_local(lens.lat_deg, lens.lon_deg)
        return await self.shutter.picture(self.responder.responder_id, pose, x_m, y_m, look=False)

    async def _tell_position(self, at: datetime) -> None:
        now_s = self.clock.wall_s()
        moving = self._job is not None and at <= self._job.arrive_at
        if moving and now_s - self._told_wall_s >= self.policy.position_every_wall_s:
            self._told_wall_s = now_s
            await self.phone.position(self.place)

    def _poll_s(self) -> float:
        return max(self.policy.poll_s, self.policy.poll_wall_s * self.clock.rate)

    def _wait_s(self, at: datetime) -> float:
        """Return how long to wait: until the next look at the phone, or what is due before it."""
        wait_s = self._poll_s()
        if self._job is not None:
            due = self._job.done_at or self._job.arrive_at
            left_s = (due - at).total_seconds()
            if 0.0 < left_s < wait_s:
                return left_s
        return wait_s


def _in_hand(task: Task) -> bool:
    return task.state in (DispatchState.ACCEPTED, DispatchState.ARRIVED)


def _between(job: _Job, at: datetime) -> Position:
    whole_s = (job.arrive_at - job.left_at).total_seconds()
    share = 1.0 if whole_s <= 0 else min(1.0, (at - job.left_at).total_seconds() / whole_s)
    a, b = job.start, job.task.position
    return Position(
        a.lat_deg + (b.lat_deg - a.lat_deg) * share, a.lon_deg + (b.lon_deg - a.lon_deg) * share
    )
