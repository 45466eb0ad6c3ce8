"""How far placed points lie from where they are, beside the ellipse each was given.

Simulated aircraft are flown over ground that is known, and tell their pose as real ones do: states
ten a second with the vendor's digits, one receiver's error through a flight, gimbal and focal
length a little off, times that do not quite agree. A true point in the picture goes through the
code that places what is seen (PoseTrack, ground_point, fit_ground). The noise has the size the
accuracy tables of the product state: what is tested is what becomes of it, not those tables.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import atan2, cos, hypot, radians, sin
from typing import Any

import numpy as np
from numpy.typing import NDArray

from domain.device import DeviceKind
from domain.observation import FramePose, PoseAccuracy, Telemetry
from domain.place import Position
from domain.sight import ControlPoint
from geo.camera import Pinhole
from geo.frames import LocalFrame
from geo.homography import BadCalibration, fit_ground
from geo.locate import CHI2_95, GroundPoint, NoGround, Relief, ground_point
from geo.terrain import GridTerrain
from services.ingest.photo_pose import RTK, UNCALIBRATED_FOCAL_SHARE
from services.ingest.sight.live_pose import StreamTiming
from services.ingest.sight.pose_track import GPS, PoseTrack

Floats = NDArray[np.float64]
AT = datetime(2026, 1, 1, tzinfo=UTC)
ORIGIN = Position(22.5, 113.4)
FRAME = LocalFrame(ORIGIN)
CASES, CALIBRATIONS = 400, 150
POINTED_PX = 4.0
"""How far the point a thing touches the ground at is missed in the picture."""
FIXES: Mapping[str, PoseAccuracy] = {
    "rtk": replace(RTK, focal_share=UNCALIBRATED_FOCAL_SHARE),
    "gps": GPS,
}
CAMERAS: Mapping[str, tuple[float, tuple[int, int]]] = {
    "M3E/M3D/M4E/M4D wide (24 mm)": (71.6, (1920, 1440)),
    "M4E/M4D/M4T/M4TD medium (70 mm)": (27.8, (1920, 1440)),
    "M3T/M3TD thermal (40 mm)": (46.8, (640, 512)),
    "simulated (66°)": (66.0, (640, 480)),
}
"""Horizontal field of view from the vendor's 35 mm equivalent, and the picture watch is given."""
SOURCES: Mapping[str, float] = {"photo": 0.0, "drc": 10.0, "osd": 0.5}
"""States a second: a photograph carries its own pose, DRC and OSD are between pictures."""
OFF_S, PUSHED_MPS2, TURNED_DPS2 = 0.05, 2.0, 20.0
"""How far times disagree; how a flight bends between states."""
HILLS = ((14.0, 310.0, 0.3), (8.0, 170.0, 2.1), (3.0, 90.0, 4.0))
"""(height, wavelength, phase) in metres: slopes to some 25 degrees."""
MAPPED_M, POST_M, MAP_HALF_M = 1.0, 10.0, 900.0
"""A terrain model's own error, its posts, and how far it reaches."""
CONTROLS = (6, 8, 12, 20)
CLICKED_PX = 2.0
PLACES_M = (0.03, 0.3)
"""Control points measured by RTK, and read off a map."""


@dataclass(frozen=True, slots=True)
class Placed:
    """One point: how far off in metres, the ellipse's semi-axes, and how many of them off."""

    off_m: float
    major_m: float
    minor_m: float
    of_ellipse: float

    @property
    def predicted_m(self) -> float:
        """The circle about the point that should hold 95 %."""
        return self.major_m * _circle_share(self.minor_m / self.major_m)


