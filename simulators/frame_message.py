"""The picture message a programmable aircraft sends: header length, JSON header, JPEG.

The pose goes with the picture, read from an RTK receiver and gimbal encoders and so not quite
the true one.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime
from random import Random

import orjson

from domain.codec import to_plain
from domain.observation import FramePose, PoseAccuracy
from geo.frames import LocalFrame


@dataclass(frozen=True, slots=True)
class PoseNoise:
    """Standard deviations of what an RTK aircraft knows of its own pose."""

    horizontal_m: float = 0.03
    vertical_m: float = 0.06
    yaw_deg: float = 0.3
    tilt_deg: float = 0.15


def measured(pose: FramePose, noise: PoseNoise, chance: Random) -> FramePose:
    """Return the pose as the aircraft's sensors tell it, with how well they know it."""
    x_m, y_m = (chance.gauss(0.0, noise.horizontal_m) for _ in range(2))
    return replace(
        pose,
        position=LocalFrame(pose.position).to_position(x_m, y_m),
        height_agl_m=max(0.5, pose.height_agl_m + chance.gauss(0.0, noise.vertical_m)),
        yaw_deg=(pose.yaw_deg + chance.gauss(0.0, noise.yaw_deg)) % 360.0,
        pitch_deg=pose.pitch_deg + chance.gauss(0.0, noise.tilt_deg),
        roll_deg=pose.roll_deg + chance.gauss(0.0, noise.tilt_deg),
        accuracy=PoseAccuracy(
            noise.horizontal_m, noise.vertical_m, noise.yaw_deg, noise.tilt_deg
        ),
    )


def encode_frame(
    device_sn: str, at: datetime, jpeg: bytes, pose: FramePose | None, flight_id: str | None
) -> bytes:
    """Return the payload for gridwing/frame/{sn}."""
    assert pose is None or math.isfinite(pose.yaw_deg)
    header = orjson.dumps(
        to_plain({"device_sn": device_sn, "at": at, "flight_id": flight_id, "pose": pose})
    )
    return len(header).to_bytes(4, "big") + header + jpeg
