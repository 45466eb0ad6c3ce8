"""The composed web application: sessions, the district, the stream, evidence, and every
service's own routes, with the built pages beside them."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import psycopg
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import generate_latest
from pydantic import BaseModel, Field
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from domain.codec import to_plain
from domain.district import District
from domain.evidence import EvidenceViewed
from gridwing.pictures import BadPicture, Blur, fit_to_keep
from gridwing.stream import Stream
from models.noted import shown
from models.privacy import BlurFailed
from runtime.access import Principal, allow
from runtime.access.accounts import Accounts, Denied, Session, principal_of
from runtime.access.http import (
    current_principal,
    current_session,
    give_cookies,
    session_token,
    take_cookies,
)
from runtime.clock import Clock, wall_clock
from runtime.evidence import PICTURE_LIMIT_BYTES, EvidenceFull, EvidenceStore
from runtime.ledger import Ledger
from runtime.metrics import HTTP_REQUESTS, REGISTRY

DENIALS = {
    "wrong": (401, "wrong account or password"),
    "locked": (429, "too many wrong passwords: wait five minutes"),
    "busy": (503, "too many people sign in at once: try again in some seconds"),
}
POSITION = re.compile(r"[0-9]{1,18}")
PURPOSES = ("handling", "review", "audit")
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; worker-src 'self' blob:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"
)
SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
Asking = Annotated[Principal, Depends(current_principal)]


@dataclass(frozen=True, slots=True)
class Deps:
    """What the web part is made of."""

    accounts: Accounts
    ledger: Ledger
    stream: Stream
    evidence: EvidenceStore
    district: Callable[[], District]
    clock: Clock
    routers: Sequence[APIRouter]
    blur: Blur
    pages: Path | None = None


class Door:
    """Sessions of this process; asked on every request.

    They last by the wall's clock: a simulated day that runs faster does not tire people sooner.
    """

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._hours = wall_clock()

    async def session(self, token: str) -> Session | None:
        return await self._deps.accounts.session(token, self.now())

    def principal(self, session: Session) -> Principal:
        return principal_of(session.account, self._deps.district())

    def now(self) -> datetime:
        return self._hours.now()


class Login(BaseModel):
    account: str = Field(max_length=64)
    password: str = Field(max_length=256)


def create_app(deps: Deps) -> FastAPI:
    """Return the application; `deps.stream.run()` has to run beside it."""
    # No page of interactive documentation: it would load its scripts from elsewhere.
    app = FastAPI(
        title="Gridwing",
        version="0.1.0",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.door = Door(deps)
    _errors(app)
    app.add_middleware(SecurityHeaders)
    app.include_router(_sessions(deps))
    app.include_router(_places(deps))
    app.include_router(_pictures(deps))
    app.include_router(_health(deps))
    for router in deps.routers:
        app.include_router(router)
    if deps.pages is not None:
        _pages(app, deps.pages)
    return app


class SecurityHeaders:
    """Adds the headers every answer carries, and counts answers; streams pass untouched."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                HTTP_REQUESTS.labels(f"{message['status'] // 100}xx").inc()
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        await self.app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def problem(status: int, title: str, detail: str, **more: Any) -> JSONResponse:
    """Return an RFC 9457 problem."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail} | more
    return JSONResponse(body, status, media_type="application/problem+json")


def _errors(app: FastAPI) -> None:
    @app.exception_handler(StarletteHTTPException)
    async def refused(_: Request, error: StarletteHTTPException) -> Response:
        return problem(error.status_code, "not taken", str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        fields = [
            {"field": ".".join(str(part) for part in e["loc"][1:]), "cure": e["msg"]}
            for e in error.errors()
        ]
        detail = "; ".join(f"{f['field']}: {f['cure']}" for f in fields)
        return problem(422, "a field does not fit", detail, fields=fields)


def _json(value: Any) -> Response:
    return Response(orjson.dumps(to_plain(value)), media_type="application/json")


def _sessions(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api", tags=["session"])

    def told(session: Session) -> dict[str, Any]:
        account = session.account
        return {
            "account": account.account,
            "role": account.role.value,
            "display": account.display,
            "responder_id": account.responder_id,
        }

    @router.post("/login")
    async def login(body: Login, request: Request, response: Response) -> dict[str, Any]:
        door: Door = request.app.state.door
        entered = await deps.accounts.log_in(body.account, body.password, door.now())
        if isinstance(entered, Denied):
            raise HTTPException(*DENIALS[entered.reason])
        give_cookies(response, entered, request.url.scheme == "https")
        return told(entered)

    @router.post("/logout")
    async def logout(request: Request, response: Response) -> dict[str, bool]:
        await current_session(request)
        await deps.accounts.log_out(session_token(request))
        take_cookies(response, request.url.scheme == "https")
        return {"ok": True}

    @router.get("/me")
    async def me(session: Annotated[Session, Depends(current_session)]) -> dict[str, Any]:
        return told(session)

    return router


def _places(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api", tags=["district"])

    @router.get("/district")
    async def district(principal: Asking) -> Response:
        if not allow(principal, "district.read"):
            raise HTTPException(403, "this role may not read the district")
        plain = to_plain(deps.district())
        for camera in (*plain["cameras"], *plain["drones"]):
            del camera["address"]
        del plain["responders"]
        return _json(plain)

    @router.get("/positions")
    async def positions(principal: Asking) -> Response:
        if not allow(principal, "device.read"):
            raise HTTPException(403, "this role may not read positions")
        return _json(deps.stream.positions())

    @router.get("/stream")
    async def stream(
        request: Request,
        principal: Asking,
        after: Annotated[int | None, Query(ge=0, lt=2**63)] = None,
    ) -> StreamingResponse:
        resumed = request.headers.get("last-event-id", "")
        start = int(resumed) if POSITION.fullmatch(resumed) else after
        door = request.app.state.door

        async def still() -> bool:
            session = await door.session(session_token(request))
            return session is not None and door.principal(session) == principal

        return StreamingResponse(
            deps.stream.follow(principal, start, still),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    return router


def _pictures(deps: Deps) -> APIRouter:
    router = APIRouter(prefix="/api/evidence", tags=["evidence"])

    @router.post("")
    async def put(request: Request, principal: Asking) -> dict[str, str]:
        if not allow(principal, "evidence.write"):
            raise HTTPException(403, "this role may not add evidence")
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > PICTURE_LIMIT_BYTES:
                raise HTTPException(413, f"a picture has at most {PICTURE_LIMIT_BYTES} bytes")
        try:
            jpeg = await asyncio.to_thread(fit_to_keep, bytes(body), deps.blur)
        except BadPicture as error:
            raise HTTPException(422, str(error)) from error
        except BlurFailed as error:
            raise HTTPException(503, f"{error}; send it again") from error
        try:
            return {"sha256": await deps.evidence.put(jpeg)}
        except EvidenceFull as error:
            raise HTTPException(507, "the evidence store is full") from error

    @router.get("/{sha256}")
    async def get(
        sha256: str,
        principal: Asking,
        purpose: Annotated[str, Query(max_length=16)],
        stored: bool = False,
    ) -> Response:
        """Give a picture with what it was kept for framed; `stored` gives it as it is kept, whose
        SHA-256 is its name."""
        if purpose not in PURPOSES:
            raise HTTPException(422, f"purpose must be one of {', '.join(PURPOSES)}")
        if not deps.stream.scopes.may_see(principal, sha256):
            raise HTTPException(403, "this picture belongs to none of your incidents")
        try:
            content = await asyncio.to_thread(deps.evidence.get, sha256)
        except ValueError as error:
            raise HTTPException(422, str(error)) from error
        if content is None:
            raise HTTPException(404, "no such evidence is kept")
        async with deps.ledger.transaction() as tx:
            await tx.append(
                f"evidence/{sha256}",
                [EvidenceViewed(sha256, purpose)],
                at=deps.clock.now(),
                actor=principal.account_id,
            )
        if not stored:
            content = await asyncio.to_thread(shown, content)
        headers = {"Cache-Control": "private, max-age=3600"}
        return Response(content, media_type="image/jpeg", headers=headers)

    return router


def _health(deps: Deps) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/readyz")
    async def readyz() -> dict[str, int]:
        try:
            return {"position": await deps.ledger.head()}
        except psycopg.OperationalError as error:
            raise HTTPException(503, "the database does not answer") from error

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(REGISTRY), media_type="text/plain; version=0.0.4")

    return router


def _pages(app: FastAPI, folder: Path) -> None:
    def page(name: str) -> Callable[[], Awaitable[FileResponse]]:
        async def give() -> FileResponse:
            return FileResponse(folder / name, headers={"Cache-Control": "no-cache"})

        return give

    app.get("/", include_in_schema=False)(page("index.html"))
    app.get("/m", include_in_schema=False)(page("m.html"))
    app.mount("/", StaticFiles(directory=folder), name="pages")
