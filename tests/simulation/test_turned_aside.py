"""A patrol turned aside for a fire behind closed airspace, flown whole: round it, and back."""

import asyncio
import json
from dataclasses import replace
from math import hypot
from pathlib import Path

import pytest
from shapely.geometry import LineString, Point, box

from domain.district import District
from domain.events import (
    Event,
    FlightProgressed,
    HazardRaised,
    LookConcluded,
    LookStarted,
    MissionDiverted,
    MissionEnded,
    MissionPlanned,
    MissionStepIntended,
)
from domain.hazard import Hazard, HazardKind
from domain.ids import derive
from domain.mission import Mission, MissionOutcome, MissionPurpose
from domain.place import Airspace, AirspaceKind, ErrorEllipse
from geo.frames import LocalFrame
from geo.shapes import local_geometry, local_to_area
from gridwing.demo import EPOCH, DemoOptions
from gridwing.inprocess import ENTRIES_LIMIT, Town
from runtime.clock import VirtualLoop
from runtime.topics import osd
from services.patrol.geojson import path_feature
from simulators.district import generate
from simulators.truth import truth_summary

LIVE_S = 1100.0
HAZARD_ID = derive("hazard", "turned-aside")
WALL_M = (160.0, -110.0, 200.0, 110.0)
TARGET_M = (380.0, 0.0)


class Scene:
    """The demo's first dock and the two nearest cells west of a wall of closed air; a fire east of
    it as soon as the wall stands between the patrol and the fire."""

    def __init__(self) -> None:
        whole = generate(7)
        dock, self.frame = whole.docks[0], LocalFrame(whole.origin)
        x, y = self.frame.to_local(dock.position.lat_deg, dock.position.lon_deg)
        self.wall = box(WALL_M[0] + x, WALL_M[1] + y, WALL_M[2] + x, WALL_M[3] + y)
        self.spot = (x + TARGET_M[0], y + TARGET_M[1])
        self.target = self.frame.to_position(*self.spot)
        shapes = {c.code: local_geometry(c.area, self.frame) for c in whole.cells}
        west = [c for c in whole.cells if shapes[c.code].bounds[2] < x + WALL_M[0] - 20.0]
        west.sort(
            key=lambda c: hypot(shapes[c.code].centroid.x - x, shapes[c.code].centroid.y - y)
        )
        area = local_to_area(self.wall, self.frame)
        self.district: District = replace(
            whole,
            docks=(dock,),
            drones=tuple(d for d in whole.drones if d.sn == dock.drone_sn),
            cells=tuple(west[:2]),
            sites=(),
            cameras=(),
            responders=(),
            airspaces=(Airspace("NF-WALL", "学校", AirspaceKind.NO_FLY, area, 0.0, 120.0),),
        )
        self.track: list[tuple[float, float]] = []
        self.raised_at: int | None = None

    async def follow_aircraft(self, town: Town) -> None:
        async with town.bus.subscribe([osd(self.district.docks[0].drone_sn)], 0) as messages:
            async for message in messages:
                data = json.loads(message.payload)["data"]
                if data.get("latitude") is None or data.get("longitude") is None:
                    continue
                self.track.append(self.frame.to_local(data["latitude"], data["longitude"]))
                if self.raised_at is None and await self.behind_the_wall(town):
                    self.raised_at = len(self.track)
                    await self.burn(town)

    async def behind_the_wall(self, town: Town) -> bool:
        if not LineString([self.track[-1], self.spot]).intersects(self.wall):
            return False
        entries = await town.ledger.read(0, ENTRIES_LIMIT)
        told = [e.event for e in entries if isinstance(e.event, FlightProgressed)]
        on_its_way = bool(told) and (told[-1].waypoint_index or 0) >= 2
        return on_its_way and told[-1].status == "in_progress"

    async def burn(self, town: Town) -> None:
        at = town.clock.now()
        hazard = Hazard(
            HAZARD_ID, HazardKind.FIRE, self.target,
            ErrorEllipse(5.0, 5.0, 0.0), 0.9, "camera", at, at, 5, 5, None, (), (), 0.0,
        )  # fmt: skip
        async with town.ledger.transaction() as tx:
            await tx.append(
                f"hazard/{hazard.hazard_id}", [HazardRaised(hazard)], at=at, actor="watch"
            )

    async def live(self, town: Town) -> list[Event]:
        following = asyncio.create_task(self.follow_aircraft(town))
        await town.run(LIVE_S)
        following.cancel()
        return [e.event for e in await town.ledger.read(0, ENTRIES_LIMIT)]


Flown = tuple[Scene, list[Event], Path]


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> Flown:
    scene, folder, loop = Scene(), tmp_path_factory.mktemp("aside"), VirtualLoop()
    try:
        town = Town(DemoOptions(folder), scene.district, loop.clock(EPOCH, 1.0), folder)
        return scene, loop.run_until_complete(scene.live(town)), folder
    finally:
        loop.close()


def look_of(events: list[Event]) -> Mission:
    return next(
        e.mission
        for e in events
        if isinstance(e, MissionPlanned) and e.mission.hazard_id == HAZARD_ID
    )


def test_the_patrol_is_turned_aside_from_turn_to_turn_looks_and_goes_on(flown: Flown) -> None:
    _, events, folder = flown
    look = look_of(events)
    assert look.turns
    assert look.turns_back == look.turns[::-1]
    assert not look.by_wayline
    assert path_feature(look)["geometry"]["type"] == "LineString"
    aside = next(
        e
        for e in events
        if isinstance(e, MissionDiverted) and e.for_mission_id == look.mission_id
    )
    assert aside.released_cells == ()
    own = [e for e in events if getattr(e, "mission_id", None) == look.mission_id]
    steps = [e.step for e in own if isinstance(e, MissionStepIntended)]
    there, back = len(look.turns) + 1, len(look.turns_back)
    camera = ["grab_payload", "look_at", "take_photo"]
    fly = "fly_to_point"
    assert steps == ["grab_authority", *[fly] * there, *camera, *[fly] * back]
    kinds = [type(e) for e in own if isinstance(e, LookStarted | LookConcluded | MissionEnded)]
    assert kinds == [LookStarted, LookConcluded, MissionEnded]
    ended = next(e for e in own if isinstance(e, MissionEnded))
    assert (ended.outcome, ended.reason) == (MissionOutcome.COMPLETED, "look_over")
    after = events[events.index(aside) :]
    of_patrol = [e for e in after if getattr(e, "mission_id", None) == aside.mission_id]
    told = [e.step for e in of_patrol if isinstance(e, MissionStepIntended)]
    assert told[:2] == ["pause", "recovery"]
    landed = next(e for e in of_patrol if isinstance(e, MissionEnded))
    assert (landed.outcome, landed.reason) == (MissionOutcome.COMPLETED, "dock_ok")
    assert truth_summary(folder / "simulators")["double_takeoffs"] == 0


def test_it_never_enters_the_closed_air_though_it_flies_behind_it(flown: Flown) -> None:
    scene, events, _ = flown
    assert scene.raised_at is not None
    spots = [Point(spot) for spot in scene.track]
    assert min(spot.distance(scene.wall) for spot in spots) > 8.0
    assert min(spot.distance(Point(scene.spot)) for spot in spots[scene.raised_at :]) < 15.0
    seen = [e for e in events if isinstance(e, MissionPlanned)]
    assert seen[0].mission.purpose is MissionPurpose.PATROL
