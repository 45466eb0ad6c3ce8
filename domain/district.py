"""辖区: one version of everything registered about a district. Read by every part."""

from dataclasses import dataclass

from domain.clearance import StandingApproval
from domain.device import Camera, Dock, Drone
from domain.place import Airspace, Community, GridCell, PoliceGrid, Position, Site, Zone
from domain.responder import Responder


@dataclass(frozen=True, slots=True)
class District:
    """`origin` is the local metre frame's zero; `schematic` says the geometry is not surveyed."""

    code: str
    name: str
    version: int
    schematic: bool
    origin: Position
    communities: tuple[Community, ...]
    cells: tuple[GridCell, ...]
    police_grids: tuple[PoliceGrid, ...]
    sites: tuple[Site, ...]
    airspaces: tuple[Airspace, ...]
    zones: tuple[Zone, ...]
    docks: tuple[Dock, ...]
    drones: tuple[Drone, ...]
    cameras: tuple[Camera, ...]
    responders: tuple[Responder, ...]
    approvals: tuple[StandingApproval, ...] = ()
