"""What the machine itself must have, and which Debian or Ubuntu packages bring it.

Standard library only: the set-up reads this before anything is installed.
"""

import ctypes
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# Debian's and Ubuntu's own PostgreSQL, by release.
POSTGRES_MAJOR = {"bookworm": 15, "trixie": 17, "noble": 16}
# Libraries renamed in the 64-bit time_t move.
GLIB_PACKAGE = {"bookworm": "libglib2.0-0"}
SERVER_PATH = "/usr/local/sbin:/usr/sbin:/usr/local/bin:/usr/bin"
VERSION_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Need:
    """One thing the machine must have: where it was found, or the packages that bring it."""

    name: str
    found: str | None
    packages: tuple[str, ...]
    tests_only: bool = False


def needs(release: Mapping[str, str]) -> list[Need]:
    """Everything looked for, found or not. `release` is /etc/os-release as a mapping."""
    codename = release.get("VERSION_CODENAME", "")
    debian = release.get("ID") == "debian"
    major = POSTGRES_MAJOR.get(codename, 17)
    venv = importlib.util.find_spec("ensurepip") is not None
    libraries = {
        "libGL.so.1": "libgl1",
        "libgthread-2.0.so.0": GLIB_PACKAGE.get(codename, "libglib2.0-0t64"),
    }
    return [
        Need("python venv", sys.executable if venv else None, ("python3-venv",)),
        Need(
            "PostgreSQL with PostGIS",
            _postgis(),
            (f"postgresql-{major}", f"postgresql-{major}-postgis-3"),
        ),
        Need("mosquitto", shutil.which("mosquitto", path=SERVER_PATH), ("mosquitto",)),
        *(Need(library, _library(library), (package,)) for library, package in libraries.items()),
        Need(
            "mosquitto_pub", shutil.which("mosquitto_pub"), ("mosquitto-clients",), tests_only=True
        ),
        # Ubuntu's chromium package only points to a snap; the set-up fetches Playwright's instead.
        Need("Chromium", find_chromium(), ("chromium",) if debian else (), tests_only=True),
        Need("Chinese font", _chinese_font(), ("fonts-noto-cjk",), tests_only=True),
    ]


def os_release(path: Path = Path("/etc/os-release")) -> dict[str, str]:
    """The distribution's own description of itself; empty where there is none."""
    if not path.exists():
        return {}
    pairs = (line.partition("=") for line in path.read_text().splitlines() if "=" in line)
    return {name: value.strip("\"'") for name, _, value in pairs}


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """One PostgreSQL major version that has PostGIS beside it."""

    major: int
    folder: Path


def find_postgres() -> list[PostgresBinaries]:
    """Every PostgreSQL here with PostGIS, newest first: Debian's folders, else PATH's pg_config."""
    found = [
        PostgresBinaries(int(folder.parent.name), folder)
        for folder in Path("/usr/lib/postgresql").glob("*/bin")
        if _is_whole(folder, Path("/usr/share/postgresql") / folder.parent.name)
    ]
    pg_config = shutil.which("pg_config")
    if not found and pg_config is not None:
        version, folder, share = (
            output_of(pg_config, what) for what in ("--version", "--bindir", "--sharedir")
        )
        major = re.search(r"\d+", version)
        if major and _is_whole(Path(folder), Path(share)):
            found = [PostgresBinaries(int(major.group()), Path(folder))]
    return sorted(found, key=lambda one: one.major, reverse=True)


def find_node(path: str | None = None) -> Path | None:
    """A Node new enough for the web build, on PATH or on `path`."""
    node = shutil.which("node", path=path)
    return Path(node) if node and is_node_new_enough(output_of(node, "--version")) else None


def is_node_new_enough(version: str) -> bool:
    """Vite's own rule, on `node --version`'s answer."""
    match = re.fullmatch(r"v(\d+)\.(\d+)\.\d+.*", version)
    if match is None:
        return False
    major, minor = int(match.group(1)), int(match.group(2))
    return (major == 20 and minor >= 19) or (major == 22 and minor >= 12) or major > 22


def find_chromium() -> str | None:
    """The system's Chromium or Chrome, for the tests' browser."""
    for name in ("chromium", "google-chrome"):
        if found := shutil.which(name):
            return found
    return None


def output_of(*command: str) -> str:
    """What a command prints when asked its version; empty when it cannot be run."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=VERSION_TIMEOUT_S
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _postgis() -> str | None:
    found = find_postgres()
    return str(found[0].folder) if found else None


def _is_whole(folder: Path, share: Path) -> bool:
    return (folder / "initdb").exists() and (share / "extension" / "postgis.control").exists()


def _library(name: str) -> str | None:
    try:
        ctypes.CDLL(name)
    except OSError:
        return None
    return name


def _chinese_font() -> str | None:
    for pattern in ("NotoSansCJK*", "NotoSansSC*", "wqy-*", "SourceHanSans*"):
        for found in Path("/usr/share/fonts").rglob(pattern):
            return str(found)
    return None
