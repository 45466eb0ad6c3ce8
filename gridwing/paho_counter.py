"""The counting subscriber once more, on paho with acknowledgement by hand: the codec not chosen.

Called and asked as gridwing.counter is; `gridwing bench ingest` sets the two side by side.
"""

import sys

import click
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from runtime.bus import Address

KEEPALIVE_S = 600


def count(url: str, topic_filter: str) -> None:
    """Count until stdin ends."""
    address, seen = Address.of(url), 0
    client = Client(CallbackAPIVersion.VERSION2, "gridwing-paho-counter", manual_ack=True)
    client.username_pw_set(address.username, address.password)

    def arrived(_: Client, __: object, message: MQTTMessage) -> None:
        nonlocal seen
        seen += 1
        client.ack(message.mid, message.qos)

    def connected(*_: object) -> None:
        client.subscribe(topic_filter, qos=1)

    client.on_message = arrived
    client.on_connect = connected
    client.on_subscribe = lambda *_: click.echo("reading")
    client.connect(address.host, address.port, KEEPALIVE_S)
    client.loop_start()
    while sys.stdin.readline():
        click.echo(seen)


if __name__ == "__main__":
    count(*sys.argv[1:3])
