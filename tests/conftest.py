"""The private servers tests run against: never those named in the environment."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest

from gridwing.broker import Broker, start_broker
from gridwing.cluster import Cluster, DatabaseUrls, ensure_cluster

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "test"
numbers = count(1)
# Addresses of servers that are not the tests' own.
FOREIGN = ("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_APP_URL", "MQTT_URL")


@pytest.fixture(scope="session", autouse=True)
def own_servers_only() -> Iterator[None]:
    """No test can reach a server it was not given on purpose."""
    held = {name: os.environ.pop(name) for name in FOREIGN if name in os.environ}
    yield
    os.environ.update(held)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The checkout's private cluster, rid of what killed test runs left."""
    with ensure_cluster(ROOT) as private:
        for name in private.databases():
            prefix, _, rest = name.partition("_")
            pid = rest.partition("_")[0]
            if prefix == PREFIX and pid.isdecimal() and not Path(f"/proc/{pid}").exists():
                private.drop_database(name)
        yield private


@pytest.fixture(scope="session")
def migrated_template(cluster: Cluster) -> Iterator[str]:
    """A database with all migrations applied, for others to be copied from."""
    from runtime.database import migrate

    with fresh_database(cluster) as name:
        migrate(cluster.urls(name).owner)
        yield name


@pytest.fixture
def blank_database_urls(cluster: Cluster) -> Iterator[DatabaseUrls]:
    """A database with PostGIS and nothing else, for one test."""
    with fresh_database(cluster) as name:
        yield cluster.urls(name)


@pytest.fixture
def database_urls(cluster: Cluster, migrated_template: str) -> Iterator[DatabaseUrls]:
    """A migrated database for one test."""
    with fresh_database(cluster, migrated_template) as name:
        yield cluster.urls(name)


@pytest.fixture(scope="module")
def module_database_urls(cluster: Cluster, migrated_template: str) -> Iterator[DatabaseUrls]:
    """A migrated database the tests of one module share."""
    with fresh_database(cluster, migrated_template) as name:
        yield cluster.urls(name)


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """A broker of this run's own; its topics are shared by all tests, so name devices apart."""
    private = start_broker(ROOT, f"{PREFIX}-{os.getpid()}")
    try:
        yield private
    finally:
        private.stop(erase=True)


@pytest.fixture
def broker_url(broker: Broker) -> str:
    """The services' way in: every topic."""
    return broker.url


@pytest.fixture
def device_broker_url(broker: Broker) -> str:
    """The devices' way in: their topics only."""
    return broker.device_url


@contextmanager
def fresh_database(cluster: Cluster, template: str | None = None) -> Iterator[str]:
    name = f"{PREFIX}_{os.getpid()}_{next(numbers)}"
    cluster.create_database(name, template)
    try:
        yield name
    finally:
        cluster.drop_database(name)
