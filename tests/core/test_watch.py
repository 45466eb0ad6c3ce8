"""watch, frame by frame: what people tell it holds from the next frame on."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import cv2
import numpy as np

from domain.device import Camera
from domain.events import Event, HazardRaised
from domain.hazard import Detection, HazardKind
from domain.observation import Frame
from domain.place import Position
from domain.sight import CameraCalibrated, ControlPoint, SightRule, SightRuleChanged, VoteRule
from geo.camera import Pinhole
from geo.frames import LocalFrame, distance_m
from models.boxes import Image
from runtime.clock import wall_clock
from runtime.evidence import EvidenceStore
from runtime.ledger_memory import MemoryLedger
from services.ingest.sight.device_eye import EyePolicy
from services.ingest.sight.sightings import SightingPolicy
from services.ingest.sources import Pace
from services.ingest.watch import Eyes, Watch, WatchPolicy, make_watch
from tests.core.patrol_scene import EPOCH, ORIGIN, district

CAMERA = Camera("CAM1", "桥头", ORIGIN, 8.0, 40.0, -20.0, 75.0, 640, 360, "http://127.0.0.1/c")
GOOD = cv2.imencode(".jpg", np.full((360, 640, 3), 90, np.uint8))[1].tobytes()
BOX = Detection("fire", 0.9, 300.0, 220.0, 340.0, 260.0)


class Seeing:
    """A detector that sees one fire, whatever the picture."""

    def detect(self, image: Image) -> tuple[Detection, ...]:
        return (BOX,)


def unblurred(image: Image) -> tuple[Image, int]:
    return image, 0


def watching(folder: Path) -> tuple[Watch, MemoryLedger]:
    ledger = MemoryLedger()
    here = replace(district(docks=1), cameras=(CAMERA,))
    policy = WatchPolicy(EyePolicy(SightingPolicy({"fire": 0.5})))
    eyes = Eyes(Seeing(), unblurred)
    evidence = EvidenceStore(folder)
    return make_watch(here, eyes, ledger, evidence, wall_clock(), policy, Pace()), ledger


async def tell(ledger: MemoryLedger, stream: str, event: Event) -> None:
    async with ledger.transaction() as tx:
        await tx.append(stream, [event], at=EPOCH, actor="op-1", expected_version=None)


async def raised(watch: Watch, ledger: MemoryLedger, start: datetime) -> list[HazardRaised]:
    await watch.catch_up()
    for i in range(4):
        frame = Frame("CAM1", start + timedelta(seconds=i), GOOD, None)
        assert await watch.see(frame) is None
    entries = await ledger.read(0, 100)
    return [e.event for e in entries if isinstance(e.event, HazardRaised)]


async def test_a_rule_put_out_of_use_raises_nothing(tmp_path: Path) -> None:
    watch, ledger = watching(tmp_path)
    off = SightRule("fire", HazardKind.FIRE, ("fire",), enabled=False)
    await tell(ledger, "sight-rule/fire", SightRuleChanged("fire", off))
    assert await raised(watch, ledger, EPOCH) == []
    await tell(ledger, "sight-rule/fire", SightRuleChanged("fire", None))
    assert len(await raised(watch, ledger, EPOCH + timedelta(seconds=60))) == 1


async def test_a_stricter_vote_takes_longer(tmp_path: Path) -> None:
    watch, ledger = watching(tmp_path)
    slow = SightRule("fire", HazardKind.FIRE, ("fire",), camera=VoteRule(hits=6))
    await tell(ledger, "sight-rule/fire", SightRuleChanged("fire", slow))
    assert await raised(watch, ledger, EPOCH) == []
    assert len(await raised(watch, ledger, EPOCH + timedelta(seconds=10))) == 1


async def test_control_points_move_what_a_camera_sees(tmp_path: Path) -> None:
    """The registered pose looks 40° from north; the points say 60°."""
    watch, ledger = watching(tmp_path)
    frame, lens = LocalFrame(ORIGIN), Pinhole(60.0, -20.0, 0.0, 75.0, 640, 360)

    def ground(u_px: float, v_px: float) -> Position:
        ray = lens.rays(u_px, v_px)
        return frame.to_position(float(ray[0] * 8 / -ray[2]), float(ray[1] * 8 / -ray[2]))

    pixels = [(60.0 + 70.0 * i, 150.0 + 60.0 * (i % 4)) for i in range(8)]
    points = tuple(ControlPoint(u, v, ground(u, v)) for u, v in pixels)
    await tell(ledger, "calibration/CAM1", CameraCalibrated("CAM1", points))
    (found,) = await raised(watch, ledger, EPOCH)
    foot = 240.0 + (260.0 - 240.0) * np.cos(np.radians(20.0))
    assert distance_m(found.hazard.position, ground(320.0, float(foot))) < 0.5
    await tell(ledger, "calibration/CAM1", CameraCalibrated("CAM1", ()))
    await watch.catch_up()
    assert watch.calibrated == {}
