"""Which hazard appears next, when and where: a function of the seed and of those before it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import hypot
from random import Random

import numpy as np
from numpy.typing import NDArray
from shapely import contains_xy

from domain.device import Camera
from domain.district import District
from domain.hazard import HazardKind
from domain.ids import derive
from domain.place import ZoneKind
from geo.camera import Pinhole
from simulators.terrain import Floats, Terrain

SIZES_M: dict[HazardKind, tuple[float, float]] = {
    HazardKind.FIRE: (3.5, 6.0),
    HazardKind.SMOKE: (7.0, 12.0),
    HazardKind.EXPOSED_RUBBISH: (3.5, 6.0),
    HazardKind.BLOCKED_FIRE_LANE: (4.4, 5.0),
    HazardKind.FLOODED_ROAD: (9.0, 14.0),
    HazardKind.FLOATING_DEBRIS: (4.0, 8.0),
    HazardKind.CROWD: (1.65, 1.8),
    HazardKind.ILLEGAL_STRUCTURE: (5.0, 9.0),
}
"""Least and greatest size; a crowd's is that of one person."""
INSIDE: dict[HazardKind, tuple[ZoneKind, ...]] = {
    HazardKind.BLOCKED_FIRE_LANE: (ZoneKind.FIRE_LANE,),
    HazardKind.FLOODED_ROAD: (ZoneKind.ROAD,),
    HazardKind.FLOATING_DEBRIS: (ZoneKind.RIVER,),
    HazardKind.CROWD: (ZoneKind.PLAZA,),
}
OUTSIDE = (ZoneKind.BUILDING, ZoneKind.RIVER, ZoneKind.FIRE_LANE, ZoneKind.ROAD, ZoneKind.PLAZA)
"""Kinds not bound to a zone lie on open ground: outside all of these."""


@dataclass(frozen=True, slots=True)
class PlacePolicy:
    """When hazards come, in clock seconds, and how large they must look."""

    first_s: float = 30.0
    mean_gap_s: float = 200.0
    camera_share: float = 0.7
    camera_least_px: float = 24.0
    crowd_least_px: float = 18.0
    apart_m: float = 80.0
    apart_from_last: int = 24
    edge_share: float = 0.14
    pixels_tried: int = 900
    grounds_tried: int = 1500


@dataclass(frozen=True, slots=True)
class Appearance:
    """A hazard as the seed has it. `camera_sn` is the camera it was placed before, if one."""

    hazard_id: str
    kind: HazardKind
    x_m: float
    y_m: float
    size_m: float
    heading_deg: float
    seed: int
    appears_at: datetime
    camera_sn: str | None


def appearances(
    district: District, terrain: Terrain, seed: int, began: datetime, policy: PlacePolicy
) -> Iterator[Appearance]:
    """Yield hazards for ever, in the order they appear."""
    spots = _Spots(district, terrain, seed, policy)
    last: list[tuple[float, float]] = []
    at = began + timedelta(seconds=policy.first_s)
    order: list[HazardKind] = []
    number = 0
    while True:
        chance = Random(f"{seed}/hazard/{number}")
        if not order:
            order = list(SIZES_M)
            chance.shuffle(order)
        kind = order.pop()
        found = spots.choose(kind, chance, last)
        if found is not None:
            x_m, y_m, camera_sn = found
            last = [*last, (x_m, y_m)][-policy.apart_from_last :]
            yield Appearance(
                hazard_id=derive("true", str(seed), str(number)),
                kind=kind,
                x_m=round(x_m, 2),
                y_m=round(y_m, 2),
                size_m=round(chance.uniform(*SIZES_M[kind]), 2),
                heading_deg=round(chance.uniform(0.0, 360.0), 1),
                seed=chance.randrange(2**31),
                appears_at=at,
                camera_sn=camera_sn,
            )
            at += timedelta(seconds=round(policy.mean_gap_s * chance.uniform(0.5, 1.5), 3))
        number += 1
        if number > 64 and not last:
            return  # a district without any fitting ground has no hazards


