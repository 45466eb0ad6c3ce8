"""What people do to the sky and to flights: stop, order, take in hand, announce, file.

Each deed is one ledger event with the person as its actor and a reason code; a person's own words
are kept beside the ledger, erasable. A refusal is a value that names the field and the cure.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog

from domain.clearance import FlightApplication
from domain.codec import to_plain
from domain.command import ControlReleased, ControlTaken, GroundStopLifted, GroundStopOrdered
from domain.district import District
from domain.events import (
    AirspaceAnnounced,
    AirspaceWithdrawn,
    ApplicationWithdrawn,
    Event,
    MissionOrdered,
)
from domain.place import Airspace, AirspaceKind
from geo.frames import LocalFrame
from geo.shapes import area_to_shape, local_geometry
from runtime.access import Principal, allow
from runtime.clock import Clock
from runtime.ledger import Ledger, Transaction, VersionConflict
from services.patrol import stop
from services.patrol.flight import Flight, Order
from services.patrol.policy import patience_s
from services.patrol.refusal import Refusal
from services.patrol.sky import applications
from services.patrol.sky.application_form import FormRow, form_rows
from services.patrol.sky.notice import Notice, notice
from services.patrol.sky.rules import SkyRules
from services.patrol.sky.standing import (
    Clearance,
    Control,
    GroundStop,
    SkyNow,
    SkyRow,
    Zone,
    evolve,
    sky_now,
)
from services.patrol.store import PatrolStore

log = structlog.get_logger(__name__)

REASONS = ("safety", "weather", "airspace", "authority", "technical", "exercise", "other", "clear")
NOTE_LIMIT_CHARACTERS = 500
STOP = "ground_stop"
# What may be written meanwhile by others, and is then read and decided anew.
WRITE_TRIES = 3
EventsOf = Callable[[str | None], Sequence[Event]]


@dataclass(frozen=True, slots=True)
class Done:
    """It stands in the ledger: the stream and the version it has now."""

    stream: str
    version: int


@dataclass(frozen=True, slots=True)
class Announced(Done):
    """A zone stands, and with how much notice it was announced."""

    notice: Notice


@dataclass(frozen=True, slots=True)
class Why:
    """A reason code of REASONS, and a person's own words."""

    reason: str
    note: str = ""


