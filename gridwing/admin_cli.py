"""Accounts, migrations and the ledger's verification."""

import asyncio
import json
import os

import click
import psycopg

from gridwing.cli import fail
from gridwing.parts_cli import settings
from runtime.access.accounts import Account, password_hash, save_accounts
from runtime.access.principal import Role
from runtime.database import MigrationError, open_pool
from runtime.database import migrate as apply
from runtime.ledger import PostgresLedger, Verification
from runtime.settings import required

PASSWORD_VARIABLE = "GRIDWING_NEW_PASSWORD"  # noqa: S105  (a variable's name)


@click.command()
def migrate() -> None:
    """Apply the migrations that DATABASE_OWNER_URL's database lacks."""
    try:
        applied = apply(required(settings().database_owner_url, "DATABASE_OWNER_URL"))
    except (MigrationError, ValueError, psycopg.OperationalError) as error:
        fail(str(error))
        return
    click.echo("\n".join(applied) or "nothing to do: the database is at this version")


@click.group()
def admin() -> None:
    """Accounts."""


@admin.command()
@click.argument("account")
@click.option("--role", type=click.Choice([r.value for r in Role]), required=True)
@click.option("--display", help="Name shown on screen; the account's by default.")
@click.option("--responder", help="Responder id of a field role.")
def create(account: str, role: str, display: str | None, responder: str | None) -> None:
    """Create or replace ACCOUNT; the password is asked for, or read from GRIDWING_NEW_PASSWORD."""
    secret = os.environ.get(PASSWORD_VARIABLE) or click.prompt(
        "Password", hide_input=True, confirmation_prompt=True
    )
    try:
        hashed = password_hash(secret)
        url = required(settings().database_owner_url, "DATABASE_OWNER_URL")
        with psycopg.connect(url) as connection:
            save_accounts(
                connection, [(Account(account, Role(role), display or account, responder), hashed)]
            )
    except (ValueError, psycopg.Error) as error:
        fail(str(error))
    click.echo(f"{account} may sign in as {role}")


@click.group()
def ledger() -> None:
    """The ledger of everything the street must answer for."""


@ledger.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def verify(as_json: bool) -> None:
    """Recompute every hash and the chain over them; exit 1 when something was changed."""

    async def check() -> Verification:
        async with open_pool(required(settings().database_url, "DATABASE_URL")) as pool:
            return await PostgresLedger(pool).verify()

    try:
        result = asyncio.run(check())
    except (ValueError, psycopg.Error) as error:
        fail(str(error))
        return
    told = {
        "entries": result.entries,
        "ok": result.ok,
        "first_bad": result.first_bad,
        "head": result.head_hash.hex(),
    }
    click.echo(json.dumps(told) if as_json else f"{told}")
    if not result.ok:
        raise SystemExit(1)
