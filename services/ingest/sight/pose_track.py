"""A pose for a picture that carries none, from the states the aircraft told around it. Pure."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import atan2, degrees, hypot

from domain.observation import FramePose, PoseAccuracy, Telemetry
from domain.place import Position
from geo.frames import LocalFrame

GAP_LIMIT_S = 1.0
"""Between states farther apart, or from a state older than that, a picture has no pose."""
GPS = PoseAccuracy(1.5, 2.0, 2.0, 0.5, 0.03)
STAMP_S = 0.05
"""How well a state's time and a picture's agree: states come ten a second, and subtitles repeat
each until the next."""
BENT_MPS2, BENT_DPS2 = 3.0, 30.0
"""How a multicopter changes speed and turns between two states, one standard deviation."""


@dataclass(frozen=True, slots=True)
class PoseTrack:
    """States of one aircraft in time order; `hfov_deg` is its camera's."""

    rows: Sequence[Telemetry]
    hfov_deg: float
    accuracy: PoseAccuracy = GPS
    gap_limit_s: float = GAP_LIMIT_S

    def at(self, at: datetime) -> FramePose | None:
        """Return the pose between the states before and after; None where they are too far apart
        or do not tell where the camera looks.

        A straight line between states `gap_s` apart is off by ½·a·t·(gap − t), t after the first,
        of which the pose's accuracy is widened; before the first and after the last, by the whole
        time from it.
        """
        times = [row.at for row in self.rows]
        i = bisect_left(times, at)
        before, after = self.rows[max(0, i - 1)], self.rows[min(i, len(self.rows) - 1)]
        gap_s = (after.at - before.at).total_seconds()
        outside_s = max((before.at - at).total_seconds(), (at - after.at).total_seconds(), 0.0)
        if gap_s > self.gap_limit_s or outside_s > self.gap_limit_s:
            return None
        into_s = min(gap_s, max(0.0, (at - before.at).total_seconds()))
        one, other = _looking(before), _looking(after)
        if one is None or other is None:
            return None
        return self._between(one, other, at, into_s, gap_s, outside_s, before.speed_m_s or 0.0)

    def _between(
        self,
        one: "_Look",
        other: "_Look",
        at: datetime,
        into_s: float,
        gap_s: float,
        outside_s: float,
        told_mps: float,
    ) -> FramePose:
        share = into_s / gap_s if gap_s > 0.0 else 0.0
        frame = LocalFrame(one.position)
        x_m, y_m = frame.to_local(other.position.lat_deg, other.position.lon_deg)
        turn_deg = (other.yaw_deg - one.yaw_deg + 180.0) % 360.0 - 180.0
        bent_s2 = into_s * (gap_s - into_s) / 2.0
        known = self.accuracy
        known = replace(
            known,
            horizontal_m=hypot(known.horizontal_m, BENT_MPS2 * bent_s2),
            vertical_m=hypot(known.vertical_m, BENT_MPS2 * bent_s2),
            yaw_deg=hypot(known.yaw_deg, BENT_DPS2 * bent_s2),
        )
        seconds = gap_s if gap_s > 0.0 else 1.0
        return FramePose(
            frame.to_position(share * x_m, share * y_m),
            max(0.5, one.height_m + share * (other.height_m - one.height_m)),
            (one.yaw_deg + share * turn_deg) % 360.0,
            one.pitch_deg + share * (other.pitch_deg - one.pitch_deg),
            0.0,
            self.hfov_deg,
            at,
            known,
            None,
            hypot(STAMP_S, outside_s),
            hypot(x_m, y_m) / seconds if gap_s > 0.0 else told_mps,
            abs(turn_deg) / seconds,
            degrees(atan2(x_m, y_m)) % 360.0 if gap_s > 0.0 else None,
        )


@dataclass(frozen=True, slots=True)
class _Look:
    position: Position
    height_m: float
    yaw_deg: float
    pitch_deg: float


def _looking(row: Telemetry) -> _Look | None:
    """Return how a state looks; the ground is taken as level with the take-off where no height
    above it is told."""
    height_m = row.height_rel_m if row.height_agl_m is None else row.height_agl_m
    yaw_deg = row.heading_deg if row.gimbal_yaw_deg is None else row.gimbal_yaw_deg
    if row.position is None or height_m is None or yaw_deg is None:
        return None
    if row.gimbal_pitch_deg is None:
        return None
    return _Look(row.position, height_m, yaw_deg, row.gimbal_pitch_deg)
