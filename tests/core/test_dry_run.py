"""Other rules on recorded frames: read back, and judged by what became of it."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from domain.device import Camera
from domain.hazard import Detection, HazardKind
from domain.incident import CloseOutcome
from domain.observation import Frame
from domain.sight import CameraCalibrated, ControlPoint
from geo.camera import Pinhole
from geo.frames import LocalFrame
from gridwing.dry_run import Ended, by_control_points, judged, recorded, summary
from gridwing.eyes import hazard_card, watch_policy
from runtime.ledger import Entry
from services.ingest.record import CameraRecorder
from services.ingest.sight.rules import changed, load_rules, read_rules
from tests.core.patrol_scene import EPOCH, ORIGIN, district

CAMERA = Camera("CAM1", "桥头", ORIGIN, 8.0, 40.0, -20.0, 75.0, 640, 360, "http://127.0.0.1/c")
HERE = replace(district(docks=1), cameras=(CAMERA,))
PICTURE = np.full((360, 640, 3), 90, np.uint8)
JPEG = cv2.imencode(".jpg", PICTURE)[1].tobytes()
FIRE = Detection("fire", 0.9, 300.0, 220.0, 340.0, 260.0)
FAINT = Detection("smoke", 0.41, 420.0, 230.0, 460.0, 300.0)
HOUR = timedelta(hours=1)
POLICY = watch_policy(hazard_card(None))


def record(folder: Path, seconds: int) -> None:
    recorder = CameraRecorder(folder, HERE)
    for i in range(seconds):
        boxes = (FIRE, FAINT) if i % 3 == 1 else (FIRE,)
        recorder.take(Frame("CAM1", EPOCH + timedelta(seconds=i), JPEG, None), PICTURE, boxes, i)
    recorder.close()


def test_a_cameras_boxes_are_recorded_without_pictures(tmp_path: Path) -> None:
    record(tmp_path, 10)
    (path,) = tmp_path.glob("*.mcap")
    assert path.name.startswith("cameras-")
    assert path.stat().st_size < 20_000
    frames = recorded(tmp_path, EPOCH, EPOCH + HOUR)
    assert len(frames) == 10
    assert frames[0].size_px == (640, 360)
    assert frames[1].boxes == (FIRE, FAINT)
    assert len(recorded(tmp_path, EPOCH + timedelta(seconds=4), EPOCH + HOUR)) == 6


def test_each_hour_has_its_file(tmp_path: Path) -> None:
    recorder = CameraRecorder(tmp_path, HERE)
    for hours in (0.0, 0.5, 1.5):
        at = EPOCH + hours * HOUR
        recorder.take(Frame("CAM1", at, JPEG, None), PICTURE, (FIRE,), hours * 3600)
    recorder.close()
    assert len(list(tmp_path.glob("*.det.mcap"))) == 2


def test_rules_are_held_against_what_became_of_it(tmp_path: Path) -> None:
    record(tmp_path, 20)
    frames = recorded(tmp_path, EPOCH, EPOCH + HOUR)
    raised = judged(frames, load_rules(), HERE, POLICY, {}, [], EPOCH, EPOCH + HOUR).raised
    ((fire, verdict),) = raised
    assert (fire.rule, verdict) == ("fire", "unjudged")
    place = (fire.sighting.x_m + 5.0, fire.sighting.y_m)
    was = Ended("i1", HazardKind.FIRE, *place, fire.at, CloseOutcome.HANDLED)
    smoke = Ended("i2", HazardKind.SMOKE, 0.0, 30.0, fire.at, CloseOutcome.HANDLED)
    was_then = [was, smoke]
    verdicts = judged(frames, load_rules(), HERE, POLICY, {}, was_then, EPOCH, EPOCH + HOUR)
    told = summary(verdicts)
    assert told["rules"]["fire"] == {"would_raise": 1, "confirmed": 1}
    assert [m["incident_id"] for m in told["missed"]] == ["i2"]
    keener = read_rules(
        '[smoke]\nkind = "smoke"\nlabels = ["smoke"]\nleast_score = 0.1\n'
        "camera = { hits = 3, share = 0.4 }\n"
    )
    rules = changed(load_rules(), {r.code: r for r in keener})
    false = replace(was, outcome=CloseOutcome.FALSE_ALARM)
    told = summary(judged(frames, rules, HERE, POLICY, {}, [false], EPOCH, EPOCH + HOUR))
    assert told["rules"]["fire"] == {"would_raise": 1, "false": 1}
    assert told["rules"]["smoke"]["would_raise"] == 1


def test_control_points_place_what_was_recorded(tmp_path: Path) -> None:
    """The registered pose looks 40° from north; the points say 60°. The newest told count."""
    record(tmp_path, 10)
    frames = recorded(tmp_path, EPOCH, EPOCH + HOUR)
    frame, lens = LocalFrame(ORIGIN), Pinhole(60.0, -20.0, 0.0, 75.0, 640, 360)
    points = []
    for i in range(8):
        u_px, v_px = 60.0 + 70.0 * i, 150.0 + 60.0 * (i % 4)
        ray = lens.rays(u_px, v_px)
        place = frame.to_position(float(ray[0] * 8 / -ray[2]), float(ray[1] * 8 / -ray[2]))
        points.append(ControlPoint(u_px, v_px, place))
    told = [
        Entry(
            i + 1, f"calibration/{e.device_sn}", i + 1, e.KIND, EPOCH, "op-1", e, b""
        )
        for i, e in enumerate([
            CameraCalibrated("GONE", tuple(points)),
            CameraCalibrated("CAM1", ()),
            CameraCalibrated("CAM1", tuple(points)),
        ])
    ]  # fmt: skip
    yaws = []
    for by_points in ({}, by_control_points(told, HERE)):
        raised = judged(frames, load_rules(), HERE, POLICY, by_points, [], EPOCH, EPOCH + HOUR)
        ((fire, _),) = raised.raised
        yaws.append(float(np.degrees(np.arctan2(fire.sighting.x_m, fire.sighting.y_m))))
    assert yaws == pytest.approx([40.0, 60.0], abs=1.0)
    assert by_control_points(told[:2], HERE) == {}
