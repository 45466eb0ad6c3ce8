"""HTTP for missions: reading them, and the wayline files docks fetch."""

import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response

from domain.codec import to_plain
from domain.district import District
from runtime.access import Principal, allow
from runtime.clock import Clock
from services.patrol.dock_codes import words
from services.patrol.flight import Flight
from services.patrol.geojson import LAYERS, collection, layers, path_feature
from services.patrol.store import PatrolStore, wayline_key

KMZ_TYPE = "application/vnd.google-earth.kmz"
GEOJSON_TYPE = "application/geo+json"


def router(
    store: PatrolStore,
    principal_of: Callable[[Request], Awaitable[Principal]],
    clock: Clock,
    district: Callable[[], District],
) -> APIRouter:
    """Return the routes under /api; `principal_of` is the dependency that says who asks."""
    api = APIRouter(prefix="/api")
    asking = Annotated[Principal, Depends(principal_of)]

    async def missions(principal: asking, open_only: bool = False) -> list[dict[str, Any]]:
        _ask(principal, "mission.read")
        flights = await store.open_flights() if open_only else await store.flights()
        return [_listed(flight) for flight in flights]

    async def mission(
        mission_id: str,
        principal: asking,
    ) -> dict[str, Any]:
        _ask(principal, "mission.read")
        shown = _shown(await _known(store, mission_id))
        return shown | {"media": to_plain(await store.docks.media(mission_id))}

    async def wayline(mission_id: str, key: str = "") -> Response:
        expected = wayline_key(await store.secret(), mission_id)
        data = await store.kmz(mission_id)
        # One answer for a wrong key and an unknown mission: nothing is learnt from guessing.
        if not hmac.compare_digest(key.encode(), expected.encode()) or data is None:
            raise HTTPException(404, "no such wayline")
        return Response(data, media_type=KMZ_TYPE, headers={"Cache-Control": "no-store"})

    async def area_syncs(principal: asking) -> list[dict[str, Any]]:
        _ask(principal, "mission.read")
        return [
            to_plain(sync)
            | {
                "status": to_plain(words("area_status", sync.status)),
                "reason": to_plain(words("area_reason", sync.reason)),
            }
            for sync in (await store.docks.syncs()).values()
        ]

    async def areas(name: str, key: str = "") -> Response:
        expected = wayline_key(await store.secret(), name)
        data = await store.docks.areas(name)
        if not hmac.compare_digest(key.encode(), expected.encode()) or data is None:
            raise HTTPException(404, "no such file of flight areas")
        return Response(data, media_type=GEOJSON_TYPE, headers={"Cache-Control": "no-store"})

    async def geojson(
        principal: asking, layer: Annotated[list[str] | None, Query()] = None
    ) -> Response:
        _ask(principal, "mission.read")
        _ask(principal, "district.read")
        wanted = layer or list(LAYERS)
        for name in wanted:
            if name not in LAYERS:
                raise HTTPException(422, f"layer must be one of {', '.join(LAYERS)}, got {name!r}")
        told = collection(layers(district(), await store.flights(), wanted))
        return Response(json.dumps(told, ensure_ascii=False), media_type=GEOJSON_TYPE)

    api.add_api_route("/flight-areas", area_syncs, methods=["GET"])
    api.add_api_route("/flight-areas/{name}", areas, methods=["GET"])
    api.add_api_route("/geojson", geojson, methods=["GET"])
    _add_plan(api, store, principal_of)
    api.add_api_route("/missions", missions, methods=["GET"])
    api.add_api_route("/missions/{mission_id}", mission, methods=["GET"])
    api.add_api_route("/waylines/{mission_id}.kmz", wayline, methods=["GET"])
    return api


def _add_plan(
    api: APIRouter, store: PatrolStore, principal_of: Callable[[Request], Awaitable[Principal]]
) -> None:
    async def plan(principal: Annotated[Principal, Depends(principal_of)]) -> dict[str, Any]:
        _ask(principal, "mission.read")
        found = await store.plan()
        if found is None:
            raise HTTPException(404, "no plan has been released yet: see why docks stay")
        return found

    api.add_api_route("/patrol/plan", plan, methods=["GET"])


def _ask(principal: Principal, action: str) -> None:
    if not allow(principal, action):
        raise HTTPException(403, f"{principal.role.value} may not {action}")


async def _known(store: PatrolStore, mission_id: str) -> Flight:
    flight = await store.flight(mission_id)
    if flight is None:
        raise HTTPException(404, f"no mission {mission_id}")
    return flight


def _listed(flight: Flight) -> dict[str, Any]:
    """A look is told with its target; one whose way bends with the line it flies as well."""
    mission = flight.mission
    bent = mission.target is not None and (len(mission.flown_to) > 1 or mission.by_wayline)
    return {
        "mission_id": mission.mission_id,
        "purpose": mission.purpose.value,
        "dock_sn": mission.dock_sn,
        "drone_sn": mission.drone_sn,
        "planned_at": to_plain(mission.planned_at),
        "cell_codes": list(mission.cell_codes),
        "incident_id": mission.incident_id,
        "hazard_id": mission.hazard_id,
        "target": to_plain(mission.target),
        "path": path_feature(mission)["geometry"] if bent else None,
        "reason": mission.reason,
        "passed_over": to_plain(mission.passed_over),
        "theme": to_plain(mission.theme),
        "length_m": mission.wayline.length_m,
        "flight_time_s": mission.wayline.flight_time_s,
        "state": flight.state.value,
        "outcome": to_plain(flight.outcome),
        "status": flight.status,
        "percent": flight.percent,
        "carrier_id": flight.carrier_id,
        "called_home": flight.called_home() is not None,
        "homeward": flight.homeward(),
        "given_up": _given_up(flight),
    }


def _shown(flight: Flight) -> dict[str, Any]:
    return {
        "mission": to_plain(flight.mission),
        "state": flight.state.value,
        "outcome": to_plain(flight.outcome),
        "reason": flight.reason,
        "steps": to_plain(flight.steps),
        "ordered": to_plain(flight.ordered),
        "homeward": flight.homeward(),
        "given_up": _given_up(flight),
        "dock": _told_by_dock(flight),
        "carrier_id": flight.carrier_id,
        "diverted_for": flight.diverted_for,
        "concluded": to_plain(flight.concluded),
        "wayline": path_feature(flight.mission),
    }


def _given_up(flight: Flight) -> dict[str, Any] | None:
    """Why the aircraft gave up its return home, since when, and what a person can do."""
    lost = flight.given_up
    if lost is None:
        return None
    return {
        "reason": to_plain(words("return_given_up", lost.reason)),
        "at": to_plain(lost.at),
        "advice": to_plain(words("advice", "return_given_up")),
    }


def _told_by_dock(flight: Flight) -> dict[str, Any]:
    """What the dock said last, its codes with their words in Chinese and English."""
    return {
        "status": to_plain(words("status", flight.status)),
        "step": to_plain(words("step", flight.current_step)),
        "break_reason": to_plain(words("break_reason", flight.break_reason)),
        "break_point": to_plain(flight.break_point),
        "result": to_plain(words("result", flight.result)),
        "answers": [
            {"step": s.step, "result": to_plain(words("result", s.result))}
            for s in flight.steps
            if s.answered_at is not None
        ],
    }
