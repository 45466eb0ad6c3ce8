"""One clock at any rate, and a loop whose time is the program's own."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runtime.clock import Clock, VirtualLoop, wall_clock

EPOCH = datetime(2026, 6, 1, 6, tzinfo=UTC)


def run(coroutine: Coroutine[Any, Any, Any], loop: VirtualLoop) -> Any:
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


@pytest.mark.parametrize("rate", [0.5, 1.0, 30.0])
def test_clock_time_runs_at_its_rate(rate: float) -> None:
    wall_s = 1000.0
    clock = Clock(EPOCH, 1000.0, rate, lambda: wall_s)
    assert clock.now() == EPOCH
    wall_s = 1010.0
    assert clock.now() == EPOCH + timedelta(seconds=10 * rate)


@pytest.mark.parametrize(
    ("epoch", "rate", "message"),
    [
        (EPOCH.replace(tzinfo=None), 1.0, "time zone"),
        (EPOCH, 0.0, "rate"),
        (EPOCH, 1001.0, "rate"),
        (EPOCH, float("nan"), "rate"),
    ],
)
def test_a_clock_refuses(epoch: datetime, rate: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Clock(epoch, 0.0, rate)


def test_the_production_clock_is_the_walls() -> None:
    clock = wall_clock()
    assert clock.rate == 1.0
    assert abs(clock.now().timestamp() - clock.wall_s()) < 1.0


def test_a_virtual_day_takes_no_time() -> None:
    loop = VirtualLoop()
    clock = loop.clock(EPOCH, 30.0)

    async def day() -> list[datetime]:
        times = []
        for _ in range(24):
            await clock.sleep(3600)
            times.append(clock.now())
        return times

    times = run(day(), loop)
    assert times[-1] == EPOCH + timedelta(days=1)
    assert loop.virtual_s == pytest.approx(86400 / 30)


def test_sleeping_until_the_past_returns_at_once() -> None:
    loop = VirtualLoop()
    run(loop.clock(EPOCH).sleep_until(EPOCH - timedelta(hours=1)), loop)
    assert loop.virtual_s == 0.0


def interleaving() -> list[tuple[int, float]]:
    loop = VirtualLoop()
    seen: list[tuple[int, float]] = []

    async def walk(n: int) -> None:
        for step in range(20):
            await asyncio.sleep(((n * 7 + step * 3) % 5) * 0.1)
            seen.append((n, round(loop.virtual_s, 3)))

    async def together() -> None:
        await asyncio.gather(*(walk(n) for n in range(10)))

    run(together(), loop)
    return seen


def test_equal_programs_run_equally() -> None:
    assert interleaving() == interleaving()


def test_a_stuck_program_says_so() -> None:
    loop = VirtualLoop()
    future: asyncio.Future[None] = loop.create_future()
    with pytest.raises(RuntimeError, match="stuck"):
        run(asyncio.wait_for(future, None), loop)
