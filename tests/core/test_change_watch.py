"""watch against reference pictures: what stays built is raised, what passes or is accepted not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from domain.device import Camera
from domain.events import Event, HazardRaised
from domain.hazard import Detection, HazardKind
from domain.observation import Frame
from domain.sight import AcceptReason, ChangeSeen, ReferenceAccepted, ReferenceTaken
from geo.frames import LocalFrame
from models.boxes import Image
from runtime.clock import wall_clock
from runtime.evidence import EvidenceStore
from runtime.ledger_memory import MemoryLedger
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
    ledger: MemoryLedger
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


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    district = generate(TOWN_SEED)
    town = towns()[0]
    ledger = MemoryLedger()
    policy = WatchPolicy(EyePolicy(SightingPolicy({})))
    eyes = Eyes(Blind(), unblurred)
    evidence = EvidenceStore(tmp_path)
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


async def test_what_stays_built_is_raised_once_and_renewed(stand: Stand) -> None:
    await stand.sees(AT, [], 0)
    for i in range(1, 7):
        await stand.sees(AT + i * HALF_HOUR, [stand.shed], i)
    (found,) = await stand.raised()
    hazard = found.hazard
    assert hazard.kind is HazardKind.ILLEGAL_STRUCTURE
    assert hazard.last_seen_at - hazard.first_seen_at >= timedelta(hours=2)
    frame = LocalFrame(generate(TOWN_SEED).origin)
    x_m, y_m = frame.to_local(hazard.position.lat_deg, hazard.position.lon_deg)
    assert np.hypot(x_m - stand.shed.x_m, y_m - stand.shed.y_m) < 8.0
    (taken,) = [e for e in await stand.events() if isinstance(e, ReferenceTaken)]
    assert hazard.evidence[-1] == taken.picture
    seen = [e for e in await stand.events() if isinstance(e, ChangeSeen)]
    assert all(20.0 <= one.area_m2 <= 120.0 for e in seen for one in e.found)
    assert [e.found[0].hazard_id for e in seen][-2:] == [hazard.hazard_id] * 2


async def test_other_light_and_what_is_gone_again_raise_nothing(stand: Stand) -> None:
    await stand.sees(AT, [], 0)
    for i in range(1, 10):
        await stand.sees(AT + i * HALF_HOUR, [stand.shed] if i in (3, 4) else [], i)
    assert await stand.raised() == []
    assert {bool(e.found) for e in await stand.events() if isinstance(e, ChangeSeen)} == {
        True, False,
    }  # fmt: skip


async def test_an_accepted_picture_ends_the_vote(stand: Stand) -> None:
    await stand.sees(AT, [], 0)
    await stand.sees(AT + HALF_HOUR, [stand.shed], 1)
    (seen,) = [e for e in await stand.events() if isinstance(e, ChangeSeen)]
    assert seen.picture is not None
    await stand.tell(
        ReferenceAccepted(
            seen.reference_id, seen.device_sn, seen.picture, AcceptReason.PERMITTED, AT
        )
    )
    for i in range(2, 9):
        await stand.sees(AT + i * HALF_HOUR, [stand.shed], i)
    assert await stand.raised() == []


async def test_a_restart_goes_on_with_the_vote(stand: Stand) -> None:
    await stand.sees(AT, [], 0)
    for i in range(1, 4):
        await stand.sees(AT + i * HALF_HOUR, [stand.shed], i)
    before = stand.watch
    district, policy = generate(TOWN_SEED), before.policy
    stand.watch = make_watch(
        district, before.eyes, stand.ledger, before.evidence, before.clock, policy, Pace()
    )
    for i in range(4, 7):
        await stand.sees(AT + i * HALF_HOUR, [stand.shed], i)
    assert len(await stand.raised()) == 1


async def test_a_picture_is_looked_at_no_more_often_than_the_policy_says(stand: Stand) -> None:
    await stand.sees(AT, [], 0)
    for i in range(1, 20):
        await stand.sees(AT + timedelta(seconds=60 * i), [stand.shed], 0)
    kinds = [type(e) for e in await stand.events()]
    assert kinds.count(ReferenceTaken) == 1
    assert kinds.count(ChangeSeen) == 1
