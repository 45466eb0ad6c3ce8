"""The private folders, operating-system user and ports of one checkout.

As root the data live under /var/lib/gridwing/<hash> and sockets under /run, both owned by the
system user `gridwing`, because PostgreSQL refuses to run as root. As anyone else everything lives
in `.local/` of the checkout.
"""

import fcntl
import hashlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

SYSTEM_USER = "gridwing"
# Below Linux's ephemeral range (from 32768): no outgoing connection takes a remembered port.
FIRST_PORT = 20000
LAST_PORT = 31999
# sun_path holds 108 bytes with its closing zero; PostgreSQL adds "/.s.PGSQL.NNNNN.lock".
SOCKET_FOLDER_MAX_BYTES = 107 - len("/.s.PGSQL.65535.lock")


class SetupError(RuntimeError):
    """Something the set-up provides is missing. The message names it and the cure."""


@dataclass(frozen=True, slots=True)
class Premises:
    """Where one checkout keeps what it makes: `data` stays, `run` holds sockets only."""

    root: Path
    data: Path
    run: Path
    # The user the servers run as, or None when they run as whoever starts them.
    uid: int | None
    gid: int | None

    def folder(self, name: str, *, for_server: bool = False) -> Path:
        """A folder under `data`, made if need be; `for_server` hands it to the servers' user."""
        path = self.data / name
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if for_server:
            self.hand_over(path)
        return path

    def hand_over(self, path: Path) -> None:
        """Give a file or folder to the user the servers run as."""
        if self.uid is not None and self.gid is not None:
            os.chown(path, self.uid, self.gid)

    def start(self, command: list[str], output: IO[bytes] | int) -> subprocess.Popen[bytes]:
        """Start a server as its own user, away from the terminal's Ctrl-C."""
        return subprocess.Popen(
            command,
            cwd=self.data,
            env=_server_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=self.uid,
            group=self.gid,
            extra_groups=None if self.uid is None else [],
        )

    def call(self, command: list[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
        """Run a command to its end as the servers' user; output is returned, never raised."""
        # A file, not a pipe: a server left behind by the command would hold a pipe open for ever.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                command,
                cwd=self.data,
                env=_server_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=timeout_s,
                check=False,
                user=self.uid,
                group=self.gid,
                extra_groups=None if self.uid is None else [],
            )
            output.seek(0)
            text = output.read().decode(errors="replace")
        return subprocess.CompletedProcess(command, done.returncode, text, "")


def premises(root: Path) -> Premises:
    """The private places of the checkout at `root`, made if need be.

    Raises SetupError when no folder short enough for a socket can be found.
    """
    root = root.resolve()
    name = hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
    if os.geteuid() == 0:
        uid, gid = _system_user()
        data, run = Path("/var/lib/gridwing") / name, Path(f"/run/gridwing-{name}")
        data.parent.mkdir(mode=0o755, exist_ok=True)
        # The servers' user passes through to its own folders without reading the others' names.
        data.mkdir(mode=0o711, exist_ok=True)
        place = Premises(root, data, run, uid, gid)
    else:
        data = root / ".local"
        data.mkdir(mode=0o700, exist_ok=True)
        place = Premises(root, data, _user_socket_folder(data, name), None, None)
    place.run.mkdir(mode=0o700, parents=True, exist_ok=True)
    if place.run.stat().st_uid not in (os.geteuid(), place.uid):
        raise SetupError(f"{place.run} belongs to another user: remove it, then try again.")
    place.hand_over(place.run)
    return place


def free_port(place: Premises, purpose: str, taken: Collection[int] = ()) -> int:
    """A loopback port nobody listens on: for a purpose always the same, while that is free.

    `taken` are ports given out already whose servers may not have started. Raises SetupError.
    """
    span = LAST_PORT - FIRST_PORT + 1
    seed = hashlib.sha256(f"{place.data}:{purpose}".encode()).digest()
    first = int.from_bytes(seed[:4], "big") % span
    for step in range(span):
        port = FIRST_PORT + (first + step) % span
        if port not in taken and port_is_free(port):
            return port
    raise SetupError(f"No free port between {FIRST_PORT} and {LAST_PORT} on 127.0.0.1.")


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        # As servers do: ports in TIME_WAIT count as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file alone: two starts wait for each other, and any death releases it."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_private(path: Path, text: str) -> None:
    """Write a secret so that it is whole or absent, and readable by its owner alone."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(name).replace(path)


def _server_environment() -> dict[str, str]:
    # Nothing of the caller's PG* or MQTT settings may reach a private server.
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
    }


def _system_user() -> tuple[int, int]:
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        useradd = shutil.which("useradd", path=_server_environment()["PATH"])
        if useradd is None:
            raise SetupError("useradd is missing: apt-get install passwd") from None
        made = subprocess.run(
            [
                useradd,
                "--system",
                "--no-create-home",
                "--home-dir",
                "/nonexistent",
                "--user-group",
                "--shell",
                "/usr/sbin/nologin",
                SYSTEM_USER,
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )
        # 9: the name exists by now, made by a start beside this one.
        if made.returncode not in (0, 9):
            raise SetupError(
                f"Cannot make the system user {SYSTEM_USER}: {made.stderr.strip()}"
            ) from None
        entry = pwd.getpwnam(SYSTEM_USER)
    return entry.pw_uid, entry.pw_gid


def _user_socket_folder(data: Path, name: str) -> Path:
    choices = [data / "run", Path(tempfile.gettempdir()) / f"gridwing-{os.geteuid()}-{name}"]
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        choices.insert(1, Path(runtime) / f"gridwing-{name}")
    for choice in choices:
        if len(os.fsencode(choice)) <= SOCKET_FOLDER_MAX_BYTES and choice.parent.is_dir():
            return choice
    raise SetupError("Every folder for sockets has too long a path: set TMPDIR to a shorter one.")
