"""The truth: hazards by seed, ended by handling, looked at, and all of it kept over a kill."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from domain.district import District
from domain.hazard import HazardKind
from domain.place import ZoneKind
from simulators.camera import FixedCamera
from simulators.district import generate
from simulators.hazard_places import INSIDE
from simulators.truth import FILE_NAME, read_truth, truth_summary
from simulators.world import World

AT = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def district() -> District:
    return generate(7)


def test_one_seed_one_truth(district: District, tmp_path: Path) -> None:
    worlds = []
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        (tmp_path / name).mkdir()
        world = World(district, seed, AT, tmp_path / name)
        worlds.append(world.standing(AT + HOUR))
        world.close()
    assert worlds[0] == worlds[1]
    assert worlds[0] != worlds[2]


NOT_SIMULATED = {
    HazardKind.DEVICE_FAULT,
    HazardKind.ILLEGAL_PARKING,
    HazardKind.LAND_CHANGE,
    HazardKind.PERSON_IN_WATER,
}


def test_hazards_come_at_their_pace_where_they_belong(district: District, tmp_path: Path) -> None:
    world = World(district, 7, AT, tmp_path)
    day = world.standing(AT + 12 * HOUR)
    assert 12 * 3600 / 260 < len(day) < 12 * 3600 / 160
    assert {h.kind for h in day} == set(HazardKind) - NOT_SIMULATED
    assert sum(h.camera_sn is not None for h in day) >= 0.6 * len(day)
    for h in day:
        place = world.terrain.frame.to_position(h.x_m, h.y_m)
        assert abs(place.lat_deg - district.origin.lat_deg) < 0.05
        if h.kind in INSIDE:
            assert world.terrain.inside(INSIDE[h.kind], *np.array([[h.x_m], [h.y_m]])).all()
    world.close()


async def test_a_camera_that_looks_is_written_down(district: District, tmp_path: Path) -> None:
    from runtime.clock import wall_clock

    world = World(district, 7, AT, tmp_path)
    hazards = world.standing(AT + HOUR)
    placed = [h for h in hazards if h.camera_sn and h.kind is not HazardKind.CROWD]
    cameras = {c.sn: c for c in district.cameras}
    for h in placed[:6]:
        assert h.camera_sn is not None
        camera = FixedCamera(cameras[h.camera_sn], world, wall_clock(), 7, None)
        await camera.picture(AT + HOUR)
    world.close()
    accounts = read_truth(tmp_path)
    looked = [h for h in placed[:6] if accounts[h.hazard_id].looks]
    assert len(looked) >= 5
    assert all(accounts[h.hazard_id].lookers == {h.camera_sn: 1} for h in looked)


def test_handling_ends_what_is_near_and_nothing_else(district: District, tmp_path: Path) -> None:
    world = World(district, 7, AT, tmp_path)
    first, *others = world.standing(AT + HOUR)
    there = world.terrain.frame.to_position(first.x_m + 25.0, first.y_m)
    assert world.handle(there, AT + HOUR) == (first.hazard_id,)
    assert world.standing(AT + HOUR) == tuple(others)
    assert world.handle(there, AT + HOUR) == ()
    world.close()


def test_the_truth_goes_on_after_a_kill_even_with_a_torn_line(
    district: District, tmp_path: Path
) -> None:
    world = World(district, 7, AT, tmp_path)
    first, second, *_ = world.standing(AT + HOUR)
    world.handle(world.terrain.frame.to_position(first.x_m, first.y_m), AT + HOUR)
    for _ in range(45):
        world.log.looked(second.hazard_id, "CAM", AT + HOUR)
    world.close()
    path = tmp_path / FILE_NAME
    path.write_bytes(path.read_bytes() + b'{"t":"looked","id":"tr')
    again = World(district, 7, AT + 2 * HOUR, tmp_path)
    assert again.log.began == AT
    assert first.hazard_id not in {h.hazard_id for h in again.standing(AT + HOUR)}
    assert again.log.accounts[second.hazard_id].looks == 40  # written one by one, then by twenties
    again.log.looked(second.hazard_id, "CAM", AT + HOUR)
    again.close()
    summary = truth_summary(tmp_path)
    assert summary["hazards_true"] == 1
    assert summary["hazards_unseen"] == len(summary["hazards"]) - 1
    with pytest.raises(ValueError, match="seed 7"):
        World(district, 8, AT, tmp_path)


def test_traffic_keeps_out_of_fire_lanes_and_people_apart(
    district: District, tmp_path: Path
) -> None:
    world = World(district, 7, AT, tmp_path)
    for minutes in range(0, 60, 7):
        items = world.traffic.items(AT + timedelta(minutes=minutes), 0.0, 0.0, 5000.0)
        cars = [i for i in items if i.kind == "vehicle"]
        people = [i for i in items if i.kind == "person"]
        assert cars
        assert people
        lanes = world.terrain.zones[ZoneKind.FIRE_LANE]
        from shapely import Point

        assert not any(lanes.contains(Point(c.x_m, c.y_m)) for c in cars)
        for p in people:
            near = sum((q.x_m - p.x_m) ** 2 + (q.y_m - p.y_m) ** 2 < 15**2 for q in people)
            assert near < 12
    world.close()
