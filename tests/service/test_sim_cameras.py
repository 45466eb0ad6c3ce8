"""Simulated cameras are read with the clients real ones are read with: HTTP, and FFmpeg's RTSP."""

import asyncio
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import cv2
import httpx
import numpy as np

from domain.district import District
from runtime.bus import MemoryBus
from runtime.clock import wall_clock
from simulators.counters import read_counts
from simulators.district import generate
from simulators.fleet import FleetOptions, run
from simulators.rtsp import nal_units, packets
from simulators.truth import truth_summary

AT = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def cameras(folder: Path) -> AsyncIterator[District]:
    """Two HTTP cameras and one RTSP camera, nothing else, on ports of their own."""
    http, rtsp = free_port(), free_port()
    whole = generate(7)
    addresses = (
        f"http://127.0.0.1:{http}/cameras/{whole.cameras[0].sn}.jpg",
        f"http://127.0.0.1:{http}/cameras/{whole.cameras[1].sn}.jpg",
        f"rtsp://127.0.0.1:{rtsp}/{whole.cameras[2].sn}",
    )
    three = tuple(replace(c, address=a) for c, a in zip(whole.cameras[:3], addresses, strict=True))
    district = replace(whole, cameras=three, docks=(), drones=(), responders=())
    options = FleetOptions(7, folder, http_port=http, rtsp_port=rtsp)
    bus = MemoryBus()
    fleet = asyncio.create_task(
        run(options, district, wall_clock(), lambda _: bus, never, lambda _: None)
    )
    try:
        for _ in range(200):
            if await answers(http) and await answers(rtsp):
                break
            await asyncio.sleep(0.05)
        yield district
    finally:
        fleet.cancel()
        await asyncio.gather(fleet, return_exceptions=True)


async def never(url: str) -> bytes:
    raise AssertionError(f"no dock here asks for {url}")


async def answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionError:
        return False
    writer.close()
    return True


async def test_snapshots_over_http(tmp_path: Path) -> None:
    async with cameras(tmp_path) as district, httpx.AsyncClient(trust_env=False) as client:
        camera = district.cameras[0]
        for _ in range(3):
            answer = await client.get(camera.address)
            assert answer.status_code == 200
            assert answer.headers["content-type"] == "image/jpeg"
        image = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR)
        assert image is not None
        assert image.shape == (camera.height_px, camera.width_px, 3)
        base = camera.address.rsplit("/", 1)[0]
        assert (await client.get(f"{base}/unknown.jpg")).status_code == 404
        assert (await client.get("http" + base.split("http")[1] + "/../x")).status_code == 404
        assert (await client.post(camera.address)).status_code == 405
    assert read_counts(tmp_path / "counters.bin")["pictures_served"] == 3
    assert truth_summary(tmp_path)["hazards_true"] == 0


async def test_pictures_over_rtsp(tmp_path: Path) -> None:
    async with cameras(tmp_path) as district:
        camera = district.cameras[2]
        shapes = await asyncio.get_running_loop().run_in_executor(
            ThreadPoolExecutor(1), watch, camera.address, 8
        )
        assert shapes == [(camera.height_px, camera.width_px, 3)] * 8


def watch(address: str, number: int) -> list[tuple[int, ...]]:
    """Read pictures as the watching side does; an empty list when the stream does not open."""
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 8000, cv2.CAP_PROP_READ_TIMEOUT_MSEC, 8000]
    capture = cv2.VideoCapture(address, cv2.CAP_FFMPEG, limits)
    shapes = []
    for _ in range(number):
        good, image = capture.read()
        if not good:
            break
        shapes.append(image.shape)
    capture.release()
    return shapes


def test_large_units_are_cut_and_can_be_put_together_again() -> None:
    units = nal_units(
        b"\x00\x00\x00\x01\x67abc\x00\x00\x01\x68d\x00\x00\x01\x65" + bytes(range(1, 256)) * 20
    )
    assert [u[0] & 31 for u in units] == [7, 8, 5]
    rtp, following = packets(units, 65_535, 90, 1)
    assert len(rtp) == 2 + 4
    assert following == 65_535 + 6
    assert [p[1] >> 7 for p in rtp] == [0] * 5 + [1]
    whole = bytes([(rtp[2][12] & 0xE0) | (rtp[2][13] & 0x1F)]) + b"".join(p[14:] for p in rtp[2:])
    assert whole == units[2]
