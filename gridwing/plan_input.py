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
from pyproj.exceptions import CRSError
from shapely.errors import GEOSException
from shapely.geometry import MultiPolygon, Polygon, shape
from shapely.geometry.base import BaseGeometry

from domain.place import Position
from geo.coverage import NoSweep
from geo.frames import LocalFrame

LOCAL = "local"
VERTICES_LIMIT = 20_000
_DEGREES = ("", "CRS84", "EPSG:4326", "EPSG:4490")
_WIDEST_M = 100_000.0


@dataclass(frozen=True, slots=True)
class Ground:
    """An area in local metres, and the plane it lies on; None where the file was local itself."""

    area: Polygon | MultiPolygon
    plane: LocalFrame | None


@dataclass(frozen=True, slots=True)
class Source:
    """A shape as its file gives it, with the name of its CRS ("" where none is said)."""

    name: str
    shape: BaseGeometry | None
    crs: str


def read_area(path: Path, crs: str) -> Ground | NoSweep:
    """Read one area: a polygon, or a collection whose polygons are taken together."""
    read = read_document(path)
    if isinstance(read, NoSweep):
        return read
    document, shapes = read
    whole = shapes[0] if len(shapes) == 1 else shapely.union_all(shapes)
    return on_the_plane(Source(path.name, whole, crs or _named_crs(document)))


def read_no_fly(path: Path, crs: str, plane: LocalFrame | None) -> BaseGeometry | NoSweep:
    """Read areas closed to flight onto the plane of the area they close."""
    read = read_document(path)
    if isinstance(read, NoSweep):
        return read
    document, shapes = read
    whole = shapely.union_all(shapes)
    named = crs or _named_crs(document)
    fault = _fault(path.name, whole)
    if fault is not None:
        return fault
    if plane is None:
        return whole
    degrees = _in_degrees(path.name, whole, named)
    return degrees if isinstance(degrees, NoSweep) else _to_plane(degrees, plane)


def read_document(path: Path) -> tuple[dict[str, Any], list[BaseGeometry]] | NoSweep:
    """Read a GeoJSON file; its shapes, without heights."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["type"] == "FeatureCollection":
            shapes = [shape(f["geometry"]) for f in document["features"] if f["geometry"]]
        elif document["type"] == "Feature":
            shapes = [shape(document["geometry"])]
        else:
            shapes = [shape(document)]
        shapes = [shapely.force_2d(s) for s in shapes]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, GEOSException) as error:
        return NoSweep("not_geojson", f"{path.name} is not a GeoJSON polygon: {error}")
    if not shapes:
        return NoSweep("empty_area", f"{path.name} holds no shape: give it a polygon")
    return document, shapes


def read_features(path: Path, crs: str) -> list[Source] | NoSweep:
    """Read every feature of a GeoJSON, Shapefile or GeoPackage by itself."""
    if path.suffix.lower() in (".geojson", ".json"):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            features = document["features"]
        except (ValueError, KeyError, TypeError) as error:
            return NoSweep("not_geojson", f"{path.name} is not a feature collection: {error}")
        named = crs or _named_crs(document)
        return [_source(f, i, named) for i, f in enumerate(features)]
    try:
        frame = geopandas.read_file(path)
    except (DataSourceError, DataLayerError, OSError, ValueError) as error:
        return NoSweep("unreadable", f"give a GeoJSON, GeoPackage or Shapefile: {error}")
    named = crs or ("" if frame.crs is None else frame.crs.to_string())
    names = _names(frame)
    return [Source(n, found, named) for n, found in zip(names, frame.geometry, strict=True)]


def _names(frame: geopandas.GeoDataFrame) -> list[str]:
    """What the features are called: the first column of distinct words, else their numbers."""
    for column in frame.columns.drop(frame.geometry.name):
        words = frame[column].tolist()
        if all(isinstance(w, str) and not w.isdigit() for w in words) and frame[column].is_unique:
            return [str(w) for w in words]
    return [str(i) for i in range(len(frame))]


def _source(feature: Any, i: int, crs: str) -> Source:
    properties = feature.get("properties") or {}
    name = str(properties.get("name") or properties.get("NAME") or i)
    try:
        return Source(name, shape(feature["geometry"]), crs)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, GEOSException):
        return Source(name, None, crs)


def on_the_plane(source: Source) -> Ground | NoSweep:
    """Bring a shape onto a plane in metres around its middle."""
    raw = None if source.shape is None else shapely.force_2d(source.shape)
    if raw is None:
        return NoSweep("not_a_polygon", f"{source.name} has no readable shape: give a polygon")
    fault = _fault(source.name, raw)
    if fault is not None:
        return fault
    assert isinstance(raw, Polygon | MultiPolygon)
    if source.crs == LOCAL:
        return Ground(raw, None)
    degrees = _in_degrees(source.name, raw, source.crs)
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


def _fault(name: str, raw: BaseGeometry) -> NoSweep | None:
    if raw.is_empty and isinstance(raw, Polygon | MultiPolygon):
        return NoSweep("empty_area", f"{name} is empty: give it a polygon")
    if not isinstance(raw, Polygon | MultiPolygon):
        return NoSweep("not_a_polygon", f"{name} holds {raw.geom_type}: give a polygon")
    xy = shapely.get_coordinates(raw)
    if not np.isfinite(xy).all():
        return NoSweep("bad_coordinates", f"{name} has a coordinate that is not a number")
    if len(xy) > VERTICES_LIMIT:
        return NoSweep(
            "too_many_vertices",
            f"{name} has {len(xy)} vertices; at most {VERTICES_LIMIT} are taken: simplify it",
        )
    if not raw.is_valid:
        why = shapely.is_valid_reason(raw)
        return NoSweep("invalid_area", f"{name} is not a valid polygon ({why}): mend its rings")
    return None


def _named_crs(document: dict[str, Any]) -> str:
    """The pre-2016 `crs` member, as other programs still write it."""
    crs = document.get("crs")
    name = crs.get("properties", {}).get("name", "") if isinstance(crs, dict) else ""
    return str(name).replace("urn:ogc:def:crs:", "").replace("::", ":").replace("OGC:1.3:", "")


def _in_degrees(name: str, raw: BaseGeometry, crs: str) -> BaseGeometry | NoSweep:
    if crs.upper() in _DEGREES:
        xy = shapely.get_coordinates(raw)
        if np.abs(xy[:, 0]).max() > 180.0 or np.abs(xy[:, 1]).max() > 90.0:
            return NoSweep(
                "no_crs",
                f"the coordinates of {name} are too large for degrees and no CRS is named: "
                "give --crs local for metres, or --crs EPSG:…",
            )
        return raw
    try:
        move = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    except CRSError as error:
        return NoSweep("unknown_crs", f"--crs {crs} is not known: {error}")
    moved = shapely.transform(raw, lambda p: np.stack(move.transform(p[:, 0], p[:, 1]), axis=1))
    if not np.isfinite(shapely.get_coordinates(moved)).all():
        return NoSweep("wrong_crs", f"the coordinates of {name} lie outside {crs}: give another")
    return moved


def _to_plane(degrees: BaseGeometry, plane: LocalFrame) -> BaseGeometry:
    return shapely.transform(
        degrees, lambda p: np.stack(plane.to_local(p[:, 1], p[:, 0]), axis=1)
    )
