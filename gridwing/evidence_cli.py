"""`gridwing evidence`: the keys of sealed originals, and opening one, which the ledger tells."""

import asyncio
from pathlib import Path

import click
import psycopg

from domain.evidence import EvidenceUnsealed
from gridwing.app import PURPOSES
from gridwing.cli import fail
from gridwing.parts_cli import settings
from runtime.access import Principal, Role, allow
from runtime.clock import Clock
from runtime.database import open_pool
from runtime.evidence import SHA256
from runtime.ledger import PostgresLedger
from runtime.sealing import SealError, new_key, unseal
from runtime.settings import required


@click.group()
def evidence() -> None:
    """Sealed originals: make a key, open one."""


@evidence.command("new-key")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def new_key_command(file: Path) -> None:
    """Write a new private key to FILE and print the public one, for GRIDWING_SEAL_KEY.

    Whoever loses FILE loses the originals: keep it off the server, and a copy of it elsewhere.
    """
    private, public = new_key()
    try:
        file.touch(mode=0o600, exist_ok=False)
        file.write_text(f"{private}\n")
    except OSError as error:
        fail(f"{file}: {error.strerror}")
    click.echo(public)


@evidence.command("unseal")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--key",
    "key_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="File with the private key.",
)
@click.option("--purpose", type=click.Choice(PURPOSES), required=True, help="What for.")
@click.option("--by", required=True, help="Account that opens it: an auditor or administrator.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Where to write."
)
def unseal_command(file: Path, key_file: Path, purpose: str, by: str, out: Path) -> None:
    """Open the sealed original FILE. The ledger is told before it is written (DATABASE_APP_URL)."""
    given = settings()
    try:
        if not SHA256.fullmatch(file.stem):
            raise SealError(f"{file}: a sealed original keeps the name of its picture")
        original = unseal(file.read_bytes(), key_file.read_text().strip())
        if out.exists():
            raise ValueError(f"--out {out} is there already")
        url = required(given.database_app_url, "DATABASE_APP_URL")
        asyncio.run(_told(url, given.clock(), by, EvidenceUnsealed(file.stem, purpose)))
        out.touch(mode=0o600, exist_ok=False)
        out.write_bytes(original)
    except (ValueError, OSError, psycopg.Error) as error:
        fail(str(error))
    click.echo(f"{len(original)} bytes written to {out}; the ledger says that {by} opened it")


async def _told(url: str, clock: Clock, by: str, event: EvidenceUnsealed) -> None:
    """Write down who opens it. Raises ValueError where that account may not."""
    async with open_pool(url, 1) as pool:
        async with pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT role FROM account WHERE account = %s AND NOT disabled", [by]
            )
            row = await cursor.fetchone()
        if row is None:
            raise ValueError(f"--by {by}: no such account; `gridwing admin create` makes one")
        if not allow(Principal(by, Role(row[0])), "original.read"):
            raise ValueError(f"--by {by}: a {row[0]} may not open sealed originals")
        async with PostgresLedger(pool).transaction() as tx:
            await tx.append(f"evidence/{event.sha256}", [event], at=clock.now(), actor=by)
