"""Nothing passes unblurred: a network that cannot answer gives no picture at all."""

import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest

from domain.hazard import Detection
from models.catalogue import WeightsError, card
from models.privacy import BlurFailed, FaceBlur, PictureBlur, blur_box, plate_band


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


def test_a_vehicle_finder_that_fails_gives_no_picture(faces: FaceBlur) -> None:
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


def test_the_band_of_a_plate_is_unreadable_and_the_roof_is_left(faces: FaceBlur) -> None:
    before = noise()
    after, count = PictureBlur(faces, OneCar()).blur(before.copy())
    assert count >= 1
    assert after[150:218, 102:258].astype(float).std() < before.astype(float).std() / 3
    if count == 1:
        assert np.array_equal(after[100:145], before[100:145])


@pytest.mark.parametrize(
    ("label", "width", "blurred"),
    [("vehicle", 79, False), ("vehicle", 80, True), ("fire", 200, False)],
)
def test_only_vehicles_near_enough_to_be_read_are_blurred(
    label: str, width: int, blurred: bool
) -> None:
    band = plate_band(Detection(label, 0.9, 0, 0, width, 100))
    assert band == ((0, 40, width, 100) if blurred else None)


def test_loading_the_command_line_loads_no_network() -> None:
    code = "import sys, gridwing.models_cli, models.privacy; print('onnxruntime' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
