"""`gridwing plan`: a coverage path over a polygon, checked before it is given out."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import shapely
from shapely.geometry import Polygon, mapping
from shapely.geometry.base import BaseGeometry

from geo.camera import LENSES
from geo.coverage import NoSweep
from geo.frames import LocalFrame
from geo.strip import FLAT, FOOTPRINT
from gridwing.plan_input import LOCAL, read_area, read_no_fly
from gridwing.planned import REFUSED_EXIT, Planned, Wish, planned, report


@click.command()
@click.argument("area", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--swath", "swath_m", type=float, help="Width of the strip, metres.")
@click.option(
    "--height-agl", "height_agl_m", type=float, default=90.0, help="Height above ground, metres."
)
@click.option(
    "--camera", type=click.Choice(sorted(LENSES), case_sensitive=False),
    help="Gives the swath with --height-agl.",
)  # fmt: skip
@click.option("--gimbal-pitch", "gimbal_pitch_deg", type=float, default=-90.0, help="-90 is down.")
@click.option("--overlap", type=float, default=0.2, help="Of the camera's strips, 0..1.")
@click.option("--ends", type=click.Choice([FLAT, FOOTPRINT]), default=FLAT, help="What counts.")
@click.option("--coverage", "wanted", type=float, default=0.999, help="Least share to cover, 0..1.")
@click.option("--objective", type=click.Choice(["time", "length"]), default="time")
@click.option("--quick", is_flag=True, help="Search for a second or less.")
@click.option(
    "--no-fly", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="GeoJSON areas not to fly over, nor asked to be covered.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**31), default=0, help="Another search.")
@click.option("--crs", default="", help="`local` for metres, or an EPSG code; default lon/lat.")
@click.option("--each", is_flag=True, help="Plan every feature by itself; rows and totals.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Path as GeoJSON.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Picture (PNG, SVG).")
def plan(
    area: Path,
    no_fly: Path | None,
    crs: str,
    each: bool,
    as_json: bool,
    out: Path | None,
    plot: Path | None,
    **wished: Any,
) -> None:
    """Plan a path that covers AREA.geojson (polygons, holes allowed) with a strip.

    Prints length, time, covered share, the bound area ÷ swath and where strip is wasted. A plan
    that covers less than --coverage is refused with exit 2, saying what is left out.
    """
    wish = Wish(**wished)
    if each:
        from gridwing.plan_each import plan_each

        plan_each(area, wish, crs, as_json, plot)
        return
    found = _planned(area, no_fly, crs, wish)
    if isinstance(found, NoSweep):
        _refuse(found, as_json)
        return
    told = report(found)
    if out is not None:
        out.write_text(json.dumps(_collection(found, wish, told), ensure_ascii=False))
    if plot is not None:
        from gridwing.plan_picture import draw_plan

        draw_plan(found, plot, area.stem)
    if as_json:
        click.echo(json.dumps(told))
        return
    for name, value in told.items():
        click.echo(f"{name:>14}  {value}")


def _planned(path: Path, no_fly: Path | None, crs: str, wish: Wish) -> Planned | NoSweep:
    ground = read_area(path, crs)
    if isinstance(ground, NoSweep):
        return ground
    closed: BaseGeometry | NoSweep = Polygon()
    if no_fly is not None:
        closed = read_no_fly(no_fly, crs, ground.plane)
    if isinstance(closed, NoSweep):
        return closed
    found = planned(ground, closed, wish, _progress)
    if isinstance(found, NoSweep) and found.where is not None:
        return replace(found, where=_degrees(found.where, ground.plane))
    return found


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"gridwing: {line}", err=True)


def _degrees(shape: BaseGeometry, frame: LocalFrame | None) -> BaseGeometry:
    if frame is None:
        return shape

    def move(xy: Any) -> Any:
        lat, lon = frame.to_degrees(xy[:, 0], xy[:, 1])
        return np.stack([lon, lat], axis=1)

    return shapely.transform(shape, move)


def _collection(found: Planned, wish: Wish, told: dict[str, Any]) -> dict[str, Any]:
    frame = found.ground.plane
    crs = LOCAL if frame is None else "CRS84"
    path = {
        "role": "path",
        "ends": found.strip.ends,
        "along_m": round(2.0 * found.strip.reach_m, 3),
        "height_agl_m": wish.height_agl_m,
        "crs": crs,
        **told,
    }
    line = _degrees(shapely.LineString(found.flown.path), frame)
    return {
        "type": "FeatureCollection",
        "features": [{"type": "Feature", "geometry": mapping(line), "properties": path}],
    }


def _refuse(found: NoSweep, as_json: bool) -> None:
    if as_json:
        refused: dict[str, Any] = {"code": found.code, "message": found.message}
        if found.where is not None:
            refused["where"] = mapping(found.where)
        click.echo(json.dumps({"refused": refused}, ensure_ascii=False))
    else:
        click.echo(f"gridwing: {found.message}", err=True)
    sys.exit(REFUSED_EXIT)
