"""The checker of wayline files: real files pass and are rewritten whole, each fault is found."""

import io
import re
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.mission import Mission, MissionPurpose, Wayline, Waypoint
from domain.place import Position
from geo.routes import FlightModel
from services.patrol.aircraft.wpml import AIRFRAMES, kmz
from services.patrol.aircraft.wpml_check import check
from services.patrol.aircraft.wpml_read import (
    KMZ_LIMIT_BYTES,
    TEMPLATE,
    WAYLINES,
    BadKmz,
    open_kmz,
    packed,
    parse,
    routes,
    same,
    text_of,
    zipped,
)
from tests.core.patrol_scene import EPOCH, FRAME

MODEL = FlightModel(12.0, 2.5, 2.0)
REAL = Path(__file__).resolve().parents[3] / "shared/data/wpml"
REAL_FILES = sorted(REAL.glob("*.kmz"))
no_real_files = pytest.mark.skipif(not REAL_FILES, reason=f"no real wayline files in {REAL}")


def mission(*points: Waypoint) -> Mission:
    line = Wayline(points, 100.0, 60.0)
    return Mission("m1", MissionPurpose.PATROL, "DOCK1", "DRONE1", EPOCH, (), line)


def made() -> bytes:
    ends = [(0.0, 0.0), (120.0, 0.0), (120.0, 80.0), (0.0, 80.0)]
    points = [Waypoint(FRAME.to_position(x, y), 90.0, 12.0) for x, y in ends]
    return kmz(mission(*points), AIRFRAMES["M3TD"], MODEL)


def changed(member: str, old: str, new: str) -> bytes:
    """Return our own file with one thing in it changed."""
    with zipfile.ZipFile(io.BytesIO(made())) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    text = members[member].decode()
    assert re.search(old, text), f"{old} is not in {member}"
    members[member] = re.sub(old, new, text, count=1).encode()
    return zipped(members)


def test_our_own_file_is_clean() -> None:
    assert check(made()) == []


@no_real_files
@pytest.mark.parametrize("path", REAL_FILES, ids=lambda path: path.stem)
def test_a_real_file_is_clean_and_rewritten_without_loss(path: Path) -> None:
    raw = path.read_bytes()
    assert check(raw) == []
    file = open_kmz(raw)
    again = open_kmz(packed(file))
    assert same(file.template, again.template)
    assert same(file.waylines, again.waylines)
    assert file.others == again.others
    for name, tree in ((TEMPLATE, again.template), (WAYLINES, again.waylines)):
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            theirs = ET.fromstring(archive.read(name))  # noqa: S314 - a file we chose
        told = [(e.tag, e.attrib, (e.text or "").strip()) for e in theirs.iter()]
        assert told == [(e.tag, e.attrib, (e.text or "").strip()) for e in tree.iter()]
    assert routes(file) == routes(again)
    assert packed(again) == packed(file)


def test_what_is_not_known_is_kept() -> None:
    raw = (
        '<kml xmlns="http://www.opengis.net/kml/2.2" xmlns:wpml="http://www.dji.com/wpmz/1.0.9"'
        ' xmlns:x="urn:x"><Document id="a&quot;b"><wpml:new x:unit="m" plain="1">a &lt; b&#13;'
        "</wpml:new>tail<x:other><bare xmlns=''><wpml:deep/></bare></x:other></Document></kml>"
    )
    tree = parse(raw.encode(), "a.kml")
    again = parse(text_of(tree).encode(), "a.kml")
    assert same(tree, again)
    assert [e.tag for e in again.iter()][3:] == [
        "{urn:x}other", "bare", "{http://www.dji.com/wpmz/1.0.9}deep",
    ]  # fmt: skip
    assert again[0][0].attrib == {"{urn:x}unit": "m", "plain": "1"}
    assert again[0][0].text == "a < b\r"


