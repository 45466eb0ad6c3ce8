"""The alerts part over HTTP: incidents, dispatches, tasks, responders, duty, reports."""

from collections.abc import Callable
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from domain.codec import to_plain
from domain.hazard import HazardKind
from domain.incident import CloseOutcome, IncidentState
from domain.place import Position
from runtime.access import Principal
from services.alerts.commands import Refused
from services.alerts.desk import (
    EVIDENCE_LIMIT,
    KEY_LIMIT_CHARACTERS,
    NOTE_LIMIT_CHARACTERS,
    Answer,
    Desk,
    Detail,
)
from services.alerts.store import LIST_LIMIT

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=KEY_LIMIT_CHARACTERS,
        description="the same key repeats the same request without doing it twice",
    ),
]
Evidence = Annotated[
    list[Annotated[str, Field(pattern="^[0-9a-f]{64}$")]], Field(max_length=EVIDENCE_LIMIT)
]
NoteText = Annotated[str | None, Field(max_length=NOTE_LIMIT_CHARACTERS)]
Id = Annotated[str, Field(max_length=64)]
STATUS = {
    "not_allowed": 403,
    "unknown_incident": 404,
    "unknown_dispatch": 404,
    "unknown_responder": 422,
    "unknown_reason": 422,
    "bad_evidence": 422,
    "bad_key": 422,
    "too_much": 422,
    "too_long": 422,
    "outside_district": 422,
    "not_reportable": 422,
    "outcome_not_allowed": 422,
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"description": text, "content": {"application/problem+json": {}}}
    for code, text in {
        403: "this role may not",
        404: "no such thing to be seen",
        409: "not possible as it stands; `code` says why, `cure` what to do",
        422: "a field does not fit",
    }.items()
}


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class DispatchBody(Body):
    responder_id: Id | None = Field(None, examples=["responder-0123456789abcdef"])


class VerifyBody(Body):
    gone: bool = True
    evidence: Evidence = []


class OutcomeBody(Body):
    outcome: Annotated[CloseOutcome, Field(strict=False, examples=["false_alarm"])]


class RefuseBody(Body):
    reason: str = Field(max_length=32, examples=["busy"])


class HandBackBody(Body):
    evidence: Evidence = []
    note: NoteText = None


class DutyBody(Body):
    on_duty: bool


class PositionBody(Body):
    lat_deg: float = Field(ge=-90, le=90, allow_inf_nan=False, examples=[22.54])
    lon_deg: float = Field(ge=-180, le=180, allow_inf_nan=False, examples=[113.35])


class ReportBody(PositionBody):
    kind: Annotated[HazardKind, Field(strict=False, examples=["exposed_rubbish"])]
    evidence: Evidence = []
    note: NoteText = None


def router(desk: Desk, principal_of: Callable[..., Any]) -> APIRouter:
    """Return the routes; `principal_of` is the dependency that tells who is asking."""
    routes = APIRouter(prefix="/api", responses=PROBLEMS)
    asking = Depends(principal_of)
    _incidents(routes, desk, asking)
    _incident_commands(routes, desk, asking)
    _dispatches(routes, desk, asking)
    _people(routes, desk, asking)
    return routes


def _incidents(routes: APIRouter, desk: Desk, asking: Any) -> None:
    @routes.get("/incidents", tags=["incidents"])
    async def list_incidents(
        who: Annotated[Principal, asking],
        state: IncidentState | None = None,
        kind: HazardKind | None = None,
        after: Annotated[str | None, Query(max_length=64)] = None,
        limit: Annotated[int, Query(ge=1, le=LIST_LIMIT)] = 50,
    ) -> Response:
        """Newest first; pass `next` as `after` for the following page."""
        return _json(await desk.incidents(who, state, kind, after, limit))

    @routes.get("/incidents/{incident_id}", tags=["incidents"])
    async def one_incident(incident_id: str, who: Annotated[Principal, asking]) -> Response:
        """The incident, its ledger entries, why things were decided, and notes."""
        found = await desk.incident(who, incident_id)
        return _problem(found) if isinstance(found, Refused) else _json(_detail(found))

    @routes.post("/reports", tags=["incidents"])
    async def report(
        body: ReportBody, who: Annotated[Principal, asking], key: Key = None
    ) -> Response:
        position = Position(body.lat_deg, body.lon_deg)
        evidence = tuple(body.evidence)
        return _answer(await desk.report(who, body.kind, position, evidence, body.note, key))


