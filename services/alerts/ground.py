"""The district as the alerts part needs it: which cell, which police grid, who, from where."""

from collections.abc import Mapping
from dataclasses import dataclass

from domain.district import District
from domain.place import Position
from domain.responder import Responder
from geo.cells import CellIndex
from geo.frames import LocalFrame


@dataclass(frozen=True)
class Ground:
    frame: LocalFrame
    cells: CellIndex
    police: CellIndex
    responders: Mapping[str, Responder]
    devices: Mapping[str, Position]
    origin: Position

    @classmethod
    def of(cls, district: District) -> "Ground":
        """Index one version of the district. A docked aircraft stands where its dock does."""
        docks = {dock.sn: dock.position for dock in district.docks}
        devices = docks | {camera.sn: camera.position for camera in district.cameras}
        devices |= {
            drone.sn: docks[drone.gateway_sn]
            for drone in district.drones
            if drone.gateway_sn in docks
        }
        return cls(
            frame=LocalFrame(district.origin),
            cells=CellIndex(district.cells),
            police=CellIndex(district.police_grids),
            responders={r.responder_id: r for r in district.responders},
            devices=devices,
            origin=district.origin,
        )

    def device_position(self, device_sn: str, told: Position | None) -> Position:
        """Return where a device is: as told, as registered, or the district's origin if unknown."""
        return told or self.devices.get(device_sn, self.origin)
