"""Many reports, one incident: the score, its parts, and what never fuses."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.hazard import HazardKind, Severity
from domain.incident import Incident, IncidentState
from domain.place import ErrorEllipse, Position
from geo.frames import LocalFrame
from services.alerts.fusion import (
    FUSES_AT,
    PER_SIGMA,
    Sighting,
    likeness,
    reach_m,
    same_happening,
    sigma_towards,
)
from services.alerts.rules import load_rules

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
HERE = Position(22.54, 113.35)
FRAME = LocalFrame(HERE)
RULES = load_rules()


def incident(kind: HazardKind = HazardKind.FIRE, name: str = "i-1", **changes: object) -> Incident:
    made = Incident(
        name, 1, IncidentState.FILED, kind, Severity.HIGH, HERE, None, None, AT, AT, "cam-1", (), ()
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def sighting(
    east_m: float = 0.0,
    kind: HazardKind = HazardKind.FIRE,
    ellipse: ErrorEllipse | None = None,
    later_s: float = 0.0,
    source: str = "cam-2",
) -> Sighting:
    at = AT + timedelta(seconds=later_s)
    return Sighting(kind, FRAME.to_position(east_m, 0.0), ellipse, at, source)


def test_the_score_is_the_product_of_space_time_and_kind() -> None:
    match = likeness(sighting(15.0, HazardKind.SMOKE, later_s=360.0), incident(), FRAME, RULES)
    assert match.distance_m == pytest.approx(15.0, abs=0.01)
    assert match.sigma_m == pytest.approx(15.0)
    assert match.space == pytest.approx(exp(-0.5), rel=1e-3)
    assert match.time == pytest.approx(exp(-0.1))
    assert match.kind == 0.8
    assert match.score == pytest.approx(match.space * match.time * match.kind)


@pytest.mark.parametrize(
    ("seen", "known", "fuses"),
    [
        (sighting(20.0), incident(), True),
        (sighting(50.0), incident(), False),
        (sighting(50.0, ellipse=ErrorEllipse(60.0, 60.0, 0.0)), incident(), True),
        (sighting(50.0), incident(ellipse=ErrorEllipse(60.0, 60.0, 0.0)), True),
        # The error lies along the line between them, or across it.
        (sighting(50.0, ellipse=ErrorEllipse(60.0, 4.0, 90.0)), incident(), True),
        (sighting(50.0, ellipse=ErrorEllipse(60.0, 4.0, 0.0)), incident(), False),
        (sighting(kind=HazardKind.SMOKE), incident(), True),
        (sighting(kind=HazardKind.CROWD), incident(), False),
        (sighting(later_s=1800.0), incident(), True),
        (sighting(later_s=5 * 3600.0), incident(), False),
        (
            sighting(later_s=86400.0, kind=HazardKind.EXPOSED_RUBBISH),
            incident(HazardKind.EXPOSED_RUBBISH),
            True,
        ),
        (sighting(), incident(state=IncidentState.CLOSED), False),
        (sighting(), incident(state=IncidentState.VERIFYING), True),
        (
            sighting(kind=HazardKind.DEVICE_FAULT, source="dock-1"),
            incident(HazardKind.DEVICE_FAULT, source="dock-1"),
            True,
        ),
        (
            sighting(kind=HazardKind.DEVICE_FAULT, source="dock-2"),
            incident(HazardKind.DEVICE_FAULT, source="dock-1"),
            False,
        ),
    ],
)
def test_what_fuses(seen: Sighting, known: Incident, fuses: bool) -> None:
    assert (same_happening(seen, [known], FRAME, RULES) is not None) is fuses


def test_the_best_of_several_is_taken() -> None:
    near = incident(name="near", position=FRAME.to_position(5.0, 0.0))
    far = incident(name="far", position=FRAME.to_position(-20.0, 0.0))
    match = same_happening(sighting(), [far, near], FRAME, RULES)
    assert match is not None
    assert match.incident_id == "near"


@given(
    bearing=st.floats(0.0, 360.0),
    turn=st.floats(0.0, 360.0),
    major=st.floats(1.0, 100.0),
    flat=st.floats(0.1, 1.0),
)
def test_sigma_lies_between_the_axes(
    bearing: float, turn: float, major: float, flat: float
) -> None:
    ellipse = ErrorEllipse(major, major * flat, turn)
    sigma_m = sigma_towards(ellipse, bearing)
    assert major * flat / PER_SIGMA - 1e-6 <= sigma_m <= major / PER_SIGMA + 1e-6


@given(
    east=st.floats(0.0, 600.0),
    own=st.floats(1.0, 140.0),
    other=st.floats(1.0, 140.0),
    kind=st.sampled_from(HazardKind),
)
def test_nothing_that_fuses_lies_beyond_the_search_radius(
    east: float, own: float, other: float, kind: HazardKind
) -> None:
    seen = sighting(east, kind, ErrorEllipse(own, own, 0.0), source="cam-1")
    known = incident(kind, ellipse=ErrorEllipse(other, other, 0.0))
    match = likeness(seen, known, FRAME, RULES)
    if match.score >= FUSES_AT:
        assert match.distance_m <= reach_m(seen, RULES)
