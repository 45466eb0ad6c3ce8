"""Grid polygons from GeoJSON, GeoPackage or Shapefile: everything that is wrong, by feature.

CRS are handled by pyproj; CGCS2000 (EPSG:4490, 4547 …) among them. GCJ-02 has no EPSG code and is
declared with `crs="gcj02"`. Metre-sized numbers without a CRS are refused, never guessed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import CRS, Geod
from pyproj.exceptions import CRSError
from shapely import (
    MultiPolygon,
    Polygon,
    STRtree,
    force_2d,
    is_valid_reason,
    shortest_line,
    transform,
    union_all,
)
from shapely.geometry.base import BaseGeometry

from domain.place import Area, Community, GridCell, Position
from geo.frames import LocalFrame, gcj02_to_wgs84
from geo.shapes import area_to_shape, local_geometry, shape_to_area

GCJ02 = "gcj02"
CODE = re.compile(r"\d{15}")
FEATURES_LIMIT = 20_000
OVERLAP_LIMIT_M2 = 1.0
PROBLEMS_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one feature (0 is the first; None the file), and what would mend it."""

    feature: int | None
    code: str
    cure: str


@dataclass(frozen=True, slots=True)
class Imported:
    cells: tuple[GridCell, ...]
    problems: tuple[Problem, ...]


def read_cells(
    path: Path,
    communities: Sequence[Community],
    *,
    crs: str | None = None,
    layer: str | None = None,
    code_field: str = "code",
    name_field: str = "name",
) -> Imported:
    """Read grid cells. With any problem the cells are not to be used.

    Codes that are missing are given by the community a cell's middle lies in: west to east, north
    to south, after the highest serial there is.
    """
    try:
        frame = geopandas.read_file(path, layer=layer) if layer else geopandas.read_file(path)
    except (DataSourceError, DataLayerError, OSError, ValueError) as error:
        return _failed("unreadable", f"give a GeoJSON, GeoPackage or Shapefile: {error}")
    if len(frame) == 0:
        return _failed("empty", "the file holds no feature")
    if len(frame) > FEATURES_LIMIT:
        return _failed("too_many", f"{len(frame)} features; at most {FEATURES_LIMIT} are taken")
    if not isinstance(frame, geopandas.GeoDataFrame):
        return _failed("no_geometry", "the layer has no geometry column; name another --layer")
    placed, problems = _in_degrees(frame, crs)
    shapes = [_polygon(i, shape, problems) for i, shape in enumerate(placed)]
    if not problems:
        problems = _outside(placed, communities)
    if problems:
        return Imported((), tuple(problems[:PROBLEMS_LIMIT]))
    whole = [shape for shape in shapes if shape is not None]
    problems += _overlaps(whole)
    codes = _codes(frame, code_field, whole, communities, problems)
    names = frame[name_field].tolist() if name_field in frame else [None] * len(frame)
    if problems:
        return Imported((), tuple(problems[:PROBLEMS_LIMIT]))
    cells = [
        GridCell(code, str(name or f"网格{code[-3:]}"), code[:12], shape_to_area(shape))
        for code, name, shape in zip(codes, names, whole, strict=True)
    ]
    return Imported(tuple(sorted(cells, key=lambda c: c.code)), ())


def read_area(path: Path, *, crs: str | None = None) -> Area:
    """Read every polygon of a file as one area. Raises ValueError saying what is wrong with it."""
    try:
        frame = geopandas.read_file(path)
    except (DataSourceError, DataLayerError, OSError) as error:
        cure = "give a GeoJSON, GeoPackage or Shapefile"
        raise ValueError(f"{path.name}: {cure}: {error}") from error
    if not isinstance(frame, geopandas.GeoDataFrame) or not 0 < len(frame) <= FEATURES_LIMIT:
        raise ValueError(f"{path.name}: give 1..{FEATURES_LIMIT} features with a geometry")
    placed, problems = _in_degrees(frame, crs)
    shapes = [_polygon(i, shape, problems) for i, shape in enumerate(placed)]
    if problems:
        raise ValueError(f"{path.name}: {problems[0].code}: {problems[0].cure}")
    return shape_to_area(union_all([shape for shape in shapes if shape is not None]))


def _failed(code: str, cure: str) -> Imported:
    return Imported((), (Problem(None, code, cure),))


def _in_degrees(
    frame: geopandas.GeoDataFrame, declared: str | None
) -> tuple[Sequence[BaseGeometry | None], list[Problem]]:
    """Return the geometries in (lon, lat), or none and why their numbers are no degrees."""
    shapes = list(frame.geometry)
    if declared is not None and declared.lower() == GCJ02:
        if problems := _off_earth(shapes):
            return (), problems
        return [None if s is None else transform(s, _from_gcj02) for s in shapes], []
    if declared is not None:
        try:
            frame = frame.set_crs(CRS.from_user_input(declared), allow_override=True)
        except CRSError as error:
            return (), [Problem(None, "unknown_crs", f"--crs is an EPSG code or gcj02: {error}")]
    if frame.crs is not None:
        west, south, east, north = frame.total_bounds
        if frame.crs.is_projected and -180 <= west <= east <= 180 and -90 <= south <= north <= 90:
            cure = "drop --crs" if declared else "say --crs EPSG:4326"
            told = f"the numbers are degrees, not metres of {frame.crs.to_string()}: {cure}"
            return (), [Problem(None, "degrees", told)]
        shapes = list(frame.to_crs(4326).geometry)
    problems = _off_earth(shapes)
    return (() if problems else shapes), problems


