"""Points are placed as surely as their ellipses say, for every fix, camera and ground."""

import numpy as np
import pytest

from gridwing.placing_bench import (
    FIXES,
    Land,
    Placed,
    _calibrated,
    _circle_share,
    _figures,
    _flown,
)

WIDE = "M3E/M3D/M4E/M4D wide (24 mm)"


def test_the_circle_of_a_round_ellipse_is_itself_and_of_a_flat_one_that_of_a_line() -> None:
    assert _circle_share(1.0) == pytest.approx(1.0, abs=2e-3)
    assert _circle_share(0.02) == pytest.approx(1.95996 / 2.44775, abs=2e-3)


@pytest.mark.parametrize(("fix", "source"), [("gps", 10.0), ("rtk", 10.0), ("rtk", 0.0)])
def test_drones(fix: str, source: float) -> None:
    rng = np.random.default_rng(3)
    told = _figures([_flown(WIDE, FIXES[fix], source, None, "flat", rng) for _ in range(300)])
    assert told["points"] > 280
    assert 0.87 < told["measured_to_predicted"] < 1.13
    assert 0.91 < told["inside_share"] < 0.98


def test_hills_that_are_known_are_placed_on() -> None:
    rng, land = np.random.default_rng(4), Land(4)
    told = _figures([_flown(WIDE, FIXES["gps"], 10.0, land, "hills", rng) for _ in range(120)])
    assert 0.8 < told["measured_to_predicted"] < 1.2


def test_states_too_far_apart_give_no_pose() -> None:
    found = _flown(WIDE, FIXES["gps"], 0.2, None, "flat", np.random.default_rng(1))
    assert found == "no pose: states too far apart"


def test_a_fixed_camera() -> None:
    found = [_calibrated(12, 0.3, np.random.default_rng(i)) for i in range(60)]
    inside = [f.of_ellipse <= 1.0 for f in found if isinstance(f, Placed)]
    assert len(inside) > 55
    assert np.mean(inside) > 0.86
