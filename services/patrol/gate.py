"""Whether a docked drone may take off now; every reason against it is a value."""

from dataclasses import dataclass
from datetime import datetime

from domain.device import Drone
from services.patrol.dock_state import DeviceNow
from services.patrol.policy import PatrolPolicy
from services.patrol.refusal import Refusal


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


def refusals(
    stand: Stand, at: datetime, stale_s: float, policy: PatrolPolicy, *, prepared: bool = False
) -> tuple[Refusal, ...]:
    """Return why dock, aircraft and weather refuse a take-off now; empty means ready.

    A dock that has `prepared` a flight may no longer call itself idle.
    """
    dock = stand.dock
    if dock is None or (at - dock.heard_at).total_seconds() > stale_s:
        return (Refusal("dock_silent", "dock", "see to the dock's power and its link"),)
    battery = stand.battery_pct()
    least, wind, rain = policy.start_battery_pct, dock.wind_m_s or 0.0, dock.rain_level or 0
    checks = (
        (
            not prepared and dock.idle_since is None,
            Refusal("dock_not_idle", "dock", "wait until it is idle with its aircraft inside"),
        ),
        (battery is None, Refusal("battery_unknown", "battery", "wait for the dock's next word")),
        (
            battery is not None and battery < least,
            Refusal("battery_low", "battery", f"charge to {least:g} %; it has {battery} %"),
        ),
        (
            wind > policy.wind_limit_m_s,
            Refusal(
                "wind_over_limit", "wind", f"{wind:g} m/s; wait for {policy.wind_limit_m_s:g} m/s"
            ),
        ),
        (
            rain > policy.rain_limit_level,
            Refusal("rain_over_limit", "rain", "wait until it rains lightly at most"),
        ),
    )
    return tuple(refusal for stands, refusal in checks if stands)