def _incident_commands(routes: APIRouter, desk: Desk, asking: Any) -> None:
    @routes.post("/incidents/{incident_id}/acknowledge", tags=["incidents"])
    async def acknowledge(
        incident_id: str, who: Annotated[Principal, asking], key: Key = None
    ) -> Response:
        return _answer(await desk.acknowledge(who, incident_id, key))

    @routes.post("/incidents/{incident_id}/dispatch", tags=["incidents"])
    async def dispatch(
        incident_id: str,
        who: Annotated[Principal, asking],
        body: DispatchBody | None = None,
        key: Key = None,
    ) -> Response:
        """Ask one responder; without one, whoever the rules would ask next."""
        responder_id = None if body is None else body.responder_id
        return _answer(await desk.dispatch(who, incident_id, responder_id, key))

    @routes.post("/incidents/{incident_id}/verify", tags=["incidents"])
    async def verify(
        incident_id: str,
        who: Annotated[Principal, asking],
        body: VerifyBody | None = None,
        key: Key = None,
    ) -> Response:
        """A second person's check: gone closes it as handled, not gone sends it back."""
        said = body or VerifyBody()
        return _answer(await desk.verify(who, incident_id, said.gone, tuple(said.evidence), key))

    @routes.post("/incidents/{incident_id}/close", tags=["incidents"])
    async def close(
        incident_id: str, body: OutcomeBody, who: Annotated[Principal, asking], key: Key = None
    ) -> Response:
        """Close as false_alarm or unfounded; handled needs an independent check."""
        return _answer(await desk.close(who, incident_id, body.outcome, key))

    @routes.post("/incidents/{incident_id}/dismiss", tags=["incidents"])
    async def dismiss(
        incident_id: str, body: OutcomeBody, who: Annotated[Principal, asking], key: Key = None
    ) -> Response:
        """Do not file it: only before anybody was sent."""
        return _answer(await desk.dismiss(who, incident_id, body.outcome, key))


def _dispatches(routes: APIRouter, desk: Desk, asking: Any) -> None:
    @routes.get("/tasks", tags=["dispatches"])
    async def tasks(who: Annotated[Principal, asking]) -> Response:
        """One's own live dispatches with their incidents."""
        return _json({"items": await desk.tasks(who)})

    @routes.post("/dispatches/{dispatch_id}/accept", tags=["dispatches"])
    async def accept(
        dispatch_id: str, who: Annotated[Principal, asking], key: Key = None
    ) -> Response:
        return _answer(await desk.accept(who, dispatch_id, key))

    @routes.post("/dispatches/{dispatch_id}/refuse", tags=["dispatches"])
    async def refuse(
        dispatch_id: str, body: RefuseBody, who: Annotated[Principal, asking], key: Key = None
    ) -> Response:
        """Reasons: busy, too_far, off_shift, not_mine, unsafe, other."""
        return _answer(await desk.refuse(who, dispatch_id, body.reason, key))

    @routes.post("/dispatches/{dispatch_id}/arrive", tags=["dispatches"])
    async def arrive(
        dispatch_id: str, who: Annotated[Principal, asking], key: Key = None
    ) -> Response:
        return _answer(await desk.arrive(who, dispatch_id, key))

    @routes.post("/dispatches/{dispatch_id}/hand-back", tags=["dispatches"])
    async def hand_back(
        dispatch_id: str, body: HandBackBody, who: Annotated[Principal, asking], key: Key = None
    ) -> Response:
        """Say it is handled; an independent check follows."""
        evidence = tuple(body.evidence)
        return _answer(await desk.hand_back(who, dispatch_id, evidence, body.note, key))


def _people(routes: APIRouter, desk: Desk, asking: Any) -> None:
    @routes.get("/responders", tags=["responders"])
    async def responders(who: Annotated[Principal, asking]) -> Response:
        found = await desk.responders(who)
        return _problem(found) if isinstance(found, Refused) else _json(found)

    @routes.post("/duty", tags=["responders"])
    async def duty(body: DutyBody, who: Annotated[Principal, asking]) -> Response:
        return _done(await desk.duty(who, body.on_duty))

    @routes.post("/position", tags=["responders"])
    async def position(body: PositionBody, who: Annotated[Principal, asking]) -> Response:
        """Where one is, while on duty; only the newest is kept."""
        return _done(await desk.position(who, Position(body.lat_deg, body.lon_deg)))


def _detail(detail: Detail) -> dict[str, Any]:
    entries = [
        {
            "position": e.position,
            "stream": e.stream,
            "version": e.version,
            "kind": e.kind,
            "at": e.at,
            "actor": e.actor,
            "event": e.event,
        }
        for e in detail.timeline
    ]
    return {
        "incident": detail.incident,
        "timeline": entries,
        "why": detail.why,
        "notes": detail.notes,
    }


def _answer(answer: Answer) -> Response:
    return _problem(answer) if isinstance(answer, Refused) else _json(answer)


def _done(refused: Refused | None) -> Response:
    return _json({"ok": True}) if refused is None else _problem(refused)


def _json(value: Any) -> Response:
    return Response(orjson.dumps(to_plain(value)), media_type="application/json")


def _problem(refused: Refused) -> Response:
    status = STATUS.get(refused.code, 409)
    body = {
        "type": "about:blank",
        "title": "not taken",
        "status": status,
        "detail": f"{refused.field}: {refused.cure}",
        "code": refused.code,
        "field": refused.field,
        "cure": refused.cure,
    }
    return Response(orjson.dumps(body), status, media_type="application/problem+json")
