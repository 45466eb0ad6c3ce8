"""A private PostgreSQL/PostGIS cluster for one checkout: made on first use, started when wanted.

Its users each hold a lease; the last one to leave stops the server, and a lease ends with its
process however that dies. Nothing here looks at the system's cluster, at port 5432 or at PG*
variables.
"""

import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from urllib.parse import quote

import psycopg
from psycopg import sql

from gridwing.needs import PostgresBinaries, find_postgres
from gridwing.premises import (
    Premises,
    SetupError,
    free_port,
    locked,
    port_is_free,
    premises,
    write_private,
)

ADMIN = "gridwing_admin"
OWNER = "gridwing_owner"
SERVICE = "gridwing_service"
APP = "gridwing_app"
# Every new database is a copy of this one, which has PostGIS: only the administrator may add it.
BLANK = "gridwing_blank"
DATABASE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30
INITDB_TIMEOUT_S = 120
CONNECT_TIMEOUT_S = 10

SETTINGS = """\
# Written by Gridwing at every start; edits are lost.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
password_encryption = 'scram-sha-256'
max_connections = 200
shared_buffers = '128MB'
max_wal_size = '1GB'
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
logging_collector = on
log_directory = 'log'
log_filename = 'postgresql-%a.log'
log_truncate_on_rotation = on
log_rotation_age = '1d'
log_rotation_size = 0
"""


@dataclass(frozen=True, slots=True)
class DatabaseUrls:
    """One database as its three roles reach it: migrations, the parts, the web."""

    owner: str = field(repr=False)
    service: str = field(repr=False)
    app: str = field(repr=False)


@dataclass(slots=True)
class Cluster:
    """A running private cluster. Use as a context manager, or call `stop` when done."""

    folder: Path
    port: int
    _place: Premises = field(repr=False)
    _binaries: PostgresBinaries = field(repr=False)
    _passwords: dict[str, str] = field(repr=False)
    _lease: IO[str] | None = field(repr=False)

    def urls(self, database: str) -> DatabaseUrls:
        """The database's three addresses."""
        return DatabaseUrls(*(self._url(role, database) for role in (OWNER, SERVICE, APP)))

    def create_database(self, name: str, template: str | None = None) -> None:
        """An empty database with PostGIS, owned by the owner role, or a copy of an idle `template`.

        Raises psycopg.errors.DuplicateDatabase; ValueError on a name that is not [a-z][a-z0-9_]*.
        """
        _check_name(name)
        if template is not None:
            _check_name(template)
        command = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY {}").format(
            sql.Identifier(name),
            sql.Identifier(OWNER),
            sql.Identifier(template or BLANK),
            sql.Identifier("file_copy"),
        )
        with self._admin() as connection:
            connection.execute(command)
            _grant(connection, name)

    def drop_database(self, name: str) -> None:
        """Drop a database, ending whatever is connected to it; one that is absent is no error."""
        _check_name(name)
        with self._admin() as connection:
            connection.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
            )

    @contextmanager
    def outage(self, name: str) -> Iterator[None]:
        """End a database's connections and refuse new ones for as long as the body runs."""
        _check_name(name)
        allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        with self._admin() as connection:
            connection.execute(allow.format(sql.Identifier(name), sql.Literal(False)))
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
            )
            try:
                yield
            finally:
                connection.execute(allow.format(sql.Identifier(name), sql.Literal(True)))

    def databases(self) -> list[str]:
        """The databases made here, the blank one left out."""
        with self._admin() as connection:
            rows = connection.execute(
                "SELECT datname FROM pg_database"
                " WHERE NOT datistemplate AND datname <> ALL(%s) ORDER BY 1",
                [["postgres", BLANK]],
            ).fetchall()
        return [name for (name,) in rows]

    def stop(self) -> None:
        """Give up the lease; the last to leave stops the server. A second call does nothing."""
        lease, self._lease = self._lease, None
        if lease is None:
            return
        with locked(self.folder / "lock"), lease:
            if _is_last(lease):
                _stop_server(self._place, self._binaries, self.folder / "data")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _url(self, role: str, database: str) -> str:
        _check_name(database)
        return (
            f"postgresql://{role}:{quote(self._passwords[role])}@127.0.0.1:{self.port}/{database}"
        )

    def _admin(self, database: str = "postgres") -> "psycopg.Connection[tuple[str, ...]]":
        return psycopg.connect(
            self._url(ADMIN, database), autocommit=True, connect_timeout=CONNECT_TIMEOUT_S
        )


