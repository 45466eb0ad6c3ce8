"""The world the simulated hardware looks at: hazards that come by seed and go when handled.

What stands where is a function of seed and clock, save for what people have handled; that, and
who looked at what, is written to the truth log and read back when the process starts again.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

from domain.district import District
from domain.hazard import HazardKind
from domain.place import Position
from simulators.hazard_places import Appearance, PlacePolicy, appearances
from simulators.render import DrawnBox, Item, Light
from simulators.terrain import Terrain
from simulators.traffic import Traffic
from simulators.truth import TruthLog
from simulators.weather import Weather

PLACES = PlacePolicy()
HANDLE_RADIUS_M = 40.0
LOOKED_LEAST_PX = 12.0
LOOKED_LEAST_SHARE = 0.5
CROWD_LEAST = 12
CROWD_MOST = 18
CROWD_RADIUS_M = 4.5
GROWING_S = 120.0
"""Fire and smoke reach their full size this long after they appear."""


@dataclass(frozen=True, slots=True)
class Standing:
    """An item in the picture, and the hazard it belongs to (None: harmless)."""

    item: Item
    hazard_id: str | None


class World:
    """The truth of one run. `folder` keeps its log; the same folder goes on with the same world."""

    def __init__(
        self,
        district: District,
        seed: int,
        at: datetime,
        folder: Path,
        policy: PlacePolicy = PLACES,
    ) -> None:
        self.district, self.seed = district, seed
        self.terrain = Terrain.of(district)
        self.weather = Weather(seed)
        self.traffic = Traffic(self.terrain, seed)
        self.log = TruthLog(folder, seed, at)
        self._coming = appearances(district, self.terrain, seed, self.log.began, policy)
        self._next: Appearance | None = next(self._coming, None)
        self._standing: dict[str, Appearance] = {}

    def close(self) -> None:
        self.log.close()

    def advance(self, at: datetime) -> None:
        """Let everything appear that should have by `at`."""
        while self._next is not None and self._next.appears_at <= at:
            it = self._next
            place = self.terrain.frame.to_position(it.x_m, it.y_m)
            self.log.appeared(it.hazard_id, it.kind, place, it.appears_at)
            if self.log.accounts[it.hazard_id].handled_at is None:
                self._standing[it.hazard_id] = it
            self._next = next(self._coming, None)

    def standing(self, at: datetime) -> tuple[Appearance, ...]:
        """Return the hazards that stand at `at`."""
        self.advance(at)
        return tuple(self._standing.values())

    def handle(self, position: Position, at: datetime) -> tuple[str, ...]:
        """Somebody has done the work at a place: end the hazards within HANDLE_RADIUS_M of it."""
        self.advance(at)
        x_m, y_m = self.terrain.frame.to_local(position.lat_deg, position.lon_deg)
        ended = tuple(
            it.hazard_id
            for it in self._standing.values()
            if math.hypot(it.x_m - x_m, it.y_m - y_m) <= HANDLE_RADIUS_M
        )
        for hazard_id in ended:
            del self._standing[hazard_id]
            self.log.handled(hazard_id, at)
        return ended

    def items(self, at: datetime, x_m: float, y_m: float, radius_m: float) -> list[Standing]:
        """Return what stands within `radius_m` of a place (local metres), hazards first."""
        found: list[Standing] = []
        for it in self.standing(at):
            if math.hypot(it.x_m - x_m, it.y_m - y_m) <= radius_m:
                found += [Standing(item, it.hazard_id) for item in hazard_items(it, at)]
        found += [Standing(i, None) for i in self.traffic.items(at, x_m, y_m, radius_m)]
        return found

    def looked(
        self, device_sn: str, standing: Sequence[Standing], boxes: Sequence[DrawnBox], at: datetime
    ) -> tuple[str, ...]:
        """Write down which hazards a picture showed well enough; return their ids."""
        shown: dict[str, int] = {}
        for box in boxes:
            hazard_id = standing[box.item_index].hazard_id
            size_px = max(box.x1 - box.x0, box.y1 - box.y0)
            if hazard_id and size_px >= LOOKED_LEAST_PX and box.visible_share >= LOOKED_LEAST_SHARE:
                shown[hazard_id] = shown.get(hazard_id, 0) + 1
        seen = tuple(h for h, number in shown.items() if number >= self._least_items(h))
        for hazard_id in seen:
            self.log.looked(hazard_id, device_sn, at)
        return seen

    def light(self, at: datetime) -> Light:
        """Return the light: day without end, clouds passing, rain as the weather has it."""
        rain = self.weather.sky(at).rain_level
        phase = (at - self.log.began) / timedelta(seconds=3300) + self.seed
        sun = 0.72 + 0.16 * math.sin(math.tau * phase) - 0.12 * rain
        return Light(sun=sun, haze=0.06 + 0.08 * rain, rain=0.3 * rain, night=0.0)

    def _least_items(self, hazard_id: str) -> int:
        crowd = self.log.accounts[hazard_id].kind is HazardKind.CROWD
        return CROWD_LEAST if crowd else 1


def hazard_items(it: Appearance, at: datetime) -> list[Item]:
    """Return a hazard's items: one, or the people of a crowd."""
    if it.kind is HazardKind.CROWD:
        return _crowd(it, at)
    kind = "vehicle" if it.kind is HazardKind.BLOCKED_FIRE_LANE else it.kind.value
    growth = 1.0
    if it.kind in (HazardKind.FIRE, HazardKind.SMOKE):
        growth = min(1.0, 0.4 + 0.6 * (at - it.appears_at).total_seconds() / GROWING_S)
    return [Item(kind, it.x_m, it.y_m, it.size_m, it.heading_deg, it.seed, growth)]


def _crowd(it: Appearance, at: datetime) -> list[Item]:
    chance = Random(it.seed)
    age_s = (at - it.appears_at).total_seconds()
    people = []
    for _ in range(chance.randint(CROWD_LEAST + 2, CROWD_MOST)):
        angle, reach = chance.uniform(0.0, math.tau), CROWD_RADIUS_M * math.sqrt(chance.random())
        sway = 0.2 * math.sin(age_s / chance.uniform(3.0, 9.0))
        people.append(
            Item(
                "person",
                it.x_m + reach * math.sin(angle) + sway,
                it.y_m + reach * math.cos(angle),
                chance.uniform(1.6, 1.8),
                chance.uniform(0.0, 360.0),
                chance.randrange(2**31),
            )
        )
    return people
