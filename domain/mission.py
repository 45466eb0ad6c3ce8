"""飞行: why a drone flies (Mission), the path (Wayline), one flight of it (Sortie)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.hazard import HazardKind
from domain.place import Position


class MissionPurpose(StrEnum):
    PATROL = "patrol"
    CONFIRM = "confirm"
    VERIFY = "verify"


class MissionState(StrEnum):
    PLANNED = "planned"
    PREPARING = "preparing"
    PREPARED = "prepared"
    EXECUTING = "executing"
    UNKNOWN = "unknown"
    FLYING = "flying"
    DIVERTED = "diverted"
    ENDED = "ended"


class MissionOutcome(StrEnum):
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"
    NEVER_FLOWN = "never_flown"


@dataclass(frozen=True, slots=True)
class Waypoint:
    """A point of a wayline. `height_rel_m` is above take-off; yaw None = along the path.

    `cell_code` marks the end of a leg that sweeps a cell, `site_code` a hover over a key site.
    """

    position: Position
    height_rel_m: float
    speed_m_s: float
    gimbal_pitch_deg: float = -90.0
    yaw_deg: float | None = None
    hover_s: float = 0.0
    cell_code: str | None = None
    site_code: str | None = None


@dataclass(frozen=True, slots=True)
class Wayline:
    """航线. At least two waypoints unless the mission only looks at one point."""

    waypoints: tuple[Waypoint, ...]
    length_m: float
    flight_time_s: float


@dataclass(frozen=True, slots=True)
class BreakPoint:
    """Where a wayline was left: on the leg after waypoint `index` (`state` 0, `progress` is the
    share of the leg, 0..1), or at that waypoint (`state` 1). DJI Cloud API, flighttask_progress."""

    index: int
    state: int
    progress: float
    wayline_id: int = 0


@dataclass(frozen=True, slots=True)
class MissionTheme:
    """专题: what a theme patrol is flown for, how high above ground, and what it looks for."""

    code: str
    name: str
    height_agl_m: float
    kinds: tuple[HazardKind, ...]


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A drone that was not given a look, by a code: `later` (gets there later), `on_patrol`, what
    would break on the way, or what kept it in its dock. `eta_s` and `battery_after_pct` say how
    it would have come out, where it could have gone at all."""

    drone_sn: str
    code: str
    eta_s: float | None = None
    battery_after_pct: float | None = None


@dataclass(frozen=True, slots=True)
class Mission:
    """任务. `mission_id` is also the flight_id of its one sortie.

    `target` and `kind` say where and for what kind of hazard a look is; a patrol has neither.
    `resumes_id` and `break_point` say which patrol's wayline is flown on, and from where.
    `return_height_rel_m` is how high above take-off it comes straight home, whole metres.
    `theme` is what a theme patrol is flown for; other missions have none. `passed_over` are the
    drones a look was not given to, the soonest there first, the others by serial.
    `turns` are flown before the target, each as a flight to a point, by a patrol turned aside
    round closed airspace, and `turns_back` after the look.
    """

    mission_id: str
    purpose: MissionPurpose
    dock_sn: str
    drone_sn: str
    planned_at: datetime
    cell_codes: tuple[str, ...]
    wayline: Wayline
    incident_id: str | None = None
    hazard_id: str | None = None
    target: Position | None = None
    reason: str = ""
    kind: HazardKind | None = None
    resumes_id: str | None = None
    break_point: BreakPoint | None = None
    return_height_rel_m: int | None = None
    theme: MissionTheme | None = None
    passed_over: tuple[PassedOver, ...] = ()
    turns: tuple[Waypoint, ...] = ()
    turns_back: tuple[Waypoint, ...] = ()

    @property
    def flown_to(self) -> tuple[Waypoint, ...]:
        """The points a look that is no wayline is flown to one after the other."""
        return (*self.turns, *self.wayline.waypoints[:1], *self.turns_back)

    @property
    def by_wayline(self) -> bool:
        """Tell whether it is flown as a wayline, as patrols are, or straight to a single point."""
        return len(self.wayline.waypoints) > 1


class LookOutcome(StrEnum):
    CONFIRMED = "confirmed"
    REFUTED = "refuted"
    UNCLEAR = "unclear"
