"""Cameras as RTSP (RFC 2326) with H.264 (RFC 6184) interleaved in the TCP connection.

DESCRIBE, SETUP, PLAY and TEARDOWN are all a reader needs. A camera is encoded only while somebody
watches it, once for all who do; a new watcher begins at a key frame.
"""

import asyncio
import base64
import struct
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from fractions import Fraction

import av
import cv2
import numpy as np
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from runtime.clock import Clock
from simulators.camera import FixedCamera
from simulators.camera_http import hang_up
from simulators.counters import Counters

FRAMES_PER_S = 5
KEY_EVERY = 10
RTP_CLOCK_HZ = 90_000
PAYLOAD_TYPE = 96
PACKET_BYTES = 1400
REQUEST_LIMIT_BYTES = 8192
WATCHER_FRAMES_LIMIT = 20
WATCHERS_LIMIT = 20
NAL_SPS, NAL_PPS = 7, 8
SESSION = "20261123"


def open_encoder(width_px: int, height_px: int) -> VideoCodecContext:
    """Return an H.264 encoder for live pictures: no look-ahead, parameter sets in the stream."""
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, VideoCodecContext)
    encoder.width, encoder.height = width_px, height_px
    encoder.pix_fmt = "yuv420p"
    encoder.time_base = Fraction(1, RTP_CLOCK_HZ)
    encoder.framerate = Fraction(FRAMES_PER_S, 1)
    encoder.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "crf": "23",
        "profile": "baseline",
        "x264-params": f"keyint={KEY_EVERY}:min-keyint=1:scenecut=0:repeat-headers=1:threads=1",
    }
    return encoder


def nal_units(stream: bytes) -> list[bytes]:
    """Split an Annex B byte stream at its start codes."""
    units: list[bytes] = []
    for part in stream.split(b"\x00\x00\x01"):
        unit = part.rstrip(b"\x00")
        if unit:
            units.append(unit)
    return units


def packets(
    units: list[bytes], sequence: int, timestamp: int, ssrc: int
) -> tuple[list[bytes], int]:
    """Return one picture's RTP packets and the next sequence number; large units as FU-A."""
    out: list[bytes] = []
    for n, unit in enumerate(units):
        last_unit = n == len(units) - 1
        pieces = [unit] if len(unit) <= PACKET_BYTES else _fragments(unit)
        for k, piece in enumerate(pieces):
            marker = 0x80 if last_unit and k == len(pieces) - 1 else 0
            head = struct.pack(
                ">BBHII", 0x80, marker | PAYLOAD_TYPE, sequence & 0xFFFF, timestamp, ssrc
            )
            out.append(head + piece)
            sequence += 1
    return out, sequence


def _fragments(unit: bytes) -> list[bytes]:
    indicator, kind, body = (unit[0] & 0xE0) | 28, unit[0] & 0x1F, unit[1:]
    starts = range(0, len(body), PACKET_BYTES)
    pieces = []
    for start in starts:
        flags = (0x80 if start == 0 else 0) | (0x40 if start == starts[-1] else 0)
        pieces.append(bytes((indicator, flags | kind)) + body[start : start + PACKET_BYTES])
    return pieces


@dataclass(eq=False, slots=True)
class _Watcher:
    writer: asyncio.StreamWriter
    channel: int
    sequence: int = 0
    started: bool = False
    queue: asyncio.Queue[tuple[list[bytes], int, bool]] = field(
        default_factory=lambda: asyncio.Queue(WATCHER_FRAMES_LIMIT)
    )


