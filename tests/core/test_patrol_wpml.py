"""The wayline file, checked against DJI's element list, enumerations and ranges."""

import io
import math
import zipfile
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from domain.mission import Mission, MissionPurpose, Wayline, Waypoint
from geo.routes import FlightModel
from services.patrol.aircraft.wpml import AIRFRAMES, airframe, fingerprint, kmz
from services.patrol.fleet.timetable import Timetable
from services.patrol.fold import Fold
from services.patrol.plan import PatrolGround, sortie_of, wayline
from services.patrol.policy import PatrolPolicy
from services.patrol.schedule import Standing, Wanted, plan
from services.patrol.store import wayline_key
from services.patrol.store_memory import MemoryPatrolStore
from tests.core.patrol_scene import EPOCH, FRAME, ORIGIN, district

KML = "{http://www.opengis.net/kml/2.2}"
WPML = "{http://www.dji.com/wpmz/1.0.6}"
MODEL = FlightModel(12.0, 2.5, 2.0)

def patrol() -> Mission:
    scene = district(cells=6)
    ground = PatrolGround(scene, PatrolPolicy())
    standing = Standing(scene.docks[0], scene.drones[0], 95.0)
    found = plan(ground, [standing], Wanted({}, {}, {}), EPOCH)
    assert isinstance(found, Timetable)
    flown = sortie_of(ground, scene.drones[0], found.sorties[0])
    line = wayline(ground, scene.drones[0], flown)
    return Mission("m1", MissionPurpose.PATROL, "DOCK1", "DRONE1", EPOCH, flown.cell_codes, line)


def parsed(data: bytes, name: str) -> ET.Element:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return ET.fromstring(archive.read(name))  # noqa: S314 - our own file


def text(element: ET.Element, name: str) -> str:
    found = element.find(f"{WPML}{name}")
    assert found is not None, f"{name} is missing"
    assert found.text, f"{name} is empty"
    return found.text


@pytest.mark.parametrize("name", ["wpmz/template.kml", "wpmz/waylines.wpml"])
def test_the_mission_config_is_complete(name: str) -> None:
    config = parsed(kmz(patrol(), AIRFRAMES["M3TD"], MODEL), name).find(
        f"{KML}Document/{WPML}missionConfig"
    )
    assert config is not None
    for required in (
        "flyToWaylineMode",
        "finishAction",
        "exitOnRCLost",
        "executeRCLostAction",
        "takeOffSecurityHeight",
        "globalTransitionalSpeed",
        "globalRTHHeight",
    ):
        text(config, required)
    drone, payload = config.find(f"{WPML}droneInfo"), config.find(f"{WPML}payloadInfo")
    assert drone is not None
    assert payload is not None
    assert (text(drone, "droneEnumValue"), text(drone, "droneSubEnumValue")) == ("91", "1")
    assert text(payload, "payloadEnumValue") == "81"
    assert text(payload, "payloadPositionIndex") == "0"


def test_waypoints_are_complete_contiguous_and_turn_within_their_legs() -> None:
    mission = patrol()
    folder = parsed(kmz(mission, AIRFRAMES["M3TD"], MODEL), "wpmz/waylines.wpml").find(
        f"{KML}Document/{KML}Folder"
    )
    assert folder is not None
    for required in ("templateId", "executeHeightMode", "waylineId", "autoFlightSpeed"):
        text(folder, required)
    places = folder.findall(f"{KML}Placemark")
    assert len(places) == len(mission.wayline.waypoints)
    points, reaches = [], []
    for i, place in enumerate(places):
        assert text(place, "index") == str(i)
        for required in ("executeHeight", "waypointSpeed", "useStraightLine"):
            text(place, required)
        coordinates = place.find(f"{KML}Point/{KML}coordinates")
        assert coordinates is not None
        lon, lat = map(float, (coordinates.text or "").split(","))
        points.append(FRAME.to_local(lat, lon))
        turn = place.find(f"{WPML}waypointTurnParam")
        assert turn is not None
        reaches.append(float(text(turn, "waypointTurnDampingDist")))
        mode = text(turn, "waypointTurnMode")
        if i in (0, len(places) - 1):
            assert mode == "toPointAndStopWithDiscontinuityCurvature"
        assert place.find(f"{WPML}waypointHeadingParam") is not None
    for i in range(1, len(points) - 2):
        leg = math.dist(points[i], points[i + 1])
        assert 0.0 < reaches[i] <= leg
        assert reaches[i] + reaches[i + 1] < leg + 0.05


def test_the_camera_looks_down_and_records_from_first_to_last() -> None:
    root = parsed(kmz(patrol(), AIRFRAMES["M3TD"], MODEL), "wpmz/waylines.wpml")
    functions = [e.text for e in root.iter(f"{WPML}actionActuatorFunc")]
    assert functions == ["gimbalRotate", "startRecord", "stopRecord"]
    groups = list(root.iter(f"{WPML}actionGroup"))
    for group in groups:
        start, end = text(group, "actionGroupStartIndex"), text(group, "actionGroupEndIndex")
        assert int(start) <= int(end)
        assert len({a.text for a in group.iter(f"{WPML}actionId")}) == len(
            list(group.iter(f"{WPML}action"))
        )


def test_the_same_mission_gives_the_same_bytes() -> None:
    first, second = (kmz(patrol(), AIRFRAMES["M3TD"], MODEL) for _ in range(2))
    assert first == second
    assert len(fingerprint(first)) == 32


def test_a_single_point_is_no_wayline() -> None:
    alone = replace(patrol(), wayline=Wayline((Waypoint(ORIGIN, 60.0, 10.0),), 0.0, 0.0))
    with pytest.raises(ValueError, match="two waypoints"):
        kmz(alone, AIRFRAMES["M3TD"], MODEL)


def test_models_are_known_by_their_names() -> None:
    assert airframe("M3TD") == airframe("Matrice 3TD") == airframe("dji matrice 3td")
    assert airframe("Unheard Of") is None


def test_what_is_flown_as_a_wayline_carries_a_file_and_a_look_at_one_point_does_not() -> None:
    fold = Fold(MemoryPatrolStore(), district(), PatrolPolicy())
    round_something = replace(patrol(), purpose=MissionPurpose.VERIFY)
    line = round_something.wayline
    straight = replace(round_something, wayline=replace(line, waypoints=line.waypoints[:1]))
    assert fold.wayline_file(patrol()) is not None
    assert fold.wayline_file(round_something) is not None
    assert fold.wayline_file(straight) is None


def test_keys_differ_by_mission_and_secret() -> None:
    keys = {wayline_key(s, m) for s in ("a", "b") for m in ("m1", "m2")}
    assert len(keys) == 4
    assert all(len(k) == 32 for k in keys)
