"""Health alarms a device has now (DJI HMS), as a function of seed, device and time."""

from datetime import UTC, datetime
from random import Random
from typing import Any

SPELL_S = 1800.0
"""Each device's time is cut into spells; a spell has one alarm or none."""
ALARM_SHARE = 0.12
SHORTEST_S, LONGEST_S = 120.0, 420.0
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
# (code, level, module): level 0 notice, 1 remind, 2 warn; module 3 is the health system.
_DOCK_ALARMS = (("0x12080003", 1, 3), ("0x1206000A", 1, 3), ("0x12030001", 2, 3))


def alarms_now(seed: int, device_sn: str, at: datetime) -> list[dict[str, Any]]:
    """Return the full current set of a dock's alarms, as entries of an `hms` event's list."""
    t = (at - _EPOCH).total_seconds()
    spell, inside_s = divmod(t, SPELL_S)
    chance = Random(f"{seed}/hms/{device_sn}/{int(spell)}")
    if chance.random() >= ALARM_SHARE:
        return []
    lasts_s = chance.uniform(SHORTEST_S, LONGEST_S)
    starts_s = chance.uniform(0.0, SPELL_S - lasts_s)
    if not starts_s <= inside_s < starts_s + lasts_s:
        return []
    code, level, module = chance.choice(_DOCK_ALARMS)
    return [
        {
            "level": level,
            "module": module,
            "in_the_sky": 0,
            "code": code,
            "device_type": "3-2-0",
            "imminent": 0,
            "args": {"component_index": 0, "sensor_index": 0},
        }
    ]
