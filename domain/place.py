"""Where things are: WGS-84 positions, areas, and the units that divide a district."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

Ring = tuple[tuple[float, float], ...]
"""Closed ring of (lon_deg, lat_deg), first point repeated last (RFC 7946 order)."""


@dataclass(frozen=True, slots=True)
class Position:
    """A point in WGS-84 degrees. Raises ValueError outside ±90 / ±180 or when not a number."""

    lat_deg: float
    lon_deg: float

    def __post_init__(self) -> None:
        if not -90.0 <= self.lat_deg <= 90.0:
            raise ValueError(f"lat_deg must lie in -90..90, got {self.lat_deg!r}")
        if not -180.0 <= self.lon_deg <= 180.0:
            raise ValueError(f"lon_deg must lie in -180..180, got {self.lon_deg!r}")


@dataclass(frozen=True, slots=True)
class ErrorEllipse:
    """95 % confidence ellipse of a ground point: semi-axes in metres, bearing of the major one."""

    semi_major_m: float
    semi_minor_m: float
    bearing_deg: float


@dataclass(frozen=True, slots=True)
class Area:
    """One or more polygons; each is an exterior ring followed by its holes."""

    polygons: tuple[tuple[Ring, ...], ...]


@dataclass(frozen=True, slots=True)
class Community:
    """社区. `code` is the 12-digit division code."""

    code: str
    name: str
    area: Area


@dataclass(frozen=True, slots=True)
class GridCell:
    """网格. `code` is 15 digits: county 6, street 3, community 3, serial 3 (GB/T 30428.1)."""

    code: str
    name: str
    community_code: str
    area: Area
    risk: float = 1.0
    revisit_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class PoliceGrid:
    """警格: drawn by the police station, overlapping grid cells freely."""

    code: str
    name: str
    area: Area


class SiteKind(StrEnum):
    SCHOOL = "school"
    MARKET = "market"
    HOSPITAL = "hospital"
    FIRE_POST = "fire_post"
    COMMAND_CENTRE = "command_centre"
    FACTORY = "factory"
    DOCK = "dock"


@dataclass(frozen=True, slots=True)
class Site:
    """重点场所."""

    code: str
    name: str
    kind: SiteKind
    position: Position


class AirspaceKind(StrEnum):
    NO_FLY = "no_fly"
    RESTRICTED = "restricted"
    TEMPORARY = "temporary"


class HeightReference(StrEnum):
    """What heights count from: the ground below (真高), or the WGS-84 ellipsoid."""

    AGL = "agl"
    ELLIPSOID = "ellipsoid"


@dataclass(frozen=True, slots=True)
class Airspace:
    """A volume of controlled airspace, closed from `valid_from` up to `valid_to` (None: no end).

    Raises ValueError when floor or times are the wrong way round.
    """

    code: str
    name: str
    kind: AirspaceKind
    area: Area
    floor_m: float
    ceiling_m: float
    height_reference: HeightReference = HeightReference.AGL
    valid_from: datetime | None = None
    valid_to: datetime | None = None

    def __post_init__(self) -> None:
        if not self.floor_m < self.ceiling_m:
            raise ValueError(
                f"floor_m must lie below ceiling_m, got {self.floor_m!r} and {self.ceiling_m!r}"
            )
        if self.valid_from and self.valid_to and not self.valid_from < self.valid_to:
            raise ValueError(f"valid_to must come after valid_from, got {self.valid_to}")

    def active_between(self, start: datetime, end: datetime) -> bool:
        """Tell whether it is closed at any moment from `start` to `end`."""
        begun = self.valid_from is None or self.valid_from <= end
        return begun and (self.valid_to is None or self.valid_to > start)


class ZoneKind(StrEnum):
    ROAD = "road"
    RIVER = "river"
    FIRE_LANE = "fire_lane"
    NO_STOPPING = "no_stopping"
    PLAZA = "plaza"
    BUILDING = "building"
    GREEN = "green"


@dataclass(frozen=True, slots=True)
class Zone:
    """A piece of ground whose use matters to a rule (a fire lane, a river) or to a picture."""

    code: str
    kind: ZoneKind
    area: Area
    height_m: float = 0.0
