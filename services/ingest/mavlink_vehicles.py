"""Which vehicles are heard, for which devices they speak, and the samples that wait to be sent.

Time is given: `now_s` of a stopwatch, `now_ms` of the receiver's clock (Unix).
"""

from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from services.ingest.mavlink import (
    NOT_AN_AUTOPILOT,
    REBOOTED_MS,
    Vehicle,
    merge,
    sample,
    told_at_ms,
)
from services.ingest.mavlink_wire import Said
from services.ingest.sample import SAMPLES_LIMIT

AUTOPILOT = 1
"""The component that flies; cameras, gimbals and ground stations have other numbers."""
VEHICLES_LIMIT = 64
SILENT_S = 10.0
UNPLACED_EVERY_S = 1.0
"""A vehicle that tells no position is told of this often, at its heartbeat."""
SLACK = 0.25
"""Share of the interval by which a sample may be early: a sender's clock is not quite ours."""

Sample = dict[str, float | str]


class Outcome(StrEnum):
    """What became of a message."""

    MERGED = "merged"
    NO_AUTOPILOT = "no_autopilot"
    STRANGER = "stranger"
    SECOND_ADDRESS = "second_address"
    TOO_MANY = "too_many"
    BEFORE_HEARTBEAT = "before_heartbeat"


@dataclass(slots=True)
class Track:
    """One vehicle as it is heard from one address."""

    serial: str
    source: Hashable
    heard_s: float
    state: Vehicle = field(default_factory=Vehicle)
    due_s: float = 0.0
    sampled_ms: int = -1
    """Time since boot of the position last sampled."""
    sampled_s: float = 0.0


class Vehicles:
    """`serials` names the device of a system id; without it system 7 is `mavlink-7`."""

    def __init__(self, serials: Mapping[int, str], every_s: float) -> None:
        self.serials, self.every_s = serials, every_s
        self.tracks: dict[int, Track] = {}
        self.dropped = 0
        """Samples that gave way to newer ones because the broker stayed away."""
        self._unsent: dict[str, deque[Sample]] = {}

    def take(self, said: Said, source: Hashable, now_s: float, now_ms: int) -> Outcome:
        """Take one message from an address; a sample may wait in `unsent` after it."""
        if said.component != AUTOPILOT or said.system == 0:
            return Outcome.NO_AUTOPILOT
        if (serial := self._serial(said.system)) is None:
            return Outcome.STRANGER
        track = self.tracks.get(said.system)
        if track is None:
            refused = self._unfit(said)
            if refused is not None:
                return refused
            track = self.tracks[said.system] = Track(serial, source, now_s, sampled_s=now_s)
        elif track.source != source:
            # Two vehicles with one number would become one that jumps to and fro.
            return Outcome.SECOND_ADDRESS
        track.heard_s = now_s
        track.state = merge(track.state, said.name, said.fields, now_s)
        self._sample(track, said, now_s, now_ms)
        return Outcome.MERGED

    def forget_silent(self, now_s: float) -> list[str]:
        """Forget who has been silent for SILENT_S; return their serials."""
        silent = [n for n, track in self.tracks.items() if now_s - track.heard_s > SILENT_S]
        return [self.tracks.pop(number).serial for number in silent]

    def unsent(self) -> dict[str, list[Sample]]:
        """Give up what waits: at most SAMPLES_LIMIT samples of each device, oldest first."""
        waiting = {serial: list(queue) for serial, queue in self._unsent.items()}
        self._unsent.clear()
        return waiting

    def _serial(self, system: int) -> str | None:
        return self.serials.get(system) if self.serials else f"mavlink-{system}"

    def _unfit(self, said: Said) -> Outcome | None:
        if said.name != "HEARTBEAT":
            return Outcome.BEFORE_HEARTBEAT
        if said.fields["autopilot"] == NOT_AN_AUTOPILOT:
            return Outcome.NO_AUTOPILOT
        return Outcome.TOO_MANY if len(self.tracks) >= VEHICLES_LIMIT else None

    def _sample(self, track: Track, said: Said, now_s: float, now_ms: int) -> None:
        """Sample at a position, in its own instant; without positions at the heartbeat."""
        if said.name == "GLOBAL_POSITION_INT":
            boot_ms = int(said.fields["time_boot_ms"])
            again = track.sampled_ms - REBOOTED_MS < boot_ms <= track.sampled_ms
            if again or now_s < track.due_s - SLACK * self.every_s:
                return
            track.sampled_ms = boot_ms
        elif said.name != "HEARTBEAT" or now_s - track.sampled_s < UNPLACED_EVERY_S * (1 - SLACK):
            return
        track.due_s = max(track.due_s, now_s - self.every_s) + self.every_s
        track.sampled_s = now_s
        at_ms = told_at_ms(track.state, now_s, now_ms)
        if at_ms <= 0:
            return
        queue = self._unsent.setdefault(track.serial, deque(maxlen=SAMPLES_LIMIT))
        self.dropped += len(queue) == SAMPLES_LIMIT
        queue.append(sample(track.state, at_ms, now_s))
