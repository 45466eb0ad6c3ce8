"""Which devices may speak, and for whom: taken from the registered district. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from domain.device import DeviceKind
from domain.district import District
from domain.place import Position
from services.ingest.misplaced import Stands, stands


@dataclass(frozen=True, slots=True)
class Devices:
    kinds: Mapping[str, DeviceKind]
    drone_of: Mapping[str, str]
    """Gateway serial → the aircraft it speaks for."""
    places: Mapping[str, Position]
    stands: Stands = field(default_factory=dict)
    """Devices that stand at a known place, docked aircraft among them."""

    @classmethod
    def of(cls, district: District) -> "Devices":
        kinds = {c.sn: DeviceKind.CAMERA for c in district.cameras}
        kinds |= {d.sn: DeviceKind.DRONE for d in district.drones}
        kinds |= {d.gateway_sn: DeviceKind.REMOTE_CONTROL for d in district.drones}
        kinds |= {d.sn: DeviceKind.DOCK for d in district.docks}
        drone_of = {d.gateway_sn: d.sn for d in district.drones}
        drone_of |= {d.sn: d.drone_sn for d in district.docks}
        places = {d.sn: d.position for d in district.docks}
        places |= {c.sn: c.position for c in district.cameras}
        standing = [(sn, place, True) for sn, place in places.items()]
        standing += [(d.drone_sn, d.position, False) for d in district.docks]
        return cls(kinds, drone_of, places, stands(standing))
