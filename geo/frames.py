"""Coordinate frames: WGS-84, a local east–north tangent plane in metres, GCJ-02, CGCS2000.

CGCS2000 (EPSG:4490) differs from WGS-84 by centimetres and is taken for it. GCJ-02 is the
published approximation of the mandatory offset; its inverse here is iterated to ≤ 0.2 m.
"""

from dataclasses import dataclass
from math import cos, hypot, pi, radians, sin, sqrt
from typing import overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from domain.place import Position

SEMI_MAJOR_M = 6378137.0
FLATTENING = 1 / 298.257223563
ECCENTRICITY_2 = FLATTENING * (2 - FLATTENING)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LocalFrame:
    """East–north metres on the tangent plane at `origin` (ellipsoid height 0).

    Exact on the ellipsoid; plane distances differ from ground ones by under 5 mm at 10 km.
    """

    origin: Position

    @overload
    def to_local(self, lat_deg: float, lon_deg: float) -> tuple[float, float]: ...
    @overload
    def to_local(self, lat_deg: Floats, lon_deg: Floats) -> tuple[Floats, Floats]: ...
    def to_local(
        self, lat_deg: float | Floats, lon_deg: float | Floats
    ) -> tuple[float | Floats, float | Floats]:
        """Return (x_m east, y_m north); scalars give floats, arrays of one shape give arrays."""
        dx, dy, dz = _ecef(lat_deg, lon_deg) - self._centre()[:, *[None] * np.ndim(lat_deg)]
        lat, lon = radians(self.origin.lat_deg), radians(self.origin.lon_deg)
        east = -sin(lon) * dx + cos(lon) * dy
        north = -sin(lat) * cos(lon) * dx - sin(lat) * sin(lon) * dy + cos(lat) * dz
        if np.ndim(lat_deg) == 0:
            return float(east), float(north)
        return east, north

    def to_position(self, x_m: float, y_m: float) -> Position:
        lat, lon = self.to_degrees(x_m, y_m)
        return Position(float(lat), float(lon))

    def to_degrees(self, x_m: ArrayLike, y_m: ArrayLike) -> tuple[Floats, Floats]:
        """Return (lat_deg, lon_deg) of plane points; any shape."""
        x, y = np.asarray(x_m, float), np.asarray(y_m, float)
        lat, lon = radians(self.origin.lat_deg), radians(self.origin.lon_deg)
        # The ground falls away from the plane by d²/2R; one step is exact to well under 1 mm.
        up = -(x * x + y * y) / (2 * SEMI_MAJOR_M)
        c = self._centre()
        ex = c[0] - sin(lon) * x - sin(lat) * cos(lon) * y + cos(lat) * cos(lon) * up
        ey = c[1] + cos(lon) * x - sin(lat) * sin(lon) * y + cos(lat) * sin(lon) * up
        ez = c[2] + cos(lat) * y + sin(lat) * up
        return _geodetic(ex, ey, ez)

    def _centre(self) -> Floats:
        return _ecef(self.origin.lat_deg, self.origin.lon_deg)


def _ecef(lat_deg: float | Floats, lon_deg: float | Floats) -> Floats:
    """Return (3, …) earth-centred metres of points on the ellipsoid."""
    lat, lon = np.radians(lat_deg), np.radians(lon_deg)
    n = SEMI_MAJOR_M / np.sqrt(1 - ECCENTRICITY_2 * np.sin(lat) ** 2)
    return np.stack(
        [
            n * np.cos(lat) * np.cos(lon),
            n * np.cos(lat) * np.sin(lon),
            n * (1 - ECCENTRICITY_2) * np.sin(lat),
        ]
    )


def _geodetic(x: Floats, y: Floats, z: Floats) -> tuple[Floats, Floats]:
    """Return (lat_deg, lon_deg) by Bowring's formula: exact to 1e-11 degrees near the ground."""
    b = SEMI_MAJOR_M * (1 - FLATTENING)
    p = np.hypot(x, y)
    theta = np.arctan2(z * SEMI_MAJOR_M, p * b)
    second = ECCENTRICITY_2 / (1 - ECCENTRICITY_2)
    lat = np.arctan2(
        z + second * b * np.sin(theta) ** 3,
        p - ECCENTRICITY_2 * SEMI_MAJOR_M * np.cos(theta) ** 3,
    )
    return np.degrees(lat), np.degrees(np.arctan2(y, x))


def distance_m(a: Position, b: Position) -> float:
    """Return the plane distance around `a`; right to centimetres within 10 km."""
    return hypot(*LocalFrame(a).to_local(b.lat_deg, b.lon_deg))


# GCJ-02 as published in many open implementations of the 2002 offset: its own ellipsoid
# (Krasovsky 1940) and a sum of sines around 35° N 105° E.
_GCJ_A_M = 6378245.0
_GCJ_E2 = 0.00669342162296594323
GCJ_ITERATIONS = 10


def wgs84_to_gcj02(at: Position) -> Position:
    """Return the position as Chinese base maps draw it; unchanged outside China's box."""
    if not (0.8293 <= at.lat_deg <= 55.8271 and 72.004 <= at.lon_deg <= 137.8347):
        return at
    x, y = at.lon_deg - 105.0, at.lat_deg - 35.0
    d_lat, d_lon = _gcj_lat(x, y), _gcj_lon(x, y)
    phi = radians(at.lat_deg)
    magic = 1 - _GCJ_E2 * sin(phi) ** 2
    meridian_m = _GCJ_A_M * (1 - _GCJ_E2) / (magic * sqrt(magic))
    d_lat_deg = d_lat * 180.0 / (meridian_m * pi)
    d_lon_deg = d_lon * 180.0 / (_GCJ_A_M / sqrt(magic) * cos(phi) * pi)
    return Position(at.lat_deg + d_lat_deg, at.lon_deg + d_lon_deg)


def gcj02_to_wgs84(at: Position) -> Position:
    """Return the WGS-84 position whose GCJ-02 image is `at`, by fixed-point iteration."""
    guess = at
    for _ in range(GCJ_ITERATIONS):
        image = wgs84_to_gcj02(guess)
        guess = Position(
            guess.lat_deg + at.lat_deg - image.lat_deg, guess.lon_deg + at.lon_deg - image.lon_deg
        )
    return guess


def _gcj_lat(x: float, y: float) -> float:
    value = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * sqrt(abs(x))
    value += (20 * sin(6 * x * pi) + 20 * sin(2 * x * pi)) * 2 / 3
    value += (20 * sin(y * pi) + 40 * sin(y / 3 * pi)) * 2 / 3
    return value + (160 * sin(y / 12 * pi) + 320 * sin(y * pi / 30)) * 2 / 3


def _gcj_lon(x: float, y: float) -> float:
    value = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * sqrt(abs(x))
    value += (20 * sin(6 * x * pi) + 20 * sin(2 * x * pi)) * 2 / 3
    value += (20 * sin(x * pi) + 40 * sin(x / 3 * pi)) * 2 / 3
    return value + (150 * sin(x / 12 * pi) + 300 * sin(x / 30 * pi)) * 2 / 3
