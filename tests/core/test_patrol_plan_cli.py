"""`gridwing patrol-plan DISTRICT.json`: a plan for people, and for programs."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from domain.codec import to_plain
from domain.district import District
from domain.place import Site, SiteKind
from gridwing.cli import main
from services.patrol import schedule
from services.patrol.fleet.timetable import LeftOut, Timetable
from services.patrol.plan import PatrolGround
from services.patrol.plan_shown import shown
from services.patrol.policy import PatrolPolicy
from services.patrol.schedule import Standing, Wanted
from services.patrol.sites import errands, load_site_rules
from tests.core.patrol_scene import EPOCH, FRAME, cell, district, no_fly

SCHOOL = Site("S1", "西区小学", SiteKind.SCHOOL, FRAME.to_position(250.0, 150.0))
MARKET = Site("S2", "沙朗市场", SiteKind.MARKET, FRAME.to_position(350.0, -150.0))
FAR = cell("442000004001099", 30_000.0, 0.0)
DISTRICT = replace(
    district(docks=2, airspaces=(no_fly(300.0, -200.0, 400.0, -100.0),)),
    cells=(*district().cells, FAR),
    sites=(SCHOOL, MARKET),
)


def typed(tmp_path: Path, here: District, *words: str) -> Result:
    file = tmp_path / "district.json"
    plain = {k: v for k, v in to_plain(here).items() if k not in ("cameras", "responders")}
    file.write_text(json.dumps(plain), encoding="utf-8")
    at = ("--at", "2026-03-01T09:00:00+08:00")
    return CliRunner().invoke(main, ["patrol-plan", str(file), *at, *words])


def test_it_tells_who_flies_what_when_and_how_good_that_is(tmp_path: Path) -> None:
    done = typed(tmp_path, DISTRICT)
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == "made 2026-03-01 09:00:00 +0800 for 7200 s"
    assert "no plan is below" in lines[1]
    assert any(line.strip().startswith("09:") and " at 90 m: cells " in line for line in lines)
    assert any("442000004001099 out_of_range: " in line and "DOCK1" in line for line in lines)
    school = next(line for line in lines if "西区小学" in line)
    assert re.fullmatch(r"  S1 西区小学: \d\d:\d\d:\d\d by DRONE[12]", school)
    assert any(line.strip() == "S2 沙朗市场: closed_airspace, due 09:00:00" for line in lines)


def test_json_is_what_the_server_gives(tmp_path: Path) -> None:
    told = json.loads(typed(tmp_path, DISTRICT, "--json").stdout)
    assert told["worst_idleness"] >= told["lower_bound"] > 0.0
    assert [o["code"] for o in told["left_out"]] == ["out_of_range"]
    school, market = told["sites"]
    assert (school["name"], school["why"], school["visited_at"]) == ("西区小学", None, None)
    assert school["position"]["lat_deg"] == pytest.approx(SCHOOL.position.lat_deg)
    sortie = next(s for d in told["docks"] for s in d["sorties"] if "S1" in s["site_codes"])
    assert school["drone_sn"] == sortie["drone_sn"]
    visit = next(v for v in sortie["visits"] if v["task_id"] == "S1")
    assert school["next_visit_at"] == visit["starts_at"]
    assert sortie["leaves_at"] < visit["starts_at"] < visit["ends_at"] < sortie["lands_at"]
    assert (market["next_visit_at"], market["why"]) == (None, "closed_airspace")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"docks": ()}, "no_docks"),
        ({"cells": (FAR,), "sites": ()}, "nothing_due"),
        ({"drones": ()}, "drone_without_dock"),
    ],
)
def test_where_there_is_no_plan_the_reason_is_told(
    tmp_path: Path, change: dict[str, object], code: str
) -> None:
    here = replace(DISTRICT, **change)  # type: ignore[arg-type]
    done = typed(tmp_path, here, "--json")
    assert (done.exit_code, json.loads(done.stdout)["refused"]["code"]) == (2, code)
    assert code in typed(tmp_path, here).stderr


@pytest.mark.parametrize("text", ["[]", "{", '{"code": 3}'])
def test_a_file_that_is_no_district_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "wrong.json").write_text(text, encoding="utf-8")
    done = CliRunner().invoke(main, ["patrol-plan", str(tmp_path / "wrong.json")])
    assert done.exit_code == 2
    assert "wrong.json is no district as JSON" in done.stderr


def test_a_site_without_a_visit_says_why() -> None:
    ground = PatrolGround(DISTRICT, PatrolPolicy())
    standing = Standing(DISTRICT.docks[0], DISTRICT.drones[0], 95.0)
    rules, visited = load_site_rules(), {"S1": EPOCH - timedelta(minutes=5)}
    due = errands(ground, rules, visited, (), EPOCH, EPOCH)
    found = schedule.plan(ground, [standing], Wanted({}, {}, {}, due), EPOCH)
    assert isinstance(found, Timetable)

    def why(table: Timetable, *in_air: str) -> str:
        return str(shown(table, ground, rules, visited, in_air)["sites"][0]["why"])

    assert why(found) == "not_due"
    assert why(found, "S1") == "in_air"
    assert why(replace(found, unserved=("S1",))) == "later"
    hill = LeftOut("S1", "no_way_home", "DOCK1: return_height_rel_m: fly lower")
    assert why(replace(found, left_out=(hill,))) == "no_way_home"
