"""Photographs and videos taken before, as frames with poses; what has none is named."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from domain.device import DeviceKind
from domain.observation import Frame
from services.ingest.fields import Unreadable
from services.ingest.recorded_frames import Refused, photographs, video
from services.ingest.track import Flown
from tests.core.test_photo_pose import photo

NOW = datetime(2026, 11, 23, tzinfo=UTC)
FLOWN = Flown("D1", DeviceKind.DRONE, NOW, UTC)


def test_a_folder_of_photographs(tmp_path: Path) -> None:
    (tmp_path / "a.JPG").write_bytes(photo())
    (tmp_path / "b.jpg").write_bytes(photo(gps=False))
    (tmp_path / "c.jpg").write_bytes(b"not a picture")
    (tmp_path / "d.txt").write_text("no photograph")
    whole, *refused = photographs(tmp_path, "D1")
    assert isinstance(whole, Frame)
    assert whole.pose is not None
    assert whole.pose.pitch_deg == -60.0
    assert [r.name for r in refused if isinstance(r, Refused)] == ["b.jpg", "c.jpg"]


def subtitles(seconds: int) -> str:
    blocks = []
    for i in range(seconds * 10):
        at = NOW - timedelta(days=1) + timedelta(seconds=i / 10)
        cue = f"00:00:{i // 10:02d},{i % 10}00 --> 00:00:{i // 10:02d},{i % 10}99"
        blocks.append(
            f"{i + 1}\n{cue}\n{at:%Y-%m-%d %H:%M:%S}.{i % 10}00\n"
            f"[latitude: {22.54 + i * 1e-6:.6f}] [longitude: 113.350000] [rel_alt: 60.000 abs_alt:"
            " 71.2] [gb_yaw: 20.0 gb_pitch: -70.0 gb_roll: 0.0]\n"
        )
    return "\n".join(blocks)


def test_a_video_is_posed_by_its_subtitles(tmp_path: Path) -> None:
    path = tmp_path / "flight.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (320, 240))
    for i in range(40):
        writer.write(np.full((240, 320, 3), 5 * i, np.uint8))
    writer.release()
    with pytest.raises(Unreadable, match=r"no \.SRT"):
        list(video(path, FLOWN, 66.0))
    path.with_suffix(".SRT").write_text(subtitles(3))
    frames = list(video(path, FLOWN, 66.0, every_s=1.0))
    posed = [f for f in frames if isinstance(f, Frame)]
    assert len(posed) >= 3
    assert posed[0].pose is not None
    assert posed[0].pose.height_agl_m == 60.0
    assert posed[0].pose.pitch_deg == -70.0
    assert all(f.flight_id == "flight" for f in posed)
