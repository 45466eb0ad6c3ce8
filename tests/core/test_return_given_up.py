"""A return home that the aircraft gives up: what is kept, what is not sent, what people can do."""

from dataclasses import replace

from domain.events import (
    DeviceAlarmRaised,
    MissionDiverted,
    MissionEnded,
    MissionOrdered,
    MissionStepIntended,
)
from domain.mission import MissionOutcome
from domain.mission_return import ReturnGivenUp, ReturnRegained
from domain.observation import RETURN_GIVEN_UP, RETURN_GIVEN_UP_LEVEL
from services.patrol.dock_codes import words
from services.patrol.flight import Flight, Order, Step
from services.patrol.next_step import End, Intend, View, decide
from services.patrol.recall import Situation, recall
from services.patrol.refusal import Refusal
from services.patrol.sky.rules import load_sky_rules
from services.patrol.sky_desk import Done, SkyDesk
from tests.core.test_patrol_at_most_once import Scene
from tests.core.test_patrol_command import DUTY, WHY, flying, heard, play, stop
from tests.core.test_patrol_flight import (
    LOOK,
    PATIENCE,
    PATROL,
    answered,
    later,
    meant,
    progress,
    told,
)

LOST = ReturnGivenUp("m1", "DRONE1", 3)
IN_AIR = (meant(Step.PREPARE), answered(Step.PREPARE), meant(Step.EXECUTE), answered(Step.EXECUTE))
CALLED = (
    *IN_AIR,
    progress("in_progress"),
    MissionOrdered("m1", "return_home", "op-1", "safety"),
    meant(Step.RETURN_HOME),
    answered(Step.RETURN_HOME),
)


def ordered(order: str) -> MissionOrdered:
    return MissionOrdered("m1", order, "op-1", "safety")


def next_of(flight: Flight, view: View | None = None) -> object:
    return decide(flight, view or View(), later(60), PATIENCE)


def test_it_is_not_counted_as_coming_home_until_it_is_seen_doing_so() -> None:
    assert told(PATROL, *CALLED).homeward()
    lost = told(PATROL, *CALLED, LOST)
    assert (lost.homeward(), lost.called_home(), lost.helpless()) == (False, None, True)
    assert next_of(lost) is None
    again = (ordered("return_home"), meant(Step.RETURN_HOME, number=1))
    asked = told(PATROL, *CALLED, LOST, *again, answered(Step.RETURN_HOME, number=1))
    assert (asked.homeward(), asked.return_agreed()) == (False, True)
    assert next_of(asked) is None
    assert told(PATROL, *CALLED, LOST, ReturnRegained("m1", "DRONE1", 9)).homeward()


def test_a_person_has_it_come_home_fly_on_or_hold() -> None:
    for order, step in (("return_home", Step.RETURN_HOME), ("pause", Step.PAUSE)):
        flight = told(PATROL, *CALLED, LOST, ordered(order))
        assert next_of(flight) == Intend(step, "op-1")
    resumed = told(PATROL, *CALLED, LOST, progress("paused"), ordered("resume"))
    assert next_of(resumed) == Intend(Step.RECOVERY, "op-1")
    lost = told(PATROL, *CALLED, LOST)
    assert next_of(lost, View(home_asked_by="chief", home_asked_at=later(1))) is None
    all_home = View(home_asked_by="chief", home_asked_at=later(59))
    assert next_of(lost, all_home) == Intend(Step.RETURN_HOME, "chief")
    refused = told(
        PATROL, *CALLED, LOST, ordered("return_home"), meant(Step.RETURN_HOME, number=1),
        answered(Step.RETURN_HOME, 325012, number=1),
    )  # fmt: skip
    assert next_of(refused) == Intend(Step.RETURN_HOME, "op-1")


def test_no_rule_and_no_errand_moves_it_meanwhile() -> None:
    rules, storm = load_sky_rules(), Situation((), (), 30.0, 0, 0.0)
    ground = (rules.recall, rules.policy("M3TD"), lambda x, y: 0.0, 30.0, later(60))
    aside = (*IN_AIR, progress("in_progress"), MissionDiverted("m1", "m2", (), ""))
    lost = told(PATROL, *aside, LOST)
    assert next_of(lost) is None
    look = told(LOOK, carrier_id="m1")
    assert next_of(look, View(other=lost)) == End(MissionOutcome.FAILED, "carrier_left")
    assert recall(lost, storm, (), *ground) is None  # type: ignore[arg-type]
    assert recall(replace(lost, given_up=None), storm, (), *ground) is not None  # type: ignore[arg-type]


def test_every_reason_has_its_words() -> None:
    for reason in range(11):
        said = words("return_given_up", reason)
        assert said is not None
        assert "unknown" not in said.en
    assert words("advice", "return_given_up") is not None


def test_told_through_the_ledger_it_waits_for_a_person_who_calls_it_home_again() -> None:
    async def story(scene: Scene, desk: SkyDesk) -> None:
        mission_id, dock = await flying(scene), scene.docks[0]
        assert isinstance(await desk.order(DUTY, mission_id, Order.RETURN_HOME, WHY), Done)
        await scene.clock.sleep(10.0)
        for _ in range(2):  # a dock repeats what is not answered; ingest tells a set once
            dock.homing, dock.paused = False, True
            alarm = DeviceAlarmRaised(
                dock.drone_sn, RETURN_GIVEN_UP, RETURN_GIVEN_UP_LEVEL, "3", scene.clock.now(), None
            )
            async with scene.ledger.transaction() as tx:
                await tx.append(f"device/{dock.drone_sn}", [alarm], at=alarm.at, actor="ingest")
            await scene.clock.sleep(30.0)
        kept = await scene.events(ReturnGivenUp)
        assert [(e.mission_id, e.reason) for e in kept] == [(mission_id, 3)]
        assert heard(scene).count("return_home") == 1
        refused = await desk.order(DUTY, mission_id, Order.CANCEL_RETURN, WHY)
        assert isinstance(refused, Refusal)
        assert isinstance(await desk.order(DUTY, mission_id, Order.RETURN_HOME, WHY), Done)
        await scene.clock.sleep(15.0)
        assert heard(scene).count("return_home") == 2
        assert [e.mode_code for e in await scene.events(ReturnRegained)] == [9]
        flight = await scene.store.flight(mission_id)
        assert flight is not None
        assert flight.homeward()
        while not await scene.events(MissionEnded):
            await scene.clock.sleep(1.0)
        steps = [e.step for e in await scene.events(MissionStepIntended)]
        assert steps.count("return_home") == 2

    play(story)


def test_all_home_asks_it_once_more() -> None:
    async def story(scene: Scene, desk: SkyDesk) -> None:
        mission_id, dock = await flying(scene), scene.docks[0]
        assert isinstance(await desk.order(DUTY, mission_id, Order.RETURN_HOME, WHY), Done)
        await scene.clock.sleep(10.0)
        dock.homing, dock.paused = False, True
        at = scene.clock.now()
        alarm = DeviceAlarmRaised(dock.drone_sn, RETURN_GIVEN_UP, 3, "5", at, None)
        async with scene.ledger.transaction() as tx:
            await tx.append(f"device/{dock.drone_sn}", [alarm], at=at, actor="ingest")
        await scene.clock.sleep(15.0)
        await stop(desk, all_home=True)
        await scene.clock.sleep(15.0)
        assert heard(scene).count("return_home") == 2

    play(story)


