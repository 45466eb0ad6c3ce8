"""What is being voted on and what already stands, over all devices: frame after frame. Pure.

Watch keeps one for the frames that come, a dry run one for frames that were.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from domain.hazard import Detection, HazardKind
from domain.sight import SightRule
from services.ingest.sight.sightings import Sighting
from services.ingest.sight.votes import Candidate, VotePolicy, often, stands, tally


@dataclass(slots=True)
class Active:
    """A hazard that stands, and when it was last seen."""

    hazard_id: str
    kind: HazardKind
    x_m: float
    y_m: float
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class BallotPolicy:
    """A sighting within `same_hazard_m` of one that stands is that one, for `forget_s` after it
    was last seen; it is told again every `renew_s`."""

    vote: VotePolicy = field(default_factory=VotePolicy)
    same_hazard_m: float = 30.0
    renew_s: float = 60.0
    forget_s: float = 900.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one frame decided: who won, which hazards were seen again, whether any vote is open."""

    won: tuple[Candidate, ...]
    renewed: tuple[tuple[Active, Candidate], ...]
    open: bool


@dataclass(slots=True)
class Ballot:
    policy: BallotPolicy
    candidates: dict[str, tuple[Candidate, ...]] = field(default_factory=dict)
    active: dict[str, Active] = field(default_factory=dict)

    def judge(
        self,
        device_sn: str,
        at: datetime,
        flying: bool,
        seen: Sequence[Sighting],
        in_view: Callable[[float, float], bool],
        rules: Sequence[SightRule],
    ) -> Outcome:
        """Count one frame of a device. Whoever won must be told by `stood` before the next."""
        before = self.candidates.get(device_sn, ())
        votes = {r.code: r.drone if flying else r.camera for r in rules}
        won: list[Candidate] = []
        renewed: list[tuple[Active, Candidate]] = []
        waiting: list[Candidate] = []
        for candidate in tally(before, seen, in_view, at, self.policy.vote):
            known = self.known(candidate.kind, candidate.x_m, candidate.y_m, at)
            vote = votes.get(candidate.rule)
            if known is not None:
                if self._again(known, candidate, at):
                    renewed.append((known, candidate))
            elif any(_same(candidate, other, self.policy.same_hazard_m) for other in won):
                continue
            elif vote is not None and stands(candidate, vote):
                won.append(candidate)
            elif vote is not None and not often(candidate, vote):
                waiting.append(replace(candidate, since=at))
            else:
                waiting.append(candidate)
        self.candidates[device_sn] = tuple(waiting)
        is_open = any(c.looks[-1].at == at for c in waiting)
        return Outcome(tuple(won), tuple(renewed), is_open)

    def places(self, device_sn: str) -> list[Detection]:
        """Return the boxes of what a device votes on, each as it was last seen."""
        last = [c.hits[-1].sighting for c in self.candidates.get(device_sn, ())]
        return [s.boxes[0] for s in last if s is not None and len(s.boxes) == 1]

    def stood(self, active: Active) -> None:
        self.active[active.hazard_id] = active

    def known(self, kind: HazardKind, x_m: float, y_m: float, at: datetime) -> Active | None:
        """Return the hazard that stands there, forgetting those not seen for long."""
        limit_m = self.policy.same_hazard_m
        for active in list(self.active.values()):
            if (at - active.last_seen_at).total_seconds() > self.policy.forget_s:
                del self.active[active.hazard_id]
            elif active.kind is kind and (
                (active.x_m - x_m) ** 2 + (active.y_m - y_m) ** 2 <= limit_m**2
            ):
                return active
        return None

    def _again(self, known: Active, candidate: Candidate, at: datetime) -> bool:
        look = candidate.looks[-1]
        if look.sighting is None or look.at != at:
            return False
        if (at - known.last_seen_at).total_seconds() < self.policy.renew_s:
            return False
        known.last_seen_at = at
        return True


def _same(one: Candidate, other: Candidate, limit_m: float) -> bool:
    apart_2 = (one.x_m - other.x_m) ** 2 + (one.y_m - other.y_m) ** 2
    return one.kind is other.kind and apart_2 <= limit_m**2
