"""Theme patrols as data (`rules/themes.toml`): what a theme makes of each cell's risk, and how it
is flown when a plan is made for it alone."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cache
from pathlib import Path

import shapely
from shapely.geometry.base import BaseGeometry

from domain.codec import from_plain
from domain.district import District
from domain.hazard import HazardKind
from domain.mission import MissionTheme
from domain.place import SiteKind, ZoneKind
from geo.frames import LocalFrame
from geo.shapes import local_geometry

RULES = Path(__file__).parent / "rules" / "themes.toml"
LOCAL_TIME = timezone(timedelta(hours=8))
_HEIGHTS_AGL_M = (20.0, 120.0)
_PITCHES_DEG = (-90.0, -65.0)
"""Steep enough that the ground below is in the picture and counts as seen (watch: -60°)."""
_REVISITS_S = (900.0, 7.0 * 86_400.0)
_CAMERA = "wide"
"""The lens that patrols record with and whose angle a drone's registration tells."""


@dataclass(frozen=True, slots=True)
class Theme:
    """One theme. `hours` are local, from..to; `rain_from_level` None: whatever the weather. While
    it is on, each of its cells is flown for it once in `revisit_s`."""

    code: str
    name: str
    near: tuple[str, ...]
    kinds: tuple[HazardKind, ...]
    hours: tuple[int, int]
    height_agl_m: float
    camera: str
    factor: float
    revisit_s: float
    gimbal_pitch_deg: float = -90.0
    rain_from_level: int | None = None

    def of_mission(self) -> MissionTheme:
        """Return what a mission flown for it carries."""
        return MissionTheme(self.code, self.name, self.height_agl_m, self.kinds)

    def is_on(self, at: datetime, rain_level: int) -> bool:
        """Tell whether the hour and the weather call for it."""
        hour = at.astimezone(LOCAL_TIME).hour
        wet = self.rain_from_level is None or rain_level >= self.rain_from_level
        return wet and self.hours[0] <= hour < self.hours[1]


def read_themes(text: str) -> tuple[Theme, ...]:
    """Read themes from TOML. Raises ValueError naming theme and field of what does not fit."""
    places = {*ZoneKind, *SiteKind}
    found = []
    for code, plain in tomllib.loads(text).items():
        theme = from_plain(Theme, {"code": code, **plain})
        unknown = [kind for kind in theme.near if kind not in places]
        if unknown:
            raise ValueError(f"{code}.near: {unknown[0]!r} is no kind of zone or site")
        if not _HEIGHTS_AGL_M[0] <= theme.height_agl_m <= _HEIGHTS_AGL_M[1]:
            raise ValueError(f"{code}.height_agl_m must lie in 20..120, got {theme.height_agl_m:g}")
        if theme.camera != _CAMERA:
            raise ValueError(f"{code}.camera must be {_CAMERA}, got {theme.camera!r}")
        low, high = _PITCHES_DEG
        if not low <= theme.gimbal_pitch_deg <= high:
            raise ValueError(f"{code}.gimbal_pitch_deg must lie in {low:g}..{high:g}")
        if not _REVISITS_S[0] <= theme.revisit_s <= _REVISITS_S[1]:
            raise ValueError(f"{code}.revisit_s must lie in 900..604800, got {theme.revisit_s:g}")
        if theme.factor <= 0.0:
            raise ValueError(f"{code}.factor must be positive, got {theme.factor:g}")
        found.append(theme)
    return tuple(found)


@cache
def load_themes() -> tuple[Theme, ...]:
    """Return the themes that come with Gridwing."""
    return read_themes(RULES.read_text(encoding="utf-8"))


def cells_of(theme: Theme, district: District) -> frozenset[str]:
    """Return the codes of the cells that hold or touch what a theme is about."""
    frame = LocalFrame(district.origin)
    about: list[BaseGeometry] = [
        local_geometry(z.area, frame) for z in district.zones if z.kind in theme.near
    ]
    about += [
        shapely.Point(*frame.to_local(s.position.lat_deg, s.position.lon_deg))
        for s in district.sites
        if s.kind in theme.near
    ]
    if not about:
        return frozenset()
    tree = shapely.STRtree(about)
    return frozenset(
        cell.code
        for cell in district.cells
        if len(tree.query(local_geometry(cell.area, frame), predicate="intersects"))
    )


def factors(
    themes: Sequence[Theme],
    cells: Mapping[str, frozenset[str]],
    at: datetime,
    rain_level: int,
) -> dict[str, float]:
    """Return what the themes that are on make of each cell's risk; `cells` are by theme code."""
    found: dict[str, float] = {}
    for theme in themes:
        if theme.is_on(at, rain_level):
            for code in cells[theme.code]:
                found[code] = max(found.get(code, 1.0), theme.factor)
    return found
