"""What people may do at the desk, over the memory twins: rights, keys, limits, delivery."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest

from domain.events import (
    DeviceAlarmCleared,
    DeviceAlarmRaised,
    DeviceEventNoted,
    Event,
    HazardRaised,
    HazardRenewed,
    LookConcluded,
)
from domain.hazard import Hazard, HazardKind
from domain.incident import CloseOutcome, Incident, IncidentState, VerifiedBy
from domain.mission import LookOutcome, MissionPurpose
from domain.observation import EventSeverity, EventState
from domain.place import ErrorEllipse, Position
from domain.responder import Force
from runtime.access import Principal, Role
from runtime.clock import Clock
from runtime.follower import follow_once
from runtime.ledger_memory import MemoryLedger
from services.alerts.api import STATUS
from services.alerts.commands import Refused
from services.alerts.delivery import (
    SIGNATURE_HEADER,
    DeliveryPolicy,
    WebhookSink,
    WebhookTarget,
    deliver_once,
    sink_for,
)
from services.alerts.desk import Answer, Desk, Detail
from services.alerts.ground import Ground
from services.alerts.journal import Journal
from services.alerts.loop import AlertPolicy, Attendant
from services.alerts.messages import Message
from services.alerts.rules import load_rules
from services.alerts.store_memory import MemoryAlertStore
from simulators.district import generate

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
DISTRICT = generate(7)
RULES = load_rules()
OPERATOR = Principal("operator-1", Role.OPERATOR)
AUDITOR = Principal("auditor-1", Role.AUDITOR)
SECRET = "0123456789abcdef"
TARGET = WebhookTarget("https://alerts.example/hook", SECRET)


class Hand:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.wall_s = AT.timestamp()
        self.clock = Clock(AT, self.wall_s, 1.0, lambda: self.wall_s)

    def pass_s(self, seconds: float) -> None:
        self.wall_s += seconds


@dataclass
class Room:
    hand: Hand
    ledger: MemoryLedger
    store: MemoryAlertStore
    desk: Desk
    attendant: Attendant

    async def settle(self) -> None:
        """Let the part read all there is, and mind the time."""
        while True:
            _, handled = await follow_once(self.ledger, "alerts", self.attendant.handle)
            if not handled:
                break
        await self.attendant.on_time(self.hand.clock.now())

    async def hazard(self, kind: HazardKind = HazardKind.EXPOSED_RUBBISH) -> Incident:
        lon, lat = DISTRICT.cells[40].area.polygons[0][0][0]
        raised = Hazard(
            "hazard-1",
            kind,
            Position(lat, lon),
            ErrorEllipse(5.0, 5.0, 0.0),
            0.9,
            "cam-1",
            AT,
            AT,
            3,
            4,
            DISTRICT.cells[40].code,
            (),
            ("ab" * 32,),
            self.hand.wall_s,
        )
        async with self.ledger.transaction() as tx:
            await tx.append("hazard/hazard-1", [HazardRaised(raised)], at=AT, actor="watch")
        await self.settle()
        (incident,) = (await self.desk.incidents(OPERATOR)).items
        return incident


@pytest.fixture
async def room() -> Room:
    hand, ledger, store = Hand(), MemoryLedger(), MemoryAlertStore()
    journal = Journal(ledger, store, Ground.of(DISTRICT), hand.clock, RULES)
    desk = Desk(ledger, store, DISTRICT, hand.clock, RULES)
    made = Room(hand, ledger, store, desk, Attendant(journal, AlertPolicy(RULES)))
    for responder in DISTRICT.responders:
        assert await desk.duty(worker(responder.responder_id), on_duty=True) is None
    return made


def worker(responder_id: str) -> Principal:
    responder = next(r for r in DISTRICT.responders if r.responder_id == responder_id)
    roles = {Force.GRID: Role.GRID_WORKER, Force.POLICE_GRID: Role.POLICE_OFFICER}
    role = roles.get(responder.force, Role.PROFESSIONAL)
    areas = frozenset(responder.area_codes)
    return Principal(responder.account, role, "", responder_id, areas, areas)


def code(answer: Answer | Detail | None) -> str:
    assert isinstance(answer, Refused), answer
    return answer.code


def taken(answer: Answer) -> Incident:
    assert isinstance(answer, Incident), answer
    return answer


async def test_the_way_of_one_dispatch(room: Room) -> None:
    incident = await room.hazard()
    (dispatch,) = incident.dispatches
    mine = worker(dispatch.responder_id)
    (task,) = await room.desk.tasks(mine)
    assert (task.dispatch, task.incident) == (dispatch, incident)
    taken(await room.desk.accept(mine, dispatch.dispatch_id))
    taken(await room.desk.arrive(mine, dispatch.dispatch_id))
    taken(await room.desk.hand_back(mine, dispatch.dispatch_id, ("cd" * 32,), "清理完毕"))
    await room.settle()
    assert await room.desk.tasks(mine) == ()
    detail = await room.desk.incident(OPERATOR, incident.incident_id)
    assert isinstance(detail, Detail)
    assert detail.incident.state is IncidentState.VERIFYING
    assert [w["code"] for w in detail.why] == ["opened", "asked_own_area"]
    assert [n.text for n in detail.notes] == ["清理完毕"]
    assert not any("清理完毕" in str(entry) for entry in await room.ledger.read(0))
    assert code(await room.desk.verify(mine, incident.incident_id)) == "own_work"
    closed = taken(await room.desk.verify(OPERATOR, incident.incident_id))
    assert (closed.state, closed.outcome) == (IncidentState.CLOSED, CloseOutcome.HANDLED)


async def test_rights_are_asked_for_every_command(room: Room) -> None:
    incident = await room.hazard()
    (dispatch,) = incident.dispatches
    name, task = incident.incident_id, dispatch.dispatch_id
    stranger = worker(
        next(
            r.responder_id
            for r in DISTRICT.responders
            if r.responder_id != dispatch.responder_id
            and r.force is Force.GRID
            and incident.cell_code not in r.area_codes
        )
    )
    desk = room.desk
    assert code(await desk.accept(stranger, task)) == "unknown_dispatch"
    assert code(await desk.accept(OPERATOR, task)) == "unknown_dispatch"
    assert code(await desk.incident(stranger, name)) == "unknown_incident"
    assert code(await desk.acknowledge(stranger, name)) == "unknown_incident"
    assert (await desk.incidents(stranger)).items == ()
    assert await desk.tasks(OPERATOR) == ()
    for command in (
        desk.acknowledge(AUDITOR, name),
        desk.dispatch(AUDITOR, name),
        desk.close(AUDITOR, name, CloseOutcome.UNFOUNDED),
        desk.dismiss(AUDITOR, name, CloseOutcome.UNFOUNDED),
        desk.verify(AUDITOR, name),
        desk.report(AUDITOR, HazardKind.FIRE, incident.position),
    ):
        assert code(await command) == "not_allowed"
    assert code(await desk.acknowledge(worker(dispatch.responder_id), name)) == "not_allowed"
    assert (await room.store.get(name)) == incident


async def test_a_repeated_post_is_done_once(room: Room) -> None:
    at = DISTRICT.responders[0].home
    first = taken(await room.desk.report(OPERATOR, HazardKind.CROWD, at, key="k"))
    room.hand.pass_s(30.0)
    again = taken(await room.desk.report(OPERATOR, HazardKind.CROWD, at, key="k"))
    assert again == first
    other = await room.desk.report(OPERATOR, HazardKind.SMOKE, at, key="k")
    assert code(other) == "key_reused"
    fused = taken(await room.desk.report(OPERATOR, HazardKind.CROWD, at))
    assert (fused.incident_id, fused.sightings) == (first.incident_id, 2)
    assert code(await room.desk.report(OPERATOR, HazardKind.CROWD, at, key="")) == "bad_key"


async def test_what_does_not_fit_is_refused_by_field(room: Room) -> None:
    here = DISTRICT.responders[0].home
    desk = room.desk
    for answer, field in (
        (desk.report(OPERATOR, HazardKind.FIRE, Position(23.5, 113.35)), "lat_deg"),
        (desk.report(OPERATOR, HazardKind.DEVICE_FAULT, here), "kind"),
        (desk.report(OPERATOR, HazardKind.FIRE, here, ("x",)), "evidence"),
        (desk.report(OPERATOR, HazardKind.FIRE, here, ("ab" * 32,) * 13), "evidence"),
        (desk.report(OPERATOR, HazardKind.FIRE, here, (), "长" * 1001), "note"),
        (desk.refuse(OPERATOR, "d", "because"), "reason"),
        (desk.dispatch(OPERATOR, "i", "nobody"), "responder_id"),
    ):
        refused = await answer
        assert isinstance(refused, Refused)
        assert refused.field == field
        assert STATUS[refused.code] == 422


async def test_an_operator_sends_whom_they_choose_or_the_next_best(room: Room) -> None:
    incident = await room.hazard()
    asked = incident.dispatches[0].responder_id
    more = taken(await room.desk.dispatch(OPERATOR, incident.incident_id))
    assert len(more.dispatches) == 2
    assert more.dispatches[1].responder_id != asked
    others = [r for r in DISTRICT.responders if r.force is Force.POLICE_GRID]
    chosen = taken(await room.desk.dispatch(OPERATOR, incident.incident_id, others[0].responder_id))
    assert chosen.dispatches[2].reason == "operator"
    repeated = await room.desk.dispatch(OPERATOR, incident.incident_id, others[0].responder_id)
    assert code(repeated) == "already_asked"


async def test_positions_are_kept_only_on_duty(room: Room) -> None:
    responder = DISTRICT.responders[0]
    who = worker(responder.responder_id)
    assert await room.desk.position(who, responder.home) is None
    states = await room.desk.responders(OPERATOR)
    assert not isinstance(states, Refused)
    assert states[0].position == responder.home
    assert await room.desk.duty(who, on_duty=False) is None
    assert code(await room.desk.position(who, responder.home)) == "off_duty"
    states = await room.desk.responders(OPERATOR)
    assert not isinstance(states, Refused)
    assert (states[0].position, states[0].on_duty) == (None, False)
    assert code(await room.desk.duty(OPERATOR, on_duty=True)) == "not_allowed"
    assert isinstance(await room.desk.responders(who), Refused)


async def test_nobody_comes_and_the_next_level_is_told(room: Room) -> None:
    incident = await room.hazard(HazardKind.FIRE)
    for level in (1, 2, 3):
        room.hand.pass_s(61.0)
        await room.settle()
        raised = await room.store.get(incident.incident_id)
        assert raised is not None
        assert raised.level == level
        assert len({d.responder_id for d in raised.dispatches}) == len(raised.dispatches)
    room.hand.pass_s(3600.0)
    await room.settle()
    assert await room.store.get(incident.incident_id) == raised


async def say(room: Room, stream: str, event: Event) -> None:
    async with room.ledger.transaction() as tx:
        await tx.append(stream, [event], at=room.hand.clock.now(), actor="ingest")
    await room.settle()


async def only(room: Room) -> Incident:
    (incident,) = (await room.desk.incidents(OPERATOR)).items
    return incident


async def test_a_device_fault_is_nobodys_flight_and_closes_with_its_last_alarm(room: Room) -> None:
    dock = DISTRICT.docks[0]
    for alarm, level in (("0x1", 0), ("0x2", 2), ("0x3", 1), ("0x3", 1)):
        raised = DeviceAlarmRaised(dock.sn, alarm, level, "", room.hand.clock.now(), None)
        await say(room, f"device/{dock.sn}", raised)
    fault = await only(room)
    assert (fault.kind, fault.severity) == (HazardKind.DEVICE_FAULT, "medium")
    assert (fault.position, fault.sightings, len(fault.standing)) == (dock.position, 2, 2)
    assert [d.force for d in fault.dispatches] == [Force.SAFETY]
    for alarm, state in (("0x2", IncidentState.DISPATCHED), ("0x3", IncidentState.CLOSED)):
        cleared = DeviceAlarmCleared(dock.sn, alarm, "", room.hand.clock.now())
        await say(room, f"device/{dock.sn}", cleared)
        assert (await only(room)).state is state
    assert (await only(room)).verified_by is VerifiedBy.DEVICE
    room.hand.pass_s(10.0)
    raised = DeviceAlarmRaised(dock.sn, "0x2", 2, "", room.hand.clock.now(), None)
    await say(room, f"device/{dock.sn}", raised)
    assert len((await room.desk.incidents(OPERATOR)).items) == 2


async def test_a_cameras_own_fire_opens_once_and_never_when_stale(room: Room) -> None:
    camera = DISTRICT.cameras[0]

    async def tell(label: str, severity: EventSeverity, *, stale: bool) -> None:
        at = room.hand.clock.now()
        noted = DeviceEventNoted(camera.sn, "k-1", label, EventState.BEGUN, severity, at,
                                 camera.position, stale)  # fmt: skip
        await say(room, f"device/{camera.sn}", noted)

    await tell("fire", EventSeverity.ALERT, stale=True)
    await tell("fire", EventSeverity.NOTICE, stale=False)
    await tell("person", EventSeverity.ALERT, stale=False)
    assert (await room.desk.incidents(OPERATOR)).items == ()
    await tell("fire", EventSeverity.ALERT, stale=False)
    await tell("fire", EventSeverity.ALERT, stale=False)
    fire = await only(room)
    assert (fire.kind, fire.position, fire.sightings) == (HazardKind.FIRE, camera.position, 1)


async def test_a_hazard_seen_again_after_its_close_opens_anew_once(room: Room) -> None:
    incident = await room.hazard()
    dispatch_id = incident.dispatches[0].dispatch_id
    mine = worker(incident.dispatches[0].responder_id)
    await room.desk.accept(mine, dispatch_id)
    await room.desk.arrive(mine, dispatch_id)
    await room.desk.hand_back(mine, dispatch_id, ())
    taken(await room.desk.verify(OPERATOR, incident.incident_id))
    for passed_s, incidents in ((30.0, 1), (60.0, 2), (60.0, 2)):
        room.hand.pass_s(passed_s)
        seen = HazardRenewed("hazard-1", room.hand.clock.now(), 0.8)
        await say(room, "hazard/hazard-1", seen)
        assert len((await room.desk.incidents(OPERATOR)).items) == incidents
    newest = (await room.desk.incidents(OPERATOR)).items[0]
    assert newest.hazard_ids == ("hazard-1",)
    assert newest.state is IncidentState.DISPATCHED


async def test_a_confirming_look_adds_its_picture_and_a_refuting_one_closes_nothing(
    room: Room,
) -> None:
    incident = await room.hazard(HazardKind.FIRE)
    for outcome in (LookOutcome.REFUTED, LookOutcome.CONFIRMED):
        look = LookConcluded(
            f"mission-{outcome}",
            MissionPurpose.CONFIRM,
            None,
            "hazard-1",
            outcome,
            9,
            5,
            (outcome.value,),
            room.hand.clock.now(),
        )
        await say(room, f"look/{look.mission_id}", look)
        seen = await only(room)
        assert seen.state is incident.state
        assert ("confirmed" in seen.evidence) is (outcome is LookOutcome.CONFIRMED)
    assert seen.looks == ("mission-refuted", "mission-confirmed")
    detail = await room.desk.incident(OPERATOR, incident.incident_id)
    assert isinstance(detail, Detail)
    assert sum(entry.kind == "look.concluded" for entry in detail.timeline) == 2


# --- delivery -------------------------------------------------------------------------------------


@dataclass
class Receiver:
    """A webhook's far end on loopback: answers with `status` and keeps what it heard."""

    url: str
    heard: list[tuple[str, bytes]]
    status: int = 200


