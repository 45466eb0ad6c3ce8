"""Live streams of aircraft: each picture waits for its pose, which the aircraft tells apart."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from domain.device import Drone
from domain.observation import Frame, Refusal, Telemetry
from runtime.bus import Bus
from runtime.clock import Clock
from services.ingest.decode import decode
from services.ingest.devices import Devices
from services.ingest.sight.live_pose import LivePoses
from services.ingest.sources import FLOWN_LIMIT, FrameInbox

STATE_FILTERS = ("thing/product/+/osd", "thing/product/+/drc/up")
"""Where an aircraft tells of its gimbal; our own telemetry format does not."""


@dataclass(slots=True)
class FlownStream:
    """Takes the pictures of one aircraft as a FrameInbox does, and hands them on with a pose."""

    poses: LivePoses
    inbox: FrameInbox
    clock: Clock
    refuse: Callable[[str, str], None]
    refused: int = 0
    _waiting: deque[Frame] = field(default_factory=deque)

    def put(self, frame: Frame) -> None:
        """Take a picture whose time is that of its arrival."""
        if len(self._waiting) >= FLOWN_LIMIT:
            self._drop(self._waiting.popleft(), "its aircraft's states come too slowly")
        self._waiting.append(replace(frame, at=self.poses.taken_at(frame.at)))
        self._hand_on()

    def hear(self, state: Telemetry) -> None:
        self.poses.hear(state)
        self._hand_on()

    def _hand_on(self) -> None:
        now = self.clock.now()
        while self._waiting and self.poses.is_ready(self._waiting[0].at, now):
            frame = self._waiting.popleft()
            pose = self.poses.at(frame.at)
            if pose is None:
                self._drop(frame, "its aircraft did not tell where its camera looked then")
            else:
                self.inbox.put(replace(frame, pose=pose, flight_id=self.poses.flight_id))

    def _drop(self, frame: Frame, why: str) -> None:
        self.refused += 1
        self.inbox.refused += 1
        self.refuse(frame.device_sn, why)


def flown_streams(
    drones: Iterable[Drone], inbox: FrameInbox, clock: Clock, refuse: Callable[[str, str], None]
) -> dict[str, FlownStream]:
    """Return a stream for each aircraft whose picture is read at an address."""
    return {
        drone.sn: FlownStream(LivePoses(drone.sn, drone.hfov_deg), inbox, clock, refuse)
        for drone in drones
        if drone.address
    }


async def hear_states(
    bus: Bus, streams: Mapping[str, FlownStream], devices: Devices, clock: Clock
) -> None:
    """Hear the states of aircraft with a stream, at QoS 0, until cancelled.

    What cannot be read is ingest's to refuse and keep: it hears the same messages.
    """
    if not streams:
        return
    speaks = set(streams) | {g for g, sn in devices.drone_of.items() if sn in streams}
    async with bus.subscribe(STATE_FILTERS, qos=0) as messages:
        async for message in messages:
            if message.topic.split("/")[2] not in speaks:
                continue
            heard = decode(message.topic, message.payload, clock.now(), devices)
            if isinstance(heard, Refusal):
                continue
            for one in heard.observations:
                if isinstance(one, Telemetry) and one.device_sn in streams:
                    streams[one.device_sn].hear(one)
