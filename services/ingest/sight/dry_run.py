"""What rules would have raised from frames that were: the same decisions, nothing written. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shapely import prepare

from domain.hazard import Detection
from domain.observation import FramePose
from domain.sight import SightRule
from geo.locate import footprint
from services.ingest.sight.ballot import Active, Ballot, BallotPolicy
from services.ingest.sight.calibrated import Calibrated
from services.ingest.sight.following import Followed, FollowPolicy, dwelling, follow
from services.ingest.sight.scene import Scene, camera_pose
from services.ingest.sight.sightings import Sighting, SightingPolicy, sightings


@dataclass(frozen=True, slots=True)
class SeenThen:
    """One recorded frame: what the detector found in it. `pose` is None for a fixed camera."""

    at: datetime
    device_sn: str
    size_px: tuple[int, int]
    pose: FramePose | None
    boxes: tuple[Detection, ...]


@dataclass(frozen=True, slots=True)
class WouldRaise:
    rule: str
    device_sn: str
    first_at: datetime
    at: datetime
    sighting: Sighting
    votes: int


def dry_run(
    frames: Iterable[SeenThen],
    rules: Sequence[SightRule],
    scene: Scene,
    policy: SightingPolicy,
    follow_policy: FollowPolicy,
    ballot: BallotPolicy,
    view_limit_m: float,
    by_points: Mapping[str, Calibrated],
) -> list[WouldRaise]:
    """Return the hazards `rules` would have raised, in order of time.

    `frames` come in time order. Frames of a camera that is no longer registered are passed over.
    """
    held, found = Ballot(ballot), list[WouldRaise]()
    things: dict[str, Followed] = {}
    for frame in frames:
        camera = scene.cameras.get(frame.device_sn)
        pose = frame.pose if camera is None else camera_pose(camera, frame.at)
        if pose is None:
            continue
        flying = frame.pose is not None
        on = [r for r in rules if r.is_on(frame.at, frame.device_sn, flying)]
        points = by_points.get(frame.device_sn)
        placed = sightings(
            frame.boxes, on, pose, frame.size_px, scene.frame, scene.zones, policy, points
        )
        now = follow(
            things.get(frame.device_sn, Followed()),
            frame.boxes,
            frame.at,
            follow_policy.flown if flying else follow_policy.fixed,
        )
        things[frame.device_sn], seen = dwelling(now, placed)
        ground = footprint(pose, *frame.size_px, scene.frame)
        if ground is not None:
            prepare(ground)
        view = scene.in_view(pose, ground, view_limit_m)
        outcome = held.judge(frame.device_sn, frame.at, flying, seen, view, rules)
        for won in outcome.won:
            hits, best = won.hits, won.best
            code = f"{won.rule}/{frame.device_sn}/{won.born_at.isoformat()}/{won.ordinal}"
            held.stood(Active(code, won.kind, best.x_m, best.y_m, hits[-1].at))
            found.append(
                WouldRaise(won.rule, frame.device_sn, hits[0].at, hits[-1].at, best, len(hits))
            )
    return found
