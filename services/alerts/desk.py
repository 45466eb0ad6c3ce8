"""What people do: every command of an operator, a dispatcher or somebody in the field.

Each asks `allow`, decides on the incident as locked, writes, and may be repeated: by its nature,
and by the key a phone sends with it. A refusal is a value.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from domain.codec import canonical
from domain.district import District
from domain.events import DispatchOffered, DispatchShort, IncidentFused, IncidentReported
from domain.hazard import HazardKind
from domain.ids import derive
from domain.incident import CloseOutcome, Incident, IncidentState
from domain.place import Position
from domain.responder import Dispatch, Force
from runtime.access import Principal, allow
from runtime.clock import Clock
from runtime.ledger import Entry, Ledger, Transaction
from services.alerts.attention import dispatch_name, reinforce
from services.alerts.commands import (
    Accept,
    Acknowledge,
    Arrive,
    Close,
    Command,
    Dismiss,
    File,
    HandBack,
    Offer,
    Refuse,
    Refused,
    VerifyByPerson,
)
from services.alerts.fusion import Sighting
from services.alerts.ground import Ground
from services.alerts.intake import News, fuse_or_open
from services.alerts.journal import Journal
from services.alerts.life import LIVE
from services.alerts.routing import metres_between
from services.alerts.rules import Rules, load_rules
from services.alerts.store import AlertStore, Figures, Filter, Note

REFUSAL_REASONS = ("busy", "too_far", "off_shift", "not_mine", "unsafe", "other")
EVIDENCE_LIMIT = 12
SHA256_HEX_DIGITS = 64
NOTE_LIMIT_CHARACTERS = 1000
KEY_LIMIT_CHARACTERS = 64
OUTSIDE_LIMIT_M = 200.0
TIMELINE_LIMIT = 500
PERSON = "person"

Answer = Incident | Refused
Work = Callable[[Transaction, Incident], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Task:
    """One of somebody's own dispatches with its incident."""

    dispatch: Dispatch
    incident: Incident


@dataclass(frozen=True, slots=True)
class ResponderState:
    responder_id: str
    call_sign: str
    force: Force
    on_duty: bool
    load: int
    position: Position | None
    position_at: datetime | None


