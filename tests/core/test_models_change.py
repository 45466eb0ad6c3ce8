"""What was built is found; other light, shade, sway, cars and people are not."""

import numpy as np
import pytest

from models.change import Box, ChangePolicy, NotComparable, Region, changes
from simulators.render import DrawnBox
from simulators.render_change import ChangeCase, Look, change_case
from simulators.render_dataset import Town, towns

FIRST_SEED = 1000


@pytest.fixture(scope="module")
def choices() -> tuple[Town, ...]:
    return towns()


def boxes(look: Look) -> list[Box]:
    return [(b.x0, b.y0, b.x1, b.y1) for b in look.passing]


def compared(case: ChangeCase, look: Look) -> tuple[Region, ...]:
    """Return the regions; a picture that cannot be compared has none."""
    found = changes(case.before.image, look.image, boxes(case.before), boxes(look))
    return () if isinstance(found, NotComparable) else found


def meets(region: Region, box: DrawnBox) -> bool:
    x0, y0, x1, y1 = region.box
    return bool(x0 < box.x1 and box.x0 < x1 and y0 < box.y1 and box.y0 < y1)


def test_what_was_built_is_found_in_most_looks(choices: tuple[Town, ...]) -> None:
    found = 0
    for seed in range(FIRST_SEED, FIRST_SEED + 6):
        case = change_case(seed, choices, built=True)
        hits = [
            any(look.built is not None and meets(r, look.built) for r in compared(case, look))
            for look in case.after
        ]
        found += sum(hits) >= 3
    assert found >= 5


def test_light_shade_sway_and_what_passes_are_no_change(choices: tuple[Town, ...]) -> None:
    looks = quiet = 0
    for seed in range(FIRST_SEED, FIRST_SEED + 6):
        case = change_case(seed, choices, built=False)
        for look in case.after:
            looks, quiet = looks + 1, quiet + (not compared(case, look))
    assert quiet >= 0.85 * looks


def test_a_masked_box_is_not_compared(choices: tuple[Town, ...]) -> None:
    case = change_case(FIRST_SEED + 6, choices, built=True)
    look = case.after[0]
    assert look.built is not None
    own = (look.built.x0, look.built.y0, look.built.x1, look.built.y1)
    first = changes(case.before.image, look.image, boxes(case.before), boxes(look))
    masked = changes(case.before.image, look.image, boxes(case.before), [*boxes(look), own])
    assert isinstance(first, tuple)
    assert isinstance(masked, tuple)
    assert any(meets(r, look.built) for r in first)
    assert not any(meets(r, look.built) for r in masked)


def test_another_place_is_not_compared(choices: tuple[Town, ...]) -> None:
    one, other = (change_case(seed, choices, built=False).before.image for seed in (1, 2))
    found = changes(one, other)
    assert isinstance(found, NotComparable)
    assert found.reason in ("other_pose", "other_scene")


@pytest.mark.parametrize("size", [(1, 1, 3), (360, 640, 3), (7, 2000, 3)])
def test_a_picture_without_features_says_so(size: tuple[int, int, int]) -> None:
    blank = np.full(size, 90, np.uint8)
    assert changes(blank, blank) == NotComparable("no_features")


def test_grey_is_refused_and_regions_are_bounded(choices: tuple[Town, ...]) -> None:
    with pytest.raises(ValueError, match="BGR"):
        changes(np.zeros((9, 9), np.uint8), np.zeros((9, 9), np.uint8))
    case = change_case(FIRST_SEED + 6, choices, built=True)
    policy = ChangePolicy(regions_limit=1)
    found = changes(case.before.image, case.after[1].image, policy=policy)
    assert isinstance(found, tuple)
    assert len(found) == 1
