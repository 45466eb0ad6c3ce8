"""A pose for a picture that carries none, from the states the aircraft told around it. Pure."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.observation import FramePose, PoseAccuracy, Telemetry
from domain.place import Position
from geo.frames import distance_m

GAP_LIMIT_S = 1.0
"""Between states farther apart, or from a state older than that, a picture has no pose."""
GPS = PoseAccuracy(1.5, 2.0, 2.0, 0.5, 0.03)


@dataclass(frozen=True, slots=True)
class PoseTrack:
    """States of one aircraft in time order; `hfov_deg` is its camera's."""

    rows: Sequence[Telemetry]
    hfov_deg: float
    accuracy: PoseAccuracy = GPS
    gap_limit_s: float = GAP_LIMIT_S

    def at(self, at: datetime) -> FramePose | None:
        """Return the pose between the states before and after, widened by their distance in time;
        None where they are too far apart or do not tell where the camera looks."""
        times = [row.at for row in self.rows]
        i = bisect_left(times, at)
        before, after = self.rows[max(0, i - 1)], self.rows[min(i, len(self.rows) - 1)]
        gap_s = (after.at - before.at).total_seconds()
        age_s = min(abs((at - row.at).total_seconds()) for row in (before, after))
        if gap_s > self.gap_limit_s or age_s > self.gap_limit_s:
            return None
        share = min(1.0, max(0.0, (at - before.at).total_seconds() / gap_s)) if gap_s > 0 else 0.0
        one, other = _looking(before), _looking(after)
        if one is None or other is None:
            return None
        position = Position(
            one[0].lat_deg + share * (other[0].lat_deg - one[0].lat_deg),
            one[0].lon_deg + share * (other[0].lon_deg - one[0].lon_deg),
        )
        turn_deg = (other[2] - one[2] + 180.0) % 360.0 - 180.0
        seconds = max(gap_s, 1e-3)
        return FramePose(
            position,
            max(0.5, one[1] + share * (other[1] - one[1])),
            (one[2] + share * turn_deg) % 360.0,
            one[3] + share * (other[3] - one[3]),
            0.0,
            self.hfov_deg,
            at,
            self.accuracy,
            None,
            age_s,
            distance_m(one[0], other[0]) / seconds if gap_s > 0 else before.speed_m_s or 0.0,
            abs(turn_deg) / seconds if gap_s > 0 else 0.0,
        )


def _looking(row: Telemetry) -> tuple[Position, float, float, float] | None:
    """Return (place, height, yaw, pitch); the ground is taken as level with the take-off where
    no height above it is told."""
    height_m = row.height_rel_m if row.height_agl_m is None else row.height_agl_m
    yaw_deg = row.heading_deg if row.gimbal_yaw_deg is None else row.gimbal_yaw_deg
    if row.position is None or height_m is None or yaw_deg is None:
        return None
    if row.gimbal_pitch_deg is None:
        return None
    return row.position, height_m, yaw_deg, row.gimbal_pitch_deg
