"""`gridwing plan`: a coverage path over a polygon, checked before it is given out."""

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyproj
import shapely
from pyproj.exceptions import CRSError
from shapely.errors import GEOSException
from shapely.geometry import MultiPolygon, Polygon, shape
from shapely.geometry.base import BaseGeometry

from domain.place import Position
from geo.coverage import NoSweep, Sweep, coverage_share, sweep
from geo.frames import LocalFrame

LOCAL = "local"
_DEGREES = ("", "CRS84", "EPSG:4326", "EPSG:4490")
_REFUSED_EXIT = 2
_WIDEST_M = 100_000.0


@click.command()
@click.argument("area", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--swath", "swath_m", type=float, required=True, help="Width of the strip, metres.")
@click.option(
    "--height-agl", "height_agl_m", type=float, default=90.0, help="Height above ground, metres."
)
@click.option("--coverage", "wanted", type=float, default=0.99, help="Least share to cover, 0..1.")
@click.option("--crs", default="", help="`local` for metres, or an EPSG code; default lon/lat.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Path as GeoJSON.")
def plan(
    area: Path,
    swath_m: float,
    height_agl_m: float,
    wanted: float,
    crs: str,
    as_json: bool,
    out: Path | None,
) -> None:
    """Plan a path that covers AREA.geojson (a polygon, holes allowed) with a strip.

    Prints length, time, covered share and the bound area ÷ swath. A plan that covers less than
    --coverage is refused with exit 2, saying what is left out.
    """
    began = time.perf_counter()
    found = _planned(area, swath_m, height_agl_m, wanted, crs)
    if isinstance(found, NoSweep):
        _refuse(found, as_json)
        return
    ground, flown, plane = found
    report = _report(ground, flown, time.perf_counter() - began)
    if out is not None:
        feature = _feature(flown, plane, height_agl_m, report)
        out.write_text(json.dumps(feature, ensure_ascii=False))
    if as_json:
        click.echo(json.dumps(report))
        return
    for name, value in report.items():
        click.echo(f"{name:>14}  {value}")


def _planned(
    path: Path, swath_m: float, height_agl_m: float, wanted: float, crs: str
) -> tuple[Polygon | MultiPolygon, Sweep, LocalFrame | None] | NoSweep:
    if not 2.0 <= height_agl_m <= 120.0:
        return NoSweep(
            "bad_height", f"--height-agl must lie in 2..120 m (true height), got {height_agl_m:g}"
        )
    read = _read(path, crs)
    if isinstance(read, NoSweep):
        return read
    ground, plane = read
    flown = sweep(ground, swath_m, wanted=wanted)
    if isinstance(flown, NoSweep):
        return flown
    # Judged from the path alone, not by what the planner says of itself.
    share = coverage_share(ground, flown.path, swath_m)
    if share < wanted:
        left = flown.uncovered.representative_point()
        return NoSweep(
            "not_covered",
            f"{share:.4f} of the area can be covered, {wanted:g} was asked; the rest lies around "
            f"({left.x:.1f}, {left.y:.1f}) m and {flown.uncovered.area:.1f} m²: "
            "lower --coverage or --swath",
        )
    return ground, flown, plane


def _read(path: Path, crs: str) -> tuple[Polygon | MultiPolygon, LocalFrame | None] | NoSweep:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        raw = _geometry(document)
    except (ValueError, KeyError, TypeError, AttributeError, GEOSException) as error:
        return NoSweep("not_geojson", f"{path.name} is not a GeoJSON polygon: {error}")
    if raw.is_empty or not isinstance(raw, Polygon | MultiPolygon):
        return NoSweep("not_a_polygon", f"{path.name} holds {raw.geom_type}: give a polygon")
    if not np.isfinite(shapely.get_coordinates(raw)).all():
        return NoSweep("bad_coordinates", f"{path.name} has a coordinate that is not a number")
    if not raw.is_valid:
        why = shapely.is_valid_reason(raw)
        return NoSweep(
            "invalid_area", f"{path.name} is not a valid polygon ({why}): mend its rings"
        )
    return _on_the_plane(raw, crs or _named_crs(document))


def _geometry(document: dict[str, Any]) -> BaseGeometry:
    """All polygons of a collection are one area."""
    if document["type"] == "FeatureCollection":
        parts = [shape(f["geometry"]) for f in document["features"]]
        return shapely.force_2d(parts[0] if len(parts) == 1 else shapely.union_all(parts))
    if document["type"] == "Feature":
        document = document["geometry"]
    return shapely.force_2d(shape(document))


def _named_crs(document: dict[str, Any]) -> str:
    """The pre-2016 `crs` member, as other programs still write it."""
    crs = document.get("crs")
    name = crs.get("properties", {}).get("name", "") if isinstance(crs, dict) else ""
    return str(name).replace("urn:ogc:def:crs:", "").replace("::", ":").replace("OGC:1.3:", "")


def _on_the_plane(
    raw: Polygon | MultiPolygon, crs: str
) -> tuple[Polygon | MultiPolygon, LocalFrame | None] | NoSweep:
    if crs == LOCAL:
        return raw, None
    xy = shapely.get_coordinates(raw)
    if crs.upper() in _DEGREES:
        if np.abs(xy[:, 0]).max() > 180.0 or np.abs(xy[:, 1]).max() > 90.0:
            return NoSweep(
                "no_crs",
                "the coordinates are too large for degrees and no CRS is named: "
                "give --crs local for metres, or --crs EPSG:…",
            )
        degrees = raw
    else:
        try:
            to_degrees = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
        except CRSError as error:
            return NoSweep("unknown_crs", f"--crs {crs} is not known: {error}")
        degrees = _moved(raw, lambda p: np.stack(to_degrees.transform(p[:, 0], p[:, 1]), axis=1))
    middle = degrees.centroid
    frame = LocalFrame(Position(middle.y, middle.x))
    local = _moved(degrees, lambda p: np.stack(frame.to_local(p[:, 1], p[:, 0]), axis=1))
    x0, y0, x1, y1 = local.bounds
    if max(x1 - x0, y1 - y0) > _WIDEST_M:
        return NoSweep(
            "too_large", "the area is more than 100 km wide: are these metres? give --crs local"
        )
    return local, frame


def _moved(area: Polygon | MultiPolygon, move: Any) -> Polygon | MultiPolygon:
    moved = shapely.transform(area, move)
    assert isinstance(moved, Polygon | MultiPolygon)
    return moved


def _report(ground: Polygon | MultiPolygon, flown: Sweep, seconds: float) -> dict[str, Any]:
    bound_m = ground.area / flown.swath_m
    return {
        "length_m": round(flown.length_m, 2),
        "time_s": round(flown.time_s, 2),
        "lower_bound_m": round(bound_m, 2),
        "ratio": round(flown.length_m / bound_m, 4),
        # Cut, not rounded: a share never looks larger than it is.
        "coverage": math.floor(flown.coverage * 1e6) / 1e6,
        "swaths": flown.swaths,
        "seconds": round(seconds, 3),
    }


def _feature(
    flown: Sweep, frame: LocalFrame | None, height_agl_m: float, report: dict[str, Any]
) -> dict[str, Any]:
    points = np.asarray(flown.path)
    if frame is not None:
        lat, lon = frame.to_degrees(points[:, 0], points[:, 1])
        points = np.stack([lon, lat], axis=1)
    properties = {
        "role": "path",
        "swath_m": flown.swath_m,
        "height_agl_m": height_agl_m,
        "crs": LOCAL if frame is None else "CRS84",
        **report,
    }
    line = {"type": "LineString", "coordinates": points.tolist()}
    feature = {"type": "Feature", "geometry": line, "properties": properties}
    return {"type": "FeatureCollection", "features": [feature]}


def _refuse(found: NoSweep, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"refused": {"code": found.code, "message": found.message}}))
    else:
        click.echo(f"gridwing: {found.message}", err=True)
    sys.exit(_REFUSED_EXIT)
