"""QGroundControl plans and mission text: written, read back equal, each fault named."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.place import Position
from services.patrol.aircraft.mission_items import MissionItem, mission_items
from services.patrol.aircraft.mission_upload import same_items
from services.patrol.aircraft.qgc_plan import (
    BadPlan,
    FenceCircle,
    Plan,
    RallyPoint,
    check_plan,
    fence_items,
    keep_out,
    plan_text,
    read_plan,
)
from services.patrol.aircraft.qgc_waypoints import read_waypoints, waypoints_text
from tests.core.patrol_scene import no_fly
from tests.core.test_mission_upload import HOME, ITEMS, route

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "real" / "qgc_plans"
no_real_plans = pytest.mark.skipif(not REAL.is_dir(), reason=f"no real plans in {REAL}")
PLAN = Plan(
    ITEMS, HOME, 11.0, 8.0, 8.0,
    polygons=keep_out([no_fly(0.0, 0.0, 100.0, 50.0)]),
    circles=(FenceCircle(HOME, 900.0, True),),
    rally=(RallyPoint(HOME, 30.0),),
)  # fmt: skip


def equal(a: Plan, b: Plan) -> bool:
    """NaN is not equal to itself; open parameters are."""
    parts = [(p.home, p.home_msl_m, p.polygons, p.circles, p.rally, p.vehicle) for p in (a, b)]
    return parts[0] == parts[1] and same_items(a.items, b.items)


def changed(path: str, value: Any) -> bytes:
    """Return our plan with one value put in at a path like mission/items/0/frame."""
    document = json.loads(plan_text(PLAN))
    *steps, last = [int(s) if s.isdecimal() else s for s in path.split("/")]
    at = document
    for step in steps:
        at = at[step]
    if value is None and isinstance(last, str):
        del at[last]
    else:
        at[last] = value
    return json.dumps(document).encode()


def test_our_plan_is_clean_and_read_back_equal() -> None:
    data = plan_text(PLAN).encode()
    assert check_plan(data) == []
    assert equal(read_plan(data), PLAN)
    items = json.loads(data)["mission"]["items"]
    assert [i["doJumpId"] for i in items] == list(range(1, len(ITEMS) + 1))
    assert {i["frame"] for i in items} == {2, 3}
    assert items[0]["params"][3] is None


@no_real_plans
def test_a_real_fence_is_read_and_written_with_the_same_values() -> None:
    raw = (REAL / "ce_geofence_rd_2.plan").read_bytes()
    assert check_plan(raw) == []
    again, theirs = json.loads(plan_text(read_plan(raw))), json.loads(raw)
    assert again["geoFence"] == theirs["geoFence"]
    for name in ("plannedHomePosition", "cruiseSpeed", "hoverSpeed", "firmwareType", "items"):
        assert again["mission"][name] == theirs["mission"][name]
    assert [len(f.corners) for f in read_plan(raw).polygons] == [4, 4]
    assert len(fence_items(read_plan(raw))) == 8


@no_real_plans
def test_a_real_mission_text_is_read_and_written_with_the_same_values() -> None:
    raw = (REAL / "MissionPlanner.waypoints").read_bytes()
    plan = read_waypoints(raw)
    rows = [[float(c) for c in line.split()] for line in raw.decode().splitlines()[1:]]
    again = [[float(c) for c in line.split()] for line in waypoints_text(plan).splitlines()[1:]]
    assert again == rows
    assert equal(read_plan(plan_text(plan).encode()), plan)


FAULTS = [
    ("fileType", "Fence", "fileType"),
    ("version", 2, "version"),
    ("mission", None, "mission"),
    ("mission/version", 1, "version"),
    ("mission/firmwareType", "px4", "firmwareType"),
    ("mission/hoverSpeed", -1, "hoverSpeed"),
    ("mission/plannedHomePosition", [122.0, 22.0, 1.0], "plannedHomePosition"),
    ("mission/items", {}, "items"),
    ("mission/items/1", 7, "-"),
    ("mission/items/1/type", "Item", "type"),
    ("mission/items/1", {"type": "ComplexItem", "complexItemType": "x"}, "complexItemType"),
    ("mission/items/2/command", 70_000, "command"),
    ("mission/items/2/frame", 77, "frame"),
    ("mission/items/2/params", [0] * 6, "params"),
    ("mission/items/2/params/4", "22.5", "params"),
    ("mission/items/2/params/4", 113.0, "params[4], params[5]"),
    ("mission/items/2/doJumpId", 1, "doJumpId"),
    ("mission/items/2/doJumpId", 0, "doJumpId"),
    ("mission/items/2/autoContinue", 1, "autoContinue"),
    ("mission/items/2/Altitude", "high", "Altitude"),
    ("mission/items/1/command", 177, "params[0]"),
    ("geoFence/version", 1, "version"),
    ("geoFence", [], "geoFence"),
    ("geoFence/polygons/0/inclusion", "no", "inclusion"),
    ("geoFence/polygons/0/polygon", [[22.0, 113.0]], "polygon"),
    ("geoFence/circles/0/circle/radius", 0, "radius"),
    ("geoFence/circles/0/circle/center", [200, 0], "center"),
    ("rallyPoints/points/0", [22.0, 113.0], "-"),
    ("rallyPoints/version", 3, "version"),
]


@pytest.mark.parametrize(("path", "value", "element"), FAULTS)
def test_a_fault_is_found_and_named(path: str, value: Any, element: str) -> None:
    data = changed(path, value)
    assert element in [f.element for f in check_plan(data)]
    with pytest.raises(BadPlan, match="allowed"):
        read_plan(data)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"[" * 100_000, b"\xff\xfe", b"null"])
def test_what_is_no_plan_is_one_fault(data: bytes) -> None:
    assert len(check_plan(data)) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1"),
        ("QGC WPL 120\n", "line 1"),
        ("QGC WPL 110\n", "0 items"),
        ("QGC WPL 110\n0 1 0 16 0 0 0 0 22 113 5\n", "11 columns"),
        ("QGC WPL 110\n0 1 0 16 0 0 0 0 22 x 5 1\n", "line 2"),
        ("QGC WPL 110\n0 1 0 16 0 0 0 0 22 113 5 1\n2 0 3 16 0 0 0 0 22 113 5 1\n", "index 2"),
        ("QGC WPL 110\n0 1 0 16 0 0 0 0 122 113 5 1\n", "latitude"),
        ("QGC WPL 110\n0 1 0 16 0 0 0 0 22 113 nan 1\n", "finite"),
        ("QGC WPL 110\n0 1 99 16 0 0 0 0 22 113 5 1\n", "frame 99"),
    ],
)
def test_a_fault_in_a_mission_text_is_named(text: str, message: str) -> None:
    with pytest.raises(BadPlan, match=message):
        read_waypoints(text.encode())


def test_the_items_of_a_survey_are_read_in_their_place() -> None:
    document = json.loads(plan_text(PLAN))
    inner = document["mission"]["items"][2:5]
    survey = {
        "type": "ComplexItem", "complexItemType": "survey", "version": 5,
        "TransectStyleComplexItem": {"version": 2, "Items": inner},
    }  # fmt: skip
    document["mission"]["items"][2:5] = [survey]
    data = json.dumps(document).encode()
    assert check_plan(data) == []
    assert same_items(read_plan(data).items, ITEMS)


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300), at=st.integers(0, 5000))
def test_bytes_of_any_kind_give_faults_and_no_surprise(data: bytes, at: int) -> None:
    whole = plan_text(PLAN).encode()
    check_plan(data)
    check_plan(whole[: at % len(whole)] + data + whole[at % len(whole) + len(data) :])


numbers = st.floats(-1e6, 1e6, width=32)
items = st.builds(
    MissionItem,
    command=st.sampled_from([16, 19, 22, 178, 205, 2500, 20]),
    frame=st.sampled_from([2, 5, 6, 11]),
    p1=numbers, p2=numbers, p3=numbers, p4=numbers | st.just(math.nan),
    x=st.floats(-90, 90), y=st.floats(-180, 180), z=st.floats(-500, 5000, width=32),
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(drawn=st.lists(items, max_size=20), lat=st.floats(-90, 90), lon=st.floats(-180, 180))
def test_any_mission_is_written_clean_and_read_back_equal(
    drawn: list[MissionItem], lat: float, lon: float
) -> None:
    plan = Plan(tuple(drawn), Position(lat, lon), 4.0)
    data = plan_text(plan).encode()
    assert check_plan(data) == []
    assert equal(read_plan(data), plan)


def test_a_mission_text_holds_the_mission_and_no_fence() -> None:
    text = waypoints_text(PLAN)
    assert text.splitlines()[0] == "QGC WPL 110"
    assert {len(line.split("\t")) for line in text.splitlines()[1:]} == {12}
    again = read_waypoints(text.encode())
    assert [i.command for i in again.items] == [i.command for i in mission_items(route(), HOME)]
    assert again.home.lat_deg == pytest.approx(HOME.lat_deg, abs=1e-8)
    assert again.polygons == ()