@dataclass(frozen=True, slots=True)
class Page:
    """Newest first; `next` is what to pass as `after`, None on the last page."""

    items: tuple[Incident, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Detail:
    """An incident with its ledger entries, why things were decided, and people's notes."""

    incident: Incident
    timeline: tuple[Entry, ...]
    why: tuple[dict[str, Any], ...]
    notes: tuple[Note, ...]


class Desk:
    def __init__(
        self,
        ledger: Ledger,
        store: AlertStore,
        district: District,
        clock: Clock,
        rules: Rules | None = None,
    ) -> None:
        self._store, self._ledger, self._clock = store, ledger, clock
        self._rules = rules or load_rules()
        self._ground = Ground.of(district)
        self._journal = Journal(ledger, store, self._ground, clock, self._rules)

    # --- the command centre ---------------------------------------------------------------------

    async def acknowledge(self, who: Principal, incident_id: str, key: str | None = None) -> Answer:
        return await self._on_incident(who, "incident.acknowledge", incident_id, Acknowledge(), key)

    async def close(
        self, who: Principal, incident_id: str, outcome: CloseOutcome, key: str | None = None
    ) -> Answer:
        return await self._on_incident(who, "incident.close", incident_id, Close(outcome), key)

    async def dismiss(
        self, who: Principal, incident_id: str, outcome: CloseOutcome, key: str | None = None
    ) -> Answer:
        command = Dismiss(outcome)
        return await self._on_incident(who, "incident.dismiss", incident_id, command, key)

    async def verify(
        self,
        who: Principal,
        incident_id: str,
        gone: bool = True,
        evidence: tuple[str, ...] = (),
        key: str | None = None,
    ) -> Answer:
        """Say as a second person whether it is gone."""
        wrong = _bad_evidence(evidence)
        if wrong is not None:
            return wrong
        command = VerifyByPerson(gone, who.responder_id, evidence)
        return await self._on_incident(who, "incident.verify", incident_id, command, key)

    async def dispatch(
        self,
        who: Principal,
        incident_id: str,
        responder_id: str | None = None,
        key: str | None = None,
    ) -> Answer:
        """Ask one responder, or whoever the rules would ask next."""
        if responder_id is not None and responder_id not in self._ground.responders:
            return Refused("unknown_responder", "responder_id", "choose one of /api/responders")

        async def work(tx: Transaction, incident: Incident) -> Answer:
            filed = await self._journal.act(tx, incident, File(), who.account_id)
            if isinstance(filed, Refused):
                return filed
            if responder_id is None:
                return await self._ask_next(tx, filed, who)
            return await self._ask(tx, filed, responder_id, who)

        asked = ("dispatch", incident_id, responder_id)
        return await self._locked(who, "incident.dispatch", incident_id, asked, key, work)

    async def _ask(
        self, tx: Transaction, incident: Incident, responder_id: str, who: Principal
    ) -> Answer:
        responder = self._ground.responders[responder_id]
        distance_m = metres_between(self._ground.frame, responder.home, incident.position)
        offer = Offer(
            dispatch_name(incident, responder_id),
            responder_id,
            responder.force,
            "operator",
            round(distance_m, 1),
        )
        return await self._journal.act(tx, incident, offer, who.account_id)

    async def _ask_next(self, tx: Transaction, incident: Incident, who: Principal) -> Answer:
        attended = await self._journal.attend(tx, incident)
        if attended.version != incident.version:
            return attended
        more = reinforce(attended, self._rules, await self._journal.forces(tx))
        if not any(isinstance(command, Offer) for command in more):
            return Refused("nobody_left", "incident_id", "choose somebody, or call in more people")
        return await self._journal.act_all(tx, attended, more)

    # --- in the field ---------------------------------------------------------------------------

    async def accept(self, who: Principal, dispatch_id: str, key: str | None = None) -> Answer:
        return await self._on_dispatch(who, dispatch_id, Accept(dispatch_id), key)

    async def refuse(
        self, who: Principal, dispatch_id: str, reason: str, key: str | None = None
    ) -> Answer:
        if reason not in REFUSAL_REASONS:
            cure = f"choose one of {', '.join(REFUSAL_REASONS)}"
            return Refused("unknown_reason", "reason", cure)
        return await self._on_dispatch(who, dispatch_id, Refuse(dispatch_id, reason), key)

    async def arrive(self, who: Principal, dispatch_id: str, key: str | None = None) -> Answer:
        return await self._on_dispatch(who, dispatch_id, Arrive(dispatch_id), key)

    async def hand_back(
        self,
        who: Principal,
        dispatch_id: str,
        evidence: tuple[str, ...],
        note: str | None = None,
        key: str | None = None,
    ) -> Answer:
        wrong = _bad_evidence(evidence) or _bad_note(note)
        if wrong is not None:
            return wrong
        command = HandBack(dispatch_id, evidence)
        return await self._on_dispatch(who, dispatch_id, command, key, note)

    async def report(
        self,
        who: Principal,
        kind: HazardKind,
        position: Position,
        evidence: tuple[str, ...] = (),
        note: str | None = None,
        key: str | None = None,
    ) -> Answer:
        """Report a happening; it is fused into the incident it belongs to, or opens one."""
        if not allow(who, "incident.report"):
            return _not_allowed("incident.report")
        if kind is HazardKind.DEVICE_FAULT:
            return Refused("not_reportable", "kind", "devices report their own faults")
        wrong = _bad_evidence(evidence) or _bad_note(note) or self._outside(position)
        if wrong is not None:
            return wrong
        at = self._clock.now()
        asked = ("report", kind, position, evidence, note)
        cause = derive("report", who.account_id, key or canonical([asked, at]))
        news = News(
            Sighting(kind, position, None, at, PERSON),
            cause,
            derive("incident", cause),
            self._rules.kinds[kind].severity,
            evidence,
            self._ground.cells.at(position),
        )

        async def work(tx: Transaction) -> Answer:
            done = await fuse_or_open(self._journal, tx, news, who.account_id)
            if isinstance(done, Incident) and note:
                await self._store.note(tx, done.incident_id, who.account_id, note, at)
            return done

        return await self._journal.transact(lambda tx: self._once(tx, who, asked, key, work))

    async def duty(self, who: Principal, on_duty: bool) -> Refused | None:
        """Go on or off duty; off duty the position is forgotten."""
        if not allow(who, "duty.set") or who.responder_id is None:
            return _not_allowed("duty.set")
        responder_id, at = who.responder_id, self._clock.now()
        await self._journal.transact(lambda tx: self._store.set_duty(tx, responder_id, on_duty, at))
        return None

    async def position(self, who: Principal, position: Position) -> Refused | None:
        """Keep where somebody on duty is: the newest position only."""
        if not allow(who, "position.set") or who.responder_id is None:
            return _not_allowed("position.set")
        responder_id, at = who.responder_id, self._clock.now()
        kept = await self._journal.transact(
            lambda tx: self._store.set_position(tx, responder_id, position, at)
        )
        return None if kept else Refused("off_duty", "position", "go on duty first")

    # --- reading --------------------------------------------------------------------------------

    async def tasks(self, who: Principal) -> tuple[Task, ...]:
        """Return one's own live dispatches, oldest incident first."""
        if not allow(who, "task.read") or who.responder_id is None:
            return ()
        return tuple(
            Task(dispatch, incident)
            for incident in await self._store.dispatched_to(who.responder_id)
            for dispatch in incident.dispatches
            if dispatch.responder_id == who.responder_id and dispatch.state in LIVE
        )

    async def responders(self, who: Principal) -> tuple[ResponderState, ...] | Refused:
        if not allow(who, "responder.read"):
            return _not_allowed("responder.read")
        forces = await self._journal.transact(self._journal.forces)
        return tuple(
            ResponderState(
                c.responder.responder_id,
                c.responder.call_sign,
                c.responder.force,
                c.on_duty,
                c.load,
                c.position,
                c.position_at,
            )
            for c in forces.candidates
        )

    async def incidents(
        self,
        who: Principal,
        state: IncidentState | None = None,
        kind: HazardKind | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Page:
        """Return one page of what this person may see."""
        found = await self._store.page(Filter(state, kind, after, limit))
        following = found[-1].incident_id if len(found) == limit else None
        return Page(tuple(i for i in found if allow(who, "incident.read", i)), following)

    async def incident(self, who: Principal, incident_id: str) -> Detail | Refused:
        incident = await self._store.get(incident_id)
        if incident is None or not allow(who, "incident.read", incident):
            return _unknown_incident()
        entries = await self._ledger.read(0, TIMELINE_LIMIT, f"incident/{incident_id}")
        for mission_id in incident.looks:
            entries += await self._ledger.read(0, TIMELINE_LIMIT, f"look/{mission_id}")
        entries.sort(key=lambda entry: entry.position)
        notes = await self._store.notes(incident_id)
        return Detail(incident, tuple(entries), _why(entries), tuple(notes))

    async def figures(self) -> Figures:
        return await self._store.figures()

    # --- how every command runs -----------------------------------------------------------------

    async def _on_incident(
        self, who: Principal, action: str, incident_id: str, command: Command, key: str | None
    ) -> Answer:
        async def work(tx: Transaction, incident: Incident) -> Answer:
            return await self._journal.act(tx, incident, command, who.account_id)

        asked = (type(command).__name__, incident_id, command)
        return await self._locked(who, action, incident_id, asked, key, work)

    async def _on_dispatch(
        self,
        who: Principal,
        dispatch_id: str,
        command: Command,
        key: str | None,
        note: str | None = None,
    ) -> Answer:
        async def work(tx: Transaction) -> Answer:
            incident_id = await self._store.of_dispatch(tx, dispatch_id)
            incident = await self._store.incident(tx, incident_id) if incident_id else None
            if incident is None:
                return _unknown_dispatch()
            dispatch = next(d for d in incident.dispatches if d.dispatch_id == dispatch_id)
            if not allow(who, "dispatch.act", dispatch):
                return _unknown_dispatch()
            done = await self._journal.act(tx, incident, command, who.account_id)
            if note and isinstance(done, Incident):
                at = self._clock.now()
                await self._store.note(tx, done.incident_id, who.account_id, note, at)
            return done

        asked = (type(command).__name__, command, note)
        return await self._journal.transact(lambda tx: self._once(tx, who, asked, key, work))

    async def _locked(
        self,
        who: Principal,
        action: str,
        incident_id: str,
        asked: object,
        key: str | None,
        work: Work,
    ) -> Answer:
        async def locked(tx: Transaction) -> Answer:
            incident = await self._store.incident(tx, incident_id)
            if incident is None or not allow(who, "incident.read", incident):
                return _unknown_incident()
            if not allow(who, action, incident):
                return _not_allowed(action)
            return await work(tx, incident)

        return await self._journal.transact(lambda tx: self._once(tx, who, asked, key, locked))

    async def _once(
        self,
        tx: Transaction,
        who: Principal,
        asked: object,
        key: str | None,
        work: Callable[[Transaction], Awaitable[Answer]],
    ) -> Answer:
        """Run `work`, or give what the same post with the same key led to before."""
        if key is None:
            return await work(tx)
        if not 0 < len(key) <= KEY_LIMIT_CHARACTERS:
            cure = f"send 1 to {KEY_LIMIT_CHARACTERS} characters"
            return Refused("bad_key", "Idempotency-Key", cure)
        digest = derive("post", canonical(asked))
        earlier = await self._store.repeat(tx, who.account_id, key, digest, self._clock.now())
        if earlier is not None and earlier[0] != digest:
            return Refused("key_reused", "Idempotency-Key", "send a new key with a new request")
        if earlier is not None and earlier[1]:
            there = await self._store.incident(tx, earlier[1])
            return there if there is not None else _unknown_incident()
        done = await work(tx)
        if isinstance(done, Incident):
            await self._store.remember(tx, who.account_id, key, done.incident_id)
        return done

    def _outside(self, position: Position) -> Refused | None:
        if self._ground.cells.near(position, OUTSIDE_LIMIT_M):
            return None
        return Refused("outside_district", "lat_deg", "give a place inside the district")


def _bad_evidence(evidence: tuple[str, ...]) -> Refused | None:
    if len(evidence) > EVIDENCE_LIMIT:
        return Refused("too_much", "evidence", f"send at most {EVIDENCE_LIMIT} pictures")
    if all(_is_sha256(sha) for sha in evidence):
        return None
    return Refused("bad_evidence", "evidence", "send sha256 values that POST /api/evidence gave")


def _is_sha256(text: str) -> bool:
    return len(text) == SHA256_HEX_DIGITS and all(c in "0123456789abcdef" for c in text)


def _bad_note(note: str | None) -> Refused | None:
    if note is None or len(note) <= NOTE_LIMIT_CHARACTERS:
        return None
    return Refused("too_long", "note", f"write at most {NOTE_LIMIT_CHARACTERS} characters")


def _not_allowed(action: str) -> Refused:
    return Refused("not_allowed", "account", f"this account may not do {action}")


def _unknown_incident() -> Refused:
    return Refused("unknown_incident", "incident_id", "give the id of an incident you may see")


def _unknown_dispatch() -> Refused:
    return Refused("unknown_dispatch", "dispatch_id", "give the id of one of your dispatches")


def _why(entries: list[Entry]) -> tuple[dict[str, Any], ...]:
    """Return the reasons in the timeline as codes and figures."""
    reasons: list[dict[str, Any]] = []
    for entry in entries:
        e, about = entry.event, {"position": entry.position, "at": entry.at}
        if isinstance(e, IncidentReported):
            reasons.append(about | {"code": "opened", "cause": e.cause, "source": e.source})
        elif isinstance(e, IncidentFused):
            figures = {"distance_m": e.distance_m, "apart_s": e.apart_s, "score": e.score}
            reasons.append(about | {"code": "fused", "cause": e.cause} | figures)
        elif isinstance(e, DispatchOffered):
            whom = {"responder_id": e.responder_id, "force": e.force, "distance_m": e.distance_m}
            reasons.append(about | {"code": f"asked_{e.reason}"} | whom)
        elif isinstance(e, DispatchShort):
            reasons.append(about | {"code": f"short_{e.reason}", "force": e.force})
    return tuple(reasons)
