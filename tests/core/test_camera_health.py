"""A camera's health, on drawn pictures: each fault told once, ended once, and no cry at night."""

from dataclasses import replace
from datetime import datetime, timedelta

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from services.ingest.sight.camera_health import CameraFault, CameraHealth, HealthPolicy, glance
from simulators.render import Light, render, render_background
from simulators.render_dataset import towns
from tests.core.patrol_scene import EPOCH

Picture = NDArray[np.uint8]
TOWN = towns()[0]


def street(yaw_deg: float = 0.0, night: float = 0.0) -> Picture:


    view = replace(TOWN.poles[0], yaw_deg=TOWN.poles[0].yaw_deg + yaw_deg)
    background = render_background(view, TOWN.ground, 7)
    return render(view, [], background, Light(0.8, 0.1, 0.0, night), 0.0, 7)[0]


def noisy(picture: Picture, i: int) -> Picture:
    grain = np.random.default_rng(i).normal(0, 4, picture.shape)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


class Watched:
    def __init__(self) -> None:
        self.health = CameraHealth(HealthPolicy())
        self.at: datetime = EPOCH
        self.raised: list[CameraFault] = []
        self.cleared: list[CameraFault] = []
        self.frames = 0

    def show(self, picture: Picture, seconds: int, grain: bool = True) -> None:
        for _ in range(seconds):
            self.frames += 1
            self.at += timedelta(seconds=1)
            seen = noisy(picture, self.frames) if grain else picture
            raised, cleared = self.health.see(glance(seen), self.at)
            self.raised += raised
            self.cleared += cleared


DAY = street()
BLACK = np.full_like(DAY, 6)
BLUR = cv2.GaussianBlur(DAY, (0, 0), 12.0)


@pytest.mark.parametrize(
    ("picture", "fault"),
    [
        (BLACK, CameraFault.DARK),
        (np.asarray(BLUR, np.uint8), CameraFault.BLURRED),
        (street(yaw_deg=55.0), CameraFault.MOVED),
    ],
)
def test_a_fault_is_told_once_and_ends_once(picture: Picture, fault: CameraFault) -> None:
    watched = Watched()
    watched.show(DAY, 90)
    assert watched.raised == []
    watched.show(picture, 20)
    assert watched.raised == []
    watched.show(picture, 120)
    assert watched.raised == [fault]
    watched.show(DAY, 60)
    assert watched.cleared == [fault]
    assert watched.health.standing == set()


def test_a_frozen_picture_is_told_and_a_live_one_ends_it() -> None:
    watched = Watched()
    watched.show(DAY, 60)
    watched.show(DAY, 200, grain=False)
    assert watched.raised == [CameraFault.FROZEN]
    watched.show(DAY, 60)
    assert watched.cleared == [CameraFault.FROZEN]


def test_night_falls_without_a_cry() -> None:
    watched = Watched()
    for step in range(11):
        watched.show(street(night=0.09 * step), 40)
    assert watched.raised == []


def test_silence_is_told_once_and_the_next_frames_end_it() -> None:
    watched = Watched()
    watched.show(DAY, 40)
    later = watched.at + timedelta(seconds=61)
    assert watched.health.silent(later, 60.0) == (CameraFault.OFFLINE,)
    assert watched.health.silent(later, 60.0) == ()
    watched.at = later
    watched.show(DAY, 40)
    assert watched.cleared == [CameraFault.OFFLINE]


def test_a_camera_moved_on_purpose_is_learnt_anew() -> None:
    watched = Watched()
    watched.show(DAY, 60)
    watched.show(street(yaw_deg=55.0), 100)
    assert watched.raised == [CameraFault.MOVED]
    watched.health.forget_place()
    watched.show(street(yaw_deg=55.0), 100)
    assert watched.cleared == [CameraFault.MOVED]
    assert watched.raised == [CameraFault.MOVED]


def test_a_frame_from_the_past_changes_nothing() -> None:
    watched = Watched()
    watched.show(DAY, 5)
    assert watched.health.see(glance(BLACK), EPOCH) == ((), ())


def test_a_glance_costs_little_and_takes_any_size() -> None:
    for size in ((1, 1), (2160, 3840), (480, 640)):
        seen = glance(np.full((*size, 3), 120, np.uint8))
        assert seen.mean == pytest.approx(120, abs=1)


