"""The demo district: clean topology, the standard's codes, and the same bytes for one seed."""

import hashlib

from shapely import union_all

from domain.codec import canonical
from domain.device import Camera
from domain.observation import FramePose
from domain.place import ZoneKind
from geo.cells import CellIndex
from geo.frames import LocalFrame
from geo.locate import footprint
from geo.shapes import local_geometry
from simulators.district import generate

DISTRICT = generate(7)
FRAME = LocalFrame(DISTRICT.origin)


def test_counts_are_those_of_a_sub_district() -> None:
    assert len(DISTRICT.communities) == 9
    assert (len(DISTRICT.cells), len(DISTRICT.police_grids)) == (108, 15)
    assert (len(DISTRICT.docks), len(DISTRICT.drones)) == (3, 6)
    assert (len(DISTRICT.cameras), len(DISTRICT.responders)) == (24, 30)
    assert len(DISTRICT.zones) < 1500
    assert DISTRICT.schematic


def test_cells_tile_their_communities() -> None:
    for community in DISTRICT.communities:
        whole = local_geometry(community.area, FRAME)
        parts = [
            local_geometry(c.area, FRAME)
            for c in DISTRICT.cells
            if c.community_code == community.code
        ]
        assert abs(sum(p.area for p in parts) - whole.area) < 1
        assert union_all(parts).symmetric_difference(whole).area < 1


def test_codes_are_fifteen_digits_under_their_community() -> None:
    for cell in DISTRICT.cells:
        assert len(cell.code) == 15
        assert cell.code.isdigit()
        assert cell.code.startswith(cell.community_code)
    assert len({c.code for c in DISTRICT.cells}) == 108


def test_every_cell_is_found_at_its_own_middle() -> None:
    index = CellIndex(DISTRICT.cells)
    for cell in DISTRICT.cells:
        middle = local_geometry(cell.area, FRAME).centroid
        assert index.at(FRAME.to_position(middle.x, middle.y)) == cell.code
        assert cell.code in index.near(FRAME.to_position(middle.x, middle.y), 5.0)


def test_the_same_seed_gives_the_same_bytes() -> None:
    again = hashlib.sha256(canonical(generate(7)).encode()).hexdigest()
    assert hashlib.sha256(canonical(DISTRICT).encode()).hexdigest() == again
    assert canonical(generate(8)) != canonical(DISTRICT)


def _sees(camera: Camera, kind: ZoneKind) -> bool:
    at = FramePose(
        camera.position, camera.height_agl_m, camera.yaw_deg, camera.pitch_deg, 0.0,
        camera.hfov_deg, None,  # type: ignore[arg-type]
    )  # fmt: skip
    ground = footprint(at, camera.width_px, camera.height_px, FRAME, limit_m=80)
    assert ground is not None
    zones = [local_geometry(z.area, FRAME) for z in DISTRICT.zones if z.kind is kind]
    return any(z.intersects(ground) for z in zones)


def test_cameras_look_at_what_their_names_say() -> None:
    names = {"路口": ZoneKind.ROAD, "消防通道": ZoneKind.FIRE_LANE, "广场": ZoneKind.PLAZA}
    names["河岸"] = ZoneKind.RIVER
    for camera in DISTRICT.cameras:
        assert _sees(camera, names[camera.name.rstrip("0123456789")])
