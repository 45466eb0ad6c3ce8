"""How a multirotor moves: acceleration, climb and wind limits, and what a second costs.

Local metres (x east, y north, z above take-off), seconds, percent. Pure: the same steps give the
same flight at every clock rate. The drag and hover shares are of the size published for 1.4 kg
quadrotors; they are a model, not a measurement of one aircraft.
"""

import math
from dataclasses import dataclass

STEP_S = 0.2
"""The integration step. Callers advance in whole steps, so a flight does not depend on the rate."""

HOVER_SHARE = 0.85
"""Power in still hover as a share of power at cruise; the rest grows with airspeed squared."""
CLIMB_PCT_PER_M = 0.012
"""Extra charge for each metre gained."""
GUST_SHARE = 0.03
"""What the autopilot leaves uncorrected of the wind, as a share of its speed."""


@dataclass(frozen=True, slots=True)
class Airframe:
    """Limits of one type. Speeds in m/s, accelerations in m/s²."""

    cruise_m_s: float = 12.0
    max_air_m_s: float = 19.0
    climb_m_s: float = 6.0
    descend_m_s: float = 5.0
    landing_m_s: float = 1.5
    accel_m_s2: float = 3.0
    accel_z_m_s2: float = 2.5
    yaw_deg_s: float = 60.0
    endurance_s: float = 2100.0


@dataclass(frozen=True, slots=True)
class Wind:
    """Moving air: components towards east and north, m/s."""

    east_m_s: float = 0.0
    north_m_s: float = 0.0

    @property
    def speed_m_s(self) -> float:
        return math.hypot(self.east_m_s, self.north_m_s)

    @property
    def from_deg(self) -> float:
        """Bearing the wind blows from, clockwise from north."""
        return math.degrees(math.atan2(-self.east_m_s, -self.north_m_s)) % 360.0


@dataclass(frozen=True, slots=True)
class Motion:
    """Where the aircraft is and how it moves over the ground."""

    x_m: float
    y_m: float
    z_m: float = 0.0
    vx_m_s: float = 0.0
    vy_m_s: float = 0.0
    vz_m_s: float = 0.0
    heading_deg: float = 0.0
    battery_pct: float = 100.0

    @property
    def speed_m_s(self) -> float:
        return math.hypot(self.vx_m_s, self.vy_m_s)


@dataclass(frozen=True, slots=True)
class Demand:
    """Where to go. `through_m_s` is the speed allowed on reaching the point (0 = stop there)."""

    x_m: float
    y_m: float
    z_m: float
    speed_m_s: float
    through_m_s: float = 0.0
    landing: bool = False


def step(motion: Motion, demand: Demand, wind: Wind, frame: Airframe) -> Motion:
    """Return the motion STEP_S later, flying towards `demand`."""
    want_x, want_y = _wanted_velocity(motion, demand, wind, frame)
    vx, vy = _approach(motion.vx_m_s, motion.vy_m_s, want_x, want_y, frame.accel_m_s2 * STEP_S)
    vz = _vertical(motion, demand, frame)
    drift_x, drift_y = wind.east_m_s * GUST_SHARE, wind.north_m_s * GUST_SHARE
    z_m = max(0.0, motion.z_m + vz * STEP_S)
    return Motion(
        x_m=motion.x_m + (vx + drift_x) * STEP_S,
        y_m=motion.y_m + (vy + drift_y) * STEP_S,
        z_m=z_m,
        vx_m_s=vx,
        vy_m_s=vy,
        vz_m_s=vz if z_m > 0.0 or vz > 0.0 else 0.0,
        heading_deg=_heading(motion, want_x, want_y, frame),
        battery_pct=max(
            0.0,
            motion.battery_pct
            - STEP_S * drain_pct_s(vx - wind.east_m_s, vy - wind.north_m_s, vz, frame),
        ),
    )


def drain_pct_s(air_x_m_s: float, air_y_m_s: float, climb_m_s: float, frame: Airframe) -> float:
    """Return percent of charge spent per second at an airspeed and climb."""
    airspeed_squared = air_x_m_s * air_x_m_s + air_y_m_s * air_y_m_s
    drag = (1.0 - HOVER_SHARE) * airspeed_squared / (frame.cruise_m_s * frame.cruise_m_s)
    return 100.0 / frame.endurance_s * (HOVER_SHARE + drag) + CLIMB_PCT_PER_M * max(0.0, climb_m_s)


def homeward_pct(distance_m: float, height_m: float, wind: Wind, frame: Airframe) -> float:
    """Return the charge needed to fly home against the wind and land, in percent."""
    ground_m_s = max(3.0, frame.cruise_m_s - 0.5 * wind.speed_m_s)
    flying_s = distance_m / ground_m_s + height_m / frame.landing_m_s
    return flying_s * drain_pct_s(frame.cruise_m_s + wind.speed_m_s, 0.0, 0.0, frame)


def _wanted_velocity(
    motion: Motion, demand: Demand, wind: Wind, frame: Airframe
) -> tuple[float, float]:
    dx, dy = demand.x_m - motion.x_m, demand.y_m - motion.y_m
    distance_m = math.hypot(dx, dy)
    if distance_m < 1e-6:
        return 0.0, 0.0
    through = demand.through_m_s
    # The step's own length is kept in hand so that the brake is not one step late.
    reach_m = max(0.0, distance_m - motion.speed_m_s * STEP_S)
    brake_m_s = math.sqrt(through * through + 2.0 * frame.accel_m_s2 * reach_m)
    speed = min(demand.speed_m_s, brake_m_s, distance_m / STEP_S)
    ux, uy = dx / distance_m, dy / distance_m
    head_m_s = -(wind.east_m_s * ux + wind.north_m_s * uy)
    speed = min(speed, max(1.0, frame.max_air_m_s - max(0.0, head_m_s)))
    return ux * speed, uy * speed


def _approach(
    vx: float, vy: float, want_x: float, want_y: float, most: float
) -> tuple[float, float]:
    dx, dy = want_x - vx, want_y - vy
    size = math.hypot(dx, dy)
    if size <= most:
        return want_x, want_y
    return vx + dx * most / size, vy + dy * most / size


def _vertical(motion: Motion, demand: Demand, frame: Airframe) -> float:
    dz = demand.z_m - motion.z_m
    reach_m = max(0.0, abs(dz) - abs(motion.vz_m_s) * STEP_S)
    limit = frame.climb_m_s if dz > 0 else frame.descend_m_s
    if demand.landing and motion.z_m < 12.0:
        limit = frame.landing_m_s
    speed = min(limit, math.sqrt(2.0 * frame.accel_z_m_s2 * reach_m), abs(dz) / STEP_S)
    want = math.copysign(speed, dz)
    change = frame.accel_z_m_s2 * STEP_S
    return max(motion.vz_m_s - change, min(motion.vz_m_s + change, want))


def _heading(motion: Motion, want_x: float, want_y: float, frame: Airframe) -> float:
    if math.hypot(want_x, want_y) < 0.5:
        return motion.heading_deg
    want = math.degrees(math.atan2(want_x, want_y)) % 360.0
    turn = (want - motion.heading_deg + 180.0) % 360.0 - 180.0
    most = frame.yaw_deg_s * STEP_S
    return (motion.heading_deg + max(-most, min(most, turn))) % 360.0
