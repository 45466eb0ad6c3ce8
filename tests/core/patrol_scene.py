"""A small district, and a dock of the tests' own that counts take-offs, for patrol's tests."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shapely.geometry import box

from domain.clearance import ApplicationKind, FlightApplication, StandingApproval
from domain.device import Dock, Drone
from domain.district import District
from domain.events import FlightProgressed
from domain.place import Airspace, AirspaceKind, GridCell, Position
from geo.frames import LocalFrame
from geo.shapes import local_to_area
from runtime.bus import Bus, MemoryBus
from runtime.clock import Clock
from runtime.ledger import Ledger
from runtime.ledger_memory import MemoryLedger

EPOCH = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
ORIGIN = Position(22.54, 113.35)
FRAME = LocalFrame(ORIGIN)


def cell(code: str, x_m: float, y_m: float, size_m: float = 200.0, risk: float = 1.0) -> GridCell:
    area = local_to_area(box(x_m, y_m, x_m + size_m, y_m + size_m), FRAME)
    return GridCell(code, code, "442000004001", area, risk, 3600.0)


def dock_and_drone(number: int, x_m: float, y_m: float) -> tuple[Dock, Drone]:
    sn, drone_sn = f"DOCK{number}", f"DRONE{number}"
    at = FRAME.to_position(x_m, y_m)
    return (
        Dock(sn, sn, at, 20.0, drone_sn),
        Drone(drone_sn, drone_sn, "M3TD", sn, docked=True),
    )


def no_fly(x0: float, y0: float, x1: float, y1: float) -> Airspace:
    area = local_to_area(box(x0, y0, x1, y1), FRAME)
    return Airspace("NF1", "学校", AirspaceKind.NO_FLY, area, 0.0, 120.0)


def standing(*drone_sns: str) -> StandingApproval:
    """A year's approval whose take-off confirmation stands."""
    asked = FlightApplication(
        "application-standing",
        ApplicationKind.LONG_TERM,
        drone_sns,
        EPOCH - timedelta(days=30),
        EPOCH + timedelta(days=330),
        120.0,
        confirmation_needed=False,
    )
    return StandingApproval("ZS-2026-001", asked)


