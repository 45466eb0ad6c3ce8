"""The weather over the district: wind and rain as functions of seed and time."""

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from random import Random

from simulators.kinematics import Wind

RAIN_SPELL_S = 2400.0
"""Time is cut into spells this long; each is dry or wet as a whole."""
MODERATE_RAIN_SHARE = 0.02
LIGHT_RAIN_SHARE = 0.10
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sky:
    """The weather at one instant. `rain_level` is 0 none, 1 light, 2 moderate, 3 heavy."""

    wind: Wind
    rain_level: int
    temperature_c: float
    humidity_pct: float


class Weather:
    """Slow swings of a mild sea-side climate; the same seed gives the same days."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        chance = Random(f"{seed}/weather")
        self._mean_m_s = chance.uniform(2.0, 4.5)
        self._from_deg = chance.uniform(90.0, 200.0)
        self._phases = [chance.uniform(0.0, math.tau) for _ in range(5)]

    def sky(self, at: datetime) -> Sky:
        t = (at - _EPOCH).total_seconds()
        p = self._phases
        speed = (
            self._mean_m_s
            + 1.6 * math.sin(t / 5400.0 + p[0])
            + 0.8 * math.sin(t / 900.0 + p[1])
            + 0.5 * math.sin(t / 37.0 + p[2])
        )
        speed = max(0.2, speed)
        bearing = math.radians(self._from_deg + 25.0 * math.sin(t / 7200.0 + p[3]))
        wind = Wind(-speed * math.sin(bearing), -speed * math.cos(bearing))
        warmth_c = 26.0 + 4.0 * math.sin(t / 13_750.0 + p[4])
        rain = _rain(self._seed, int(t // RAIN_SPELL_S))
        return Sky(wind, rain, warmth_c, 62.0 + 12.0 * rain)


@lru_cache(2)
def _rain(seed: int, spell: int) -> int:
    draw = Random(f"{seed}/rain/{spell}").random()
    if draw < MODERATE_RAIN_SHARE:
        return 2
    return 1 if draw < LIGHT_RAIN_SHARE else 0
