"""No-fly areas on their way to the aircraft: our file, the dock's conversation, what it tells."""

import asyncio
import json
from collections.abc import Coroutine
from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.place import Airspace, AirspaceKind, Area
from runtime.bus import MemoryBus
from runtime.clock import VirtualLoop
from runtime.ledger_memory import MemoryLedger
from services.patrol import loop as patrol
from services.patrol.flight_areas import (
    LOCATION_METHOD,
    SYNC_METHOD,
    AreaDistance,
    AreaSync,
    area_file,
    due,
    heard,
    told,
)
from services.patrol.media import MediaFile, media_file
from services.patrol.policy import PatrolPolicy
from services.patrol.store_memory import MemoryPatrolStore
from simulators.flight_areas import KeepOut, locations, read_areas
from tests.core.patrol_scene import EPOCH, FRAME, district, no_fly
from tests.core.test_sim_dock import Flown

POLICY = PatrolPolicy()
AREA = no_fly(0.0, 0.0, 100.0, 50.0)


def at(seconds: float) -> datetime:
    return EPOCH + timedelta(seconds=seconds)


def test_the_file_is_the_vendors_and_equal_areas_give_equal_bytes() -> None:
    other = Airspace("NF0", "水厂", AirspaceKind.NO_FLY, AREA.area, 0.0, 120.0)
    file = area_file([AREA, other])
    assert file == area_file([other, AREA])
    assert file.name == f"geofence_{file.checksum[:16]}.json"
    told = json.loads(file.body)
    assert told["type"] == "FeatureCollection"
    assert [f["id"] for f in told["features"]] == ["NF0", "NF1"]
    assert {f["geofence_type"] for f in told["features"]} == {"nfz"}
    assert told["features"][0]["properties"]["enable"] is True
    assert len(told["features"][0]["geometry"]["coordinates"][0]) == 5
    two = Airspace(
        "NF2", "", AirspaceKind.NO_FLY, Area(AREA.area.polygons * 2), 0.0, 120.0
    )
    assert [f["id"] for f in json.loads(area_file([two]).body)["features"]] == ["NF2-0", "NF2-1"]
    assert read_areas(area_file([]).body) == ()


def test_a_dock_is_told_until_it_has_the_file_with_growing_waits() -> None:
    file, sync = area_file([AREA]), AreaSync("DOCK1")
    assert due(sync, file, at(0), POLICY)
    sync = told(sync, file, at(0))
    assert not due(sync, file, at(59), POLICY)
    assert due(sync, file, at(61), POLICY)
    sync = told(sync, file, at(61))
    assert not due(sync, file, at(61 + 119), POLICY)
    done = {"status": "synchronized", "reason": 0, "file": {"checksum": file.checksum}}
    sync = heard(sync, SYNC_METHOD, done, at(200))
    assert not due(sync, file, at(10_000), POLICY)
    assert due(sync, area_file([]), at(10_000), POLICY), "another file"
    failed = heard(sync, SYNC_METHOD, done | {"status": "fail", "reason": "12"}, at(300))
    assert (failed.status, failed.reason) == ("fail", 12)
    assert due(failed, file, at(10_000), POLICY)


def test_word_of_another_file_and_nonsense_change_nothing() -> None:
    sync = told(AreaSync("DOCK1"), area_file([AREA]), at(0))
    old = {"status": "synchronized", "file": {"checksum": "0" * 64}}
    odd: list[dict[str, Any]] = [old, {}, {"status": 7}, {"status": None, "file": []}]
    for data in odd:
        assert heard(sync, SYNC_METHOD, data, at(1)) == sync


def test_where_the_aircraft_is_told_to_be() -> None:
    rows = [
        {"area_id": "NF1", "area_distance": 12.5, "is_in_area": True},
        {"area_id": "NF2", "area_distance": "far"},
        7,
    ]
    sync = heard(AreaSync("DOCK1"), LOCATION_METHOD, {"drone_locations": rows}, at(5))
    assert sync.near == (AreaDistance("NF1", 12.5, True),)
    assert sync.located_at == at(5)


def test_a_media_file_is_read_and_what_is_none_is_not() -> None:
    data = {
        "file": {"object_key": "f/a.mp4", "name": "a.mp4", "ext": {"flight_id": "m1"}},
        "flight_task": {"uploaded_file_count": 1, "expected_file_count": 2},
    }
    assert media_file(data, EPOCH) == MediaFile("m1", "f/a.mp4", "a.mp4", 1, 2, EPOCH)
    odd: list[dict[str, Any]] = [{}, {"file": 7}, {"file": {"object_key": "x"}}]
    assert [media_file(o, EPOCH) for o in odd] == [None] * 3


