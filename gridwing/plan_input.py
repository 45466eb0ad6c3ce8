"""Areas to plan over, from files: on the local plane in metres, or refused with the cure."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyproj
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj.exceptions import CRSError, ProjError
from shapely.errors import GEOSException
from shapely.geometry import GeometryCollection, MultiPolygon, Polygon, shape
from shapely.geometry.base import BaseGeometry

from domain.place import Position
from geo.coverage import NoSweep
from geo.frames import LocalFrame

LOCAL = "local"
VERTICES_LIMIT = 20_000
_DEGREES = ("", "CRS84", "EPSG:4326", "EPSG:4490")
_WIDEST_M = 100_000.0
_KINDS = (
    "Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon",
    "GeometryCollection",
)  # fmt: skip
# What shapely raises of coordinates that are no numbers, no rings or nested wrongly.
_UNREADABLE = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError,
    GEOSException,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ground:
    """An area in local metres, and the plane it lies on; None where the file was local itself."""

    area: Polygon | MultiPolygon
    plane: LocalFrame | None


@dataclass(frozen=True, slots=True)
class Source:
    """A shape as its file gives it, with the name of its CRS ("" where none is said).

    `told_by` is what names that CRS, for refusals: --crs, or the file.
    """

    name: str
    shape: BaseGeometry | None
    crs: str
    told_by: str = "--crs"


def read_area(path: Path, crs: str) -> Ground | NoSweep:
    """Read one area: a polygon, or a collection whose polygons are taken together."""
    read = _read_shapes(path)
    if isinstance(read, NoSweep):
        return read
    document, whole = read
    if crs:
        return on_the_plane(Source(path.name, whole, crs))
    return on_the_plane(Source(path.name, whole, _named_crs(document), path.name))


def read_no_fly(path: Path, crs: str) -> Source | NoSweep:
    """Read areas closed to flight; the CRS the file itself names comes before `crs`."""
    read = _read_shapes(path)
    if isinstance(read, NoSweep):
        return read
    document, whole = read
    closed = _together(path.name, whole)
    if isinstance(closed, NoSweep):
        return closed
    own = _named_crs(document)
    return Source(path.name, closed, own or crs, path.name if own else "--crs")


def closed_on(no_fly: Source, plane: LocalFrame | None) -> BaseGeometry | NoSweep:
    """Bring areas closed to flight onto the plane of the area they close."""
    assert no_fly.shape is not None
    if plane is not None and not _is_local(no_fly.crs):
        degrees = _in_degrees(no_fly, no_fly.shape)
        return degrees if isinstance(degrees, NoSweep) else _to_plane(degrees, plane)
    if plane is not None or _specks(no_fly.shape) or _names_degrees(no_fly):
        return NoSweep(
            "wrong_crs",
            f"{no_fly.name} and the area are not in the same coordinates, one in degrees and one "
            "in local metres: give both in lon/lat without --crs, or both in the same local metres",
        )
    return no_fly.shape


def _names_degrees(source: Source) -> bool:
    """Whether a file says degrees of itself and holds what may be degrees."""
    named = source.crs.upper() in _DEGREES and source.crs != ""
    return named and source.shape is not None and _degree_sized(source.shape)


def _read_shapes(path: Path) -> tuple[dict[str, Any], BaseGeometry] | NoSweep:
    """Read a GeoJSON file; its shapes as one collection, without heights."""
    document = _document(path)
    if isinstance(document, NoSweep):
        return document
    found: list[Any] = [document]
    if document.get("type") == "FeatureCollection":
        features = _features(path, document)
        if isinstance(features, NoSweep):
            return features
        found = [f.get("geometry") if isinstance(f, dict) else f for f in features]
        found = [g for g in found if g is not None]
    elif document.get("type") == "Feature":
        found = [document.get("geometry")]
    shapes: list[BaseGeometry] = []
    for geometry in found:
        one = _shape(path.name, geometry)
        if isinstance(one, NoSweep):
            return one
        shapes.append(one)
    if not shapes:
        return NoSweep("empty_area", f"{path.name} holds no shape: give it a polygon")
    return document, GeometryCollection(shapes)


def _document(path: Path) -> dict[str, Any] | NoSweep:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        return NoSweep("not_geojson", f"{path.name} is not JSON ({error}): give a GeoJSON polygon")
    except RecursionError:
        return NoSweep("not_geojson", f"{path.name} is nested too deep: give a GeoJSON polygon")
    if not isinstance(document, dict):
        return NoSweep("not_geojson", f"{path.name} is no GeoJSON object: give a GeoJSON polygon")
    return document


def _features(path: Path, document: dict[str, Any]) -> list[Any] | NoSweep:
    features = document.get("features")
    if isinstance(features, list):
        return features
    return NoSweep(
        "not_geojson", f"{path.name} has no list `features`: give a GeoJSON FeatureCollection"
    )


def _shape(name: str, found: Any) -> BaseGeometry | NoSweep:
    if not isinstance(found, dict):
        return NoSweep("not_geojson", f"{name}: a `geometry` is no object: give it a polygon")
    kind = found.get("type")
    if kind not in _KINDS:
        return NoSweep(
            "not_geojson", f"{name}: `type` is no geometry of GeoJSON: give a Polygon"
        )
    try:
        with np.errstate(invalid="ignore"):
            return shapely.force_2d(shape(found))
    except _UNREADABLE:
        return NoSweep(
            "not_geojson",
            f"{name}: the `coordinates` of a {kind} are not as GeoJSON has them: give rings of "
            "at least four [x, y] pairs of numbers",
        )


def read_features(path: Path, crs: str) -> list[Source] | NoSweep:
    """Read every feature of a GeoJSON, Shapefile or GeoPackage by itself."""
    if path.suffix.lower() in (".geojson", ".json"):
        document = _document(path)
        if isinstance(document, NoSweep):
            return document
        features = _features(path, document)
        if isinstance(features, NoSweep):
            return features
        named, told_by = (crs, "--crs") if crs else (_named_crs(document), path.name)
        return [_source(f, i, named, told_by) for i, f in enumerate(features)]
    try:
        frame = geopandas.read_file(path)
    except (DataSourceError, DataLayerError, OSError, ValueError) as error:
        return NoSweep("unreadable", f"give a GeoJSON, GeoPackage or Shapefile: {error}")
    if not isinstance(frame, geopandas.GeoDataFrame):
        return NoSweep("unreadable", f"{path.name} is a table without shapes: give polygons")
    named = crs or ("" if frame.crs is None else frame.crs.to_string())
    told_by = "--crs" if crs else path.name
    return [
        Source(n, found, named, told_by)
        for n, found in zip(_names(frame), frame.geometry, strict=True)
    ]


def _names(frame: geopandas.GeoDataFrame) -> list[str]:
    """What the features are called: the first column of distinct words, else their numbers."""
    for column in frame.columns.drop(frame.geometry.name):
        words = frame[column].tolist()
        if all(isinstance(w, str) and not w.isdigit() for w in words) and frame[column].is_unique:
            return [str(w) for w in words]
    return [str(i) for i in range(len(frame))]


def _source(feature: Any, i: int, crs: str, told_by: str) -> Source:
    if not isinstance(feature, dict):
        return Source(str(i), None, crs, told_by)
    properties = feature.get("properties")
    named = properties if isinstance(properties, dict) else {}
    name = str(named.get("name") or named.get("NAME") or i)
    found = _shape(name, feature.get("geometry"))
    return Source(name, None if isinstance(found, NoSweep) else found, crs, told_by)


def on_the_plane(source: Source) -> Ground | NoSweep:
    """Bring a shape onto a plane in metres around its middle."""
    if source.shape is None:
        return NoSweep("not_a_polygon", f"{source.name} has no readable shape: give a polygon")
    raw = _together(source.name, shapely.force_2d(source.shape))
    if isinstance(raw, NoSweep):
        return raw
    if _is_local(source.crs):
        return _look_like_degrees(source) if _specks(raw) else Ground(raw, None)
    degrees = _in_degrees(source, raw)
    if isinstance(degrees, NoSweep):
        return degrees
    middle = degrees.centroid
    plane = LocalFrame(Position(middle.y, middle.x))
    local = _to_plane(degrees, plane)
    x0, y0, x1, y1 = local.bounds
    if max(x1 - x0, y1 - y0) > _WIDEST_M:
        return NoSweep(
            "too_large", "the area is more than 100 km wide: are these metres? give --crs local"
        )
    assert isinstance(local, Polygon | MultiPolygon)
    return Ground(local, plane)


def _together(name: str, raw: BaseGeometry) -> Polygon | MultiPolygon | NoSweep:
    """The polygons of a shape or collection as one; empty ones do not count beside others."""
    vertices = shapely.get_num_coordinates(raw)
    if vertices > VERTICES_LIMIT:
        return NoSweep(
            "too_many_vertices",
            f"{name} has {vertices} vertices; at most {VERTICES_LIMIT} are taken: simplify it",
        )
    parts = _parts(raw)
    parts = [p for p in parts if not p.is_empty] or parts
    for part in parts:
        fault = _fault(name, part)
        if fault is not None:
            return fault
    if not parts:
        return NoSweep("empty_area", f"{name} is empty: give it a polygon")
    whole = parts[0] if len(parts) == 1 else shapely.union_all(parts)
    assert isinstance(whole, Polygon | MultiPolygon)
    return whole


def _parts(raw: BaseGeometry) -> list[BaseGeometry]:
    if not isinstance(raw, GeometryCollection):
        return [raw]
    return [part for one in shapely.get_parts(raw) for part in _parts(one)]


def _fault(name: str, raw: BaseGeometry) -> NoSweep | None:
    if not isinstance(raw, Polygon | MultiPolygon):
        return NoSweep("not_a_polygon", f"{name} holds {raw.geom_type}: give a polygon")
    if raw.is_empty:
        return NoSweep("empty_area", f"{name} is empty: give it a polygon")
    if not np.isfinite(shapely.get_coordinates(raw)).all():
        return NoSweep(
            "bad_coordinates", f"{name} has a coordinate that is not a finite number: mend it"
        )
    if not raw.is_valid:
        why = shapely.is_valid_reason(raw)
        return NoSweep("invalid_area", f"{name} is not a valid polygon ({why}): mend its rings")
    return None


def _named_crs(document: dict[str, Any]) -> str:
    """The pre-2016 `crs` member, as other programs still write it."""
    crs = document.get("crs")
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = properties.get("name", "") if isinstance(properties, dict) else ""
    return str(name).replace("urn:ogc:def:crs:", "").replace("::", ":").replace("OGC:1.3:", "")


def _is_local(crs: str) -> bool:
    return crs.lower() == LOCAL


def _degree_sized(raw: BaseGeometry) -> bool:
    return bool((np.abs(shapely.get_coordinates(raw)) <= (180.0, 90.0)).all())


def _specks(raw: BaseGeometry) -> bool:
    """Whether every part is less than a metre across: degrees, taken for metres."""
    x0, y0, x1, y1 = shapely.bounds(shapely.get_parts(raw)).T
    return _degree_sized(raw) and float(max((x1 - x0).max(), (y1 - y0).max())) < 1.0


def _look_like_degrees(source: Source) -> NoSweep:
    if source.told_by != "--crs":
        cure = "mend the CRS the file names"
    elif _is_local(source.crs):
        cure = "drop --crs"
    else:
        cure = f"drop --crs if all files are in lon/lat, else give this one in {source.crs}"
    return NoSweep(
        "wrong_crs",
        f"the coordinates of {source.name} look like degrees, not metres ({source.crs}): {cure}",
    )


def _in_degrees(source: Source, raw: BaseGeometry) -> BaseGeometry | NoSweep:
    name, crs = source.name, source.crs
    if crs.upper() in _DEGREES:
        if not _degree_sized(raw):
            return NoSweep(
                "no_crs",
                f"the coordinates of {name} are too large for degrees and no CRS in metres is "
                "named: give --crs local for metres, or --crs EPSG:…",
            )
        return raw
    try:
        known = pyproj.CRS.from_user_input(crs)
        move = pyproj.Transformer.from_crs(known, "EPSG:4326", always_xy=True)
    except (CRSError, ProjError):
        return NoSweep(
            "unknown_crs",
            f"{source.told_by} names the CRS {crs}, which is not known: give an EPSG code, "
            "as EPSG:32649",
        )
    if known.is_projected and _degree_sized(raw):
        return _look_like_degrees(source)
    moved = shapely.transform(raw, lambda p: np.stack(move.transform(p[:, 0], p[:, 1]), axis=1))
    if not np.isfinite(shapely.get_coordinates(moved)).all():
        return NoSweep("wrong_crs", f"the coordinates of {name} lie outside {crs}: give another")
    return moved


def _to_plane(degrees: BaseGeometry, plane: LocalFrame) -> BaseGeometry:
    return shapely.transform(
        degrees, lambda p: np.stack(plane.to_local(p[:, 1], p[:, 0]), axis=1)
    )
