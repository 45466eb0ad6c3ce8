"""Frame sources: cameras pulled over HTTP or RTSP, drones heard over MQTT; newest picture wins.

A camera that matters (a candidate or hazard in sight) is read faster. What watch cannot take in
time is dropped by that one rule and counted, never silently.
"""

import asyncio
import os
import ssl
import threading
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import cv2
import httpx

from domain.device import Camera, Drone
from domain.observation import Frame
from runtime.bus import Bus
from runtime.clock import Clock
from runtime.metrics import FRAMES
from runtime.topics import FRAME_FILTER
from services.ingest.frames import JPEG_LIMIT_BYTES, JPEG_START, decode_frame
from services.ingest.multipart import NotMultipart, PictureParts

HTTP_TIMEOUT_S = 5.0
BACKOFF_FIRST_S = 1.0
BACKOFF_LAST_S = 30.0
RTSP_TIMEOUT_MS = 5000
FLOWN_LIMIT = 16
AHEAD_LIMIT_S, AHEAD_LIMIT_WALL_S = 60.0, 5.0
BEHIND_LIMIT_S, BEHIND_LIMIT_WALL_S = 600.0, 30.0
HELD_LOOK_S = 0.5
RTSP_UDP = "rtsp+udp://"
FFMPEG_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_OPENING = threading.Lock()


@dataclass(slots=True)
class Pace:
    """How often a camera is read, in wall seconds: more often while it matters."""

    idle_s: float = 1.0
    busy_s: float = 0.2
    busy: set[str] = field(default_factory=set)

    def interval_s(self, device_sn: str) -> float:
        return self.busy_s if device_sn in self.busy else self.idle_s


class FrameInbox:
    """Frames waiting to be judged, devices in turn.

    Of a fixed camera only the newest counts. A frame taken in flight shows ground that no later one
    shows, so up to `FLOWN_LIMIT` of a device wait; then its oldest is dropped.
    """

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Frame]] = {}
        self._ready = asyncio.Event()
        self.taken = 0
        self.dropped = 0
        self.refused = 0

    def put(self, frame: Frame) -> None:
        waiting = self._waiting.setdefault(frame.device_sn, deque())
        if len(waiting) >= (1 if frame.pose is None else FLOWN_LIMIT):
            waiting.popleft()
            self.dropped += 1
            FRAMES.labels("dropped").inc()
        waiting.append(frame)
        self._ready.set()

    @property
    def waiting(self) -> int:
        return sum(map(len, self._waiting.values()))

    async def take(self) -> Frame:
        """Return the oldest frame of the device whose turn it is."""
        while not self._waiting:
            self._ready.clear()
            await self._ready.wait()
        self.taken += 1
        sn, waiting = next(iter(self._waiting.items()))
        del self._waiting[sn]
        frame = waiting.popleft()
        if waiting:
            self._waiting[sn] = waiting
        return frame


async def hear_frames(
    bus: Bus,
    inbox: FrameInbox,
    refuse: Callable[[str, str], None],
    clock: Clock,
    passed_over: Callable[[str], bool] = lambda _: False,
) -> None:
    """Take frame messages off the bus at QoS 0; a bad one is told to `refuse(topic, reason)`.

    Those of a device that is `passed_over`, since another process has its lease, are not decoded.
    Votes and dwell count on a frame's own time, so one whose time cannot be is refused.
    """
    async with bus.subscribe([FRAME_FILTER], qos=0) as messages:
        async for message in messages:
            if passed_over(message.topic.rpartition("/")[2]):
                continue
            try:
                frame = decode_frame(message.topic, message.payload)
                if (wrong := _wrong_time(frame, clock)) is not None:
                    raise ValueError(wrong)
                inbox.put(frame)
            except ValueError as error:
                inbox.refused += 1
                refuse(message.topic, str(error))


def _wrong_time(frame: Frame, clock: Clock) -> str | None:
    """Return why a frame's time is not believed, or None."""
    ahead_s = (frame.at - clock.now()).total_seconds()
    if ahead_s > max(AHEAD_LIMIT_S, AHEAD_LIMIT_WALL_S * clock.rate):
        return f"frame's time is {ahead_s:.0f} s ahead: set the device's clock (NTP)"
    if -ahead_s > max(BEHIND_LIMIT_S, BEHIND_LIMIT_WALL_S * clock.rate):
        return f"frame's time is {-ahead_s:.0f} s behind: set the device's clock (NTP)"
    return None


class Taking(Protocol):
    """Where pictures go: the inbox, or what gives a picture its pose first."""

    refused: int

    def put(self, frame: Frame) -> None: ...


async def pull_http(
    camera: Camera | Drone,
    client: httpx.AsyncClient,
    inbox: Taking,
    pace: Pace,
    clock: Clock,
    refuse: Callable[[str, str], None],
) -> None:
    """Read an HTTP camera at its pace: snapshots, or Motion JPEG where it answers with that. Back
    off while it does not answer; a stream that stalls is opened anew."""
    backoff_s = BACKOFF_FIRST_S
    while True:
        began_s = clock.wall_s()
        try:
            async with client.stream("GET", camera.address, timeout=HTTP_TIMEOUT_S) as answer:
                answer.raise_for_status()
                await _answered(camera.sn, answer, inbox, pace, clock, refuse)
        except (httpx.HTTPError, NotMultipart) as error:
            refuse(camera.sn, f"no picture: {type(error).__name__} {error}".strip())
            if clock.wall_s() - began_s > BACKOFF_LAST_S:
                backoff_s = BACKOFF_FIRST_S
            await clock.sleep(backoff_s * clock.rate)
            backoff_s = min(2 * backoff_s, BACKOFF_LAST_S)
            continue
        backoff_s = BACKOFF_FIRST_S
        await clock.sleep(pace.interval_s(camera.sn) * clock.rate)