def ensure_cluster(root: Path) -> Cluster:
    """The private cluster of the checkout at `root`, made and started if need be, and leased.

    Raises SetupError when PostgreSQL or PostGIS is missing or the server does not start.
    """
    place = premises(root)
    folder = place.folder("postgres", for_server=True)
    with locked(folder / "lock"):
        binaries = _binaries_for(folder / "data")
        passwords = _passwords(folder)
        fresh = not (folder / "data" / "PG_VERSION").exists()
        if fresh:
            _initialise(place, binaries, folder, passwords[ADMIN])
        lease = (folder / "users").open("a")
        port = _running_port(folder / "data")
        # Packages replaced under a running server leave it half old: functions fail until restart.
        if port is not None and _is_outdated(folder / "data") and _is_last(lease):
            _stop_server(place, binaries, folder / "data")
            port = None
        if port is None:
            port = _start_server(place, binaries, folder)
        fcntl.flock(lease, fcntl.LOCK_SH)
        cluster = Cluster(folder, port, place, binaries, passwords, lease)
        if not (folder / "prepared").exists():
            _prepare(cluster)
            (folder / "prepared").touch()
    return cluster


def _binaries_for(data: Path) -> PostgresBinaries:
    found = find_postgres()
    if not found:
        raise SetupError("PostgreSQL with PostGIS is missing: run `make setup`.")
    if not (data / "PG_VERSION").exists():
        return found[0]
    major = int((data / "PG_VERSION").read_text())
    for one in found:
        if one.major == major:
            return one
    raise SetupError(
        f"The private cluster was made by PostgreSQL {major}, and only {found[0].major} is here:"
        f" install postgresql-{major}-postgis-3, or remove {data.parent} to begin afresh."
    )


def _passwords(folder: Path) -> dict[str, str]:
    path = folder / "passwords.json"
    if path.exists():
        return {str(role): str(word) for role, word in json.loads(path.read_text()).items()}
    made = {role: secrets.token_urlsafe(24) for role in (ADMIN, OWNER, SERVICE, APP)}
    write_private(path, json.dumps(made))
    return made


def _initialise(place: Premises, binaries: PostgresBinaries, folder: Path, password: str) -> None:
    # Whole or absent: initdb cut short leaves only `data.new`, which the next start clears away.
    new = folder / "data.new"
    if new.exists():
        shutil.rmtree(new)
    (folder / "prepared").unlink(missing_ok=True)
    word = folder / "initdb.password"
    write_private(word, password)
    place.hand_over(word)
    try:
        done = place.call(
            [
                str(binaries.folder / "initdb"), f"--pgdata={new}", f"--username={ADMIN}",
                f"--pwfile={word}",
                "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--data-checksums",
            ],
            INITDB_TIMEOUT_S,
        )  # fmt: skip
    finally:
        word.unlink()
    if done.returncode != 0:
        raise SetupError(f"initdb failed:\n{done.stdout.strip()}")
    with (new / "postgresql.conf").open("a") as conf:
        conf.write("include_if_exists = '../gridwing.conf'\n")
    new.replace(folder / "data")


def _start_server(place: Premises, binaries: PostgresBinaries, folder: Path) -> int:
    data = folder / "data"
    # A pid left by a crash may by now be another program's: PostgreSQL would then refuse to start.
    (data / "postmaster.pid").unlink(missing_ok=True)
    remembered = folder / "port"
    port = int(remembered.read_text()) if remembered.exists() else 0
    if not port or not port_is_free(port):
        port = free_port(place, "postgres")
    settings = folder / "gridwing.conf"
    write_private(settings, SETTINGS.format(port=port, sockets=place.run))
    place.hand_over(settings)
    log = folder / "start.log"
    log.unlink(missing_ok=True)
    done = place.call(
        [
            str(binaries.folder / "pg_ctl"), "start", "--wait", f"--pgdata={data}",
            f"--timeout={START_TIMEOUT_S}", f"--log={log}",
        ],
        START_TIMEOUT_S + 10,
    )  # fmt: skip
    if done.returncode != 0:
        said = log.read_text() if log.exists() else done.stdout
        raise SetupError(f"The private PostgreSQL did not start:\n{said.strip()}\nSee {data}/log.")
    write_private(remembered, str(port))
    write_private(folder / "version", _binary_mark(binaries))
    return port


