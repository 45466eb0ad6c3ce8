"""Which looks are wanted: to confirm a critical hazard, or to verify that one is gone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from domain.events import HazardRaised, VerificationRequested
from domain.hazard import HazardKind
from domain.ids import derive
from domain.mission import MissionPurpose
from domain.place import Position
from services.patrol.policy import PatrolPolicy

_METRES_PER_DEGREE = 111_320.0


@dataclass(frozen=True, slots=True)
class WantedLook:
    """A look that waits for a drone. `tries` counts the missions that failed to give it."""

    look_id: str
    purpose: MissionPurpose
    kind: HazardKind
    target: Position
    incident_id: str | None
    hazard_id: str | None
    wanted_at: datetime
    expires_at: datetime
    tries: int = 0

    def mission_id(self) -> str:
        """Return the id of the mission that is to give this look now."""
        return derive("mission", self.look_id, str(self.tries))

    def given_by(self, mission_id: str) -> bool:
        """Tell whether a mission was one of this look's."""
        return any(replace(self, tries=n).mission_id() == mission_id for n in range(self.tries + 1))


def wanted(
    event: HazardRaised | VerificationRequested, at: datetime, policy: PatrolPolicy
) -> WantedLook | None:
    """Return the look an event asks for, or None."""
    if isinstance(event, VerificationRequested):
        return WantedLook(
            look_id=derive("look", "verify", event.incident_id, str(event.attempt)),
            purpose=MissionPurpose.VERIFY,
            kind=event.kind,
            target=event.position,
            incident_id=event.incident_id,
            hazard_id=None,
            wanted_at=at,
            expires_at=at + timedelta(seconds=policy.verify_expiry_s),
        )
    hazard = event.hazard
    if hazard.kind not in policy.confirm_kinds:
        return None
    return WantedLook(
        look_id=derive("look", "confirm", hazard.hazard_id),
        purpose=MissionPurpose.CONFIRM,
        kind=hazard.kind,
        target=hazard.position,
        incident_id=None,
        hazard_id=hazard.hazard_id,
        wanted_at=at,
        expires_at=at + timedelta(seconds=policy.confirm_expiry_s),
    )


def already_wanted(look: WantedLook, queue: Sequence[WantedLook], policy: PatrolPolicy) -> bool:
    """Tell whether a look of the same purpose at the same happening waits already."""
    for other in queue:
        if other.look_id == look.look_id:
            return True
        if other.purpose is not look.purpose:
            continue
        if look.incident_id is not None and other.incident_id == look.incident_id:
            return True
        near = _apart_m(other.target, look.target) <= policy.same_target_m
        if look.purpose is MissionPurpose.CONFIRM and near and _alike(look.kind, other.kind):
            return True
    return False


def in_order(queue: Sequence[WantedLook], at: datetime, policy: PatrolPolicy) -> list[WantedLook]:
    """Return what may still be looked at: confirmations first, then the longest waiting."""
    live = [look for look in queue if look.expires_at > at and look.tries < policy.look_tries]
    return sorted(
        live,
        key=lambda look: (
            look.purpose is not MissionPurpose.CONFIRM,
            look.tries,
            look.wanted_at,
            look.look_id,
        ),
    )


def may_divert(look: WantedLook, at: datetime, policy: PatrolPolicy) -> bool:
    """Tell whether a patrol may be turned aside: at once to confirm, for the rest after a wait.

    What was handled can wait for a dock to be free; patrols cut short for it leave cells unseen.
    """
    waited_s = (at - look.wanted_at).total_seconds()
    return look.purpose is MissionPurpose.CONFIRM or waited_s >= policy.verify_diverts_after_s


def _alike(a: HazardKind, b: HazardKind) -> bool:
    """Smoke and the fire under it are one happening."""
    return a is b or {a, b} == {HazardKind.FIRE, HazardKind.SMOKE}


def _apart_m(a: Position, b: Position) -> float:
    north = (a.lat_deg - b.lat_deg) * _METRES_PER_DEGREE
    east = (a.lon_deg - b.lon_deg) * _METRES_PER_DEGREE * math.cos(math.radians(a.lat_deg))
    return math.hypot(north, east)