def run(seed: int = 1, cases: int = CASES) -> dict[str, Any]:
    """Return measured beside predicted, by camera, fix, source of the pose and ground."""
    rows = []
    for number, (camera, fix, source, ground) in enumerate(_flights()):
        rng = np.random.default_rng((seed, number))
        land = None if ground == "flat" else Land(seed)
        found = [_flown(camera, FIXES[fix], SOURCES[source], land, ground, rng)
                 for _ in range(cases)]  # fmt: skip
        named = {"camera": camera, "fix": fix, "pose": source, "ground": ground}
        rows.append(named | _figures(found))
    fixed = [
        {"control_points": n, "place_m": place_m}
        | _figures([_calibrated(n, place_m, np.random.default_rng((seed, n, i)))
                    for i in range(min(cases, CALIBRATIONS))])
        for n in CONTROLS
        for place_m in PLACES_M
    ]  # fmt: skip
    return {"drone": rows, "fixed_camera": fixed}


def _flights() -> Iterator[tuple[str, str, str, str]]:
    first = next(iter(CAMERAS))
    for fix in FIXES:
        for camera in CAMERAS:
            yield camera, fix, "drc", "flat"
            yield camera, fix, "drc", "hills"
        yield first, fix, "photo", "flat"
        yield first, fix, "osd", "flat"
        yield first, fix, "drc", "hills, none of it known"


def _figures(found: Sequence[Placed | str]) -> dict[str, Any]:
    placed = [f for f in found if isinstance(f, Placed)]
    refused = [f for f in found if isinstance(f, str)]
    told: dict[str, Any] = {
        "points": len(placed),
        "refused": {why: refused.count(why) for why in sorted(set(refused))},
    }
    if not placed:
        return told
    shares = [p.off_m / p.predicted_m for p in placed]
    return told | {
        "ce95_m": round(float(np.quantile([p.off_m for p in placed], 0.95)), 2),
        "predicted_m": round(float(np.median([p.predicted_m for p in placed])), 2),
        "measured_to_predicted": round(float(np.quantile(shares, 0.95)), 3),
        "inside_share": round(float(np.mean([p.of_ellipse <= 1.0 for p in placed])), 3),
    }


def _circle_share(flatness: float) -> float:
    return float(np.interp(flatness, _FLATNESS, _CIRCLE))


def _circles(flatness: Floats) -> Floats:
    """Return the radius of the circle that holds 95 % of a normal, in semi-major axes of its 95 %
    ellipse: the density's integral over each direction is closed, that over directions a sum."""
    theta = np.linspace(0.0, np.pi, 2000, endpoint=False)
    g = np.cos(theta) ** 2 + (np.sin(theta) / flatness[:, None]) ** 2
    low, high = np.full(len(flatness), 1.5), np.full(len(flatness), 3.0)
    for _ in range(40):
        middle = (low + high) / 2.0
        held = (-np.expm1(-(middle[:, None] ** 2) * g / 2.0) / g).mean(1) / flatness
        low, high = np.where(held < 0.95, middle, low), np.where(held < 0.95, high, middle)
    return np.asarray(low / np.sqrt(CHI2_95), float)


_FLATNESS = np.linspace(0.02, 1.0, 50)
_CIRCLE = _circles(_FLATNESS)


# --- drones --------------------------------------------------------------------------------------


class Land:
    """Hills as they are, and the terrain model of them, which errs."""

    def __init__(self, seed: int) -> None:
        chance = np.random.default_rng(seed)
        posts = int(2 * MAP_HALF_M / POST_M) + 1
        along = np.linspace(-MAP_HALF_M, MAP_HALF_M, posts)
        x, y = np.meshgrid(along, along)
        waves = [(*chance.uniform(-0.06, 0.06, 2), chance.uniform(0.0, 6.28)) for _ in range(24)]
        wrong = sum(np.sin(a * x + b * y + c) for a, b, c in waves)
        heights = np.vectorize(self.height_m)(x, y) + wrong * (MAPPED_M / np.std(wrong))
        self.known = GridTerrain(heights, lambda at: (at + MAP_HALF_M) / POST_M, POST_M)

    def height_m(self, x_m: float, y_m: float) -> float:
        return float(
            sum(h * sin(6.2832 * x_m / w + p) * cos(6.2832 * y_m / w - p) for h, w, p in HILLS)
        )


