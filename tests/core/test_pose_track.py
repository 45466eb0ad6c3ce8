"""A pose between states: the way between them, the wider for its age, none over a gap."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import hypot

import pytest

from domain.device import DeviceKind
from domain.observation import Telemetry
from domain.place import Position
from geo.locate import GroundPoint, ground_point
from services.ingest.sight.pose_track import STAMP_S, PoseTrack

AT = datetime(2026, 11, 23, tzinfo=UTC)


def state(second: float, north_deg: float = 0.0, yaw_deg: float = 350.0) -> Telemetry:
    at = AT + timedelta(seconds=second)
    place = Position(22.54 + north_deg, 113.35)
    row = Telemetry("D1", DeviceKind.DRONE, at, 0, at, place)
    return replace(row, height_rel_m=80.0, gimbal_yaw_deg=yaw_deg, gimbal_pitch_deg=-60.0)


TRACK = PoseTrack((state(0.0), state(0.2, 0.00002, 10.0), state(3.0)), 66.0)


def test_it_goes_the_short_way_round() -> None:
    pose = TRACK.at(AT + timedelta(seconds=0.1))
    assert pose is not None
    assert pose.yaw_deg == pytest.approx(0.0, abs=1e-6)
    assert pose.position.lat_deg == pytest.approx(22.54001)
    assert pose.age_s == pytest.approx(STAMP_S)
    assert pose.accuracy is not None
    assert pose.accuracy.horizontal_m == pytest.approx(hypot(1.5, 3.0 * 0.1 * 0.1 / 2))
    assert pose.speed_mps == pytest.approx(11.07, abs=0.1)
    assert pose.course_deg == pytest.approx(0.0, abs=1e-6)
    assert pose.turn_dps == pytest.approx(100.0)


def test_a_picture_far_from_a_state_is_placed_less_surely() -> None:
    on, between = (TRACK.at(AT + timedelta(seconds=s)) for s in (0.0, 0.1))
    assert on is not None
    assert between is not None
    sure, unsure = (ground_point(p, 320, 300, 640, 480) for p in (on, between))
    assert isinstance(sure, GroundPoint)
    assert isinstance(unsure, GroundPoint)
    assert unsure.ellipse.semi_major_m > sure.ellipse.semi_major_m


def test_over_a_gap_and_without_a_gimbal_there_is_none() -> None:
    assert TRACK.at(AT + timedelta(seconds=1.5)) is None
    assert TRACK.at(AT + timedelta(seconds=9.0)) is None
    blind = PoseTrack((replace(state(0.0), gimbal_pitch_deg=None),), 66.0)
    assert blind.at(AT) is None
