"""Which reference picture belongs to a pose, and what differs from it for long enough. Pure.

Everything here is folded from the ledger: the pictures taken, accepted, and the changes seen. A
change is voted on like any sighting (votes.py), over looks at other times.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shapely import Polygon

from domain.hazard import Detection
from domain.observation import FramePose, ImageBox
from domain.place import Position
from domain.sight import (
    CHANGE,
    ChangedGround,
    ChangeSeen,
    ReferenceAccepted,
    ReferenceTaken,
    SightRule,
)
from geo.frames import LocalFrame, distance_m
from geo.locate import GroundPoint, ground_point
from models.change import Box, Region
from services.ingest.sight.calibrated import Calibrated
from services.ingest.sight.sightings import Sighting, SightingPolicy, Zones, sightings
from services.ingest.sight.votes import Candidate, VotePolicy, reach_m, stands, tally

OBLIQUE_DEG = -60.0
"""Above this pitch a thing's height hides the ground behind it."""


@dataclass(frozen=True, slots=True)
class ReferencePolicy:
    """A later picture is of the same pose when the lens is within `position_m` and `height_m` and
    looks within `yaw_deg` and `pitch_deg` of it, by the same lens within `hfov_deg`. A drone's new
    reference lies at least `apart_m` from others, and looks down by `steep_deg` at least. A
    camera's pose is compared every `camera_every_s`, an aircraft's every `drone_every_s`; one
    picture is looked at each `spacing_s`, whoever took it, since each costs as much as ten frames.
    A camera has at most `views_limit` references (presets, day and night), all together
    `references_limit`. A picture in which something differs is kept once in `keep_every_s`. What
    the detector names is masked, as passing or as judged by its own rule, save for `sought`."""

    position_m: float = 4.0
    height_m: float = 4.0
    yaw_deg: float = 8.0
    pitch_deg: float = 3.0
    hfov_deg: float = 1.0
    apart_m: float = 40.0
    steep_deg: float = -60.0
    camera_every_s: float = 1800.0
    drone_every_s: float = 1800.0
    spacing_s: float = 60.0
    views_limit: int = 4
    references_limit: int = 2000
    keep_every_s: float = 86400.0
    sought: frozenset[str] = frozenset({"illegal_structure", "construction_spoil"})
    vote: VotePolicy = field(default_factory=lambda: VotePolicy(window_s=30 * 86400.0))


@dataclass(frozen=True, slots=True)
class Newer:
    """A later picture that may be accepted in place of the reference."""

    picture: str
    masked: tuple[ImageBox, ...]
    at: datetime
    found: tuple[ChangedGround, ...]


NEWER_LIMIT = 10
RAISED_LIMIT = 50


@dataclass(frozen=True, slots=True)
class _Raised:
    one: ChangedGround
    sighting: Sighting


