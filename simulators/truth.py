"""What really was, written down as it happens: hazards, when they ended, and who looked at them.

One JSON line per happening, appended with a single write, so a killed process loses no line and
leaves at most a torn last one, which is read over. Nothing the watching side says enters here.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from domain.codec import instant_text
from domain.hazard import HazardKind
from domain.place import Position
from simulators.counters import FILE_NAME as COUNTERS_FILE
from simulators.counters import read_counts

FILE_NAME = "truth.jsonl"
LOOKS_WRITTEN_EACH = 20
"""The first looks at a hazard are written one by one, later ones every this many."""
LOOKS_TO_COUNT = 5
"""A hazard counts as true for the summary when at least this many frames looked at it."""


@dataclass(slots=True)
class Account:
    """All the log says of one hazard."""

    hazard_id: str
    kind: HazardKind
    position: Position
    appeared_at: datetime
    handled_at: datetime | None = None
    looks: int = 0
    lookers: dict[str, int] = field(default_factory=dict)
    first_look_at: datetime | None = None

    def plain(self) -> dict[str, Any]:
        return {
            "hazard_id": self.hazard_id,
            "kind": self.kind.value,
            "lat_deg": self.position.lat_deg,
            "lon_deg": self.position.lon_deg,
            "appeared_at": instant_text(self.appeared_at),
            "handled_at": instant_text(self.handled_at) if self.handled_at else None,
            "first_look_at": instant_text(self.first_look_at) if self.first_look_at else None,
            "looks": self.looks,
            "lookers": sorted(self.lookers),
        }


class TruthLog:
    """The log of one world. Opening it again goes on where it ended."""

    def __init__(self, folder: Path, seed: int, began: datetime) -> None:
        path = folder / FILE_NAME
        self.accounts: dict[str, Account] = {}
        self.began = began
        known = _replay(path, self.accounts) if path.exists() else None
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        if known is None:
            self._write({"t": "world", "seed": seed, "began": instant_text(began)})
        elif known[0] != seed:
            raise ValueError(
                f"{path.name} is of seed {known[0]}, asked for {seed}: give another folder"
            )
        else:
            self.began = known[1]
            os.write(self._descriptor, b"\n")

    def close(self) -> None:
        os.close(self._descriptor)

    def appeared(self, hazard_id: str, kind: HazardKind, place: Position, at: datetime) -> None:
        if hazard_id in self.accounts:
            return
        self.accounts[hazard_id] = Account(hazard_id, kind, place, at)
        self._write(
            {
                "t": "appeared",
                "id": hazard_id,
                "kind": kind.value,
                "lat": place.lat_deg,
                "lon": place.lon_deg,
                "at": instant_text(at),
            }
        )

    def handled(self, hazard_id: str, at: datetime) -> None:
        account = self.accounts[hazard_id]
        if account.handled_at is None:
            account.handled_at = at
            self._write({"t": "handled", "id": hazard_id, "at": instant_text(at)})

    def looked(self, hazard_id: str, device_sn: str, at: datetime) -> None:
        """A frame of `device_sn` showed the hazard."""
        account = self.accounts[hazard_id]
        _count_look(account, device_sn, 1, at)
        seen = account.lookers[device_sn]
        if seen <= LOOKS_WRITTEN_EACH:
            amount = 1
        elif seen % LOOKS_WRITTEN_EACH == 0:
            amount = LOOKS_WRITTEN_EACH
        else:
            return
        self._write(
            {"t": "looked", "id": hazard_id, "by": device_sn, "n": amount, "at": instant_text(at)}
        )

    def _write(self, line: dict[str, Any]) -> None:
        os.write(self._descriptor, orjson.dumps(line) + b"\n")


def read_truth(folder: Path) -> dict[str, Account]:
    """Return every hazard's account by id; empty when nothing was written yet."""
    accounts: dict[str, Account] = {}
    path = folder / FILE_NAME
    if path.exists():
        _replay(path, accounts)
    return accounts


def truth_summary(folder: Path) -> dict[str, Any]:
    """Return the simulated side of a run's summary: hazards as they were, messages as sent.

    `hazards_true` are those at least LOOKS_TO_COUNT frames looked at; `hazards_unseen` the rest.
    `hazards` lists them all with place and times, for matching what was found against.
    """
    accounts = read_truth(folder)
    seen = sum(a.looks >= LOOKS_TO_COUNT for a in accounts.values())
    return {
        "hazards_true": seen,
        "hazards_unseen": len(accounts) - seen,
        "hazards": [a.plain() for a in accounts.values()],
        **read_counts(folder / COUNTERS_FILE),
    }


def _replay(path: Path, accounts: dict[str, Account]) -> tuple[int, datetime] | None:
    """Fold the log into `accounts`; return its (seed, began), None when it has no first line."""
    world = None
    for line in _lines(path):
        if line["t"] == "world":
            world = (int(line["seed"]), datetime.fromisoformat(line["began"]))
            continue
        at = datetime.fromisoformat(line["at"])
        if line["t"] == "appeared":
            place = Position(line["lat"], line["lon"])
            accounts.setdefault(
                line["id"], Account(line["id"], HazardKind(line["kind"]), place, at)
            )
        elif line["t"] == "handled":
            accounts[line["id"]].handled_at = at
        else:
            _count_look(accounts[line["id"]], line["by"], line["n"], at)
    return world


def _count_look(account: Account, device_sn: str, amount: int, at: datetime) -> None:
    account.looks += amount
    account.lookers[device_sn] = account.lookers.get(device_sn, 0) + amount
    account.first_look_at = account.first_look_at or at


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for raw in path.read_bytes().splitlines():
        try:
            line = orjson.loads(raw)
        except orjson.JSONDecodeError:
            continue  # a line torn by a kill, or the blank one written after it
        yield line
