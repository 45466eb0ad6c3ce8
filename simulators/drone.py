"""One aircraft: the legs it flies, where its camera looks, and its charge.

The dock or remote control that talks for it decides the legs; here they are flown step by step.
Modes are DJI `mode_code` values.
"""

import math
from dataclasses import dataclass, replace

from simulators.kinematics import STEP_S, Airframe, Demand, Motion, Wind, step

STANDBY, PREPARING, READY, MANUAL, TAKING_OFF, WAYLINE = 0, 1, 2, 3, 4, 5
HOMING, LANDING, LIVE = 9, 10, 17
REACHED_M = 1.2
PASSED_M = 3.0
HEIGHT_REACHED_M = 0.6
LOOK_STEEPEST_DEG = -90.0
LOOK_FLATTEST_DEG = -60.0
LOWEST_FLIGHT_M = 20.0
"""The dock's aircraft climbs to this height above take-off before it flies to a point."""


@dataclass(frozen=True, slots=True)
class Leg:
    """Fly to a point; then hover there. `index` is the waypoint it stands for, if any."""

    x_m: float
    y_m: float
    z_m: float
    speed_m_s: float
    mode: int
    pitch_deg: float = -90.0
    hover_s: float = 0.0
    index: int | None = None
    through_m_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Flying:
    """An aircraft's whole state: enough to go on after a restart of its simulator."""

    motion: Motion
    home_x_m: float
    home_y_m: float
    legs: tuple[Leg, ...] = ()
    leg: int = 0
    hovered_s: float = 0.0
    airborne: bool = False
    mode: int = STANDBY
    look_x_m: float | None = None
    look_y_m: float | None = None
    flight_s: float = 0.0
    flown_m: float = 0.0
    sorties: int = 0

    @property
    def done(self) -> bool:
        """All legs are flown: the aircraft hovers, or stands on the ground."""
        return self.leg >= len(self.legs)

    @property
    def waypoint(self) -> int | None:
        """The waypoint flown to now, or the last one passed."""
        for leg in reversed(self.legs[: self.leg + 1]):
            if leg.index is not None:
                return leg.index
        return None

    @property
    def home_distance_m(self) -> float:
        return math.hypot(self.motion.x_m - self.home_x_m, self.motion.y_m - self.home_y_m)

    @property
    def pitch_deg(self) -> float:
        if self.look_x_m is not None and self.look_y_m is not None:
            away_m = math.hypot(self.look_x_m - self.motion.x_m, self.look_y_m - self.motion.y_m)
            pitch = -math.degrees(math.atan2(max(1.0, self.motion.z_m), away_m))
            return max(LOOK_STEEPEST_DEG, min(LOOK_FLATTEST_DEG, pitch))
        if not self.legs:
            return -90.0
        return self.legs[min(self.leg, len(self.legs) - 1)].pitch_deg

    @property
    def camera_yaw_deg(self) -> float:
        if self.look_x_m is not None and self.look_y_m is not None:
            dx, dy = self.look_x_m - self.motion.x_m, self.look_y_m - self.motion.y_m
            if math.hypot(dx, dy) > 2.0:
                return math.degrees(math.atan2(dx, dy)) % 360.0
        return self.motion.heading_deg


def standing(x_m: float, y_m: float, battery_pct: float, heading_deg: float = 0.0) -> Flying:
    """Return an aircraft on the ground at its home."""
    return Flying(Motion(x_m, y_m, heading_deg=heading_deg, battery_pct=battery_pct), x_m, y_m)


def depart(flying: Flying, legs: tuple[Leg, ...]) -> Flying:
    """Return the aircraft taking off onto `legs`."""
    return replace(
        flying,
        legs=with_corners(legs),
        leg=0,
        hovered_s=0.0,
        airborne=True,
        mode=legs[0].mode,
        sorties=flying.sorties + 1,
        look_x_m=None,
        look_y_m=None,
    )


def redirect(flying: Flying, legs: tuple[Leg, ...]) -> Flying:
    """Return the airborne aircraft on other legs, its camera along them."""
    return replace(
        flying,
        legs=with_corners(legs),
        leg=0,
        hovered_s=0.0,
        look_x_m=None,
        look_y_m=None,
    )


def look_at(flying: Flying, x_m: float, y_m: float) -> Flying:
    """Return the aircraft with its camera on a place, until it is sent elsewhere."""
    return replace(flying, look_x_m=x_m, look_y_m=y_m)


