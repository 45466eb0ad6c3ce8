"""Taking pictures: draw what a lens sees, note who looked at what, hand the JPEG on.

Drawing runs in a thread where there is one (`pool`), inline where time is virtual. A drone with
PICTURES_WAITING_LIMIT pictures still to be drawn skips one, as a camera that still writes would.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from random import Random

import cv2

from domain.device import Drone
from domain.observation import FramePose
from runtime import topics
from runtime.bus import Bus
from simulators.counters import Counters
from simulators.drone import Flying
from simulators.frame_message import PoseNoise, encode_frame, measured
from simulators.render import (
    Background,
    DrawnBox,
    Ground,
    Image,
    Light,
    View,
    render,
    render_background,
)
from simulators.world import Standing, World

WIDTH_PX, HEIGHT_PX = 640, 480
JPEG_QUALITY = 80
PICTURES_WAITING_LIMIT = 6
GROUND_SHARE_NADIR, GROUND_SHARE_TILTED = 0.9, 1.7
"""How far the ground is gathered per metre of height: the picture's corner, looking down or not."""
NADIR_BELOW_DEG, TILTED_BELOW_DEG = -80.0, -45.0
GROUND_LEAST_M = 40.0
GROUND_LEVEL_M = 160.0
"""How far the ground is gathered before a lens that looks along it."""


@dataclass(frozen=True, slots=True)
class Scene:
    """All that one picture is drawn from."""

    view: View
    standing: Sequence[Standing]
    light: Light
    at_s: float
    seed: int


def draw(scene: Scene, background: Background) -> tuple[Image, list[DrawnBox]]:
    """Return the picture and the boxes of what it shows."""
    items = [s.item for s in scene.standing]
    return render(scene.view, items, background, scene.light, scene.at_s, scene.seed)


def encode(image: Image) -> bytes:
    good, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    assert good, "a picture in memory always encodes"
    return jpeg.tobytes()


def draw_anew(scene: Scene, ground: Ground, seed: int) -> tuple[bytes, list[DrawnBox]]:
    """Draw the ground too, for a moving lens has no background to keep; return the JPEG."""
    image, boxes = draw(scene, render_background(scene.view, ground, seed))
    return encode(image), boxes


class Shutter:
    """Takes drones' pictures and publishes them, QoS 0, with the pose as measured."""

    def __init__(
        self, world: World, bus: Bus, counters: Counters, seed: int, pool: Executor | None
    ) -> None:
        self.world, self.bus, self.counters = world, bus, counters
        self.seed, self.pool = seed, pool
        self.noise = PoseNoise()
        self._chance = Random(f"{seed}/pose")
        self._waiting: Counter[str] = Counter()
        self._turn: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def release(
        self,
        drone: Drone,
        flying: Flying,
        at: datetime,
        flight_id: str | None,
        tasks: asyncio.TaskGroup,
    ) -> None:
        """Take one picture; it is published when drawn."""
        if self._waiting[drone.sn] >= PICTURES_WAITING_LIMIT:
            self.counters.add("frames_skipped")
            return
        self._waiting[drone.sn] += 1
        pose = self.pose(drone, flying, at)
        tasks.create_task(self._take(drone.sn, pose, flying, flight_id))

    def pose(self, drone: Drone, flying: Flying, at: datetime) -> FramePose:
        """Return where the lens truly is."""
        m = flying.motion
        return FramePose(
            self.world.terrain.frame.to_position(m.x_m, m.y_m),
            max(1.0, m.z_m),
            flying.camera_yaw_deg,
            flying.pitch_deg,
            0.0,
            drone.hfov_deg,
            at,
        )

    async def _take(self, sn: str, pose: FramePose, flying: Flying, flight_id: str | None) -> None:
        try:
            async with self._turn[sn]:
                jpeg = await self.picture(sn, pose, flying.motion.x_m, flying.motion.y_m)
                told = measured(pose, self.noise, self._chance)
                payload = encode_frame(sn, pose.at, jpeg, told, flight_id)
                await self.bus.publish(topics.frame(sn), payload, qos=0)
            self.counters.add("frames_sent")
        except ConnectionError:
            self.counters.add("frames_skipped")
        finally:
            self._waiting[sn] -= 1

    async def picture(
        self, looker: str, pose: FramePose, x_m: float, y_m: float, look: bool = True
    ) -> bytes:
        """Return a JPEG drawn from a true pose at local (x, y); `look` notes what it shows."""
        view = View(
            x_m,
            y_m,
            pose.height_agl_m,
            pose.yaw_deg,
            pose.pitch_deg,
            pose.roll_deg,
            pose.hfov_deg,
            WIDTH_PX,
            HEIGHT_PX,
        )
        reach_m = _reach_m(pose)
        scene = Scene(
            view,
            self.world.items(pose.at, x_m, y_m, reach_m),
            self.world.light(pose.at),
            pose.at.timestamp() % 86_400.0,
            self.seed,
        )
        ground = self.world.terrain.ground(x_m, y_m, reach_m)
        if self.pool is None:
            jpeg, boxes = draw_anew(scene, ground, self.seed)
        else:
            jpeg, boxes = await asyncio.get_running_loop().run_in_executor(
                self.pool, draw_anew, scene, ground, self.seed
            )
        if look:
            self.world.looked(looker, scene.standing, boxes, pose.at)
        return jpeg


def _reach_m(pose: FramePose) -> float:
    if pose.pitch_deg > TILTED_BELOW_DEG:
        return GROUND_LEVEL_M
    nadir = pose.pitch_deg < NADIR_BELOW_DEG
    share = GROUND_SHARE_NADIR if nadir else GROUND_SHARE_TILTED
    return GROUND_LEAST_M + share * pose.height_agl_m
