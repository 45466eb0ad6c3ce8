"""The district as watch sees it: local metres, cells that may be flown, zones. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from shapely import Polygon, STRtree, contains_xy, union_all
from shapely.geometry.base import BaseGeometry

from domain.device import Camera
from domain.district import District
from domain.observation import FramePose
from domain.place import AirspaceKind, ZoneKind
from geo.cells import CellIndex
from geo.frames import LocalFrame
from geo.locate import Relief
from geo.shapes import local_geometry

Floats = NDArray[np.float64]
SAMPLES_ACROSS = 12


@dataclass(frozen=True, slots=True)
class Scene:
    frame: LocalFrame
    cells: CellIndex
    flyable: Mapping[str, BaseGeometry]
    _flyable_index: STRtree
    _flyable_codes: tuple[str, ...]
    zones: Mapping[ZoneKind, STRtree]
    cameras: Mapping[str, Camera]
    samples: Mapping[str, Floats]
    """Of each flyable cell, places (n, 2) in local metres at which its resolution is told."""
    flyable_share: Mapping[str, float]
    """Of each flyable cell, how much of the whole cell may be flown."""
    relief: Relief | None = None
    """The ground's height where a terrain model tells it."""

    @classmethod
    def of(cls, district: District, relief: Relief | None = None) -> "Scene":
        frame = LocalFrame(district.origin)
        closed = union_all(
            [
                local_geometry(a.area, frame)
                for a in district.airspaces
                if a.kind is AirspaceKind.NO_FLY
            ]
        )
        flyable = {c.code: local_geometry(c.area, frame).difference(closed) for c in district.cells}
        flyable = {code: ground for code, ground in flyable.items() if ground.area > 1.0}
        whole_m2 = {c.code: local_geometry(c.area, frame).area for c in district.cells}
        by_kind: dict[ZoneKind, list[BaseGeometry]] = {}
        for zone in district.zones:
            by_kind.setdefault(zone.kind, []).append(local_geometry(zone.area, frame))
        return cls(
            frame,
            CellIndex(district.cells),
            flyable,
            STRtree(list(flyable.values())),
            tuple(flyable),
            {kind: STRtree(shapes) for kind, shapes in by_kind.items()},
            {c.sn: c for c in district.cameras},
            {code: _samples(ground) for code, ground in flyable.items()},
            {code: ground.area / whole_m2[code] for code, ground in flyable.items()},
            relief,
        )

    def cells_under(self, footprint: Polygon) -> dict[str, BaseGeometry]:
        """Return the flyable ground of every cell the footprint (local metres) touches."""
        hits = self._flyable_index.query(footprint, predicate="intersects")
        codes = (self._flyable_codes[i] for i in sorted(hits.tolist()))
        return {code: self.flyable[code] for code in codes}

    def in_view(
        self, pose: FramePose, ground: Polygon | None, limit_m: float
    ) -> Callable[[float, float], bool]:
        """Return whether a frame that shows `ground` could have seen a place (local metres)."""
        if ground is None:
            return _out_of_view
        cx_m, cy_m = self.frame.to_local(pose.position.lat_deg, pose.position.lon_deg)
        return lambda x_m, y_m: (
            (x_m - cx_m) ** 2 + (y_m - cy_m) ** 2 <= limit_m**2
            and bool(contains_xy(ground, x_m, y_m))
        )


def _samples(ground: BaseGeometry) -> Floats:
    """Return a lattice of places on a cell's ground, one at least."""
    west, south, east, north = ground.bounds
    steps = (np.arange(SAMPLES_ACROSS) + 0.5) / SAMPLES_ACROSS
    x_m, y_m = np.meshgrid(west + steps * (east - west), south + steps * (north - south))
    inside = contains_xy(ground, x_m.ravel(), y_m.ravel())
    places = np.column_stack([x_m.ravel(), y_m.ravel()])[inside]
    if len(places):
        return places
    one = ground.representative_point()
    return np.array([[one.x, one.y]])


def _out_of_view(x_m: float, y_m: float) -> bool:
    return False


def camera_pose(camera: Camera, at: datetime) -> FramePose:
    """Return a fixed camera's calibrated pose as the pose of a frame taken at `at`."""
    return FramePose(
        camera.position,
        camera.height_agl_m,
        camera.yaw_deg,
        camera.pitch_deg,
        0.0,
        camera.hfov_deg,
        at,
    )