def _off_earth(shapes: Sequence[BaseGeometry | None]) -> list[Problem]:
    """Return what lies beyond 180° of longitude or 90° of latitude."""
    problems = []
    for i, shape in enumerate(shapes):
        if shape is None or shape.is_empty:
            continue
        west, south, east, north = shape.bounds
        if -180 <= west <= east <= 180 and -90 <= south <= north <= 90:
            continue
        if -90 <= west <= east <= 90 and -180 <= south <= north <= 180:
            cure = "latitude stands first: write longitude, then latitude"
            problems.append(Problem(i, "axes_swapped", cure))
        elif np.isfinite(shape.bounds).all():
            problems.append(Problem(i, "no_crs", "the numbers are metres: say --crs EPSG:…"))
        else:
            cure = "its numbers are no place on Earth in this CRS: mend them, or say --crs EPSG:…"
            problems.append(Problem(i, "no_place", cure))
    return problems


def _outside(
    shapes: Sequence[BaseGeometry | None], communities: Sequence[Community]
) -> list[Problem]:
    """Return the features that meet no community, with their distance from the nearest."""
    district = union_all([area_to_shape(c.area) for c in communities])
    ellipsoid = Geod(ellps="WGS84")
    problems = []
    for i, shape in enumerate(shapes):
        if shape is None or district.is_empty or shape.intersects(district):
            continue
        away_km = ellipsoid.geometry_length(shortest_line(shape, district)) / 1000
        told = f"it lies {away_km:.3g} km from the district: check its numbers and --crs"
        problems.append(Problem(i, "outside_district", told))
    return problems


def _from_gcj02(points: NDArray[np.float64]) -> Any:
    moved = [gcj02_to_wgs84(Position(float(y), float(x))) for x, y in points[:, :2]]
    return np.array([[p.lon_deg, p.lat_deg] for p in moved])


def _polygon(
    i: int, shape: BaseGeometry | None, problems: list[Problem]
) -> Polygon | MultiPolygon | None:
    if shape is None or shape.is_empty:
        problems.append(Problem(i, "empty", "give the feature a polygon"))
        return None
    flat = force_2d(shape)
    if not isinstance(flat, Polygon | MultiPolygon):
        problems.append(Problem(i, "not_a_polygon", f"a cell is a polygon, got {shape.geom_type}"))
        return None
    if not flat.is_valid:
        problems.append(Problem(i, "invalid_ring", f"mend it: {is_valid_reason(flat)}"))
        return None
    return flat


def _overlaps(shapes: Sequence[BaseGeometry]) -> list[Problem]:
    """Return pairs that share more than OVERLAP_LIMIT_M2 of ground."""
    middle = shapes[0].representative_point()
    frame = LocalFrame(Position(middle.y, middle.x))

    def local(points: NDArray[np.float64]) -> Any:
        return np.stack(frame.to_local(points[:, 1], points[:, 0]), axis=1)

    ground = [transform(shape, local) for shape in shapes]
    found = []
    left, right = STRtree(ground).query(ground, predicate="intersects")
    for a, b in zip(left.tolist(), right.tolist(), strict=True):
        if a < b and (shared := ground[a].intersection(ground[b]).area) > OVERLAP_LIMIT_M2:
            cure = f"shares {shared:.0f} m² with feature {b}: move the border"
            found.append(Problem(a, "overlap", cure))
    return found


def gaps_m2(cells: Sequence[GridCell], communities: Sequence[Community], origin: Position) -> float:
    """Return how much community ground no cell covers, in square metres."""
    frame = LocalFrame(origin)
    missing = 0.0
    for community in communities:
        ground: BaseGeometry = local_geometry(community.area, frame)
        for cell in cells:
            if cell.community_code == community.code:
                ground = ground.difference(local_geometry(cell.area, frame))
        missing += ground.area
    return missing


def _codes(
    frame: geopandas.GeoDataFrame,
    field: str,
    shapes: Sequence[BaseGeometry],
    communities: Sequence[Community],
    problems: list[Problem],
) -> list[str]:
    given: list[str | None] = [None] * len(shapes)
    if field in frame:
        given = [None if v is None or v != v else str(v) for v in frame[field]]  # noqa: PLR0124
    seen: set[str] = set()
    for i, code in enumerate(given):
        if code is None:
            continue
        if not CODE.fullmatch(code):
            problems.append(Problem(i, "bad_code", f"{field} is 15 digits, got {code!r}"))
        elif code in seen:
            problems.append(Problem(i, "duplicate_code", f"{code} stands twice"))
        seen.add(code)
    return _numbered(given, shapes, communities, problems)


def _numbered(
    given: Sequence[str | None],
    shapes: Sequence[BaseGeometry],
    communities: Sequence[Community],
    problems: list[Problem],
) -> list[str]:
    outlines = [(c.code, area_to_shape(c.area)) for c in communities]
    serials = {c.code: 0 for c in communities}
    for code in given:
        if code is not None and code[:12] in serials and CODE.fullmatch(code):
            serials[code[:12]] = max(serials[code[:12]], int(code[12:]))
    codes = [code or "" for code in given]
    north_first = sorted(
        (i for i, code in enumerate(given) if code is None),
        key=lambda i: (-round(shapes[i].centroid.y, 3), shapes[i].centroid.x),
    )
    for i in north_first:
        middle = shapes[i].representative_point()
        home = next((code for code, outline in outlines if outline.contains(middle)), None)
        if home is None:
            problems.append(
                Problem(i, "no_community", "it lies in no registered community: give it a code")
            )
            continue
        serials[home] += 1
        codes[i] = f"{home}{serials[home]:03d}"
    return codes
