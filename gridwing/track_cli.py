"""`gridwing track import`: flights out of files, kept as if the device had told them itself."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click
import psycopg

from domain.device import DeviceKind
from domain.district import District
from domain.observation import Telemetry
from gridwing.cli import fail
from gridwing.parts_cli import settings
from gridwing.past_cli import area, show
from runtime.clock import Clock
from runtime.database import Pool, open_pool
from runtime.ledger import PostgresLedger
from runtime.registry import NoDistrict, load
from runtime.settings import required
from services.ingest import srt, ulog
from services.ingest.devices import Devices
from services.ingest.fields import Unreadable
from services.ingest.keep import Batch, Keeper
from services.ingest.store import PostgresIngestStore
from services.ingest.track import FILE_LIMIT_BYTES, Flown, Track, history

ROWS_A_TRANSACTION = 5_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file."""

    file: str
    track: Track | None
    stored: int = 0
    refused: str | None = None

    def plain(self) -> dict[str, Any]:
        if self.track is None:
            return {"file": self.file, "refused": self.refused}
        rows = self.track.rows
        return {
            "file": self.file,
            "found": self.track.found,
            "read": self.track.read,
            "rows": len(rows),
            "stored": self.stored,
            "from": rows[0].at.isoformat(),
            "until": rows[-1].at.isoformat(),
            "notes": list(self.track.notes),
        }


@click.group()
def track() -> None:
    """Tracks of past flights: out of files, and out of what is kept."""


track.add_command(show)
track.add_command(area)

@track.command("import")
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option("--device", "device_sn", required=True, help="Serial number of the aircraft.")
@click.option(
    "--timezone", default="Asia/Shanghai", show_default=True, help="Of the camera's wall clock."
)
@click.option("--start", help="When a file that tells no date began: 2026-05-01T09:30:00.")
@click.option(
    "--geojson", type=click.Path(dir_okay=False, path_type=Path), help="Write the tracks there too."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def import_(
    files: tuple[Path, ...],
    device_sn: str,
    timezone: str,
    start: str | None,
    geojson: Path | None,
    as_json: bool,
) -> None:
    """Store the flights of FILES: DJI subtitles (.SRT) and PX4 logs (.ulg).

    A second import of a file stores nothing. Leaves with 1 when a file was refused.
    """
    try:
        zone = ZoneInfo(timezone)
        began = None if start is None else _began(start, zone)
        outcomes = asyncio.run(_import(files, device_sn, zone, began, as_json))
        if geojson is not None:
            geojson.write_text(json.dumps(_collection(outcomes, device_sn), ensure_ascii=False))
    except ZoneInfoNotFoundError:
        fail(f"--timezone {timezone}: no such zone; one is written like Asia/Shanghai", 2)
        return
    except (ValueError, NoDistrict, OSError, psycopg.Error) as error:
        fail(str(error))
        return
    stored = sum(outcome.stored for outcome in outcomes)
    if as_json:
        told = {"stored": stored, "files": [outcome.plain() for outcome in outcomes]}
        click.echo(json.dumps(told, ensure_ascii=False))
    else:
        click.echo(f"{stored} rows stored")
    if any(outcome.track is None for outcome in outcomes):
        raise SystemExit(1)


def _began(start: str, zone: ZoneInfo) -> datetime:
    try:
        at = datetime.fromisoformat(start)
    except ValueError:
        raise ValueError(f"--start {start}: write it like 2026-05-01T09:30:00") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=zone)


async def _import(
    files: Sequence[Path], device_sn: str, zone: ZoneInfo, start: datetime | None, quiet: bool
) -> list[Outcome]:
    read = settings()
    async with open_pool(required(read.database_url, "DATABASE_URL"), 2) as pool:
        district = await load(pool)
        clock = read.clock()
        kind = _aircraft(district, device_sn)
        keeper = _keeper(pool, district, clock)
        flown = Flown(device_sn, kind, clock.now(), zone, start)
        outcomes = []
        for file in files:
            try:
                made = await asyncio.to_thread(read_file, file, flown)
            except Unreadable as error:
                outcomes.append(Outcome(file.name, None, refused=str(error)))
                click.echo(f"gridwing: {file.name}: {error}", err=True)
                continue
            outcomes.append(Outcome(file.name, made, await _keep(keeper, made.rows)))
            if not quiet:
                _tell(outcomes[-1], made)
        return outcomes


def _keeper(pool: Pool, district: District, clock: Clock) -> Keeper:
    return Keeper(PostgresLedger(pool), PostgresIngestStore(pool), district, clock)


def _aircraft(district: District, device_sn: str) -> DeviceKind:
    kinds = Devices.of(district).kinds
    if device_sn not in kinds:
        raise ValueError(f"--device {device_sn} is not registered: see `gridwing grid export`")
    if kinds[device_sn] is not DeviceKind.DRONE:
        raise ValueError(f"--device {device_sn} is a {kinds[device_sn].value}; only drones fly")
    return kinds[device_sn]


def read_file(file: Path, flown: Flown) -> Track:
    """Return the flight in a file of either kind. Raises Unreadable."""
    size = file.stat().st_size
    if size > FILE_LIMIT_BYTES:
        raise Unreadable(f"a file of {size} bytes; the limit is {FILE_LIMIT_BYTES}")
    data = file.read_bytes()
    if data.startswith(ulog.MAGIC):
        return ulog.read(data, flown)
    return srt.read(data, flown)


async def _keep(keeper: Keeper, rows: Sequence[Telemetry]) -> int:
    stored = 0
    for i in range(0, len(rows), ROWS_A_TRANSACTION):
        part = rows[i : i + ROWS_A_TRANSACTION]
        columns = keeper.place(history(part))
        stored += await keeper.keep(Batch(part[0].received_at, columns=columns, suspect=True))
    return stored


def _tell(outcome: Outcome, made: Track) -> None:
    first, last = made.rows[0].at, made.rows[-1].at
    click.echo(
        f"{outcome.file}: {made.read} of {made.found} read, {len(made.rows)} rows at most"
        f" 5 a second, {outcome.stored} new; {first:%Y-%m-%d %H:%M:%S} to {last:%H:%M:%S} UTC"
    )
    for note in made.notes:
        click.echo(f"  {note}", err=True)


def _collection(outcomes: Sequence[Outcome], device_sn: str) -> dict[str, Any]:
    features = [
        _feature(outcome.file, outcome.track.rows, device_sn)
        for outcome in outcomes
        if outcome.track is not None
    ]
    return {"type": "FeatureCollection", "features": features}


def _feature(file: str, rows: Sequence[Telemetry], device_sn: str) -> dict[str, Any]:
    """Return a LineString (RFC 7946), a Point for a single row.

    A third coordinate is by that standard the height above the ellipsoid, so it is left out
    unless every row has one.
    """
    heights = [row.height_ellipsoid_m for row in rows]
    high = all(height is not None for height in heights)
    where = [
        [p.lon_deg, p.lat_deg, *([height] if high else [])]
        for row, height in zip(rows, heights, strict=True)
        if (p := row.position) is not None
    ]
    line: dict[str, Any] = {"type": "LineString", "coordinates": where}
    if len(where) == 1:
        line = {"type": "Point", "coordinates": where[0]}
    return {
        "type": "Feature",
        "geometry": line,
        "properties": {
            "file": file,
            "device_sn": device_sn,
            "times": [row.at.isoformat() for row in rows],
            "heights_rel_m": [row.height_rel_m for row in rows],
        },
    }
