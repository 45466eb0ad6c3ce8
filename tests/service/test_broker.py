"""The private broker: who may come in, what it keeps, and how it is replaced."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest

from gridwing.broker import Broker, BrokerBusy, start_broker

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 20


def client(broker: Broker, url: str, name: str, *, clean: bool = True) -> aiomqtt.Client:
    account, _, word = url.removeprefix("mqtt://").rpartition("@")[0].partition(":")
    return aiomqtt.Client(
        "127.0.0.1",
        broker.port,
        username=account,
        password=word,
        identifier=name,
        clean_session=clean,
    )


@pytest.fixture
def own(broker: Broker) -> Iterator[Broker]:
    """A broker nobody else speaks to, so that it may be killed."""
    private = start_broker(ROOT, broker.folder.name.removeprefix("broker-") + "-own")
    try:
        yield private
    finally:
        private.stop(erase=True)


async def test_strangers_are_refused(broker: Broker) -> None:
    with pytest.raises(aiomqtt.MqttError):
        async with aiomqtt.Client("127.0.0.1", broker.port):
            pass


async def test_devices_cannot_command_docks(broker: Broker) -> None:
    async with client(broker, broker.url, "acl-service") as service:
        await service.subscribe("thing/product/ACL1/#", qos=1)
        async with client(broker, broker.device_url, "acl-device") as device:
            await device.publish("thing/product/ACL1/services", b"forged", qos=1)
            await device.publish("thing/product/ACL1/osd", b"true", qos=1)
        async with asyncio.timeout(TIMEOUT_S):
            message = await anext(service.messages)
        assert (str(message.topic), message.payload) == ("thing/product/ACL1/osd", b"true")


async def test_a_frame_fits_and_the_brokers_own_figures_are_the_services_to_read(
    broker: Broker,
) -> None:
    topic, frame = "gridwing/frame/SIZE1", bytes(2 * 1024 * 1024)
    async with client(broker, broker.url, "size-service") as service:
        await service.subscribe([(topic, 0), ("$SYS/broker/version", 0)])
        async with client(broker, broker.device_url, "size-device") as device:
            await device.publish(topic, frame, qos=1)
        async with asyncio.timeout(TIMEOUT_S):
            heard = {str(m.topic): m.payload for m in [await anext(service.messages) for _ in "12"]}
    assert heard[topic] == frame
    assert b"mosquitto" in bytes(heard["$SYS/broker/version"])


async def test_more_than_a_thousand_wait_for_an_absent_reader_and_survive_a_crash(
    own: Broker,
) -> None:
    topic = "thing/product/D1/osd"
    async with client(own, own.url, "reader", clean=False) as reader:
        await reader.subscribe(topic, qos=1)
    async with client(own, own.device_url, "writer") as writer:
        for number in range(2500):
            await writer.publish(topic, str(number), qos=1)
    # Longer than autosave_interval: what came before is on disk.
    await asyncio.sleep(2.5)
    own.kill()
    assert not own.running()
    own.restart()
    async with client(own, own.url, "reader", clean=False) as reader, asyncio.timeout(TIMEOUT_S):
        for number in range(2500):
            message = await anext(reader.messages)
            assert message.payload == str(number).encode()


def test_one_name_has_one_holder_and_its_port_and_passwords_stay(own: Broker) -> None:
    name = own.folder.name.removeprefix("broker-")
    with pytest.raises(BrokerBusy, match="stop it first"):
        start_broker(ROOT, name)
    before = own.url
    own.stop()
    with start_broker(ROOT, name) as again:
        assert again.url == before
        assert (again.folder / "kept").is_dir()
        assert again.folder.joinpath("passwords.json").stat().st_mode & 0o077 == 0


async def test_a_fresh_start_knows_nothing_of_before(own: Broker) -> None:
    topic = "gridwing/telemetry/OLD"
    async with client(own, own.url, "before") as before:
        await before.publish(topic, b"old", qos=1, retain=True)
    own.stop()
    with start_broker(ROOT, own.folder.name.removeprefix("broker-"), fresh=True) as again:
        async with client(again, again.url, "after") as after:
            await after.subscribe(topic, qos=1)
            await after.publish(topic, b"new", qos=1)
            async with asyncio.timeout(TIMEOUT_S):
                assert (await anext(after.messages)).payload == b"new"
