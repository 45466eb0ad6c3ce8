"""`gridwing wayline`: files and missions for real aircraft, written, checked and sent."""

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import psycopg
from pyproj import Geod

from domain.district import District
from domain.mission import Mission, MissionPurpose, Wayline, Waypoint
from domain.place import Position
from geo.routes import FlightModel
from gridwing.cli import fail
from gridwing.mavlink_cli import udp_address
from gridwing.parts_cli import settings
from runtime.clock import wall_clock
from services.patrol.aircraft.fault import Fault
from services.patrol.aircraft.mission_items import measured, mission_items, wayline_of
from services.patrol.aircraft.qgc_plan import (
    BadPlan,
    Plan,
    RallyPoint,
    check_plan,
    fence_items,
    keep_out,
    plan_text,
    rally_items,
    read_plan,
)
from services.patrol.aircraft.qgc_waypoints import read_waypoints, waypoints_text
from services.patrol.aircraft.wpml import AIRFRAMES, airframe, kmz
from services.patrol.aircraft.wpml_check import check as check_kmz
from services.patrol.aircraft.wpml_read import open_kmz, routes
from services.patrol.flight import Flight
from services.patrol.geojson import LAYERS, collection, layers, path_feature
from services.patrol.sky.rules import load_sky_rules

FAULTY_EXIT = 2
REFUSED_EXIT = 2
FORMATS = ("kmz", "plan", "waypoints", "geojson")
ACCEL_M_S2, CORNER_CUT_M = 2.5, 2.0
LOWEST_M, HIGHEST_M = 2.0, 120.0
"""True height; what is above 120 m is controlled airspace (interim regulation, art. 19)."""
HOME_LIMIT_M = 20_000.0
"""No aircraft of these takes off farther from its path; a slip of a coordinate does."""


@dataclass(frozen=True, slots=True)
class Source:
    """A mission to write, where it starts from, and what closed ground it knows of."""

    mission: Mission
    home: Position
    model: str
    plan: Plan | None = None
    district: District | None = None


@click.group()
def wayline() -> None:
    """Waylines for real aircraft: export, check, upload; everything as GeoJSON."""


@wayline.command()
@click.argument("source")
@click.option("--format", "kind", type=click.Choice(FORMATS), required=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--model", default="M4TD", show_default=True, help="Aircraft of a KMZ from a file.")
@click.option("--speed", "speed_m_s", type=click.FloatRange(0.5, 15), default=10.0,
              show_default=True, help="Metres a second, where the file says none.")  # fmt: skip
@click.option("--height", "height_m", type=click.FloatRange(LOWEST_M, HIGHEST_M), default=None,
              help="Metres above take-off of a path.geojson, instead of its own.")  # fmt: skip
@click.option("--home", default="", metavar="LAT,LON",
              help="Where it takes off, at most 20 km from the path; without it a mission's dock, "
              "or over the first point of a file.")  # fmt: skip
def export(
    source: str,
    kind: str,
    out: Path,
    model: str,
    speed_m_s: float,
    height_m: float | None,
    home: str,
) -> None:
    """Write a mission for a dock (kmz), QGroundControl (plan, waypoints) or a map (geojson).

    SOURCE is a mission's id (DATABASE_URL), or a file: path.geojson of `gridwing plan`, a .kmz,
    .plan or .waypoints. Of a KMZ the waypoints, speeds, gimbal, headings and hovers are kept, and
    it returns home at the end. What is refused or has a fault is not written: exit 2.
    """
    _folder_of(out)
    try:
        given = _source(source, model, speed_m_s, height_m, _place(home))
        _refuse_far_home(given)
        written = _written(given, kind)
    except ValueError as error:
        fail(str(error), REFUSED_EXIT)
        return
    faults = check_kmz(written) if kind == "kmz" else []
    if kind == "plan":
        faults = check_plan(written)
    if faults:
        _tell(faults, False)
        sys.exit(FAULTY_EXIT)
    out.write_bytes(written)
    click.echo(f"{out}: {len(given.mission.wayline.waypoints)} waypoints")


@wayline.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--rc", is_flag=True, help="A remote control's aircraft flies it, not a dock's.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check(file: Path, rc: bool, as_json: bool) -> None:
    """Tell every fault of a KMZ, .plan or .waypoints, and what is allowed; exit 2 if any."""
    faults = _faults(file, dock=not rc)
    _tell(faults, as_json)
    if faults:
        sys.exit(FAULTY_EXIT)


@wayline.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--listen", default="udp://127.0.0.1:14550", show_default=True,
              callback=lambda _ctx, _param, value: udp_address(value),
              help="Address the vehicle sends to.")  # fmt: skip
