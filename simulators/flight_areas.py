"""What a dock makes of a file of custom flight areas, and how far its aircraft is from them."""

import json
from dataclasses import dataclass
from typing import Any

import shapely

from geo.frames import LocalFrame

FILE_LIMIT_BYTES = 4 * 1024 * 1024
AREAS_LIMIT = 1000
TOLD_WITHIN_M = 500.0
TOLD_LIMIT = 16
Ring = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class KeepOut:
    """An area nobody may fly into: its id and its outline in (lon, lat)."""

    area_id: str
    outline: Ring


def read_areas(body: bytes) -> tuple[KeepOut, ...]:
    """Return the areas switched on that are to be kept out of. Raises ValueError."""
    if len(body) > FILE_LIMIT_BYTES:
        raise ValueError(f"flight areas of {len(body)} bytes; the limit is {FILE_LIMIT_BYTES}")
    try:
        features = json.loads(body)["features"]
        found = tuple(_area(f) for f in features if f["geofence_type"] == "nfz" and _on(f))
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"not a file of flight areas: {error!r}") from error
    if len(found) > AREAS_LIMIT:
        raise ValueError(f"{len(found)} flight areas; the limit is {AREAS_LIMIT}")
    return found


def _on(feature: dict[str, Any]) -> bool:
    return bool(feature["properties"].get("enable", True))


def _area(feature: dict[str, Any]) -> KeepOut:
    outline = feature["geometry"]["coordinates"][0]
    return KeepOut(str(feature["id"]), tuple((float(lon), float(lat)) for lon, lat in outline))


def locations(
    areas: tuple[KeepOut, ...], frame: LocalFrame, x_m: float, y_m: float
) -> list[dict[str, Any]]:
    """Return how far an aircraft is from the borders near it, nearest first."""
    here = shapely.Point(x_m, y_m)
    rows: list[dict[str, Any]] = []
    for area in areas:
        outline = shapely.Polygon([frame.to_local(lat, lon) for lon, lat in area.outline])
        away_m = float(outline.exterior.distance(here))
        if away_m <= TOLD_WITHIN_M:
            inside = bool(outline.contains(here))
            rows.append(
                {
                    "area_id": area.area_id,
                    "area_distance": round(away_m, 2),
                    "is_in_area": inside,
                }
            )
    return sorted(rows, key=lambda row: row["area_distance"])[:TOLD_LIMIT]
