"""The private cluster: its roles, its databases, and who may stop it."""

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from gridwing.cluster import Cluster, DatabaseUrls, ensure_cluster

ROOT = Path(__file__).resolve().parents[2]


def ask(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]


def test_it_is_durable_and_away_from_the_system_server(
    cluster: Cluster, blank_database_urls: DatabaseUrls
) -> None:
    url = blank_database_urls.owner
    assert cluster.port not in (5432, 1883)
    assert ask(url, "SHOW fsync") == "on"
    assert ask(url, "SHOW data_checksums") == "on"
    assert ask(url, "SHOW listen_addresses") == "127.0.0.1"
    assert ask(url, "SHOW unix_socket_permissions") == "0700"
    assert ask(url, "SELECT postgis_lib_version()")


def test_a_wrong_password_is_refused(cluster: Cluster, blank_database_urls: DatabaseUrls) -> None:
    name = blank_database_urls.app.rpartition("/")[2]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(f"postgresql://gridwing_app:guess@127.0.0.1:{cluster.port}/{name}")


def test_only_the_owner_makes_tables_and_nobody_stands_above_row_security(
    blank_database_urls: DatabaseUrls,
) -> None:
    privileged = (
        "SELECT count(*) FROM pg_roles WHERE rolname = current_user"
        " AND (rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole)"
    )
    urls = blank_database_urls
    for url in (urls.owner, urls.service, urls.app):
        assert ask(url, privileged) == 0
    with psycopg.connect(urls.owner) as connection:
        connection.execute("CREATE TABLE spot (place geometry(Point, 4326))")
    for url in (urls.service, urls.app):
        with (
            psycopg.connect(url) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("CREATE TABLE theirs (id int)")


def test_bad_names_are_refused(cluster: Cluster) -> None:
    for name in ("", "Upper", "a b", "x;y", "1st", "a" * 64):
        with pytest.raises(ValueError, match="database name"):
            cluster.create_database(name)


def test_passwords_are_for_their_owner_alone(cluster: Cluster) -> None:
    assert cluster.folder.joinpath("passwords.json").stat().st_mode & 0o077 == 0


def test_a_second_user_neither_starts_nor_stops_it(
    cluster: Cluster, blank_database_urls: DatabaseUrls
) -> None:
    started = ask(blank_database_urls.owner, "SELECT pg_postmaster_start_time()")
    with ensure_cluster(ROOT) as again:
        assert again.port == cluster.port
    once = "import pathlib, gridwing.cluster as c; c.ensure_cluster(pathlib.Path()).stop()"
    beside = [subprocess.Popen([sys.executable, "-c", once], cwd=ROOT) for _ in range(3)]
    assert [one.wait(60) for one in beside] == [0, 0, 0]
    assert ask(blank_database_urls.owner, "SELECT pg_postmaster_start_time()") == started
