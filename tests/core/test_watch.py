"""watch, frame by frame: what people tell it holds from the next frame on."""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from domain.device import Camera
from domain.events import Event, HazardRaised
from domain.hazard import Detection, HazardKind
from domain.observation import Frame
from domain.place import Position
from domain.sight import CameraCalibrated, ControlPoint, SightRule, SightRuleChanged, VoteRule
from geo.camera import Pinhole
from geo.frames import LocalFrame, distance_m
from models.boxes import Image
from models.detector import Detector
from models.noted import Noted, noted_in
from runtime.clock import wall_clock
from runtime.evidence import EvidenceStore
from runtime.ledger_memory import MemoryLedger
from runtime.sealing import SealedStore, new_key, unseal
from services.ingest.sight.device_eye import EyePolicy
from services.ingest.sight.gate import GatePolicy
from services.ingest.sight.sightings import SightingPolicy
from services.ingest.sources import FrameInbox, Pace
from services.ingest.watch import Eyes, Watch, WatchPolicy, make_watch, run
from tests.core.patrol_scene import EPOCH, ORIGIN, district

CAMERA = Camera("CAM1", "桥头", ORIGIN, 8.0, 40.0, -20.0, 75.0, 640, 360, "http://127.0.0.1/c")
GOOD = cv2.imencode(".jpg", np.full((360, 640, 3), 90, np.uint8))[1].tobytes()
BOX = Detection("fire", 0.9, 300.0, 220.0, 340.0, 260.0)


class Seeing:
    """A detector that sees one fire, whatever the picture."""

    def detect(self, image: Image) -> tuple[Detection, ...]:
        return (BOX,)


SEEING = Seeing()


def unblurred(image: Image) -> tuple[Image, int]:
    return image, 0


def watching(folder: Path, detector: Detector = SEEING) -> tuple[Watch, MemoryLedger]:
    ledger = MemoryLedger()
    here = replace(district(docks=1), cameras=(CAMERA,))
    policy = WatchPolicy(EyePolicy(SightingPolicy({"fire": 0.5})))
    eyes = Eyes(detector, unblurred)
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


async def test_the_kept_picture_holds_its_boxes_and_none_is_drawn(tmp_path: Path) -> None:
    watch, ledger = watching(tmp_path)
    (event,) = await raised(watch, ledger, EPOCH)
    jpeg = watch.evidence.get(event.hazard.evidence[0])
    assert jpeg is not None
    assert noted_in(jpeg) == Noted((BOX,))
    good, kept = (cv2.imdecode(np.frombuffer(j, np.uint8), cv2.IMREAD_COLOR) for j in (GOOD, jpeg))
    assert good is not None
    assert kept is not None
    assert int(np.abs(good.astype(int) - kept.astype(int)).max()) < 40


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


class SeeingBright:
    """A detector that sees a fire wherever a square of the picture is bright."""

    def __init__(self) -> None:
        self.looks = 0

    def detect(self, image: Image) -> tuple[Detection, ...]:
        self.looks += 1
        rows, columns = np.nonzero(image[..., 0] > 200)
        found, middle = [], float(np.median(columns)) if len(columns) else 0.0
        for side in (columns <= middle, columns > middle):
            if side.sum() > 100:
                across, down = columns[side], rows[side]
                corners = (across.min(), down.min(), across.max() + 1, down.max() + 1)
                found.append(Detection("fire", 0.9, *(float(c) for c in corners)))
        return tuple(found)


def picture(*lefts: int) -> bytes:
    """Return a street with fires: those on the right burn some thirty metres farther away."""
    image = np.full((360, 640, 3), 90, np.uint8)
    for left in lefts:
        top = 220 if left < 400 else 70
        image[top : top + 40, left : left + 40] = 250
    return cv2.imencode(".jpg", image)[1].tobytes()


async def shown(
    watch: Watch, ledger: MemoryLedger, pictures: list[bytes], every_s: float
) -> list[HazardRaised]:
    for i, jpeg in enumerate(pictures):
        at = EPOCH + timedelta(seconds=i * every_s)
        assert await watch.see(Frame("CAM1", at, jpeg, None)) is None
    entries = await ledger.read(0, 100)
    return [e.event for e in entries if isinstance(e.event, HazardRaised)]


async def test_a_hazard_that_appears_and_stands_still_is_raised_through_the_gate(
    tmp_path: Path,
) -> None:
    detector = SeeingBright()
    watch, ledger = watching(tmp_path, detector)
    still, burning = [picture()] * 100, [picture(300)] * 60
    (found,) = await shown(watch, ledger, still + burning, 0.2)
    assert (found.hazard.first_seen_at - EPOCH).total_seconds() == pytest.approx(20.0, abs=0.3)
    assert (found.hazard.last_seen_at - found.hazard.first_seen_at).total_seconds() < 2.0
    assert detector.looks < 70
    assert watch.frames_seen == detector.looks


async def test_what_was_there_all_along_is_seen_on_schedule(tmp_path: Path) -> None:
    watch, ledger = watching(tmp_path, SeeingBright())
    assert len(await shown(watch, ledger, [picture(300)] * 60, 0.2)) == 1


async def test_two_hazards_of_a_kind_first_seen_in_one_frame_are_two(tmp_path: Path) -> None:
    pictures = [picture(100, 500)] * 4
    ids = []
    for folder in ("one", "again"):
        watch, ledger = watching(tmp_path / folder, SeeingBright())
        found = await shown(watch, ledger, pictures, 1.0)
        ids.append({one.hazard.hazard_id for one in found})
    assert len(ids[0]) == 2
    assert ids[0] == ids[1]


