"""A private mosquitto on a free loopback port, with the configuration of deploy/mosquitto.conf.

Two accounts with generated passwords: `gridwing` for the services, `device` for the simulated
hardware, which may say and hear only what real devices do (deploy/mosquitto.acl).
"""

import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from gridwing.needs import SERVER_PATH
from gridwing.premises import (
    Premises,
    SetupError,
    free_port,
    port_is_free,
    premises,
    write_private,
)

SERVICE_ACCOUNT = "gridwing"
DEVICE_ACCOUNT = "device"

START_TIMEOUT_S = 10
STOP_TIMEOUT_S = 10
POLL_S = 0.02


class BrokerBusy(SetupError):
    """The broker of this name is in use by another run of the same checkout."""


@dataclass(slots=True)
class Broker:
    """A private broker this process holds. Use as a context manager, or call `stop` when done."""

    folder: Path
    port: int
    _place: Premises = field(repr=False)
    _passwords: dict[str, str] = field(repr=False)
    _lock: IO[str] = field(repr=False)
    _server: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """For the services: every topic."""
        return self._url(SERVICE_ACCOUNT)

    @property
    def device_url(self) -> str:
        """For simulated hardware: the topics of deploy/mosquitto.acl, no others."""
        return self._url(DEVICE_ACCOUNT)

    @property
    def pid(self) -> int | None:
        """The server's process, None when it is not running."""
        return self._server.pid if self._server is not None and self.running() else None

    def running(self) -> bool:
        """Whether the server's process lives."""
        return self._server is not None and self._server.poll() is None

    def restart(self) -> None:
        """Start the server again on the same port with what it had saved, ending it first."""
        self._end(signal.SIGTERM)
        self._start()

    def kill(self) -> None:
        """End the server as a power cut would; `restart` brings back what was saved."""
        self._end(signal.SIGKILL)

    def stop(self, *, erase: bool = False) -> None:
        """Stop the server, and with `erase` remove all it kept. A second call does nothing."""
        if self._lock.closed:
            return
        self._end(signal.SIGTERM)
        if erase:
            shutil.rmtree(self.folder)
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _url(self, account: str) -> str:
        return f"mqtt://{account}:{self._passwords[account]}@127.0.0.1:{self.port}"

    def _start(self) -> None:
        with (self.folder / "mosquitto.log").open("wb") as log:
            command = [_mosquitto(), "-c", str(self.folder / "mosquitto.conf")]
            server = self._server = self._place.start(command, log)
        (self.folder / "pid").write_text(str(server.pid))
        deadline = time.monotonic() + START_TIMEOUT_S
        while server.poll() is None and time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(POLL_S)
        said = (self.folder / "mosquitto.log").read_text(errors="replace").strip()
        self._end(signal.SIGKILL)
        raise SetupError(f"The private broker did not start:\n{said}")

    def _end(self, how: signal.Signals) -> None:
        server, self._server = self._server, None
        if server is None:
            return
        server.send_signal(how)
        try:
            server.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def start_broker(root: Path, name: str, *, fresh: bool = False) -> Broker:
    """Start the private broker called `name` of the checkout at `root`.

    What it had queued and retained is kept, unless it is to start `fresh`.

    Raises BrokerBusy when a run beside this one holds that name, SetupError when mosquitto is
    missing or does not start.
    """
    _mosquitto()
    place = premises(root)
    folder = place.folder(f"broker-{name}", for_server=True)
    lock = (folder / "lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise BrokerBusy(
            f"Another run of this checkout holds the broker {name!r}: stop it first."
        ) from None
    _end_leftover(folder)
    if fresh:
        shutil.rmtree(folder / "kept", ignore_errors=True)
    remembered = folder / "port"
    port = int(remembered.read_text()) if remembered.exists() else 0
    if not port or not port_is_free(port):
        port = free_port(place, f"broker-{name}")
    write_private(remembered, str(port))
    broker = Broker(folder, port, place, _passwords(place, folder), lock)
    _configure(place, folder, root / "deploy", port)
    try:
        broker._start()
    except SetupError:
        lock.close()
        raise
    return broker


def directed(conf: str, changes: Mapping[str, str]) -> str:
    """mosquitto's configuration with the values of some directives replaced.

    Raises ValueError on a directive that does not stand in the file exactly once.
    """
    lines = conf.splitlines()
    for directive, value in changes.items():
        places = [i for i, line in enumerate(lines) if line.split(" ", 1)[0] == directive]
        if len(places) != 1:
            raise ValueError(
                f"{directive}: expected once in mosquitto.conf, found {len(places)} times"
            )
        lines[places[0]] = f"{directive} {value}"
    return "\n".join(lines) + "\n"


def _mosquitto() -> str:
    found = shutil.which("mosquitto", path=SERVER_PATH)
    if found is None:
        raise SetupError("mosquitto is missing: run `make setup`.")
    return found


def _passwords(place: Premises, folder: Path) -> dict[str, str]:
    path, hashed = folder / "passwords.json", folder / "passwords"
    if path.exists() and hashed.exists():
        return {str(account): str(word) for account, word in json.loads(path.read_text()).items()}
    made = {account: secrets.token_urlsafe(24) for account in (SERVICE_ACCOUNT, DEVICE_ACCOUNT)}
    # Plain at first: mosquitto_passwd hashes in place, and no password stands on a command line.
    write_private(hashed, "".join(f"{account}:{word}\n" for account, word in made.items()))
    program = shutil.which("mosquitto_passwd", path=SERVER_PATH)
    if program is None:
        raise SetupError("mosquitto_passwd is missing: run `make setup`.")
    done = subprocess.run(
        [program, "-U", str(hashed)], capture_output=True, text=True, check=False, timeout=30
    )
    if done.returncode != 0:
        hashed.unlink()
        raise SetupError(f"mosquitto_passwd failed: {done.stderr.strip()}")
    place.hand_over(hashed)
    write_private(path, json.dumps(made))
    return made


def _configure(place: Premises, folder: Path, deploy: Path, port: int) -> None:
    # Its own copy: the servers' user cannot look into every checkout.
    acl = folder / "mosquitto.acl"
    write_private(acl, (deploy / "mosquitto.acl").read_text())
    kept = folder / "kept"
    kept.mkdir(mode=0o700, exist_ok=True)
    conf = folder / "mosquitto.conf"
    text = directed(
        (deploy / "mosquitto.conf").read_text(),
        {
            "listener": f"{port} 127.0.0.1",
            "persistence_location": f"{kept}/",
            "password_file": str(folder / "passwords"),
            "acl_file": str(acl),
        },
    )
    write_private(conf, text)
    for path in (acl, kept, conf):
        place.hand_over(path)


def _end_leftover(folder: Path) -> None:
    """Stop the server of a run that was killed: its lock is gone, so nobody uses it."""
    try:
        pid = int((folder / "pid").read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (OSError, ValueError):
        return
    if os.fsencode(folder / "mosquitto.conf") not in command:
        return
    deadline = time.monotonic() + STOP_TIMEOUT_S
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        while Path(f"/proc/{pid}/cmdline").read_bytes() and time.monotonic() < deadline:
            time.sleep(POLL_S)
