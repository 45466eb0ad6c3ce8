"""Whether the sky lets a flight take off now: stop, approval, zones, height, other flights. Pure.

`gate` judges dock, aircraft and weather; this judges everything above them. Both are asked when a
flight is planned, and again in the very transaction that commits the intent to take off.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

import shapely
from shapely.geometry import LineString

from domain.clearance import ApplicationKind, ApplicationState
from domain.device import Dock, Drone
from domain.mission import Mission, MissionPurpose
from geo.airspace import Breach, Volume, breaches, volumes
from geo.separation import Separation, Timed, conflict
from geo.shapes import local_geometry
from geo.terrain import Point3
from services.patrol import way_home
from services.patrol.plan import PatrolGround
from services.patrol.refusal import Refusal
from services.patrol.sky.rules import SkyRules
from services.patrol.sky.standing import Clearance, SkyNow

_APART_M = 0.5


@dataclass(frozen=True, slots=True)
class Other:
    """Another flight of ours, with its path from now on (seconds from now)."""

    mission_id: str
    path: tuple[Timed, ...]


def flown_path(ground: PatrolGround, mission: Mission, dock: Dock) -> tuple[Point3, ...]:
    """Return a mission's way from over its dock and back, heights above the ellipsoid."""
    home, base_m = ground.docks[dock.sn], dock.height_ellipsoid_m
    points = [
        (*ground.local(w.position), base_m + w.height_rel_m) for w in mission.wayline.waypoints
    ]
    if not points:
        return ((*home, base_m),)
    return ((*home, points[0][2]), *points, (*home, points[-1][2]))


def entered_path(ground: PatrolGround, mission: Mission, dock: Dock) -> tuple[Point3, ...]:
    """Return the way a take-off begins: of a resumed patrol from over its dock straight to its
    break point, then on; else all of it."""
    path, left = flown_path(ground, mission, dock), mission.break_point
    if left is None or not left.index < len(mission.wayline.waypoints) - 1:
        return path
    share = left.progress if left.state == 0 else 0.0
    a, b = path[left.index + 1], path[left.index + 2]
    entry = (
        a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]), a[2] + share * (b[2] - a[2])
    )  # fmt: skip
    return ((*path[0][:2], entry[2]), entry, *path[left.index + 2 :])


def timed(path: Sequence[Point3], start_s: float, lasts_s: float) -> tuple[Timed, ...]:
    """Return a path flown evenly from `start_s` for `lasts_s`; one point is a hover."""
    kept = [path[0], *(q for p, q in pairwise(path) if math.dist(p, q) > 0.0)]
    if len(kept) == 1:
        return (start_s, *kept[0]), (start_s + lasts_s, *kept[0])
    done, marks = 0.0, [0.0]
    for p, q in pairwise(kept):
        done += math.dist(p, q)
        marks.append(done)
    pace = lasts_s / done
    return tuple(
        (start_s + mark * pace, *point) for mark, point in zip(marks, kept, strict=True)
    )


def reasons(
    ground: PatrolGround,
    mission: Mission,
    drone: Drone,
    dock: Dock,
    sky: SkyNow,
    others: Sequence[Other],
    at: datetime,
) -> tuple[Refusal, ...]:
    """Return why the sky refuses this take-off at `at`; empty means it is open."""
    rules = ground.policy.rules
    path = entered_path(ground, mission, dock)
    lasts_s = _lasts_s(mission, ground)
    ends_at = at + timedelta(seconds=lasts_s)
    found: list[Refusal] = []
    if sky.stop is not None:
        cure = f"ordered by {sky.stop.by} ({sky.stop.reason}); a person has to lift it"
        found.append(Refusal("ground_stop", "ground_stop", cure))
    control = sky.control(drone.sn)
    if control is not None:
        cure = f"{control.by} has {drone.sn} in hand and has to release it"
        found.append(Refusal("person_in_control", "drone_sn", cure))
    if not rules.night.allowed and (rules.at_night(at) or rules.at_night(ends_at)):
        found.append(Refusal("night", "at", f"wait for daylight ({rules.night.clause})"))
    closed = closed_between(ground, sky, at, ends_at)
    # Where the path itself breaks a rule, its ways home are not worth a word.
    found += breached(ground, drone, path, closed) or way_home.refused(
        ground, mission, path, drone, dock, closed
    )
    highest_m = max((w.height_rel_m for w in mission.wayline.waypoints), default=0.0)
    found += _not_cleared(ground, drone, path, highest_m, sky, at, ends_at)
    climb_s = ground.policy.climb_and_land_s / 2.0
    found += _too_near(rules, path, dock.height_ellipsoid_m, lasts_s, climb_s, others)
    return tuple(found)


def planned_return(
    ground: PatrolGround, mission: Mission, drone: Drone, dock: Dock, sky: SkyNow, at: datetime
) -> Mission:
    """Return a mission that takes off about `at` with the height it comes straight home at."""
    path = entered_path(ground, mission, dock)
    closed = closed_between(ground, sky, at, at + timedelta(seconds=_lasts_s(mission, ground)))
    return way_home.with_return_height(ground, mission, path, drone, dock, closed)