class SkyDesk:
    """Commands by people. Every method asks `allow` first and answers with a Refusal or Done."""

    def __init__(
        self, ledger: Ledger, store: PatrolStore, district: District, clock: Clock, rules: SkyRules
    ) -> None:
        self._ledger, self._store = ledger, store
        self._district, self._clock, self.rules = district, clock, rules
        self._stop_stream = f"{STOP}/{district.code}"

    async def now(self) -> SkyNow:
        """Return what stands over the district."""
        at = self._clock.now()
        return sky_now(await self._store.sky.rows(at), self._district.approvals, at)

    async def stop(
        self, who: Principal, why: Why, given: str | None, *, all_home: bool
    ) -> stop.Confirm | Done | Refusal:
        """Stop all take-offs; with `all_home` call home what flies. Two calls: see stop.py."""
        refusal = _may(who, "flight.stop") or _reason(why)
        if refusal is not None:
            return refusal
        at = self._clock.now()
        row = await self._store.sky.row(self._stop_stream)
        if isinstance(row.state, GroundStop) and (row.state.all_home or not all_home):
            return Refusal("stopped", STOP, f"{row.state.by} has stopped it already")
        what = "all_home" if all_home else "stop"
        secret = await self._store.secret()
        if given is None:
            shown = stop.effect(await self._store.open_flights())
            # A person's minute is the wall's, however fast the clock runs.
            limit_s = stop.CONFIRM_WITHIN_S
            within_s = patience_s(limit_s, limit_s, self._clock.rate)
            return stop.ask(secret, what, who.account_id, row.version, at, shown, within_s)
        wrong = stop.refused(secret, what, who.account_id, row.version, at, given)
        if wrong is not None:
            return wrong
        return await self._change(
            who, row, lambda ref: [GroundStopOrdered(all_home, why.reason, ref)], why
        )

    async def lift(self, who: Principal, why: Why) -> Done | Refusal:
        """Let flights take off again."""
        refusal = _may(who, "flight.lift") or _reason(why)
        if refusal is not None:
            return refusal
        row = await self._store.sky.row(self._stop_stream)
        if row.state is None:
            return Refusal("not_stopped", STOP, "nothing is stopped")
        return await self._change(who, row, lambda ref: [GroundStopLifted(why.reason, ref)], why)

    async def take(self, who: Principal, drone_sn: str, why: Why) -> Done | Refusal:
        """Take a drone in hand: automatic commands to it stop."""
        refusal = _may(who, "drone.control") or _reason(why) or self._known_drone(drone_sn)
        if refusal is not None:
            return refusal
        row = await self._store.sky.row(f"control/{drone_sn}")
        if isinstance(row.state, Control):
            return Refusal("in_hand", "drone_sn", f"{row.state.by} has it and has to release it")
        return await self._change(
            who, row, lambda ref: [ControlTaken(drone_sn, why.reason, ref)], why
        )

    async def release(self, who: Principal, drone_sn: str, why: Why) -> Done | Refusal:
        """Give a drone back. Who may lift a stop may also release what another holds."""
        refusal = _may(who, "drone.control") or _reason(why) or self._known_drone(drone_sn)
        if refusal is not None:
            return refusal
        row = await self._store.sky.row(f"control/{drone_sn}")
        if not isinstance(row.state, Control):
            return Refusal("not_in_hand", "drone_sn", "nobody has it in hand")
        if row.state.by != who.account_id and not allow(who, "flight.lift"):
            return Refusal("in_hand", "drone_sn", f"{row.state.by} has it and has to release it")
        return await self._change(
            who, row, lambda ref: [ControlReleased(drone_sn, why.reason, ref)], why
        )

    async def order(
        self, who: Principal, mission_id: str, order: Order, why: Why
    ) -> Done | Refusal:
        """Tell a flight to pause, resume, come home or stay out; a look's carrier is told."""
        refusal = _may(who, "mission.command") or _reason(why)
        if refusal is not None:
            return refusal
        flight = await self._store.flight(mission_id)
        if flight is not None and flight.carrier_id is not None:
            flight = await self._store.flight(flight.carrier_id)
        if flight is None:
            return Refusal("unknown_mission", "mission_id", f"no mission {mission_id}")
        now = await self.now()
        if order is Order.CANCEL_RETURN and now.stop is not None and now.stop.all_home:
            return Refusal("stopped", STOP, f"{now.stop.by} called all home: lift that first")
        control = now.control(flight.mission.drone_sn)
        refusal = _order_refused(flight, order, control, who)
        if refusal is not None:
            return refusal
        return await self._order(who, flight.mission.mission_id, order, why)

    async def told(self) -> dict[str, Any]:
        """Return what stands as people read it: zones with their notice, applications with
        their deadlines."""
        now = await self.now()
        return {
            "ground_stop": to_plain(now.stop),
            "airspaces": [
                {**to_plain(z.airspace), "announced": _announced(z, self.rules)}
                for z in now.announced
            ],
            "applications": [
                {
                    **to_plain(c),
                    "deadlines": to_plain(applications.deadlines(c.application, self.rules)),
                }
                for c in now.clearances
            ],
            "controls": to_plain(dict(now.controls or {})),
        }

    async def announce(
        self, who: Principal, airspace: Airspace, *, emergency: bool = False
    ) -> Announced | Refusal:
        """Make a temporary zone known (art. 20). One that comes too late for its kind stands all
        the same; the answer says so."""
        refusal = _may(who, "airspace.announce") or self._zone_refused(airspace)
        if refusal is not None:
            return refusal
        row = await self._store.sky.row(f"airspace/{airspace.code}")
        at = self._clock.now()
        # A code is free again once what it stood for is over.
        if row.state is not None and (row.until is None or row.until > at):
            return Refusal("known", "code", f"{airspace.code} stands; withdraw it first")
        done = await self._change(who, row, lambda _: [AirspaceAnnounced(airspace, emergency)])
        if isinstance(done, Refusal):
            return done
        given = notice(Zone(airspace, at, who.account_id, emergency), self.rules.temporary)
        if given.late:
            log.warning("zone announced late", code=airspace.code, means=given.means)
        return Announced(done.stream, done.version, given)

    async def withdraw_airspace(self, who: Principal, code: str, why: Why) -> Done | Refusal:
        """Take an announced zone back."""
        refusal = _may(who, "airspace.announce") or _reason(why)
        if refusal is not None:
            return refusal
        row = await self._store.sky.row(f"airspace/{code}")
        if row.state is None:
            return Refusal("unknown_airspace", "code", f"no announced airspace {code}")
        return await self._change(who, row, lambda _: [AirspaceWithdrawn(code, why.reason)], None)

    async def file(self, who: Principal, application: FlightApplication) -> Done | Refusal:
        """Take down that an application went to the authority."""
        refusal = _may(who, "application.file")
        if refusal is not None:
            return refusal
        filed = applications.file(application, self._district, self._clock.now(), self.rules)
        if isinstance(filed, Refusal):
            return filed
        row = await self._store.sky.row(f"application/{application.application_id}")
        if row.version > 0:
            return Refusal("known", "application_id", "it was filed already")
        return await self._change(who, row, lambda _: [filed], None)

    async def decide(
        self, who: Principal, application_id: str, *, approved: bool, number: str
    ) -> Done | Refusal:
        """Take down what the authority said."""
        found = await self._application(who, "application.decide", application_id)
        if isinstance(found, Refusal):
            return found
        row, clearance = found
        said = applications.decided(clearance, approved, number)
        return said if isinstance(said, Refusal) else await self._change(who, row, lambda _: [said])

    async def confirm(
        self, who: Principal, application_id: str, from_at: datetime, until_at: datetime
    ) -> Done | Refusal:
        """Take down a take-off confirmation (art. 30), reported now."""
        found = await self._application(who, "application.decide", application_id)
        if isinstance(found, Refusal):
            return found
        row, clearance = found
        at = self._clock.now()
        said = applications.confirmed(clearance, from_at, until_at, at, self.rules)
        return said if isinstance(said, Refusal) else await self._change(who, row, lambda _: [said])

    async def withdraw_application(
        self, who: Principal, application_id: str, why: Why
    ) -> Done | Refusal:
        """Take an application back; what it cleared is cleared no more."""
        found = _reason(why) or await self._application(who, "application.file", application_id)
        if isinstance(found, Refusal):
            return found
        event = ApplicationWithdrawn(application_id, why.reason)
        return await self._change(who, found[0], lambda _: [event], None)

    async def form(self, application_id: str) -> tuple[FormRow, ...] | Refusal:
        """Return an application's form (art. 27), with the routes planned in its time."""
        row = await self._store.sky.row(f"application/{application_id}")
        standing = {c.application.application_id: c for c in (await self.now()).clearances}
        clearance = row.state if row.state is not None else standing.get(application_id)
        if not isinstance(clearance, Clearance):
            cure = f"no application {application_id} was filed here"
            return Refusal("unknown_application", "application_id", cure)
        asked = clearance.application
        missions = [
            f.mission
            for f in await self._store.flights()
            if f.mission.drone_sn in asked.drone_sns
            and asked.starts_at <= f.mission.planned_at < asked.ends_at
        ]
        return form_rows(clearance, self._district, missions, self.rules)

    # writing

    async def _change(
        self, who: Principal, row: SkyRow, events_of: EventsOf, why: Why | None = None
    ) -> Done | Refusal:
        """Append to a stream of the sky and apply at once, under the sky's lock."""
        at, store = self._clock.now(), self._store.sky
        try:
            async with self._ledger.transaction() as tx:
                await store.hold(tx, alone=True)
                ref = await self._note(tx, row.stream, why)
                events = events_of(ref)
                version = await tx.append(
                    row.stream, events, at=at, actor=who.account_id, expected_version=row.version
                )
                state = row.state
                for event in events:
                    state = evolve(state, event, who.account_id, at)
                await store.put(tx, SkyRow(row.stream, version, state))
        except VersionConflict:
            return Refusal("changed", "version", "somebody else was quicker: look and ask again")
        log.info("sky changed", stream=row.stream, by=who.account_id, kind=events[-1].KIND)
        return Done(row.stream, version)

    async def _order(
        self, who: Principal, mission_id: str, order: Order, why: Why
    ) -> Done | Refusal:
        stream = f"mission/{mission_id}"
        for _ in range(WRITE_TRIES):
            try:
                async with self._ledger.transaction() as tx:
                    ref = await self._note(tx, stream, why)
                    event = MissionOrdered(
                        mission_id, order.value, who.account_id, why.reason, None, ref
                    )
                    at = self._clock.now()
                    version = await tx.append(stream, [event], at=at, actor=who.account_id)
            except VersionConflict:
                continue
            return Done(stream, version)
        return Refusal("changed", "version", "the flight is being written: ask again")

    async def _note(self, tx: Transaction, subject: str, why: Why | None) -> str | None:
        if why is None or not why.note.strip():
            return None
        return await self._store.sky.keep_note(tx, subject, why.note.strip())

    # looking

    async def _application(
        self, who: Principal, action: str, application_id: str
    ) -> tuple[SkyRow, Clearance] | Refusal:
        refusal = _may(who, action)
        if refusal is not None:
            return refusal
        row = await self._store.sky.row(f"application/{application_id}")
        if not isinstance(row.state, Clearance):
            cure = f"no application {application_id} was filed here"
            return Refusal("unknown_application", "application_id", cure)
        return row, row.state

    def _known_drone(self, drone_sn: str) -> Refusal | None:
        if any(d.drone_sn == drone_sn for d in self._district.docks):
            return None
        return Refusal("unknown_drone", "drone_sn", "name a drone that has a dock here")

    def _zone_refused(self, airspace: Airspace) -> Refusal | None:
        if airspace.kind is not AirspaceKind.TEMPORARY:
            cure = "lasting airspaces are registered, not announced"
            return Refusal("not_temporary", "kind", cure)
        if airspace.valid_from is None or airspace.valid_to is None:
            return Refusal("no_time", "valid_to", "give valid_from and valid_to")
        if airspace.valid_to <= self._clock.now():
            return Refusal("over", "valid_to", "give a time that is still to come")
        shape = area_to_shape(airspace.area)
        if not airspace.area.polygons or not shape.is_valid or shape.is_empty:
            return Refusal("bad_area", "area", "give polygons that do not cross themselves")
        frame = LocalFrame(self._district.origin)
        cells = [local_geometry(c.area, frame) for c in self._district.cells]
        ground = local_geometry(airspace.area, frame)
        if all(cell.distance(ground) > 5000.0 for cell in cells):
            return Refusal("outside_district", "area", "it lies over 5 km from every cell")
        return None


