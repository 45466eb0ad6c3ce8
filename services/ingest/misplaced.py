"""Positions told in GCJ-02 where WGS-84 is declared. Pure.

The offset of GCJ-02 is some 600 m in China, and its direction is fixed for a place. A device that
stands still at a place we know, and says it is where GCJ-02 would put that place, gives itself
away; one in flight does not, for it may really be there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from domain.device import DeviceKind
from domain.observation import FlightPhase, Telemetry
from domain.place import Position
from geo.frames import distance_m, wgs84_to_gcj02
from services.ingest.fields import Unreadable
from services.ingest.heard import Heard

NEAR_M = 60.0
"""As far as the fix of a standing device may lie from its place: GNSS under a dock's cover."""


@dataclass(frozen=True, slots=True)
class Stand:
    """Where GCJ-02 would put a device that stands at a known place, and how far off that is."""

    gcj02: Position
    offset_m: float
    always: bool
    """Whether the device never leaves; an aircraft stands in its dock while it is idle."""


Stands = Mapping[str, Stand]


def stands(places: Iterable[tuple[str, Position, bool]]) -> Stands:
    """Return the stands of (serial, place, always); none where GCJ-02 has no offset."""
    found = {}
    for sn, place, always in places:
        image = wgs84_to_gcj02(place)
        offset_m = distance_m(place, image)
        if offset_m > 2 * NEAR_M:
            found[sn] = Stand(image, offset_m, always)
    return found


def refuse_gcj02(topic: str, heard: Heard, known: Stands) -> None:
    """Raise Unreadable where a standing device tells the GCJ-02 image of its place."""
    for one in heard.observations:
        if isinstance(one, Telemetry) and one.position is not None and one.device_sn in known:
            idle = one.device_kind is not DeviceKind.DRONE or one.phase is FlightPhase.IDLE
            _refuse(one.device_sn, one.position, idle, known[one.device_sn])
    if heard.samples and (stand := known.get(sn := topic.rpartition("/")[2])) is not None:
        for sample in heard.samples:
            if sample.latitude is not None and sample.longitude is not None:
                place = Position(sample.latitude, sample.longitude)
                _refuse(sn, place, sample.phase is FlightPhase.IDLE, stand)


def _refuse(sn: str, told: Position, idle: bool, stand: Stand) -> None:
    if (stand.always or idle) and distance_m(told, stand.gcj02) <= NEAR_M:
        raise Unreadable(
            f"latitude and longitude are {stand.offset_m:.0f} m from where {sn} stands, just"
            " where GCJ-02 would put it: have the device tell WGS-84"
        )
