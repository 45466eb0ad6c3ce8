"""The renderer that judges stays as it was before training: its files, and roughly its pictures."""

import tomllib
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pytest

from simulators.heldout.labels import LONGER_SIDE_LEAST_PX
from simulators.heldout.scene import CLASSES, FIRST_SEED, HAZARDS, Picture, draw

ROOM = Path(__file__).resolve().parents[2] / "simulators" / "heldout"
FROZEN = tomllib.loads((ROOM / "FROZEN.toml").read_text())
# What JPEG, SIMD and another release of numpy or OpenCV may move the mean of a ninth of a picture.
TOLERANCE_LEVELS = 3


def boxes(picture: Picture) -> list[tuple[str, float, float, float, float]]:
    return [(b.label, b.x0_px, b.y0_px, b.x1_px, b.y1_px) for b in picture.labels]


def test_no_file_changed_since_it_was_frozen() -> None:
    now = {path.name: sha256(path.read_bytes()).hexdigest() for path in ROOM.glob("*.py")}
    assert now == FROZEN["files"]


@pytest.mark.parametrize("seed", sorted(FROZEN["pictures"]))
def test_the_pictures_of_the_first_seeds_are_what_they_were(seed: str) -> None:
    image = draw(int(seed)).image
    means = cv2.resize(image, (3, 3), interpolation=cv2.INTER_AREA).mean(axis=2)
    off = np.abs(means.ravel() - np.array(FROZEN["pictures"][seed]))
    assert off.max() <= TOLERANCE_LEVELS


def test_frozen_pictures_are_those_that_are_measured_first() -> None:
    first = [str(FIRST_SEED + i) for i in range(len(FROZEN["pictures"]))]
    assert sorted(FROZEN["pictures"]) == first


def test_nothing_here_is_shared_with_the_renderer_that_is_learnt_from() -> None:
    for path in ROOM.glob("*.py"):
        for line in path.read_text().splitlines():
            if line.startswith(("from simulators", "import simulators")):
                assert line.startswith("from simulators.heldout."), f"{path.name}: {line}"


def test_a_seed_always_draws_the_same() -> None:
    one, two = draw(7), draw(7)
    assert np.array_equal(one.image, two.image)
    assert one.labels == two.labels


def test_a_recoloured_twin_has_the_same_things_in_the_same_places() -> None:
    for seed in range(4):
        plain, twin = draw(seed), draw(seed, recoloured=True)
        assert boxes(plain) == boxes(twin)
        if any(b.label in HAZARDS for b in plain.labels):
            assert not np.array_equal(plain.image, twin.image)


def test_hard_negatives_hold_no_hazard() -> None:
    assert not [
        b for seed in range(6) for b in draw(seed, hazards=False).labels if b.label in HAZARDS
    ]


def test_boxes_lie_in_the_picture_and_small_ones_are_not_asked_for() -> None:
    for seed in range(10):
        picture = draw(seed)
        h, w = picture.image.shape[:2]
        for box in picture.labels:
            assert box.label in CLASSES
            assert 0 <= box.x0_px < box.x1_px <= w
            assert 0 <= box.y0_px < box.y1_px <= h
            if not box.ignore:
                longer = max(box.x1_px - box.x0_px, box.y1_px - box.y0_px)
                assert longer >= LONGER_SIDE_LEAST_PX
