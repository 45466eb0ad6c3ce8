"""`gridwing plan --each`: every feature of a file planned by itself, with totals and one sheet."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click
from shapely.geometry import Polygon

from geo.coverage import NoSweep
from gridwing.plan_input import Source, on_the_plane, read_features
from gridwing.plan_picture import draw_sheet
from gridwing.planned import REFUSED_EXIT, Planned, Wish, planned, report

FEATURES_LIMIT = 2_000


def plan_each(path: Path, wish: Wish, crs: str, as_json: bool, plot: Path | None) -> None:
    """Plan every feature; print a row each and the totals; draw them side by side.

    A feature that cannot be planned is a row with the reason, and no failure of the command.
    """
    sources = read_features(path, crs)
    if isinstance(sources, NoSweep):
        click.echo(json.dumps({"refused": {"code": sources.code, "message": sources.message}}))
        raise SystemExit(REFUSED_EXIT)
    rows, plans = [], []
    for source in sources[:FEATURES_LIMIT]:
        found = _one(source, wish)
        rows.append(_row(source, found))
        plans.append((source.name, found if isinstance(found, Planned) else None))
        click.echo(_line(rows[-1]), err=True)
    totals = _totals(rows, len(sources))
    if plot is not None:
        draw_sheet(plans, plot, _heading(path.stem, totals))
    click.echo(json.dumps({"each": rows, "totals": totals} if as_json else totals))


def _one(source: Source, wish: Wish) -> Planned | NoSweep:
    ground = on_the_plane(source)
    return ground if isinstance(ground, NoSweep) else planned(ground, Polygon(), wish)


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
