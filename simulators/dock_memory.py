"""What a dock remembers between two steps, and what it has to say."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from domain.device import Dock
from geo.frames import LocalFrame
from simulators.drone import Flying, standing
from simulators.flight_areas import KeepOut
from simulators.kinematics import STEP_S
from simulators.return_fault import ReturnFault
from simulators.sortie import Sortie, Start


@dataclass(frozen=True, slots=True)
class DockPolicy:
    """`answer_timeout_s` is how long the server is waited for before a take-off, clock seconds."""

    answer_timeout_s: float = 20.0
    drc_hz: float = 5.0
    drc_at_start: bool = True
    charge_pct_s: float = 0.0365
    frame_every_s: float = 4.0
    frame_every_holding_s: float = 1.5
    return_faults: tuple[ReturnFault, ...] = ()


@dataclass(frozen=True, slots=True)
class Prepared:
    """A wayline flight the dock has agreed to, not yet executed."""

    flight_id: str
    rth_height_m: float
    start: Start | None = None


@dataclass(frozen=True, slots=True)
class DockState:
    """Everything a dock remembers. `tick` counts steps of STEP_S since `began`."""

    began: datetime
    flying: Flying
    tick: int = 0
    sortie: Sortie | None = None
    prepared: tuple[Prepared, ...] = ()
    flown: tuple[str, ...] = ()
    drc_hz: float = 5.0
    drc_seq: int = 0
    told: str = ""
    told_tick: int = 0
    frame_tick: int = 0
    alarms: tuple[str, ...] = ()
    alarms_tick: int = 0
    jobs: int = 0
    over_told: bool = False
    area_checksum: str = ""
    areas: tuple[KeepOut, ...] = ()
    payload_held: bool = False
    gave_up: int | None = None
    gave_up_on_job: int = 0

    @property
    def at(self) -> datetime:
        return self.began + timedelta(seconds=self.tick * STEP_S)


@dataclass(frozen=True, slots=True)
class Said:
    """Something to send: `kind` decides the topic. A frame carries the pose to draw from."""

    kind: Literal["osd", "drc", "event", "ask", "frame"]
    sn: str
    at: datetime
    data: dict[str, Any]
    method: str = ""
    flying: Flying | None = None
    flight_id: str | None = None


def new_state(
    dock: Dock, frame: LocalFrame, at: datetime, policy: DockPolicy, battery_pct: float
) -> DockState:
    x_m, y_m = frame.to_local(dock.position.lat_deg, dock.position.lon_deg)
    hz = policy.drc_hz if policy.drc_at_start else 0.0
    return DockState(at, standing(x_m, y_m, battery_pct), drc_hz=hz)
