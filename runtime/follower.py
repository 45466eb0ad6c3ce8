"""Follow the ledger from a cursor: what a handler writes and the cursor commit together."""

from collections.abc import Awaitable, Callable

import structlog

from runtime.database import going_on
from runtime.ledger import Entry, Ledger, Transaction, VersionConflict

log = structlog.get_logger(__name__)

BATCH_ENTRIES = 200
WAIT_S = 1.0
CONFLICT_TRIES = 20

Handler = Callable[[Transaction, Entry], Awaitable[None]]


async def follow(
    ledger: Ledger,
    name: str,
    handle: Handler,
    *,
    batch: int = BATCH_ENTRIES,
    caught_up: Callable[[], None] = lambda: None,
) -> None:
    """Hand every entry after the cursor `name` to `handle`, in order, until cancelled.

    A VersionConflict undoes the batch and it is handled again; everything else ends the part.
    `caught_up` is called whenever nothing is left to read.
    """
    position = -1
    conflicts = 0
    while going_on():
        try:
            position, handled = await follow_once(ledger, name, handle, batch)
        except VersionConflict as conflict:
            conflicts += 1
            if conflicts > CONFLICT_TRIES:
                raise
            log.info("batch handled again", follower=name, conflict=str(conflict))
            continue
        conflicts = 0
        if not handled:
            caught_up()
            await ledger.wait(position, WAIT_S)


async def follow_once(
    ledger: Ledger, name: str, handle: Handler, batch: int = BATCH_ENTRIES
) -> tuple[int, int]:
    """Handle one batch in one transaction; return the cursor and how many entries it was."""
    async with ledger.transaction() as tx:
        position = await tx.cursor(name)
        entries = await ledger.read(position, batch)
        for entry in entries:
            await handle(tx, entry)
        if entries:
            position = entries[-1].position
            await tx.advance(name, position)
    return position, len(entries)