def _stop_server(place: Premises, binaries: PostgresBinaries, data: Path) -> None:
    if _postmaster(data) is None:
        return
    done = place.call(
        [
            str(binaries.folder / "pg_ctl"), "stop", "--wait", f"--pgdata={data}", "--mode=fast",
            f"--timeout={STOP_TIMEOUT_S}",
        ],
        STOP_TIMEOUT_S + 10,
    )  # fmt: skip
    if done.returncode != 0 and (pid := _postmaster(data)) is not None:
        # Immediate shutdown: the write-ahead log makes the next start whole.
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while _postmaster(data) is not None and time.monotonic() < deadline:
            time.sleep(0.05)


def _postmaster(data: Path) -> int | None:
    """The server's pid, if the one written down is alive and is this cluster's."""
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        own = Path(f"/proc/{pid}/cwd").readlink() == data
    except (OSError, ValueError):
        return None
    return pid if own else None


def _running_port(data: Path) -> int | None:
    if _postmaster(data) is None:
        return None
    lines = (data / "postmaster.pid").read_text().split("\n")
    # Line 4 is the port, line 8 the state (PostgreSQL's pidfile.h); a start is waited for.
    deadline = time.monotonic() + START_TIMEOUT_S
    while len(lines) < 8 or lines[7].strip() != "ready":
        if _postmaster(data) is None:
            return None
        if time.monotonic() > deadline:
            raise SetupError(f"The private PostgreSQL has not become ready: see {data}/log.")
        time.sleep(0.05)
        lines = (data / "postmaster.pid").read_text().split("\n")
    return int(lines[3])


def _binary_mark(binaries: PostgresBinaries) -> str:
    status = (binaries.folder / "postgres").stat()
    return f"{binaries.folder} {status.st_size} {status.st_mtime_ns}"


def _is_outdated(data: Path) -> bool:
    mark = data.parent / "version"
    return not mark.exists() or mark.read_text() != _binary_mark(_binaries_for(data))


def _is_last(lease: IO[str]) -> bool:
    """Whether nobody else holds a lease. May give up ours: call it under the lock only."""
    try:
        fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _prepare(cluster: Cluster) -> None:
    """Roles and the blank database; each step may already be there from a start cut short."""
    with cluster._admin() as connection:
        for role in (OWNER, SERVICE, APP):
            known = connection.execute(
                "SELECT 1 FROM pg_roles WHERE rolname = %s", [role]
            ).fetchone()
            verb = "ALTER" if known else "CREATE"
            connection.execute(
                sql.SQL(
                    "{} ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION"
                    " NOBYPASSRLS PASSWORD {}"
                ).format(sql.SQL(verb), sql.Identifier(role), sql.Literal(cluster._passwords[role]))
            )
        connection.execute(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(BLANK))
        )
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(BLANK)))
    with cluster._admin(BLANK) as connection:
        connection.execute("CREATE EXTENSION postgis")
        connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    # Settle the blank database on disk, or the first copy of it waits for the checkpoint.
    with cluster._admin() as connection:
        connection.execute("CHECKPOINT")


def _grant(connection: "psycopg.Connection[tuple[str, ...]]", database: str) -> None:
    connection.execute(
        sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database))
    )
    connection.execute(
        sql.SQL("GRANT CONNECT, TEMPORARY ON DATABASE {} TO {}, {}").format(
            sql.Identifier(database), sql.Identifier(SERVICE), sql.Identifier(APP)
        )
    )


def _check_name(name: str) -> None:
    if not DATABASE_NAME.fullmatch(name):
        raise ValueError(f"database name {name!r}: use lower-case letters, digits and underscores")
