"""Theme patrols: which cells, when, how high; and plans made for one theme alone."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from shapely.geometry import box

from domain.place import Zone, ZoneKind
from geo.shapes import local_to_area
from services.patrol import schedule
from services.patrol.fleet.timetable import Timetable, shown
from services.patrol.plan import PatrolGround
from services.patrol.policy import PatrolPolicy
from services.patrol.schedule import Standing, Wanted
from services.patrol.themes import cells_of, factors, load_themes, read_themes
from tests.core.patrol_scene import EPOCH, FRAME, district

RIVER = Zone("Z1", ZoneKind.RIVER, local_to_area(box(450.0, 50.0, 550.0, 150.0), FRAME))
SCENE = replace(district(cells=8), zones=(RIVER,))
THEMES = {t.code: t for t in load_themes()}
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
    told = shown(found)
    assert told["docks"][0]["sorties"][0]["cell_codes"] == ["442000004001002"]
    assert told["lower_bound"] <= told["worst_idleness"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (('near = ["river"]', 'near = ["canal"]'), "near"),
        (("height_agl_m = 60.0", "height_agl_m = 600.0"), "height_agl_m"),
        (("factor = 1.5", "factor = 0.0"), "factor"),
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
