"""All the simulated hardware of a district in one event loop, drawing in threads beside it."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

import cv2
import structlog
from shapely import Point, union_all
from shapely.geometry.base import BaseGeometry

from domain.device import Dock, Drone
from domain.district import District
from domain.place import AirspaceKind, Position, SiteKind
from domain.responder import Responder
from geo.frames import LocalFrame
from geo.shapes import local_geometry
from runtime.bus import Bus
from runtime.clock import Clock
from simulators.camera import FixedCamera, publish_frames
from simulators.camera_http import SnapshotServer
from simulators.counters import FILE_NAME as COUNTERS_FILE
from simulators.counters import Counters
from simulators.dock import DockMachine
from simulators.dock_link import DockLink, Fetch
from simulators.dock_memory import DockPolicy, DockState, new_state
from simulators.gateway import Gateway
from simulators.remote import RemoteLink, RemoteMachine, RemotePolicy, RemoteState
from simulators.responder import Person, Phone, ResponderPolicy
from simulators.return_fault import ReturnFault
from simulators.rtsp import CameraStream, RtspServer
from simulators.saved_state import load
from simulators.shutter import Shutter
from simulators.world import World

log = structlog.get_logger(__name__)

TICK_S = 0.2
TICK_WALL_S = 0.05
"""Devices wake this often at most: at high rates each waking lives through several steps."""
ANSWER_TIMEOUT_S = 20.0
ANSWER_TIMEOUT_WALL_S = 4.0
DRC_HZ, DRC_LEAST_HZ, DRC_WALL_HZ = 5.0, 1.0, 30.0
"""Poses a clock second in flight: fewer at high rates, so that a wall second stays bounded."""
LOGIN_APART_WALL_S = 0.25
CLEAR_OF_CLOSED_M = 40.0


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """`http_port`/`rtsp_port` serve the cameras whose address is http:// or rtsp://.

    `render_threads` 0 draws inline, as virtual time needs. Pictures of cameras whose address is
    mqtt: go on the bus every `frame_every_wall_s`.
    """

    seed: int
    state_folder: Path
    http_host: str = "127.0.0.1"
    http_port: int | None = None
    rtsp_port: int | None = None
    render_threads: int = 1
    frame_every_wall_s: float = 1.0
    return_faults: tuple[ReturnFault, ...] = ()


@dataclass(frozen=True)
class _Ground:
    """What every device of the fleet stands on."""

    options: FleetOptions
    district: District
    clock: Clock
    world: World
    counters: Counters
    shutter: Shutter
    frame: LocalFrame
    boot: int
    tick_s: float
    pool: Executor | None


async def run(
    options: FleetOptions,
    district: District,
    clock: Clock,
    bus_for: Callable[[str], Bus],
    fetch: Fetch,
    phone_for: Callable[[Responder], Phone | None],
) -> None:
    """Run everything until cancelled. `bus_for(client_id)` gives a bus ready for use.

    The state folder keeps truth, counts and devices' memories: given again after a kill, all goes
    on where it was. Raises ValueError when the folder holds another seed's world.
    """
    options.state_folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        counters = stack.enter_context(Counters(options.state_folder / COUNTERS_FILE))
        counters.add("boots")
        pool = None
        if options.render_threads:
            # One picture a thread: the library's own threads would take the cores from others.
            cv2.setNumThreads(1)
            pool = stack.enter_context(ThreadPoolExecutor(options.render_threads, "draw"))
        world = World(district, options.seed, clock.now(), options.state_folder)
        stack.callback(world.close)
        pictures = bus_for("sim-pictures")
        shutter = Shutter(world, pictures, counters, options.seed, pool)
        ground = _Ground(
            options,
            district,
            clock,
            world,
            counters,
            shutter,
            LocalFrame(district.origin),
            counters.get("boots"),
            max(TICK_S, TICK_WALL_S * clock.rate),
            pool,
        )
        async with asyncio.TaskGroup() as tasks:
            _start_docks(ground, bus_for, fetch, tasks)
            _start_remotes(ground, bus_for, tasks)
            _start_cameras(ground, pictures, tasks)
            _start_people(ground, phone_for, tasks)


def _start_docks(
    ground: _Ground, bus_for: Callable[[str], Bus], fetch: Fetch, tasks: asyncio.TaskGroup
) -> None:
    drones = {d.sn: d for d in ground.district.drones}
    for dock in ground.district.docks:
        machine, memory = _dock(ground, dock, drones[dock.drone_sn])
        gateway = Gateway(dock.sn, bus_for(dock.sn), ground.clock, ground.counters, ground.boot)
        link = DockLink(machine, gateway, fetch, ground.shutter, memory, ground.tick_s)
        tasks.create_task(link.run(), name=dock.sn)


def _dock(ground: _Ground, dock: Dock, drone: Drone) -> tuple[DockMachine, Path]:
    rate = ground.clock.rate
    policy = DockPolicy(
        answer_timeout_s=max(ANSWER_TIMEOUT_S, ANSWER_TIMEOUT_WALL_S * rate),
        drc_hz=min(DRC_HZ, max(DRC_LEAST_HZ, DRC_WALL_HZ / rate)),
        return_faults=ground.options.return_faults,
    )
    memory = ground.options.state_folder / f"{dock.sn}.json"
    state = load(memory, DockState)
    if state is None:
        battery_pct = Random(f"{ground.options.seed}/{dock.sn}").uniform(88.0, 97.0)
        state = new_state(dock, ground.frame, ground.clock.now(), policy, battery_pct)
    machine = DockMachine(
        dock,
        drone,
        ground.frame,
        ground.world.weather,
        state,
        policy,
        ground.options.seed,
        ground.counters.add,
    )
    return machine, memory


def _start_remotes(
    ground: _Ground, bus_for: Callable[[str], Bus], tasks: asyncio.TaskGroup
) -> None:
    by_hand = [d for d in ground.district.drones if not d.docked]
    closed = closed_ground(ground.district, ground.frame)
    posts = remote_posts(ground.district, ground.frame, closed, len(by_hand))
    for drone, post in zip(by_hand, posts, strict=True):
        memory = ground.options.state_folder / f"{drone.sn}.json"
        machine = RemoteMachine(
            drone,
            post,
            ground.frame,
            closed,
            ground.world.weather,
            ground.options.seed,
            load(memory, RemoteState),
            ground.clock.now(),
            RemotePolicy(),
            ground.counters.add,
        )
        sn = drone.gateway_sn
        gateway = Gateway(sn, bus_for(sn), ground.clock, ground.counters, ground.boot)
        link = RemoteLink(machine, gateway, ground.shutter, memory, ground.tick_s)
        tasks.create_task(link.run(), name=sn)


def closed_ground(district: District, frame: LocalFrame) -> BaseGeometry:
    """Return the ground no hand-flown loop may cross, in local metres with a margin."""
    areas = [a for a in district.airspaces if a.kind is AirspaceKind.NO_FLY]
    return union_all([local_geometry(a.area, frame) for a in areas]).buffer(CLEAR_OF_CLOSED_M)


def remote_posts(
    district: District, frame: LocalFrame, closed: BaseGeometry, number: int
) -> list[Position]:
    """Return where hand-flown drones are kept: key sites spread over the list, open to flight."""
    free = [
        s.position
        for s in district.sites
        if s.kind is not SiteKind.DOCK
        and not closed.intersects(
            Point(frame.to_local(s.position.lat_deg, s.position.lon_deg)).buffer(60.0)
        )
    ] or [district.origin]
    return [free[i * len(free) // max(1, number)] for i in range(number)]


def _start_cameras(ground: _Ground, pictures: Bus, tasks: asyncio.TaskGroup) -> None:
    options = ground.options
    by_http: dict[str, FixedCamera] = {}
    by_rtsp: dict[str, CameraStream] = {}
    for camera in ground.district.cameras:
        fixed = FixedCamera(camera, ground.world, ground.clock, options.seed, ground.pool)
        if camera.address.startswith("http"):
            by_http[camera.sn] = fixed
        elif camera.address.startswith("rtsp"):
            by_rtsp[camera.sn] = CameraStream(fixed, ground.clock, ground.counters, ground.pool)
        else:
            work = publish_frames(
                fixed, pictures, ground.clock, ground.counters, options.frame_every_wall_s
            )
            tasks.create_task(work, name=camera.sn)
    if by_http:
        if options.http_port is None:
            raise ValueError("http_port is needed: the district has http:// cameras")
        snapshots = SnapshotServer(by_http, ground.clock, ground.counters)
        tasks.create_task(snapshots.run(options.http_host, options.http_port))
    if by_rtsp:
        if options.rtsp_port is None:
            raise ValueError("rtsp_port is needed: the district has rtsp:// cameras")
        tasks.create_task(RtspServer(by_rtsp).run(options.http_host, options.rtsp_port))


def _start_people(
    ground: _Ground, phone_for: Callable[[Responder], Phone | None], tasks: asyncio.TaskGroup
) -> None:
    policy = ResponderPolicy()
    for number, responder in enumerate(ground.district.responders):
        phone = phone_for(responder)
        if phone is None:
            continue
        person = Person(
            responder,
            phone,
            ground.world,
            ground.shutter,
            ground.clock,
            ground.options.seed,
            policy,
        )
        start_after_s = number * LOGIN_APART_WALL_S * ground.clock.rate
        tasks.create_task(person.live(start_after_s), name=responder.responder_id)
