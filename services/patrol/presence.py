"""The docks and aircraft as last heard, beside what is registered of them."""

from datetime import datetime

from domain.device import Dock
from services.patrol.dock_state import DeviceNow
from services.patrol.gate import Stand
from services.patrol.policy import patience_s
from services.patrol.surroundings import Surroundings


class Presence:
    """`devices` holds the latest word of each serial."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self.devices: dict[str, DeviceNow] = {}
        district = around.ground.district
        self.docks = {d.sn: d for d in district.docks}
        self.drones = {d.sn: d for d in district.drones}

    @property
    def stale_s(self) -> float:
        """Clock seconds after which a device's word no longer counts."""
        policy = self._around.policy
        return patience_s(policy.osd_stale_s, policy.osd_stale_wall_s, self._around.clock.rate)

    def stand(self, dock: Dock) -> Stand:
        return Stand(self.devices.get(dock.sn), self.devices.get(dock.drone_sn))

    def here(self, drone_sn: str, at: datetime) -> DeviceNow | None:
        """Return an aircraft's state if its position is fresh."""
        now = self.devices.get(drone_sn)
        if now is None or now.position is None or now.positioned_at is None:
            return None
        return now if (at - now.positioned_at).total_seconds() <= self.stale_s else None
