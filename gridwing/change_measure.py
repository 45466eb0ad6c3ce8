"""The change rule put to rendered places before and after: what it raises, and what it should."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from domain.observation import FramePose
from domain.place import Position
from domain.sight import ReferenceTaken, SightRule
from geo.frames import LocalFrame
from models.change import Box, NotComparable, changes
from services.ingest.sight.changes import (
    Placing,
    Reference,
    ReferencePolicy,
    changed_ground,
    voted,
    won,
)
from services.ingest.sight.rules import load_rules
from services.ingest.sight.sightings import SightingPolicy
from simulators.render import View
from simulators.render_change import ChangeCase, Look, change_case
from simulators.render_dataset import towns

ORIGIN = Position(22.54, 113.35)
BEGAN = datetime(2026, 11, 23, tzinfo=UTC)
APART = timedelta(minutes=40)
SAME_M = 10.0
NEAR_M = 6.0
"""A hazard this near the edge of what was built is it."""


@dataclass(slots=True)
class Tally:
    """`found` of the `built` were raised; `false` hazards were raised beside; of the `looks` some
    could not be compared, and some of those with nothing built showed a change all the same."""

    built: int = 0
    found: int = 0
    unbuilt: int = 0
    false: int = 0
    looks: int = 0
    not_comparable: int = 0

    def figures(self) -> dict[str, Any]:
        raised = self.found + self.false
        return {
            "places": self.built + self.unbuilt,
            "built": self.built,
            "found": self.found,
            "false": self.false,
            "precision": round(self.found / raised, 3) if raised else None,
            "recall": round(self.found / self.built, 3) if self.built else None,
            "looks": self.looks,
            "not_comparable": self.not_comparable,
        }


def measured(places: int, first_seed: int) -> dict[str, Any]:
    """Put the shipped rule to `places` rendered places, something built in every second one."""
    choices, tallies = towns(), {"camera": Tally(), "drone": Tally()}
    for i in range(places):
        case = change_case(first_seed + i, choices, built=i % 2 == 0)
        _judge(case, tallies["drone" if case.flying else "camera"])
    both = [tallies["camera"], tallies["drone"]]
    summed = Tally(*(sum(getattr(t, f) for t in both) for f in Tally.__slots__))
    parts = {"all": summed, **tallies}
    return {"first_seed": first_seed, **{name: t.figures() for name, t in parts.items()}}


def _judge(case: ChangeCase, tally: Tally) -> None:
    tally.built += case.built is not None
    tally.unbuilt += case.built is None
    met = False
    for x_m, y_m in _raised(case, tally):
        item = case.built
        reach_m = 0.0 if item is None else item.size_m / 2 + NEAR_M
        if item is not None and (x_m - item.x_m) ** 2 + (y_m - item.y_m) ** 2 <= reach_m**2:
            met = True
        else:
            tally.false += 1
    tally.found += met


def _raised(case: ChangeCase, tally: Tally) -> Iterator[tuple[float, float]]:
    """Yield where the rule raises a hazard, look after look."""
    frame, policy = LocalFrame(ORIGIN), ReferencePolicy()
    rules = [rule for rule in load_rules() if rule.of_change]
    first = _pose(case.before.view, frame, BEGAN)
    taken = ReferenceTaken("reference", "D", case.flying, first, "", (), BEGAN)
    reference = Reference(taken, "", ())
    raised: list[tuple[float, float]] = []
    for i, look in enumerate(case.after, 1):
        at = BEGAN + i * APART
        tally.looks += 1
        regions = changes(
            case.before.image, look.image, _boxes(case.before), _boxes(look)
        )
        if isinstance(regions, NotComparable):
            tally.not_comparable += 1
            continue
        size_px = (look.view.width_px, look.view.height_px)
        pose = _pose(look.view if case.flying else case.before.view, frame, at)
        place = Placing(pose, size_px, frame, {}, SightingPolicy({}), None)
        on: list[SightRule] = [r for r in rules if r.is_on(at, "D", case.flying)]
        seen = [c.sighting for c in changed_ground(regions, on, place)]
        candidates = voted(reference, seen, at, policy)
        winners = won(candidates, on, case.flying, at)
        for c in winners:
            if all((c.x_m - x_m) ** 2 + (c.y_m - y_m) ** 2 > SAME_M**2 for x_m, y_m in raised):
                raised.append((c.x_m, c.y_m))
                yield c.x_m, c.y_m
        left = tuple(c for c in candidates if c not in winners)
        reference = replace(reference, candidates=left)


def _boxes(look: Look) -> list[Box]:
    return [(b.x0, b.y0, b.x1, b.y1) for b in look.passing]


def _pose(view: View, frame: LocalFrame, at: datetime) -> FramePose:
    position = frame.to_position(view.x_m, view.y_m)
    return FramePose(
        position, view.height_agl_m, view.yaw_deg, view.pitch_deg, view.roll_deg, view.hfov_deg, at
    )
