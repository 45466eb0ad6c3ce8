"""A theme's sortie flown whole by the simulated dock: at its height, its camera tilted, its cells
seen by the pictures; and a simulated day in which themes let no cell wait beyond its floor."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import hypot
from pathlib import Path
from typing import Any

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
from services.patrol.fleet.timetable import PlannedSortie, Timetable
from services.patrol.geojson import path_feature
from services.patrol.plan import PatrolGround
from services.patrol.plan_shown import shown
from services.patrol.policy import PatrolPolicy
from services.patrol.schedule import Standing, Wanted
from services.patrol.sites import load_site_rules
from services.patrol.theme_sorties import ThemeTurn
from services.patrol.themes import load_themes
from simulators.district import generate
from simulators.truth import truth_summary
from tests.core.patrol_scene import FRAME, district

LIVE_S = 1100.0
HOURS = 6.0
DAY = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)
"""09:00 in the district."""
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
        self.height_m = 0.0
        self.told: list[tuple[float, float]] = []

    async def follow_aircraft(self, town: Town) -> None:
        async with town.bus.subscribe([osd(self.district.docks[0].drone_sn)], 0) as messages:
            async for message in messages:
                data = json.loads(message.payload)["data"]
                if data.get("elevation") is not None:
                    self.height_m = float(data["elevation"])
                pitches = [v["gimbal_pitch"] for v in data.values() if _has_gimbal(v)]
                self.told += [(self.height_m, float(pitch)) for pitch in pitches]

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
        clock = loop.clock(EPOCH + timedelta(hours=2.0), 1.0)
        town = Town(DemoOptions(folder), scene.district, clock, folder)
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
    assert mission.theme.kinds == (HazardKind.ILLEGAL_STRUCTURE, HazardKind.LAND_CHANGE)
    assert mission.cell_codes == (scene.cell_code,)
    assert {w.height_rel_m for w in mission.wayline.waypoints} == {105.0}
    assert path_feature(mission)["properties"]["theme"]["name"] == "存量农房/违建"
    ended = next(
        e for e in events if isinstance(e, MissionEnded) and e.mission_id == mission.mission_id
    )
    assert (ended.outcome, ended.reason) == (MissionOutcome.COMPLETED, "dock_ok")
    seen = [e for e in events if isinstance(e, CellSeen) and e.flight_id == mission.mission_id]
    assert scene.cell_code in {e.cell_code for e in seen}
    assert -75.0 in [pitch for height_m, pitch in scene.told if abs(height_m - 105.0) < 2.0]
    assert truth_summary(folder / "simulators")["double_takeoffs"] == 0


def _zone(
    code: str, kind: ZoneKind, x0: float, y0: float, x1: float, y1: float
) -> Zone:
    return Zone(code, kind, local_to_area(box(x0, y0, x1, y1), FRAME))


class FleetDay:
    """Two docks, sixteen cells, a river through three of them and buildings in two others; planned
    anew every five minutes with what is known then."""

    def __init__(self, policy: PatrolPolicy) -> None:
        zones = (
            _zone("Z-R", ZoneKind.RIVER, 250.0, 50.0, 750.0, 150.0),
            _zone("Z-B", ZoneKind.BUILDING, 150.0, 650.0, 250.0, 750.0),
        )
        self.policy = policy
        self.ground = PatrolGround(replace(district(docks=2, cells=16), zones=zones), policy)
        on = (THEMES["river"], THEMES["building_change"])
        self.grounds = {t.code: schedule.themed(self.ground, t) for t in on}
        drones = {d.sn: d for d in self.ground.district.drones}
        self.standing = [Standing(d, drones[d.drone_sn], 95.0) for d in self.ground.district.docks]
        self.free = {s.dock.sn: (0.0, 95.0) for s in self.standing}
        self.visits: dict[str, CellVisits] = {}
        self.for_theme: dict[str, dict[str, CellVisits]] = {code: {} for code in self.grounds}
        self.seen_s: dict[str, list[float]] = {code: [0.0] for code in self.ground.cells}
        self.flown: list[PlannedSortie] = []
        self.tables: list[Timetable] = []

    def live(self, until_s: float) -> None:
        now_s = 0.0
        while now_s < until_s:
            at = DAY + timedelta(seconds=now_s)
            table = self._plan(now_s, at)
            self.tables.append(table)
            for standing in self.standing:
                sortie = schedule.due(table, standing.dock.sn, at, self.policy.leave_early_s)
                if sortie is not None and self._apart(sortie.delayed(now_s), now_s):
                    self._fly(standing, sortie.delayed(now_s))
            now_s += self.policy.replan_s

    def _plan(self, now_s: float, at: datetime) -> Timetable:
        in_air = [s for s in self.flown if s.lands_s > now_s]
        fleet = [self._now(s, now_s) for s in self.standing]
        wanted = Wanted(
            self.visits, {c: s.lands_s - now_s for s in in_air for c in s.cell_codes}, {}
        )
        turns = [
            ThemeTurn(
                THEMES[code],
                ground,
                self.for_theme[code],
                frozenset(c for s in in_air if _flies_for(s, code) for c in s.cell_codes),
            )
            for code, ground in self.grounds.items()
            if THEMES[code].is_on(at, 0)
        ]
        last = {s.dock_sn: s.theme for s in self.flown}
        rested = [sn for sn in self.free if last.get(sn) is None]
        made = theme_sorties.plan(self.ground, fleet, wanted, turns, rested, at)
        assert isinstance(made, Timetable), made
        return made

    def _apart(self, sortie: PlannedSortie, now_s: float) -> bool:
        """Tell whether it keeps from what is in the air, as the gate asks; else it waits."""
        in_air = [s for s in self.flown if s.lands_s > now_s]
        aircraft = [schedule.aircraft(self.ground, s) for s in self.standing]
        found = judge([*in_air, sortie], aircraft, schedule.rules(self.ground)).violations
        return not any(v.code == "too_near" for v in found)

    def _now(self, standing: Standing, now_s: float) -> Standing:
        free_s, battery_pct = self.free[standing.dock.sn]
        if free_s > now_s:
            return replace(standing, battery_pct=battery_pct, busy_s=free_s - now_s)
        rest_s = max(0.0, free_s + self.policy.turnaround_s - now_s) if free_s else 0.0
        return replace(standing, battery_pct=self._charge(standing, now_s), busy_s=rest_s)

    def _charge(self, standing: Standing, at_s: float) -> float:
        free_s, battery_pct = self.free[standing.dock.sn]
        rested_s = max(0.0, at_s - free_s - (self.policy.turnaround_s if free_s else 0.0))
        return min(100.0, battery_pct + rested_s * self.policy.charge_pct_s)

    def _fly(self, standing: Standing, sortie: PlannedSortie) -> None:
        policy = self.policy
        self.flown.append(sortie)
        used_s = (sortie.lands_s - sortie.leaves_s) * policy.time_margin + policy.climb_and_land_s
        left_pct = self._charge(standing, sortie.leaves_s)
        left_pct -= 100.0 * used_s / standing.drone.endurance_s
        self.free[standing.dock.sn] = (sortie.lands_s, left_pct)
        for visit in sortie.visits:
            code, when = visit.task_id, DAY + timedelta(seconds=visit.ends_s)
            self.seen_s[code].append(visit.ends_s)
            known = self.visits.get(code, CellVisits())
            if sortie.theme is None:
                self.visits[code] = CellVisits(when, when, known.flown_count + 1)
                continue
            self.visits[code] = replace(known, seen_at=when)
            own = self.for_theme[sortie.theme.code]
            count = own.get(code, CellVisits()).flown_count + 1
            own[code] = CellVisits(when, when, count)


def _shown(day: FleetDay, table: Timetable) -> dict[str, Any]:
    return shown(table, day.ground, load_site_rules(), {})


def _flies_for(sortie: PlannedSortie, code: str) -> bool:
    return sortie.theme is not None and sortie.theme.code == code


def test_a_day_of_themes_in_which_no_cell_waits_beyond_its_floor() -> None:
    policy, until_s = PatrolPolicy(), HOURS * 3600.0
    day = FleetDay(policy)
    day.live(until_s)
    aircraft = [schedule.aircraft(day.ground, s) for s in day.standing]
    verdict = judge(day.flown, aircraft, schedule.rules(day.ground))
    assert verdict.violations == ()
    assert min(f.battery_after_pct for f in verdict.flown) >= 25.0
    for code, theme in THEMES.items():
        own = [s for s in day.flown if _flies_for(s, code)]
        assert {s.height_agl_m for s in own} <= {theme.height_agl_m}
        assert bool(own) == (code in day.grounds)
    for code, ground in day.grounds.items():
        # Each cell as often as its interval asks, one landing and one turn of its dock late.
        rounds = until_s // (THEMES[code].revisit_s + 3600.0) or 1
        assert set(day.for_theme[code]) == set(ground.cells)
        assert min(v.flown_count for v in day.for_theme[code].values()) >= rounds
        assert max(v.flown_count for v in day.for_theme[code].values()) <= rounds + 2
    gaps = {
        code: max(b - a for a, b in zip(times, [*times[1:], until_s], strict=True))
        for code, times in day.seen_s.items()
    }
    assert max(gaps.values()) <= policy.floor_revisits * 3600.0, gaps
    docks = [d for t in day.tables for d in _shown(day, t)["docks"]]
    told = [s for d in docks for s in d["sorties"] if s["theme"]]
    assert {s["theme"]["name"] for s in told} == {"河涌", "存量农房/违建"}
    kept = [s for s in day.flown if s.theme is None]
    assert {s.height_agl_m for s in kept} == {policy.height_agl_m}


def test_themes_fly_nothing_where_a_cell_would_wait_beyond_its_floor() -> None:
    names = []
    for policy in (PatrolPolicy(), PatrolPolicy(floor_revisits=0.6)):
        day = FleetDay(policy)
        day.live(policy.replan_s)
        assert day.tables[0].sorties
        names.append({s.theme.name for s in day.tables[0].sorties if s.theme is not None})
    assert names in ([{"河涌"}, set()], [{"存量农房/违建"}, set()])
