"""What people tell watch: what is a hazard where, and where a camera's ground lies."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import ClassVar

from domain.hazard import HazardKind
from domain.place import Position, ZoneKind

LOCAL_TIME = timezone(timedelta(hours=8))


@dataclass(frozen=True, slots=True)
class VoteRule:
    """Seen in `hits` frames, in at least `share` of those that looked, over at least `dwell_s`: one
    and the same thing, or where several are meant together, the place."""

    hits: int = 3
    share: float = 0.6
    dwell_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SightRule:
    """One rule; services/ingest/rules/watch.toml says what each field means."""

    code: str
    kind: HazardKind
    labels: tuple[str, ...]
    on: tuple[ZoneKind, ...] = ()
    needs: bool = True
    margin_m: float = 0.0
    surely: bool = False
    lies: bool = False
    together: int = 1
    radius_m: float = 15.0
    hours: tuple[int, int] = (0, 24)
    least_score: float | None = None
    camera: VoteRule | None = None
    drone: VoteRule | None = None
    cameras: tuple[str, ...] = ()
    enabled: bool = True

    def is_on(self, at: datetime, device_sn: str, flying: bool) -> bool:
        """Tell whether the rule judges a frame of this device at this time."""
        vote = self.drone if flying else self.camera
        if not self.enabled or vote is None or (self.cameras and device_sn not in self.cameras):
            return False
        first, last = self.hours
        hour = at.astimezone(LOCAL_TIME).hour
        return first <= hour < last if first < last else hour >= first or hour < last


@dataclass(frozen=True, slots=True)
class ControlPoint:
    """A place seen in a fixed camera's picture: its pixel and where it lies."""

    u_px: float
    v_px: float
    position: Position


@dataclass(frozen=True, slots=True)
class SightRuleChanged:
    """web: somebody changed what watch takes for a hazard; None goes back to what ships. Stream
    sight-rule/<code>."""

    KIND: ClassVar[str] = "sight_rule.changed"
    SCHEMA: ClassVar[int] = 1
    code: str
    rule: SightRule | None


@dataclass(frozen=True, slots=True)
class CameraCalibrated:
    """web: a fixed camera's ground by control points; none at all goes back to its registered pose.
    Stream calibration/<serial number>."""

    KIND: ClassVar[str] = "camera.calibrated"
    SCHEMA: ClassVar[int] = 1
    device_sn: str
    points: tuple[ControlPoint, ...]
