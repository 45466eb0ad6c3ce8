"""A drone flown by hand through a remote control: now and then a loop around its post.

The control keeps its link all day; the aircraft is reachable only while it is switched on, and
the topology says so. Its battery is changed between flights.
"""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from shapely import LineString
from shapely.geometry.base import BaseGeometry

from domain.device import Drone
from domain.place import Position
from geo.frames import LocalFrame
from simulators import osd
from simulators.dock_link import topology
from simulators.drone import (
    LANDING,
    MANUAL,
    PREPARING,
    STANDBY,
    TAKING_OFF,
    Flying,
    Leg,
    advance,
    depart,
    homeward,
    standing,
)
from simulators.gateway import Gateway, Outgoing
from simulators.kinematics import STEP_S, Airframe
from simulators.reply import Reply
from simulators.saved_state import save
from simulators.shutter import Shutter
from simulators.weather import Weather

REMOTE_PRODUCT = ("2", 144, 0)
TICKS_PER_S = round(1.0 / STEP_S)
OSD_EVERY_TICKS = 2 * TICKS_PER_S
FRAME_EVERY_TICKS = 6 * TICKS_PER_S
SWITCHED_ON_S = 30.0
"""The aircraft is on this long before take-off and after landing."""
HEIGHT_ELLIPSOID_M = 11.0
TURN_BACK_PCT = 35.0
NOT_BY_HAND = 325001
SAVE_EVERY_WALL_S = 2.0
LOOPS_TRIED = 20


@dataclass(frozen=True, slots=True)
class RemotePolicy:
    """Times in clock seconds, distances in metres."""

    rest_s: tuple[float, float] = (400.0, 1200.0)
    radius_m: tuple[float, float] = (80.0, 220.0)
    height_m: tuple[float, float] = (55.0, 80.0)
    speed_m_s: float = 9.0
    corners: int = 8


@dataclass(frozen=True, slots=True)
class RemoteState:
    """What survives a restart. `tick` counts steps of STEP_S since `began`."""

    began: datetime
    flying: Flying
    next_at: datetime
    tick: int = 0
    flight: int = 0
    off_at: datetime | None = None

    @property
    def at(self) -> datetime:
        return self.began + timedelta(seconds=self.tick * STEP_S)


@dataclass(frozen=True, slots=True)
class _Due:
    """What one stretch of time asks to be sent."""

    properties: list[tuple[str, osd.Properties, datetime]]
    pictures: list[tuple[Flying, datetime]]