@click.option("--system", type=click.IntRange(1, 255), default=1, show_default=True)
def upload(file: Path, listen: tuple[str, int], system: int) -> None:
    """Give a MAVLink vehicle the mission, fence and rally points of a file; nothing takes off.

    Each is read back and compared. Needs pymavlink (pip install 'gridwing[mavlink]').
    """
    from services.patrol.mission_link import MissionLink, NoVehicle
    from services.patrol.mission_link import upload as send

    try:
        plan = _plan_of(_source(str(file), "M4TD", 10.0, None, None))
        parts = ((0, plan.items), (1, fence_items(plan)), (2, rally_items(plan)))
        for kind, items in parts:
            if items or kind == 0:
                done = asyncio.run(send(MissionLink.load(system), *listen, items, kind))
                name = ("mission", "fence", "rally points")[kind]
                again = f"{done.resent} sent again, {done.seconds} s"
                click.echo(f"{name}: {done.items} items, {again}")
    except ModuleNotFoundError as error:
        fail(f"{error.name} is missing: pip install 'gridwing[mavlink]'")
    except ValueError as error:
        fail(str(error), REFUSED_EXIT)
    except NoVehicle as error:
        fail(str(error))
    except OSError as error:
        fail(f"cannot listen on udp://{listen[0]}:{listen[1]}: {error}")


@wayline.command("geojson")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option("--layer", "wanted", multiple=True, type=click.Choice(LAYERS), default=LAYERS,
              show_default=True)  # fmt: skip
def geojson(out: Path, wanted: tuple[str, ...]) -> None:
    """Write cells, airspace, waylines and sorties as one GeoJSON file (DATABASE_URL)."""
    _folder_of(out)
    district, flights = _stored()
    told = collection(layers(district, flights, wanted))
    out.write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
    click.echo(f"{out}: {len(told['features'])} features")


def _stored(mission_id: str = "") -> tuple[District, list[Flight]]:
    """Return the registered district and its latest flights, or the one asked for.

    Leaves with one line when the database cannot say.
    """
    from runtime.database import open_pool
    from runtime.registry import NoDistrict, load
    from runtime.settings import required
    from services.patrol.store import PostgresPatrolStore

    async def read() -> tuple[District, list[Flight]]:
        async with open_pool(required(settings().database_url, "DATABASE_URL")) as pool:
            store = PostgresPatrolStore(pool)
            if not mission_id:
                return await load(pool), await store.flights()
            flight = await store.flight(mission_id)
            return await load(pool), [] if flight is None else [flight]

    try:
        return asyncio.run(read())
    except (NoDistrict, ValueError, psycopg.Error) as error:
        fail(str(error))
        raise


def _folder_of(out: Path) -> None:
    if not out.parent.is_dir():
        fail(f"--out {out}: there is no folder {out.parent}; make it first", REFUSED_EXIT)


def _source(
    source: str, model: str, speed_m_s: float, height_m: float | None, home: Position | None
) -> Source:
    """Read a file or a stored mission. Raises ValueError."""
    path = Path(source)
    if not path.is_file():
        if path.suffix or len(path.parts) > 1:
            raise ValueError(f"{source}: no such file")
        return _stored_source(source, home)
    raw = path.read_bytes()
    readers: dict[str, Callable[[], tuple[Wayline, Position | None, Plan | None]]] = {
        ".kmz": lambda: (_kmz_wayline(raw, path.name), None, None),
        ".plan": lambda: _plan_wayline(read_plan(raw)),
        ".waypoints": lambda: _plan_wayline(read_waypoints(raw)),
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        line, told_home, plan = _line(raw, path.name, speed_m_s, height_m), None, None
    else:
        line, told_home, plan = reader()
    start = home or told_home
    if start is None:
        if not line.waypoints:
            raise ValueError(f"{path.name} has no waypoints to fly")
        start = line.waypoints[0].position
    at = wall_clock().now().replace(microsecond=0)
    mission = Mission(path.stem, MissionPurpose.PATROL, "", "", at, (), line)
    return Source(mission, start, model, plan)


def _stored_source(mission_id: str, home: Position | None) -> Source:
    district, flights = _stored(mission_id)
    if not flights:
        raise ValueError(f"{mission_id!r} is neither a file nor a mission that is known")
    mission = flights[0].mission
    dock = next((d for d in district.docks if d.sn == mission.dock_sn), None)
    drone = next((d for d in district.drones if d.sn == mission.drone_sn), None)
    start = dock.position if dock is not None else mission.wayline.waypoints[0].position
    return Source(mission, home or start, drone.model if drone is not None else "", None, district)


def _refuse_far_home(given: Source) -> None:
    home, ellipsoid = given.home, Geod(ellps="WGS84")
    spots = [w.position for w in given.mission.wayline.waypoints]
    away_m = min(
        (ellipsoid.inv(home.lon_deg, home.lat_deg, p.lon_deg, p.lat_deg)[2] for p in spots),
        default=0.0,
    )
    if away_m > HOME_LIMIT_M:
        raise ValueError(
            f"home {home.lat_deg:g},{home.lon_deg:g} lies {away_m / 1000:.0f} km from the path, "
            f"more than {HOME_LIMIT_M / 1000:g} km: give --home LAT,LON near it"
        )


def _kmz_wayline(raw: bytes, name: str) -> Wayline:
    if faults := check_kmz(raw, dock=False):
        raise ValueError(f"{name} has a fault, mend it first: {faults[0]}")
    found = routes(open_kmz(raw))
    if not found or found[0].height_mode != "relativeToStartPoint":
        raise ValueError(
            "the KMZ's first wayline must have heights relativeToStartPoint to be written anew"
        )
    return measured(
        tuple(
            Waypoint(p.position, p.height_m, p.speed_m_s, p.gimbal_pitch_deg, p.yaw_deg, p.hover_s)
            for p in found[0].points
        )
    )


def _plan_wayline(plan: Plan) -> tuple[Wayline, Position, Plan]:
    return wayline_of(plan.items, plan.hover_m_s, plan.home_msl_m), plan.home, plan


def _line(raw: bytes, name: str, speed_m_s: float, height_m: float | None) -> Wayline:
    """Return the first LineString of a GeoJSON file. Raises ValueError."""
    wrong = f"{name} is not a path: give the --out file of `gridwing plan` (lon/lat LineString)"
    try:
        document = json.loads(raw)
        features = document.get("features", [document])
        feature = next(f for f in features if f["geometry"]["type"] == "LineString")
        spots = [(float(s[0]), float(s[1])) for s in feature["geometry"]["coordinates"]]
        told = feature.get("properties") or {}
        own_m = float(told.get("height_agl_m", 90.0))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, StopIteration):
        raise ValueError(wrong) from None
    if told.get("crs") == "local":
        raise ValueError(f"{name} is in local metres: plan an area in degrees to fly it")
    high_m = own_m if height_m is None else height_m
    if not LOWEST_M <= high_m <= HIGHEST_M:
        allowed = f"{LOWEST_M:g}..{HIGHEST_M:g} m: plan it lower or give --height"
        raise ValueError(f"{name}: height_agl_m is {high_m:g}, must lie in {allowed}")
    return measured(tuple(Waypoint(Position(lat, lon), high_m, speed_m_s) for lon, lat in spots))


