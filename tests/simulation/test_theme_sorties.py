"""A theme's sortie flown whole by the simulated dock: at its height, its camera tilted, its cells
seen by the pictures; and a simulated day in which themes let no cell wait beyond its floor."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from math import hypot
from pathlib import Path

import pytest
from shapely.geometry import box

from domain.district import District
from domain.events import CellSeen, Event, MissionEnded, MissionPlanned
from domain.hazard import HazardKind
from domain.mission import MissionOutcome, MissionPurpose
from domain.place import Zone, ZoneKind
from geo.frames import LocalFrame
from geo.shapes import local_geometry, local_to_area
from gridwing.demo import EPOCH, DemoOptions
from gridwing.inprocess import ENTRIES_LIMIT, Town
from runtime.clock import VirtualLoop
from runtime.topics import osd
from services.patrol import schedule, theme_sorties
from services.patrol.demand import CellVisits
from services.patrol.fleet.judge import judge
from services.patrol.fleet.timetable import PlannedSortie, Timetable, shown
from services.patrol.geojson import path_feature
from services.patrol.plan import PatrolGround
from services.patrol.policy import PatrolPolicy
from services.patrol.schedule import Standing, Wanted
from services.patrol.theme_sorties import ThemeTurn
from services.patrol.themes import Theme, load_themes
from simulators.district import generate
from simulators.truth import truth_summary
from tests.core.patrol_scene import FRAME, district

LIVE_S = 1100.0
HOURS = 8.0
THEMES = {t.code: t for t in load_themes()}


class Scene:
    """The demo's first dock and its two nearest cells; buildings are registered in the nearer."""

    def __init__(self) -> None:
        whole = generate(7)
        dock, frame = whole.docks[0], LocalFrame(whole.origin)
        x, y = frame.to_local(dock.position.lat_deg, dock.position.lon_deg)
        middles = {c.code: local_geometry(c.area, frame).centroid for c in whole.cells}
        near = sorted(
            whole.cells, key=lambda c: hypot(middles[c.code].x - x, middles[c.code].y - y)
        )
        middle = middles[near[0].code]
        spot = box(middle.x - 5.0, middle.y - 5.0, middle.x + 5.0, middle.y + 5.0)
        self.cell_code = near[0].code
        self.district: District = replace(
            whole,
            docks=(dock,),
            drones=tuple(d for d in whole.drones if d.sn == dock.drone_sn),
            cells=tuple(near[:2]),
            sites=(),
            cameras=(),
            responders=(),
            airspaces=(),
            zones=(Zone("Z-B", ZoneKind.BUILDING, local_to_area(spot, frame)),),
        )
        self.told: list[tuple[float, float]] = []

    async def follow_aircraft(self, town: Town) -> None:
        async with town.bus.subscribe([osd(self.district.docks[0].drone_sn)], 0) as messages:
            async for message in messages:
                data = json.loads(message.payload)["data"]
                pitches = [v["gimbal_pitch"] for v in data.values() if _has_gimbal(v)]
                if pitches and data.get("elevation") is not None:
                    self.told.append((float(data["elevation"]), float(pitches[0])))

    async def live(self, town: Town) -> list[Event]:
        following = asyncio.create_task(self.follow_aircraft(town))
        await town.run(LIVE_S)
        following.cancel()
        return [e.event for e in await town.ledger.read(0, ENTRIES_LIMIT)]


def _has_gimbal(value: object) -> bool:
    return isinstance(value, dict) and "gimbal_pitch" in value


@pytest.fixture(scope="module")
def flown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Scene, list[Event], Path]:
    scene, folder, loop = Scene(), tmp_path_factory.mktemp("theme"), VirtualLoop()
    try:
        town = Town(DemoOptions(folder), scene.district, loop.clock(EPOCH + timedelta(hours=2.0), 1.0), folder)
        return scene, loop.run_until_complete(scene.live(town)), folder
    finally:
        loop.close()


def test_a_theme_is_flown_at_its_height_with_its_camera_and_its_cells_are_seen(
    flown: tuple[Scene, list[Event], Path],
) -> None:
    scene, events, folder = flown
    mission = next(e.mission for e in events if isinstance(e, MissionPlanned) and e.mission.theme)
    assert mission.theme is not None
    assert (mission.purpose, mission.reason) == (MissionPurpose.PATROL, "theme_due")
    assert (mission.theme.code, mission.theme.name) == ("building_change", "存量农房/违建")
    assert mission.theme.kinds == (HazardKind.ILLEGAL_STRUCTURE,)
    assert mission.cell_codes == (scene.cell_code,)
    assert {w.height_rel_m for w in mission.wayline.waypoints} == {105.0}
    assert path_feature(mission)["properties"]["theme"]["name"] == "存量农房/违建"
    ended = next(
        e for e in events if isinstance(e, MissionEnded) and e.mission_id == mission.mission_id
    )
    assert (ended.outcome, ended.reason) == (MissionOutcome.COMPLETED, "dock_ok")
    seen = [e for e in events if isinstance(e, CellSeen) and e.flight_id == mission.mission_id]
    assert scene.cell_code in {e.cell_code for e in seen}
    over = [pitch for height, pitch in scene.told if abs(height - 105.0) < 2.0]
    assert over
    assert -75.0 in over
    assert truth_summary(folder / "simulators")["double_takeoffs"] == 0
