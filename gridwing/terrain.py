"""The terrain model of a district, as the settings name it."""

from pathlib import Path

import shapely

from domain.district import District
from geo.frames import LocalFrame
from geo.shapes import local_geometry
from geo.terrain import GridTerrain, read_terrain

AROUND_M = 1000.0
"""How far beyond the district flights may go round closed airspace."""


def read_district_terrain(
    path: Path, geoid_m: float, district: District
) -> tuple[GridTerrain, LocalFrame]:
    """Return the ground under a district and around it, and the frame it is in.

    Raises geo.terrain.BadTerrain.
    """
    frame = LocalFrame(district.origin)
    docks = [frame.to_local(d.position.lat_deg, d.position.lon_deg) for d in district.docks]
    whole = shapely.union_all(
        [shapely.MultiPoint(docks), *(local_geometry(c.area, frame) for c in district.cells)]
    )
    x0, y0, x1, y1 = whole.bounds
    extent = (x0 - AROUND_M, y0 - AROUND_M, x1 + AROUND_M, y1 + AROUND_M)
    return read_terrain(path, frame, extent, geoid_m), frame