def halt(flying: Flying, mode: int | None = None) -> Flying:
    """Return the aircraft braking to a hover where it is, in the mode it is in or another."""
    m = flying.motion
    stop_s = m.speed_m_s / 3.0
    leg = Leg(
        m.x_m + 0.5 * m.vx_m_s * stop_s,
        m.y_m + 0.5 * m.vy_m_s * stop_s,
        m.z_m,
        2.0,
        flying.mode if mode is None else mode,
    )
    return redirect(flying, (leg,))


def homeward(flying: Flying, rth_height_m: float, airframe: Airframe) -> Flying:
    """Return the aircraft on its way home: up to the return height, across, down."""
    m = flying.motion
    high = max(m.z_m, rth_height_m) if flying.home_distance_m > 10.0 else m.z_m
    cruise = airframe.cruise_m_s
    home = (flying.home_x_m, flying.home_y_m)
    legs = (
        Leg(m.x_m, m.y_m, high, 2.0, HOMING),
        Leg(*home, high, cruise, HOMING),
        Leg(*home, 0.0, 2.0, LANDING),
    )
    return redirect(flying, legs)


def to_point(
    flying: Flying, x_m: float, y_m: float, z_m: float, speed_m_s: float, mode: int = LIVE
) -> Flying:
    """Return the airborne aircraft on its way over a point."""
    m = flying.motion
    safe = max(m.z_m, LOWEST_FLIGHT_M)
    legs = (
        Leg(m.x_m, m.y_m, safe, 2.0, mode, through_m_s=2.0),
        Leg(x_m, y_m, z_m, speed_m_s, mode),
    )
    return redirect(flying, legs)


def advance(flying: Flying, wind: Wind, airframe: Airframe) -> Flying:
    """Return the aircraft STEP_S later. One on the ground does not move."""
    if not flying.airborne:
        return flying
    last = len(flying.legs) - 1
    leg = flying.legs[min(flying.leg, last)]
    demand = Demand(leg.x_m, leg.y_m, leg.z_m, leg.speed_m_s, leg.through_m_s, leg.mode == LANDING)
    motion = step(flying.motion, demand, wind, airframe)
    moved = replace(
        flying,
        motion=motion,
        mode=leg.mode,
        flight_s=flying.flight_s + STEP_S,
        flown_m=flying.flown_m + motion.speed_m_s * STEP_S,
    )
    if leg.mode == LANDING and motion.z_m <= 0.05:
        return _landed(moved)
    if flying.leg > last or not _reached(motion, leg):
        return moved
    if moved.hovered_s < leg.hover_s:
        return replace(moved, hovered_s=moved.hovered_s + STEP_S)
    return replace(moved, leg=moved.leg + 1, hovered_s=0.0)


def with_corners(legs: tuple[Leg, ...]) -> tuple[Leg, ...]:
    """Let the aircraft pass waypoints without stopping where the path bends little."""
    out = []
    for i, leg in enumerate(legs):
        if 0 < i < len(legs) - 1 and leg.index is not None and leg.hover_s == 0.0:
            keep = _bend(legs[i - 1], leg, legs[i + 1])
            out.append(replace(leg, through_m_s=max(2.0, leg.speed_m_s * keep)))
        else:
            out.append(leg)
    return tuple(out)


def _bend(before: Leg, at: Leg, after: Leg) -> float:
    """Return the share of speed that can be kept round the corner: cosine of the turn, or 0."""
    ax, ay = at.x_m - before.x_m, at.y_m - before.y_m
    bx, by = after.x_m - at.x_m, after.y_m - at.y_m
    sizes = math.hypot(ax, ay) * math.hypot(bx, by)
    return 0.0 if sizes < 1e-6 else max(0.0, (ax * bx + ay * by) / sizes)


def _reached(motion: Motion, leg: Leg) -> bool:
    near = PASSED_M if leg.through_m_s > 0 else REACHED_M
    away = math.hypot(leg.x_m - motion.x_m, leg.y_m - motion.y_m)
    return away <= near and abs(leg.z_m - motion.z_m) <= HEIGHT_REACHED_M


def _landed(flying: Flying) -> Flying:
    m = flying.motion
    rest = Motion(
        flying.home_x_m, flying.home_y_m, 0.0, 0.0, 0.0, 0.0, m.heading_deg, m.battery_pct
    )
    return replace(
        flying,
        motion=rest,
        legs=(),
        leg=0,
        airborne=False,
        mode=STANDBY,
        look_x_m=None,
        look_y_m=None,
    )
