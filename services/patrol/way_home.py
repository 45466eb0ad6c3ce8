"""How high a flight comes straight home, and whether it can from anywhere on its path. Pure.

The height is worked out when a flight is planned, kept in its mission, sent to the dock as
`rth_altitude`, and judged once more when it takes off. What closed airspace on a straight way home
means is data (`rules/sky.toml`, way_home).
"""

from collections.abc import Sequence
from dataclasses import replace

from domain.device import Dock, Drone
from domain.mission import Mission
from geo.airspace import Volume
from geo.terrain import Point3
from geo.way_home import WaysHome, ways_home
from services.patrol.plan import PatrolGround
from services.patrol.policy import PatrolPolicy
from services.patrol.refusal import Refusal
from services.patrol.sky.rules import REFUSE

CODE = "no_way_home"
LEAST_M, MOST_M = 20, 1500
"""What a dock takes as `rth_altitude` (DJI Cloud API, flighttask_prepare)."""
_ROUNDED_M = 0.01
"""Waypoints have their heights in whole centimetres."""


def wanted_rel_m(mission: Mission, policy: PatrolPolicy) -> float:
    """Return how high over the dock a flight would come home, if nothing were in its way: over
    our patrols, by the ground under this flight."""
    highest_m = max(w.height_rel_m for w in mission.wayline.waypoints)
    own_agl_m = policy.height_agl_m if mission.target is None else policy.look_height_agl_m
    if mission.theme is not None:
        own_agl_m = mission.theme.height_agl_m
    below_patrols_m = max(0.0, policy.height_agl_m - own_agl_m)
    return highest_m + below_patrols_m + policy.rules.way_home.above_m


def return_height_rel_m(mission: Mission, policy: PatrolPolicy) -> int:
    """Return what is sent to the dock; missions from before it was planned have what is wanted."""
    planned = mission.return_height_rel_m
    height_m = wanted_rel_m(mission, policy) if planned is None else planned
    return max(LEAST_M, min(MOST_M, int(height_m)))


def with_return_height(
    ground: PatrolGround,
    mission: Mission,
    path: Sequence[Point3],
    drone: Drone,
    dock: Dock,
    closed: Sequence[Volume],
) -> Mission:
    """Return the mission with the height it comes home at: one that clears the ground and, where
    there is one, closed airspace too. Where there is none the gate says why."""
    policy = ground.policy
    base_m = dock.height_ellipsoid_m
    ways = ways_home(
        path, ground.docks[dock.sn], closed, policy.rules.policy(drone.model), ground.terrain
    )
    wanted_m = base_m + wanted_rel_m(mission, policy)
    over_ground = replace(ways, shut=())
    height_m = ways.height_m(base_m, wanted_m) or over_ground.height_m(base_m, wanted_m)
    if height_m is None:
        return mission
    return replace(mission, return_height_rel_m=round(height_m - base_m))


def refused(
    ground: PatrolGround,
    mission: Mission,
    path: Sequence[Point3],
    drone: Drone,
    dock: Dock,
    closed: Sequence[Volume],
) -> tuple[Refusal, ...]:
    """Return why a flight could not come straight home from somewhere on its path."""
    rules, base_m = ground.policy.rules, dock.height_ellipsoid_m
    ways = ways_home(
        path, ground.docks[dock.sn], closed, rules.policy(drone.model), ground.terrain
    )
    height_m = base_m + return_height_rel_m(mission, ground.policy)
    why = _over_ground(ways, base_m, height_m, rules.height.clause)
    if why or rules.way_home.when_closed != REFUSE:
        return why
    return tuple(
        Refusal(
            CODE,
            f"airspace {shut.code}",
            f"straight home at {height_m - base_m:.0f} m over the dock meets {shut.code}: "
            f"send a drone from its other side, or fly after it has ended",
        )
        for shut in ways.met(max(height_m, ways.least_m))
    )


def unreturnable(
    ground: PatrolGround, path: Sequence[Point3], drone: Drone, dock: Dock
) -> Refusal | None:
    """Return why no height at all would let a flight of a path come straight home, or None. The
    gate's tolerance is left to the gate: what is planned is rounded on its way there."""
    rules, base_m = ground.policy.rules, dock.height_ellipsoid_m
    refuse = rules.way_home.when_closed == REFUSE
    closed = ground.volumes if refuse else ()
    found = ways_home(
        path, ground.docks[dock.sn], closed, rules.policy(drone.model), ground.terrain
    )
    ways = replace(found, least_m=found.least_m + _ROUNDED_M, most_m=found.most_m - _ROUNDED_M)
    why = _over_ground(ways, base_m, ways.least_m, rules.height.clause)
    if why:
        return why[0]
    if ways.height_m(base_m, ways.least_m) is None:
        shut = " ".join(s.code for s in ways.shut)
        cure = f"every straight way home meets {shut}: send a drone from its other side"
        return Refusal(CODE, f"airspace {shut}", cure)
    return None


def _over_ground(
    ways: WaysHome, base_m: float, height_m: float, clause: str
) -> tuple[Refusal, ...]:
    least_m, most_m = ways.least_m - base_m, ways.most_m - base_m
    if replace(ways, shut=()).height_m(base_m, ways.least_m) is None:
        cure = (
            f"straight ways home need {least_m:.0f} m over the dock to clear ground and path, and "
            f"{most_m:.0f} m is the most over the lowest ground ({clause}): fly lower, or from a "
            "dock that stands nearer"
        )
        return (Refusal(CODE, "return_height_rel_m", cure),)
    # The ground of a whole metre: heights sent to a dock are whole ones.
    if not ways.least_m - 1.0 <= height_m <= ways.most_m + 0.01:
        cure = (
            f"{height_m - base_m:.0f} m lies outside {least_m:.0f} to {most_m:.0f} m over the "
            "dock: plan it anew"
        )
        return (Refusal(CODE, "return_height_rel_m", cure),)
    return ()
