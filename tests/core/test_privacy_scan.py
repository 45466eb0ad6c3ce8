"""Real photographs through the code that keeps them, looked at again by another face detector.

What the second pair of eyes still finds is listed in tests/data/real_faces.toml, each looked at by
eye and no face; anything else is a face that was kept, and fails.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gridwing.eyes import load_blur
from gridwing.pictures import fit_to_keep
from tests.core.blazeface import BlazeFace

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared" / "data" / "real"
LIST = tomllib.loads((ROOT / "tests" / "data" / "real_faces.toml").read_text())
SAME_PX = 12.0
Boxes = NDArray[np.float64]

pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="the real photographs are not at hand")


@dataclass(frozen=True)
class Passes:
    """What the second detector finds in one photograph as it came, and as it is kept."""

    came: Boxes
    kept: Boxes


@cache
def eyes() -> tuple[Any, BlazeFace]:
    return load_blur().blur, BlazeFace()


@cache
def passes(name: str) -> Passes:
    blur, again = eyes()
    content = (REAL / name).read_bytes()
    came = again.faces(decoded(fit_to_keep(content, lambda pixels: (pixels, 0))))
    return Passes(came, again.faces(decoded(fit_to_keep(content, blur))))


def decoded(jpeg: bytes) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def near(box: Any, known: list[list[float]]) -> bool:
    """Tell whether a box lies where one of the list does, give or take SAME_PX."""
    middle = np.array([box[0] + box[2], box[1] + box[3]]) / 2
    return any(float(np.abs(middle - np.array(place)).max()) <= SAME_PX for place in known)


@pytest.mark.parametrize("name", LIST["photographs"])
def test_no_face_is_left_in_what_is_kept(name: str) -> None:
    known = LIST["no_face"].get(name, [])
    left = [box.round(2).tolist() for box in passes(name).kept if not near(box, known)]
    assert left == []


def test_the_second_detector_sees_the_faces_that_came() -> None:
    """A scan that finds nothing anywhere would prove nothing."""
    for name, places in LIST["faces"].items():
        for place in places:
            found = [box for box in passes(name).came if near(box, [place])]
            assert found, f"{name}: no face found at {place}"
            assert not [box for box in passes(name).kept if near(box, [place])]
