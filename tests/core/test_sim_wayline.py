"""What a dock reads from a wayline file, and the files it refuses."""

import io
import zipfile
from pathlib import Path

import pytest

from simulators.wayline import INSIDE, read_kmz

SHARED = Path(__file__).parents[3] / "shared" / "data" / "wpml"
PLACEMARK = """<Placemark><Point><coordinates>{lon},{lat}</coordinates></Point>
<wpml:index>{i}</wpml:index><wpml:executeHeight>80</wpml:executeHeight>{more}</Placemark>"""
PITCH = """<wpml:actionGroup><wpml:action><wpml:actionActuatorFunc>gimbalRotate
</wpml:actionActuatorFunc><wpml:actionActuatorFuncParam><wpml:gimbalPitchRotateAngle>-60
</wpml:gimbalPitchRotateAngle></wpml:actionActuatorFuncParam></wpml:action></wpml:actionGroup>"""
HOVER = """<wpml:actionGroup><wpml:action><wpml:actionActuatorFunc>hover</wpml:actionActuatorFunc>
<wpml:actionActuatorFuncParam><wpml:hoverTime>7</wpml:hoverTime></wpml:actionActuatorFuncParam>
</wpml:action></wpml:actionGroup>"""


def kmz(placemarks: str, name: str = INSIDE) -> bytes:
    text = f"""<kml xmlns="http://www.opengis.net/kml/2.2"
      xmlns:wpml="http://www.dji.com/wpmz/1.0.2"><Document><wpml:missionConfig>
      <wpml:takeOffSecurityHeight>35</wpml:takeOffSecurityHeight>
      <wpml:globalTransitionalSpeed>12</wpml:globalTransitionalSpeed>
      <wpml:globalRTHHeight>90</wpml:globalRTHHeight></wpml:missionConfig><Folder>
      <wpml:executeHeightMode>relativeToStartPoint</wpml:executeHeightMode>
      <wpml:autoFlightSpeed>9</wpml:autoFlightSpeed>{placemarks}</Folder></Document></kml>"""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, text)
    return out.getvalue()


def test_points_speeds_heights_and_actions_are_read() -> None:
    marks = [
        PLACEMARK.format(lon=113.35, lat=22.54, i=0, more=PITCH),
        PLACEMARK.format(lon=113.36, lat=22.54, i=1, more=HOVER),
    ]
    wayline = read_kmz(kmz("".join(marks)))
    assert (wayline.takeoff_height_m, wayline.transit_m_s, wayline.rth_height_m) == (35, 12, 90)
    first, second = wayline.points
    assert (first.position.lon_deg, first.height_m, first.speed_m_s) == (113.35, 80.0, 9.0)
    assert (first.pitch_deg, second.pitch_deg) == (-60.0, -60.0)
    assert (first.hover_s, second.hover_s) == (0.0, 7.0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a wayline file"),
        (b"PK\x03\x04 torn", "not a wayline file"),
        (kmz("", name="waylines.wpml"), "not a wayline file"),
        (kmz(""), "no waypoints"),
        (kmz("<Placemark/>"), "coordinates"),
        (kmz("<open>"), "not XML"),
        (kmz(PLACEMARK.format(lon=113, lat=95, i=0, more="")), "lat_deg"),
        (kmz("<!DOCTYPE x>"), "entities"),
    ],
)
def test_bad_files_are_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_kmz(data)


def test_a_file_from_the_field_is_read() -> None:
    path = SHARED / "waypoint.kmz"
    if not path.exists():
        pytest.skip("no wayline files from the field here: ../shared/data/wpml is absent")
    wayline = read_kmz(path.read_bytes())
    assert len(wayline.points) >= 2
    assert all(1 <= p.speed_m_s <= 15 for p in wayline.points)
