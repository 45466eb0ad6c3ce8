"""What every part tells about itself on loopback: /healthz, /readyz, /metrics."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry, generate_latest

REQUEST_LIMIT_BYTES = 8192
REQUEST_TIMEOUT_S = 5.0


@asynccontextmanager
async def status_server(
    port: int, registry: CollectorRegistry, ready: Callable[[], bool]
) -> AsyncIterator[None]:
    """Answer status requests on 127.0.0.1 while the body runs; port 0 turns this off."""
    if port == 0:
        yield
        return

    def answer(path: str) -> tuple[str, bytes]:
        if path == "/healthz":
            return "200 OK", b"alive\n"
        if path == "/readyz":
            return ("200 OK", b"ready\n") if ready() else ("503 Service Unavailable", b"starting\n")
        if path == "/metrics":
            return "200 OK", generate_latest(registry)
        return "404 Not Found", b"ask for /healthz, /readyz or /metrics\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                words = head.split(b" ", 2)
                path = words[1].decode("ascii", "replace") if len(words) == 3 else ""
                code, body = answer(path)
                writer.write(
                    f"HTTP/1.1 {code}\r\nContent-Type: text/plain; version=0.0.4\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # Whoever asked has gone or asks nonsense; nothing of ours depends on the answer.
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port, limit=REQUEST_LIMIT_BYTES)
    async with server:
        yield
