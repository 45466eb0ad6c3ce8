"""PostgreSQL: the pool of a part, and numbered migrations applied once and never changed."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

MIGRATIONS = Path(__file__).parent / "migrations"
MIGRATION_LOCK = 0x47524944  # "GRID"
POOL_MAX_CONNECTIONS = 8
POOL_TIMEOUT_S = 30.0
POOL_RECONNECT_S = 4.0
CONNECT_TIMEOUT_S = 10
IDLE_IN_TRANSACTION_S = 20
ROLE_ABOVE_ROW_SECURITY = (
    "SELECT rolname, rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user"
)

Pool = AsyncConnectionPool[psycopg.AsyncConnection[Any]]


class MigrationError(RuntimeError):
    """A migration was changed after it was applied, or the database is newer than this program."""


@asynccontextmanager
async def open_pool(
    url: str, max_size: int = POOL_MAX_CONNECTIONS, *, checked: bool = True
) -> AsyncIterator[Pool]:
    """Give a pool of autocommit-off connections; opened and checked before the body runs.

    Each loan is `checked` by a query first, unless the borrower tries again on its own.
    """
    options = f"-c jit=off -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_S}s"
    pool: Pool = AsyncConnectionPool(
        url,
        min_size=1,
        max_size=max_size,
        timeout=POOL_TIMEOUT_S,
        # Beyond it the pool would wait twice as long each time, up to minutes after the server's
        # return; given up, the next borrower makes it try at once.
        reconnect_timeout=POOL_RECONNECT_S,
        open=False,
        check=AsyncConnectionPool.check_connection if checked else None,
        kwargs={"connect_timeout": CONNECT_TIMEOUT_S, "options": options},
    )
    async with pool:
        await pool.wait(POOL_TIMEOUT_S)
        yield pool


def migrate(owner_url: str) -> list[str]:
    """Apply what is missing, each migration in its own transaction; return the names applied.

    Raises MigrationError when an applied migration's text has changed or is unknown here.
    """
    applied: list[str] = []
    with psycopg.connect(owner_url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migration ("
            " name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz DEFAULT now())"
        )
        connection.commit()
        rows = connection.execute("SELECT name, sha256 FROM migration").fetchall()
        known: dict[str, str] = {str(name): str(digest) for name, digest in rows}
        connection.commit()
        files = {path.name: path.read_text() for path in sorted(MIGRATIONS.glob("[0-9]*.sql"))}
        if unknown := sorted(set(known) - set(files)):
            raise MigrationError(f"this program does not know {unknown[0]}: it is too old")
        for name, text in files.items():
            digest = hashlib.sha256(text.encode()).hexdigest()
            if name in known:
                if known[name] != digest:
                    raise MigrationError(f"{name} was changed after it was applied")
                continue
            with connection.transaction():
                connection.execute(text.encode())
                connection.execute("INSERT INTO migration VALUES (%s, %s)", [name, digest])
            applied.append(name)
    return applied


async def refuse_powerful_role(pool: Pool) -> None:
    """Raise PermissionError when the pool's role could see through row-level security."""
    async with pool.connection() as connection:
        row = await (await connection.execute(ROLE_ABOVE_ROW_SECURITY)).fetchone()
    assert row is not None
    if row[1]:
        raise PermissionError(
            f"role {row[0]} is superuser or bypasses row-level security; use gridwing_app"
        )


def going_on() -> bool:
    """Return True, or raise CancelledError where this task was told to end.

    A query cut short by a cancellation may end in an error of its own that hides it, and
    asyncio.wait_for of Python 3.11, which waits for every query, loses one that comes together
    with the answer. A loop that asks here before each round, and whoever goes on after an error,
    ends all the same.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
    return True
