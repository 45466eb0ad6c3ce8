"""What moves is found where it is; what only shines, flickers or stays is let through."""

import io
import time
from functools import cache

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from models.boxes import Image
from models.motion import (
    MotionGate,
    MotionPolicy,
    ground_motion,
    in_pixels,
    jpeg_size,
    small_grey,
    small_of_jpeg,
)

H, W = 720, 1280
ORIENTATION, TURNED = 0x0112, 6


def _bytes(values: object) -> Image:
    return np.asarray(np.clip(np.asarray(values), 0, 255), np.uint8)


def _scene() -> Image:
    return _street().copy()


@cache
def _street() -> Image:
    """Return a street-like picture: large patches, some texture."""
    rng = np.random.default_rng(3)
    patches = rng.integers(40, 200, (12, 20, 3), np.uint8)
    image = cv2.resize(patches, (W, H), interpolation=cv2.INTER_CUBIC)
    return _bytes(image + rng.normal(0, 4, image.shape))


def _noisy(image: Image, rng: np.random.Generator) -> Image:
    return _bytes(image + rng.normal(0, 6, image.shape))


@pytest.fixture
def gate() -> MotionGate:
    """Return a gate that has seen its scene for twenty frames."""
    gate, rng = MotionGate(MotionPolicy()), np.random.default_rng(1)
    for _ in range(20):
        assert gate.regions(_noisy(_scene(), rng)) == ()
    return gate


def test_a_thing_that_moves_is_found_where_it_is(gate: MotionGate) -> None:
    for left in (200, 420, 900):
        image = _scene()
        image[300:380, left : left + 90] = (10, 250, 250)
        x0, y0, x1, y1 = gate.regions(image)[0]
        assert x0 <= left
        assert x1 >= left + 90
        assert y0 <= 300
        assert y1 >= 380
        assert (x1 - x0) * (y1 - y0) < 0.08 * H * W


def test_lightning_is_no_motion_and_the_scene_is_learnt_anew(gate: MotionGate) -> None:
    bright = _bytes(cv2.convertScaleAbs(_scene(), alpha=1.0, beta=90))
    assert gate.regions(bright) == ()
    assert gate.regions(bright) == ()
    assert gate.regions(_scene()) == ()
    image = _scene()
    image[100:200, 100:200] = 255 - image[100:200, 100:200]
    assert gate.regions(image)


def test_what_stays_becomes_part_of_the_scene(gate: MotionGate) -> None:
    image = _scene()
    image[300:380, 500:600] = (10, 250, 250)
    moved = [bool(gate.regions(image)) for _ in range(400)]
    assert moved[0]
    assert not moved[-1]


def test_dusk_falling_slowly_is_no_motion() -> None:
    gate = MotionGate(MotionPolicy())
    for i in range(400):
        assert gate.regions(_bytes(cv2.convertScaleAbs(_street(), alpha=1 - i / 1000))) == ()


def test_a_jpeg_is_made_small_without_decoding_all_of_it(gate: MotionGate) -> None:
    image = _scene()
    image[300:380, 500:600] = (10, 250, 250)
    jpeg = cv2.imencode(".jpg", image)[1].tobytes()
    made = small_of_jpeg(jpeg, 120)
    assert made is not None
    small, size_px = made
    assert size_px == (H, W)
    whole = small_grey(image, 120)
    assert small.shape == whole.shape
    assert np.abs(small.astype(int) - whole.astype(int)).max() < 30
    x0, y0, x1, y1 = gate.regions_of(small, size_px)[0]
    assert (x0 <= 500, x1 >= 600, y0 <= 300, y1 >= 380) == (True,) * 4
    assert small_of_jpeg(b"no picture", 120) is None
    assert small_of_jpeg(jpeg[:200], 120) is None


def test_a_jpegs_size_is_read_from_its_header() -> None:
    jpeg = cv2.imencode(".jpg", _scene())[1].tobytes()
    assert jpeg_size(jpeg) == (H, W)
    for progressive in (False, True):
        out = io.BytesIO()
        exif = PillowImage.Exif()
        exif[ORIENTATION] = TURNED
        PillowImage.new("RGB", (640, 360)).save(
            out, "JPEG", progressive=progressive, exif=exif, comment=b"street"
        )
        assert jpeg_size(out.getvalue()) == (360, 640)
        made = small_of_jpeg(out.getvalue(), 120)
        assert made is not None
        assert made[1] == (640, 360)
    for bad in (b"", b"\xff\xd8", jpeg[:20], b"\xff\xd8" + b"\xff" * 5000, b"\xff\xd8" + bytes(50)):
        assert jpeg_size(bad) is None


def test_a_stream_that_changes_its_size_begins_anew(gate: MotionGate) -> None:
    small = _bytes(cv2.resize(_scene(), (640, 480)))
    assert gate.regions(small) == ()
    assert gate.frames == 1
    assert gate.regions(_bytes(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY))) == ()
    assert gate.regions(np.zeros((1, 1, 3), np.uint8)) == ()


def test_the_gate_costs_a_tenth_of_a_millisecond_or_little_more(gate: MotionGate) -> None:
    small = small_grey(_scene(), 120)
    spent = []
    for _ in range(300):
        began = time.thread_time()
        gate.regions_of(small, (H, W))
        spent.append(time.thread_time() - began)
    assert np.median(spent) < 0.5e-3  # 0.1 ms on an idle core


def test_the_ground_under_a_flying_camera_is_followed() -> None:
    ground = np.random.default_rng(5).integers(0, 255, (90, 160), np.uint8)
    wide = _bytes(cv2.resize(ground, (960, 540)))
    turn = cv2.getRotationMatrix2D((480, 270), 4.0, 1.03)
    turn[:, 2] += (18, -9)
    now = _bytes(cv2.warpAffine(wide, turn, (960, 540)))
    moved = ground_motion(wide[150:390, 250:710], now[150:390, 250:710])
    assert moved is not None
    x, y, scale = moved @ (230, 120, 1)
    wanted = turn @ (480, 270, 1) - (250, 150)
    assert (x / scale, y / scale) == pytest.approx(tuple(wanted), abs=1.0)
    larger = in_pixels(moved, 3.0)
    x, y, scale = larger @ (690, 360, 1)
    assert (x / scale, y / scale) == pytest.approx(tuple(3 * wanted), abs=3.0)


def test_nothing_is_said_of_ground_that_is_not_found_again() -> None:
    flat = np.full((120, 200), 90, np.uint8)
    rng = np.random.default_rng(6)
    one, other = (rng.integers(0, 255, (120, 200), np.uint8) for _ in range(2))
    assert ground_motion(flat, flat) is None
    assert ground_motion(one, other) is None
    assert ground_motion(one, other[:100]) is None
