"""Where every device is now, and where it was, for the screens."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request

from domain.codec import instant_text, to_plain
from runtime.access import Principal, allow
from runtime.database import Pool
from services.ingest.store import Latest, TrackPoint, read_track

TRACK_LIMIT_POINTS = 10_000
TRACK_LIMIT = timedelta(days=2)
SERIAL_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"

SHOWN = (
    "position",
    "heading_deg",
    "height_agl_m",
    "height_rel_m",
    "battery_pct",
    "phase",
    "speed_m_s",
)


def shown(state: Latest) -> dict[str, Any]:
    """Return a device's newest state as the screens read it; absent fields are null."""
    base = {"device_sn": state.device_sn, "kind": state.kind, "at": state.at.isoformat()}
    return base | {name: state.fields.get(name) for name in SHOWN}


def router(pool: Pool, principal_of: Callable[[Request], Awaitable[Principal]]) -> APIRouter:
    """Return the routes under /api; `principal_of` is the dependency that says who asks."""
    api = APIRouter(prefix="/api")

    async def tracks(
        principal: Annotated[Principal, Depends(principal_of)],
        device: Annotated[str, Query(pattern=SERIAL_PATTERN)],
        since: Annotated[datetime, Query(alias="from")],
        until: Annotated[datetime, Query(alias="to")],
    ) -> dict[str, Any]:
        if not allow(principal, "track.read"):
            raise HTTPException(403, f"{principal.role.value} may not track.read")
        if since.tzinfo is None or until.tzinfo is None:
            raise HTTPException(422, "from and to need a time zone, as in 2026-11-23T08:00:00Z")
        if not timedelta(0) < until - since <= TRACK_LIMIT:
            raise HTTPException(422, f"to must lie after from, at most {TRACK_LIMIT.days} days")
        points = await read_track(pool, device, since, until, TRACK_LIMIT_POINTS + 1)
        cut = len(points) > TRACK_LIMIT_POINTS
        return {
            "device_sn": device,
            "points": [_point(p) for p in points[:TRACK_LIMIT_POINTS]],
            "next": instant_text(points[TRACK_LIMIT_POINTS].at) if cut else None,
        }

    api.add_api_route("/tracks", tracks, methods=["GET"])
    return api


def _point(point: TrackPoint) -> dict[str, Any]:
    told: dict[str, Any] = to_plain(point)
    return told
