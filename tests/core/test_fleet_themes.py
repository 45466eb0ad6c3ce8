"""Theme patrols: which cells, when, how high; and plans made for one theme alone."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from shapely.geometry import box

from domain.mission import Mission, MissionPurpose
from domain.place import Zone, ZoneKind
from geo.camera import Lens, ground_footprint
from geo.shapes import local_to_area
from services.patrol import schedule
from services.patrol.aircraft.wpml import airframe, kmz
from services.patrol.demand import CellVisits
from services.patrol.fleet.timetable import Timetable
from services.patrol.plan import PatrolGround, sortie_of, wayline
from services.patrol.plan_shown import shown
from services.patrol.policy import PatrolPolicy
from services.patrol.schedule import Standing, Wanted
from services.patrol.sites import load_site_rules
from services.patrol.theme_sorties import ThemeTurn, plan
from services.patrol.themes import cells_of, factors, load_themes, read_themes
from services.patrol.way_home import wanted_rel_m
from simulators.wayline import read_kmz
from tests.core.patrol_scene import EPOCH, FRAME, district

RIVER = Zone("Z1", ZoneKind.RIVER, local_to_area(box(450.0, 50.0, 550.0, 150.0), FRAME))
SCENE = replace(district(cells=8), zones=(RIVER,))
THEMES = {t.code: t for t in load_themes()}
STANDING = Standing(SCENE.docks[0], SCENE.drones[0], 95.0)
MORNING = datetime(2026, 3, 1, 1, 0, tzinfo=UTC)


def test_the_six_themes_are_there() -> None:
    assert {t.name for t in load_themes()} == {
        "河涌", "存量农房/违建", "暴露垃圾", "工地", "消防通道", "防汛"
    }  # fmt: skip


def test_a_theme_chooses_the_cells_it_is_about() -> None:
    assert cells_of(THEMES["river"], SCENE) == {"442000004001002"}
    assert cells_of(THEMES["works"], SCENE) == frozenset()


def test_hours_and_rain_turn_themes_on() -> None:
    cells = {code: cells_of(t, SCENE) for code, t in THEMES.items()}
    assert factors(load_themes(), cells, MORNING, 0) == {"442000004001002": 1.5}
    assert factors(load_themes(), cells, MORNING, 1) == {"442000004001002": 3.0}
    night = MORNING.replace(hour=15)
    assert factors(load_themes(), cells, night, 0) == {}


def test_a_plan_for_one_theme_flies_its_cells_at_its_height() -> None:
    whole = PatrolGround(SCENE, PatrolPolicy())
    ground = schedule.themed(whole, THEMES["river"])
    standing = Standing(SCENE.docks[0], SCENE.drones[0], 95.0)
    found = schedule.plan(ground, [standing], Wanted({}, {}, {}), EPOCH)
    assert isinstance(found, Timetable)
    assert {c for s in found.sorties for c in s.cell_codes} == {"442000004001002"}
    assert {s.height_agl_m for s in found.sorties} == {75.0}
    told = shown(found, whole, load_site_rules(), {})
    assert told["docks"][0]["sorties"][0]["cell_codes"] == ["442000004001002"]
    assert told["lower_bound"] <= told["worst_idleness"]


def test_a_tilted_camera_goes_to_the_aircraft_and_its_lines_are_closer() -> None:
    whole = PatrolGround(SCENE, PatrolPolicy())
    drone = SCENE.drones[0]
    theme = replace(THEMES["river"], gimbal_pitch_deg=-75.0)
    down, tilted = (schedule.themed(whole, t) for t in (THEMES["river"], theme))
    lens = Lens(8.0, 6.0, 4.0 / math.tan(math.radians(drone.hfov_deg) / 2.0))
    for ground, pitch_deg in ((down, -90.0), (tilted, -75.0)):
        seen_m = ground_footprint(lens, 75.0, pitch_deg).width_m
        assert ground.swath_m(drone) == pytest.approx(seen_m * 0.8)
    made = schedule.plan(tilted, [STANDING], Wanted({}, {}, {}), EPOCH)
    assert isinstance(made, Timetable)
    line = wayline(tilted, drone, sortie_of(tilted, drone, made.sorties[0]))
    assert {w.height_rel_m for w in line.waypoints} == {75.0}
    mission = Mission(
        "m", MissionPurpose.PATROL, SCENE.docks[0].sn, drone.sn, EPOCH, (), line,
        theme=theme.of_mission(),
    )  # fmt: skip
    frame = airframe(drone.model)
    assert frame is not None
    read = read_kmz(kmz(mission, frame, tilted.model(drone)))
    assert {(p.height_m, p.pitch_deg) for p in read.points} == {(75.0, -75.0)}
    # It comes home over the patrols at 90 m, not 10 m over its own height.
    assert wanted_rel_m(mission, whole.policy) == 100.0


def test_a_low_battery_or_a_turn_just_had_sends_nobody_for_a_theme() -> None:
    whole = PatrolGround(SCENE, PatrolPolicy())
    turn = ThemeTurn(THEMES["river"], schedule.themed(whole, THEMES["river"]), {})
    wanted = Wanted({}, {}, {})

    def themes(rested: set[str], standing: Standing, turn: ThemeTurn) -> set[str]:
        made = plan(whole, [standing], wanted, [turn], rested, EPOCH)
        assert isinstance(made, Timetable)
        return {s.theme.code for s in made.sorties if s.theme is not None}

    home = {STANDING.dock.sn}
    assert themes(home, STANDING, turn) == {"river"}
    assert themes(set(), STANDING, turn) == set()
    assert themes(home, replace(STANDING, battery_pct=20.0), turn) == set()
    lately = CellVisits(EPOCH - timedelta(hours=1), EPOCH - timedelta(hours=1), 1)
    fresh = replace(turn, visits={"442000004001002": lately})
    assert themes(home, STANDING, fresh) == set()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (('near = ["river"]', 'near = ["canal"]'), "near"),
        (("height_agl_m = 60.0", "height_agl_m = 600.0"), "height_agl_m"),
        (("factor = 1.5", "factor = 0.0"), "factor"),
        (("revisit_s = 3600.0", "revisit_s = 60.0"), "revisit_s"),
        (("revisit_s", "gimbal_pitch_deg = -45.0\nrevisit_s"), "gimbal_pitch_deg"),
        (('camera = "wide"', 'camera = "zoom"'), "camera"),
        (('kinds = ["floating_debris"]', 'kinds = ["ufo"]'), "kinds"),
    ],
)
def test_a_theme_that_does_not_fit_is_refused(change: tuple[str, str], field: str) -> None:
    text = (
        '[t]\nname = "t"\nnear = ["river"]\nkinds = ["floating_debris"]\nhours = [0, 24]\n'
        'height_agl_m = 60.0\ncamera = "wide"\nfactor = 1.5\nrevisit_s = 3600.0\n'
    )
    assert read_themes(text)[0].code == "t"
    with pytest.raises(ValueError, match=field):
        read_themes(text.replace(*change))