@contextmanager
def receiving(status: int) -> Iterator[Receiver]:
    heard: list[tuple[str, bytes]] = []
    far = Receiver("", heard, status)

    class Ear(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append((self.headers[SIGNATURE_HEADER], body))
            self.send_response(far.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Ear) as server:
        far.url = f"http://127.0.0.1:{server.server_port}/hook"
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield far
        finally:
            server.shutdown()
            thread.join()


async def test_messages_go_out_signed_and_once(room: Room) -> None:
    await room.hazard()
    clock, policy = room.hand.clock, DeliveryPolicy()
    async with httpx.AsyncClient() as client:
        with receiving(200) as far:
            sink = WebhookSink(WebhookTarget(far.url, SECRET), client, clock)
            assert await deliver_once(room.store, clock, [sink], policy) == 2
            assert await deliver_once(room.store, clock, [sink], policy) == 0
    kinds = [json.loads(body)["kind"] for _, body in far.heard]
    assert kinds == ["incident.reported", "dispatch.offered"]
    signed, body = far.heard[0]
    stamp, _, sent = signed.partition(",")
    at = stamp.removeprefix("t=").encode()
    expected = hmac.new(SECRET.encode(), at + b"." + body, hashlib.sha256)
    assert sent == f"v1={expected.hexdigest()}"


async def test_a_failing_receiver_is_tried_again_with_growing_waits_and_then_given_up(
    room: Room,
) -> None:
    message = Message("m-1", "i-1", "role:dispatcher", "incident.reported", {}, AT)
    async with room.ledger.transaction() as tx:
        await room.store.queue(tx, [message])
    clock, policy = room.hand.clock, DeliveryPolicy(attempts=3, backoff_s=5.0)
    async with httpx.AsyncClient() as client:
        with receiving(500) as far:
            sink = WebhookSink(WebhookTarget(far.url, SECRET), client, clock)
            for attempt, wait_s in ((1, 5.0), (2, 10.0), (3, 3600.0)):
                assert await deliver_once(room.store, clock, [sink], policy) == 1
                assert len(far.heard) == attempt
                room.hand.pass_s(wait_s - 0.1)
                assert await deliver_once(room.store, clock, [sink], policy) == 0
                room.hand.pass_s(0.2)
    assert (await room.store.figures()).outbox_waiting == 0


async def test_a_simulation_has_no_way_to_a_webhook(room: Room) -> None:
    async with httpx.AsyncClient() as client:
        assert sink_for(None, True, client, room.hand.clock) == ()
        assert len(sink_for(TARGET, False, client, room.hand.clock)) == 1
        with pytest.raises(ValueError, match="refused in a simulation"):
            sink_for(TARGET, True, client, room.hand.clock)


@pytest.mark.parametrize(("url", "secret"), [("ftp://x", "0123456789abcdef"), ("http://x", "s")])
def test_a_bad_webhook_is_refused(url: str, secret: str) -> None:
    with pytest.raises(ValueError, match="must"):
        WebhookTarget(url, secret)
