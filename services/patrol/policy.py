"""The figures patrol decides by. Times are clock seconds unless the name says wall."""

from dataclasses import dataclass, field

from domain.hazard import HazardKind
from geo.airspace import SkyPolicy
from geo.coverage import QUICK, Effort
from services.patrol.sky.rules import SkyRules, load_sky_rules


@dataclass(frozen=True, slots=True)
class PatrolPolicy:
    """Every limit, with its unit. See docs/patrol.md for the reasons."""

    # The path
    height_agl_m: float = 90.0
    gimbal_pitch_deg: float = -90.0
    overlap: float = 0.2
    coverage_wanted: float = 0.99
    # Some 45 ms a cell: with less, chance decides whether the same square takes 52 s or 70 s.
    sweep_effort: Effort = QUICK
    portion_limit_s: float = 700.0
    sortie_limit_s: float = 1000.0
    cells_limit: int = 12
    accel_m_s2: float = 2.5
    corner_cut_m: float = 2.0
    rules: SkyRules = field(default_factory=load_sky_rules)

    # Battery and weather
    climb_and_land_s: float = 120.0
    time_margin: float = 1.15
    # What a dock's charger gives: 25 to 85 % in 27 minutes.
    charge_pct_s: float = 0.0365
    turnaround_s: float = 30.0
    start_battery_pct: float = 40.0
    patrol_battery_pct: float = 65.0
    wind_limit_m_s: float = 10.0
    rain_limit_level: int = 1
    osd_stale_s: float = 30.0
    osd_stale_wall_s: float = 5.0

    # The plan
    tick_s: float = 2.0
    tick_wall_s: float = 0.25
    plan_every_s: float = 10.0
    replan_s: float = 300.0
    horizon_s: float = 7200.0
    # At most this share of the fleet flies for themes at a time, but one drone always may.
    theme_share: float = 0.34
    leave_early_s: float = 60.0
    rest_s: float = 20.0
    rest_wall_s: float = 2.0
    never_seen_revisits: float = 2.0
    due_share: float = 0.25
    floor_revisits: float = 12.0
    risk_floor: float = 0.5
    unverified_weight: float = 1.5
    # What a filed incident adds to its cell's risk, halved every two weeks; four make the most.
    history_half_life_s: float = 14.0 * 86_400.0
    history_step: float = 0.25
    history_limit: float = 2.0
    idleness_wanted: tuple[float, ...] = (1.5,)
    # What a cell that could wait is worth: more than its flight, so that charged drones fly.
    fill_s: float = 1500.0
    # What a site just due is worth: a detour, not a cell. It grows with the square of its wait.
    site_worth_s: float = 120.0
    route_iterations: int = 150
    # Tried per cell once a plan stands: 3 µs each.
    exchanges: int = 1000
    plan_seed: int = 1
    # Sweeps are worked out for what leaves within this, and for a few cells more each time.
    exact_s: float = 600.0
    exact_more: int = 12
    exact_rounds: int = 4
    apart_m: float = 40.0
    apart_height_m: float = 8.0

    # The conversation with a dock
    reply_limit_s: float = 10.0
    reply_limit_wall_s: float = 3.0
    late_replies_limit: int = 256
    plan_stale_s: float = 120.0
    plan_stale_wall_s: float = 10.0
    quiet_limit_s: float = 180.0
    quiet_limit_wall_s: float = 15.0
    idle_enough_s: float = 60.0
    idle_enough_wall_s: float = 4.0
    home_tries: int = 3
    busy_wait_s: float = 20.0
    busy_wait_limit_s: float = 640.0
    resume_within_s: float = 3600.0
    areas_every_s: float = 20.0
    areas_every_wall_s: float = 5.0
    areas_wait_s: float = 60.0
    areas_wait_limit_s: float = 1920.0
    home_retry_s: float = 30.0

    # Command: who speaks to a drone, and for how long without renewing it
    lease_s: float = 60.0
    lease_wall_s: float = 10.0
    send_within_s: float = 5.0
    send_within_wall_s: float = 2.0

    # A look
    confirm_kinds: tuple[HazardKind, ...] = (HazardKind.FIRE, HazardKind.SMOKE)
    look_height_agl_m: float = 60.0
    look_radius_m: float = 30.0
    look_limit_s: float = 60.0
    look_limit_wall_s: float = 6.0
    look_budget_share: float = 0.6
    look_grace_s: float = 15.0
    look_grace_wall_s: float = 3.0
    look_reach_limit_s: float = 600.0
    over_target_m: float = 15.0
    same_target_m: float = 30.0
    look_tries: int = 3
    confirm_expiry_s: float = 900.0
    verify_expiry_s: float = 3600.0
    verify_diverts_after_s: float = 900.0
    looks_limit: int = 200

    @property
    def sky(self) -> SkyPolicy:
        return self.rules.policy()


def patience_s(s: float, wall_s: float, rate: float) -> float:
    """Clock seconds to wait: `s`, but never less real time than `wall_s`.

    Networks and processors do not run faster because the clock does.
    """
    return max(s, wall_s * rate)
