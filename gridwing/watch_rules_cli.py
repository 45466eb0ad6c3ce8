"""`gridwing watch-rules`: what watch takes for a hazard, and what other rules would have done."""

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click
import psycopg

from domain.codec import to_plain
from domain.district import District
from domain.sight import SightRule
from gridwing.cli import fail
from gridwing.dry_run import OF_THE_PAST, by_control_points, ended, judged, recorded, summary
from gridwing.eyes import hazard_card, watch_policy
from gridwing.parts_cli import settings
from gridwing.past_cli import instant
from models.catalogue import WeightsError
from runtime.database import open_pool
from runtime.ledger import Entry, PostgresLedger
from runtime.registry import load
from runtime.settings import required
from services.ingest.sight.rules import changed, load_rules, read_rules

READ_LIMIT = 2000


@click.group(name="watch-rules")
def watch_rules() -> None:
    """Rules of watch: list, check a file, try one on recorded days."""


@watch_rules.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def list_rules(as_json: bool) -> None:
    """Print the rules that come with Gridwing."""
    if as_json:
        click.echo(json.dumps([to_plain(r) for r in load_rules()], ensure_ascii=False, indent=1))
        return
    for rule in load_rules():
        where = f" on {', '.join(rule.on)}" if rule.on else ""
        many = f", {rule.together} within {rule.radius_m:g} m" if rule.together > 1 else ""
        click.echo(f"{rule.code:20} {', '.join(rule.labels)}{where}{many}")


@watch_rules.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def check(file: Path) -> None:
    """Check a file of rules, in the form of services/ingest/rules/watch.toml."""
    click.echo(f"{len(_read(file))} rules, all well formed")


@watch_rules.command("dry-run")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--from", "since", callback=instant, required=True, help="Since when.")
@click.option("--to", "until", callback=instant, required=True, help="Until when.")
@click.option(
    "--recordings",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of recordings; default: the one watch writes to.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def dry_run(
    file: Path, since: datetime, until: datetime, recordings: Path | None, as_json: bool
) -> None:
    """Say what the rules in FILE, in place of those that ship, would have raised.

    Reads what the detector found in recorded frames; nothing is written. Each hazard is held
    against the incident it became: confirmed, false or unjudged.
    """
    rules = changed(load_rules(), {rule.code: rule for rule in _read(file)})
    try:
        policy = watch_policy(hazard_card(settings().models_dir))
        district, entries = asyncio.run(_past())
        by_points = by_control_points(entries, district)
    except (ValueError, OSError, WeightsError, psycopg.Error) as error:
        fail(str(error))
        return
    incidents = ended(entries, district)
    folder = recordings or settings().data_dir / "recordings"
    frames = recorded(folder, since, until)
    if not frames:
        fail(f"{folder} holds no frame between these times")
    verdicts = judged(
        frames, rules, district, policy, by_points, incidents, since, until
    )
    told = summary(verdicts)
    if as_json:
        click.echo(json.dumps(told, ensure_ascii=False, indent=1))
        return
    click.echo(f"{told['frames']} frames; {told['would_raise']} hazards would have been raised")
    for rule, counts in told["rules"].items():
        judged_as = ", ".join(f"{n} {word}" for word, n in counts.items() if word != "would_raise")
        click.echo(f"  {rule:20} {counts['would_raise']:4}  ({judged_as})")
    for one in told["missed"]:
        click.echo(f"  not seen: {one['kind']} {one['incident_id']} of {one['at']}, handled then")


def _read(file: Path) -> tuple[SightRule, ...]:
    try:
        return read_rules(file.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        fail(f"{file.name}: {error}", 2)
        raise AssertionError from error


async def _past() -> tuple[District, Sequence[Entry]]:
    url = required(settings().database_url, "DATABASE_URL")
    async with open_pool(url, 1) as pool:
        district, ledger = await load(pool), PostgresLedger(pool)
        told: list[Entry] = []
        position = 0
        while page := await ledger.read(position, READ_LIMIT):
            told += [entry for entry in page if isinstance(entry.event, OF_THE_PAST)]
            position = page[-1].position
        return district, told
