"""Every word of the domain that reaches a screen has a label in both languages."""

import re
from enum import StrEnum
from pathlib import Path

import pytest

from domain.events import KINDS
from domain.hazard import HazardKind, Severity
from domain.incident import CloseOutcome, IncidentState, VerifiedBy
from domain.mission import LookOutcome
from domain.observation import FlightPhase
from domain.responder import DispatchState, Force

CATALOGUES = Path(__file__).resolve().parents[2] / "web" / "src" / "i18n"
GROUPS: dict[str, tuple[type[StrEnum], ...]] = {
    "kind": (HazardKind,),
    "severity": (Severity,),
    "state": (IncidentState,),
    "outcome": (CloseOutcome,),
    "dispatch": (DispatchState,),
    "force": (Force,),
    "phase": (FlightPhase,),
    "why": (VerifiedBy, LookOutcome),
}
ON_A_TIMELINE = ("hazard.", "incident.", "dispatch.", "look.concluded", "evidence.")


def labels(language: str, group: str) -> set[str]:
    text = (CATALOGUES / f"{language}.ts").read_text(encoding="utf-8")
    found = re.search(
        rf"^  {group}: \{{(.*?)^  \}},|^  {group}: \{{(.*?)\}},$", text, re.DOTALL | re.MULTILINE
    )
    assert found is not None, group
    body = found[1] or found[2]
    return set(re.findall(r'"?([\w.]+)"?: "', body))


@pytest.mark.parametrize("language", ["zh", "en"])
@pytest.mark.parametrize("group", GROUPS)
def test_every_value_has_a_label(language: str, group: str) -> None:
    values = {member.value for enum in GROUPS[group] for member in enum}
    assert values - labels(language, group) == set()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_event_of_a_timeline_has_a_label(language: str) -> None:
    wanted = {kind for kind in KINDS if kind.startswith(ON_A_TIMELINE)}
    assert wanted - labels(language, "event") == set()
