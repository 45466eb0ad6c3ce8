"""The snapshot address of HTTP cameras: `GET /cameras/{sn}.jpg` gives the picture of now."""

import asyncio
from collections.abc import Mapping

from runtime.clock import Clock
from simulators.camera import FixedCamera
from simulators.counters import Counters

REQUEST_LIMIT_BYTES = 8192
IDLE_LIMIT_WALL_S = 60.0
CONNECTIONS_LIMIT = 200


async def hang_up(talks: set[asyncio.Task[None]]) -> None:
    """End the conversations still open, before what they draw on is closed."""
    while talks:
        ending = tuple(talks)
        for talk in ending:
            talk.cancel()
        await asyncio.wait(ending)


class SnapshotServer:
    """A small HTTP/1.1 server: GET only, connections kept open as cameras' clients like it."""

    def __init__(
        self, cameras: Mapping[str, FixedCamera], clock: Clock, counters: Counters
    ) -> None:
        self.cameras, self.clock, self.counters = cameras, clock, counters
        self._open = 0
        self._talks: set[asyncio.Task[None]] = set()

    async def run(self, host: str, port: int) -> None:
        """Serve until cancelled. Raises OSError when the port is taken."""
        server = await asyncio.start_server(self._serve, host, port, limit=REQUEST_LIMIT_BYTES)
        async with server:
            try:
                await server.serve_forever()
            finally:
                await hang_up(self._talks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        talk = asyncio.current_task()
        assert talk is not None
        self._talks.add(talk)
        try:
            while self._open <= CONNECTIONS_LIMIT and await self._one(reader, writer):
                pass
        except (ConnectionError, TimeoutError, asyncio.LimitOverrunError):
            pass  # the client has gone, or talks nonsense: it is hung up on either way
        except (asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # asyncio 3.11 would log the cancellation of an open connection as an error
        finally:
            self._talks.discard(talk)
            self._open -= 1
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; tell whether the connection stays open."""
        async with asyncio.timeout(IDLE_LIMIT_WALL_S):
            head = await reader.readuntil(b"\r\n\r\n")
        method, _, rest = head.decode("latin-1").partition(" ")
        path = rest.split(" ", 1)[0].split("?", 1)[0]
        name = path.removeprefix("/cameras/").removesuffix(".jpg")
        camera = self.cameras.get(name) if path == f"/cameras/{name}.jpg" else None
        if method != "GET" or camera is None:
            status = "405 Method Not Allowed" if method != "GET" else "404 Not Found"
            writer.write(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode())
        else:
            jpeg = await camera.picture(self.clock.now())
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nCache-Control: no-store\r\n"
                b"Content-Length: %d\r\n\r\n" % len(jpeg)
            )
            writer.write(jpeg)
            self.counters.add("pictures_served")
        await writer.drain()
        return method == "GET" and b"connection: close" not in head.lower()
