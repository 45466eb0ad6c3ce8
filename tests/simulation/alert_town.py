"""A town in virtual time around the alerts part: hazards, people, flights and crashes by seed."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from domain.district import District
from domain.events import (
    DeviceAlarmCleared,
    DeviceAlarmRaised,
    Event,
    HazardRaised,
    HazardRenewed,
    LookConcluded,
    VerificationRequested,
)
from domain.hazard import Hazard, HazardKind
from domain.ids import derive
from domain.incident import CloseOutcome, Incident, IncidentState
from domain.mission import LookOutcome, MissionPurpose
from domain.place import ErrorEllipse, Position
from domain.responder import DispatchState, Force
from runtime.access import Principal, Role
from runtime.clock import Clock, VirtualLoop
from runtime.ledger import Entry, Verification
from runtime.ledger_memory import MemoryLedger
from services.alerts.desk import REFUSAL_REASONS, Desk
from services.alerts.loop import AlertPolicy, run
from services.alerts.rules import load_rules
from services.alerts.store_memory import MemoryAlertStore
from simulators.district import generate

EPOCH = datetime(2026, 11, 23, tzinfo=UTC)
RATE = 60.0
ROLES = {Force.GRID: Role.GRID_WORKER, Force.POLICE_GRID: Role.POLICE_OFFICER}
OPERATOR = Principal("operator-1", Role.OPERATOR)
SEEN = [kind for kind in HazardKind if kind is not HazardKind.DEVICE_FAULT]


@dataclass(frozen=True)
class Day:
    """What one seeded day left behind."""

    ledger: MemoryLedger
    store: MemoryAlertStore
    entries: list[Entry]
    incidents: list[Incident]
    verification: Verification
    duty: dict[str, list[tuple[datetime, bool]]]
    crashes: int


@dataclass
class Town:
    seed: int
    hours: float
    clock: Clock
    district: District
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    store: MemoryAlertStore = field(default_factory=MemoryAlertStore)
    duty: dict[str, list[tuple[datetime, bool]]] = field(default_factory=dict)
    crashes: int = 0

    def __post_init__(self) -> None:
        self.policy = AlertPolicy(load_rules())
        self.desk = Desk(self.ledger, self.store, self.district, self.clock, self.policy.rules)
        self.end = self.clock.now() + timedelta(hours=self.hours)

    def dice(self, *part: str) -> Random:
        return Random(derive("dice", str(self.seed), *part))

    async def live(self) -> None:
        """Let everybody act until the day ends."""
        async with asyncio.TaskGroup() as tasks:
            for responder in self.district.responders:
                tasks.create_task(self._responder(responder.responder_id))
            for actor in (
                self._hazards(),
                self._alarms(),
                self._patrol(),
                self._operator(),
                self._alerts(),
            ):
                tasks.create_task(actor)

    async def _alerts(self) -> None:
        """Run the part; kill and start it again at times of the seed's choosing."""
        dice = self.dice("crash")
        while self.clock.now() < self.end:
            part = asyncio.create_task(
                run(self.ledger, self.store, self.district, self.clock, self.policy)
            )
            lives_s = min(dice.expovariate(1 / 7200.0), self._left_s())
            # Seldom on a tick: the cut falls between any two steps of the work.
            await self.clock.sleep(lives_s)
            part.cancel()
            await asyncio.gather(part, return_exceptions=True)
            self.crashes += 1
            await self.clock.sleep(dice.uniform(1.0, 60.0))

    def _left_s(self) -> float:
        return max(0.0, (self.end - self.clock.now()).total_seconds())

    async def _say(self, stream: str, event: Event, actor: str) -> None:
        async with self.ledger.transaction() as tx:
            await tx.append(stream, [event], at=self.clock.now(), actor=actor)

    # --- what happens -----------------------------------------------------------------------------

    async def _hazards(self) -> None:
        dice = self.dice("hazards")
        number = 0
        while self.clock.now() < self.end:
            await self.clock.sleep(dice.expovariate(1 / 1500.0))
            number += 1
            hazard = self._hazard(dice, number)
            for _ in range(dice.choice((1, 1, 1, 2, 3))):
                await self._say(f"hazard/{hazard.hazard_id}", HazardRaised(hazard), "watch")
                await self.clock.sleep(dice.uniform(1.0, 200.0))
                number += 1
                hazard = self._again(dice, hazard, number)
            if dice.random() < 0.3:
                renewed = HazardRenewed(hazard.hazard_id, self.clock.now(), 0.7)
                await self._say(f"hazard/{hazard.hazard_id}", renewed, "watch")

    def _hazard(self, dice: Random, number: int) -> Hazard:
        cell = dice.choice(self.district.cells)
        lon, lat = cell.area.polygons[0][0][0]
        at = self.clock.now()
        return Hazard(
            hazard_id=derive("hazard", str(self.seed), str(number)),
            kind=dice.choice(SEEN),
            position=Position(lat, lon),
            ellipse=ErrorEllipse(dice.uniform(5.0, 40.0), 5.0, dice.uniform(0.0, 180.0)),
            score=0.8,
            device_sn=dice.choice(self.district.cameras).sn,
            first_seen_at=at,
            last_seen_at=at,
            votes=3,
            frames=4,
            cell_code=cell.code,
            other_cell_codes=(),
            evidence=(derive("", str(number)).ljust(64, "0").replace("-", "0"),),
            frame_completed_wall_s=self.clock.wall_s(),
        )

    def _again(self, dice: Random, hazard: Hazard, number: int) -> Hazard:
        at = hazard.position
        near = Position(at.lat_deg + dice.gauss(0, 1e-4), at.lon_deg + dice.gauss(0, 1e-4))
        other = self._hazard(dice, number)
        return Hazard(
            **{
                name: getattr(other, name)
                for name in Hazard.__dataclass_fields__
                if name not in {"kind", "position", "cell_code"}
            },
            kind=hazard.kind,
            position=near,
            cell_code=hazard.cell_code,
        )

    async def _alarms(self) -> None:
        dice = self.dice("alarms")
        while self.clock.now() < self.end:
            await self.clock.sleep(dice.expovariate(1 / 9000.0))
            sn, code = dice.choice(self.district.docks).sn, dice.choice(("0x16100001", "0x1b"))
            raised = DeviceAlarmRaised(sn, code, dice.choice((0, 1, 2)), "", self.clock.now(), None)
            await self._say(f"device/{sn}", raised, "ingest")
            await self.clock.sleep(dice.uniform(10.0, 3000.0))
            cleared = DeviceAlarmCleared(sn, code, "", self.clock.now())
            await self._say(f"device/{sn}", cleared, "ingest")

    # --- who acts ---------------------------------------------------------------------------------

    async def _responder(self, responder_id: str) -> None:
        dice = self.dice("responder", responder_id)
        responder = next(r for r in self.district.responders if r.responder_id == responder_id)
        role = ROLES.get(responder.force, Role.PROFESSIONAL)
        who = Principal(responder.account, role, responder_id=responder_id)
        log = self.duty.setdefault(responder_id, [])
        while self.clock.now() < self.end:
            await self.clock.sleep(dice.uniform(0.0, 7200.0))
            log.append((self.clock.now(), True))
            await self.desk.duty(who, on_duty=True)
            shift_ends = self.clock.now() + timedelta(hours=dice.uniform(4.0, 10.0))
            while self.clock.now() < min(shift_ends, self.end):
                await self.desk.position(who, responder.home)
                for task in await self.desk.tasks(who):
                    await self._act(dice, who, task.dispatch.dispatch_id, task.dispatch.state)
                await self.clock.sleep(dice.uniform(60.0, 240.0))
            await self.desk.duty(who, on_duty=False)
            log.append((self.clock.now(), False))

    async def _act(
        self, dice: Random, who: Principal, dispatch_id: str, state: DispatchState
    ) -> None:
        wish = dice.random()
        key = derive("key", dispatch_id, state)
        if wish < 0.25:
            return
        step: Awaitable[object]
        if state is DispatchState.OFFERED and wish < 0.4:
            step = self.desk.refuse(who, dispatch_id, dice.choice(REFUSAL_REASONS), key)
        elif state is DispatchState.OFFERED:
            step = self.desk.accept(who, dispatch_id, key)
        elif state is DispatchState.ACCEPTED:
            step = self.desk.arrive(who, dispatch_id, key)
        else:
            step = self.desk.hand_back(who, dispatch_id, (), None, key)
        await step

    async def _patrol(self) -> None:
        dice = self.dice("patrol")
        position = 0
        async with asyncio.TaskGroup() as flights:
            while self.clock.now() < self.end:
                entries = await self.ledger.read(position)
                for entry in entries:
                    if isinstance(entry.event, VerificationRequested) and dice.random() < 0.85:
                        flights.create_task(self._fly(dice, entry.event))
                position += len(entries)
                await self.clock.sleep(30.0)

    async def _fly(self, dice: Random, asked: VerificationRequested) -> None:
        mission_id = derive("mission", asked.incident_id, str(asked.attempt), str(dice.random()))
        await self.clock.sleep(dice.uniform(60.0, 1500.0))
        outcome = dice.choices(list(LookOutcome), (0.2, 0.6, 0.2))[0]
        look = LookConcluded(
            mission_id,
            MissionPurpose.VERIFY,
            asked.incident_id,
            None,
            outcome,
            9,
            0,
            ("ab" * 32,),
            self.clock.now(),
        )
        await self._say(f"look/{mission_id}", look, "watch")

    async def _operator(self) -> None:
        dice = self.dice("operator")
        while self.clock.now() < self.end:
            await self.clock.sleep(dice.uniform(30.0, 600.0))
            for incident in (await self.desk.incidents(OPERATOR, limit=50)).items:
                if dice.random() < 0.1:
                    await self._decide(dice, incident)

    async def _decide(self, dice: Random, incident: Incident) -> None:
        name, wish = incident.incident_id, dice.random()
        if wish < 0.4:
            await self.desk.acknowledge(OPERATOR, name)
        elif wish < 0.5:
            await self.desk.close(OPERATOR, name, dice.choice(list(CloseOutcome)))
        elif wish < 0.6:
            await self.desk.dispatch(OPERATOR, name)
        elif wish < 0.65:
            await self.desk.dismiss(OPERATOR, name, CloseOutcome.UNFOUNDED)
        elif incident.state in (IncidentState.FEEDBACK, IncidentState.VERIFYING):
            await self.desk.verify(OPERATOR, name, gone=dice.random() < 0.7)


def live_a_day(seed: int, hours: float = 24.0) -> Day:
    """Live one seeded day to its end and return what it left."""
    loop = VirtualLoop()
    clock = loop.clock(EPOCH, RATE)

    async def day() -> Day:
        town = Town(seed, hours, clock, generate(seed))
        await town.live()
        # One undisturbed run settles what the last crash interrupted.
        part = asyncio.create_task(run(town.ledger, town.store, town.district, clock, town.policy))
        await clock.sleep(120.0)
        part.cancel()
        await asyncio.gather(part, return_exceptions=True)
        entries = await town.ledger.read(0, 1_000_000)
        names = dict.fromkeys(
            e.stream.removeprefix("incident/") for e in entries if e.stream.startswith("incident/")
        )
        incidents = [i for name in names if (i := await town.store.get(name)) is not None]
        verified = await town.ledger.verify()
        return Day(town.ledger, town.store, entries, incidents, verified, town.duty, town.crashes)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(day())
