"""The gate on event time: what moves, what is voted on and what is due is looked at."""

from datetime import UTC, datetime, timedelta

import cv2
import numpy as np
import pytest

from models.motion import Box, Grey, small_grey
from services.ingest.sight.gate import Gate, GatePolicy, Look, Why, crops, new_share

START = datetime(2026, 11, 23, 8, tzinfo=UTC)
POLICY = GatePolicy()
SIZE = (1080, 1920)


def street() -> Grey:
    patches = np.random.default_rng(3).integers(40, 200, (12, 20), np.uint8)
    return small_grey(np.asarray(cv2.resize(patches, (1920, 1080)), np.uint8), 120)


STREET = street()


def with_thing(left: int) -> Grey:
    small = STREET.copy()
    small[50:70, left : left + 24] = 255 - small[50:70, left : left + 24]
    return small


def looked(gate: Gate, small: Grey, at_s: float, is_open: bool = False) -> Look | None:
    return gate.fixed(small, SIZE, START + timedelta(seconds=at_s), is_open, ())


def whys(gate: Gate, every_s: float, count: int, is_open: bool = False) -> list[Why | None]:
    looks = [looked(gate, STREET, i * every_s, is_open) for i in range(count)]
    return [None if look is None else look.why for look in looks]


def test_a_still_camera_is_looked_at_on_schedule_only() -> None:
    asked = whys(Gate(POLICY), 0.2, 151)
    assert asked[0] is Why.FIRST
    assert [i for i, why in enumerate(asked) if why is Why.SCHEDULE] == [50, 100, 150]
    assert asked.count(None) == 147


def test_frames_farther_apart_than_the_schedule_are_all_looked_at() -> None:
    assert None not in whys(Gate(POLICY), 30.0, 20)


def test_an_open_vote_keeps_the_detector_asked_though_nothing_moves() -> None:
    asked = whys(Gate(POLICY), 0.2, 31, is_open=True)
    assert asked.count(Why.VOTE) == 10


def test_what_moves_is_looked_at_closely_and_at_once() -> None:
    gate = Gate(POLICY)
    whys(gate, 0.2, 20)
    look = looked(gate, with_thing(100), 4.0)
    assert look is not None
    assert look.why is Why.MOTION
    ((x0, y0, x1, y1),) = look.crops
    assert x0 <= 900
    assert x1 >= 1116
    assert y0 <= 450
    assert y1 >= 630


@pytest.mark.parametrize("back_s", [3.0, 3600.0])
def test_a_clock_set_back_blinds_no_camera(back_s: float) -> None:
    gate = Gate(POLICY)
    assert looked(gate, STREET, 0.0) is not None
    assert looked(gate, STREET, -back_s) is not None
    assert looked(gate, STREET, 0.2 - back_s) is None


def flown(gate: Gate, shift_px: int, at_s: float, is_open: bool = False) -> Look | None:
    wide = np.random.default_rng(5).integers(0, 255, (30, 70), np.uint8)
    ground = np.asarray(cv2.resize(wide, (560, 240)), np.uint8)
    small = np.ascontiguousarray(ground[40:160, shift_px : shift_px + 213])
    return gate.flown(small, SIZE, START + timedelta(seconds=at_s), is_open)


def test_a_hovering_drone_is_looked_at_twice_a_second() -> None:
    gate = Gate(POLICY)
    looks = [flown(gate, 20, 0.04 * i) for i in range(26)]
    assert [i for i, look in enumerate(looks) if look is not None] == [0, 13]


def test_new_ground_is_looked_at_before_it_is_due_and_followed() -> None:
    gate = Gate(POLICY)
    flown(gate, 20, 0.0)
    assert flown(gate, 30, 0.1) is None
    look = flown(gate, 45, 0.2)
    assert look is not None
    assert look.why is Why.GROUND
    assert look.moved is not None
    assert look.moved[0, 2] == pytest.approx(-25 * 9, abs=9)
    assert flown(gate, 45, 9.0) == Look(Why.SCHEDULE)


def test_how_far_a_picture_moved_is_a_share_of_its_side() -> None:
    assert new_share(np.eye(3), (120, 213)) == 0.0
    moved = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 12.0], [0.0, 0.0, 1.0]])
    assert new_share(moved, (120, 213)) == pytest.approx(0.1)
    assert new_share(-np.eye(3), (120, 213)) == 1.0


@pytest.mark.parametrize(
    ("around", "size_px", "wanted"),
    [
        ([(900, 500, 960, 560)], (1080, 1920), ((738, 386, 1122, 674),)),
        ([(0, 0, 20, 20)], (1080, 1920), ((0, 0, 384, 288),)),
        ([(1900, 1060, 1920, 1080)], (1080, 1920), ((1536, 792, 1920, 1080),)),
        ([(900, 500, 960, 560), (920, 520, 930, 530)], (1080, 1920), ((738, 386, 1122, 674),)),
        ([(0, 0, 1000, 100)], (1080, 1920), ()),
        ([(300, 200, 340, 240)], (360, 640), ()),
    ],
)
def test_pieces_lie_in_the_picture_and_only_where_they_show_more(
    around: list[Box], size_px: tuple[int, int], wanted: tuple[Box, ...]
) -> None:
    assert crops(around, size_px, POLICY) == wanted


def test_no_more_pieces_than_the_limit_what_is_voted_on_first() -> None:
    around = [(400 * i, 0, 400 * i + 20, 20) for i in range(4)]
    assert len(crops(around, (2160, 3840), POLICY)) == POLICY.crops_limit
    assert crops(around, (2160, 3840), POLICY)[0] == (0, 0, 384, 288)
