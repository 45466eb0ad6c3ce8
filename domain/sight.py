"""What people tell watch: what is a hazard where, and where a camera's ground lies."""

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from typing import ClassVar

from domain.hazard import HazardKind
from domain.observation import FramePose, ImageBox
from domain.place import ErrorEllipse, Position, ZoneKind

CHANGE = "change"
"""The label of what differs from the last accepted picture of a pose; no network gives it."""
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
    least_m2: float = 0.0
    most_m2: float | None = None
    camera: VoteRule | None = None
    drone: VoteRule | None = None
    cameras: tuple[str, ...] = ()
    enabled: bool = True
    sealed_days: int = 0

    @property
    def of_change(self) -> bool:
        """Whether it judges changes against a reference picture, not the detector's boxes."""
        return CHANGE in self.labels

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
    """A place seen in a fixed camera's picture: its pixel and where it lies, which is known to
    `place_m`, one standard deviation an axis: what a good map gives unless it was surveyed."""

    u_px: float
    v_px: float
    position: Position
    place_m: float = 0.3


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


class AcceptReason(StrEnum):
    """Why a person takes a picture for how a place should look."""

    FIRST = "first"
    PERMITTED = "permitted"
    WORKS = "works"
    REMOVED = "removed"
    SEASON = "season"
    MISTAKEN = "mistaken"


@dataclass(frozen=True, slots=True)
class ReferenceTaken:
    """watch: the first picture of a pose, to hold later ones against. Stream reference/<serial
    number>. Nobody has accepted it yet; `masked` are passing things and what was blurred."""

    KIND: ClassVar[str] = "reference.taken"
    SCHEMA: ClassVar[int] = 1
    reference_id: str
    device_sn: str
    flying: bool
    pose: FramePose
    picture: str
    masked: tuple[ImageBox, ...]
    taken_at: datetime


@dataclass(frozen=True, slots=True)
class ChangedGround:
    """One change as one rule takes it. `hazard_id` once it has been raised."""

    rule: str
    kind: HazardKind
    position: Position
    ellipse: ErrorEllipse
    area_m2: float
    score: float
    hazard_id: str | None


@dataclass(frozen=True, slots=True)
class ChangeSeen:
    """watch: a later picture of a pose differs, or an open change is not in it (`found` is empty).
    Stream reference/<serial number>. `picture`, where kept, may be accepted."""

    KIND: ClassVar[str] = "reference.change_seen"
    SCHEMA: ClassVar[int] = 1
    reference_id: str
    device_sn: str
    at: datetime
    found: tuple[ChangedGround, ...]
    picture: str | None
    masked: tuple[ImageBox, ...]


@dataclass(frozen=True, slots=True)
class ReferenceAccepted:
    """web: a person says that this is how the place should look. Stream reference/<serial
    number>; who it was is the entry's actor."""

    KIND: ClassVar[str] = "reference.accepted"
    SCHEMA: ClassVar[int] = 1
    reference_id: str
    device_sn: str
    picture: str
    reason: AcceptReason
    accepted_at: datetime