FAULTS = [
    (WAYLINES, "<wpml:finishAction>goHome", "<wpml:finishAction>goAway", "finishAction"),
    (WAYLINES, "<wpml:finishAction>goHome</wpml:finishAction>", "", "finishAction"),
    (TEMPLATE, "Height>30<", "Height>4<", "takeOffSecurityHeight"),
    (WAYLINES, "Height>30<", "Height>nan<", "takeOffSecurityHeight"),
    (WAYLINES, "TransitionalSpeed>12", "TransitionalSpeed>0", "globalTransitionalSpeed"),
    (WAYLINES, "TransitionalSpeed>12", "TransitionalSpeed>15.1", "globalTransitionalSpeed"),
    (WAYLINES, "<wpml:executeRCLostAction>goBack</wpml:executeRCLostAction>", "", "executeRCLost"),
    (WAYLINES, "<wpml:globalRTHHeight>90</wpml:globalRTHHeight>", "", "globalRTHHeight"),
    (WAYLINES, "droneEnumValue>91", "droneEnumValue>77", "droneEnumValue"),
    (WAYLINES, "droneEnumValue>91", "droneEnumValue>9.1", "droneEnumValue"),
    (WAYLINES, "<wpml:payloadInfo>.*?</wpml:payloadInfo>", "", "payloadInfo"),
    (WAYLINES, "PositionIndex>0", "PositionIndex>3", "payloadPositionIndex"),
    (WAYLINES, "templateId>0", "templateId>7", "templateId"),
    (WAYLINES, "relativeToStartPoint", "EGM96", "executeHeightMode"),
    (WAYLINES, "<wpml:waylineId>0", "<wpml:waylineId>-1", "waylineId"),
    (WAYLINES, "<wpml:index>2", "<wpml:index>3", "index"),
    (WAYLINES, "<wpml:executeHeight>90</wpml:executeHeight>", "", "executeHeight"),
    (WAYLINES, "waypointSpeed>12", "waypointSpeed>fast", "waypointSpeed"),
    (WAYLINES, "HeadingMode>followWayline", "HeadingMode>upwards", "waypointHeadingMode"),
    (WAYLINES, "<wpml:waypointHeadingParam>.*?</wpml:waypointHeadingParam>", "", "HeadingParam"),
    (WAYLINES, "<wpml:waypointTurnParam>.*?</wpml:waypointTurnParam>", "", "waypointTurnParam"),
    (WAYLINES, "toPointAndStopWithDiscontinuityCurvature", "coordinateTurn", "waypointTurnMode"),
    (WAYLINES, r"coordinateTurn(.{40,60})DampingDist>[\d.]+", r"coordinateTurn\1DampingDist>0",
     "waypointTurnDampingDist"),
    (WAYLINES, r"coordinateTurn(.{40,60})DampingDist>[\d.]+", r"coordinateTurn\1DampingDist>90",
     "waypointTurnDampingDist"),
    (WAYLINES, "<coordinates>113[^,]*,22", "<coordinates>22,113", "Point/coordinates"),
    (WAYLINES, "<coordinates>[^<]*<", "<coordinates>0,0<", "Point/coordinates"),
    (WAYLINES, "<coordinates>113[^,]*,", "<coordinates>114.9,", "Point/coordinates"),
    (WAYLINES, "<coordinates>[^<]*<", "<coordinates>here<", "Point/coordinates"),
    (WAYLINES, "actionGroupId>3", "actionGroupId>0", "actionGroupId"),
    (WAYLINES, "GroupEndIndex>0", "GroupEndIndex>9", "actionGroupStartIndex"),
    (WAYLINES, "actionGroupMode>sequence", "actionGroupMode>parallel", "actionGroupMode"),
    (WAYLINES, "TriggerType>reachPoint", "TriggerType>multipleTiming", "actionTriggerParam"),
    (WAYLINES, "<wpml:actionId>1", "<wpml:actionId>0", "actionId"),
    (WAYLINES, "ActuatorFunc>gimbalRotate", "ActuatorFunc>dance", "actionActuatorFunc"),
    (WAYLINES, "PitchRotateAngle>-90", "PitchRotateAngle>-190", "gimbalPitchRotateAngle"),
    (WAYLINES, "<wpml:payloadLensIndex>wide</wpml:payloadLensIndex>", "", "payloadLensIndex"),
    (WAYLINES, "ActuatorFunc>startRecord", "ActuatorFunc>gimbalEvenlyRotate", "actionTriggerType"),
    (WAYLINES, "<Folder>.*</Folder>", "", "Folder"),
    (TEMPLATE, "templateType>waypoint", "templateType>mapping9d", "templateType"),
    (TEMPLATE, "gimbalPitchMode>usePointSetting", "gimbalPitchMode>auto", "gimbalPitchMode"),
    (TEMPLATE, "<wpml:gimbalPitchAngle>-90</wpml:gimbalPitchAngle>", "", "gimbalPitchAngle"),
    (TEMPLATE, "<wpml:height>90</wpml:height>", "", "height"),
    (TEMPLATE, "heightMode>relativeToStartPoint", "heightMode>WGS84", "heightMode"),
    (TEMPLATE, "dji.com/wpmz/1.0.6", "dji.org/1", "xmlns:wpml"),
]  # fmt: skip


@pytest.mark.parametrize(("member", "old", "new", "element"), FAULTS)
def test_a_fault_is_found_and_named(member: str, old: str, new: str, element: str) -> None:
    found = [str(fault) for fault in check(changed(member, f"(?s){old}", new))]
    assert any(element in line and member in line for line in found), found


def test_a_mapping_template_is_held_against_its_own_rules() -> None:
    place = (
        "<wpml:elevationOptimizeEnable>0</wpml:elevationOptimizeEnable>"
        "<wpml:shootType>never</wpml:shootType><wpml:direction>400</wpml:direction>"
        "<wpml:overlap><wpml:orthoCameraOverlapH>180</wpml:orthoCameraOverlapH></wpml:overlap>"
        "<Polygon><outerBoundaryIs><LinearRing><coordinates>113.3,22.5,0 213.3,22.5,0"
        "</coordinates></LinearRing></outerBoundaryIs></Polygon>"
    )
    data = changed(TEMPLATE, "(?s)<Placemark>.*</Placemark>", f"<Placemark>{place}</Placemark>")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members[TEMPLATE] = members[TEMPLATE].replace(b">waypoint<", b">mapping2d<")
    found = {f.element for f in check(zipped(members))}
    assert {
        "shootType", "direction", "margin", "ellipsoidHeight", "height", "orthoCameraOverlapH",
        "Polygon", "Polygon coordinates",
    } <= found  # fmt: skip