def closed_between(
    ground: PatrolGround, sky: SkyNow, start: datetime, end: datetime
) -> tuple[Volume, ...]:
    """Return what is closed at any moment between two."""
    standing = (*ground.district.airspaces, *sky.zones)
    return volumes(
        [a for a in standing if a.active_between(start, end)], ground.frame, ground.terrain
    )


def _lasts_s(mission: Mission, ground: PatrolGround) -> float:
    policy = ground.policy
    lasts_s = mission.wayline.flight_time_s * policy.time_margin + policy.climb_and_land_s
    if mission.purpose is not MissionPurpose.PATROL:
        # A look's wayline is the way there alone.
        lasts_s += mission.wayline.flight_time_s + policy.look_limit_s
    return lasts_s


def breached(
    ground: PatrolGround, drone: Drone, path: Sequence[Point3], closed: Sequence[Volume]
) -> list[Refusal]:
    """Return the closed airspace a path meets, and legs outside the true heights allowed."""
    rules = ground.policy.rules
    points, heights = [p[:2] for p in path], [p[2] for p in path]
    met = breaches(points, heights, closed, rules.policy(drone.model), ground.terrain)
    return [_breach(b, rules) for b in {b.where: b for b in met}.values()]


def _breach(breach: Breach, rules: SkyRules) -> Refusal:
    if breach.code in ("too_high", "too_low"):
        height = f"{breach.height_agl_m or 0.0:.0f} m true height on leg {breach.leg}"
        return Refusal(breach.code, "height_rel_m", f"{height} ({rules.height.clause})")
    cure = f"leg {breach.leg} meets {breach.where}: fly round it, or after it has ended"
    return Refusal(breach.code, f"airspace {breach.where}", cure)


def _not_cleared(
    ground: PatrolGround,
    drone: Drone,
    path: Sequence[Point3],
    highest_m: float,
    sky: SkyNow,
    at: datetime,
    ends_at: datetime,
) -> list[Refusal]:
    """An approval that covers drone, time, height and ground; then its confirmation."""
    rules = ground.policy.rules
    if not rules.application.needed:
        return []
    fitting = [
        c
        for c in sky.clearances
        if _covers_flight(c, drone.sn, highest_m, at, ends_at) and _covers_ground(c, ground, path)
    ]
    if not fitting:
        cure = f"file an application for {drone.sn} and have it approved"
        return [Refusal("no_approval", "application", f"{cure} ({rules.application.clause})")]
    if any(_confirmed(c, at) for c in fitting):
        return []
    number = fitting[0].number
    cure = f"report the take-off under {number} and take down the confirmation"
    return [Refusal("not_confirmed", "confirmation", f"{cure} ({rules.confirmation.clause})")]


def _covers_flight(
    clearance: Clearance, drone_sn: str, highest_m: float, at: datetime, ends_at: datetime
) -> bool:
    application = clearance.application
    # A long-term approval is flown under by plans filed day by day, unless its confirmation stands.
    by_day = application.kind is ApplicationKind.LONG_TERM and application.confirmation_needed
    return (
        clearance.state is ApplicationState.APPROVED
        and not by_day
        and drone_sn in application.drone_sns
        and application.starts_at <= at
        and ends_at <= application.ends_at
        and highest_m <= application.ceiling_agl_m
    )


def _covers_ground(clearance: Clearance, ground: PatrolGround, path: Sequence[Point3]) -> bool:
    if clearance.application.area is None:
        return True
    area = local_geometry(clearance.application.area, ground.frame).buffer(_APART_M)
    points = [p[:2] for p in path]
    return bool(shapely.covers(area, LineString(points if len(points) > 1 else points * 2)))


def _confirmed(clearance: Clearance, at: datetime) -> bool:
    if not clearance.application.confirmation_needed:
        return True
    return any(c.from_at <= at < c.until_at for c in clearance.confirmations)


def _column(
    path: Sequence[Point3], base_m: float, lasts_s: float, climb_s: float
) -> tuple[tuple[Timed, ...], tuple[Timed, ...]]:
    """Return the climb and the descent over the dock; others may fly lower than the path."""
    up, down = path[0], path[-1]
    return (
        ((0.0, *up[:2], base_m), (climb_s, *up)),
        ((lasts_s - climb_s, *down), (lasts_s, *down[:2], base_m)),
    )


def _too_near(
    rules: SkyRules,
    path: Sequence[Point3],
    base_m: float,
    lasts_s: float,
    climb_s: float,
    others: Sequence[Other],
) -> list[Refusal]:
    rule = rules.separation
    least = Separation(rule.lateral_m, rule.vertical_m, rule.time_s)
    own = timed(path, 0.0, lasts_s)
    column = _column(path, base_m, lasts_s, climb_s)
    for other in others:
        met = next((m for p in (own, *column) if (m := conflict(p, other.path, least))), None)
        if met is not None:
            cure = (
                f"comes within {met.lateral_m:.0f} m of {other.mission_id} in {met.at_s:.0f} s: "
                f"wait until it has passed ({rule.clause})"
            )
            return [Refusal("separation", "path", cure)]
    return []
