"""What stands over the district in memory, for one process and virtual time."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from runtime.ledger import Transaction
from services.patrol.sky.standing import SkyRow


@dataclass
class MemorySkyStore:
    """The same contract as PostgresSkyStore; a transaction that is undone is undone here."""

    _rows: dict[str, SkyRow] = field(default_factory=dict)
    _leases: dict[str, tuple[str, int, datetime]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    async def hold(self, tx: Transaction, *, alone: bool) -> None:
        """Nothing to hold: the memory ledger refuses the later of two writers at commit."""

    async def rows(self, at: datetime, tx: Transaction | None = None) -> tuple[SkyRow, ...]:
        live = (r for r in self._rows.values() if r.until is None or r.until > at)
        return tuple(sorted((r for r in live if r.state is not None), key=lambda r: r.stream))

    async def row(self, stream: str, tx: Transaction | None = None) -> SkyRow:
        return self._rows.get(stream, SkyRow(stream, 0, None))

    async def put(self, tx: Transaction, row: SkyRow) -> None:
        before = self._rows.get(row.stream)
        if before is not None and before.version >= row.version:
            return

        def undo() -> None:
            if before is None:
                self._rows.pop(row.stream, None)
            else:
                self._rows[row.stream] = before

        tx.on_rollback(undo)
        self._rows[row.stream] = row

    async def keep_note(self, tx: Transaction, subject: str, text: str) -> str:
        self.notes.append(text)
        return f"note-{len(self.notes)}"

    async def take_leases(
        self,
        slot: str,
        mine: Mapping[str, int | None],
        at: datetime,
        until: datetime,
        *,
        anew: bool,
    ) -> dict[str, int]:
        held: dict[str, int] = {}
        for sn, own in sorted(mine.items()):
            owner, token, ends = self._leases.get(sn, ("", 0, at))
            renewed = owner == slot and own == token
            if not (renewed or ends <= at or (anew and owner == slot)):
                continue
            token += 0 if renewed else 1
            self._leases[sn] = (slot, token, until)
            held[sn] = token
        return held

    async def leases(self, tx: Transaction | None = None) -> Mapping[str, tuple[str, int]]:
        return {sn: (slot, token) for sn, (slot, token, _) in self._leases.items()}
