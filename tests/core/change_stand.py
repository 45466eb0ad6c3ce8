"""A simulated camera with open ground before it, what watches it, and a shed to be built there."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np

from domain.device import Camera
from domain.events import Event, HazardRaised
from domain.hazard import Detection
from domain.observation import Frame
from domain.sight import ReferenceAccepted
from models.boxes import Image
from runtime.clock import wall_clock
from runtime.evidence import EvidenceStore
from runtime.ledger import Ledger
from services.ingest.sight.device_eye import EyePolicy
from services.ingest.sight.sightings import SightingPolicy
from services.ingest.sources import Pace
from services.ingest.watch import Eyes, Watch, WatchPolicy, make_watch
from simulators.district import generate
from simulators.render import Item, Light, View, render, render_background
from simulators.render_dataset import Town, towns

AT = datetime(2026, 11, 23, 2, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=31)
TOWN_SEED = 11
LIGHTS = (Light(0.8), Light(0.5), Light(0.95, haze=0.2), Light(0.6), Light(0.9), Light(0.7))


class Blind:
    """A detector that knows nothing of what is built."""

    def detect(self, image: Image) -> tuple[Detection, ...]:
        return ()


def unblurred(image: Image) -> tuple[Image, int]:
    return image, 0


@dataclass
class Stand:
    """A camera of a simulated district, what watches it, and a shed before it."""

    camera: Camera
    watch: Watch
    ledger: Ledger
    shed: Item
    view: View
    town: Town

    async def sees(self, at: datetime, items: Sequence[Item], i: int) -> None:
        background = render_background(self.view, self.town.ground, 5)
        image, _ = render(self.view, items, background, LIGHTS[i % len(LIGHTS)], 0.0, i)
        jpeg = cv2.imencode(".jpg", image)[1].tobytes()
        await self.watch.catch_up()
        assert await self.watch.see(Frame(self.camera.sn, at, jpeg, None)) is None

    async def events(self) -> list[Event]:
        return [e.event for e in await self.ledger.read(0, 1000)]

    async def raised(self) -> list[HazardRaised]:
        return [e for e in await self.events() if isinstance(e, HazardRaised)]

    async def tell(self, event: ReferenceAccepted) -> None:
        async with self.ledger.transaction() as tx:
            await tx.append(
                f"reference/{event.device_sn}", [event], at=AT, actor="op-1", expected_version=None
            )


def stand(folder: Path, ledger: Ledger) -> Stand:
    """Return the first camera of the district with open ground before it."""
    district = generate(TOWN_SEED)
    town = towns()[0]
    policy = WatchPolicy(EyePolicy(SightingPolicy({})))
    eyes = Eyes(Blind(), unblurred)
    evidence = EvidenceStore(folder)
    watch = make_watch(district, eyes, ledger, evidence, wall_clock(), policy, Pace())
    for camera, view in zip(district.cameras, town.poles, strict=True):
        shed = Item("illegal_structure", *ahead(view, 22.0), 7.0, view.yaw_deg + 20.0, 3)
        background = render_background(view, town.ground, 5)
        boxes = render(view, [shed], background, Light(), 0.0, 0)[1]
        if boxes and boxes[0].visible_share > 0.9:
            return Stand(camera, watch, ledger, shed, view, town)
    raise AssertionError("no camera of this district has open ground before it")


def ahead(view: View, reach_m: float) -> tuple[float, float]:
    yaw = np.radians(view.yaw_deg)
    return view.x_m + reach_m * float(np.sin(yaw)), view.y_m + reach_m * float(np.cos(yaw))
