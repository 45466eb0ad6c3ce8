"""Where a checkout keeps its things, and which ports it takes."""

import socket
from pathlib import Path

import pytest

from gridwing.premises import (
    FIRST_PORT,
    LAST_PORT,
    SOCKET_FOLDER_MAX_BYTES,
    Premises,
    free_port,
    premises,
    write_private,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def place(tmp_path: Path) -> Premises:
    return Premises(tmp_path, tmp_path, tmp_path, None, None)


def test_a_purpose_has_one_port_while_it_is_free(place: Premises) -> None:
    port = free_port(place, "web")
    assert FIRST_PORT <= port <= LAST_PORT
    assert free_port(place, "web") == port
    with socket.create_server(("127.0.0.1", port)):
        assert free_port(place, "web") != port
    assert free_port(place, "web", [port]) != port


def test_a_checkout_has_folders_of_its_own_closed_to_others() -> None:
    places = [premises(ROOT), premises(ROOT)]
    assert places[0] == places[1]
    assert len(bytes(places[0].run)) <= SOCKET_FOLDER_MAX_BYTES
    assert places[0].run.stat().st_mode & 0o077 == 0


def test_a_secret_replaces_the_one_before_and_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_private(path, "first")
    write_private(path, "second")
    assert path.read_text() == "second"
    assert path.stat().st_mode & 0o077 == 0
    assert [one.name for one in tmp_path.iterdir()] == ["secret"]
