"""Migrations are applied once, in order, never changed; a role above the rules is refused."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from gridwing.cluster import ADMIN, Cluster, DatabaseUrls
from runtime import database
from runtime.database import (
    MIGRATIONS,
    MigrationError,
    going_on,
    migrate,
    open_pool,
    refuse_powerful_role,
)

NAMES = sorted(path.name for path in MIGRATIONS.glob("[0-9]*.sql"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of migrations of the test's own."""
    monkeypatch.setattr(database, "MIGRATIONS", tmp_path)
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE first (n int);")
    (tmp_path / "0002_second.sql").write_text("CREATE TABLE second (n int);")
    return tmp_path


def tables(urls: DatabaseUrls) -> set[str]:
    with psycopg.connect(urls.owner) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {str(row[0]) for row in rows.fetchall()}


def test_numbers_are_unique_and_without_gaps() -> None:
    assert [name[:4] for name in NAMES] == [f"{n:04}" for n in range(1, len(NAMES) + 1)]


def test_all_are_applied_in_order_and_only_once(blank_database_urls: DatabaseUrls) -> None:
    assert migrate(blank_database_urls.owner) == NAMES
    assert migrate(blank_database_urls.owner) == []


def test_two_at_once_do_it_once(blank_database_urls: DatabaseUrls) -> None:
    applied: list[str] = []
    work = [
        threading.Thread(target=lambda: applied.extend(migrate(blank_database_urls.owner)))
        for _ in range(3)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert sorted(applied) == NAMES


def test_a_changed_migration_is_refused(blank_database_urls: DatabaseUrls, folder: Path) -> None:
    migrate(blank_database_urls.owner)
    (folder / "0001_first.sql").write_text("CREATE TABLE first (n bigint);")
    with pytest.raises(MigrationError, match=r"0001_first.sql was changed"):
        migrate(blank_database_urls.owner)


def test_an_unknown_migration_is_refused(blank_database_urls: DatabaseUrls, folder: Path) -> None:
    migrate(blank_database_urls.owner)
    (folder / "0002_second.sql").unlink()
    with pytest.raises(MigrationError, match="too old"):
        migrate(blank_database_urls.owner)


def test_a_failing_migration_leaves_nothing_of_itself(
    blank_database_urls: DatabaseUrls, folder: Path
) -> None:
    (folder / "0002_second.sql").write_text("CREATE TABLE second (n int); SELECT 1 / 0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(blank_database_urls.owner)
    assert {"first"} == tables(blank_database_urls) & {"first", "second"}
    (folder / "0002_second.sql").write_text("CREATE TABLE second (n int);")
    assert migrate(blank_database_urls.owner) == ["0002_second.sql"]


@pytest.fixture
def bypassing_url(cluster: Cluster) -> Iterator[str]:
    """A login that row-level security does not bind."""
    role = f"test_bypass_{os.getpid()}"
    with cluster._admin() as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN BYPASSRLS PASSWORD 'bypass'".encode())
        yield f"postgresql://{role}:bypass@127.0.0.1:{cluster.port}/postgres"
        connection.execute(f"DROP ROLE {role}".encode())


async def test_a_role_above_the_rules_is_refused(
    cluster: Cluster, bypassing_url: str, database_urls: DatabaseUrls
) -> None:
    async with open_pool(database_urls.app) as pool:
        await refuse_powerful_role(pool)
    for url in (bypassing_url, cluster._url(ADMIN, "postgres")):
        async with open_pool(url) as pool:
            with pytest.raises(PermissionError, match="use gridwing_app"):
                await refuse_powerful_role(pool)


async def test_a_loop_ends_though_its_cancellation_was_swallowed() -> None:
    """What asyncio.wait_for does on Python 3.11 when the answer comes with the cancellation."""
    rounds = 0

    async def swallowing() -> None:
        nonlocal rounds
        while going_on():
            rounds += 1
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    task = asyncio.create_task(swallowing())
    await asyncio.sleep(0.05)
    task.cancel()
    async with asyncio.timeout(2):
        await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert rounds >= 1
