"""The plan as values: which sortie leaves when, what it visits, and by which ways.

Times are seconds from `made_at`. Every visit begins and ends at rest; between visits the aircraft
follows `ways`, which start and end at its dock.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from domain.mission import MissionTheme
from geo.routes import Point


@dataclass(frozen=True, slots=True)
class PlannedVisit:
    """One task done: a sweep along `path`, or a hover of `hold_s` where it is a single point. It
    must begin within opens..closes."""

    task_id: str
    cell_code: str | None
    path: tuple[Point, ...]
    hold_s: float
    opens_s: float
    closes_s: float
    starts_s: float
    ends_s: float


@dataclass(frozen=True, slots=True)
class PlannedSortie:
    """One flight, dock to dock; `ways` holds one polyline before each visit and one home.
    `theme` is what it is flown for, if not for what was neglected most."""

    drone_sn: str
    dock_sn: str
    height_agl_m: float
    leaves_s: float
    lands_s: float
    visits: tuple[PlannedVisit, ...]
    ways: tuple[tuple[Point, ...], ...]
    theme: MissionTheme | None = None

    @property
    def cell_codes(self) -> tuple[str, ...]:
        return tuple(v.cell_code for v in self.visits if v.cell_code is not None)

    def delayed(self, by_s: float) -> "PlannedSortie":
        """Return the same flight `by_s` later; the caller sees to its windows."""
        later = tuple(
            replace(v, starts_s=v.starts_s + by_s, ends_s=v.ends_s + by_s) for v in self.visits
        )
        return replace(
            self, leaves_s=self.leaves_s + by_s, lands_s=self.lands_s + by_s, visits=later
        )


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A cell or site no drone of the fleet can see to: `code` for programs, `message` with the
    field and the cure."""

    task_id: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Timetable:
    """A released plan. `worst_idleness` is what it leads to by the end of its horizon and
    `lower_bound` what no plan can be below; `unserved` are the tasks it leaves for later, and
    `left_out` what nobody can see to, which neither figure counts."""

    made_at: datetime
    horizon_s: float
    sorties: tuple[PlannedSortie, ...]
    worst_idleness: float
    lower_bound: float
    unserved: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()

    def of_dock(self, dock_sn: str) -> tuple[PlannedSortie, ...]:
        """Return a dock's sorties in the order they leave."""
        own = [s for s in self.sorties if s.dock_sn == dock_sn]
        return tuple(sorted(own, key=lambda s: s.leaves_s))


@dataclass(frozen=True, slots=True)
class NoPlan:
    """Why no plan is released: `code` for programs, `message` names the field and the cure."""

    code: str
    message: str