def district(docks: int = 1, cells: int = 4, airspaces: tuple[Airspace, ...] = ()) -> District:
    pairs = [dock_and_drone(i + 1, -150.0 + 700.0 * i, -100.0) for i in range(docks)]
    return District(
        code="442000004",
        name="西区街道",
        version=1,
        schematic=True,
        origin=ORIGIN,
        communities=(),
        cells=tuple(
            cell(f"4420000040010{i:02d}", 200.0 * (i % 4), 200.0 * (i // 4)) for i in range(cells)
        ),
        police_grids=(),
        sites=(),
        airspaces=airspaces,
        zones=(),
        docks=tuple(dock for dock, _ in pairs),
        drones=tuple(drone for _, drone in pairs),
        cameras=(),
        responders=(),
        approvals=(standing(*(drone.sn for _, drone in pairs)),),
    )


class Crash(Exception):
    """The process died here."""


@dataclass
class FragileBus(MemoryBus):
    """A memory bus that dies before or after the n-th command to a dock."""

    before: int | None = None
    after: int | None = None
    commands: int = 0

    def __post_init__(self) -> None:
        super().__init__()

    async def publish(self, topic: str, payload: bytes, qos: int = 1) -> None:
        if not topic.endswith("/services"):
            await super().publish(topic, payload, qos)
            return
        self.commands += 1
        if self.commands == self.before:
            raise Crash
        await super().publish(topic, payload, qos)
        if self.commands == self.after:
            raise Crash


class FragileLedger(MemoryLedger):
    """A memory ledger whose n-th patrol commit is the process's last deed."""

    def __init__(self) -> None:
        super().__init__()
        self.commits = 0
        self.die_after: int | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with super().transaction() as tx:
            yield tx
            wrote = any(row.actor == "patrol" for row in tx.rows)
        if wrote:
            self.commits += 1
            if self.commits == self.die_after:
                raise Crash


@dataclass
class CountingDock:
    """Answers services, counts take-offs, and tells the ledger of progress as ingest would."""

    sn: str
    bus: Bus
    ledger: Ledger
    clock: Clock
    home: Position
    drone_sn: str
    flight_s: float = 140.0
    deaf: Callable[[str], bool] = lambda _: False
    mute: Callable[[str], bool] = lambda _: False
    refuse: dict[str, int] = field(default_factory=dict)
    takeoffs: dict[str, int] = field(default_factory=dict)
    heard: list[tuple[str, str]] = field(default_factory=list)
    flying: str | None = None
    kind: str = ""
    paused: bool = False
    target: Position | None = None
    fly_to: str | None = None
    battery_pct: float = 95.0
    left_s: float = 0.0
    homing: bool = False
    files: list[dict[str, Any]] = field(default_factory=list)
    wind_m_s: float = 3.0
    drone_silent: bool = False

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._serve())
            tasks.create_task(self._live())

    async def _serve(self) -> None:
        filters = [f"thing/product/{self.sn}/services", f"thing/product/{self.sn}/requests_reply"]
        async with self.bus.subscribe(filters) as messages:
            async for message in messages:
                body = json.loads(message.payload)
                if message.topic.endswith("requests_reply"):
                    self.files.append(body["data"])
                    continue
                method = body["method"]
                if self.deaf(method):
                    continue
                self.heard.append((method, body["tid"]))
                result = self.refuse.get(method, 0)
                if result == 0:
                    result = await self._do(method, body["data"])
                if not self.mute(method):
                    reply = {"tid": body["tid"], "bid": body["bid"], "data": {"result": result}}
                    await self.bus.publish(
                        f"thing/product/{self.sn}/services_reply", json.dumps(reply).encode()
                    )

    async def _do(self, method: str, data: dict[str, Any]) -> int:
        if method in ("flighttask_execute", "takeoff_to_point"):
            if self.flying is not None:
                return 319001
            flight_id = data["flight_id"]
            self.takeoffs[flight_id] = self.takeoffs.get(flight_id, 0) + 1
            self.flying, self.kind, self.left_s = flight_id, method, self.flight_s
            self.homing = self.paused = False
            if method == "flighttask_execute":
                ask = {"tid": "r1", "bid": "r1", "method": "flighttask_resource_get"}
                body = {**ask, "data": {"flight_id": flight_id}}
                topic = f"thing/product/{self.sn}/requests"
                await self.bus.publish(topic, json.dumps(body).encode())
            else:
                self.target = Position(data["target_latitude"], data["target_longitude"])
        elif method == "flighttask_prepare":
            return 319001 if self.flying is not None else 0
        elif method == "flighttask_undo":
            return 319001 if self.flying in data["flight_ids"] else 0
        elif self.flying is None:
            return 325012
        elif method == "flighttask_pause":
            self.paused = True
        elif method == "flighttask_recovery":
            if not self.paused:
                return 325012
            self.paused, self.fly_to = False, None
        elif method == "fly_to_point":
            self.fly_to = data["fly_to_id"]
            point = data["points"][0]
            self.target = Position(point["latitude"], point["longitude"])
        elif method == "return_home":
            self.homing, self.left_s = True, 60.0
        elif method == "return_home_cancel":
            if not self.homing:
                return 325012
            self.homing, self.paused = False, True
        return 0

    async def _live(self) -> None:
        while True:
            await self._say()
            await self.clock.sleep(2.0)
            if self.flying is not None:
                await self._fly()

    async def _fly(self) -> None:
        assert self.flying is not None
        self.battery_pct -= 0.1
        look = self.kind == "takeoff_to_point"
        moving = not self.paused and not (look and self.left_s <= self.flight_s / 2)
        if moving or self.homing:
            self.left_s -= 2.0
        if self.fly_to is not None:
            await self.progress(self.fly_to, "wayline_ok", None)
        elif self.left_s <= 0.0:
            done = "task_finish" if look else ("partially_done" if self.homing else "ok")
            flown, self.flying = self.flying, None
            await self.progress(flown, done, None)
        elif look:
            await self.progress(self.flying, "wayline_progress" if moving else "wayline_ok", None)
        elif not self.homing:
            await self.progress(self.flying, "paused" if self.paused else "in_progress", 25)

    async def progress(self, flight_id: str, status: str, step: int | None) -> None:
        at = self.clock.now()
        event = FlightProgressed(flight_id, self.sn, status, step, None, 1, None, 0, at)
        async with self.ledger.transaction() as tx:
            await tx.append(f"flight/{flight_id}", [event], at=at, actor="ingest")

    async def _say(self) -> None:
        idle = self.flying is None
        dock = {
            "mode_code": 0 if idle else 4,
            "drone_in_dock": int(idle),
            "wind_speed": self.wind_m_s,
            "rainfall": 0,
            "drone_charge_state": {"state": 1, "capacity_percent": int(self.battery_pct)},
        }
        drone = {
            "latitude": self.home.lat_deg,
            "longitude": self.home.lon_deg,
            "battery": {"capacity_percent": int(self.battery_pct)},
            "mode_code": 0 if idle else (9 if self.homing else 5),
        }
        for sn, data in ((self.sn, dock), (self.drone_sn, drone)):
            if sn == self.drone_sn and self.drone_silent:
                continue
            body = json.dumps({"data": data}).encode()
            await self.bus.publish(f"thing/product/{sn}/osd", body, 0)