async def test_a_calibrated_cameras_substream_is_placed_as_its_main_one(tmp_path: Path) -> None:
    frame, lens = LocalFrame(ORIGIN), Pinhole(60.0, -20.0, 0.0, 75.0, 640, 360)
    points = []
    for i in range(8):
        u_px, v_px = 60.0 + 70.0 * i, 150.0 + 60.0 * (i % 4)
        ray = lens.rays(u_px, v_px)
        place = frame.to_position(float(ray[0] * 8 / -ray[2]), float(ray[1] * 8 / -ray[2]))
        points.append(ControlPoint(u_px, v_px, place))
    found = []
    for name, size in (("main", (640, 360)), ("sub", (320, 240))):
        watch, ledger = watching(tmp_path / name, SeeingBright())
        event = CameraCalibrated("CAM1", tuple(points))
        await tell(ledger, "calibration/CAM1", event)
        await watch.catch_up()
        image = cv2.imdecode(np.frombuffer(picture(300), np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        jpeg = cv2.imencode(".jpg", cv2.resize(image, size))[1].tobytes()
        found += await shown(watch, ledger, [jpeg] * 4, 1.0)
    main, sub = found
    assert distance_m(main.hazard.position, sub.hazard.position) < 0.3


async def test_a_camera_whose_frames_are_passed_over_is_not_silent(tmp_path: Path) -> None:
    watch, ledger = watching(tmp_path, SeeingBright())
    seldom = replace(watch.policy.eye, gate=GatePolicy(still_s=300.0))
    watch.policy = replace(watch.policy, eye=seldom)
    pictures = [picture()] * 200
    await shown(watch, ledger, pictures, 1.0)
    assert watch.frames_seen < 20
    last_at = watch.health["CAM1"].last_at
    assert last_at == EPOCH + timedelta(seconds=199)


async def test_a_parked_vehicle_is_told_though_a_camera_sends_five_frames_a_second(
    tmp_path: Path,
) -> None:
    watch, ledger = watching(tmp_path, SeeingBright())
    slow = SightRule("fire", HazardKind.FIRE, ("fire",), camera=VoteRule(hits=3, dwell_s=60.0))
    await tell(ledger, "sight-rule/fire", SightRuleChanged("fire", slow))
    await watch.catch_up()
    (found,) = await shown(watch, ledger, [picture(300)] * 320, 0.2)
    dwelt = found.hazard.last_seen_at - found.hazard.first_seen_at
    assert 60.0 <= dwelt.total_seconds() <= 61.0


def jpeg_of(shape: tuple[int, ...]) -> bytes:
    return cv2.imencode(".jpg", np.full(shape, 90, np.uint8))[1].tobytes()


def claiming(height_px: int, width_px: int) -> bytes:
    """Return a JPEG whose header tells another size than it has."""
    at = GOOD.index(b"\xff\xc0") + 5
    size = height_px.to_bytes(2, "big") + width_px.to_bytes(2, "big")
    return GOOD[:at] + size + GOOD[at + 4 :]


async def test_frames_that_may_be_anything_harm_no_camera(tmp_path: Path) -> None:
    """Each kind comes first, amid others and when a look is due: the watch goes on."""
    watch, ledger = watching(tmp_path)
    frames = [
        (claiming(30_000, 30_000), False), (b"\xff\xd8\xff", False), (GOOD[:60], False),
        (jpeg_of((1, 1, 3)), False), (jpeg_of((360, 640)), True), (jpeg_of((9, 4000, 3)), False),
        (jpeg_of((480, 640, 3)), True), (GOOD, True), (jpeg_of((2160, 3840, 3)), True),
    ]  # fmt: skip
    seconds = [0.0, 0.1, 0.2, 30.0, -3600.0, -3599.9, 86400.0, 0.3]
    for s in seconds:
        for jpeg, fits in frames:
            frame = Frame("CAM1", EPOCH + timedelta(seconds=s), jpeg, None)
            assert (await watch.see(frame) is None) == fits, (s, jpeg[:4])
    assert watch.frames_seen > 0
    start = EPOCH + timedelta(days=2)
    before = len(await ledger.read(0, 100))
    for i in range(4):
        await watch.see(Frame("CAM1", start + timedelta(seconds=i), GOOD, None))
    assert len(await ledger.read(0, 100)) > before


SEALING = SightRule("fire", HazardKind.FIRE, ("fire",), camera=VoteRule(hits=3), sealed_days=30)


async def test_an_original_is_sealed_only_where_the_rule_says_so(tmp_path: Path) -> None:
    private, public = new_key()
    watch, ledger = watching(tmp_path / "evidence")
    watch.sealed = SealedStore(tmp_path / "sealed", public)
    await raised(watch, ledger, EPOCH)
    assert not (tmp_path / "sealed").exists()
    await tell(ledger, "sight-rule/fire", SightRuleChanged("fire", SEALING))
    *_, event = await raised(watch, ledger, EPOCH + timedelta(hours=2))
    last = (watch.clock.now() + timedelta(days=30)).date()
    (kept,) = (tmp_path / "sealed").glob("*/*")
    assert kept == tmp_path / "sealed" / last.isoformat() / f"{event.hazard.evidence[0]}.sealed"
    assert unseal(kept.read_bytes(), private) == GOOD


async def test_watch_does_not_start_where_a_rule_asks_and_there_is_no_key(tmp_path: Path) -> None:
    watch, ledger = watching(tmp_path)
    await tell(ledger, "sight-rule/fire", SightRuleChanged("fire", SEALING))
    with pytest.raises(ValueError, match=r"fire\.sealed_days .* GRIDWING_SEAL_KEY"):
        await run(watch, FrameInbox(), lambda source, reason: None)
