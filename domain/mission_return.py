"""返航: what the ledger says of a return home that an aircraft gave up, and took up again."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class ReturnGivenUp:
    """patrol: the aircraft gave up its return home and has to be helped. Stream mission/<id>.

    `reason` is the vendor's (DJI Cloud API, device_exit_homing_notify, 0..10).
    """

    KIND: ClassVar[str] = "mission.return_given_up"
    SCHEMA: ClassVar[int] = 1
    mission_id: str
    drone_sn: str
    reason: int


@dataclass(frozen=True, slots=True)
class ReturnRegained:
    """patrol: the aircraft was seen on its way home again, by its own `mode_code`."""

    KIND: ClassVar[str] = "mission.return_regained"
    SCHEMA: ClassVar[int] = 1
    mission_id: str
    drone_sn: str
    mode_code: int
