"""HTTP for reference pictures, which a person accepts, and for when a cell was seen how well."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from domain.codec import to_plain
from domain.sight import AcceptReason
from runtime.access import Principal, allow
from runtime.ledger import VersionConflict
from services.ingest.references import BadReference, References

Serial = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
CellCode = Annotated[str, Path(pattern=r"^[0-9]{15}$")]


class AcceptBody(BaseModel):
    """`picture` is one the reference lists, its own or a newer one; `reason` says why it is right:
    nothing wrong on it (first), permitted, works, removed, season, or mistaken."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"picture": 16 * "0a1b", "reason": "permitted"}},
    )
    picture: str = Field(pattern=r"^[0-9a-f]{64}$")
    reason: AcceptReason


def reference_router(
    references: References, principal_of: Callable[[Request], Awaitable[Principal]]
) -> APIRouter:
    """Return the routes under /api; `principal_of` is the dependency that says who asks."""
    api = APIRouter(prefix="/api", tags=["watch"])
    Who = Annotated[Principal, Depends(principal_of)]  # noqa: N806  (a type)

    async def listed(principal: Who, sn: Serial) -> dict[str, Any]:
        _may(principal, "watch.read")
        return {"references": to_plain(await references.of_device(sn))}

    async def accept(
        principal: Who, sn: Serial, reference_id: Serial, body: AcceptBody
    ) -> dict[str, int]:
        _may(principal, "watch.write")
        try:
            version = await references.accept(
                principal, sn, reference_id, body.picture, body.reason
            )
        except BadReference as error:
            raise HTTPException(422, str(error)) from error
        except VersionConflict as error:
            raise HTTPException(409, "watch wrote meanwhile: read it again") from error
        return {"version": version}

    async def seen(principal: Who, code: CellCode) -> dict[str, Any]:
        _may(principal, "watch.read")
        return {"cell_code": code, "seen": to_plain(await references.seen(code))}

    api.add_api_route("/watch/references/{sn}", listed, methods=["GET"])
    api.add_api_route("/watch/references/{sn}/{reference_id}/accept", accept, methods=["POST"])
    api.add_api_route("/cells/{code}/seen", seen, methods=["GET"])
    return api


def _may(principal: Principal, action: str) -> None:
    if not allow(principal, action):
        raise HTTPException(403, f"{principal.role.value} may not {action}")