async def _answered(
    sn: str,
    answer: httpx.Response,
    inbox: Taking,
    pace: Pace,
    clock: Clock,
    refuse: Callable[[str, str], None],
) -> None:
    kind = answer.headers.get("content-type", "")
    if not kind.lower().startswith("multipart/"):
        held = b""
        async for chunk in answer.aiter_bytes():
            held += chunk
            if len(held) > JPEG_LIMIT_BYTES:
                break
        _put(sn, held, inbox, clock, refuse)
        return
    parts, due_s = PictureParts(kind), clock.wall_s()
    async for chunk in answer.aiter_bytes():
        for picture in parts.feed(chunk):
            # All are read, since they come anyway; those due are handed on.
            if clock.wall_s() >= due_s:
                _put(sn, picture, inbox, clock, refuse)
                due_s = clock.wall_s() + pace.interval_s(sn)


def _put(
    sn: str, jpeg: bytes, inbox: Taking, clock: Clock, refuse: Callable[[str, str], None]
) -> None:
    if jpeg.startswith(JPEG_START) and len(jpeg) <= JPEG_LIMIT_BYTES:
        inbox.put(Frame(sn, clock.now(), jpeg, None))
    else:
        inbox.refused += 1
        refuse(sn, f"{len(jpeg)} bytes are no JPEG within the limit of {JPEG_LIMIT_BYTES}")


async def pull_rtsp(
    camera: Camera | Drone,
    inbox: Taking,
    pace: Pace,
    clock: Clock,
    refuse: Callable[[str, str], None],
) -> None:
    """Read an RTSP camera in a thread of its own and keep its newest picture.

    The stream is decoded as it comes, since H.264 needs every picture; only those due at the
    camera's pace are encoded and handed on. A stalled stream ends the read and is opened anew.
    """
    loop = asyncio.get_running_loop()
    backoff_s = BACKOFF_FIRST_S
    while True:
        stop = threading.Event()

        def deliver(jpeg: bytes) -> None:
            inbox.put(Frame(camera.sn, clock.now(), jpeg, None))

        reading = asyncio.to_thread(
            _read_stream,
            camera.address,
            stop,
            lambda: pace.interval_s(camera.sn),
            clock.wall_s,
            lambda jpeg: loop.call_soon_threadsafe(deliver, jpeg),
        )
        try:
            pictures = await reading
        finally:
            stop.set()
        refuse(camera.sn, f"stream ended after {pictures} pictures")
        if pictures:
            backoff_s = BACKOFF_FIRST_S
        await clock.sleep(backoff_s * clock.rate)
        backoff_s = min(2 * backoff_s, BACKOFF_LAST_S)


def _read_stream(
    address: str,
    stop: threading.Event,
    interval_s: Callable[[], float],
    wall_s: Callable[[], float],
    deliver: Callable[[bytes], object],
) -> int:
    """Return how many pictures were delivered before the stream ended."""
    limits = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
        RTSP_TIMEOUT_MS,
        cv2.CAP_PROP_READ_TIMEOUT_MSEC,
        RTSP_TIMEOUT_MS,
    ]
    capture = _opened(address, limits)
    delivered = 0
    due_s = wall_s()
    try:
        while not stop.is_set() and capture.grab():
            if wall_s() < due_s:
                continue
            good, image = capture.retrieve()
            if not good:
                break
            _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])
            deliver(jpeg.tobytes())
            delivered += 1
            due_s = wall_s() + interval_s()
    finally:
        capture.release()
    return delivered


def _opened(address: str, limits: list[int]) -> cv2.VideoCapture:
    """Open a stream over TCP, or over UDP where the address says rtsp+udp://.

    FFmpeg learns of UDP from the environment only, for which those streams are opened one by one
    and others wait.
    """
    with _OPENING:
        if address.startswith(RTSP_UDP):
            os.environ[FFMPEG_OPTIONS] = "rtsp_transport;udp"
            try:
                plain = address.replace(RTSP_UDP, "rtsp://")
                return cv2.VideoCapture(plain, cv2.CAP_FFMPEG, limits)
            finally:
                del os.environ[FFMPEG_OPTIONS]
    return cv2.VideoCapture(address, cv2.CAP_FFMPEG, limits)


async def pull_cameras(
    cameras: Sequence[Camera | Drone],
    held: Callable[[], Collection[str]],
    inbox: Callable[[str], Taking],
    pace: Pace,
    clock: Clock,
    refuse: Callable[[str, str], None],
) -> None:
    """Read those cameras and aircraft with an http:// or rtsp:// address that are `held`, until
    cancelled; `inbox(sn)` is where a device's pictures go.

    A camera that is no longer held is let go, one that is held anew is taken up.
    """
    trusted = ssl.create_default_context()
    pulled = {c.sn: c for c in cameras if c.address.startswith(("http", "rtsp"))}
    running: dict[str, asyncio.Task[None]] = {}

    async def pull(camera: Camera | Drone) -> None:
        taking = inbox(camera.sn)
        if camera.address.startswith("rtsp"):
            await pull_rtsp(camera, taking, pace, clock, refuse)
            return
        # One each: a shared client looks at every camera's connection for each request.
        async with httpx.AsyncClient(trust_env=False, verify=trusted) as client:
            await pull_http(camera, client, taking, pace, clock, refuse)

    async with asyncio.TaskGroup() as tasks:
        while True:
            wanted = pulled.keys() & set(held())
            for sn in running.keys() - wanted:
                running.pop(sn).cancel()
            for sn in sorted(wanted - running.keys()):
                running[sn] = tasks.create_task(pull(pulled[sn]))
            await asyncio.sleep(HELD_LOOK_S)
