"""停飞与接管: what the ledger says of people who stop all take-offs, or take a drone in hand."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class GroundStopOrdered:
    """A person stopped all take-offs; `all_home` calls home what flies. Stream ground_stop/<id>."""

    KIND: ClassVar[str] = "ground_stop.ordered"
    SCHEMA: ClassVar[int] = 1
    all_home: bool
    reason: str
    note_ref: str | None = None


@dataclass(frozen=True, slots=True)
class GroundStopLifted:
    KIND: ClassVar[str] = "ground_stop.lifted"
    SCHEMA: ClassVar[int] = 1
    reason: str
    note_ref: str | None = None


@dataclass(frozen=True, slots=True)
class ControlTaken:
    """A person took a drone; automatic commands to it stop. Stream control/<drone_sn>."""

    KIND: ClassVar[str] = "control.taken"
    SCHEMA: ClassVar[int] = 1
    drone_sn: str
    reason: str
    note_ref: str | None = None


@dataclass(frozen=True, slots=True)
class ControlReleased:
    KIND: ClassVar[str] = "control.released"
    SCHEMA: ClassVar[int] = 1
    drone_sn: str
    reason: str
    note_ref: str | None = None
