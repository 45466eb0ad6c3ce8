"""Areas of the domain as shapely geometries, in degrees or local metres, and as GeoJSON."""

from collections.abc import Iterable
from typing import Any

import numpy as np
from shapely import MultiPolygon, Polygon, transform
from shapely.geometry.base import BaseGeometry

from domain.codec import to_plain
from domain.district import District
from domain.place import Area, Position, Ring
from geo.frames import LocalFrame


def area_to_shape(area: Area) -> MultiPolygon:
    """Return the area in (lon, lat) degrees."""
    return MultiPolygon([(rings[0], list(rings[1:])) for rings in area.polygons])


def shape_to_area(shape: BaseGeometry) -> Area:
    """Return an area from a polygon or multipolygon in (lon, lat); ValueError for other kinds."""
    if isinstance(shape, Polygon):
        parts = [shape]
    elif isinstance(shape, MultiPolygon):
        parts = list(shape.geoms)
    else:
        raise ValueError(f"an area is made of polygons, got {shape.geom_type}")
    return Area(tuple((_ring(p.exterior.coords), *map(_ring, _holes(p))) for p in parts))


def _holes(polygon: Polygon) -> list[Iterable[tuple[float, ...]]]:
    return [hole.coords for hole in polygon.interiors]


def _ring(coordinates: Iterable[tuple[float, ...]]) -> Ring:
    return tuple((round(float(c[0]), 9), round(float(c[1]), 9)) for c in coordinates)


def local_geometry(area: Area, frame: LocalFrame) -> MultiPolygon:
    """Return the area in the frame's metres."""

    def local(points: np.ndarray[Any, np.dtype[np.float64]]) -> Any:
        return np.stack(frame.to_local(points[:, 1], points[:, 0]), axis=1)

    moved = transform(area_to_shape(area), local)
    assert isinstance(moved, MultiPolygon)
    return moved


def local_to_area(shape: BaseGeometry, frame: LocalFrame) -> Area:
    """Return the area of a polygon or multipolygon in the frame's metres."""

    def degrees(points: np.ndarray[Any, np.dtype[np.float64]]) -> Any:
        lat, lon = frame.to_degrees(points[:, 0], points[:, 1])
        return np.stack([lon, lat], axis=1)

    return shape_to_area(transform(shape, degrees))


def feature(geometry: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def area_geometry(area: Area) -> dict[str, Any]:
    return {"type": "MultiPolygon", "coordinates": to_plain(area.polygons)}


def point_geometry(at: Position) -> dict[str, Any]:
    return {"type": "Point", "coordinates": [at.lon_deg, at.lat_deg]}


def district_to_geojson(district: District) -> dict[str, Any]:
    """Return every place and device as one RFC 7946 FeatureCollection; `role` tells them apart."""
    features = []
    for role in ("communities", "cells", "police_grids", "airspaces", "zones"):
        for thing in getattr(district, role):
            plain = to_plain(thing)
            plain.pop("area")
            features.append(feature(area_geometry(thing.area), {"role": role, **plain}))
    for role in ("sites", "docks", "cameras"):
        for thing in getattr(district, role):
            plain = to_plain(thing)
            plain.pop("position")
            plain.pop("address", None)
            features.append(feature(point_geometry(thing.position), {"role": role, **plain}))
    return {"type": "FeatureCollection", "features": features}
