"""Nothing passes unblurred: a network that cannot answer gives no picture at all."""

import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest

from domain.hazard import Detection
from models.catalogue import WeightsError, card
from models.privacy import BlurFailed, FaceBlur, PictureBlur, blur_box, telling_part


class Broken:
    def detect(self, image: np.ndarray) -> Sequence[Detection]:
        raise OSError("weights gone")


class OneCar:
    def detect(self, image: np.ndarray) -> Sequence[Detection]:
        return [Detection("vehicle", 0.9, 100, 100, 260, 220)]


@pytest.fixture(scope="module")
def faces() -> FaceBlur:
    return FaceBlur()


def noise() -> np.ndarray:
    return np.random.default_rng(2).integers(0, 255, (320, 320, 3), np.uint8)


def test_a_finder_that_fails_gives_no_picture(faces: FaceBlur) -> None:
    with pytest.raises(BlurFailed, match="weights gone"):
        PictureBlur(faces, Broken()).blur(noise())


def test_a_face_network_that_cannot_take_the_picture_gives_none(faces: FaceBlur) -> None:
    with pytest.raises(BlurFailed, match="centerface"):
        faces.blur(np.zeros((64, 64, 4), np.uint8))


def test_a_box_without_a_place_is_refused() -> None:
    with pytest.raises(BlurFailed):
        blur_box(noise(), float("nan"), 0, 10, 10)


def test_missing_weights_are_named() -> None:
    with pytest.raises(WeightsError, match="centerface"):
        card("no-faces")


def test_a_vehicle_is_unreadable_whole_and_what_is_beside_it_is_left(faces: FaceBlur) -> None:
    before = noise()
    after, count = PictureBlur(faces, OneCar()).blur(before.copy())
    assert count >= 1
    assert after[102:218, 102:258].astype(float).std() < before.astype(float).std() / 3
    if count == 1:
        assert np.array_equal(after[:80], before[:80])


@pytest.mark.parametrize(
    ("label", "wide", "tall", "part"),
    [
        ("vehicle", 59, 100, None),
        ("vehicle", 60, 40, (0, 0, 60, 40)),
        ("person", 20, 69, None),
        ("person", 30, 120, (0, 0, 30, 30)),  # standing: twice a head's height
        ("person", 100, 120, (0, 0, 100, 75)),  # cut off at the chest
        ("person", 60, 30, (0, 0, 60, 30)),  # lying
        ("fire", 200, 200, None),
    ],
)
def test_what_could_tell_who_it_is_is_blurred_where_near_enough(
    label: str, wide: int, tall: int, part: tuple[float, ...] | None
) -> None:
    assert telling_part(Detection(label, 0.9, 0, 0, wide, tall)) == part


def test_loading_the_command_line_loads_no_network() -> None:
    code = "import sys, gridwing.models_cli, models.privacy; print('onnxruntime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
