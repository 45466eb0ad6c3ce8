"""`gridwing patrol-plan`: who flies what when, how good that is, what is left out and why."""

import asyncio
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import psycopg

from domain.codec import from_plain
from domain.district import District
from geo.terrain import BadTerrain
from gridwing.cli import fail
from gridwing.parts_cli import settings
from gridwing.past_cli import instant
from gridwing.terrain import read_district_terrain
from runtime.clock import wall_clock
from runtime.database import open_pool
from runtime.settings import required
from services.patrol import schedule
from services.patrol.fleet.timetable import NoPlan
from services.patrol.plan import PatrolGround
from services.patrol.plan_shown import shown
from services.patrol.policy import PatrolPolicy
from services.patrol.schedule import Standing, Wanted
from services.patrol.sites import errands, load_site_rules
from services.patrol.sky.rules import load_sky_rules
from services.patrol.store import PostgresPatrolStore

FILE_LIMIT_MIB = 64
REFUSED_EXIT = 2


def _at(context: click.Context, parameter: click.Parameter, text: str | None) -> datetime | None:
    return None if text is None else instant(context, parameter, text)


@click.command("patrol-plan")
@click.argument(
    "district", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--at", callback=_at, help="Plan from this time on, ISO 8601 with zone; default now.")
@click.option(
    "--battery", "battery_pct", type=click.FloatRange(0.0, 100.0), default=95.0, show_default=True,
    help="What every drone of DISTRICT.json has in its dock, %.",
)  # fmt: skip
@click.option(
    "--terrain", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A raster of the ground under DISTRICT.json; flat without one.",
)  # fmt: skip
@click.option(
    "--geoid-m", type=click.FloatRange(-200.0, 200.0), default=0.0, show_default=True,
    help="The geoid over the ellipsoid there, where the raster counts from the geoid.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def patrol_plan(
    district: Path | None,
    at: datetime | None,
    battery_pct: float,
    terrain: Path | None,
    geoid_m: float,
    as_json: bool,
) -> None:
    """Print the patrol plan: who flies what when, worst idleness and the bound no plan is below,
    what is left out and why, and when key sites are visited next.

    Without a file it is the plan last released by the patrol part of DATABASE_APP_URL, as
    `GET /api/patrol/plan` gives it. With DISTRICT.json (a district as `GET /api/district` or a
    recording holds it) one is made for its docks and cells, every drone in its dock and nothing
    seen yet. Exit 2 where there is none, with the reason.
    """
    if district is None:
        told = _running()
    else:
        told = _of_file(district, at or wall_clock().now(), battery_pct, terrain, geoid_m)
    if isinstance(told, NoPlan):
        if as_json:
            refused = {"code": told.code, "message": told.message}
            click.echo(json.dumps({"refused": refused}, ensure_ascii=False))
            raise SystemExit(REFUSED_EXIT)
        fail(f"{told.code}: {told.message}", REFUSED_EXIT)
        return
    click.echo(json.dumps(told, ensure_ascii=False) if as_json else "\n".join(_lines(told)))


def _running() -> dict[str, Any] | NoPlan:
    async def read() -> dict[str, Any] | None:
        url = required(settings().database_app_url, "DATABASE_APP_URL")
        async with open_pool(url, 2) as pool:
            return await PostgresPatrolStore(pool).plan()

    try:
        found = asyncio.run(read())
    except (ValueError, psycopg.Error) as error:
        fail(str(error))
        raise
    if found is None:
        return NoPlan("no_plan", "patrol: none has been released yet; its log says why docks stay")
    return found


def _of_file(
    path: Path, at: datetime, battery_pct: float, terrain: Path | None, geoid_m: float
) -> dict[str, Any] | NoPlan:
    """Return the plan for a district's file, its fleet docked and all of its cells unseen."""
    try:
        district = _read(path)
        relief = None
        if terrain is not None:
            relief, _ = read_district_terrain(terrain, geoid_m, district)
    except (ValueError, BadTerrain) as error:
        fail(str(error), REFUSED_EXIT)
        raise
    policy = PatrolPolicy()
    ground = PatrolGround(district, policy, relief)
    drones = {d.sn: d for d in district.drones}
    fleet = [
        Standing(dock, drones[dock.drone_sn], battery_pct)
        for dock in district.docks
        if dock.drone_sn in drones
    ]
    rules = load_site_rules()
    due = errands(ground, rules, {}, (), at, at)
    made = schedule.plan(ground, fleet, Wanted({}, {}, {}, due), at)
    return made if isinstance(made, NoPlan) else shown(made, ground, rules, {})


def _read(path: Path) -> District:
    """Return the district in a file. Raises ValueError."""
    if path.stat().st_size > FILE_LIMIT_MIB * 2**20:
        raise ValueError(f"{path.name} is larger than {FILE_LIMIT_MIB} MiB: no district")
    try:
        plain = json.loads(path.read_text("utf-8"))
        if not isinstance(plain, dict):
            raise ValueError(f"an object is wanted, got {type(plain).__name__}")
        # No plan needs them, and the API tells no addresses or people.
        return from_plain(District, plain | {"cameras": [], "responders": []})
    except ValueError as error:
        raise ValueError(
            f"{path.name} is no district as JSON: {error}; save what GET /api/district gives"
        ) from error


def _lines(told: dict[str, Any]) -> list[str]:
    """Return a plan in words, by the authority's clock."""
    made = datetime.fromisoformat(told["made_at"])
    worst, bound = told["worst_idleness"], told["lower_bound"]
    ratio = f"{worst / bound:.2f} times it" if bound > 0.0 else "which says nothing"
    lines = [
        f"made {load_sky_rules().local(made):%Y-%m-%d %H:%M:%S %z} for {told['horizon_s']:.0f} s",
        f"worst idleness {worst:.2f}; no plan is below {bound:.2f} ({ratio})",
    ]
    for dock in told["docks"]:
        lines.append(f"dock {dock['dock_sn']}")
        lines += [f"  {_sortie(sortie)}" for sortie in dock["sorties"]]
    if told.get("left_out"):
        lines.append("left out: nobody can see to")
        lines += [f"  {o['task_id']} {o['code']}: {o['message']}" for o in told["left_out"]]
    if told["unserved"]:
        lines.append(f"left for a later plan: {' '.join(told['unserved'])}")
    if told.get("sites"):
        lines.append("key sites")
        lines += [f"  {_site(site)}" for site in told["sites"]]
    return lines


def _sortie(sortie: dict[str, Any]) -> str:
    seen = [f"cells {' '.join(sortie['cell_codes'])}"] if sortie["cell_codes"] else []
    if sortie.get("site_codes"):
        seen.append(f"sites {' '.join(sortie['site_codes'])}")
    theme = sortie["theme"]
    flown_for = f" for {theme['name']}" if theme else ""
    times = f"{_clock(sortie['leaves_at'])}-{_clock(sortie['lands_at'])}"
    height = f"{sortie['height_agl_m']:.0f} m"
    return f"{times} {sortie['drone_sn']} at {height}{flown_for}: {', '.join(seen)}"


def _site(site: dict[str, Any]) -> str:
    named = f"{site['site_code']} {site['name']}"
    if site["next_visit_at"] is not None:
        return f"{named}: {_clock(site['next_visit_at'])} by {site['drone_sn']}"
    return f"{named}: {site['why']}, due {_clock(site['due_at'])}"


def _clock(text: str) -> str:
    return f"{load_sky_rules().local(datetime.fromisoformat(text)):%H:%M:%S}"
