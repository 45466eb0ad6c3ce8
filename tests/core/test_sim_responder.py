"""Responders accept in time, travel, handle, photograph, hand back; some refuse or stay silent."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from domain.district import District
from domain.hazard import HazardKind
from domain.place import Position
from domain.responder import DispatchState
from geo.frames import distance_m
from runtime.bus import MemoryBus
from runtime.clock import wall_clock
from simulators.counters import Counters
from simulators.district import generate
from simulators.responder import Person, ResponderPolicy, Task, intend
from simulators.shutter import Shutter
from simulators.world import World

AT = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)


class PaperPhone:
    """A phone whose desk is a list on paper."""

    def __init__(self, task: Task) -> None:
        self.task, self.done = task, list[str]()
        self.photos: list[bytes] = []

    async def tasks(self) -> list[Task]:
        ended = (DispatchState.HANDED_BACK, DispatchState.REFUSED)
        return [] if self.task.state in ended else [self.task]

    def _move(self, word: str, state: DispatchState) -> bool:
        self.done.append(word)
        self.task = replace(self.task, state=state)
        return True

    async def accept(self, dispatch_id: str) -> bool:
        return self._move("accept", DispatchState.ACCEPTED)

    async def refuse(self, dispatch_id: str, reason: str) -> bool:
        return self._move("refuse", DispatchState.REFUSED)

    async def arrive(self, dispatch_id: str) -> bool:
        return self._move("arrive", DispatchState.ARRIVED)

    async def photo(self, jpeg: bytes) -> str | None:
        self.photos.append(jpeg)
        return "sha"

    async def hand_back(self, dispatch_id: str, shas: Sequence[str]) -> bool:
        assert list(shas) == ["sha"]
        return self._move("hand_back", DispatchState.HANDED_BACK)

    async def duty(self, on: bool) -> bool:
        return on

    async def position(self, at: Position) -> bool:
        return True


def task(number: int, position: Position) -> Task:
    return Task(f"d{number}", "i", DispatchState.OFFERED, HazardKind.FIRE, position, AT)


def accepted(position: Position) -> Task:
    policy = ResponderPolicy()
    tasks = (task(n, position) for n in range(100))
    return next(t for t in tasks if intend(t, 7, policy).answer == "accept")


def test_most_accept_within_a_minute_some_do_not() -> None:
    place, policy = Position(22.54, 113.35), ResponderPolicy()
    intentions = [intend(task(n, place), 7, policy) for n in range(2000)]
    answers = Counter(i.answer for i in intentions)
    assert answers["accept"] > 0.9 * 2000
    assert answers["refuse"] > 20
    assert answers["ignore"] > 20
    assert all(20 <= (i.answer_at - AT).total_seconds() <= 60 for i in intentions)
    assert intentions == [intend(task(n, place), 7, policy) for n in range(2000)]


async def test_a_dispatch_is_carried_out_and_the_hazard_ends(tmp_path: Path) -> None:
    district: District = generate(7)
    world = World(district, 7, AT, tmp_path)
    hazard = world.standing(AT + timedelta(hours=1))[0]
    place = world.terrain.frame.to_position(hazard.x_m + 8.0, hazard.y_m)
    with Counters(tmp_path / "c") as counters:
        shutter = Shutter(world, MemoryBus(), counters, 7, None)
        responder = district.responders[0]
        phone, policy = PaperPhone(accepted(place)), ResponderPolicy()
        person = Person(responder, phone, world, shutter, wall_clock(), 7, policy)
        at, arrived_at = AT, None
        while phone.task.state is not DispatchState.HANDED_BACK and at < AT + timedelta(hours=2):
            await person.turn(at)
            if arrived_at is None and phone.task.state is DispatchState.ARRIVED:
                arrived_at = at
                assert hazard in world.standing(AT + timedelta(hours=1))
            at += timedelta(seconds=5)
    assert phone.done == ["accept", "arrive", "hand_back"]
    assert arrived_at is not None
    way_s = distance_m(responder.home, place) * policy.road_factor / policy.walk_m_s
    assert way_s <= (arrived_at - AT).total_seconds() <= way_s + 80
    assert timedelta(seconds=60) <= at - arrived_at <= timedelta(seconds=260)
    assert hazard not in world.standing(AT + timedelta(hours=1))
    assert phone.photos[0].startswith(b"\xff\xd8")
    world.close()