class CameraStream:
    """One camera's H.264, encoded while it has watchers."""

    def __init__(
        self, camera: FixedCamera, clock: Clock, counters: Counters, pool: Executor | None
    ) -> None:
        self.camera, self.clock, self.counters, self.pool = camera, clock, counters, pool
        self.watchers: list[_Watcher] = []
        self._encoder = open_encoder(camera.view.width_px, camera.view.height_px)
        self._key_wanted = True
        self._pictures = 0
        self._parameters: tuple[bytes, bytes] | None = None

    async def sdp(self, address: str) -> str:
        """Return the session description, with the stream's own parameter sets."""
        if self._parameters is None:
            await self._encode()
        assert self._parameters is not None
        sps, pps = self._parameters
        sets = ",".join(base64.b64encode(p).decode() for p in (sps, pps))
        return (
            f"v=0\r\no=- 0 0 IN IP4 {address}\r\ns={self.camera.camera.sn}\r\n"
            f"c=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n"
            f"m=video 0 RTP/AVP {PAYLOAD_TYPE}\r\n"
            f"a=rtpmap:{PAYLOAD_TYPE} H264/{RTP_CLOCK_HZ}\r\n"
            f"a=fmtp:{PAYLOAD_TYPE} packetization-mode=1;profile-level-id={sps[1:4].hex()};"
            f"sprop-parameter-sets={sets}\r\n"
            f"a=framerate:{FRAMES_PER_S}\r\na=control:track1\r\n"
        )

    def join(self, watcher: _Watcher) -> None:
        self.watchers.append(watcher)
        self._key_wanted = True

    async def run(self) -> None:
        """Encode and hand out while there are watchers, until cancelled."""
        while True:
            if self.watchers:
                units, timestamp, key = await self._encode()
                self.counters.add("pictures_served")
                for watcher in self.watchers:
                    self._offer(watcher, units, timestamp, key)
            await asyncio.sleep(1.0 / FRAMES_PER_S)

    def _offer(self, watcher: _Watcher, units: list[bytes], timestamp: int, key: bool) -> None:
        if not (watcher.started or key):
            return
        watcher.started = True
        try:
            watcher.queue.put_nowait((units, timestamp, key))
        except asyncio.QueueFull:
            # A watcher that does not read begins anew at the next key frame.
            watcher.started = False
            self._key_wanted = True

    async def _encode(self) -> tuple[list[bytes], int, bool]:
        jpeg = await self.camera.picture(self.clock.now())
        key, self._key_wanted = self._key_wanted or self._pictures % KEY_EVERY == 0, False
        timestamp = self._pictures * (RTP_CLOCK_HZ // FRAMES_PER_S)
        self._pictures += 1
        if self.pool is None:
            units = self._compress(jpeg, timestamp, key)
        else:
            loop = asyncio.get_running_loop()
            units = await loop.run_in_executor(self.pool, self._compress, jpeg, timestamp, key)
        for unit in units:
            if unit[0] & 0x1F == NAL_SPS:
                self._parameters = (unit, b"")
            elif unit[0] & 0x1F == NAL_PPS and self._parameters is not None:
                self._parameters = (self._parameters[0], unit)
        return units, timestamp & 0xFFFFFFFF, key

    def _compress(self, jpeg: bytes, timestamp: int, key: bool) -> list[bytes]:
        image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        frame = av.VideoFrame.from_ndarray(np.asarray(image, np.uint8), format="bgr24")
        frame = frame.reformat(format="yuv420p")
        frame.pts, frame.time_base = timestamp, Fraction(1, RTP_CLOCK_HZ)
        frame.pict_type = PictureType.I if key else PictureType.NONE
        return nal_units(b"".join(bytes(p) for p in self._encoder.encode(frame)))


class RtspServer:
    """Serves rtsp://host:port/{sn} for each camera given."""

    def __init__(self, streams: Mapping[str, CameraStream]) -> None:
        self.streams = streams
        self._open = 0
        self._talks: set[asyncio.Task[None]] = set()

    async def run(self, host: str, port: int) -> None:
        """Serve until cancelled. Raises OSError when the port is taken."""
        server = await asyncio.start_server(self._serve, host, port, limit=REQUEST_LIMIT_BYTES)
        async with server, asyncio.TaskGroup() as tasks:
            for stream in self.streams.values():
                tasks.create_task(stream.run())
            try:
                await server.serve_forever()
            finally:
                await hang_up(self._talks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        talk = asyncio.current_task()
        assert talk is not None
        self._talks.add(talk)
        session = _Session(self, reader, writer)
        try:
            if self._open <= WATCHERS_LIMIT:
                await session.converse()
        except (ConnectionError, asyncio.LimitOverrunError, asyncio.IncompleteReadError):
            pass  # the watcher has gone, or talks nonsense: it is hung up on either way
        except asyncio.CancelledError:
            pass  # asyncio 3.11 would log the cancellation of an open connection as an error
        finally:
            self._talks.discard(talk)
            self._open -= 1
            session.leave()
            writer.close()


class _Session:
    """One connection: a conversation of requests, and pictures in between once it plays."""

    def __init__(
        self, server: RtspServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.server, self.reader, self.writer = server, reader, writer
        self.stream: CameraStream | None = None
        self.watcher: _Watcher | None = None
        self.sending: asyncio.Task[None] | None = None

    async def converse(self) -> None:
        going = True
        while going:
            first = await self.reader.readexactly(1)
            if first == b"$":  # the watcher's RTCP reports: read and not needed
                _, size = struct.unpack(">BH", await self.reader.readexactly(3))
                await self.reader.readexactly(size)
                continue
            head = first + await self.reader.readuntil(b"\r\n\r\n")
            going = await self._answer(head.decode("latin-1"))

    async def _answer(self, request: str) -> bool:
        """Answer one request; tell whether the conversation goes on."""
        line, *rest = request.split("\r\n")
        method, url, *_ = [*line.split(" "), "", ""]
        headers = {k.strip().lower(): v.strip() for k, _, v in (h.partition(":") for h in rest)}
        name = url.split("/")[3] if url.count("/") >= 3 else ""
        stream = self.server.streams.get(name)
        more: dict[str, str] = {}
        body, status = "", "200 OK"
        if method == "OPTIONS":
            more["Public"] = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"
        elif method == "DESCRIBE" and stream is not None:
            body = await stream.sdp(self.writer.get_extra_info("sockname")[0])
            more |= {"Content-Type": "application/sdp", "Content-Base": url.rstrip("/") + "/"}
        elif method == "SETUP" and stream is not None:
            status = self._set_up(stream, headers.get("transport", ""), more)
        elif method == "PLAY" and self.stream is not None and self.watcher is not None:
            self._play(self.stream, self.watcher)
            more["Range"] = "npt=0.000-"
        elif method not in ("TEARDOWN", "GET_PARAMETER"):
            status = "404 Not Found" if stream is None else "455 Method Not Valid in This State"
        if self.stream is not None:
            more["Session"] = SESSION
        self._write(status, headers.get("cseq", "0"), more, body)
        await self.writer.drain()
        return method != "TEARDOWN"

    def _set_up(self, stream: CameraStream, transport: str, more: dict[str, str]) -> str:
        if "TCP" not in transport.upper():
            return "461 Unsupported Transport"
        channels = transport.partition("interleaved=")[2].split(";")[0] or "0-1"
        self.stream = stream
        self.watcher = _Watcher(self.writer, int(channels.split("-")[0]))
        more["Transport"] = f"RTP/AVP/TCP;unicast;interleaved={channels};ssrc=00000001"
        return "200 OK"

    def _play(self, stream: CameraStream, watcher: _Watcher) -> None:
        if self.sending is None:
            stream.join(watcher)
            self.sending = asyncio.create_task(_send(watcher))

    def _write(self, status: str, cseq: str, headers: dict[str, str], body: str) -> None:
        lines = [f"RTSP/1.0 {status}", f"CSeq: {cseq}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body:
            lines.append(f"Content-Length: {len(body.encode())}")
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())

    def leave(self) -> None:
        if self.sending is not None:
            self.sending.cancel()
        if self.stream is not None and self.watcher in self.stream.watchers:
            self.stream.watchers.remove(self.watcher)


async def _send(watcher: _Watcher) -> None:
    """Write a watcher's pictures as interleaved RTP until cancelled or hung up on."""
    while True:
        units, timestamp, _ = await watcher.queue.get()
        rtp, watcher.sequence = packets(units, watcher.sequence, timestamp, ssrc=1)
        for packet in rtp:
            watcher.writer.write(struct.pack(">cBH", b"$", watcher.channel, len(packet)) + packet)
        try:
            await watcher.writer.drain()
        except ConnectionError:
            return
