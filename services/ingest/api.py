"""Where every device is now, and where it was, for the screens."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request

from domain.codec import to_plain
from runtime.access import Principal, allow
from runtime.database import Pool
from services.ingest.columns import instant, microseconds
from services.ingest.store import Latest
from services.ingest.whereabouts import Mark, TrackPoint, Unanswerable, track

TRACK_LIMIT = timedelta(days=2)
SERIAL_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
NEXT_PATTERN = r"^[0-9]{1,16},-?[0-9]{1,19}$"

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
        after: Annotated[str | None, Query(pattern=NEXT_PATTERN)] = None,
    ) -> dict[str, Any]:
        if not allow(principal, "track.read"):
            raise HTTPException(403, f"{principal.role.value} may not track.read")
        try:
            async with pool.connection() as connection:
                page = await track(
                    connection, device, since, until, after=_mark(after), longest=TRACK_LIMIT
                )
        except Unanswerable as error:
            raise HTTPException(422, str(error)) from error
        return {
            "device_sn": device,
            "points": [_point(p) for p in page.points],
            "next": None if page.after is None else _text(page.after),
        }

    api.add_api_route("/tracks", tracks, methods=["GET"])
    return api


def _point(point: TrackPoint) -> dict[str, Any]:
    told: dict[str, Any] = to_plain(point)
    del told["device_sn"]
    return told


def _text(mark: Mark) -> str:
    """Return `next` of a page, which is asked for as `after`."""
    return f"{microseconds(mark.at)},{mark.key}"


def _mark(text: str | None) -> Mark | None:
    if text is None:
        return None
    at_us, key = map(int, text.split(","))
    return Mark(instant(at_us), "", key)
