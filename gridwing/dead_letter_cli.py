"""`gridwing dead-letter`: what was refused, tried again or given up."""

import asyncio
import json
from typing import Any

import click
import psycopg

from gridwing.cli import fail
from gridwing.parts_cli import settings
from runtime.bus import Message
from runtime.database import open_pool
from runtime.ledger import PostgresLedger
from runtime.registry import NoDistrict, load
from runtime.settings import required
from services.ingest.keep import Keeper
from services.ingest.store import PostgresIngestStore

LIST_LIMIT = 100
SHOWN_BYTES = 120


@click.group("dead-letter")
def dead_letter() -> None:
    """Messages that could not be taken, kept with their bytes and the reason."""


def _connect() -> psycopg.Connection[Any]:
    return psycopg.connect(required(settings().database_url, "DATABASE_URL"))


@dead_letter.command("list")
@click.option("--state", type=click.Choice(["new", "retried", "dropped"]), default="new")
@click.option("--limit", type=click.IntRange(1, 10_000), default=LIST_LIMIT, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
def listed(state: str, limit: int, as_json: bool) -> None:
    """Show the newest refused messages."""
    try:
        with _connect() as connection:
            rows = connection.execute(
                "SELECT id, received_at, topic, reason, payload FROM dead_letter"
                " WHERE state = %s ORDER BY id DESC LIMIT %s",
                [state, limit],
            ).fetchall()
    except (ValueError, psycopg.Error) as error:
        fail(str(error))
        return
    letters = [
        {
            "id": number,
            "received_at": at.isoformat(),
            "topic": topic,
            "reason": reason,
            "payload": bytes(payload[:SHOWN_BYTES]).decode("utf-8", "replace"),
            "bytes": len(payload),
        }
        for number, at, topic, reason, payload in rows
    ]
    if as_json:
        click.echo(json.dumps(letters, ensure_ascii=False))
        return
    for letter in letters:
        click.echo("{id:>6}  {received_at}  {topic}  {bytes} B  {reason}".format(**letter))
    click.echo(f"{len(letters)} {state}")


@dead_letter.command()
@click.argument("ids", nargs=-1, type=int, required=True)
def retry(ids: tuple[int, ...]) -> None:
    """Decode the messages again, as received then; keep what can be taken now.

    Each is kept and settled in one transaction. A device is not answered: it has long gone on.
    """
    try:
        outcomes = asyncio.run(_retry(ids))
    except (ValueError, NoDistrict, psycopg.Error) as error:
        fail(str(error))
        return
    for number, outcome in outcomes:
        click.echo(f"{number}: {outcome}")
    if any(outcome != "kept" for _, outcome in outcomes):
        raise SystemExit(1)


async def _retry(ids: tuple[int, ...]) -> list[tuple[int, str]]:
    read = settings()
    outcomes = []
    async with open_pool(required(read.database_url, "DATABASE_URL"), 2) as pool:
        district = await load(pool)
        store = PostgresIngestStore(pool)
        keeper = Keeper(PostgresLedger(pool), store, district, read.clock())
        for number in ids:
            letter = await store.letter(number)
            if letter is None:
                outcomes.append((number, "there is no such new message"))
                continue
            batch = keeper.read([Message(letter.topic, letter.payload)], letter.received_at)
            if batch.refusals:
                outcomes.append((number, f"refused again: {batch.refusals[0].reason}"))
                continue
            batch.retried = number
            await keeper.keep(batch)
            outcomes.append((number, "kept"))
    return outcomes


@dead_letter.command()
@click.argument("ids", nargs=-1, type=int, required=True)
def drop(ids: tuple[int, ...]) -> None:
    """Give up on the messages; their rows stay, marked as dropped."""
    try:
        with _connect() as connection:
            done = connection.execute(
                "UPDATE dead_letter SET state = 'dropped' WHERE id = ANY(%s) AND state = 'new'",
                [list(ids)],
            ).rowcount
    except (ValueError, psycopg.Error) as error:
        fail(str(error))
        return
    click.echo(f"{done} dropped")
    if done < len(ids):
        raise SystemExit(1)
