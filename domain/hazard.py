"""What was seen: detections in one frame's pixels, and hazards placed on the ground."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.place import ErrorEllipse, Position


class HazardKind(StrEnum):
    FIRE = "fire"
    SMOKE = "smoke"
    EXPOSED_RUBBISH = "exposed_rubbish"
    BLOCKED_FIRE_LANE = "blocked_fire_lane"
    FLOODED_ROAD = "flooded_road"
    FLOATING_DEBRIS = "floating_debris"
    CROWD = "crowd"
    ILLEGAL_STRUCTURE = "illegal_structure"
    LAND_CHANGE = "land_change"
    ILLEGAL_PARKING = "illegal_parking"
    PERSON_IN_WATER = "person_in_water"
    DEVICE_FAULT = "device_fault"


class Severity(StrEnum):
    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Detection:
    """识别: one box in one frame. Corners in pixels of the frame as decoded."""

    label: str
    score: float
    x0_px: float
    y0_px: float
    x1_px: float
    y1_px: float


@dataclass(frozen=True, slots=True)
class Hazard:
    """隐患: voted over several frames and placed on the ground, with its evidence pictures."""

    hazard_id: str
    kind: HazardKind
    position: Position
    ellipse: ErrorEllipse
    score: float
    device_sn: str
    first_seen_at: datetime
    last_seen_at: datetime
    votes: int
    frames: int
    cell_code: str | None
    other_cell_codes: tuple[str, ...]
    evidence: tuple[str, ...]
    frame_completed_wall_s: float
    """Wall clock (Unix seconds) at which the frame that completed the vote was decoded."""