@dataclass(frozen=True, slots=True)
class _Flight:
    """A true motion through the picture's instant, t = 0, and what is wrong with what it tells."""

    place: Floats
    velocity: Floats
    push: Floats
    yaw_deg: float
    turn_dps: float
    turned_dps2: float
    pitch_deg: float
    wrong_m: Floats
    wrong_deg: Floats

    def row(self, t_s: float, stamp_s: float, land: Land | None) -> Telemetry:
        """Return the state told at t_s, with the vendor's digits."""
        x_m, y_m, z_m = self.place + self.velocity * t_s + self.push * (t_s**2 / 2.0)
        foot_m = 0.0 if land is None else land.height_m(x_m, y_m)
        x_m, y_m, z_m = np.array([x_m, y_m, z_m - foot_m]) + self.wrong_m
        place = FRAME.to_position(float(x_m), float(y_m))
        yaw_deg = self.yaw_deg + self.turn_dps * t_s + self.turned_dps2 * t_s**2 / 2.0
        at = AT + timedelta(seconds=stamp_s)
        return Telemetry(
            "bench",
            DeviceKind.DRONE,
            at,
            0,
            at,
            Position(round(place.lat_deg, 7), round(place.lon_deg, 7)),
            height_agl_m=round(float(z_m), 2),
            gimbal_yaw_deg=round(yaw_deg + self.wrong_deg[0], 1) % 360.0,
            gimbal_pitch_deg=round(self.pitch_deg + self.wrong_deg[1], 1),
        )


def _flight(known: PoseAccuracy, land: Land | None, rng: np.random.Generator) -> _Flight:
    x_m, y_m = rng.uniform(-300.0, 300.0, 2)
    foot_m = 0.0 if land is None else land.height_m(x_m, y_m)
    speed_mps, course = rng.uniform(0.0, 12.0), rng.uniform(0.0, 6.2832)
    return _Flight(
        np.array([x_m, y_m, foot_m + rng.uniform(40.0, 120.0)]),
        speed_mps * np.array([sin(course), cos(course), 0.0]),
        rng.normal(0.0, PUSHED_MPS2, 3) * (1.0, 1.0, 0.3),
        rng.uniform(0.0, 360.0),
        rng.normal(0.0, 10.0),
        rng.normal(0.0, TURNED_DPS2),
        rng.uniform(-90.0, -35.0),
        rng.normal(0.0, 1.0, 3) * (known.horizontal_m, known.horizontal_m, known.vertical_m),
        rng.normal(0.0, 1.0, 3) * (known.yaw_deg, known.tilt_deg, known.tilt_deg),
    )


def _flown(
    camera: str,
    known: PoseAccuracy,
    states_hz: float,
    land: Land | None,
    ground: str,
    rng: np.random.Generator,
) -> Placed | str:
    hfov_deg, size_px = CAMERAS[camera]
    flight = _flight(known, land, rng)
    pose = _told(flight, known, hfov_deg, states_hz, land, rng)
    if pose is None:
        return "no pose: states too far apart"
    # The lens is turned by what the gimbal does not tell of its roll.
    gain = 1.0 + rng.normal(0.0, known.focal_share)
    lens = Pinhole(
        flight.yaw_deg, flight.pitch_deg, float(flight.wrong_deg[2]), hfov_deg, *size_px, None, gain
    )
    u_px, v_px = (float(rng.uniform(0.05, 0.95)) * n for n in size_px)
    true = _ground_under(flight.place, lens.rays(u_px, v_px), land)
    if true is None:
        return "shows no ground"
    u_px, v_px = (float(p + rng.normal(0.0, POINTED_PX)) for p in (u_px, v_px))
    relief = None
    if land is not None and ground == "hills":
        relief = Relief(land.known, FRAME, MAPPED_M)
    return _placed(
        ground_point(pose, u_px, v_px, *size_px, pixel_px=POINTED_PX, relief=relief), true
    )


