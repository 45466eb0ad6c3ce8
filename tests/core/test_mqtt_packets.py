"""The reader's packets: any cut of the stream gives the same messages, and nonsense is named."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.mqtt_packets import (
    CONNACK,
    BadPacket,
    Reader,
    connect,
    pubacks,
    publish,
    subscribe,
    unsubscribe,
)

topics = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200)
said = st.lists(st.tuples(topics, st.binary(max_size=400)), max_size=8)


@given(said, st.lists(st.integers(1, 300), max_size=40))
def test_a_stream_cut_anywhere_gives_every_message_once(
    messages: list[tuple[str, bytes]], cuts: list[int]
) -> None:
    stream = bytes((0x20, 2, 0, 0)) + b"".join(
        publish(topic, payload, i + 1) for i, (topic, payload) in enumerate(messages)
    )
    reader, at = Reader(), 0
    for cut in [*cuts, len(stream)]:
        reader.feed(stream[at : at + cut])
        at += cut
    assert reader.controls == [(CONNACK, b"\0\0")]
    assert [(m.topic, m.payload) for m in reader.messages] == messages
    assert reader.packet_ids == [(i + 1).to_bytes(2, "big") for i in range(len(messages))]
    assert not any(m.duplicate for m in reader.messages)


@given(st.binary(max_size=600))
def test_any_bytes_are_messages_or_a_bad_packet(noise: bytes) -> None:
    reader = Reader()
    with contextlib.suppress(BadPacket):
        reader.feed(noise)
    assert len(reader.messages) == len(reader.packet_ids)


def test_a_redelivery_is_marked_and_qos_0_has_nothing_to_acknowledge() -> None:
    reader, packet = Reader(), bytearray(publish("t", b"x", 7))
    packet[0] |= 0x08
    reader.feed(bytes(packet) + b"\x30\x04\x00\x01ty")
    assert [m.duplicate for m in reader.messages] == [True, False]
    assert [m.payload for m in reader.messages] == [b"x", b"y"]
    assert reader.packet_ids == [b"\0\x07", b""]


@pytest.mark.parametrize(
    "stream",
    [b"\x32\xff\xff\xff\xff\x01", b"\x36\x04\x00\x01tx", b"\x32\x04\x00\x09ab", b"\x30\x01a"],
)
def test_what_is_no_mqtt_ends_the_connection(stream: bytes) -> None:
    with pytest.raises(BadPacket):
        Reader().feed(stream)


def test_what_is_said_is_mqtt_3_1_1() -> None:
    assert (
        connect("c", None, None, 30, clean=True) == b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x1e\x00\x01c"
    )
    asked = connect("c", "u", "p", 30, clean=False)
    assert (asked[9], asked[-6:]) == (0xC0, b"\0\x01u\0\x01p")
    assert subscribe(1, ["a/+"]) == b"\x82\x08\x00\x01\x00\x03a/+\x01"
    assert unsubscribe(2, ["a"]) == b"\xa2\x05\x00\x02\x00\x01a"
    assert pubacks([b"\0\1", b"\0\2"]) == b"\x40\x02\x00\x01\x40\x02\x00\x02"
    assert pubacks([]) == b""
