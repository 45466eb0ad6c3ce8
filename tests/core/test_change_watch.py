"""watch against reference pictures: what stays built is raised, what passes or is accepted not."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from domain.hazard import HazardKind
from domain.sight import AcceptReason, ChangeSeen, ReferenceAccepted, ReferenceTaken
from geo.frames import LocalFrame
from runtime.ledger_memory import MemoryLedger
from services.ingest.sources import Pace
from services.ingest.watch import make_watch
from simulators.district import generate
from tests.core.change_stand import AT, HALF_HOUR, TOWN_SEED, Stand
from tests.core.change_stand import stand as standing


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    return standing(tmp_path, MemoryLedger())


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