def bomb(name: str, size: int) -> bytes:
    return zipped({TEMPLATE: b"<kml/>", name: b" " * size})


BAD_ZIPS = {
    "not a zip": b"PK\x03\x04 and no more",
    "cut": made()[: len(made()) // 2],
    "empty": zipped({}),
    "half": zipped({TEMPLATE: b"<kml/>"}),
    "outside": zipped({"../template.kml": b"x"}),
    "bomb": bomb(WAYLINES, 33 * 1024 * 1024),
    "many": zipped({f"wpmz/res/{i}": b"" for i in range(600)}),
    "no xml": zipped({TEMPLATE: b"<kml>", WAYLINES: b"<kml/>"}),
    "entities": zipped({TEMPLATE: b'<!DOCTYPE k [<!ENTITY a "b">]><kml>&a;</kml>', WAYLINES: b""}),
    "entities in utf-16": zipped(
        {TEMPLATE: '<?xml version="1.0"?><!DOCTYPE k []><kml/>'.encode("utf-16"), WAYLINES: b""}
    ),
    "deep": zipped({TEMPLATE: b"<a>" * 5000 + b"</a>" * 5000, WAYLINES: b""}),
    "large": b"PK" + bytes(KMZ_LIMIT_BYTES),
}


@pytest.mark.parametrize("name", BAD_ZIPS)
def test_what_is_no_wayline_file_is_refused_with_one_fault(name: str) -> None:
    (fault,) = check(BAD_ZIPS[name])
    assert fault.allowed
    with pytest.raises(BadKmz):
        open_kmz(BAD_ZIPS[name])


def test_a_remote_controls_aircraft_may_take_off_lower() -> None:
    members = {}
    with zipfile.ZipFile(io.BytesIO(made())) as archive:
        for name in archive.namelist():
            members[name] = archive.read(name).replace(b"Height>30<", b"Height>4<")
    assert {f.element for f in check(zipped(members))} == {"takeOffSecurityHeight"}
    assert check(zipped(members), dock=False) == []


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=400), cut=st.integers(0, 5000))
def test_bytes_of_any_kind_give_faults_and_no_surprise(data: bytes, cut: int) -> None:
    whole = made()
    spoilt = whole[: cut % len(whole)] + data + whole[cut % len(whole) + len(data) :]
    check(data)
    check(spoilt)


waypoints = st.builds(
    Waypoint,
    position=st.builds(
        Position, st.floats(22.50, 22.56, width=64), st.floats(113.30, 113.40, width=64)
    ),
    height_rel_m=st.floats(2.0, 500.0),
    speed_m_s=st.floats(0.5, 15.0),
    gimbal_pitch_deg=st.floats(-90.0, 30.0),
    yaw_deg=st.none() | st.floats(-180.0, 180.0),
    hover_s=st.just(0.0) | st.floats(0.1, 600.0),
)


@settings(max_examples=150, deadline=None)
@given(
    points=st.lists(waypoints, min_size=2, max_size=30),
    near=st.booleans(),
    model=st.sampled_from(sorted(AIRFRAMES)),
)
def test_any_wayline_is_written_clean_and_read_back_equal(
    points: list[Waypoint], near: bool, model: str
) -> None:
    if near:
        # All within a few metres of one another: corners with hardly a leg.
        at = points[0].position
        points = [
            Waypoint(
                Position(
                    at.lat_deg + (p.position.lat_deg - 22.53) * 1e-3,
                    at.lon_deg + (p.position.lon_deg - 113.35) * 1e-3,
                ),
                p.height_rel_m, p.speed_m_s, p.gimbal_pitch_deg, p.yaw_deg, p.hover_s,
            )
            for p in points
        ]  # fmt: skip
    data = kmz(mission(*points), AIRFRAMES[model], MODEL)
    assert check(data) == []
    (route,) = routes(open_kmz(data))
    assert len(route.points) == len(points)
    for read, meant in zip(route.points, points, strict=True):
        assert read.position.lat_deg == pytest.approx(meant.position.lat_deg, abs=1e-10)
        assert read.position.lon_deg == pytest.approx(meant.position.lon_deg, abs=1e-10)
        assert (read.yaw_deg is None) == (meant.yaw_deg is None)
        for name in ("speed_m_s", "gimbal_pitch_deg", "yaw_deg", "hover_s"):
            if getattr(meant, name) is None:
                continue
            assert getattr(read, name) == pytest.approx(getattr(meant, name), rel=1e-10, abs=1e-10)
        assert read.height_m == pytest.approx(meant.height_rel_m, rel=1e-10)
