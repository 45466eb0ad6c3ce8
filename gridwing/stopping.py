"""How a program of ours ends: told by a signal, or because whoever started it is gone."""

import asyncio
import importlib
import os
import signal
from collections.abc import Callable, Coroutine
from typing import TypeVar

SUPERVISED = "GRIDWING_SUPERVISED"
"""Set for a part whose standard input stays open for as long as its supervisor lives."""
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
T = TypeVar("T")


def fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's loop where it is installed (not on every platform), None for asyncio's."""
    try:
        return importlib.import_module("uvloop").new_event_loop  # type: ignore[no-any-return]
    except ImportError:
        return None


def run_until_stopped(work: Coroutine[None, None, T]) -> T:
    """Run `work` to its end. Raises KeyboardInterrupt when it was stopped before.

    Ctrl-C, SIGTERM and a closed terminal cancel it, also where a shell started this with SIGINT
    ignored, as shells do for what they put in the background.
    """
    try:
        with asyncio.Runner(loop_factory=fast_loop()) as runner:
            return runner.run(_until_stopped(work))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _until_stopped(work: Coroutine[None, None, T]) -> T:
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for number in STOPPING:
        loop.add_signal_handler(number, task.cancel)
    if os.environ.get(SUPERVISED):
        loop.add_reader(0, _end_of_input, loop, task)
    return await task


def _end_of_input(loop: asyncio.AbstractEventLoop, task: "asyncio.Future[T]") -> None:
    if os.read(0, 1024) == b"":
        loop.remove_reader(0)
        task.cancel()