class RemoteMachine:
    """Steps a hand-flown aircraft; `closed` is the ground that may not be flown over."""

    def __init__(
        self,
        drone: Drone,
        post: Position,
        frame: LocalFrame,
        closed: BaseGeometry,
        weather: Weather,
        seed: int,
        state: RemoteState | None,
        at: datetime,
        policy: RemotePolicy,
        count: Callable[[str], None],
    ) -> None:
        self.drone, self.post, self.frame, self.closed = drone, post, frame, closed
        self.weather, self.seed, self.policy, self.count = weather, seed, policy, count
        self.airframe = Airframe(cruise_m_s=drone.cruise_m_s, endurance_s=drone.endurance_s)
        self.phase = sum(drone.sn.encode()) % OSD_EVERY_TICKS
        if state is None:
            x_m, y_m = frame.to_local(post.lat_deg, post.lon_deg)
            rest_s = Random(f"{seed}/{drone.sn}/first").uniform(60.0, self.policy.rest_s[0])
            state = RemoteState(at, standing(x_m, y_m, 98.0), at + timedelta(seconds=rest_s))
        self.state = state

    @property
    def switched_on(self) -> bool:
        """Whether the aircraft is reachable now."""
        s = self.state
        warming = s.at >= s.next_at - timedelta(seconds=SWITCHED_ON_S)
        return s.flying.airborne or warming or (s.off_at is not None and s.at < s.off_at)

    @property
    def flight_id(self) -> str:
        return f"{self.drone.sn}-{self.state.flight}"

    def skip_to(self, at: datetime) -> None:
        ticks = int((at - self.state.began).total_seconds() / STEP_S)
        self.state = replace(self.state, tick=max(ticks, self.state.tick))

    def advance(self, at: datetime) -> _Due:
        due = _Due([], [])
        while self.state.at + timedelta(seconds=STEP_S) <= at:
            self.state = replace(self.state, tick=self.state.tick + 1)
            self._tick(due)
        return due

    def _tick(self, due: _Due) -> None:
        s = self.state
        sky = self.weather.sky(s.at)
        if s.flying.airborne:
            flying = advance(s.flying, sky.wind, self.airframe)
            low = flying.motion.battery_pct < TURN_BACK_PCT and flying.mode == MANUAL
            if low or (flying.done and flying.airborne and flying.mode != LANDING):
                flying = homeward(flying, 0.0, self.airframe)
            self.state = s = replace(s, flying=flying)
            if not flying.airborne:
                self._landed()
        elif s.at >= s.next_at:
            self._take_off()
        s = self.state
        slot = (s.tick + self.phase) % OSD_EVERY_TICKS
        if slot == 0:
            shown = osd.remote_osd(self.post, HEIGHT_ELLIPSOID_M)[0]
            due.properties.append((self.drone.gateway_sn, shown, s.at))
        elif slot in (3, 6) and self.switched_on:
            flying = s.flying
            if not flying.airborne:
                landed = s.off_at is not None and s.at < s.off_at
                flying = replace(flying, mode=STANDBY if landed else PREPARING)
            where = self.frame.to_position(s.flying.motion.x_m, s.flying.motion.y_m)
            rounds = osd.aircraft_osd(flying, where, HEIGHT_ELLIPSOID_M, sky, self.drone)
            due.properties.append((self.drone.sn, rounds[slot // 3 - 1], s.at))
        if s.flying.airborne and s.tick % FRAME_EVERY_TICKS == 0 and s.flying.motion.z_m > 5.0:
            due.pictures.append((s.flying, s.at))

    def _take_off(self) -> None:
        legs = self._loop()
        self.count("takeoffs")
        self.state = replace(
            self.state,
            flying=depart(self.state.flying, legs),
            flight=self.state.flight + 1,
            off_at=None,
        )

    def _landed(self) -> None:
        self.count("landings")
        s = self.state
        chance = Random(f"{self.seed}/{self.drone.sn}/rest/{s.flight}")
        motion = replace(s.flying.motion, battery_pct=98.0)
        self.state = replace(
            s,
            flying=replace(s.flying, motion=motion),
            next_at=s.at + timedelta(seconds=chance.uniform(*self.policy.rest_s)),
            off_at=s.at + timedelta(seconds=SWITCHED_ON_S),
        )

    def _loop(self) -> tuple[Leg, ...]:
        """Return a climb and a ring of corners around the post, clear of closed ground."""
        flying, policy = self.state.flying, self.policy
        home = (flying.home_x_m, flying.home_y_m)
        for attempt in range(LOOPS_TRIED):
            chance = Random(f"{self.seed}/{self.drone.sn}/loop/{self.state.flight}/{attempt}")
            radius_m, z_m = chance.uniform(*policy.radius_m), chance.uniform(*policy.height_m)
            if attempt >= LOOPS_TRIED // 2:
                radius_m *= 0.4
            turn, side = chance.uniform(0.0, math.tau), chance.choice((-1.0, 1.0))
            centre = (
                home[0] + 0.7 * radius_m * math.sin(turn),
                home[1] + 0.7 * radius_m * math.cos(turn),
            )
            ring = [
                (
                    centre[0] + radius_m * math.sin(turn + side * math.tau * i / policy.corners),
                    centre[1] + radius_m * math.cos(turn + side * math.tau * i / policy.corners),
                )
                for i in range(policy.corners + 1)
            ]
            if not LineString([home, *ring, home]).intersects(self.closed):
                break
        else:
            ring, z_m = [(home[0] + 1.0, home[1])], policy.height_m[0]
        pitch = chance.uniform(-90.0, -60.0)
        corners = [
            Leg(x_m, y_m, z_m, policy.speed_m_s, MANUAL, pitch, index=i)
            for i, (x_m, y_m) in enumerate(ring)
        ]
        return (Leg(*home, z_m, 3.0, TAKING_OFF), *corners)


class RemoteLink:
    """A hand-flown drone's remote control on the wire."""

    def __init__(
        self,
        machine: RemoteMachine,
        gateway: Gateway,
        shutter: Shutter,
        memory: Path,
        tick_s: float,
    ) -> None:
        self.machine, self.gateway, self.shutter = machine, gateway, shutter
        self.memory, self.tick_s = memory, tick_s
        self._saved_wall_s = 0.0

    async def run(self) -> None:
        """Speak until cancelled."""
        ready = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.gateway.listen(_by_hand_only, ready))
            await ready.wait()
            await self.gateway.announce(topology(None, REMOTE_PRODUCT))
            self.machine.skip_to(self.gateway.clock.now())
            tasks.create_task(self._keep_topology())
            while True:
                await self._turn(tasks)
                await self.gateway.clock.sleep(self.tick_s)

    async def _keep_topology(self) -> None:
        """Tell when the aircraft is switched on and off."""
        told = False
        while True:
            if self.machine.switched_on != told:
                told = self.machine.switched_on
                drone = self.machine.drone if told else None
                await self.gateway.announce(topology(drone, REMOTE_PRODUCT))
            await self.gateway.clock.sleep(max(2.0, self.tick_s))

    async def _turn(self, tasks: asyncio.TaskGroup) -> None:
        machine = self.machine
        due = machine.advance(self.gateway.clock.now())
        outgoing: list[Outgoing] = [
            self.gateway.properties(sn, data, at) for sn, data, at in due.properties
        ]
        for flying, at in due.pictures:
            self.shutter.release(machine.drone, flying, at, machine.flight_id, tasks)
        now_s = self.gateway.clock.wall_s()
        if now_s - self._saved_wall_s >= SAVE_EVERY_WALL_S:
            save(self.memory, machine.state)
            self._saved_wall_s = now_s
        await self.gateway.send(outgoing)


def _by_hand_only(_method: str, _data: dict[str, object]) -> Reply:
    return Reply(NOT_BY_HAND)
