"""Sessions over HTTP: cookies, the CSRF double submit, and problem+json errors."""

from datetime import datetime
from hmac import compare_digest
from typing import Protocol

from fastapi import HTTPException, Request, Response

from runtime.access.accounts import SESSION_S, Session
from runtime.access.principal import Principal

SESSION_COOKIE = "gridwing_session"
CSRF_COOKIE = "gridwing_csrf"
CSRF_HEADER = "x-csrf-token"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Doorkeeper(Protocol):
    """What a request needs to be told who is asking; the app provides it as `state.door`."""

    async def session(self, token: str) -> Session | None: ...

    def principal(self, session: Session) -> Principal: ...

    def now(self) -> datetime: ...


def cookie_name(base: str, secure: bool) -> str:
    """Browsers take the __Host- prefix over https only; loopback http does without."""
    return f"__Host-{base}" if secure else base


def give_cookies(response: Response, session: Session, secure: bool) -> None:
    for base, value, hidden in (
        (SESSION_COOKIE, session.token, True),
        (CSRF_COOKIE, session.csrf, False),
    ):
        response.set_cookie(
            cookie_name(base, secure),
            value,
            max_age=int(SESSION_S),
            path="/",
            httponly=hidden,
            secure=secure,
            samesite="strict",
        )


def take_cookies(response: Response, secure: bool) -> None:
    for base in (SESSION_COOKIE, CSRF_COOKIE):
        response.delete_cookie(cookie_name(base, secure), path="/", secure=secure)


def session_token(request: Request) -> str:
    secure = request.url.scheme == "https"
    return request.cookies.get(cookie_name(SESSION_COOKIE, secure), "")


async def current_session(request: Request) -> Session:
    """Return the request's session. 401 without one, 403 for a change without its CSRF token."""
    door: Doorkeeper = request.app.state.door
    token = session_token(request)
    session = await door.session(token) if token else None
    if session is None:
        raise HTTPException(401, "sign in first: POST /api/login")
    told = request.headers.get(CSRF_HEADER, "").encode()
    if request.method not in SAFE_METHODS and not compare_digest(told, session.csrf.encode()):
        raise HTTPException(403, "send the csrf cookie's value as X-CSRF-Token")
    return session


async def current_principal(request: Request) -> Principal:
    """Return who is asking; FastAPI dependency."""
    door: Doorkeeper = request.app.state.door
    return door.principal(await current_session(request))
