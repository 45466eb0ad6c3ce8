"""Serving the web application, with the tasks that must live as long as it does."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

import uvicorn
from fastapi import FastAPI

GRACE_S = 3
CONNECTIONS_LIMIT = 2000
HEADERS_LIMIT_BYTES = 32 * 1024


async def serve(
    app: FastAPI, host: str, port: int, beside: Sequence[Coroutine[Any, Any, None]]
) -> None:
    """Serve until stopped. When a task `beside` fails, the server stops and its error is raised."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        ws="none",
        server_header=False,
        limit_concurrency=CONNECTIONS_LIMIT,
        h11_max_incomplete_event_size=HEADERS_LIMIT_BYTES,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = uvicorn.Server(config)
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(work) for work in beside]
        serving = asyncio.create_task(server.serve())
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            server.should_exit = True
            await serving
            raise
        finally:
            for task in running:
                task.cancel()
