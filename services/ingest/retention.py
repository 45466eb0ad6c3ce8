"""Retention: telemetry older than its days goes a day at a time, beside readers and writers."""

from dataclasses import dataclass
from datetime import date, timedelta

import psycopg
import structlog

from runtime.clock import Clock
from runtime.database import Pool, going_on

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 600.0
STEPS_LIMIT = 1_000
"""Days emptied or dropped in one look; the next goes on."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What one look did away with, and whether something that should go is still being read."""

    emptied: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    busy: bool = False


async def forget(pool: Pool, today: date, keep_days: int) -> Forgotten:
    """Empty and drop the days more than `keep_days` ago, each step in its own transaction.

    Nobody waits longer than the 50 ms telemetry_forget waits for a lock. Emptying a day disturbs
    only whoever reads that very day; what is `busy` is for the next look.
    """
    done: dict[str, list[str]] = {"emptied": [], "dropped": []}
    before = today - timedelta(days=keep_days)
    try:
        for _ in range(STEPS_LIMIT):
            async with pool.connection() as connection:
                cursor = await connection.execute("SELECT telemetry_forget(%s)", [before])
                row = await cursor.fetchone()
            assert row is not None
            if row[0] is None:
                return Forgotten(tuple(done["emptied"]), tuple(done["dropped"]))
            what, _, name = str(row[0]).partition(" ")
            done[what].append(name)
    except psycopg.errors.LockNotAvailable:
        return Forgotten(tuple(done["emptied"]), tuple(done["dropped"]), busy=True)
    return Forgotten(tuple(done["emptied"]), tuple(done["dropped"]))


async def run(pool: Pool, clock: Clock, keep_days: int) -> None:
    """Look every LOOK_EVERY_S, until cancelled. A database that is away is for the next look."""
    log.info("telemetry is kept", days=keep_days)
    while going_on():
        try:
            told = await forget(pool, clock.now().date(), keep_days)
        except psycopg.OperationalError as error:
            going_on()
            log.warning("database away, old telemetry kept for now", error=str(error))
        else:
            if told.emptied or told.dropped:
                log.info("old telemetry gone", emptied=told.emptied, dropped=told.dropped)
            if told.busy:
                log.info("old telemetry is being read, kept for now")
        await clock.sleep(LOOK_EVERY_S)
