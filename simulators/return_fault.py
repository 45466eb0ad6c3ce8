"""A fault put into a dock's aircraft: it gives up a return home."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReturnFault:
    """On its `job`-th flight (from 1) the aircraft gives up its return `after_s` clock seconds
    after it turned for home, once, for the vendor's `reason` (0..10)."""

    dock_sn: str
    job: int
    reason: int
    after_s: float


def due(
    faults: Sequence[ReturnFault], dock_sn: str, job: int, homing_s: float
) -> ReturnFault | None:
    """Return the fault that comes now, so long after the aircraft turned for home."""
    return next(
        (f for f in faults if (f.dock_sn, f.job) == (dock_sn, job) and homing_s >= f.after_s),
        None,
    )
