"""The bus on a real broker: what the memory one promises, and a broker that goes and comes."""

import asyncio
from pathlib import Path

import pytest

from gridwing.broker import start_broker
from runtime import bus as module
from runtime.bus import MqttBus

ROOT = Path(__file__).resolve().parent.parent.parent


async def test_everybody_who_asked_hears_in_order(broker_url: str) -> None:
    async with (
        MqttBus(broker_url, "test-bus") as bus,
        bus.subscribe(["test/bus/+", "test/other"]) as first,
        bus.subscribe(["test/bus/#"]) as second,
    ):
        for topic in ("test/bus/1", "test/other", "test/elsewhere", "test/bus/2"):
            await bus.publish(topic, topic.encode())
        async with asyncio.timeout(10):
            heard = [(await anext(first)).topic for _ in range(3)]
            also = [(await anext(second)).payload for _ in range(2)]
    assert heard == ["test/bus/1", "test/other", "test/bus/2"]
    assert also == [b"test/bus/1", b"test/bus/2"]


async def test_a_device_hears_what_it_may(device_broker_url: str, broker_url: str) -> None:
    async with (
        MqttBus(device_broker_url, "test-bus-device") as device,
        MqttBus(broker_url, "test-bus-service") as service,
        device.subscribe(["thing/product/test-bus-sn/services"]) as commands,
        service.subscribe(["thing/product/test-bus-sn/osd"]) as states,
    ):
        await service.publish("thing/product/test-bus-sn/services", b"fly")
        await device.publish("thing/product/test-bus-sn/osd", b"here", qos=0)
        async with asyncio.timeout(10):
            assert (await anext(commands)).payload == b"fly"
            assert (await anext(states)).payload == b"here"


async def keep_saying(bus: MqttBus, topic: str) -> None:
    """Repeat: what is said before a subscription is back is not heard."""
    while True:
        await bus.publish(topic, topic.encode())
        await asyncio.sleep(0.2)


async def test_a_restarted_broker_is_found_again() -> None:
    with start_broker(ROOT, "test-bus", fresh=True) as broker:
        async with (
            MqttBus(broker.url, "test-bus") as bus,
            bus.subscribe(["test/#"]) as messages,
        ):
            await bus.publish("test/1", b"1")
            await asyncio.to_thread(broker.restart)
            speaking = asyncio.create_task(keep_saying(bus, "test/2"))
            async with asyncio.timeout(30):
                assert (await anext(messages)).payload == b"1"
                assert (await anext(messages)).payload == b"test/2"
            speaking.cancel()
            await asyncio.gather(speaking, return_exceptions=True)
        broker.stop(erase=True)


async def test_an_absent_broker_is_an_error_in_bounded_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "BACKOFF_FIRST_S", 0.01)
    monkeypatch.setattr(module, "BACKOFF_LAST_S", 0.02)
    async with MqttBus("mqtt://127.0.0.1:9", "test-bus") as bus, asyncio.timeout(10):
        with pytest.raises(ConnectionError, match="did not take test/1"):
            await bus.publish("test/1", b"1")