@pytest.mark.parametrize(
    "odd", [None, True, 10**400, 1e308, float("nan"), "", "x" * 2000, "\x00", "\ud800", [], {}]
)
def test_what_a_dock_says_wrongly_is_never_stored(odd: Any) -> None:
    sync = AreaSync("DOCK1")
    for data in (
        {"status": odd}, {"status": "fail", "reason": odd}, {"status": "fail", "file": odd},
    ):  # fmt: skip
        kept = heard(sync, SYNC_METHOD, data, at(1))
        assert kept.status in ("untold", "fail")
        assert kept.reason in (0, 1)
    for row in (odd, {"area_id": odd, "area_distance": 1}, {"area_id": "A", "area_distance": odd}):
        assert heard(sync, LOCATION_METHOD, {"drone_locations": [row]}, at(1)).near == ()
    file = {"object_key": "k", "name": odd, "ext": {"flight_id": "m1"}}
    counts = {"uploaded_file_count": odd, "expected_file_count": odd}
    told = media_file({"file": file, "flight_task": counts}, EPOCH)
    assert told == MediaFile("m1", "k", "", 0, 0, EPOCH)
    assert media_file({"file": file | {"object_key": odd}}, EPOCH) is None
    assert media_file({"file": file | {"ext": {"flight_id": odd}}}, EPOCH) is None


@pytest.mark.parametrize("body", [b"", b"{}", b'{"features":[{}]}', b"[]", b'{"features":3}'])
def test_a_dock_refuses_what_is_no_file_of_areas(body: bytes) -> None:
    with pytest.raises(ValueError):
        read_areas(body)


def test_the_dock_tells_how_far_its_aircraft_is() -> None:
    areas = read_areas(area_file([AREA]).body)
    assert [a.area_id for a in areas] == ["NF1"]
    (inside,) = locations(areas, FRAME, 50.0, 25.0)
    assert inside == {"area_id": "NF1", "area_distance": 25.0, "is_in_area": True}
    (outside,) = locations(areas, FRAME, 200.0, 25.0)
    assert outside["area_distance"] == pytest.approx(100.0, abs=0.01)
    assert locations(areas, FRAME, 5000.0, 0.0) == []


def test_in_flight_near_an_area_the_dock_says_so_and_tells_of_its_recording() -> None:
    flown = Flown()
    flown.machine.keep_areas("c", (KeepOut("A1", read_areas(area_file([AREA]).body)[0].outline),))
    flown.prepare()
    flown.call("flighttask_execute", flight_id="F1")
    flown.run(300)
    methods = [o.method for o in flown.said if o.kind == "event"]
    assert methods.count("flight_areas_drone_location") > 5
    assert methods.count("file_upload_callback") == 1
    assert flown.call("flight_areas_update") == 0
    flown.run(2)
    asked = [o.method for o in flown.said if o.kind == "ask"]
    assert asked[-1] == "flight_areas_get"


def test_patrol_tells_its_docks_and_answers_what_they_ask() -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        clock, bus, store = loop.clock(EPOCH), MemoryBus(), MemoryPatrolStore()
        scene = district(airspaces=(AREA,))
        ledger = MemoryLedger()
        running = asyncio.ensure_future(
            patrol.run(
                ledger, bus, store, scene, clock, POLICY, str, area_url=lambda n: f"http://t/{n}"
            )
        )
        heard_by_dock: list[dict[str, Any]] = []

        async def dock() -> None:
            said = {"mode_code": 0, "drone_in_dock": 1, "drone_charge_state": {"state": 0}}
            filters = ["thing/product/DOCK1/services", "thing/product/DOCK1/requests_reply"]
            async with bus.subscribe(filters) as messages:
                talking = asyncio.ensure_future(talk(said))
                async for message in messages:
                    body = json.loads(message.payload)
                    heard_by_dock.append(body)
                    if body["method"] == "flight_areas_update":
                        reply = {"tid": body["tid"], "data": {"result": 0}}
                        await bus.publish(
                            "thing/product/DOCK1/services_reply", json.dumps(reply).encode()
                        )
                        ask = {"tid": "a1", "method": "flight_areas_get", "data": None}
                        await bus.publish(
                            "thing/product/DOCK1/requests", json.dumps(ask).encode()
                        )
                    elif body["method"] == "flight_areas_get":
                        (file,) = body["data"]["output"]["files"]
                        done = {"status": "synchronized", "reason": 0, "file": file}
                        event = {"tid": "e1", "method": SYNC_METHOD, "data": done}
                        await bus.publish(
                            "thing/product/DOCK1/events", json.dumps(event).encode()
                        )
                talking.cancel()

        async def talk(said: dict[str, Any]) -> None:
            while True:
                await bus.publish("thing/product/DOCK1/osd", json.dumps({"data": said}).encode())
                await clock.sleep(2.0)

        standing = asyncio.ensure_future(dock())
        await clock.sleep(60.0)
        methods = [b["method"] for b in heard_by_dock]
        assert methods.count("flight_areas_update") == 1
        (file,) = next(b for b in heard_by_dock if b["method"] == "flight_areas_get")["data"][
            "output"
        ]["files"]
        assert await store.docks.areas(file["name"]) == area_file([AREA]).body
        assert (file["checksum"], file["size"]) == (
            area_file([AREA]).checksum, len(area_file([AREA]).body),
        )  # fmt: skip
        assert file["url"] == f"http://t/{file['name']}"
        assert (await store.docks.syncs())["DOCK1"].status == "synchronized"
        for task in (running, standing):
            task.cancel()
        await asyncio.gather(running, standing, return_exceptions=True)

    run(story())


def run(story: Coroutine[Any, Any, None]) -> None:
    loop = VirtualLoop()
    try:
        loop.run_until_complete(story)
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
