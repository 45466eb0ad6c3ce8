"""Settings: every variable has bounds, and docs/settings.md describes each."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from runtime import settings as module
from runtime.settings import Settings, required

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "settings.md"
VARIABLE = re.compile(r'"((?:GRIDWING|DATABASE|MQTT)_[A-Z_]+)"')


def test_nothing_set_gives_a_local_production_system() -> None:
    settings = Settings.from_environment({})
    assert (settings.http_host, settings.http_port) == ("127.0.0.1", 8000)
    assert settings.clock().rate == 1.0
    assert not settings.simulation


def test_a_simulated_system_has_its_own_clock() -> None:
    env = {
        "GRIDWING_SIMULATION": "1",
        "GRIDWING_CLOCK_EPOCH": "2026-06-01T06:00:00+08:00",
        "GRIDWING_CLOCK_STARTED": "1000",
        "GRIDWING_CLOCK_RATE": "30",
    }
    clock = Settings.from_environment(env).clock()
    assert (clock.epoch, clock.rate) == (datetime(2026, 5, 31, 22, tzinfo=UTC), 30.0)
    real = Settings.from_environment(env | {"GRIDWING_SIMULATION": "0"})
    with pytest.raises(ValueError, match="GRIDWING_SIMULATION"):
        real.clock()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GRIDWING_HTTP_PORT", "0"),
        ("GRIDWING_HTTP_PORT", "web"),
        ("GRIDWING_HTTP_PORT", "65536"),
        ("GRIDWING_CLOCK_RATE", "0"),
        ("GRIDWING_CLOCK_RATE", "nan"),
        ("GRIDWING_CLOCK_EPOCH", "yesterday"),
        ("GRIDWING_CLOCK_EPOCH", "2026-06-01T06:00:00"),
        ("GRIDWING_LOG", "loud"),
        ("GRIDWING_SIMULATION", "yes"),
        ("GRIDWING_TERRAIN_GEOID_M", "high"),
        ("GRIDWING_SEAL_KEY", "secret"),
    ],
)
def test_what_does_not_fit_is_named(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        Settings.from_environment({name: value})


def test_a_missing_address_names_its_variable() -> None:
    with pytest.raises(ValueError, match="MQTT_URL is not set"):
        required("", "MQTT_URL")


def test_every_variable_is_described() -> None:
    read = set(VARIABLE.findall(Path(module.__file__).read_text()))
    described = set(re.findall(r"`([A-Z_]+)`", DOCUMENT.read_text()))
    assert read - described == set()
