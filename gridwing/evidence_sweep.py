"""Pictures that no ledger row names, left by a crash or an upload nobody handed in, go; so do
sealed originals whose days are over."""

import asyncio
from pathlib import Path

import structlog

from runtime.clock import Clock
from runtime.database import Pool, going_on
from runtime.evidence import EvidenceStore
from runtime.sealing import forget_sealed

log = structlog.get_logger(__name__)

SWEEP_EVERY_S = 6 * 3600.0
ORPHAN_AGE_S = 24 * 3600.0
"""Wall seconds a picture may wait for the row that names it: a shift and more."""


async def named_pictures(pool: Pool) -> set[str]:
    """Return every 64-digit hash that stands in a ledger row."""
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT DISTINCT found[1] FROM ledger,"
            " regexp_matches(data::text, '\"([0-9a-f]{64})\"', 'g') AS found"
        )
        return {str(row[0]) for row in await cursor.fetchall()}


async def sweep_once(pool: Pool, evidence: EvidenceStore, now_s: float) -> int:
    """Delete orphans older than ORPHAN_AGE_S at `now_s` (Unix wall seconds); return how many."""
    named = await named_pictures(pool)
    return await asyncio.to_thread(evidence.sweep, named, now_s, ORPHAN_AGE_S)


async def sweep(pool: Pool, evidence: EvidenceStore, clock: Clock, sealed: Path) -> None:
    """Sweep every SWEEP_EVERY_S of wall time until cancelled."""
    while going_on():
        removed = await sweep_once(pool, evidence, clock.wall_s())
        if removed:
            log.info("orphaned pictures removed", count=removed)
        days = await asyncio.to_thread(forget_sealed, sealed, clock.now().date())
        if days:
            log.info("sealed originals gone", days=days)
        await asyncio.sleep(SWEEP_EVERY_S)
