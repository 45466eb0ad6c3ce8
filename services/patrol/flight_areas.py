"""Closed ground as the file a DJI dock hands to its aircraft, and how far each dock has taken it.

The file is the vendor's GeoJSON (custom flight area: `nfz` is kept out of); a dock is told that
there is a new one (flight_areas_update), asks for it (flight_areas_get), and tells how it gets on
(flight_areas_sync_progress). Pure.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from domain.place import Airspace
from services.patrol.dock_codes import may_ask_again_s
from services.patrol.policy import PatrolPolicy

UPDATE_METHOD, GET_METHOD = "flight_areas_update", "flight_areas_get"
SYNC_METHOD, LOCATION_METHOD = "flight_areas_sync_progress", "flight_areas_drone_location"
SYNCHRONIZED = "synchronized"
NEAR_LIMIT = 64
FARTHEST_M = 1e7
WORD_LIMIT = 128


@dataclass(frozen=True, slots=True)
class AreaFile:
    """The file's name, its bytes, and the SHA-256 a dock checks it by."""

    name: str
    body: bytes
    checksum: str


@dataclass(frozen=True, slots=True)
class AreaDistance:
    """How far an aircraft is from an area's border, as the dock told it."""

    area_id: str
    distance_m: float
    inside: bool


@dataclass(frozen=True, slots=True)
class AreaSync:
    """What a dock has been told, and has said, of the areas; `near` with when it was told."""

    dock_sn: str
    checksum: str = ""
    status: str = "untold"
    reason: int = 0
    told_at: datetime | None = None
    tries: int = 0
    near: tuple[AreaDistance, ...] = ()
    located_at: datetime | None = None


def area_file(airspaces: Sequence[Airspace]) -> AreaFile:
    """Return the file of the areas nobody may fly into; equal areas give equal bytes."""
    features = []
    for airspace in sorted(airspaces, key=lambda a: a.code):
        for i, rings in enumerate(airspace.area.polygons):
            name = airspace.code if len(airspace.area.polygons) == 1 else f"{airspace.code}-{i}"
            features.append(
                {
                    "id": name,
                    "type": "Feature",
                    "geofence_type": "nfz",
                    # A hole would be open sky with closed sky all round: the outline is enough.
                    "geometry": {"type": "Polygon", "coordinates": [rings[0]]},
                    "properties": {"radius": 0, "enable": True},
                }
            )
    told = {"type": "FeatureCollection", "features": features}
    body = json.dumps(told, sort_keys=True, separators=(",", ":")).encode()
    checksum = hashlib.sha256(body).hexdigest()
    return AreaFile(f"geofence_{checksum[:16]}.json", body, checksum)


def due(sync: AreaSync, file: AreaFile, at: datetime, policy: PatrolPolicy) -> bool:
    """Tell whether a dock is to be told of the file now: never, or long enough ago in vain."""
    if sync.checksum == file.checksum and sync.status == SYNCHRONIZED:
        return False
    if sync.checksum != file.checksum or sync.told_at is None:
        return True
    wait_s = may_ask_again_s(sync.tries, policy.areas_wait_s, policy.areas_wait_limit_s)
    return (at - sync.told_at).total_seconds() >= wait_s


def told(sync: AreaSync, file: AreaFile, at: datetime) -> AreaSync:
    """Return the dock's state when it is told once more."""
    again = sync.checksum == file.checksum
    return replace(
        sync,
        checksum=file.checksum,
        status="told",
        reason=0,
        told_at=at,
        tries=sync.tries + 1 if again else 1,
    )


def heard(sync: AreaSync, method: str, data: Mapping[str, Any], at: datetime) -> AreaSync:
    """Fold what a dock tells of its areas; what cannot be read changes nothing."""
    if method == LOCATION_METHOD:
        rows = data.get("drone_locations")
        listed = rows if isinstance(rows, list) else [rows]
        near = [d for d in map(_distance, listed[:NEAR_LIMIT]) if d is not None]
        return replace(sync, near=tuple(near), located_at=at)
    file, status = data.get("file"), data.get("status")
    checksum = file.get("checksum") if isinstance(file, dict) else None
    if not _word(status):
        return sync
    if isinstance(checksum, str) and checksum and checksum != sync.checksum:
        # Word of a file that is no longer the one to have.
        return sync
    return replace(sync, status=str(status), reason=_whole(data.get("reason")))


def _distance(row: object) -> AreaDistance | None:
    if not isinstance(row, dict) or not _word(row.get("area_id")):
        return None
    away = row.get("area_distance")
    if isinstance(away, bool) or not isinstance(away, int | float):
        return None
    if not -FARTHEST_M <= away <= FARTHEST_M:
        return None
    return AreaDistance(row["area_id"], float(away), bool(row.get("is_in_area")))


def _word(value: object) -> bool:
    """A word that may be stored: what no font has, no database may have either."""
    return isinstance(value, str) and 0 < len(value) <= WORD_LIMIT and value.isprintable()


def _whole(value: object) -> int:
    """Some firmware sends its codes as text."""
    try:
        code = int(value) if isinstance(value, int | str) else 0
    except ValueError:
        return 0
    return code if 0 <= code <= 65_535 else 0
