"""`gridwing plan --each`: every feature of a file planned by itself, with totals and one sheet."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click
from shapely.geometry import Polygon

from geo.coverage import NoSweep
from gridwing.plan_geojson import path_feature, write_paths
from gridwing.plan_input import Source, closed_on, on_the_plane, read_features, read_no_fly
from gridwing.plan_picture import draw_sheet
from gridwing.planned import Planned, Wish, planned, report

FEATURES_LIMIT = 2_000


def plan_each(
    path: Path,
    no_fly: Path | None,
    wish: Wish,
    crs: str,
    as_json: bool,
    out: Path | None,
    plot: Path | None,
) -> NoSweep | None:
    """Plan every feature; print a row each and the totals; write and draw them together.

    A feature that cannot be planned is a row with the reason, and no failure of the command.
    Returns why a file cannot be read, where it cannot.
    """
    sources = read_features(path, crs)
    if isinstance(sources, NoSweep):
        return sources
    closed = None if no_fly is None else read_no_fly(no_fly, crs)
    if isinstance(closed, NoSweep):
        return closed
    rows, plans, paths = [], [], []
    for source in sources[:FEATURES_LIMIT]:
        found = _one(source, closed, wish)
        rows.append(_row(source, found))
        plans.append((source.name, found if isinstance(found, Planned) else None))
        if isinstance(found, Planned):
            paths.append(path_feature(found, wish, rows[-1]))
        click.echo(_line(rows[-1]), err=True)
    if no_fly is not None and plans and not any(p and _closes(p) for _, p in plans):
        click.echo(f"gridwing: note: nothing of {no_fly.name} meets a planned area", err=True)
    totals = _totals(rows, len(sources))
    if out is not None:
        write_paths(out, paths)
    if plot is not None:
        draw_sheet(plans, plot, _heading(path.stem, totals))
    click.echo(json.dumps({"each": rows, "totals": totals} if as_json else totals))
    return None


def _closes(found: Planned) -> bool:
    return bool(found.no_fly.intersects(found.ground.area))


def _one(source: Source, no_fly: Source | None, wish: Wish) -> Planned | NoSweep:
    ground = on_the_plane(source)
    if isinstance(ground, NoSweep):
        return ground
    closed = Polygon() if no_fly is None else closed_on(no_fly, ground.plane)
    return closed if isinstance(closed, NoSweep) else planned(ground, closed, wish)


def _row(source: Source, found: Planned | NoSweep) -> dict[str, Any]:
    if isinstance(found, NoSweep):
        return {"name": source.name, "refused": {"code": found.code, "message": found.message}}
    told = report(found)
    return {"name": source.name, "area_m2": round(found.asked.area, 1), **told}


def _line(row: dict[str, Any]) -> str:
    if "refused" in row:
        return f"{row['name'][:30]:30} refused: {row['refused']['message']}"
    return (
        f"{row['name'][:30]:30} {row['length_m'] / 1000.0:8.2f} km  ratio {row['ratio']:.3f}  "
        f"covered {row['coverage']:.5f}  {row['seconds']:.1f} s"
    )


def _totals(rows: list[dict[str, Any]], features: int) -> dict[str, Any]:
    flown = [r for r in rows if "refused" not in r]
    bound_m = sum(r["lower_bound_m"] for r in flown)
    length_m = sum(r["length_m"] for r in flown)
    return {
        "features": features,
        "planned": len(flown),
        "refused": dict(Counter(r["refused"]["code"] for r in rows if "refused" in r)),
        "not_read": features - len(rows),
        "area_m2": round(sum(r["area_m2"] for r in flown), 1),
        "length_m": round(length_m, 1),
        "time_s": round(sum(r["time_s"] for r in flown), 1),
        "ratio": round(length_m / bound_m, 4) if flown else None,
        "least_coverage": min((r["coverage"] for r in flown), default=None),
        "seconds": round(sum(r["seconds"] for r in flown), 1),
    }


def _heading(name: str, totals: dict[str, Any]) -> str:
    return (
        f"{name}: {totals['planned']} of {totals['features']} planned, "
        f"{totals['length_m'] / 1000.0:,.0f} km over {totals['area_m2'] / 1e6:,.1f} km²"
    )