@dataclass(frozen=True, slots=True)
class Reference:
    """How a place looked from one pose; `accepted_at` once somebody said that it should."""

    taken: ReferenceTaken
    picture: str
    masked: tuple[ImageBox, ...]
    accepted: ReferenceAccepted | None = None
    newer: tuple[Newer, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    raised: tuple[_Raised, ...] = ()


ReferenceEvent = ReferenceTaken | ChangeSeen | ReferenceAccepted


def folded(
    before: Reference | None, event: ReferenceEvent, frame: LocalFrame, policy: ReferencePolicy
) -> Reference | None:
    """Return a reference after one event of its own."""
    if isinstance(event, ReferenceTaken):
        return Reference(event, event.picture, event.masked)
    if before is None:
        return None
    if isinstance(event, ReferenceAccepted):
        masked = next((n.masked for n in before.newer if n.picture == event.picture), before.masked)
        return Reference(before.taken, event.picture, masked, event)
    newer = before.newer
    if event.picture is not None:
        kept = Newer(event.picture, event.masked, event.at, event.found)
        newer = (*newer, kept)[-NEWER_LIMIT:]
    placed = [_Raised(one, _sighting(one, frame)) for one in event.found]
    seen = [p.sighting for p in placed if p.one.hazard_id is None]
    told = [p for p in placed if p.one.hazard_id is not None]
    ids = {p.one.hazard_id for p in told}
    raised = [p for p in before.raised if p.one.hazard_id not in ids] + told
    open_ = tuple(
        c
        for c in voted(before, seen, event.at, policy)
        if not any(_is_same(c, p, policy) for p in told)
    )
    return replace(before, newer=newer, candidates=open_, raised=tuple(raised[-RAISED_LIMIT:]))


def _always(x_m: float, y_m: float) -> bool:
    """A picture of the pose shows all that another showed of it."""
    return True


def _sighting(one: ChangedGround, frame: LocalFrame) -> Sighting:
    x_m, y_m = frame.to_local(one.position.lat_deg, one.position.lon_deg)
    at = (one.position, float(x_m), float(y_m), one.ellipse)
    return Sighting(one.rule, one.kind, *at, one.score, ())


def _is_same(one: Candidate | Sighting, raised: _Raised, policy: ReferencePolicy) -> bool:
    """Tell whether a change is one that was raised by now."""
    there = raised.sighting
    apart_2 = (one.x_m - there.x_m) ** 2 + (one.y_m - there.y_m) ** 2
    return one.rule == there.rule and apart_2 <= reach_m(there, policy.vote) ** 2


def same_pose(one: FramePose, other: FramePose, policy: ReferencePolicy) -> bool:
    """Tell whether two pictures were taken from where they can be held against each other."""
    turn_deg = abs((one.yaw_deg - other.yaw_deg + 180.0) % 360.0 - 180.0)
    return (
        abs(one.height_agl_m - other.height_agl_m) <= policy.height_m
        and abs(one.pitch_deg - other.pitch_deg) <= policy.pitch_deg
        and abs(one.hfov_deg - other.hfov_deg) <= policy.hfov_deg
        and (turn_deg <= policy.yaw_deg)
        and distance_m(one.position, other.position) <= policy.position_m
    )


@dataclass(slots=True)
class ReferenceBook:
    """All reference pictures, and when each was last looked at."""

    frame: LocalFrame
    policy: ReferencePolicy
    references: dict[str, Reference] = field(default_factory=dict)
    looked_at: dict[str, datetime] = field(default_factory=dict)
    last_at: datetime | None = None

    def fold(self, event: ReferenceEvent) -> None:
        after = folded(self.references.get(event.reference_id), event, self.frame, self.policy)
        if after is not None:
            self.references[event.reference_id] = after

    def is_free(self, at: datetime) -> bool:
        """Tell whether a picture may be looked at now; a clock set back does not block for ever."""
        if self.last_at is None:
            return True
        return abs((at - self.last_at).total_seconds()) >= self.policy.spacing_s

    def of_pose(self, device_sn: str, flying: bool, pose: FramePose) -> list[Reference]:
        """Return the references a picture can be held against, the nearest first: a camera's own,
        a drone's of any aircraft."""
        near = [
            r
            for r in self.references.values()
            if (r.taken.flying if flying else r.taken.device_sn == device_sn)
            and same_pose(r.taken.pose, pose, self.policy)
        ]
        near.sort(key=lambda r: distance_m(r.taken.pose.position, pose.position))
        return near[:1] if flying else near

    def is_due(self, reference: Reference, at: datetime) -> bool:
        last = self.looked_at.get(reference.taken.reference_id)
        flying = reference.taken.flying
        every_s = self.policy.drone_every_s if flying else self.policy.camera_every_s
        return last is None or abs((at - last).total_seconds()) >= every_s

    def looked(self, references: Sequence[Reference], at: datetime) -> None:
        self.last_at = at
        for reference in references:
            self.looked_at[reference.taken.reference_id] = at

    def wants(self, device_sn: str, flying: bool, pose: FramePose) -> bool:
        """Tell whether a pose without a comparable reference should get one."""
        if len(self.references) >= self.policy.references_limit:
            return False
        if not flying:
            own = sum(r.taken.device_sn == device_sn for r in self.references.values())
            return own < self.policy.views_limit
        return pose.pitch_deg <= self.policy.steep_deg and not any(
            r.taken.flying
            and distance_m(r.taken.pose.position, pose.position) < self.policy.apart_m
            for r in self.references.values()
        )


@dataclass(frozen=True, slots=True)
class Placing:
    """What it takes to put a pixel of one picture on the ground."""

    pose: FramePose
    size_px: tuple[int, int]
    frame: LocalFrame
    zones: Zones
    policy: SightingPolicy
    calibrated: Calibrated | None

    def point(self, u_px: float, v_px: float) -> GroundPoint | None:
        if self.calibrated is None:
            ground = ground_point(self.pose, u_px, v_px, *self.size_px)
        else:
            ground = self.calibrated.ground_point(u_px, v_px, self.size_px)
        return ground if isinstance(ground, GroundPoint) else None

    def local(self, position: Position) -> tuple[float, float]:
        x_m, y_m = self.frame.to_local(position.lat_deg, position.lon_deg)
        return float(x_m), float(y_m)


def area_m2(region: Region, placing: Placing) -> float:
    """Return the ground a region covers, 0 where it reaches above the horizon.

    Seen obliquely a thing hides ground as deep as it is high; it is then taken to be no deeper
    than it is wide.
    """
    ground = [placing.point(float(u), float(v)) for u, v in region.outline]
    if len(ground) < 3 or any(point is None for point in ground):
        deep_m2 = 0.0
    else:
        deep_m2 = Polygon([placing.local(p.position) for p in ground if p is not None]).area
    if placing.pose.pitch_deg <= OBLIQUE_DEG:
        return float(deep_m2)
    x0, _, x1, y1 = region.box
    left, right = placing.point(x0, y1), placing.point(x1, y1)
    if left is None or right is None:
        return 0.0
    wide_m2 = distance_m(left.position, right.position) ** 2
    return min(deep_m2, wide_m2) if deep_m2 > 0.0 else wide_m2


@dataclass(frozen=True, slots=True)
class Changed:
    """What one rule makes of one change."""

    sighting: Sighting
    area_m2: float

    def told(self, hazard_id: str | None = None) -> ChangedGround:
        s = self.sighting
        area_m2, score = round(self.area_m2, 1), round(s.score, 3)
        return ChangedGround(s.rule, s.kind, s.position, s.ellipse, area_m2, score, hazard_id)


def changed_ground(
    regions: Sequence[Region], rules: Sequence[SightRule], placing: Placing
) -> list[Changed]:
    """Return what each of `rules`, those that are on, makes of a picture's changes."""
    found = []
    for region in regions:
        box, area = Detection(CHANGE, region.score, *region.box), area_m2(region, placing)
        fitting = [r for r in rules if r.of_change and _is_within(area, r)]
        found += [
            Changed(sighting, area)
            for sighting in sightings(
                [box], fitting, placing.pose, placing.size_px, placing.frame, placing.zones,
                placing.policy, placing.calibrated,
            )
        ]  # fmt: skip
    return found


def _is_within(area: float, rule: SightRule) -> bool:
    return rule.least_m2 <= area and (rule.most_m2 is None or area < rule.most_m2)


def told_before(reference: Reference, here: Sighting, policy: ReferencePolicy) -> str | None:
    """Return the hazard as which a change has been raised already, if it has."""
    for known in reference.raised:
        if _is_same(here, known, policy):
            return known.one.hazard_id
    return None


def voted(
    reference: Reference, seen: Sequence[Sighting], at: datetime, policy: ReferencePolicy
) -> tuple[Candidate, ...]:
    """Return the candidates after a look; `seen` is what was not raised before."""
    return tally(reference.candidates, seen, _always, at, policy.vote)


def won(
    candidates: Sequence[Candidate], rules: Sequence[SightRule], flying: bool, at: datetime
) -> list[Candidate]:
    """Return the candidates that stand after a look at `at` and were seen in it."""
    votes = {r.code: r.drone if flying else r.camera for r in rules}
    return [
        c
        for c in candidates
        if c.looks[-1].at == at
        and c.looks[-1].sighting is not None
        and (vote := votes.get(c.rule)) is not None
        and stands(c, vote)
    ]


def shares(boxes: Sequence[Box], size_px: tuple[int, int]) -> tuple[ImageBox, ...]:
    """Return boxes in pixels as shares of their picture."""
    w, h = size_px
    return tuple(
        ImageBox(*(round(min(1.0, max(0.0, v)), 4) for v in (x0 / w, y0 / h, x1 / w, y1 / h)))
        for x0, y0, x1, y1 in boxes
    )


def pixels(boxes: Sequence[ImageBox], size_px: tuple[int, int]) -> list[Box]:
    w, h = size_px
    return [(b.x0 * w, b.y0 * h, b.x1 * w, b.y1 * h) for b in boxes]


def keeps(reference: Reference, at: datetime, policy: ReferencePolicy) -> bool:
    """Tell whether another picture in which something differs is to be kept."""
    if not reference.newer:
        return True
    return at - reference.newer[-1].at >= timedelta(seconds=policy.keep_every_s)
