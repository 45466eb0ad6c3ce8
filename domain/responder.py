"""Who acts: responders of the three forces, and the orders they receive."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.place import Position


class Force(StrEnum):
    GRID = "grid"
    POLICE_GRID = "police_grid"
    FIRE_POST = "fire_post"
    URBAN_MANAGEMENT = "urban_management"
    WATER = "water"
    SAFETY = "safety"


@dataclass(frozen=True, slots=True)
class Responder:
    """处置力量. `area_codes` are the grid cells or police grids that are theirs."""

    responder_id: str
    call_sign: str
    force: Force
    area_codes: tuple[str, ...]
    home: Position
    account: str


class DispatchState(StrEnum):
    OFFERED = "offered"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    ARRIVED = "arrived"
    HANDED_BACK = "handed_back"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Dispatch:
    """派单: one responder asked to handle one incident."""

    dispatch_id: str
    incident_id: str
    responder_id: str
    force: Force
    state: DispatchState
    offered_at: datetime
    reason: str
    accepted_at: datetime | None = None
    arrived_at: datetime | None = None
    handed_back_at: datetime | None = None
    evidence: tuple[str, ...] = ()
