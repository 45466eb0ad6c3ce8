"""Aircraft keep to their limits at every step, arrive, land, and pay for wind and height."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.drone import (
    LANDING,
    LIVE,
    TAKING_OFF,
    WAYLINE,
    Flying,
    Leg,
    advance,
    depart,
    homeward,
    standing,
    to_point,
)
from simulators.kinematics import STEP_S, Airframe, Demand, Motion, Wind, drain_pct_s, step

FRAME = Airframe()
STILL = Wind()


def fly(flying: Flying, wind: Wind = STILL, limit: int = 20_000) -> tuple[Flying, int]:
    steps = 0
    while flying.airborne and (not flying.done or flying.mode == LANDING) and steps < limit:
        flying = advance(flying, wind, FRAME)
        steps += 1
    return flying, steps


@settings(max_examples=60, deadline=None)
@given(
    x=st.floats(-800, 800),
    y=st.floats(-800, 800),
    z=st.floats(5, 120),
    speed=st.floats(1, 15),
    east=st.floats(-8, 8),
    north=st.floats(-8, 8),
)
def test_no_step_breaks_a_limit(
    x: float, y: float, z: float, speed: float, east: float, north: float
) -> None:
    motion, wind = Motion(0.0, 0.0, 50.0), Wind(east, north)
    for _ in range(300):
        after = step(motion, Demand(x, y, z, speed), wind, FRAME)
        change = math.hypot(after.vx_m_s - motion.vx_m_s, after.vy_m_s - motion.vy_m_s)
        assert change <= FRAME.accel_m_s2 * STEP_S + 1e-9
        assert abs(after.vz_m_s - motion.vz_m_s) <= FRAME.accel_z_m_s2 * STEP_S + 1e-9
        assert after.speed_m_s <= speed + 1e-6
        assert -FRAME.descend_m_s - 1e-9 <= after.vz_m_s <= FRAME.climb_m_s + 1e-9
        assert after.battery_pct <= motion.battery_pct
        motion = after


def test_a_wayline_is_flown_to_its_end_and_home_again() -> None:
    corners = [(100.0, 100.0), (400.0, 100.0), (400.0, 160.0), (100.0, 160.0)]
    legs = (
        Leg(0, 0, 30, 3, TAKING_OFF),
        *(Leg(x, y, 60, 10, WAYLINE, index=i) for i, (x, y) in enumerate(corners)),
    )
    flying, steps = fly(depart(standing(0, 0, 90.0), legs), Wind(3, -2))
    assert flying.waypoint == 3
    assert math.hypot(flying.motion.x_m - 100, flying.motion.y_m - 160) < 3
    least_s = (math.hypot(100, 100) + 300 + 60 + 300) / 10
    assert least_s < steps * STEP_S < 1.5 * least_s + 20
    home, _ = fly(homeward(flying, 80.0, FRAME), Wind(3, -2))
    assert not home.airborne
    assert (home.motion.x_m, home.motion.y_m, home.motion.z_m) == (0, 0, 0)
    assert 75 < home.motion.battery_pct < flying.motion.battery_pct


def test_over_a_point_the_aircraft_holds_still_and_looks_down_at_it() -> None:
    up, _ = fly(depart(standing(0, 0, 90.0), (Leg(0, 0, 40, 3, TAKING_OFF),)))
    there, _ = fly(to_point(up, 200, 50, 60, 12), Wind(4, 1))
    for _ in range(200):
        there = advance(there, Wind(4, 1), FRAME)
    assert math.hypot(there.motion.x_m - 200, there.motion.y_m - 50) < 1.0
    assert there.motion.speed_m_s < 0.3
    assert there.pitch_deg < -88
    assert there.mode == LIVE


def test_headwind_and_climb_cost_charge() -> None:
    calm = drain_pct_s(12, 0, 0, FRAME)
    assert math.isclose(calm * FRAME.endurance_s, 100.0, rel_tol=1e-9)
    assert drain_pct_s(18, 0, 0, FRAME) > calm > drain_pct_s(0, 0, 0, FRAME)
    assert drain_pct_s(12, 0, 5, FRAME) > calm
