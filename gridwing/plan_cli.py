"""`gridwing plan`: a coverage path over a polygon, checked before it is given out."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import click
from shapely.geometry import Polygon, mapping
from shapely.geometry.base import BaseGeometry

from geo.camera import LENSES
from geo.coverage import NoSweep
from geo.strip import FLAT, FOOTPRINT
from gridwing.plan_geojson import in_degrees, path_feature, write_paths
from gridwing.plan_input import closed_on, read_area, read_no_fly
from gridwing.planned import REFUSED_EXIT, Planned, Wish, planned, report

PICTURES = (".png", ".svg")


class _Number(click.types.FloatParamType):
    """A float that is a number: click takes nan and inf for floats."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value!r} is not a finite number.", param, ctx)
        return number


_NUMBER = _Number()


class _Plan(click.Command):
    """With --json, a mistaken option too is one JSON document."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        as_json = "--json" in args
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if not as_json:
                raise
            _refuse(NoSweep("bad_option", error.format_message()), as_json)


@click.command(cls=_Plan)
@click.argument("area", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--swath", "swath_m", type=_NUMBER, help="Width of the strip, metres.")
@click.option(
    "--height-agl", "height_agl_m", type=_NUMBER, default=90.0, help="Height above ground, metres."
)
@click.option(
    "--camera", type=click.Choice(sorted(LENSES), case_sensitive=False),
    help="Gives the swath with --height-agl.",
)  # fmt: skip
@click.option(
    "--gimbal-pitch", "gimbal_pitch_deg", type=_NUMBER, default=-90.0, help="-90 is down."
)
@click.option("--overlap", type=_NUMBER, default=0.2, help="Of the camera's strips, 0..1.")
@click.option("--ends", type=click.Choice([FLAT, FOOTPRINT]), default=FLAT, help="What counts.")
@click.option("--coverage", "wanted", type=_NUMBER, default=0.999, help="Least share, 0..1.")
@click.option("--objective", type=click.Choice(["time", "length"]), default="time")
@click.option(
    "--quick", is_flag=True,
    help="Search briefly: about a second; some ten on large areas with many holes.",
)  # fmt: skip
@click.option(
    "--no-fly", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="GeoJSON areas not to fly over, nor asked to be covered.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0, 2**31), default=0, help="Another search.")
@click.option("--crs", default="", help="`local` for metres, or an EPSG code; default lon/lat.")
@click.option("--each", is_flag=True, help="Plan every feature by itself; rows and totals.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Paths as GeoJSON.")
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
    fault = _unwritable(out, plot)
    if fault is not None:
        _refuse(fault, as_json)
    if each:
        from gridwing.plan_each import plan_each

        fault = plan_each(area, no_fly, wish, crs, as_json, out, plot)
        if fault is not None:
            _refuse(fault, as_json)
        return
    found = _planned(area, no_fly, crs, wish)
    if isinstance(found, NoSweep):
        _refuse(found, as_json)
    told = report(found)
    if out is not None:
        write_paths(out, [path_feature(found, wish, told)])
    if plot is not None:
        from gridwing.plan_picture import draw_plan

        draw_plan(found, plot, area.stem)
    if as_json:
        click.echo(json.dumps(told))
        return
    for name, value in told.items():
        click.echo(f"{name:>14}  {value}")


def _unwritable(out: Path | None, plot: Path | None) -> NoSweep | None:
    """Why what is asked for cannot be written: told before the search, not after it."""
    for option, file in (("--out", out), ("--plot", plot)):
        if file is not None and not file.parent.is_dir():
            return NoSweep("bad_option", f"{option}: there is no folder {file.parent}: make it")
    if plot is not None and plot.suffix.lower() not in PICTURES:
        return NoSweep("bad_option", f"--plot {plot.name}: end the name in {' or '.join(PICTURES)}")
    return None


def _planned(path: Path, no_fly: Path | None, crs: str, wish: Wish) -> Planned | NoSweep:
    ground = read_area(path, crs)
    if isinstance(ground, NoSweep):
        return ground
    closed: BaseGeometry | NoSweep = Polygon()
    if no_fly is not None:
        read = read_no_fly(no_fly, crs)
        closed = read if isinstance(read, NoSweep) else closed_on(read, ground.plane)
    if isinstance(closed, NoSweep):
        return closed
    if no_fly is not None and not closed.intersects(ground.area):
        click.echo(f"gridwing: note: nothing of {no_fly.name} meets the area", err=True)
    found = planned(ground, closed, wish, _progress)
    if isinstance(found, NoSweep) and found.where is not None:
        return replace(found, where=in_degrees(found.where, ground.plane))
    return found


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"gridwing: {line}", err=True)


def _refuse(found: NoSweep, as_json: bool) -> NoReturn:
    if as_json:
        refused: dict[str, Any] = {"code": found.code, "message": found.message}
        if found.where is not None:
            refused["where"] = mapping(found.where)
        click.echo(json.dumps({"refused": refused}, ensure_ascii=False))
    else:
        click.echo(f"gridwing: {found.message}", err=True)
    sys.exit(REFUSED_EXIT)
