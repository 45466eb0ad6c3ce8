"""Judging a look, and adding up the ground a flight covered."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from shapely import box

from domain.events import LookStarted
from domain.hazard import HazardKind
from domain.mission import LookOutcome, MissionPurpose
from domain.place import ErrorEllipse, Position
from services.ingest.sight.looks import (
    Covered,
    Floats,
    LookPolicy,
    OpenLook,
    cover,
    looked,
    verdict,
)
from services.ingest.sight.rules import load_rules
from services.ingest.sight.sightings import Sighting

START = datetime(2026, 11, 23, 8, tzinfo=UTC)
POSITION = Position(22.5, 113.3)
POLICY = LookPolicy(frames=5)
FINE, COARSE = 20.0, 8.0
LATER = START + timedelta(seconds=30)


def at(*metres_a_pixel: float) -> Callable[[str], Floats]:
    """The sharpness of one frame at a cell's two sample places."""
    return lambda code: np.array(metres_a_pixel)


def a_look(kind: HazardKind = HazardKind.FIRE) -> OpenLook:
    started = LookStarted(
        "mission-1", MissionPurpose.VERIFY, "DRONE1", POSITION, kind, 30.0, "incident-1", None,
        START + timedelta(seconds=120),
    )  # fmt: skip
    return OpenLook(started, 0.0, 0.0)


def sighting(x_m: float, kind: HazardKind) -> Sighting:
    return Sighting(kind.value, kind, POSITION, x_m, 0.0, ErrorEllipse(3, 2, 0), 0.8, ())


def after_frames(hits: int, misses: int) -> OpenLook:
    look = a_look()
    for i in range(hits + misses):
        look, _ = looked(look, [sighting(5, HazardKind.FIRE)] if i < hits else [], FINE)
    return look


@pytest.mark.parametrize(
    ("hits", "misses", "late", "outcome"),
    [
        (0, 4, False, None),
        (0, 4, True, LookOutcome.UNCLEAR),
        (0, 5, False, LookOutcome.REFUTED),
        (1, 4, False, LookOutcome.REFUTED),
        (2, 4, False, None),
        (2, 4, True, LookOutcome.UNCLEAR),
        (3, 2, False, LookOutcome.CONFIRMED),
        (4, 6, False, LookOutcome.UNCLEAR),
    ],
)
def test_verdict(hits: int, misses: int, late: bool, outcome: LookOutcome | None) -> None:
    at = START + timedelta(seconds=200 if late else 10)
    assert verdict(after_frames(hits, misses), at, POLICY, load_rules()) == outcome


@pytest.mark.parametrize(
    ("kind", "px_m", "outcome"),
    [
        (HazardKind.CROWD, COARSE, LookOutcome.UNCLEAR),
        (HazardKind.CROWD, FINE, LookOutcome.REFUTED),
        (HazardKind.FIRE, COARSE, LookOutcome.REFUTED),
    ],
)
def test_what_is_too_small_to_be_seen_is_not_gone(
    kind: HazardKind, px_m: float, outcome: LookOutcome
) -> None:
    look = a_look(kind)
    for _ in range(POLICY.frames):
        look, _best = looked(look, [], px_m)
    assert verdict(look, START + timedelta(seconds=10), POLICY, load_rules()) is outcome


@pytest.mark.parametrize(
    ("kind", "labels", "outcome"),
    [
        (HazardKind.ILLEGAL_STRUCTURE, {"fire", "vehicle"}, LookOutcome.UNCLEAR),
        (HazardKind.ILLEGAL_STRUCTURE, {"fire", "illegal_structure"}, LookOutcome.REFUTED),
        (HazardKind.BLOCKED_FIRE_LANE, {"fire", "vehicle"}, LookOutcome.REFUTED),
        (HazardKind.LAND_CHANGE, {"fire", "vehicle"}, LookOutcome.UNCLEAR),
    ],
)
def test_what_the_network_has_no_class_for_is_not_gone(
    kind: HazardKind, labels: set[str], outcome: LookOutcome
) -> None:
    look = a_look(kind)
    for _ in range(POLICY.frames):
        look, _best = looked(look, [], FINE)
    policy = LookPolicy(frames=5, labels=frozenset(labels))
    assert verdict(look, START + timedelta(seconds=10), policy, load_rules()) is outcome


def test_smoke_where_fire_was_is_not_gone() -> None:
    look, best = looked(a_look(), [sighting(5, HazardKind.SMOKE)], FINE)
    assert look.positive == 1
    assert best is not None


def test_another_kind_or_another_place_does_not_confirm() -> None:
    seen = [sighting(5, HazardKind.CROWD), sighting(80, HazardKind.FIRE)]
    look, best = looked(a_look(), seen, FINE)
    assert (look.frames, look.positive, best) == (1, 0, None)


def test_a_cell_is_done_once_when_its_share_is_reached() -> None:
    cells = {"c1": box(0, 0, 100, 100)}
    state: dict[str, Covered] = {}
    state, done = cover(state, "f1", box(0, 0, 100, 60), cells, 0.9, START, at(0.04, np.inf))
    assert done == []
    state, done = cover(state, "f1", box(0, 50, 100, 95), cells, 0.9, LATER, at(0.02, 0.08))
    assert [(code, round(share, 2)) for code, share in done] == [("c1", 0.95)]
    assert (state["c1"].began_at, state["c1"].worst_m()) == (START, 0.08)
    assert state["c1"].median_m() == pytest.approx(0.05)
    state, done = cover(state, "f1", box(0, 90, 100, 100), cells, 0.9, LATER, at(0.5, 0.5))
    assert done == []
    assert state["c1"].worst_m() == 0.08


def test_a_new_flight_starts_from_bare_ground() -> None:
    cells = {"c1": box(0, 0, 100, 100)}
    state, _ = cover({}, "f1", box(0, 0, 100, 60), cells, 0.9, START, at(0.04, np.inf))
    after, done = cover(state, "f2", box(0, 50, 100, 100), cells, 0.9, LATER, at(np.inf, np.inf))
    assert done == []
    assert (after["c1"].began_at, after["c1"].worst_m()) == (LATER, None)
