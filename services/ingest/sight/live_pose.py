"""Poses for an aircraft's live stream, which carries none, from the states it tells. Pure.

A picture of a stream is older than its arrival by the delay of encoder and network; how much is
known only roughly, and that spread counts as the pose's age. The aircraft's clock is brought to
ours by the quickest of its newest messages, as NTP does (RFC 5905, clock filter).
"""

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import hypot

from domain.ids import derive
from domain.observation import FlightPhase, FramePose, Telemetry
from services.ingest.sight.pose_track import PoseTrack

STATES_LIMIT = 400
"""Ten states a second (DJI DRC) for longer than a picture waits."""


@dataclass(frozen=True, slots=True)
class StreamTiming:
    """A picture arrives `latency_s` ± `spread_s` (one standard deviation) after it was taken: half
    a second to a second and a half is usual for RTSP from a dock. It waits up to `wait_s` for a
    state told after it. Between states farther apart than `gap_s` there is no pose; DJI tells one
    every two seconds. Silence of `flight_gap_s` ends a flight."""

    latency_s: float = 0.8
    spread_s: float = 0.4
    wait_s: float = 3.0
    gap_s: float = 3.0
    flight_gap_s: float = 120.0


@dataclass(slots=True)
class LivePoses:
    """One aircraft's newest states, in our clock."""

    device_sn: str
    hfov_deg: float
    timing: StreamTiming = field(default_factory=StreamTiming)
    _states: deque[Telemetry] = field(default_factory=lambda: deque(maxlen=STATES_LIMIT))
    _began_at: datetime | None = None

    def hear(self, state: Telemetry) -> None:
        """Take in a state; one older than the newest, or with a time nobody believes, is not."""
        last = self._states[-1] if self._states else None
        if state.position is None or state.time_clamped or (last and state.at <= last.at):
            return
        gap_s = 0.0 if last is None else (state.at - last.at).total_seconds()
        grounded = last is not None and last.phase is FlightPhase.IDLE
        if last is None or grounded or gap_s > self.timing.flight_gap_s:
            self._began_at = state.at
        self._states.append(state if last is None else _completed(state, last))

    @property
    def flight_id(self) -> str | None:
        """Which flight the newest states are of; None before any."""
        if self._began_at is None:
            return None
        return derive("flight", self.device_sn, self._began_at.isoformat())

    def is_ready(self, taken_at: datetime, now: datetime) -> bool:
        """Tell whether there is a state after a picture, or it has waited long enough."""
        waited_s = (now - taken_at).total_seconds() - self.timing.latency_s
        if not self._states:
            return waited_s >= self.timing.wait_s
        newest_at = self._states[-1].at + self._offset()
        return newest_at >= taken_at or waited_s >= self.timing.wait_s

    def taken_at(self, received_at: datetime) -> datetime:
        return received_at - timedelta(seconds=self.timing.latency_s)

    def at(self, taken_at: datetime) -> FramePose | None:
        """Return the pose of a picture; None where no state is near or none tells of the gimbal."""
        if not self._states:
            return None
        offset = self._offset()
        track = PoseTrack(tuple(self._states), self.hfov_deg, gap_limit_s=self.timing.gap_s)
        pose = track.at(taken_at - offset)
        if pose is None:
            return None
        return replace(pose, at=taken_at, age_s=hypot(pose.age_s, self.timing.spread_s))

    def _offset(self) -> timedelta:
        """Return our clock minus the aircraft's, and the least time a state is under way."""
        return min(state.received_at - state.at for state in self._states)


def _completed(state: Telemetry, last: Telemetry) -> Telemetry:
    """Return a state with what this message did not carry and the last one did: a DJI DRC message
    tells the ellipsoid's height alone, an OSD message that above take-off as well."""
    height_m = state.height_rel_m
    if height_m is None and last.height_rel_m is not None:
        height_m = last.height_rel_m
        if state.height_ellipsoid_m is not None and last.height_ellipsoid_m is not None:
            height_m += state.height_ellipsoid_m - last.height_ellipsoid_m
    pitch_deg, yaw_deg = state.gimbal_pitch_deg, state.gimbal_yaw_deg
    return replace(
        state,
        height_rel_m=height_m,
        gimbal_pitch_deg=last.gimbal_pitch_deg if pitch_deg is None else pitch_deg,
        gimbal_yaw_deg=last.gimbal_yaw_deg if yaw_deg is None else yaw_deg,
        phase=state.phase or last.phase,
    )
