"""From boxes in one frame to sightings on the ground: what was seen, where, how surely. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import cos, radians
from statistics import fmean

from shapely import Point, STRtree

from domain.hazard import Detection, HazardKind
from domain.observation import FramePose
from domain.place import ErrorEllipse, Position, ZoneKind
from domain.sight import SightRule
from geo.frames import LocalFrame
from geo.locate import GroundPoint, Relief, ground_point
from services.ingest.sight.calibrated import Calibrated
from services.ingest.sight.rules import load_rules

Zones = Mapping[ZoneKind, STRtree]


@dataclass(frozen=True, slots=True)
class SightingPolicy:
    """`min_score` is what the model's card says of each class; a point whose ellipse is larger
    than `ellipse_limit_m` is not believed."""

    min_score: Mapping[str, float]
    default_min_score: float = 0.35
    ellipse_limit_m: float = 40.0
    rules: tuple[SightRule, ...] = field(default_factory=load_rules)


@dataclass(frozen=True, slots=True)
class Sighting:
    """What one rule makes of one frame, on the ground, in WGS-84 and local metres.

    `since` is from when on the same thing has met the rule, None where no one thing is meant.
    """

    rule: str
    kind: HazardKind
    position: Position
    x_m: float
    y_m: float
    ellipse: ErrorEllipse
    score: float
    boxes: tuple[Detection, ...]
    since: datetime | None = None


def contact_pixel(box: Detection, pitch_deg: float, flat: bool) -> tuple[float, float]:
    """Return the pixel where the thing meets the ground.

    Something lying flat is centred in its box. Something standing meets the ground at the bottom
    edge of an oblique view and at the centre of a nadir one; between them by cos(pitch).
    """
    u_px = (box.x0_px + box.x1_px) / 2
    centre_v_px = (box.y0_px + box.y1_px) / 2
    if flat:
        return u_px, centre_v_px
    share = cos(radians(pitch_deg))
    return u_px, centre_v_px + share * (box.y1_px - centre_v_px)


def sightings(
    detections: Sequence[Detection],
    rules: Sequence[SightRule],
    pose: FramePose,
    size_px: tuple[int, int],
    frame: LocalFrame,
    zones: Zones,
    policy: SightingPolicy,
    plane: Calibrated | None = None,
    relief: Relief | None = None,
) -> list[Sighting]:
    """Return what each of `rules`, those that are on, makes of a frame's detections.

    A fixed camera calibrated by control points has a `plane`; it takes the place of the pose.
    Without `relief` the ground is level.
    """
    found: list[Sighting] = []
    placed: dict[tuple[int, bool], _Place | None] = {}
    for rule in rules:
        one: list[Sighting] = []
        for i, box in enumerate(detections):
            if box.label not in rule.labels or box.score < _least(rule, box.label, policy):
                continue
            if (i, rule.lies) not in placed:
                placed[i, rule.lies] = _place(
                    box, rule.lies, pose, size_px, frame, policy, plane, relief
                )
            place = placed[i, rule.lies]
            if place is not None and fits(rule, place, zones):
                one.append(_sighting(rule, place, box))
        found += one if rule.together == 1 else crowds(one, rule.together, rule.radius_m)
    return found


def _least(rule: SightRule, label: str, policy: SightingPolicy) -> float:
    if rule.least_score is not None:
        return rule.least_score
    return policy.min_score.get(label, policy.default_min_score)


@dataclass(frozen=True, slots=True)
class _Place:
    position: Position
    x_m: float
    y_m: float
    ellipse: ErrorEllipse


def _sighting(rule: SightRule, place: _Place, box: Detection) -> Sighting:
    at = (place.position, place.x_m, place.y_m, place.ellipse)
    return Sighting(rule.code, rule.kind, *at, box.score, (box,))


def fits(rule: SightRule, place: _Place | Sighting, zones: Zones) -> bool:
    """Tell whether a thing can be what the rule means where it was seen."""
    if not rule.on:
        return True
    known = [zones[kind] for kind in rule.on if kind in zones]
    if not known:
        return not rule.needs
    where = Point(place.x_m, place.y_m)
    if rule.surely:
        return any(_inside_m(zone, where) >= place.ellipse.semi_major_m for zone in known)
    margin_m = rule.margin_m
    return any(len(z.query(where, predicate="dwithin", distance=margin_m)) for z in known)


def _inside_m(zone: STRtree, where: Point) -> float:
    """Return how far inside the zones a place is, -1 outside."""
    holding = zone.geometries[zone.query(where, predicate="intersects")]
    return max((shape.boundary.distance(where) for shape in holding), default=-1.0)


def _place(
    box: Detection,
    lies: bool,
    pose: FramePose,
    size_px: tuple[int, int],
    frame: LocalFrame,
    policy: SightingPolicy,
    plane: Calibrated | None,
    relief: Relief | None,
) -> _Place | None:
    u_px, v_px = contact_pixel(box, pose.pitch_deg, lies)
    if plane is None:
        ground = ground_point(pose, u_px, v_px, *size_px, relief=relief)
    else:
        ground = plane.ground_point(u_px, v_px, size_px)
    if not isinstance(ground, GroundPoint):
        return None
    if ground.ellipse.semi_major_m > policy.ellipse_limit_m:
        return None
    x_m, y_m = frame.to_local(ground.position.lat_deg, ground.position.lon_deg)
    return _Place(ground.position, x_m, y_m, ground.ellipse)


def crowds(persons: Sequence[Sighting], needed: int, radius_m: float) -> list[Sighting]:
    """Return one sighting per gathering of at least `needed` persons within `radius_m`."""
    left = list(persons)
    found = []
    while len(left) >= needed:
        groups = [
            [q for q in left if (q.x_m - p.x_m) ** 2 + (q.y_m - p.y_m) ** 2 <= radius_m**2]
            for p in left
        ]
        group = max(groups, key=len)
        if len(group) < needed:
            break
        found.append(_gathering(group))
        left = [p for p in left if p not in group]
    return found


def _gathering(group: Sequence[Sighting]) -> Sighting:
    x_m, y_m = fmean(p.x_m for p in group), fmean(p.y_m for p in group)
    middle = min(group, key=lambda p: (p.x_m - x_m) ** 2 + (p.y_m - y_m) ** 2)
    return Sighting(
        middle.rule,
        middle.kind,
        middle.position,
        middle.x_m,
        middle.y_m,
        middle.ellipse,
        fmean(p.score for p in group),
        tuple(box for p in group for box in p.boxes),
    )
