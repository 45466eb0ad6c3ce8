"""From boxes in one frame to sightings on the ground: what was seen, where, how surely. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import cos, radians
from statistics import fmean

from shapely import Point, STRtree

from domain.hazard import Detection, HazardKind
from domain.observation import FramePose
from domain.place import ErrorEllipse, Position, ZoneKind
from geo.frames import LocalFrame
from geo.locate import GroundPoint, ground_point

NEEDED_GROUND = {
    HazardKind.BLOCKED_FIRE_LANE: ZoneKind.FIRE_LANE,
    HazardKind.FLOODED_ROAD: ZoneKind.ROAD,
    HazardKind.FLOATING_DEBRIS: ZoneKind.RIVER,
}
"""Rules over things: what a place has to be for a kind to be there at all."""
RULED_BY_ABSENCE = frozenset({HazardKind.BLOCKED_FIRE_LANE})
"""Kinds that are nothing without a zone; the others are believed where no such zone is known."""
VEHICLE = "vehicle"
PERSON = "person"
FLAT_KINDS = frozenset(
    {HazardKind.FLOODED_ROAD, HazardKind.EXPOSED_RUBBISH, HazardKind.FLOATING_DEBRIS}
)


@dataclass(frozen=True, slots=True)
class SightingPolicy:
    """`lane_margin_m` widens fire lanes by the placing error, `ground_margin_m` roads and rivers; a
    crowd is `crowd_persons` within `crowd_radius_m`; points with a larger ellipse than
    `ellipse_limit_m` are not believed."""

    min_score: Mapping[str, float]
    default_min_score: float = 0.35
    lane_margin_m: float = 1.5
    ground_margin_m: float = 8.0
    crowd_persons: int = 6
    crowd_radius_m: float = 15.0
    ellipse_limit_m: float = 40.0


@dataclass(frozen=True, slots=True)
class Sighting:
    """One hazard-like thing in one frame, on the ground, in WGS-84 and local metres."""

    kind: HazardKind
    position: Position
    x_m: float
    y_m: float
    ellipse: ErrorEllipse
    score: float
    boxes: tuple[Detection, ...]


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
    kind_of: Mapping[str, HazardKind],
    pose: FramePose,
    size_px: tuple[int, int],
    frame: LocalFrame,
    zones: Mapping[ZoneKind, STRtree],
    policy: SightingPolicy,
) -> list[Sighting]:
    """Return the frame's hazard sightings: classes with a look of their own, then rules."""
    found: list[Sighting] = []
    persons: list[Sighting] = []
    for box in detections:
        if box.score < policy.min_score.get(box.label, policy.default_min_score):
            continue
        if box.label == VEHICLE:
            kind, into = HazardKind.BLOCKED_FIRE_LANE, found
        elif box.label == PERSON:
            kind, into = HazardKind.CROWD, persons
        elif box.label in kind_of:
            kind, into = kind_of[box.label], found
        else:
            continue
        placed = _place(box, kind, pose, size_px, frame, policy)
        if placed is not None and fits(placed, zones, policy):
            into.append(placed)
    found += crowds(persons, policy.crowd_persons, policy.crowd_radius_m)
    return found


def fits(sighting: Sighting, zones: Mapping[ZoneKind, STRtree], policy: SightingPolicy) -> bool:
    """Tell whether a kind can be where it was seen; `zones` index local metres, margins added."""
    needed = NEEDED_GROUND.get(sighting.kind)
    if needed is None:
        return True
    ground = zones.get(needed)
    if ground is None:
        return sighting.kind not in RULED_BY_ABSENCE
    lane = needed is ZoneKind.FIRE_LANE
    margin_m = policy.lane_margin_m if lane else policy.ground_margin_m
    where = Point(sighting.x_m, sighting.y_m)
    return bool(len(ground.query(where, predicate="dwithin", distance=margin_m)))


def _place(
    box: Detection,
    kind: HazardKind,
    pose: FramePose,
    size_px: tuple[int, int],
    frame: LocalFrame,
    policy: SightingPolicy,
) -> Sighting | None:
    u_px, v_px = contact_pixel(box, pose.pitch_deg, kind in FLAT_KINDS)
    ground = ground_point(pose, u_px, v_px, *size_px)
    if not isinstance(ground, GroundPoint):
        return None
    if ground.ellipse.semi_major_m > policy.ellipse_limit_m:
        return None
    x_m, y_m = frame.to_local(ground.position.lat_deg, ground.position.lon_deg)
    return Sighting(kind, ground.position, x_m, y_m, ground.ellipse, box.score, (box,))


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
        HazardKind.CROWD,
        middle.position,
        middle.x_m,
        middle.y_m,
        middle.ellipse,
        fmean(p.score for p in group),
        tuple(box for p in group for box in p.boxes),
    )
