"""One clock: (epoch, rate) over a monotonic source. Nothing else in the project tells the time."""

import asyncio
import selectors
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any


@dataclass(frozen=True)
class Clock:
    """Clock time is `epoch` + elapsed · `rate`.

    `started_wall_s` (Unix seconds) is when the epoch was; every part of one system gets the same
    three numbers and so tells the same time. In production epoch is that very instant and rate 1.
    """

    epoch: datetime
    started_wall_s: float
    rate: float = 1.0
    wall: Callable[[], float] = field(default=time.time, repr=False)

    def __post_init__(self) -> None:
        if self.epoch.tzinfo is None:
            raise ValueError("epoch needs a time zone")
        if not 0.0 < self.rate <= 1000.0:
            raise ValueError(f"rate must lie in 0..1000, got {self.rate!r}")

    def now(self) -> datetime:
        return self.epoch + timedelta(seconds=(self.wall_s() - self.started_wall_s) * self.rate)

    def wall_s(self) -> float:
        """Return Unix seconds of the wall (virtual seconds in a virtual loop)."""
        return self.wall()

    async def sleep(self, seconds: float) -> None:
        """Sleep `seconds` of clock time."""
        await asyncio.sleep(max(0.0, seconds) / self.rate)

    async def sleep_until(self, at: datetime) -> None:
        await self.sleep((at - self.now()).total_seconds())


def wall_clock() -> Clock:
    """Return the production clock: wall time at rate 1."""
    started_s = time.time()
    return Clock(datetime.fromtimestamp(started_s, UTC), started_s)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time jumps to the next timer as soon as every task waits.

    Nothing in it may wait for a socket or a thread: time would run away from it. The order of
    callbacks is asyncio's own first-in first-out, so equal programs run equally.
    """

    def __init__(self) -> None:
        self.virtual_s = 0.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self.virtual_s

    def clock(self, epoch: datetime, rate: float = 1.0) -> Clock:
        """Return the clock of this loop: its virtual seconds count as wall seconds."""
        started_s = epoch.timestamp()
        return Clock(epoch, started_s, rate, lambda: started_s + self.virtual_s)


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("every task waits and no timer is set: the program is stuck")
        if timeout > 0:
            self._loop.virtual_s += timeout
        return super().select(0)
