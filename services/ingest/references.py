"""The reference pictures of a camera or aircraft, and cells seen, as the ledger tells them; and a
person's word that a picture shows what should be there."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.district import District
from domain.events import CellSeen
from domain.sight import (
    AcceptReason,
    ChangedGround,
    ChangeSeen,
    ReferenceAccepted,
    ReferenceTaken,
)
from geo.frames import LocalFrame
from runtime.access import Principal
from runtime.clock import Clock
from runtime.database import Pool
from runtime.ledger import Ledger, read_event
from services.ingest.sight.changes import Reference, ReferencePolicy, folded

EVENTS_LIMIT = 5000
SEEN_LIMIT = 100


class BadReference(ValueError):
    """What was asked does not fit; the message names the field and the cure."""


@dataclass(frozen=True, slots=True)
class ShownReference:
    """A reference as people see it; `picture` and those of `newer` are evidence."""

    reference_id: str
    device_sn: str
    flying: bool
    picture: str
    taken_at: datetime
    accepted_by: str | None
    accepted_at: datetime | None
    reason: AcceptReason | None
    newer: tuple["ShownNewer", ...]


@dataclass(frozen=True, slots=True)
class ShownNewer:
    picture: str
    at: datetime
    found: tuple[ChangedGround, ...]


class References:
    """Reads and writes; who may do so is asked before."""

    def __init__(self, ledger: Ledger, pool: Pool, district: District, clock: Clock) -> None:
        self._ledger, self._pool, self._clock = ledger, pool, clock
        self._frame, self._policy = LocalFrame(district.origin), ReferencePolicy()

    async def of_device(self, device_sn: str) -> tuple[ShownReference, ...]:
        """Return the references of a device, oldest first, by its newest EVENTS_LIMIT events."""
        known, by = await self._folded(device_sn)
        return tuple(_shown(r, by.get(r.taken.reference_id)) for r in known.values())

    async def accept(
        self, who: Principal, device_sn: str, reference_id: str, picture: str, reason: AcceptReason
    ) -> int:
        """Take a picture for how the place should look; return the stream's version.

        Raises BadReference where the reference has no such picture, VersionConflict where somebody
        else wrote meanwhile.
        """
        known, _ = await self._folded(device_sn)
        reference = known.get(reference_id)
        if reference is None:
            raise BadReference(f"{device_sn} has no reference {reference_id}")
        if picture not in {reference.picture, *(n.picture for n in reference.newer)}:
            raise BadReference("picture is none of this reference's: take one that it lists")
        at, stream = self._clock.now(), f"reference/{device_sn}"
        event = ReferenceAccepted(reference_id, device_sn, picture, reason, at)
        async with self._ledger.transaction() as tx:
            version = await tx.version(stream)
            await tx.append(
                stream, [event], at=at, actor=who.account_id, expected_version=version
            )
        return version + 1

    async def seen(self, cell_code: str) -> tuple[CellSeen, ...]:
        """Return when a cell was seen whole, newest first, at most SEEN_LIMIT times."""
        rows = await self._rows(f"cell/{cell_code}", SEEN_LIMIT)
        events = [read_event(kind, schema, data) for kind, schema, data, _ in rows]
        return tuple(event for event in events if isinstance(event, CellSeen))

    async def _folded(self, device_sn: str) -> tuple[dict[str, Reference], dict[str, str]]:
        known: dict[str, Reference] = {}
        by: dict[str, str] = {}
        rows = await self._rows(f"reference/{device_sn}", EVENTS_LIMIT)
        for kind, schema, data, actor in reversed(rows):
            event = read_event(kind, schema, data)
            if not isinstance(event, ReferenceTaken | ChangeSeen | ReferenceAccepted):
                continue
            before = known.get(event.reference_id)
            after = folded(before, event, self._frame, self._policy)
            if after is not None:
                known[event.reference_id] = after
            if isinstance(event, ReferenceAccepted):
                by[event.reference_id] = actor
        return known, by

    async def _rows(self, stream: str, limit: int) -> list[tuple[Any, ...]]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(
                "SELECT kind, schema, data, actor FROM ledger WHERE stream = %s"
                " ORDER BY version DESC LIMIT %s",
                [stream, limit],
            )
            return await cursor.fetchall()


def _shown(reference: Reference, by: str | None) -> ShownReference:
    taken, accepted = reference.taken, reference.accepted
    return ShownReference(
        taken.reference_id,
        taken.device_sn,
        taken.flying,
        reference.picture,
        taken.taken_at,
        by,
        None if accepted is None else accepted.accepted_at,
        None if accepted is None else accepted.reason,
        tuple(ShownNewer(n.picture, n.at, n.found) for n in reference.newer),
    )
