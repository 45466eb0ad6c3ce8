"""A fixed camera: a background drawn once, and what stands on it drawn when it changes."""

import asyncio
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import datetime
from math import radians, sin
from typing import Any

import cv2
import numpy as np

from domain.device import Camera
from runtime import topics
from runtime.bus import Bus
from runtime.clock import Clock
from simulators.counters import Counters
from simulators.frame_message import encode_frame
from simulators.render import Background, DrawnBox, Image, View, render_background
from simulators.shutter import Scene, draw, encode
from simulators.world import Standing, World

REACH_M = 170.0
GROUND_REACH_M = 420.0
FASTEST_WALL_S = 0.2
"""A camera gives five pictures a second at most; asked sooner it gives the last one again."""
SENSOR_NOISE = 6
"""Grey levels, as a small sensor has by day."""
RESTLESS = ("fire", "smoke", "flooded_road")
"""Kinds whose looks change by themselves."""


@dataclass(frozen=True, slots=True)
class _Shot:
    """The last picture: what it was drawn from, and what it shows."""

    signature: Any
    image: Image
    jpeg: bytes
    boxes: list[DrawnBox]
    standing: list[Standing]
    wall_s: float


class FixedCamera:
    """`picture(at)` gives the JPEG of now. Not to be asked by two callers at one time."""

    def __init__(
        self, camera: Camera, world: World, clock: Clock, seed: int, pool: Executor | None
    ) -> None:
        self.camera, self.world, self.clock = camera, world, clock
        self.seed, self.pool = seed, pool
        x_m, y_m = world.terrain.frame.to_local(camera.position.lat_deg, camera.position.lon_deg)
        self.view = View(
            x_m,
            y_m,
            camera.height_agl_m,
            camera.yaw_deg,
            camera.pitch_deg,
            0.0,
            camera.hfov_deg,
            camera.width_px,
            camera.height_px,
        )
        ahead_m = 0.45 * REACH_M
        self._centre_m = (
            x_m + ahead_m * sin(radians(camera.yaw_deg)),
            y_m + ahead_m * sin(radians(90.0 - camera.yaw_deg)),
        )
        self._background: Background | None = None
        self._shot: _Shot | None = None
        self._asked = asyncio.Lock()

    async def picture(self, at: datetime) -> bytes:
        """Return the picture at clock time `at`; what it shows is written to the truth log."""
        async with self._asked:
            shot, wall_s = self._shot, self.clock.wall_s()
            if shot is not None and wall_s - shot.wall_s < FASTEST_WALL_S:
                return shot.jpeg
            scene = self._scene(at)
            signature = _signature(scene)
            if shot is None or signature != shot.signature or _restless(scene):
                image, boxes = await self._draw(scene)
                shot = _Shot(signature, image, b"", boxes, list(scene.standing), wall_s)
            jpeg = encode(_sensed(shot.image, at))
            shot = replace(shot, jpeg=jpeg, wall_s=wall_s)
            self._shot = shot
            self.world.looked(self.camera.sn, shot.standing, shot.boxes, at)
            return shot.jpeg

    def _scene(self, at: datetime) -> Scene:
        light = self.world.light(at)
        return Scene(
            self.view,
            self.world.items(at, *self._centre_m, REACH_M),
            replace(light, sun=round(light.sun, 2)),
            at.timestamp() % 86_400.0,
            self.seed,
        )

    async def _draw(self, scene: Scene) -> tuple[Image, list[DrawnBox]]:
        if self.pool is None:
            return draw(scene, self._ground())
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.pool, lambda: draw(scene, self._ground()))

    def _ground(self) -> Background:
        if self._background is None:
            ground = self.world.terrain.ground(self.view.x_m, self.view.y_m, GROUND_REACH_M)
            self._background = render_background(self.view, ground, self.seed)
        return self._background


def _sensed(image: Image, at: datetime) -> Image:
    """Add the sensor's noise: no two frames of a live camera are ever the same."""
    rng = np.random.default_rng(round(at.timestamp() * 1000))
    grain = rng.integers(0, SENSOR_NOISE, image.shape[:2], np.uint8)
    return np.asarray(cv2.add(image, cv2.merge([grain] * 3)), np.uint8)


async def publish_frames(
    camera: FixedCamera, bus: Bus, clock: Clock, counters: Counters, every_wall_s: float
) -> None:
    """Put a camera's pictures on its frame topic at a steady pace until cancelled."""
    sn = camera.camera.sn
    while True:
        at = clock.now()
        jpeg = await camera.picture(at)
        await bus.publish(topics.frame(sn), encode_frame(sn, at, jpeg, None, None), qos=0)
        counters.add("frames_sent")
        await clock.sleep(every_wall_s * clock.rate)


def _signature(scene: Scene) -> Any:
    items = tuple(
        (s.item.kind, round(s.item.x_m, 1), round(s.item.y_m, 1), round(s.item.growth, 2))
        for s in scene.standing
    )
    return items, scene.light


def _restless(scene: Scene) -> bool:
    return any(s.item.kind in RESTLESS for s in scene.standing)
