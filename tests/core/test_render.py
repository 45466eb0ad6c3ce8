"""Renders repeat by seed, and a drawn thing's box leads back to where it stands."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from domain.observation import FramePose
from domain.place import Position
from geo.frames import LocalFrame
from geo.locate import GroundPoint, ground_point
from simulators.render import Ground, GroundShape, Item, Light, View, render, render_background
from simulators.render_dataset import CLASSES, LEAST_BOX_PX, sample

HERE = Position(22.54, 113.35)
AT = datetime(2026, 11, 23, tzinfo=UTC)
POLE = View(0.0, 0.0, 9.0, 30.0, -24.0, 0.0, 70.0, 640, 360)
DRONE = View(0.0, 0.0, 90.0, 200.0, -70.0, 0.0, 66.0, 640, 480)
ROAD = GroundShape("road", np.array([[-200.0, -6], [200, -6], [200, 6], [-200, 6]]))
OPEN = Ground((ROAD,))


def ahead(view: View, kind: str, range_m: float, size_m: float) -> Item:
    turn = np.radians(view.yaw_deg)
    x_m, y_m = range_m * np.sin(turn), range_m * np.cos(turn)
    return Item(kind, float(x_m), float(y_m), size_m, 40.0, 5)


def drawn(view: View, item: Item, at_s: float = 3.0) -> tuple[np.ndarray, tuple[float, ...]]:
    image, boxes = render(view, [item], render_background(view, OPEN, 3), Light(), at_s, 9)
    assert [box.kind for box in boxes] == [item.kind]
    box = boxes[0]
    return image, (box.x0, box.y0, box.x1, box.y1)


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize(("view", "range_m"), [(POLE, 22.0), (DRONE, 35.0)])
def test_a_box_leads_back_to_the_ground(view: View, range_m: float, kind: str) -> None:
    item = ahead(view, kind, range_m, 1.7 if kind == "person" else 5.0)
    _, (x0, y0, x1, y1) = drawn(view, item)
    flat = kind in {"exposed_rubbish", "flooded_road", "floating_debris"}
    v = (y0 + y1) / 2 if flat else y1
    angles = (view.yaw_deg, view.pitch_deg, view.roll_deg, view.hfov_deg)
    pose = FramePose(HERE, view.height_agl_m, *angles, AT)
    placed = ground_point(pose, (x0 + x1) / 2, v, view.width_px, view.height_px)
    assert isinstance(placed, GroundPoint)
    x_m, y_m = LocalFrame(HERE).to_local(placed.position.lat_deg, placed.position.lon_deg)
    assert np.hypot(x_m - item.x_m, y_m - item.y_m) < item.size_m + 1.0


def test_the_same_seed_draws_the_same_picture() -> None:
    one, other = sample(41), sample(41)
    assert np.array_equal(one.image, other.image)
    assert one.boxes == other.boxes
    assert not np.array_equal(one.image, sample(42).image)


def test_fire_flickers_and_smoke_drifts() -> None:
    for kind in ("fire", "smoke"):
        item = ahead(POLE, kind, 22.0, 5.0)
        assert not np.array_equal(drawn(POLE, item, 1.0)[0], drawn(POLE, item, 4.0)[0])


def test_a_fire_grows() -> None:
    item = ahead(POLE, "fire", 22.0, 5.0)
    _, small = drawn(POLE, replace(item, growth=0.2))
    _, big = drawn(POLE, replace(item, growth=1.0))
    assert big[3] - big[1] > small[3] - small[1]


def test_nothing_is_seen_behind_a_wall() -> None:
    item = ahead(POLE, "vehicle", 40.0, 4.5)
    turn = np.radians(POLE.yaw_deg)
    along, across = np.array([np.sin(turn), np.cos(turn)]), np.array([np.cos(turn), -np.sin(turn)])
    ring = np.array([25 * along - 9 * across, 25 * along + 9 * across])
    ring = np.vstack([ring, ring[::-1] + 4 * along])
    walled = Ground((ROAD, GroundShape("building", ring, 15.0)))
    _, boxes = render(POLE, [item], render_background(POLE, walled, 3), Light(), 3.0, 9)
    assert boxes == []


def test_samples_label_only_what_can_be_seen() -> None:
    for seed in range(12):
        made = sample(seed)
        h, w = made.image.shape[:2]
        for box in made.boxes:
            assert box.kind in CLASSES
            assert 0 <= box.x0 < box.x1 <= w
            assert 0 <= box.y0 < box.y1 <= h
            assert max(box.x1 - box.x0, box.y1 - box.y0) >= LEAST_BOX_PX