class _Spots:
    """Fitting ground for each kind: in each camera's picture, and anywhere in the district."""

    def __init__(
        self, district: District, terrain: Terrain, seed: int, policy: PlacePolicy
    ) -> None:
        self._terrain, self._policy = terrain, policy
        self._cameras = district.cameras
        chance = np.random.default_rng(seed)
        self._seen = {kind: self._seen_of(kind, chance) for kind in SIZES_M}
        low_x, low_y, high_x, high_y = terrain.whole.bounds
        xs = chance.uniform(low_x, high_x, policy.grounds_tried * 4)
        ys = chance.uniform(low_y, high_y, policy.grounds_tried * 4)
        inside = _in_district(terrain, xs, ys)
        self._ground = {
            kind: np.stack([xs, ys], 1)[inside & self._fits(kind, xs, ys)] for kind in SIZES_M
        }

    def choose(
        self, kind: HazardKind, chance: Random, last: Sequence[tuple[float, float]]
    ) -> tuple[float, float, str | None] | None:
        """Return (x, y, camera) of a fitting place away from the last ones; None if none fits."""
        before = self._seen[kind]
        if before and (chance.random() < self._policy.camera_share or kind is HazardKind.CROWD):
            names = sorted(before)
            for sn in chance.sample(names, len(names)):
                place = self._away(before[sn], chance, last)
                if place is not None:
                    return (*place, sn)
        if kind is HazardKind.CROWD:
            return None  # persons are too small for a patrol's height
        place = self._away(self._ground[kind], chance, last)
        return None if place is None else (*place, None)

    def _away(
        self, places: Floats, chance: Random, last: Sequence[tuple[float, float]]
    ) -> tuple[float, float] | None:
        for _ in range(min(60, 4 * len(places))):
            x_m, y_m = (float(v) for v in places[chance.randrange(len(places))])
            if all(hypot(x_m - x, y_m - y) >= self._policy.apart_m for x, y in last):
                return x_m, y_m
        return None

    def _fits(self, kind: HazardKind, xs: Floats, ys: Floats) -> NDArray[np.bool_]:
        if kind in INSIDE:
            return self._terrain.inside(INSIDE[kind], xs, ys)
        return ~self._terrain.inside(OUTSIDE, xs, ys)

    def _seen_of(self, kind: HazardKind, chance: np.random.Generator) -> dict[str, Floats]:
        found: dict[str, Floats] = {}
        for camera in self._cameras:
            places = self._seen_by(camera, kind, chance)
            if len(places):
                found[camera.sn] = places
        return found

    def _seen_by(self, camera: Camera, kind: HazardKind, chance: np.random.Generator) -> Floats:
        """Return ground points where the kind shows large enough and nothing stands before it."""
        policy = self._policy
        x_m, y_m, range_m, focal_px = camera_ground(camera, self._terrain, chance, policy)
        size_m = SIZES_M[kind][0]
        least = policy.crowd_least_px if kind is HazardKind.CROWD else policy.camera_least_px
        fits = (size_m * focal_px / range_m >= least) & (range_m > 1.5 * size_m)
        fits &= self._fits(kind, x_m, y_m)
        eye_x, eye_y = self._terrain.frame.to_local(
            camera.position.lat_deg, camera.position.lon_deg
        )
        eye = (eye_x, eye_y, camera.height_agl_m)
        places = [
            (float(x), float(y))
            for x, y in zip(x_m[fits][:40], y_m[fits][:40], strict=True)
            if not self._terrain.hidden(eye, float(x), float(y), 0.5)
        ]
        return np.asarray(places).reshape(-1, 2)


def camera_ground(
    camera: Camera, terrain: Terrain, chance: np.random.Generator, policy: PlacePolicy
) -> tuple[Floats, Floats, Floats, float]:
    """Return (x, y, range, focal length) of ground under random pixels away from the edges."""
    edge = policy.edge_share
    w, h = camera.width_px, camera.height_px
    u = chance.uniform(edge * w, (1 - edge) * w, policy.pixels_tried)
    v = chance.uniform(edge * h, (1 - edge) * h, policy.pixels_tried)
    pinhole = Pinhole(camera.yaw_deg, camera.pitch_deg, 0.0, camera.hfov_deg, w, h)
    rays = pinhole.rays(u, v)
    rays = rays[rays[:, 2] < -0.02]
    reach = camera.height_agl_m / -rays[:, 2]
    x0_m, y0_m = terrain.frame.to_local(camera.position.lat_deg, camera.position.lon_deg)
    range_m = reach * np.linalg.norm(rays, axis=1)
    return x0_m + rays[:, 0] * reach, y0_m + rays[:, 1] * reach, range_m, pinhole.focal_px


def _in_district(terrain: Terrain, xs: Floats, ys: Floats) -> NDArray[np.bool_]:
    return np.asarray(contains_xy(terrain.whole, xs, ys), bool)
