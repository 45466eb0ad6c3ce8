"""One MCAP per flight: what was said, what it meant, what was seen.

Ingest writes `<drone>-<start>.flight.mcap`: the raw MQTT messages of the drone and its gateway
(channel /raw/<topic>, the topic again in the channel's metadata, log time = receive time), the fix
and the decoded state. Watch, a process of its own, writes `<drone>-<start>.cam.mcap` beside it:
pictures and boxes; and `cameras-<start>.det.mcap`, the boxes alone of all fixed cameras. Replay
merges them by time. A flight begins with a phase of flight, whoever flies, and ends with the first
phase on the ground.

No recorded picture shows a face: each is made so coarse that one pixel is FINEST_M_PX of ground or
more, nearer than which nothing in a drone's view can lie.
"""

import asyncio
import base64
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import cv2
import numpy as np
import orjson
import structlog

from domain.codec import canonical, instant_text, to_plain
from domain.device import DeviceKind
from domain.district import District
from domain.hazard import Detection
from domain.observation import FlightPhase, Frame, FramePose, Telemetry
from models.boxes import Image
from runtime.bus import Message
from services.ingest.columns import PHASE_CODE, Columns
from services.ingest.devices import Devices
from services.ingest.mcap_file import McapFile, recover_all

log = structlog.get_logger(__name__)

SYNC_EVERY_S = 2.0
FOLDER_LIMIT_BYTES = 4 * 1024**3
BEFORE_FLIGHT_MESSAGES = 24
CAM_SILENCE_S = 120.0
CAMERAS, CAMERAS_FILE_S = "cameras", 3600.0
FINEST_M_PX = 0.1
NARROWEST_PX = 64
COARSE_QUALITY = 80
DISTRICT_TOPIC = "/district"
AIRBORNE = frozenset(
    {
        FlightPhase.TAKING_OFF,
        FlightPhase.EN_ROUTE,
        FlightPhase.ON_TASK,
        FlightPhase.HOLDING,
        FlightPhase.RETURNING,
        FlightPhase.LANDING,
    }
)
GROUNDED = frozenset({FlightPhase.IDLE, FlightPhase.PREPARING, FlightPhase.OFFLINE})
AIRBORNE_CODES = [PHASE_CODE[phase] for phase in AIRBORNE]
TOPICS_REMEMBERED = 20_000
LOCATION_FIX = "foxglove.LocationFix"
IMAGE = "foxglove.CompressedImage"
BOXES = "gridwing.Detections"
STATE = "gridwing.Telemetry"


def begun(folder: Path, sn: str, at: datetime, kind: str) -> McapFile:
    """Open a new recording. The name holds who and when, so that no two flights share one.

    The oldest finished recordings make room when all exceed FOLDER_LIMIT_BYTES.
    """
    folder.mkdir(parents=True, exist_ok=True)
    make_room(folder, FOLDER_LIMIT_BYTES)
    stamp = at.strftime("%Y%m%dT%H%M%S%f")[:-3]
    return McapFile(folder / f"{sn}-{stamp}.{kind}.mcap")


def make_room(folder: Path, limit_bytes: int) -> None:
    """Remove finished recordings, oldest first, until the rest takes `limit_bytes` or less."""
    found = sorted((path.stat().st_mtime_ns, path) for path in folder.glob("*.mcap"))
    taken = sum(path.stat().st_size for _, path in found)
    for _, path in found:
        if taken <= limit_bytes:
            return
        taken -= path.stat().st_size
        path.unlink()


