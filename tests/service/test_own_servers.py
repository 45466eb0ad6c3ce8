"""Tests given somebody's servers in the environment leave them alone."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg

from gridwing.cluster import DatabaseUrls

ROOT = Path(__file__).resolve().parents[2]


def test_a_test_run_touches_no_server_it_was_not_given(
    blank_database_urls: DatabaseUrls,
) -> None:
    name = blank_database_urls.owner.rpartition("/")[2]
    with psycopg.connect(blank_database_urls.owner, autocommit=True) as watch:
        before = watch.execute("SELECT count(*) FROM pg_class").fetchone()
        foreign = {
            "DATABASE_URL": blank_database_urls.service,
            "DATABASE_OWNER_URL": blank_database_urls.owner,
            "DATABASE_APP_URL": blank_database_urls.app,
            "MQTT_URL": "mqtt://127.0.0.1:9",
        }
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
             "tests/service/test_registry.py::test_a_saved_district_is_read_back_whole",
             "tests/service/test_broker.py::test_strangers_are_refused"],
            cwd=ROOT, env={**os.environ, **foreign}, capture_output=True, text=True, check=False,
            timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        assert watch.execute("SELECT count(*) FROM pg_class").fetchone() == before
        sessions = watch.execute(
            "SELECT sessions FROM pg_stat_database WHERE datname = %s", [name]
        ).fetchone()
        assert sessions == (1,)
