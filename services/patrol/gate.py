"""Whether a docked drone may take off now; every reason against it is a value."""

from dataclasses import dataclass
from datetime import datetime

from domain.device import Drone
from services.patrol.dock_state import DeviceNow
from services.patrol.policy import PatrolPolicy


@dataclass(frozen=True, slots=True)
class Stand:
    """A dock and its aircraft as last heard; None where never heard."""

    dock: DeviceNow | None
    drone: DeviceNow | None

    def battery_pct(self) -> float | None:
        """The aircraft's own figure where it has spoken last, else the dock's charger's."""
        told = [d for d in (self.drone, self.dock) if d is not None and d.battery_pct is not None]
        if not told:
            return None
        return max(told, key=lambda d: d.heard_at).battery_pct


def airtime_s(drone: Drone, battery_pct: float, policy: PatrolPolicy) -> float:
    """Return the seconds of path a battery allows, reserve, climb, landing and margin set aside."""
    usable_s = drone.endurance_s * max(0.0, battery_pct - drone.reserve_pct) / 100.0
    return max(0.0, (usable_s - policy.climb_and_land_s) / policy.time_margin)


def battery_after_pct(
    drone: Drone, battery_pct: float, path_s: float, policy: PatrolPolicy
) -> float:
    """Return the battery left at home after `path_s` seconds of path from the dock and back."""
    used_s = path_s * policy.time_margin + policy.climb_and_land_s
    return battery_pct - 100.0 * used_s / drone.endurance_s


def refusals(stand: Stand, at: datetime, stale_s: float, policy: PatrolPolicy) -> tuple[str, ...]:
    """Return why a take-off is refused now; empty means ready."""
    dock = stand.dock
    if dock is None or (at - dock.heard_at).total_seconds() > stale_s:
        return ("dock_silent",)
    battery = stand.battery_pct()
    checks = (
        ("dock_not_idle", dock.idle_since is None),
        ("battery_unknown", battery is None),
        ("battery_low", battery is not None and battery < policy.start_battery_pct),
        ("wind_over_limit", (dock.wind_m_s or 0.0) > policy.wind_limit_m_s),
        ("rain_over_limit", (dock.rain_level or 0) > policy.rain_limit_level),
    )
    return tuple(reason for reason, stands in checks if stands)
