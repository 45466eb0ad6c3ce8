"""`gridwing grid`: import, check and export grid polygons."""

import json
from dataclasses import replace
from pathlib import Path

import click
import psycopg

from domain.codec import to_plain
from domain.district import District
from geo.importing import Imported, gaps_m2, read_cells
from geo.shapes import district_to_geojson
from gridwing.cli import fail
from gridwing.parts_cli import settings
from runtime.clock import wall_clock
from runtime.registry import NoDistrict, load_now, save
from runtime.settings import required

GAP_TOLD_M2 = 100.0
CRS_HELP = "EPSG:… or gcj02, when the file does not say or says it wrongly."


@click.group()
def grid() -> None:
    """Grid polygons: import, check, export. Needs DATABASE_OWNER_URL to import."""


def _registered() -> District:
    url = required(settings().database_owner_url, "DATABASE_OWNER_URL")
    with psycopg.connect(url) as connection:
        return load_now(connection)


def _read(
    path: Path, district: District, crs: str | None, layer: str | None, code_field: str
) -> Imported:
    return read_cells(path, district.communities, crs=crs, layer=layer, code_field=code_field)


def _tell(read: Imported, district: District, as_json: bool, version: int | None) -> None:
    gap = round(gaps_m2(read.cells, district.communities, district.origin)) if read.cells else None
    told = {"cells": len(read.cells), "version": version, "uncovered_m2": gap}
    told |= {"problems": to_plain(read.problems)}
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False))
    else:
        for problem in read.problems:
            where = "file" if problem.feature is None else f"feature {problem.feature}"
            click.echo(f"{where}: {problem.code}: {problem.cure}", err=True)
        click.echo(f"{len(read.cells)} cells" + (f", now version {version}" if version else ""))
        if version is not None:
            click.echo("parts read the grid when they start: start them again", err=True)
        if gap is not None and gap > GAP_TOLD_M2:
            click.echo(f"{gap} m² of community ground lie in no cell", err=True)
    if read.problems:
        raise SystemExit(1)


@grid.command("import")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option("--crs", help=CRS_HELP)
@click.option("--layer", help="Layer of a GeoPackage.")
@click.option("--code-field", default="code", show_default=True, help="Field of the 15 digits.")
@click.option("--dry-run", is_flag=True, help="Read and tell, change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def import_(
    file: Path, crs: str | None, layer: str | None, code_field: str, dry_run: bool, as_json: bool
) -> None:
    """Replace the district's cells by those of FILE: all of them, or none and the reasons why."""
    try:
        district = _registered()
        read = _read(file, district, crs, layer, code_field)
        version = None
        if not read.problems and not dry_run:
            url = required(settings().database_owner_url, "DATABASE_OWNER_URL")
            with psycopg.connect(url) as connection:
                at = wall_clock().now()
                version = save(connection, replace(district, cells=read.cells), at)
    except (NoDistrict, ValueError, psycopg.Error) as error:
        fail(str(error))
        return
    _tell(read, district, as_json, version)


@grid.command()
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option("--crs", help=CRS_HELP)
@click.option("--layer", help="Layer of a GeoPackage.")
@click.option("--code-field", default="code", show_default=True, help="Field of the 15 digits.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check(file: Path, crs: str | None, layer: str | None, code_field: str, as_json: bool) -> None:
    """Tell what an import of FILE would say."""
    try:
        district = _registered()
    except (NoDistrict, ValueError, psycopg.Error) as error:
        fail(str(error))
        return
    _tell(_read(file, district, crs, layer, code_field), district, as_json, None)


@grid.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="GeoJSON to write.")
def export(out: Path) -> None:
    """Write the registered district as one GeoJSON FeatureCollection."""
    try:
        district = _registered()
    except (NoDistrict, ValueError, psycopg.Error) as error:
        fail(str(error))
        return
    out.write_text(json.dumps(district_to_geojson(district), ensure_ascii=False))
    click.echo(f"wrote {out}")
