"""`gridwing sky`: ground stop, drones in hand, temporary zones, flight applications."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import click
import psycopg

from domain.clearance import ApplicationKind, FlightApplication
from domain.codec import to_plain
from domain.ids import derive
from domain.place import Airspace, AirspaceKind, HeightReference
from geo.importing import read_area
from geo.terrain import BadTerrain
from gridwing.cli import fail
from gridwing.parts_cli import settings
from gridwing.terrain import read_district_terrain
from runtime.access import Principal, Role
from runtime.database import Pool, open_pool
from runtime.ledger import PostgresLedger
from runtime.registry import NoDistrict, load
from runtime.settings import required
from services.patrol.flight import Order
from services.patrol.refusal import Refusal
from services.patrol.sky.application_form import form_csv, form_html
from services.patrol.sky.rules import load_sky_rules
from services.patrol.sky_desk import REASONS, SkyDesk, Why
from services.patrol.stop import Confirm
from services.patrol.store import PostgresPatrolStore

T = TypeVar("T")
Deed = Callable[[SkyDesk, Principal], Awaitable[T]]
Command = Callable[..., None]
CRS_HELP = "EPSG:… or gcj02, when the file does not say or says it wrongly."


@click.group()
def sky() -> None:
    """Ground stop, drones in hand, temporary zones, applications. Needs DATABASE_APP_URL."""


def _at_desk(by: str, deed: Deed[T]) -> T:
    """Do something at the desk as an account. Leaves with one line when it cannot."""

    async def as_account(desk: SkyDesk, pool: Pool) -> T:
        async with pool.connection() as connection:
            row = await (
                await connection.execute(
                    "SELECT role FROM account WHERE account = %s AND NOT disabled", [by]
                )
            ).fetchone()
        if row is None:
            raise ValueError(f"--by {by}: no such account; `gridwing admin create` makes one")
        return await deed(desk, Principal(by, Role(row[0])))

    return _open_desk(as_account)


def _open_desk(deed: Callable[[SkyDesk, Pool], Awaitable[T]]) -> T:
    """Do something at the desk. Leaves with one line when it cannot."""

    async def work() -> T:
        chosen = settings()
        url = required(chosen.database_app_url, "DATABASE_APP_URL")
        async with open_pool(url, 2) as pool:
            district = await load(pool)
            store, ledger = PostgresPatrolStore(pool), PostgresLedger(pool)
            desk = SkyDesk(ledger, store, district, chosen.clock(), load_sky_rules())
            return await deed(desk, pool)

    try:
        return asyncio.run(work())
    except (NoDistrict, ValueError, psycopg.Error) as error:
        fail(str(error))
        raise


def _tell(said: object) -> None:
    if isinstance(said, Refusal):
        fail(f"{said.code}: {said.field}: {said.cure}", 2)
    click.echo(json.dumps(to_plain(said), ensure_ascii=False))


def _by(command: Command) -> Command:
    return click.option("--by", required=True, help="The account that does this.")(command)


def _why(command: Command) -> Command:
    noted = click.option("--note", default="", help="In your own words; kept erasable.")(command)
    return click.option("--reason", type=click.Choice(REASONS), required=True)(noted)


def _time(_: click.Context, __: click.Parameter, text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter("give an ISO 8601 time") from None
    if at.tzinfo is None:
        raise click.BadParameter("say the zone: 2026-11-25T09:00+08:00")
    return at


def _times(command: Command) -> Command:
    ends = click.option("--to", "to_at", callback=_time, required=True, help="ISO 8601, with zone.")
    starts = click.option("--from", "from_at", callback=_time, required=True, help="As --to.")
    return starts(ends(command))


@sky.command()
@click.option("--by", help="The account that asks; reading needs none.")
def show(by: str | None) -> None:
    """What stands over the district."""
    if by is None:
        _tell(_open_desk(lambda desk, _: desk.told()))
    else:
        _tell(_at_desk(by, lambda desk, _: desk.told()))


@sky.command()
@click.option("--all-home", is_flag=True, help="Also call home everything that flies.")
@click.option("--yes", is_flag=True, help="Confirm without being asked.")
@_why
@_by
def stop(all_home: bool, yes: bool, reason: str, note: str, by: str) -> None:
    """停飞: no drone takes off until a person lifts it. Says what it would do, then asks."""
    why = Why(reason, note)
    shown = _at_desk(by, lambda desk, who: desk.stop(who, why, None, all_home=all_home))
    if not isinstance(shown, Confirm):
        _tell(shown)
        return
    effect = shown.effect
    click.echo(
        f"in the air: {len(effect.in_the_air)}; taking off: {len(effect.taking_off)}; "
        f"planned: {len(effect.planned)}",
        err=True,
    )
    if not yes:
        click.confirm("Stop all flights?", abort=True, err=True)
    token = shown.token
    _tell(_at_desk(by, lambda desk, who: desk.stop(who, why, token, all_home=all_home)))


@sky.command()
@_why
@_by
def lift(reason: str, note: str, by: str) -> None:
    """Let flights take off again."""
    _tell(_at_desk(by, lambda desk, who: desk.lift(who, Why(reason, note))))


@sky.command()
@click.argument("drone_sn")
@_why
@_by
def take(drone_sn: str, reason: str, note: str, by: str) -> None:
    """Take a drone in hand: automatic commands to it stop."""
    _tell(_at_desk(by, lambda desk, who: desk.take(who, drone_sn, Why(reason, note))))


@sky.command()
@click.argument("drone_sn")
@_why
@_by
def release(drone_sn: str, reason: str, note: str, by: str) -> None:
    """Give a drone back."""
    _tell(_at_desk(by, lambda desk, who: desk.release(who, drone_sn, Why(reason, note))))


@sky.command()
@click.argument("mission_id")
@click.argument("what", type=click.Choice([o.value for o in Order]))
@_why
@_by
def order(mission_id: str, what: str, reason: str, note: str, by: str) -> None:
    """Tell a flight to pause, resume or return_home."""
    why = Why(reason, note)
    _tell(_at_desk(by, lambda desk, who: desk.order(who, mission_id, Order(what), why)))


@sky.command()
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option("--code", required=True)
@click.option("--name", required=True)
@click.option("--floor-m", default=0.0, show_default=True)
@click.option("--ceiling-m", required=True, type=float)
@click.option(
    "--reference",
    type=click.Choice([r.value for r in HeightReference]),
    default=HeightReference.AGL.value,
    show_default=True,
    help="What the heights count from.",
)
@click.option("--emergency", is_flag=True, help="Half an hour's notice is enough (art. 20).")
@click.option("--crs", help=CRS_HELP)
@_times
@_by
def announce(
    file: Path, code: str, name: str, floor_m: float, ceiling_m: float, reference: str,
    emergency: bool, crs: str | None, from_at: datetime, to_at: datetime, by: str,
) -> None:  # fmt: skip
    """Make a temporary zone known: the polygons of FILE, for a time.

    It closes the sky however late it is announced; the answer says what notice it gave.
    """
    try:
        airspace = Airspace(
            code,
            name,
            AirspaceKind.TEMPORARY,
            read_area(file, crs=crs),
            floor_m,
            ceiling_m,
            HeightReference(reference),
            from_at,
            to_at,
        )
    except ValueError as error:
        fail(str(error), 2)
        return
    _tell(_at_desk(by, lambda desk, who: desk.announce(who, airspace, emergency=emergency)))


@sky.command()
@click.argument("code")
@_why
@_by
def withdraw(code: str, reason: str, note: str, by: str) -> None:
    """Take an announced zone back."""
    _tell(_at_desk(by, lambda desk, who: desk.withdraw_airspace(who, code, Why(reason, note))))


@sky.command()
@click.option("--kind", type=click.Choice([k.value for k in ApplicationKind]), required=True)
@click.option("--drone", "drones", multiple=True, required=True, help="Serial; may be repeated.")
@click.option("--ceiling-agl-m", default=120.0, show_default=True)
@click.option("--parent", help="The long-term approval this day's plan is filed under.")
@click.option("--standing", is_flag=True, help="The approval's take-off confirmation stands.")
@_times
@_by
def file(
    kind: str, drones: tuple[str, ...], ceiling_agl_m: float, parent: str | None, standing: bool,
    from_at: datetime, to_at: datetime, by: str,
) -> None:  # fmt: skip
    """Take down that a flight application went to the authority."""
    try:
        application = FlightApplication(
            derive("application", kind, from_at.isoformat(), *sorted(drones)),
            ApplicationKind(kind),
            tuple(sorted(set(drones))),
            from_at,
            to_at,
            ceiling_agl_m,
            parent_id=parent,
            confirmation_needed=not standing,
        )
    except ValueError as error:
        fail(str(error), 2)
        return
    _tell(_at_desk(by, lambda desk, who: desk.file(who, application)))


@sky.command()
@click.argument("application_id")
@click.option("--approved/--rejected", required=True)
@click.option("--number", default="", help="The authority's number of the approval.")
@_by
def decide(application_id: str, approved: bool, number: str, by: str) -> None:
    """Take down what the authority said."""

    def deed(desk: SkyDesk, who: Principal) -> Awaitable[object]:
        return desk.decide(who, application_id, approved=approved, number=number)

    _tell(_at_desk(by, deed))


@sky.command()
@click.argument("application_id")
@_times
@_by
def confirm(application_id: str, from_at: datetime, to_at: datetime, by: str) -> None:
    """Take down a take-off confirmation."""
    _tell(_at_desk(by, lambda desk, who: desk.confirm(who, application_id, from_at, to_at)))


@sky.command()
@click.argument("application_id")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A .html or .csv file.")
@_by
def form(application_id: str, out: Path, by: str) -> None:
    """Write an application's article 27 form, to print or to send."""
    if out.suffix not in (".html", ".csv"):
        fail(f"--out must end in .html or .csv, got {out.name}", 2)
    rows = _at_desk(by, lambda desk, _: desk.form(application_id))
    if isinstance(rows, Refusal):
        _tell(rows)
        return
    out.write_text(form_html(rows) if out.suffix == ".html" else form_csv(rows), "utf-8")
    click.echo(f"wrote {out}")


@sky.command()
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option("--geoid-m", default=0.0, show_default=True, help="Geoid above the ellipsoid here.")
def terrain(file: Path, geoid_m: float) -> None:
    """Check a terrain model over the district, before GRIDWING_TERRAIN names it."""

    async def check() -> dict[str, Any]:
        async with open_pool(required(settings().database_url, "DATABASE_URL"), 1) as pool:
            district = await load(pool)
        ground, frame = read_district_terrain(file, geoid_m, district)
        docks = {}
        for dock in district.docks:
            x, y = frame.to_local(dock.position.lat_deg, dock.position.lon_deg)
            docks[dock.sn] = round(dock.height_ellipsoid_m - ground.height_m(x, y), 1)
        return {
            "spacing_m": round(ground.spacing_m, 1),
            "lowest_m": round(float(ground.heights_m.min()), 1),
            "highest_m": round(float(ground.heights_m.max()), 1),
            "docks_above_ground_m": docks,
        }

    try:
        click.echo(json.dumps(asyncio.run(check())))
    except (NoDistrict, BadTerrain, ValueError, psycopg.Error) as error:
        fail(str(error), 2)
