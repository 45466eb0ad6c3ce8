"""What `gridwing plan --out` writes: flown paths as GeoJSON lines, lon/lat or local metres."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from geo.frames import LocalFrame
from gridwing.plan_input import LOCAL
from gridwing.planned import Planned, Wish


def in_degrees(shape: BaseGeometry, plane: LocalFrame | None) -> BaseGeometry:
    """Return a shape of the plane in lon/lat degrees; as it is where there is no plane."""
    if plane is None:
        return shape

    def move(xy: Any) -> Any:
        lat, lon = plane.to_degrees(xy[:, 0], xy[:, 1])
        return np.stack([lon, lat], axis=1)

    return shapely.transform(shape, move)


def path_feature(found: Planned, wish: Wish, told: dict[str, Any]) -> dict[str, Any]:
    """Return the path as a feature; `told` is what is reported of it."""
    plane = found.ground.plane
    properties = {
        "role": "path",
        "ends": found.strip.ends,
        "along_m": round(2.0 * found.strip.reach_m, 3),
        "height_agl_m": wish.height_agl_m,
        "crs": LOCAL if plane is None else "CRS84",
        **told,
    }
    line = in_degrees(shapely.LineString(found.flown.path), plane)
    return {"type": "Feature", "geometry": mapping(line), "properties": properties}


def write_paths(file: Path, features: Sequence[dict[str, Any]]) -> None:
    document = {"type": "FeatureCollection", "features": features}
    file.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
