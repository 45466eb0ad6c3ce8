"""Devices reach the broker over TLS with a certificate of our own making, as in docker-compose."""

import asyncio
import os
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridwing.broker import Broker, directed, start_broker
from gridwing.premises import free_port, premises
from runtime.bus import Address, MqttBus
from runtime.intake import MqttIntake

ROOT = Path(__file__).resolve().parents[2]


def certificate(folder: Path, *names: str) -> None:
    subprocess.run(
        ["/bin/sh", str(ROOT / "deploy/certificate.sh"), str(folder), *names],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip


@pytest.fixture
def secure() -> Iterator[tuple[Broker, str]]:
    """Give a broker with the TLS listener of docker-compose, and its mqtts address."""
    broker = start_broker(ROOT, f"test-tls-{os.getpid()}", fresh=True)
    place = premises(ROOT)
    try:
        port = free_port(place, "test-tls")
        certificate(broker.folder, "localhost", "127.0.0.1")
        added = directed(
            (ROOT / "deploy/mosquitto-tls.conf").read_text(),
            {
                "listener": f"{port} 127.0.0.1",
                "certfile": str(broker.folder / "certificate.pem"),
                "keyfile": str(broker.folder / "key.pem"),
            },
        )
        with (broker.folder / "mosquitto.conf").open("a") as conf:
            conf.write(added)
        for name in ("certificate.pem", "key.pem"):
            place.hand_over(broker.folder / name)
        broker.restart()
        account = broker.url.removeprefix("mqtt://").partition("@")[0]
        yield broker, f"mqtts://{account}@localhost:{port}"
    finally:
        broker.stop(erase=True)


async def test_what_is_said_over_tls_arrives(
    secure: tuple[Broker, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, url = secure
    monkeypatch.setenv("SSL_CERT_FILE", str(broker.folder / "authority.pem"))
    async with (
        MqttIntake(url, "tls-intake", ["gridwing/telemetry/+"]) as intake,
        MqttBus(url.replace("localhost", "127.0.0.1"), "tls-device") as bus,
    ):
        while not intake.connected:  # noqa: ASYNC110  (told by the broker)
            await asyncio.sleep(0.05)
        await bus.publish("gridwing/telemetry/D1", b"{}")
        batch = await intake.batch()
        assert [(m.topic, m.payload) for m in batch] == [("gridwing/telemetry/D1", b"{}")]
        await intake.acknowledge(batch)


async def test_a_broker_of_an_unknown_authority_is_refused(secure: tuple[Broker, str]) -> None:
    address = Address.of(secure[1])
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection(address.host, address.port, ssl=address.tls())


def test_renewing_keeps_the_authority(tmp_path: Path) -> None:
    certificate(tmp_path, "broker.example")
    authority, first = ((tmp_path / f"{n}.pem").read_bytes() for n in ("authority", "certificate"))
    certificate(tmp_path, "broker.example", "::1", "192.0.2.7")
    assert (tmp_path / "authority.pem").read_bytes() == authority
    assert (tmp_path / "certificate.pem").read_bytes() != first
    told = subprocess.run(
        ["/usr/bin/openssl", "x509", "-noout", "-ext", "subjectAltName",
         "-in", str(tmp_path / "certificate.pem")],
        check=True, capture_output=True, text=True, timeout=10,
    ).stdout  # fmt: skip
    assert "DNS:broker.example" in told
    assert "IP Address:192.0.2.7" in told
    verified = ["/usr/bin/openssl", "verify", "-CAfile", str(tmp_path / "authority.pem")]
    subprocess.run([*verified, str(tmp_path / "certificate.pem")], check=True, timeout=10)
