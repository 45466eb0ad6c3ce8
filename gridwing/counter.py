"""The least a subscriber can do: read, acknowledge, count. What the benchmark holds ingest against.

`python -m gridwing.counter URL FILTER` prints `reading` once subscribed, then the number of
messages so far whenever it is asked by a line on stdin.
"""

import selectors
import socket
import sys
import time

import click

from runtime import mqtt_packets
from runtime.bus import Address
from runtime.intake import REST_S
from runtime.mqtt_packets import Reader

RECEIVE_BYTES = 1 << 18
KEEPALIVE_S = 600


def count(url: str, topic_filter: str) -> None:
    """Count until stdin ends."""
    address, reader, seen = Address.of(url), Reader(), 0
    link = socket.create_connection((address.host, address.port))
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    user, password = address.username, address.password
    link.sendall(
        mqtt_packets.connect("gridwing-counter", user, password, KEEPALIVE_S, clean=True)
        + mqtt_packets.subscribe(1, [topic_filter])
    )
    while len(reader.controls) < 2:
        reader.feed(link.recv(RECEIVE_BYTES))
    click.echo("reading")
    with selectors.DefaultSelector() as ready:
        # It rests between reads as ingest does: a strong measure, not a straw man.
        ready.register(link, selectors.EVENT_READ)
        ready.register(sys.stdin, selectors.EVENT_READ)
        while True:
            time.sleep(REST_S)
            for key, _ in ready.select():
                if key.fileobj is link:
                    reader.feed(link.recv(RECEIVE_BYTES))
                    seen += len(reader.messages)
                    link.sendall(mqtt_packets.pubacks(reader.packet_ids))
                    reader.messages.clear()
                    reader.packet_ids.clear()
                elif sys.stdin.readline():
                    click.echo(seen)
                else:
                    return


if __name__ == "__main__":
    count(*sys.argv[1:3])
