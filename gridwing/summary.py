"""What a simulated run came to, measured against the simulators' own truth. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.events import (
    CellSeen,
    DispatchOffered,
    HazardRaised,
    IncidentClosed,
    IncidentReported,
    IncidentVerified,
)
from domain.hazard import Hazard, HazardKind
from domain.incident import VerifiedBy
from geo.frames import LocalFrame
from runtime.ledger import Entry

FOUND_WITHIN_M = 30.0
LOOKED_AT_FRAMES = 5
SMOKE_AND_FIRE = frozenset({HazardKind.FIRE, HazardKind.SMOKE})


@dataclass(frozen=True, slots=True)
class TrueHazard:
    """One hazard of the simulated truth. `frames` is how many pictures showed it to somebody."""

    hazard_id: str
    kind: HazardKind
    x_m: float
    y_m: float
    appeared_at: datetime
    gone_at: datetime | None
    frames: int


def ledger_figures(
    entries: Sequence[Entry], truth: Sequence[TrueHazard], frame: LocalFrame
) -> dict[str, Any]:
    """Return the summary's figures that the ledger and the truth can tell."""
    events = [entry.event for entry in entries]
    raised = [e.hazard for e in events if isinstance(e, HazardRaised)]
    looked_at = [t for t in truth if t.frames >= LOOKED_AT_FRAMES]
    found = [t for t in looked_at if any(matches(t, h, frame, {t.kind}) for h in raised)]
    false_alarms = [
        h for h in raised if not any(matches(t, h, frame, alike(t.kind)) for t in truth)
    ]
    by_flight = [e for e in events if isinstance(e, IncidentVerified) and e.by is VerifiedBy.FLIGHT]
    return {
        "hazards_true": len(looked_at),
        "hazards_unseen": len(truth) - len(looked_at),
        "hazards_found": len(found),
        "hazards_missed": [
            {"kind": t.kind.value, "frames": t.frames, "id": t.hazard_id}
            for t in looked_at
            if t not in found
        ],
        "false_alarms": len(false_alarms),
        "incidents": sum(isinstance(e, IncidentReported) for e in events),
        "dispatches": sum(isinstance(e, DispatchOffered) for e in events),
        "closed": sum(isinstance(e, IncidentClosed) for e in events),
        "verified_by_flight": len(by_flight),
        "cells_visited": len({e.cell_code for e in events if isinstance(e, CellSeen)}),
    }


def alike(kind: HazardKind) -> frozenset[HazardKind]:
    """Return the kinds that are no false alarm where the truth is `kind`."""
    return SMOKE_AND_FIRE if kind in SMOKE_AND_FIRE else frozenset({kind})


def matches(
    true: TrueHazard,
    seen: Hazard,
    frame: LocalFrame,
    kinds: frozenset[HazardKind] | set[HazardKind],
) -> bool:
    """Tell whether what was seen is the true hazard, taken for one of `kinds`."""
    if seen.kind not in kinds or seen.last_seen_at < true.appeared_at:
        return False
    if true.gone_at is not None and seen.first_seen_at > true.gone_at:
        return False
    x_m, y_m = frame.to_local(seen.position.lat_deg, seen.position.lon_deg)
    return (x_m - true.x_m) ** 2 + (y_m - true.y_m) ** 2 <= FOUND_WITHIN_M**2


def complaints(figures: Mapping[str, Any]) -> list[str]:
    """Return why a run must not count as good: anything lost, refused or broken."""
    found = []
    if figures["telemetry_stored"] < figures["telemetry_sent"]:
        lost = figures["telemetry_sent"] - figures["telemetry_stored"]
        found.append(f"{lost} telemetry messages were lost")
    if not figures["ledger_ok"]:
        found.append("the ledger's hash chain does not verify")
    if figures["dead_letters"]:
        found.append(f"{figures['dead_letters']} messages were refused into dead_letter")
    if figures["errors"]:
        found.append(f"{figures['errors']} errors were logged")
    if figures.get("double_takeoffs"):
        found.append(f"{figures['double_takeoffs']} second take-offs of one flight")
    return found
