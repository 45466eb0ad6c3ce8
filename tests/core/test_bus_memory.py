"""The bus in memory: MQTT's wildcards, order, and nobody left behind."""

import pytest

from runtime.bus import Address, MemoryBus
from runtime.topics import matches


@pytest.mark.parametrize(
    ("topic_filter", "topic", "taken"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/b/c", False),
        ("a/b/c", "a/b", False),
        ("a/+/c", "a/b/c", True),
        ("a/+/c", "a/b/d", False),
        ("a/+", "a/b/c", False),
        ("a/#", "a/b/c", True),
        ("a/#", "a", True),
        ("#", "a/b", True),
        ("+", "a", True),
        ("+", "a/b", False),
        ("thing/product/+/osd", "thing/product/SN1/osd", True),
        ("a/b", "a/+", False),
    ],
)
def test_filters(topic_filter: str, topic: str, taken: bool) -> None:
    assert matches(topic_filter, topic) is taken


async def test_everybody_who_asked_hears_in_order() -> None:
    bus = MemoryBus()
    async with bus.subscribe(["a/+", "b"]) as first, bus.subscribe(["#"]) as second:
        for topic in ("a/1", "b", "c", "a/2"):
            await bus.publish(topic, topic.encode())
        heard = [(await anext(first)).topic for _ in range(3)]
        everything = [(await anext(second)).payload for _ in range(4)]
    assert heard == ["a/1", "b", "a/2"]
    assert everything == [b"a/1", b"b", b"c", b"a/2"]


async def test_a_message_that_two_filters_take_comes_once() -> None:
    bus = MemoryBus()
    async with bus.subscribe(["a/#", "a/b"]) as messages:
        await bus.publish("a/b", b"1")
        await bus.publish("a/b", b"2")
        assert [(await anext(messages)).payload for _ in range(2)] == [b"1", b"2"]


async def test_who_left_hears_no_more() -> None:
    bus = MemoryBus()
    async with bus.subscribe(["#"]):
        pass
    await bus.publish("a", b"")
    assert bus.published == 1
    assert not bus._subscribers


def test_a_brokers_address() -> None:
    plain = Address.of("mqtt://gridwing:p%40ss@localhost")
    assert (plain.host, plain.port, plain.username) == ("localhost", 1883, "gridwing")
    assert (plain.password, plain.tls()) == ("p@ss", None)
    secure = Address.of("mqtts://broker.example")
    assert (secure.port, secure.tls() is not None) == (8883, True)


@pytest.mark.parametrize("url", ["", "localhost:1883", "http://localhost", "mqtt://"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ValueError, match="MQTT_URL"):
        Address.of(url)