def _place(text: str) -> Position | None:
    if not text:
        return None
    lat, _, lon = text.partition(",")
    try:
        return Position(float(lat), float(lon))
    except ValueError as error:
        raise click.BadParameter(f"write --home 22.5251,113.3558, not {text!r}: {error}") from None


def _written(given: Source, kind: str) -> bytes:
    """Return the mission in a format. Raises ValueError naming what is missing."""
    if kind == "kmz":
        frame = airframe(given.model)
        if frame is None:
            known = ", ".join(AIRFRAMES)
            raise ValueError(f"no WPML numbers are known of {given.model!r}; known: {known}")
        speeds = [w.speed_m_s for w in given.mission.wayline.waypoints]
        model = FlightModel(max(speeds, default=1.0), ACCEL_M_S2, CORNER_CUT_M)
        return kmz(given.mission, frame, model, load_sky_rules().lost_link.action)
    if kind == "geojson":
        told = collection([path_feature(given.mission)])
        return json.dumps(told, ensure_ascii=False).encode()
    plan = _plan_of(given)
    return (plan_text(plan) if kind == "plan" else waypoints_text(plan)).encode()


def _plan_of(given: Source) -> Plan:
    """Return the file's own plan, or the mission with the district's closed ground as its fence."""
    if given.plan is not None:
        return given.plan
    line = given.mission.wayline
    speed_m_s = max((w.speed_m_s for w in line.waypoints), default=5.0)
    closed = keep_out(given.district.airspaces) if given.district is not None else ()
    rally = (RallyPoint(given.home, 30.0),) if given.district is not None else ()
    items = mission_items(line, given.home)
    return Plan(items, given.home, 0.0, speed_m_s, speed_m_s, polygons=closed, rally=rally)


def _faults(file: Path, dock: bool) -> list[Fault]:
    raw = file.read_bytes()
    if file.suffix.lower() == ".kmz" or raw[:2] == b"PK":
        return check_kmz(raw, dock)
    if file.suffix.lower() == ".waypoints" or raw[:3] == b"QGC":
        try:
            read_waypoints(raw)
        except BadPlan as bad:
            return [Fault(file.name, "-", str(bad), "QGC WPL 110, 12 columns a line")]
        return []
    if file.suffix.lower() == ".plan" or b'"fileType"' in raw:
        return check_plan(raw)
    return [Fault(file.name, "-", "no kind that is checked here", "a .kmz, .plan or .waypoints")]


def _tell(faults: list[Fault], as_json: bool) -> None:
    if as_json:
        rows = [
            {"where": f.where, "element": f.element, "value": f.value, "allowed": f.allowed}
            for f in faults
        ]
        click.echo(json.dumps({"faults": rows}, ensure_ascii=False))
        return
    for fault in faults:
        click.echo(str(fault))
    count = len(faults)
    click.echo("no fault" if not count else "1 fault" if count == 1 else f"{count} faults")
