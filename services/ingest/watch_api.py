"""HTTP for what people tell watch: rules, and the control points of fixed cameras."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, HTTPException, Path, Request
from pydantic import BaseModel, ConfigDict, Field, with_config

from domain.codec import to_plain
from domain.place import Position
from domain.sight import ControlPoint, VoteRule
from geo.homography import POINTS_LIMIT, GroundPlane
from runtime.access import Principal, allow
from runtime.ledger import VersionConflict
from services.ingest.watch_settings import BadSetting, WatchSettings

Code = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
T = TypeVar("T")
Serial = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True)
class VoteBody(VoteRule):
    """A vote as it is told: no other field is taken."""


class RuleBody(BaseModel):
    """A rule; services/ingest/rules/watch.toml says what each field means."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "kind": "crowd", "labels": ["person"], "on": ["plaza"], "together": 20,
                "radius_m": 20.0, "hours": [18, 22], "camera": {"hits": 3, "dwell_s": 60.0},
            }
        },
    )  # fmt: skip
    kind: str
    labels: list[str] = Field(max_length=20)
    on: list[str] = Field([], max_length=20)
    needs: bool = True
    margin_m: float = 0.0
    surely: bool = False
    lies: bool = False
    together: int = 1
    radius_m: float = 15.0
    hours: tuple[int, int] = (0, 24)
    least_score: float | None = None
    least_m2: float = 0.0
    most_m2: float | None = None
    camera: VoteBody | None = None
    drone: VoteBody | None = None
    cameras: list[str] = Field([], max_length=500)
    enabled: bool = True
    sealed_days: int = 0


class PointBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    u_px: float = Field(ge=-100_000, le=100_000)
    v_px: float = Field(ge=-100_000, le=100_000)
    lat_deg: float = Field(ge=-90, le=90)
    lon_deg: float = Field(ge=-180, le=180)
    place_m: float = Field(default=0.3, ge=0.0, le=100.0)

    def point(self) -> ControlPoint:
        place = Position(self.lat_deg, self.lon_deg)
        return ControlPoint(self.u_px, self.v_px, place, self.place_m)


class CalibrationBody(BaseModel):
    """Control points of one camera; an empty list goes back to its registered pose. With `dry`
    they are tried and not kept."""

    model_config = ConfigDict(extra="forbid")
    points: list[PointBody] = Field(max_length=POINTS_LIMIT)
    dry: bool = False


def watch_router(
    settings: WatchSettings, principal_of: Callable[[Request], Awaitable[Principal]]
) -> APIRouter:
    """Return the routes under /api; `principal_of` is the dependency that says who asks."""
    api = APIRouter(prefix="/api", tags=["watch"])
    Who = Annotated[Principal, Depends(principal_of)]  # noqa: N806  (a type)

    async def rules(principal: Who) -> dict[str, Any]:
        _may(principal, "watch.read")
        return {"rules": [to_plain(now) for now in await settings.rules()]}

    async def put_rule(principal: Who, code: Code, body: RuleBody) -> dict[str, int]:
        _may(principal, "watch.write")
        plain = body.model_dump(exclude_none=True)
        return {"version": await _told(settings.put_rule(principal, code, plain))}

    async def drop_rule(principal: Who, code: Code) -> dict[str, int]:
        _may(principal, "watch.write")
        return {"version": await _told(settings.drop_rule(principal, code))}

    async def calibration(principal: Who, sn: Serial) -> dict[str, Any]:
        _may(principal, "watch.read")
        points, told = await _told(settings.calibration(sn))
        fitted = _fitted(_fit(settings, sn, points)) if points else None
        return {"points": to_plain(points), "fit": fitted, "told": to_plain(told)}

    async def calibrate(principal: Who, sn: Serial, body: CalibrationBody) -> dict[str, Any]:
        _may(principal, "watch.write")
        points = [p.point() for p in body.points]
        fitted = _fitted(_fit(settings, sn, points)) if points else None
        kept = 0 if body.dry else await _told(settings.calibrate(principal, sn, points))
        return {"fit": fitted, "version": kept}

    api.add_api_route("/watch/rules", rules, methods=["GET"])
    api.add_api_route("/watch/rules/{code}", put_rule, methods=["PUT"])
    api.add_api_route("/watch/rules/{code}", drop_rule, methods=["DELETE"])
    api.add_api_route("/cameras/{sn}/calibration", calibration, methods=["GET"])
    api.add_api_route("/cameras/{sn}/calibration", calibrate, methods=["PUT"])
    return api


def _may(principal: Principal, action: str) -> None:
    if not allow(principal, action):
        raise HTTPException(403, f"{principal.role.value} may not {action}")


async def _told(answer: Awaitable[T]) -> T:
    try:
        return await answer
    except BadSetting as error:
        raise HTTPException(422, str(error)) from error
    except VersionConflict as error:
        raise HTTPException(409, "somebody else changed it meanwhile: read it again") from error


def _fit(settings: WatchSettings, sn: str, points: Any) -> GroundPlane:
    try:
        return settings.fit(sn, points)
    except BadSetting as error:
        raise HTTPException(422, str(error)) from error


def _fitted(plane: GroundPlane) -> dict[str, Any]:
    """Return how well the points agree, metres; `left_out_m` is what a new pixel may expect."""
    return {
        "pixel_px": round(plane.pixel_px, 2),
        "residuals_m": [round(r, 2) for r in plane.residuals_m],
        "left_out_m": [round(r, 2) for r in plane.left_out_m],
    }


