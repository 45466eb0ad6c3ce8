"""A responder's phone over the HTTP API: logs in when it must, sends its token, takes no for no."""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import structlog

from domain.codec import from_plain
from domain.hazard import HazardKind
from domain.place import Position
from domain.responder import Dispatch
from simulators.responder import Task

log = structlog.get_logger(__name__)

TIMEOUT_S = 10.0
SESSION_COOKIE_GONE = 401
CSRF_COOKIE = "gridwing_csrf"
LOGINS_AT_ONCE = 1
"""Passwords are hashed slowly by design: one login at a time leaves the server its breath."""


class HttpPhone:
    """One account's session. `client` has the server's base URL and no cookies of its own."""

    def __init__(
        self, client: httpx.AsyncClient, account: str, password: str, logins: asyncio.Semaphore
    ) -> None:
        self._client, self._account, self._password = client, account, password
        self._logins = logins
        self._cookies: dict[str, str] = {}

    async def tasks(self) -> list[Task]:
        answer = await self._call("GET", "/api/tasks")
        if answer is None:
            return []
        return [_task(row) for row in answer.json()["items"]]

    async def accept(self, dispatch_id: str) -> bool:
        return await self._act(dispatch_id, "accept", {})

    async def refuse(self, dispatch_id: str, reason: str) -> bool:
        return await self._act(dispatch_id, "refuse", {"reason": reason})

    async def arrive(self, dispatch_id: str) -> bool:
        return await self._act(dispatch_id, "arrive", {})

    async def hand_back(self, dispatch_id: str, shas: Sequence[str]) -> bool:
        return await self._act(dispatch_id, "hand-back", {"evidence": list(shas)})

    async def photo(self, jpeg: bytes) -> str | None:
        answer = await self._call("POST", "/api/evidence", jpeg=jpeg)
        return None if answer is None else str(answer.json()["sha256"])

    async def duty(self, on: bool) -> bool:
        return await self._call("POST", "/api/duty", {"on_duty": on}) is not None

    async def position(self, at: Position) -> bool:
        body = {"lat_deg": at.lat_deg, "lon_deg": at.lon_deg}
        return await self._call("POST", "/api/position", body) is not None

    async def _act(self, dispatch_id: str, verb: str, body: dict[str, Any]) -> bool:
        path = f"/api/dispatches/{dispatch_id}/{verb}"
        return await self._call("POST", path, body) is not None

    async def _call(
        self, method: str, path: str, body: dict[str, Any] | None = None, jpeg: bytes | None = None
    ) -> httpx.Response | None:
        """Return the answer; None when refused or away. A lost session is opened anew once."""
        try:
            if not self._cookies and not await self._log_in():
                return None
            answer = await self._send(method, path, body, jpeg)
            if answer.status_code == SESSION_COOKIE_GONE and await self._log_in():
                answer = await self._send(method, path, body, jpeg)
        except httpx.HTTPError as error:
            log.info("server away", account=self._account, error=type(error).__name__)
            return None
        if answer.is_success:
            return answer
        log.info("refused", account=self._account, path=path, status=answer.status_code)
        return None

    async def _send(
        self, method: str, path: str, body: dict[str, Any] | None, jpeg: bytes | None
    ) -> httpx.Response:
        headers = {
            "Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items()),
            "X-CSRF-Token": self._cookies.get(CSRF_COOKIE, ""),
        }
        if jpeg is not None:
            headers["Content-Type"] = "image/jpeg"
            return await self._client.request(
                method, path, content=jpeg, headers=headers, timeout=TIMEOUT_S
            )
        return await self._client.request(
            method, path, json=body, headers=headers, timeout=TIMEOUT_S
        )

    async def _log_in(self) -> bool:
        body = {"account": self._account, "password": self._password}
        async with self._logins:
            answer = await self._client.post("/api/login", json=body, timeout=TIMEOUT_S)
        # The client is shared by all phones: its own jar must not mix their sessions.
        self._client.cookies.clear()
        if not answer.is_success:
            log.warning("login refused", account=self._account, status=answer.status_code)
            return False
        self._cookies = dict(answer.cookies.items())
        return True


def _task(row: dict[str, Any]) -> Task:
    dispatch = from_plain(Dispatch, row["dispatch"])
    incident = row["incident"]
    return Task(
        dispatch.dispatch_id,
        dispatch.incident_id,
        dispatch.state,
        HazardKind(incident["kind"]),
        from_plain(Position, incident["position"]),
        dispatch.offered_at,
    )
