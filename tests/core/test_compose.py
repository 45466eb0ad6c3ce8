"""docker-compose.yml, checked by its schema and by what this house asks of it.

compose_spec.json is docker-compose 1.29.2's copy of the Compose specification (Apache-2.0).
"""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft201909Validator

from gridwing.broker import directed
from gridwing.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("ingest", "watch", "patrol", "alerts", "web")
REFERENCE = re.compile(r"\$\{(\w+)(:[-?])?([^}]*)\}")


@pytest.fixture(scope="module")
def text() -> str:
    return (ROOT / "docker-compose.yml").read_text()


@pytest.fixture(scope="module")
def compose(text: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def test_it_follows_the_compose_specification(compose: dict[str, Any]) -> None:
    schema = json.loads((Path(__file__).parent / "compose_spec.json").read_text())
    problems = [
        f"{'.'.join(map(str, error.path))}: {error.message}"
        for error in Draft201909Validator(schema).iter_errors(compose)
    ]
    assert not problems, "\n".join(problems)


def test_no_secret_has_a_default(text: str) -> None:
    references = REFERENCE.findall(text)
    secrets = {name for name, _, _ in references if "PASSWORD" in name}
    assert len(secrets) == 5
    for name, operator, _ in references:
        assert operator == (":?" if name in secrets else ":-"), name


def test_no_password_is_written_down(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            if "PASSWORD" in name or "_URL" in name:
                assert "@" not in value or "${GRIDWING" in value, name
                assert "PASSWORD" not in name or value.startswith("${"), name


@pytest.mark.parametrize("part", [*PARTS, "migrate"])
def test_each_part_is_the_one_image_with_its_own_command(
    compose: dict[str, Any], part: str
) -> None:
    service = compose["services"][part]
    assert service["command"] == [part]
    assert part in COMMANDS
    assert service["image"] == compose["services"]["web"]["image"]
    assert service["build"]["dockerfile"] == "deploy/Dockerfile"


def test_parts_wait_for_the_migration_and_tell_their_health(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for part in PARTS:
        assert services[part]["depends_on"]["migrate"] == {
            "condition": "service_completed_successfully"
        }
        assert services[part]["healthcheck"]["test"]
        assert services[part]["restart"] == "unless-stopped"
    assert services["migrate"]["restart"] == "no"
    for server in ("postgres", "mosquitto"):
        assert services[server]["healthcheck"]["test"]


def test_each_part_has_only_its_own_role(compose: dict[str, Any]) -> None:
    roles: dict[str, set[str]] = {name: set() for name in (*PARTS, "migrate")}
    for name, found in roles.items():
        environment = compose["services"][name]["environment"]
        found.update(re.findall(r"gridwing_(\w+):", " ".join(environment.values())))
    assert roles.pop("migrate") == {"owner"}
    assert roles.pop("web") == {"app"}
    assert all(found == {"service"} for found in roles.values())


def test_every_volume_is_declared_and_every_mounted_file_is_here(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for mount in service.get("volumes", []):
            source = REFERENCE.sub(r"\3", mount).split(":")[0]
            if source == "./deploy/tls":
                continue  # made where it runs, by deploy/certificate.sh
            if source.startswith("./"):
                assert (ROOT / source).is_file(), source
            else:
                assert source in compose["volumes"]


def test_ports_are_published_on_loopback_unless_told_otherwise(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for port in service.get("ports", []):
            assert ":-127.0.0.1}" in port


def test_the_image_holds_every_room_and_what_it_copies_is_here() -> None:
    recipe = (ROOT / "deploy" / "Dockerfile").read_text()
    copied = re.findall(r"^COPY (?!--)(\S+)", recipe, re.MULTILINE)
    for source in copied:
        assert (ROOT / source).exists(), source
    for room in ("domain", "geo", "models", "runtime", "services", "simulators", "gridwing"):
        assert f"{room}/" in copied


def test_the_broker_keeps_more_than_its_own_defaults() -> None:
    lines = (ROOT / "deploy" / "mosquitto.conf").read_text().splitlines()
    settings = dict(line.split(" ", 1) for line in lines if line and line[0] != "#")
    assert settings["allow_anonymous"] == "false"
    assert settings["persistence"] == "true"
    assert int(settings["max_queued_messages"]) > 100_000
    assert int(settings["autosave_interval"]) == 1
    assert int(settings["max_packet_size"]) >= 2 * 1024 * 1024


def test_a_directive_is_replaced_only_where_it_stands_once() -> None:
    assert directed("listener 1883\n# listener\n", {"listener": "1 ::1"}) == (
        "listener 1 ::1\n# listener\n"
    )
    for conf in ("", "listener 1\nlistener 2\n"):
        with pytest.raises(ValueError, match="listener: expected once"):
            directed(conf, {"listener": "1"})


@pytest.mark.parametrize(
    "script",
    [
        "deploy/certificate.sh",
        "deploy/mosquitto-start.sh",
        "deploy/postgres-roles.sh",
        "tools/packages.sh",
    ],
)
def test_scripts_parse(script: str) -> None:
    shell = shutil.which("bash")
    assert shell is not None
    subprocess.run([shell, "-n", str(ROOT / script)], check=True, timeout=10)
