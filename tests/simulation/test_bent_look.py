"""A look whose straight way is closed, flown whole: planned, judged by pictures, and home again."""

import asyncio
import json
from dataclasses import replace
from math import hypot
from pathlib import Path

import pytest
from shapely.geometry import Point, box

from domain.district import District
from domain.events import (
    Event,
    LookConcluded,
    LookStarted,
    MissionEnded,
    MissionPlanned,
    MissionStepIntended,
    VerificationRequested,
)
from domain.hazard import HazardKind
from domain.mission import LookOutcome, MissionOutcome, MissionPurpose
from domain.place import Airspace, AirspaceKind, Position
from geo.frames import LocalFrame
from geo.shapes import local_geometry, local_to_area
from gridwing.demo import EPOCH, DemoOptions
from gridwing.inprocess import ENTRIES_LIMIT, Town
from runtime.clock import VirtualLoop
from runtime.topics import osd
from services.patrol.geojson import path_feature
from simulators.district import generate
from simulators.truth import truth_summary

LIVE_S = 700.0
TARGET_M = (380.0, 0.0)
WALL_M = (160.0, -110.0, 200.0, 110.0)


class Scene:
    """The demo's first dock and its two nearest cells, with a wall of closed air east of it."""

    def __init__(self) -> None:
        whole = generate(7)
        dock, self.frame = whole.docks[0], LocalFrame(whole.origin)
        x, y = self.frame.to_local(dock.position.lat_deg, dock.position.lon_deg)
        self.wall = box(WALL_M[0] + x, WALL_M[1] + y, WALL_M[2] + x, WALL_M[3] + y)
        self.target = self.frame.to_position(x + TARGET_M[0], y + TARGET_M[1])
        middles = {c.code: local_geometry(c.area, self.frame).centroid for c in whole.cells}
        near = sorted(
            whole.cells, key=lambda c: hypot(middles[c.code].x - x, middles[c.code].y - y)
        )
        area = local_to_area(self.wall, self.frame)
        self.district: District = replace(
            whole,
            docks=(dock,),
            drones=tuple(d for d in whole.drones if d.sn == dock.drone_sn),
            cells=tuple(near[:2]),
            sites=(),
            cameras=(),
            responders=(),
            airspaces=(Airspace("NF-WALL", "学校", AirspaceKind.NO_FLY, area, 0.0, 120.0),),
        )
        self.track: list[Position] = []
        self.home_again = 0

    async def follow_aircraft(self, town: Town) -> None:
        async with town.bus.subscribe([osd(self.district.docks[0].drone_sn)], 0) as messages:
            async for message in messages:
                if not self.home_again and (await self.ended(town)):
                    self.home_again = len(self.track)
                data = json.loads(message.payload)["data"]
                if data.get("latitude") is not None and data.get("longitude") is not None:
                    self.track.append(Position(data["latitude"], data["longitude"]))

    async def ended(self, town: Town) -> bool:
        entries = await town.ledger.read(0, ENTRIES_LIMIT)
        return any(isinstance(e.event, MissionEnded) for e in entries)

    async def live(self, town: Town) -> list[Event]:
        asked = VerificationRequested("i1", HazardKind.FIRE, self.target, 1)
        async with town.ledger.transaction() as tx:
            await tx.append("incident/i1", [asked], at=town.clock.now(), actor="alerts")
        following = asyncio.create_task(self.follow_aircraft(town))
        await town.run(LIVE_S)
        following.cancel()
        return [e.event for e in await town.ledger.read(0, ENTRIES_LIMIT)]


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scene, list[Event], Path]:
    scene, folder, loop = Scene(), tmp_path_factory.mktemp("bent"), VirtualLoop()
    try:
        town = Town(DemoOptions(folder), scene.district, loop.clock(EPOCH, 1.0), folder)
        return scene, loop.run_until_complete(scene.live(town)), folder
    finally:
        loop.close()


def test_it_is_flown_round_looked_at_and_ends_complete(
    flown: tuple[Scene, list[Event], Path],
) -> None:
    _, events, folder = flown
    mission = next(
        e.mission
        for e in events
        if isinstance(e, MissionPlanned) and e.mission.purpose is MissionPurpose.VERIFY
    )
    assert mission.by_wayline
    assert path_feature(mission)["geometry"]["type"] == "LineString"
    own = [e for e in events if getattr(e, "mission_id", None) == mission.mission_id]
    steps = [e.step for e in own if isinstance(e, MissionStepIntended)]
    assert steps == ["prepare", "execute"]
    assert [type(e) for e in own if isinstance(e, LookStarted | LookConcluded | MissionEnded)] == [
        LookStarted,
        LookConcluded,
        MissionEnded,
    ]
    verdict = next(e for e in own if isinstance(e, LookConcluded))
    assert verdict.outcome is LookOutcome.REFUTED
    ended = next(e for e in own if isinstance(e, MissionEnded))
    assert (ended.outcome, ended.reason) == (MissionOutcome.COMPLETED, "dock_ok")
    assert truth_summary(folder / "simulators")["double_takeoffs"] == 0


def test_it_never_enters_the_closed_air_and_comes_home(
    flown: tuple[Scene, list[Event], Path],
) -> None:
    scene, _, _ = flown
    assert scene.home_again > 100
    look = scene.track[: scene.home_again]
    spots = [Point(scene.frame.to_local(p.lat_deg, p.lon_deg)) for p in look]
    assert min(spot.distance(scene.wall) for spot in spots) > 10.0
    target = Point(scene.frame.to_local(scene.target.lat_deg, scene.target.lon_deg))
    assert min(spot.distance(target) for spot in spots) < 15.0
    assert spots[-1].distance(spots[0]) < 5.0
