"""Which hazard a detector's class is. Persons and vehicles are things: rules judge them."""

from collections.abc import Mapping

from domain.hazard import HazardKind

KIND_OF: Mapping[str, HazardKind] = {
    "fire": HazardKind.FIRE,
    "smoke": HazardKind.SMOKE,
    "exposed_rubbish": HazardKind.EXPOSED_RUBBISH,
    "flooded_road": HazardKind.FLOODED_ROAD,
    "floating_debris": HazardKind.FLOATING_DEBRIS,
    "illegal_structure": HazardKind.ILLEGAL_STRUCTURE,
}