def _announced(zone: Zone, rules: SkyRules) -> dict[str, Any]:
    given = notice(zone, rules.temporary)
    return {
        "at": to_plain(zone.announced_at),
        "by": zone.by,
        "emergency": zone.emergency,
        "notice": to_plain(given),
    }


def _may(who: Principal, action: str) -> Refusal | None:
    if allow(who, action):
        return None
    return Refusal("not_allowed", "role", f"{who.role.value} may not {action}")


def _reason(why: Why) -> Refusal | None:
    if why.reason not in REASONS:
        return Refusal("unknown_reason", "reason", f"give one of {', '.join(REASONS)}")
    if len(why.note) > NOTE_LIMIT_CHARACTERS:
        return Refusal("too_long", "note", f"at most {NOTE_LIMIT_CHARACTERS} characters")
    return None


def _order_refused(
    flight: Flight, order: Order, control: Control | None, who: Principal
) -> Refusal | None:
    """Coming home is always allowed to who may command; the rest only to who has the drone."""
    if not flight.open:
        cure = f"{flight.mission.mission_id} has ended; there is nothing to command"
        return Refusal("ended", "mission_id", cure)
    if order is Order.RETURN_HOME:
        return None
    if control is not None and control.by != who.account_id:
        return Refusal("in_hand", "drone_sn", f"{control.by} has the drone in hand")
    if order is Order.CANCEL_RETURN:
        if flight.airborne() and flight.return_agreed():
            return None
        return Refusal("not_homeward", "order", "only a return that was ordered can be cancelled")
    if flight.diverted_for is not None or not flight.mission.cell_codes:
        cure = "a look cannot be paused; call it home, or take the drone in hand"
        return Refusal("a_look", "order", cure)
    if not flight.airborne():
        return Refusal("not_flying", "order", "wait until it flies, or call it home")
    if flight.called_home() is not None:
        return Refusal("homeward", "order", "it is on its way home: cancel the return first")
    return None
