"""Recorded pictures at the command line: what is seen, where it lies, what is refused and why."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from shapely import Point, Polygon
from shapely.geometry import shape

from domain.device import Camera, DeviceKind
from domain.hazard import Detection
from domain.observation import Frame, FramePose
from domain.place import Position
from gridwing.watch_files import FilePolicy, Judge, Standpoint, features, files, frames
from gridwing.watch_files_cli import watch_files
from models.boxes import Image
from services.ingest.recorded_frames import Refused
from services.ingest.track import Flown

AT = datetime(2026, 11, 23, tzinfo=UTC)
HERE = Position(22.54, 113.35)
BOX = Detection("fire", 0.9, 300.0, 220.0, 340.0, 260.0)
JPEG = cv2.imencode(".jpg", np.full((480, 640, 3), 90, np.uint8))[1].tobytes()
CAMERA = Camera("CAM1", "路口", HERE, 8.0, 30.0, -20.0, 75.0, 640, 480, "mqtt:x")


def look(image: Image) -> list[Detection]:
    assert image.shape == (480, 640, 3)
    return [BOX]


def judge(standpoint: Standpoint | None = None) -> Judge:
    return Judge(look, frozenset(), standpoint, Counter(), Counter(), Counter())


def pose(pitch_deg: float) -> FramePose:
    return FramePose(HERE, 80.0, 0.0, pitch_deg, 0.0, 66.0, AT)


def test_what_is_seen_is_placed_and_drawn() -> None:
    one = judge()
    told = one.judged(Path("a.jpg"), Frame("D1", AT, JPEG, pose(-60.0)))
    ground = told["detections"][0]["ground"]
    assert ground["lat_deg"] > HERE.lat_deg
    assert ground["semi_major_m"] > 0.0
    point, ellipse = features(told)
    assert shape(ellipse["geometry"]).contains(Point(point["geometry"]["coordinates"]))
    outline = shape(ellipse["geometry"])
    assert isinstance(outline, Polygon)
    assert outline.exterior.is_ccw
    assert one.counts == {"frames": 1, "detections": 1, "placed": 1}


def test_above_the_horizon_and_refused_are_counted_by_reason() -> None:
    one = judge()
    told = one.judged(Path("a.jpg"), Frame("D1", AT, JPEG, pose(10.0)))
    assert told["detections"][0]["no_ground"] == "above_horizon"
    assert list(features(told)) == []
    for name in ("b", "c"):
        one.judged(Path(name), Refused(name, "no pose"))
    one.judged(Path("d"), Frame("D1", AT, b"torn", pose(-60.0)))
    assert one.no_ground == {"above_horizon": 1}
    assert one.refused == {"no pose": 2, "the picture does not decode": 1}


def test_a_fixed_cameras_pictures_need_no_pose(tmp_path: Path) -> None:
    (tmp_path / "one.jpg").write_bytes(JPEG)
    (tmp_path / "torn.jpg").write_bytes(JPEG[:99])
    (tmp_path / "note.txt").write_text("not looked at")
    flown = Flown("D1", DeviceKind.DRONE, AT, UTC)
    standpoint = Standpoint(CAMERA, None)
    policy = FilePolicy(flown, 66.0, 1.0, None, standpoint)
    found = [f for path in files([tmp_path]) for f in frames(path, policy)]
    assert [type(f) for f in found] == [Frame, Refused]
    told = judge(standpoint).judged(tmp_path, found[0])
    assert told["detections"][0]["ground"]["range_m"] == pytest.approx(22.0, abs=4.0)


def test_photographs_without_a_pose_are_refused_and_the_command_says_so(tmp_path: Path) -> None:
    (tmp_path / "one.jpg").write_bytes(JPEG)
    out = tmp_path / "out.geojson"
    asked = [str(tmp_path), "--model", "gridwing-hazards", "--json", "--geojson", str(out)]
    result = CliRunner().invoke(watch_files, asked)
    assert result.exit_code == 1, result.output
    counts = json.loads(result.output)["counts"]
    assert counts["frames"] == 0
    assert sum(counts["refused"].values()) == 1
    assert json.loads(out.read_text())["features"] == []
