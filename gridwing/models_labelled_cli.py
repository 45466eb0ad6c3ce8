"""`gridwing models suspects` and `labelled`: pictures out to people who correct them, and back."""

import asyncio
import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import psycopg

from models.catalogue import Catalogue, WeightsError
from runtime.settings import Settings, required

READ_LIMIT = 2000
COCO_FILES = ("annotations.json", "annotations/instances_default.json", "result.json")
"""Ours, CVAT's and Label Studio's."""


def _settings() -> Settings:
    try:
        return Settings.from_environment(os.environ)
    except ValueError as error:
        raise click.ClickException(str(error)) from error


@click.command()
@click.option("--from", "since", type=click.DateTime(), required=True, help="UTC; hazards since.")
@click.option("--to", "until", type=click.DateTime(), required=True, help="UTC; hazards before.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--coco", is_flag=True, help="COCO's annotations.json instead of YOLO's labels/.")
@click.option(
    "--verdict", "verdicts", multiple=True,
    type=click.Choice(("confirmed", "false", "unjudged")), help="Only these.",
)  # fmt: skip
@click.option("--limit", type=click.IntRange(1, 100_000), default=500, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def suspects(
    since: datetime,
    until: datetime,
    out: Path,
    coco: bool,
    verdicts: tuple[str, ...],
    limit: int,
    as_json: bool,
) -> None:
    """Write the kept pictures of hazards into OUT to be corrected, least sure ones first.

    Pictures are as stored: blurred. Labels are what the hazard network found; what was a false
    alarm is not labelled. YOLO form is images/, labels/ and classes.txt, as Label Studio and
    LabelImg read it; CVAT takes COCO. suspects.csv says what became of each.
    """
    from datetime import UTC

    from gridwing import suspects as kept
    from runtime.evidence import EvidenceStore

    settings = _settings()
    first, last = since.replace(tzinfo=UTC), until.replace(tzinfo=UTC)
    try:
        card = Catalogue(settings.models_dir).promoted("hazards")
        found = asyncio.run(_found(settings, first, last))
        if verdicts:
            found = [one for one in found if one[2] in verdicts]
        store = EvidenceStore(settings.data_dir / "evidence")
        told = kept.export(found, store, card.classes, card.thresholds, out, coco, limit)
    except (WeightsError, ValueError, OSError, psycopg.Error) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps({"out": str(out), **told.written, "gone": told.gone,
                               "without_boxes": told.without_boxes}))  # fmt: skip
        return
    click.echo(f"{sum(told.written.values())} pictures in {out}: "
               + ", ".join(f"{n} {verdict}" for verdict, n in told.written.items()))  # fmt: skip
    if told.gone or told.without_boxes:
        click.echo(f"left out: {told.gone} no longer kept, {told.without_boxes} without boxes")


async def _found(settings: Settings, since: datetime, until: datetime) -> list[Any]:
    from gridwing.suspects import OF_SUSPECTS, suspects
    from runtime.database import open_pool
    from runtime.ledger import Entry, PostgresLedger

    async with open_pool(required(settings.database_url, "DATABASE_URL"), 1) as pool:
        ledger, told, position = PostgresLedger(pool), list[Entry](), 0
        while page := await ledger.read(position, READ_LIMIT):
            told += [entry for entry in page if isinstance(entry.event, OF_SUSPECTS)]
            position = page[-1].position
    return suspects(told, since, until)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False),
    help="Where a COCO folder is written in YOLO form, as train, measure and compare read it.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def labelled(folder: Path, out: Path | None, as_json: bool) -> None:
    """Check the labelled pictures in FOLDER: counts by class, and every fault by file and line.

    YOLO form (images/, labels/, classes.txt), or COCO's annotations.json with images/. Exit 1 when
    there is a fault. Classes that neither the network in use nor a rule knows are told.
    """
    from models.labelled import from_coco, open_labelled
    from models.labelled_check import checked
    from services.ingest.sight.rules import load_rules

    annotations = next((folder / n for n in COCO_FILES if (folder / n).is_file()), None)
    try:
        if annotations is not None and not (folder / "labels").is_dir():
            if out is None:
                raise ValueError(f"{annotations.name} is COCO's: say with --out where YOLO goes")
            if out.exists() and any(out.iterdir()):
                raise ValueError(f"{out} is not empty: give a new folder")
            opened = from_coco(annotations, folder / "images", out)
        else:
            opened = open_labelled(folder)
        card = Catalogue(_settings().models_dir).promoted("hazards")
    except (WeightsError, ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    known = set(card.classes).union(*(rule.labels for rule in load_rules()))
    told = checked(opened, known)
    if as_json:
        plain = {
            "folder": str(opened.path), "pictures": told.pictures, "empty": told.empty,
            "boxes": dict(told.boxes), "unknown": told.unknown,
            "faults": [str(fault) for fault in told.faults],
        }  # fmt: skip
        click.echo(json.dumps(plain, ensure_ascii=False, indent=1))
    else:
        click.echo(f"{told.pictures} pictures in {opened.path}, {told.empty} of them empty")
        for name in opened.classes:
            word = "  (nothing knows it)" if name in told.unknown else ""
            click.echo(f"  {name:24} {told.boxes[name]:6}{word}")
        for fault in told.faults:
            click.echo(str(fault), err=True)
    if told.faults:
        raise SystemExit(1)
