"""Ledger entries into patrol's read tables.

Mission events are applied twice, by whoever appends them (at once, in the same transaction) and by
the follower; a stream's version says which of the two came first. Everything else is the
follower's alone.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from domain.district import District
from domain.events import (
    CellSeen,
    DeviceAlarmRaised,
    Event,
    HazardRaised,
    IncidentClosed,
    IncidentDismissed,
    IncidentFiled,
    IncidentReported,
    LookConcluded,
    MissionEnded,
    MissionPlanned,
    VerificationRequested,
)
from domain.mission import Mission, MissionOutcome, MissionPurpose
from domain.mission_return import ReturnGivenUp
from domain.observation import RETURN_GIVEN_UP
from geo.routes import FlightModel
from runtime.ledger import Entry, Transaction
from services.patrol.aircraft.wpml import airframe, kmz
from services.patrol.flight import Flight, evolve, opened, touched
from services.patrol.history import counted, counts_from, was_none
from services.patrol.looks import already_wanted, wanted
from services.patrol.policy import PatrolPolicy
from services.patrol.sites import sites_of
from services.patrol.sky.standing import STREAMS, SkyRow
from services.patrol.sky.standing import evolve as evolve_sky
from services.patrol.store import PatrolStore

log = structlog.get_logger(__name__)

_FLOWN = (MissionOutcome.COMPLETED, MissionOutcome.PARTIAL)


class Fold:
    """Applies events for one district. Holds no state of its own."""

    def __init__(self, store: PatrolStore, district: District, policy: PatrolPolicy) -> None:
        self._store = store
        self._policy = policy
        self._drones = {d.sn: d for d in district.drones}

    async def entry(self, tx: Transaction, entry: Entry) -> None:
        """Apply one ledger entry (the follower's handler)."""
        stream, _, _ = entry.stream.partition("/")
        if stream in STREAMS:
            await self.sky(tx, entry.stream, [entry.event], entry.actor, entry.at, entry.version)
            return
        version = entry.version if stream == "mission" else None
        await self.event(tx, entry.event, entry.at, version)
        match entry.event:
            case CellSeen(cell_code=code, seen_at=seen_at):
                await self._store.saw(tx, code, seen_at)
            case MissionEnded():
                await self._ended(tx, entry.event, entry.at)
            case LookConcluded(mission_id=mission_id):
                await self._drop_given(tx, mission_id)
            case HazardRaised() | VerificationRequested():
                await self._want(tx, entry.event, entry.at)
            case IncidentReported():
                incident = counted(entry.event, entry.at)
                if incident is not None:
                    keep_from = counts_from(entry.at, self._policy)
                    await self._store.reported(tx, incident, keep_from)
            case DeviceAlarmRaised(device_sn=sn, code=code) if code == RETURN_GIVEN_UP:
                await self._given_up(tx, sn, int(entry.event.component), entry.at)
            case IncidentFiled(incident_id=incident_id):
                await self._store.filed(tx, incident_id)
            case IncidentClosed() | IncidentDismissed():
                await self._over(tx, entry.event)
            case _:
                pass

    async def sky(
        self,
        tx: Transaction,
        stream: str,
        events: Sequence[Event],
        actor: str,
        at: datetime,
        version: int,
    ) -> None:
        """Apply events of one stream of the sky; `version` is the last one's place in it."""
        row = await self._store.sky.row(stream, tx)
        if version != row.version + len(events):
            return
        state = row.state
        for event in events:
            state = evolve_sky(state, event, actor, at)
        await self._store.sky.put(tx, SkyRow(stream, version, state))

    async def event(self, tx: Transaction, event: Event, at: datetime, version: int | None) -> None:
        """Apply one event to the flights it touches; `version` is its place in mission/<id>."""
        for mission_id in touched(event):
            flight = await self._store.locked(tx, mission_id)
            if flight is None:
                if isinstance(event, MissionPlanned):
                    await self._open(tx, event, at)
                continue
            if version is not None:
                if version != flight.version + 1:
                    continue
                flight = replace(flight, version=version)
            folded = evolve(flight, event, at)
            if folded != flight or version is not None:
                await self._store.put(tx, folded)

    async def _open(self, tx: Transaction, event: MissionPlanned, at: datetime) -> None:
        mission = event.mission
        carrier_id = await self._store.carrier_of(tx, mission.mission_id)
        file = self.wayline_file(mission)
        if mission.resumes_id is not None:
            # A break point is a place in the file that was being flown.
            file = await self._store.kmz(mission.resumes_id) or file
        await self._store.put(tx, opened(event, at, carrier_id), file)

    def wayline_file(self, mission: Mission) -> bytes | None:
        """Return the KMZ of a patrol, or of a look that flies round something; others need none."""
        drone = self._drones.get(mission.drone_sn)
        frame = airframe(drone.model) if drone is not None else None
        if not mission.by_wayline or drone is None or frame is None:
            return None
        policy = self._policy
        model = FlightModel(drone.cruise_m_s, policy.accel_m_s2, policy.corner_cut_m)
        return kmz(mission, frame, model, policy.rules.lost_link.action)

    async def _ended(self, tx: Transaction, event: MissionEnded, at: datetime) -> None:
        flight = await self._store.locked(tx, event.mission_id)
        if flight is None:
            return
        if flight.mission.purpose is MissionPurpose.PATROL:
            if event.outcome in _FLOWN:
                theme = flight.mission.theme
                if theme is None:
                    await self._store.flew(tx, _flown_cells(flight), at)
                else:
                    # Other patrols count what was seen on the way (CellSeen), not what was flown.
                    await self._store.flew_for(tx, theme.code, _flown_cells(flight), at)
                await self._store.hovered(tx, _flown_sites(flight), at)
            return
        for look in await self._store.looks(tx):
            if look.mission_id() == event.mission_id and event.outcome is MissionOutcome.COMPLETED:
                await self._store.drop_look(tx, look.look_id)
            elif look.mission_id() == event.mission_id:
                await self._store.want(tx, replace(look, tries=look.tries + 1))

    async def _given_up(
        self, tx: Transaction, drone_sn: str, reason: int, at: datetime
    ) -> None:
        """Write into the flight's own stream that its aircraft gave up its return home."""
        for known in await self._store.open_flights():
            mission = known.mission
            if mission.drone_sn != drone_sn or known.carrier_id is not None:
                continue
            if known.given_up is not None and known.given_up.reason == reason:
                continue
            event = ReturnGivenUp(mission.mission_id, drone_sn, reason)
            stream = f"mission/{mission.mission_id}"
            version = await tx.append(stream, [event], at=at, actor="patrol")
            await self.event(tx, event, at, version)
            log.warning("return given up", mission=mission.mission_id, reason=reason)

    async def _drop_given(self, tx: Transaction, mission_id: str) -> None:
        for look in await self._store.looks(tx):
            if look.given_by(mission_id):
                await self._store.drop_look(tx, look.look_id)

    async def _over(self, tx: Transaction, event: IncidentClosed | IncidentDismissed) -> None:
        for look in await self._store.looks(tx):
            if look.incident_id == event.incident_id:
                await self._store.drop_look(tx, look.look_id)
        if was_none(event):
            await self._store.drop_incident(tx, event.incident_id)

    async def _want(
        self, tx: Transaction, event: HazardRaised | VerificationRequested, at: datetime
    ) -> None:
        look = wanted(event, at, self._policy)
        if look is None:
            return
        queue = await self._store.looks(tx)
        for old in queue:
            if old.expires_at <= at or old.tries >= self._policy.look_tries:
                await self._store.drop_look(tx, old.look_id)
        live = [old for old in queue if old.expires_at > at]
        if already_wanted(look, live, self._policy):
            return
        if len(live) >= self._policy.looks_limit:
            log.warning("look not queued", look_id=look.look_id, waiting=len(live))
            return
        await self._store.want(tx, look)


def _flown_cells(flight: Flight) -> tuple[str, ...]:
    """Cells of a flight that came home early are taken for flown up to its last waypoint."""
    mission = flight.mission
    if flight.outcome is MissionOutcome.COMPLETED or flight.waypoint_index is None:
        return mission.cell_codes
    ahead = {
        w.cell_code for w in mission.wayline.waypoints[flight.waypoint_index + 1 :] if w.cell_code
    }
    return tuple(code for code in mission.cell_codes if code not in ahead)


def _flown_sites(flight: Flight) -> tuple[str, ...]:
    """Sites hovered over from where the flight began in its wayline to where it was last heard."""
    mission = flight.mission
    first = mission.break_point.index if mission.break_point is not None else 0
    if flight.outcome is MissionOutcome.COMPLETED:
        return sites_of(mission, first)
    return () if flight.waypoint_index is None else sites_of(mission, first, flight.waypoint_index)