def _told(
    flight: _Flight,
    known: PoseAccuracy,
    hfov_deg: float,
    states_hz: float,
    land: Land | None,
    rng: np.random.Generator,
) -> FramePose | None:
    if states_hz == 0.0:
        row = flight.row(0.0, 0.0, land)
        pose = PoseTrack([row], hfov_deg, known).at(AT)
        return pose and replace(pose, age_s=0.0)
    every_s = 1.0 / states_hz
    off_s, first_s = rng.normal(0.0, OFF_S), -2 * every_s - rng.uniform(0.0, every_s)
    times_s = [first_s + every_s * i for i in range(6)]
    rows = [flight.row(t, t + off_s, land) for t in times_s]
    return PoseTrack(rows, hfov_deg, known, StreamTiming().gap_s).at(AT)


def _ground_under(place: Floats, ray: Floats, land: Land | None) -> Floats | None:
    """Return where a true ray first meets the true ground, None above the horizon or far off."""
    if ray[2] >= -0.05:
        return None
    if land is None:
        return np.asarray(place[:2] + ray[:2] * (place[2] / -ray[2]), float)
    step, t = 1.0 / float(np.linalg.norm(ray)), 0.0
    for _ in range(900):
        t += step
        at = place + ray * t
        if at[2] <= land.height_m(at[0], at[1]):
            near, far = t - step, t
            for _ in range(24):
                middle = (near + far) / 2.0
                at = place + ray * middle
                above = at[2] > land.height_m(at[0], at[1])
                near, far = (middle, far) if above else (near, middle)
            return np.asarray((place + ray * far)[:2], float)
    return None


def _placed(point: GroundPoint | NoGround, true: Floats) -> Placed | str:
    if isinstance(point, NoGround):
        return point.reason
    x_m, y_m = FRAME.to_local(point.position.lat_deg, point.position.lon_deg)
    east_m, north_m = float(x_m - true[0]), float(y_m - true[1])
    ellipse = point.ellipse
    turned = atan2(east_m, north_m) - radians(ellipse.bearing_deg)
    off_m = hypot(east_m, north_m)
    shares = off_m * cos(turned) / ellipse.semi_major_m, off_m * sin(turned) / ellipse.semi_minor_m
    return Placed(off_m, ellipse.semi_major_m, ellipse.semi_minor_m, hypot(*shares))


# --- fixed cameras -------------------------------------------------------------------------------


def _calibrated(count: int, place_m: float, rng: np.random.Generator) -> Placed | str:
    """Calibrate a camera on a mast by points somebody clicked and surveyed; place one more."""
    size_px, mast_m = (1280, 720), rng.uniform(5.0, 12.0)
    lens = Pinhole(
        rng.uniform(0.0, 360.0), rng.uniform(-35.0, -18.0), rng.normal(0.0, 1.0),
        rng.uniform(60.0, 90.0), *size_px,
    )  # fmt: skip
    foot = np.array([0.0, 0.0, mast_m])

    def shown() -> tuple[float, float, Floats]:
        while True:
            u_px, v_px = rng.uniform(0.04, 0.96) * size_px[0], rng.uniform(0.3, 0.97) * size_px[1]
            true = _ground_under(foot, lens.rays(u_px, v_px), None)
            if true is not None and np.hypot(*true) < 90.0:
                return u_px, v_px, true

    points = []
    for _ in range(count):
        u_px, v_px, true = shown()
        x_m, y_m = true + rng.normal(0.0, 1.0, 2) * place_m
        du, dv = rng.normal(0.0, CLICKED_PX, 2)
        place = FRAME.to_position(float(x_m), float(y_m))
        points.append(ControlPoint(float(u_px + du), float(v_px + dv), place, place_m))
    try:
        plane = fit_ground(points, ORIGIN)
    except BadCalibration as error:
        return str(error).partition(":")[0]
    u_px, v_px, true = shown()
    u_px, v_px = (float(p + rng.normal(0.0, POINTED_PX)) for p in (u_px, v_px))
    return _placed(plane.ground_point(u_px, v_px), true)