class FlightRecorder:
    """Ingest's half: messages and states of every drone that flies."""

    def __init__(self, folder: Path, district: District) -> None:
        self._folder = folder
        # Addresses may hold passwords; a replay pulls no camera.
        silent = tuple(replace(camera, address="") for camera in district.cameras)
        self._district = canonical(replace(district, cameras=silent)).encode()
        self._drone_of = Devices.of(district).drone_of
        self._drones = set(self._drone_of.values())
        self._topics: dict[str, str | None] = {}
        self._before: dict[str, deque[tuple[Message, datetime]]] = {}
        self._open: dict[str, McapFile] = {}
        self._synced_s = 0.0

    def recover(self) -> list[Path]:
        """Mend what a killed process left. Call once, before anything is recorded."""
        return recover_all(self._folder, ".flight.mcap")

    async def take(
        self, messages: Sequence[Message], columns: Columns | None, received_at: datetime
    ) -> None:
        """Record one batch that is already kept and acknowledged; a full disk stops no ingest."""
        try:
            await self._take(messages, self._flying(columns), received_at)
        except OSError as error:
            log.warning("recording given up", error=str(error))
            self._open.clear()

    def _flying(self, columns: Columns | None) -> list[Telemetry]:
        """Return the rows of drones that are recorded, or are to be from now on."""
        if columns is None:
            return []
        drone = np.array([kind is DeviceKind.DRONE for kind in columns.kinds])
        opened = np.array([name in self._open for name in columns.names])
        begins = np.zeros(len(columns.names), bool)
        begins[columns.device[np.isin(columns.phase, AIRBORNE_CODES)]] = True
        wanted = np.flatnonzero((drone & (opened | begins))[columns.device])
        return [columns.message(i) for i in wanted.tolist()]

    async def _take(
        self, messages: Sequence[Message], drones: Sequence[Telemetry], received_at: datetime
    ) -> None:
        for row in drones:
            if row.phase in AIRBORNE and row.device_sn not in self._open:
                self._begin(row.device_sn, received_at)
        for message in messages:
            sn = self._drone_in(message.topic)
            if sn is not None:
                self._raw(sn, message, received_at)
        for row in drones:
            if (file := self._open.get(row.device_sn)) is not None:
                write_state(file, row)
        for sn, phase in {row.device_sn: row.phase for row in drones if row.phase}.items():
            if phase in GROUNDED and sn in self._open:
                self._open.pop(sn).close()
        await self._sync()

    def _drone_in(self, topic: str) -> str | None:
        """Return the drone a topic speaks of, None for anything else."""
        if topic not in self._topics:
            if len(self._topics) >= TOPICS_REMEMBERED:
                self._topics.clear()
            parts = topic.split("/")
            sn = self._drone_of.get(parts[2], parts[2]) if len(parts) > 2 else ""
            self._topics[topic] = sn if sn in self._drones else None
        return self._topics[topic]

    def _begin(self, sn: str, at: datetime) -> None:
        file = self._open[sn] = begun(self._folder, sn, at, "flight")
        before = self._before.pop(sn, ())
        file.write(DISTRICT_TOPIC, before[0][1] if before else at, self._district)
        for message, received_at in before:
            write_raw(file, message, received_at)

    def _raw(self, sn: str, message: Message, received_at: datetime) -> None:
        if (file := self._open.get(sn)) is not None:
            write_raw(file, message, received_at)
            return
        kept = self._before.get(sn)
        if kept is None:
            kept = self._before[sn] = deque(maxlen=BEFORE_FLIGHT_MESSAGES)
        kept.append((message, received_at))

    async def _sync(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._open and now_s - self._synced_s >= SYNC_EVERY_S:
            self._synced_s = now_s
            for file in list(self._open.values()):
                await asyncio.to_thread(file.sync)

    def close(self) -> None:
        """End every recording, as an orderly stop does."""
        while self._open:
            self._open.popitem()[1].close()


class CameraRecorder:
    """Watch's half: a flying drone's pictures with the boxes found in them, and what was found in
    fixed cameras' frames, boxes alone, an hour a file."""

    def __init__(self, folder: Path, district: District) -> None:
        self._folder = folder
        self._drones = {drone.sn for drone in district.drones}
        self._open: dict[str, tuple[McapFile, datetime]] = {}
        self._synced_s: dict[str, float] = {}
        self._cameras: tuple[McapFile, datetime] | None = None

    def recover(self) -> list[Path]:
        return recover_all(self._folder, ".cam.mcap") + recover_all(self._folder, ".det.mcap")

    def take(self, frame: Frame, image: Image, boxes: Sequence[Detection], wall_s: float) -> None:
        """Record one decoded frame; CAM_SILENCE_S of frame time without one ends a recording."""
        try:
            self._take(frame, image, boxes, wall_s)
        except OSError as error:
            log.warning("recording given up", error=str(error))
            self._open.clear()
            self._cameras = None

    def _take(self, frame: Frame, image: Image, boxes: Sequence[Detection], wall_s: float) -> None:
        sn = frame.device_sn
        self._end_silent(frame.at)
        if frame.pose is None:
            self._camera(frame, image, boxes, wall_s)
            return
        if sn not in self._drones:
            return
        file, _ = self._open.get(sn, (None, None))
        file = file or begun(self._folder, sn, frame.at, "cam")
        self._open[sn] = (file, frame.at)
        write_frame(file, frame, image, frame.pose, boxes)
        if wall_s - self._synced_s.setdefault(sn, wall_s) >= SYNC_EVERY_S:
            self._synced_s[sn] = wall_s
            file.sync()

    def _camera(
        self, frame: Frame, image: Image, boxes: Sequence[Detection], wall_s: float
    ) -> None:
        file, begun_at = self._cameras or (None, frame.at)
        if file is not None and (frame.at - begun_at).total_seconds() > CAMERAS_FILE_S:
            file.close()
            file = None
        if file is None:
            file = begun(self._folder, CAMERAS, frame.at, "det")
            self._cameras = file, frame.at
        write_boxes(file, f"/camera/{frame.device_sn}", frame, image, boxes)
        if wall_s - self._synced_s.setdefault(CAMERAS, wall_s) >= SYNC_EVERY_S:
            self._synced_s[CAMERAS] = wall_s
            file.sync()

    def _end_silent(self, now: datetime) -> None:
        for sn, (file, last_at) in list(self._open.items()):
            if (now - last_at).total_seconds() > CAM_SILENCE_S:
                del self._open[sn]
                file.close()

    def close(self) -> None:
        while self._open:
            self._open.popitem()[1][0].close()
        if self._cameras is not None:
            self._cameras[0].close()
            self._cameras = None


def write_raw(file: McapFile, message: Message, received_at: datetime) -> None:
    file.write(
        f"/raw/{message.topic}",
        received_at,
        message.payload,
        encoding="",
        metadata={"mqtt_topic": message.topic},
    )


def write_state(file: McapFile, row: Telemetry) -> None:
    if row.position is not None:
        fix = {
            "timestamp": _stamp(row.state_at),
            "frame_id": row.device_sn,
            "latitude": row.position.lat_deg,
            "longitude": row.position.lon_deg,
            "altitude": row.height_ellipsoid_m or 0.0,
            "position_covariance_type": 0,
        }
        file.write(
            f"/drone/{row.device_sn}/fix",
            row.received_at,
            orjson.dumps(fix),
            published_at=row.state_at,
            schema=LOCATION_FIX,
        )
    told = {name: value for name, value in to_plain(row).items() if value is not None}
    file.write(
        f"/drone/{row.device_sn}/osd",
        row.received_at,
        orjson.dumps(told),
        published_at=row.state_at,
        schema=STATE,
    )


def write_frame(
    file: McapFile, frame: Frame, image: Image, pose: FramePose, boxes: Sequence[Detection]
) -> None:
    topic = f"/drone/{frame.device_sn}"
    if (jpeg := coarse(image, pose)) is not None:
        picture = {
            "timestamp": _stamp(frame.at),
            "frame_id": frame.device_sn,
            "format": "jpeg",
            "data": base64.b64encode(jpeg).decode(),
        }
        file.write(f"{topic}/cam", frame.at, orjson.dumps(picture), schema=IMAGE)
    write_boxes(file, topic, frame, image, boxes)


def write_boxes(
    file: McapFile, topic: str, frame: Frame, image: Image, boxes: Sequence[Detection]
) -> None:
    """Write what was found in a frame; a dry run of other rules needs no more."""
    seen = {
        "at": instant_text(frame.at),
        "flight_id": frame.flight_id,
        "pose": to_plain(frame.pose),
        "size_px": [image.shape[1], image.shape[0]],
        "boxes": to_plain(tuple(boxes)),
    }
    file.write(f"{topic}/det", frame.at, orjson.dumps(seen), schema=BOXES)


def coarse(image: Image, pose: FramePose) -> bytes | None:
    """Return the JPEG at FINEST_M_PX of ground a pixel or coarser; None when too small."""
    height_px, width_px = image.shape[:2]
    across_m = 2 * pose.height_agl_m * math.tan(math.radians(pose.hfov_deg) / 2)
    scale = min(1.0, across_m / width_px / FINEST_M_PX)
    if width_px * scale < NARROWEST_PX:
        return None
    size = (round(width_px * scale), round(height_px * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, COARSE_QUALITY])
    return data.tobytes() if done else None


def _stamp(at: datetime) -> dict[str, int]:
    seconds = int(at.timestamp())
    return {"sec": seconds, "nsec": at.microsecond * 1000}
