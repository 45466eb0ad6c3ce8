"""`gridwing watch-files`: recorded photographs and videos, what is in them and where."""

import asyncio
import json
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import click
import psycopg

from domain.device import DeviceKind
from gridwing.cli import fail
from gridwing.models_detect import Look, look_of_both, looker
from gridwing.parts_cli import settings
from gridwing.watch_files import (
    FilePolicy,
    Judge,
    Standpoint,
    features,
    files,
    frames,
    lying_labels,
    summary,
)
from models.catalogue import Catalogue, WeightsError
from runtime.database import open_pool
from runtime.ledger import PostgresLedger
from runtime.registry import load
from runtime.settings import Settings, required
from services.ingest.sight.calibrated import calibrated
from services.ingest.sight.rules import load_rules
from services.ingest.track import Flown
from services.ingest.watch_settings import BadSetting, WatchSettings

BOTH = "both"
SHOWN_REFUSALS = 3


@click.command("watch-files")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--camera", metavar="SN",
    help="They are this registered fixed camera's: placed by its control points or pose.",
)  # fmt: skip
@click.option("--drone", default="recorded", show_default=True, metavar="SN", help="Whose flight.")
@click.option(
    "--model", default=BOTH, show_default=True,
    help=f"A model of `models list`; {BOTH} as in `models detect`.",
)  # fmt: skip
@click.option("--least", type=click.FloatRange(0.01, 1.0), help="Show boxes from this score on.")
@click.option(
    "--hfov", "hfov_deg", type=click.FloatRange(1, 179), default=71.6, show_default=True,
    help="Degrees a video's lens sees across; photographs tell it themselves.",
)  # fmt: skip
@click.option(
    "--every", "every_s", type=click.FloatRange(0.02, 3600), default=1.0, show_default=True,
    help="Seconds between the frames taken of a video.",
)  # fmt: skip
@click.option(
    "--turned", "turned_deg", type=click.FloatRange(-360, 360),
    help="Degrees clockwise that somebody has turned the photographs since.",
)  # fmt: skip
@click.option(
    "--zone", "zone_h", type=click.FloatRange(-14, 14), default=8.0, show_default=True,
    help="Hours the aircraft's clock is ahead of UTC; subtitles do not say.",
)  # fmt: skip
@click.option("--start", type=click.DateTime(), help="When it began, of subtitles without a date.")
@click.option(
    "--geojson", type=click.Path(path_type=Path, dir_okay=False),
    help="Also write the places and their 95 % ellipses to this file.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def watch_files(
    paths: tuple[Path, ...],
    camera: str | None,
    drone: str,
    model: str,
    least: float | None,
    hfov_deg: float,
    every_s: float,
    turned_deg: float | None,
    zone_h: float,
    start: datetime | None,
    geojson: Path | None,
    as_json: bool,
) -> None:
    """Look at recorded photographs and videos and print what is seen, with its place and ellipse.

    A drone's photographs carry their own pose (EXIF, XMP), a video has it in DJI's .SRT beside it.
    Nothing is written to a database. What cannot be taken is counted by reason; exit 1 when nothing
    could.
    """
    zone = timezone(timedelta(hours=zone_h))
    try:
        read = settings()
        look = _look(read, model, least)
        standpoint = None if camera is None else asyncio.run(_standpoint(read, camera))
    except (WeightsError, BadSetting, ValueError, OSError, psycopg.Error) as error:
        fail(str(error))
        return
    begun = None if start is None else start.replace(tzinfo=zone)
    flown = Flown(drone, DeviceKind.DRONE, read.clock().now(), zone, begun)
    policy = FilePolicy(flown, hfov_deg, every_s, turned_deg, standpoint)
    judge = Judge(look, lying_labels(load_rules()), standpoint, Counter(), Counter(), Counter())
    told: list[dict[str, Any]] = []
    placed: list[dict[str, Any]] = []
    for path in files(paths):
        for frame in frames(path, policy):
            one = judge.judged(path, frame)
            if as_json:
                told.append(one)
            else:
                _print(one, judge)
            if geojson is not None:
                placed += features(one)
    if geojson is not None:
        collection = {"type": "FeatureCollection", "features": placed}
        geojson.write_text(json.dumps(collection, ensure_ascii=False), encoding="utf-8")
    if as_json:
        counts = {"frames": judge.counts["frames"], "detections": judge.counts["detections"],
                  "placed": judge.counts["placed"], "no_ground": judge.no_ground,
                  "refused": judge.refused}  # fmt: skip
        click.echo(json.dumps({"frames": told, "counts": counts}, ensure_ascii=False, indent=1))
    else:
        summary(judge, lambda line: click.echo(line, err=True))
    if not judge.counts["frames"]:
        raise SystemExit(1)


def _look(read: Settings, model: str, least: float | None) -> Look:
    catalogue = Catalogue(read.models_dir)
    if model == BOTH:
        return look_of_both(catalogue, read.vision_backend, least)
    card = catalogue.card(model)
    slices = card.task == "things"
    return looker(card, read.vision_backend, least, slices, read.ultralytics_python)


async def _standpoint(read: Settings, sn: str) -> Standpoint:
    """Return a registered camera with the control points somebody gave it."""
    async with open_pool(required(read.database_url, "DATABASE_URL"), 1) as pool:
        district = await load(pool)
        known = {camera.sn: camera for camera in district.cameras}
        if sn not in known:
            raise ValueError(f"{sn} is no camera of this district; see `gridwing device list`")
        told = WatchSettings(PostgresLedger(pool), pool, district, read.clock())
        points, _ = await told.calibration(sn)
        return Standpoint(known[sn], calibrated(known[sn], points) if points else None)


def _print(one: dict[str, Any], judge: Judge) -> None:
    if "refused" in one:
        if judge.refused[one["refused"]] <= SHOWN_REFUSALS:
            click.echo(f"{one['source']} {one['frame']}: refused: {one['refused']}")
        return
    click.echo(f"{one['source']} {one['at']}")
    for each in one["detections"]:
        where = each.get("no_ground")
        if where is None:
            g = each["ground"]
            where = (
                f"{g['lat_deg']:.6f}, {g['lon_deg']:.6f} ± {g['semi_major_m']:.1f} × "
                f"{g['semi_minor_m']:.1f} m at {g['bearing_deg']:.0f}°, {g['range_m']:.0f} m off"
            )
        click.echo(f"  {each['label']:18} {each['score']:.2f}  {where}")
