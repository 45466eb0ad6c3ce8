"""HTTP for what people do to the sky and to flights: stop, order, take in hand, announce, file."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from domain.clearance import ApplicationKind, FlightApplication
from domain.codec import to_plain
from domain.ids import derive
from domain.place import Airspace, AirspaceKind, Area, HeightReference
from runtime.access import Principal, allow
from services.patrol.flight import Order
from services.patrol.refusal import Refusal
from services.patrol.sky.application_form import form_csv, form_html
from services.patrol.sky_desk import NOTE_LIMIT_CHARACTERS, Done, SkyDesk, Why
from services.patrol.stop import Confirm

POINTS_LIMIT = 2000
STATUS = {
    "not_allowed": 403,
    "unknown_mission": 404,
    "unknown_airspace": 404,
    "unknown_application": 404,
    "unknown_drone": 404,
    "stopped": 409,
    "not_stopped": 409,
    "in_hand": 409,
    "not_in_hand": 409,
    "known": 409,
    "changed": 409,
    "ended": 409,
    "not_flying": 409,
    "homeward": 409,
    "not_homeward": 409,
    "a_look": 409,
    "token_expired": 409,
    "bad_token": 409,
    "not_filed": 409,
    "not_approved": 409,
}
CSV_TYPE, HTML_TYPE = "text/csv; charset=utf-8", "text/html; charset=utf-8"

Id = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[\w.:-]+$")]
Ring = Annotated[list[tuple[float, float]], Field(min_length=4, max_length=POINTS_LIMIT)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class WhyBody(Body):
    reason: str = Field(max_length=32, examples=["weather"])
    note: str = Field("", max_length=NOTE_LIMIT_CHARACTERS)

    def why(self) -> Why:
        return Why(self.reason, self.note)


class StopBody(WhyBody):
    all_home: bool = False
    token: str | None = Field(None, max_length=128)


class ZoneBody(Body):
    code: Id
    name: str = Field(max_length=64)
    polygons: Annotated[list[list[Ring]], Field(min_length=1, max_length=16)]
    floor_m: float = Field(0.0, ge=-500, le=10_000)
    ceiling_m: float = Field(ge=-500, le=10_000)
    height_reference: HeightReference = HeightReference.AGL
    valid_from: AwareDatetime
    valid_to: AwareDatetime
    emergency: bool = Field(False, description="Half an hour's notice is enough (art. 20).")

    def airspace(self) -> Airspace:
        """Raises ValueError when floor, times or places do not fit."""
        for lon, lat in (point for rings in self.polygons for ring in rings for point in ring):
            if not (-180.0 <= lon <= 180.0 and -90.0 <= lat <= 90.0):
                raise ValueError(f"polygons are lon, lat in degrees, got {lon}, {lat}")
        area = Area(tuple(tuple(tuple(ring) for ring in rings) for rings in self.polygons))
        return Airspace(
            self.code,
            self.name,
            AirspaceKind.TEMPORARY,
            area,
            self.floor_m,
            self.ceiling_m,
            self.height_reference,
            self.valid_from,
            self.valid_to,
        )


class ApplicationBody(Body):
    kind: ApplicationKind
    drone_sns: Annotated[list[Id], Field(min_length=1, max_length=64)]
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    ceiling_agl_m: float
    nature: str = Field("patrol", max_length=32)
    parent_id: Id | None = None
    confirmation_needed: bool = True

    def application(self) -> FlightApplication:
        """Raises ValueError naming what does not fit."""
        starts = self.starts_at.isoformat()
        return FlightApplication(
            derive("application", self.kind.value, starts, *sorted(self.drone_sns)),
            self.kind,
            tuple(sorted(set(self.drone_sns))),
            self.starts_at,
            self.ends_at,
            self.ceiling_agl_m,
            None,
            self.nature,
            self.parent_id,
            self.confirmation_needed,
        )


class DecisionBody(Body):
    approved: bool
    number: str = Field("", max_length=64)


class ConfirmationBody(Body):
    from_at: AwareDatetime
    until_at: AwareDatetime


def sky_router(desk: SkyDesk, principal_of: Callable[[Request], Awaitable[Principal]]) -> APIRouter:
    """Return the routes under /api; `principal_of` is the dependency that says who asks."""
    api = APIRouter(prefix="/api", tags=["sky"])
    asking = Annotated[Principal, Depends(principal_of)]
    _stops(api, desk, asking)
    _orders(api, desk, asking)
    _airspaces(api, desk, asking)
    _applications(api, desk, asking)
    _forms(api, desk, asking)
    return api


def _stops(api: APIRouter, desk: SkyDesk, asking: Any) -> None:
    async def sky(who: asking) -> Response:
        _ask(who, "sky.read")
        return JSONResponse(await desk.told())

    async def ground_stop(body: StopBody, who: asking) -> Response:
        return _answer(await desk.stop(who, body.why(), body.token, all_home=body.all_home))

    async def lift(body: WhyBody, who: asking) -> Response:
        return _answer(await desk.lift(who, body.why()))

    api.add_api_route("/sky", sky, methods=["GET"])
    api.add_api_route("/ground-stop", ground_stop, methods=["POST"])
    api.add_api_route("/ground-stop/lift", lift, methods=["POST"])


def _orders(api: APIRouter, desk: SkyDesk, asking: Any) -> None:
    def ordering(order: Order) -> Callable[..., Awaitable[Response]]:
        async def told(mission_id: Id, who: asking, body: WhyBody | None = None) -> Response:
            why = body.why() if body is not None else Why("other")
            return _answer(await desk.order(who, mission_id, order, why))

        return told

    for order in Order:
        path = f"/missions/{{mission_id}}/{order.value.replace('_', '-')}"
        api.add_api_route(path, ordering(order), methods=["POST"], name=order.value)

    async def take(drone_sn: Id, body: WhyBody, who: asking) -> Response:
        return _answer(await desk.take(who, drone_sn, body.why()))

    async def release(drone_sn: Id, body: WhyBody, who: asking) -> Response:
        return _answer(await desk.release(who, drone_sn, body.why()))

    api.add_api_route("/drones/{drone_sn}/take-control", take, methods=["POST"])
    api.add_api_route("/drones/{drone_sn}/release-control", release, methods=["POST"])


def _airspaces(api: APIRouter, desk: SkyDesk, asking: Any) -> None:
    async def announce(body: ZoneBody, who: asking) -> Response:
        try:
            airspace = body.airspace()
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        return _answer(await desk.announce(who, airspace, emergency=body.emergency))

    async def withdraw(code: Id, body: WhyBody, who: asking) -> Response:
        return _answer(await desk.withdraw_airspace(who, code, body.why()))

    api.add_api_route("/airspaces", announce, methods=["POST"])
    api.add_api_route("/airspaces/{code}/withdraw", withdraw, methods=["POST"])


def _applications(api: APIRouter, desk: SkyDesk, asking: Any) -> None:
    async def file(body: ApplicationBody, who: asking) -> Response:
        try:
            application = body.application()
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        return _answer(await desk.file(who, application))

    async def decide(application_id: Id, body: DecisionBody, who: asking) -> Response:
        said = await desk.decide(who, application_id, approved=body.approved, number=body.number)
        return _answer(said)

    async def confirm(application_id: Id, body: ConfirmationBody, who: asking) -> Response:
        return _answer(await desk.confirm(who, application_id, body.from_at, body.until_at))

    async def withdraw(application_id: Id, body: WhyBody, who: asking) -> Response:
        return _answer(await desk.withdraw_application(who, application_id, body.why()))

    api.add_api_route("/applications", file, methods=["POST"])
    api.add_api_route("/applications/{application_id}/decision", decide, methods=["POST"])
    api.add_api_route("/applications/{application_id}/confirmation", confirm, methods=["POST"])
    api.add_api_route("/applications/{application_id}/withdraw", withdraw, methods=["POST"])


def _forms(api: APIRouter, desk: SkyDesk, asking: Any) -> None:
    async def form(application_id: Id, who: asking, form: str = "html") -> Response:
        _ask(who, "sky.read")
        if form not in ("html", "csv"):
            raise HTTPException(422, "form must be html or csv")
        rows = await desk.form(application_id)
        if isinstance(rows, Refusal):
            return _answer(rows)
        if form == "html":
            return Response(form_html(rows), media_type=HTML_TYPE)
        name = f'attachment; filename="{application_id}.csv"'
        return Response(form_csv(rows), media_type=CSV_TYPE, headers={"Content-Disposition": name})

    api.add_api_route("/applications/{application_id}/form", form, methods=["GET"])


def _ask(who: Principal, action: str) -> None:
    if not allow(who, action):
        raise HTTPException(403, f"{who.role.value} may not {action}")


def _answer(said: Confirm | Done | Refusal) -> Response:
    if isinstance(said, Refusal):
        status = STATUS.get(said.code, 422)
        body: dict[str, Any] = {
            "type": "about:blank",
            "title": "not taken",
            "status": status,
            "detail": said.cure,
            "code": said.code,
            "field": said.field,
        }
        return JSONResponse(body, status, media_type="application/problem+json")
    if isinstance(said, Confirm):
        return JSONResponse({"confirm": to_plain(said)}, 202)
    return JSONResponse({"ok": True, **to_plain(said)})
