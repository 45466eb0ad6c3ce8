"""Each room loads from this tree: a stranger's top-level `models` would shadow ours otherwise."""

import importlib
import tomllib
from pathlib import Path

import pytest

import gridwing

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
NOT_ROOMS = {"benchmarks", "deploy", "docs", "tests", "tools", "var", "web"}


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_loads_from_this_tree(room: str) -> None:
    found = importlib.import_module(room).__file__
    assert found is not None
    assert Path(found).resolve() == ROOT / room / "__init__.py"


def test_every_folder_is_a_known_one() -> None:
    folders = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name[0] != "."}
    assert folders - NOT_ROOMS - {"__pycache__", "build", "dist", "node_modules"} == set(ROOMS)


def test_the_contracts_know_every_room() -> None:
    assert PROJECT["tool"]["importlinter"]["root_packages"] == ROOMS


def test_one_version_is_told() -> None:
    assert gridwing.__version__ == PROJECT["project"]["version"]
