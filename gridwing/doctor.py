"""What this checkout and this machine lack, each with its cure."""

import re
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import psycopg

from gridwing.needs import find_node, find_postgres, needs, os_release, output_of
from gridwing.premises import FIRST_PORT, LAST_PORT, SetupError, free_port, premises
from gridwing.prepare import NODE_FLOOR, npm_of_wheel
from models.catalogue import cards, whole
from runtime.database import ROLE_ABOVE_ROW_SECURITY

PYTHON_FLOOR = (3, 11)
SETUP = "make setup"
# Each of them brings the same files: a second one overwrites the first.
OPENCV = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
CONNECT_TIMEOUT_S = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at. `cure` is what to type where it is not `ok`.

    `required` is false for what only the tests or the web build use.
    """

    name: str
    ok: bool
    detail: str
    cure: str
    required: bool = True


def check(root: Path, app_url: str = "") -> list[Finding]:
    """Look at everything, and at the web part's database role where `app_url` is given."""
    findings = [
        _python(),
        *_machine(),
        *_versions(),
        _packages(root),
        _opencv(),
        _node(root),
        _pages(root),
        *_weights(root),
        _ports(root),
    ]
    return findings + ([_app_role(app_url)] if app_url else [])


def _python() -> Finding:
    version = sys.version.split()[0]
    floor = ".".join(map(str, PYTHON_FLOOR))
    return Finding(
        "Python", sys.version_info >= PYTHON_FLOOR, version, f"install Python {floor} or newer"
    )


def _machine() -> list[Finding]:
    return [
        Finding(
            need.name,
            need.found is not None,
            need.found or "missing",
            f"sudo sh tools/packages.sh {' '.join(need.packages)}"
            if need.packages
            else "make test",
            required=not need.tests_only,
        )
        for need in needs(os_release())
    ]


def _versions() -> list[Finding]:
    found = find_postgres()
    postgres = output_of(str(found[0].folder / "postgres"), "--version") if found else ""
    mosquitto = re.search(r"version \S+", output_of("/usr/sbin/mosquitto", "-h"))
    return [
        Finding("PostgreSQL runs", bool(postgres), postgres or "missing", SETUP),
        Finding(
            "mosquitto runs", mosquitto is not None, mosquitto[0] if mosquitto else "missing", SETUP
        ),
    ]


def _packages(root: Path) -> Finding:
    """Installed packages against the lock, save lines that are for some systems only."""
    locked = re.findall(
        r"^([\w.-]+)(?:\[[\w,]+\])?==(\S+) \\$",
        (root / "requirements.lock").read_text(),
        re.MULTILINE,
    )
    wrong = [f"{name} {here or 'missing'}, locked {version}" for name, version in locked
             if (here := _installed(name)) != version]  # fmt: skip
    detail = "; ".join(wrong) or f"{len(locked)} as locked"
    return Finding("Python packages", not wrong, detail, f"rm .venv/setup.json && {SETUP}")


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _opencv() -> Finding:
    found = [name for name in OPENCV if _installed(name)]
    cure = f"rm -r .venv && {SETUP}"
    return Finding("one OpenCV", found == ["opencv-python"], ", ".join(found) or "none", cure)


def _node(root: Path) -> Finding:
    node = find_node() or npm_of_wheel()[1]
    built = (root / "web" / "dist" / "index.html").exists()
    detail = str(node) if node else f"no Node {NODE_FLOOR} or newer"
    return Finding("Node", node is not None, detail, SETUP, required=not built)


def _pages(root: Path) -> Finding:
    page = root / "web" / "dist" / "index.html"
    return Finding("web pages", page.exists(), "built" if page.exists() else "not built", SETUP)


def _weights(root: Path) -> list[Finding]:
    return [
        Finding(
            f"weights {card.name}",
            whole(card),
            card.licence if whole(card) else "missing or not as the card says",
            f"git checkout -- {card.path.relative_to(root)}",
        )
        for card in cards()
    ]


def _ports(root: Path) -> Finding:
    name = "loopback ports"
    try:
        port = free_port(premises(root), "doctor")
    except SetupError as why:
        return Finding(name, False, str(why), f"free a port between {FIRST_PORT} and {LAST_PORT}")
    return Finding(name, True, f"{port} and others are free", "")


def _app_role(url: str) -> Finding:
    """The web's role must stand under row security."""
    name = "database role of the web part"
    cure = "ALTER ROLE … NOSUPERUSER NOBYPASSRLS, or name another role in DATABASE_APP_URL"
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            row = connection.execute(ROLE_ABOVE_ROW_SECURITY).fetchone()
    except psycopg.OperationalError as why:
        return Finding(name, False, str(why).strip(), "check DATABASE_APP_URL and the server")
    assert row is not None
    role, above = row
    return Finding(name, not above, f"{role}{' is above row security' if above else ''}", cure)
