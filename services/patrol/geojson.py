"""Waylines, sorties, cells and airspace as RFC 7946 GeoJSON.

Longitude first, exterior rings counter-clockwise, a third coordinate only where it is the height
above the WGS-84 ellipsoid, as the standard has it. `properties.role` says what a feature is.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from domain.codec import to_plain
from domain.device import Dock
from domain.district import District
from domain.mission import Mission, Waypoint
from domain.place import Airspace, AirspaceKind, Area, GridCell, Ring
from services.patrol.flight import Flight

Feature = dict[str, Any]
LAYERS = ("cells", "no_fly", "volumes", "waylines", "sorties")


def collection(features: Iterable[Feature]) -> dict[str, Any]:
    """Return a FeatureCollection with its bounding box."""
    listed = list(features)
    found: dict[str, Any] = {"type": "FeatureCollection", "features": listed}
    spots = [spot for f in listed for spot in _spots(f["geometry"])]
    if spots:
        lons, lats = [s[0] for s in spots], [s[1] for s in spots]
        found["bbox"] = [min(lons), min(lats), max(lons), max(lats)]
    return found


def layers(
    district: District, flights: Sequence[Flight], wanted: Sequence[str] = LAYERS
) -> list[Feature]:
    """Return the features of the layers wanted, of LAYERS."""
    docks = {dock.sn: dock for dock in district.docks}
    features: list[Feature] = []
    if "cells" in wanted:
        features += [cell_feature(cell) for cell in district.cells]
    closed = [a for a in district.airspaces if a.kind is AirspaceKind.NO_FLY]
    if "no_fly" in wanted:
        features += [airspace_feature(a) for a in closed]
    if "volumes" in wanted:
        features += [airspace_feature(a) for a in district.airspaces if a not in closed]
    for flight in flights:
        dock = docks.get(flight.mission.dock_sn)
        if "waylines" in wanted and flight.open:
            features.append(path_feature(flight.mission, dock))
        if "sorties" in wanted and flight.steps:
            features.append(sortie_feature(flight, dock))
    return features


def cell_feature(cell: GridCell) -> Feature:
    """Return a grid cell."""
    told = {"code": cell.code, "name": cell.name, "risk": cell.risk, "revisit_s": cell.revisit_s}
    return _feature(_polygons(cell.area), "cell", told)


def airspace_feature(airspace: Airspace) -> Feature:
    """Return a volume of airspace, with what its heights count from and when it is closed."""
    no_fly = airspace.kind is AirspaceKind.NO_FLY
    told = {
        "code": airspace.code,
        "name": airspace.name,
        "kind": airspace.kind.value,
        "floor_m": airspace.floor_m,
        "ceiling_m": airspace.ceiling_m,
        "height_reference": airspace.height_reference.value,
        "valid_from": to_plain(airspace.valid_from),
        "valid_to": to_plain(airspace.valid_to),
    }
    return _feature(_polygons(airspace.area), "nfz" if no_fly else "volume", told)


def path_feature(mission: Mission, dock: Dock | None = None) -> Feature:
    """Return the path of a mission: a line, or the point that a look is flown to straight."""
    turned = mission.turns or mission.turns_back
    waypoints = mission.flown_to if turned else mission.wayline.waypoints
    told = {
        "mission_id": mission.mission_id,
        "purpose": mission.purpose.value,
        "height_rel_m": max((w.height_rel_m for w in waypoints), default=0.0),
        "theme": to_plain(mission.theme),
    }
    return _feature(_line(waypoints, dock), "path", told)


def sortie_feature(flight: Flight, dock: Dock | None = None) -> Feature:
    """Return what of a mission was flown, as far as its dock has told, and when."""
    mission, reached = flight.mission, flight.waypoint_index or 0
    points = mission.wayline.waypoints
    began_at = flight.steps[0].intended_at if flight.steps else mission.planned_at
    told: Mapping[str, Any] = {
        "mission_id": mission.mission_id,
        "purpose": mission.purpose.value,
        "dock_sn": mission.dock_sn,
        "drone_sn": mission.drone_sn,
        "theme": to_plain(mission.theme),
        "state": flight.state.value,
        "outcome": to_plain(flight.outcome),
        "began_at": to_plain(began_at),
        "told_at": to_plain(flight.progressed_at),
        "ended_at": None if flight.open else to_plain(flight.changed_at),
        "waypoint_index": flight.waypoint_index,
    }
    whole = not flight.open and flight.percent == 100
    return _feature(_line(points if whole else points[: reached + 1], dock), "sortie", dict(told))


def _feature(geometry: dict[str, Any] | None, role: str, told: Mapping[str, Any]) -> Feature:
    return {"type": "Feature", "geometry": geometry, "properties": {"role": role, **told}}


def _line(waypoints: Sequence[Waypoint], dock: Dock | None) -> dict[str, Any] | None:
    """A line, a point for a single place, no geometry for none (RFC 7946, 3.2)."""
    spots = [_spot(w, dock) for w in waypoints]
    if not spots:
        return None
    if len(spots) == 1:
        return {"type": "Point", "coordinates": spots[0]}
    return {"type": "LineString", "coordinates": spots}


def _spot(waypoint: Waypoint, dock: Dock | None) -> list[float]:
    spot = [round(waypoint.position.lon_deg, 8), round(waypoint.position.lat_deg, 8)]
    if dock is not None:
        spot.append(round(dock.height_ellipsoid_m + waypoint.height_rel_m, 2))
    return spot


def _polygons(area: Area) -> dict[str, Any]:
    """Exterior rings counter-clockwise, holes clockwise (RFC 7946, 3.1.6)."""
    parts = [
        [_turned(ring, clockwise=i > 0) for i, ring in enumerate(rings)] for rings in area.polygons
    ]
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}


def _turned(ring: Ring, clockwise: bool) -> list[list[float]]:
    doubled = sum((b[0] - a[0]) * (b[1] + a[1]) for a, b in pairwise(ring))
    points = ring if (doubled > 0) == clockwise else ring[::-1]
    return [[lon, lat] for lon, lat in points]


def _spots(geometry: dict[str, Any] | None) -> Iterable[Sequence[float]]:
    """Yield every position of a geometry."""
    left: list[Any] = [] if geometry is None else [geometry["coordinates"]]
    while left:
        one = left.pop()
        if one and isinstance(one[0], int | float):
            yield one
        else:
            left += one
