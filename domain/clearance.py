"""飞行申请: what was asked of the air-traffic authority, and what it said."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.place import Area


class ApplicationKind(StrEnum):
    """Interim Regulation on Unmanned Aircraft Flight (2024): art. 26 and 29."""

    LONG_TERM = "long_term"
    DAILY = "daily"
    EMERGENCY = "emergency"


class ApplicationState(StrEnum):
    FILED = "filed"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class FlightApplication:
    """One application: which drones, where, how high, from when to when.

    `area` None is the whole district. `parent_id` is the long-term approval a daily plan is filed
    under. `confirmation_needed` False is said by approvals whose take-off confirmation stands.
    Raises ValueError naming the field that does not fit.
    """

    application_id: str
    kind: ApplicationKind
    drone_sns: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime
    ceiling_agl_m: float
    area: Area | None = None
    nature: str = "patrol"
    parent_id: str | None = None
    confirmation_needed: bool = True

    def __post_init__(self) -> None:
        if not self.drone_sns:
            raise ValueError("drone_sns must name at least one drone")
        if not self.starts_at < self.ends_at:
            raise ValueError(f"ends_at must come after starts_at, got {self.ends_at}")
        if not 0.0 < self.ceiling_agl_m <= 6000.0:
            raise ValueError(f"ceiling_agl_m must lie in 0..6000, got {self.ceiling_agl_m!r}")


@dataclass(frozen=True, slots=True)
class StandingApproval:
    """An approval registered with the district: granted before Gridwing came, under `number`."""

    number: str
    application: FlightApplication
