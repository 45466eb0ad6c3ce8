"""A photograph's own pose: made ones, and real ones where they are at hand."""

from io import BytesIO
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image

from geo.frames import LocalFrame
from geo.locate import GroundPoint, NoGround, ground_point
from services.ingest.photo_pose import NoPose, PhotoPose, read_photo_pose

REAL = Path(__file__).parents[3] / "shared" / "data" / "real"
BEACH = REAL / "drone_brighton_beach"
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description {rest} '
    'drone-dji:RelativeAltitude="+88.5" drone-dji:GimbalYawDegree="-30.0" '
    'drone-dji:GimbalPitchDegree="-60.0" drone-dji:GimbalRollDegree="+0.00"/></x:xmpmeta>'
)


def photo(rest: str = "", film_mm: int | None = 24, xmp: str = XMP, gps: bool = True) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Model] = "M4TD"
    exif[ExifTags.Base.Software] = "10.01.02.03"
    shot = exif.get_ifd(ExifTags.IFD.Exif)
    shot[ExifTags.Base.DateTimeOriginal] = "2026:11:20 09:30:00"
    if film_mm is not None:
        shot[ExifTags.Base.FocalLengthIn35mmFilm] = film_mm
    if gps:
        place = exif.get_ifd(ExifTags.IFD.GPSInfo)
        place[ExifTags.GPS.GPSLatitudeRef] = "N"
        place[ExifTags.GPS.GPSLatitude] = (22.0, 32.0, 24.0)
        place[ExifTags.GPS.GPSLongitudeRef] = "E"
        place[ExifTags.GPS.GPSLongitude] = (113.0, 21.0, 0.0)
    out = BytesIO()
    picture = Image.new("RGB", (400, 300), (90, 120, 80))
    picture.save(out, "JPEG", exif=exif, xmp=xmp.format(rest=rest).encode())
    return out.getvalue()


def test_a_pose_is_read() -> None:
    found = read_photo_pose(photo())
    pose = found.pose
    assert (pose.position.lat_deg, pose.position.lon_deg) == pytest.approx((22.54, 113.35))
    assert (pose.height_agl_m, pose.yaw_deg, pose.pitch_deg) == (88.5, 330.0, -60.0)
    assert pose.hfov_deg == pytest.approx(71.6, abs=0.1)
    assert pose.accuracy is not None
    assert pose.accuracy.horizontal_m == 1.5
    assert found.edited_by == ""


def test_rtk_and_a_calibrated_lens_are_believed() -> None:
    dewarp = "2024-01-02;310.0,309.8,4.0,-2.0,-0.11,0.03,0.0004,-0.0002,-0.01"
    pose = read_photo_pose(
        photo(f'drone-dji:RtkFlag="50" drone-dji:DewarpData="{dewarp}"', film_mm=None)
    ).pose
    assert pose.accuracy is not None
    assert pose.accuracy.horizontal_m < 0.1
    assert pose.lens is not None
    assert (pose.lens.focal_px, pose.lens.centre_u_px, pose.lens.k1) == (310.0, 204.0, -0.11)


@pytest.mark.parametrize(
    ("jpeg", "says"),
    [
        (b"\xff\xd8 no", "not a picture"),
        (photo(xmp="<x>{rest}</x>"), "RelativeAltitude"),
        (photo(gps=False), "GPSLatitude"),
        (photo(film_mm=None), "how wide the lens"),
        (photo(xmp=XMP.replace("-60.0", "nan")), "GimbalPitchDegree is 'nan'"),
        (photo(xmp=XMP.replace("+88.5", "high")), "'high', which is no number"),
        (photo()[:300], "picture|GPSLatitude"),
    ],
)
def test_what_is_missing_is_named(jpeg: bytes, says: str) -> None:
    with pytest.raises(NoPose, match=says):
        read_photo_pose(jpeg)


def _same_places(a: tuple[PhotoPose, Path], b: tuple[PhotoPose, Path]) -> list[tuple[float, float]]:
    """Return (distance, what the two ellipses allow) of features found in both photographs."""
    orb = cv2.ORB.create(4000)
    pictures = [np.asarray(cv2.imread(str(p), cv2.IMREAD_REDUCED_GRAYSCALE_2)) for _, p in (a, b)]
    (ka, da), (kb, db) = (orb.detectAndCompute(p, None) for p in pictures)
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(da, db, k=2)
    good = [m for m, n in pairs if m.distance < 0.7 * n.distance]
    at_a = np.array([ka[m.queryIdx].pt for m in good], np.float32) * 2
    at_b = np.array([kb[m.trainIdx].pt for m in good], np.float32) * 2
    kept = cv2.findHomography(at_a, at_b, cv2.RANSAC, 6.0)[1].ravel() > 0
    found = []
    for pa, pb in list(zip(at_a[kept], at_b[kept], strict=True))[:120]:
        places = [
            ground_point(p.pose, float(at[0]), float(at[1]), p.width_px, p.height_px)
            for p, at in ((a[0], pa), (b[0], pb))
        ]
        one, two = places
        assert isinstance(one, GroundPoint)
        assert isinstance(two, GroundPoint)
        x_m, y_m = LocalFrame(one.position).to_local(two.position.lat_deg, two.position.lon_deg)
        allowed_m = float(np.hypot(one.ellipse.semi_major_m, two.ellipse.semi_major_m))
        found.append((float(np.hypot(x_m, y_m)), allowed_m))
    return found


@pytest.mark.skipif(not BEACH.is_dir(), reason="the beach photographs are not at hand")
def test_overlapping_photographs_agree_within_their_ellipses() -> None:
    paths = sorted(BEACH.glob("*.JPG"))[1:4]
    untold = read_photo_pose(paths[0].read_bytes())
    assert "Photo Viewer" in untold.edited_by
    assert untold.pose.accuracy is not None
    assert untold.pose.accuracy.yaw_deg == 180.0
    # Somebody has turned these pictures upside down in a viewer; told so, they agree.
    photos = [(read_photo_pose(p.read_bytes(), turned_deg=180.0), p) for p in paths]
    for a, b in pairwise(photos):
        apart = _same_places(a, b)
        assert len(apart) > 50
        assert np.median([d for d, _ in apart]) < 3.0
        assert np.mean([d <= allowed for d, allowed in apart]) > 0.95


@pytest.mark.skipif(not REAL.is_dir(), reason="the thermal photographs are not at hand")
def test_a_photograph_above_the_horizon_has_no_ground() -> None:
    found = read_photo_pose((REAL / "dji_thermal" / "DJI_XTS.jpg").read_bytes())
    assert found.pose.pitch_deg == pytest.approx(19.9)
    for v_px in (0.0, 256.0, 511.0):
        assert ground_point(found.pose, 320.0, v_px, 640, 512) == NoGround("above_horizon")
