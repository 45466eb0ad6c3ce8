"""Whether a command may go out: the lease on its drone, people, and for take-offs gate and sky.

A drone has one commander at a time. A part commands it under a lease whose token grows with each
change of hands; the intent of a command commits only while the part's own token stands, so a part
that was away finds itself fenced out. A ground stop or a person's hand on the drone is looked at
in the same transaction, under the sky's lock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from domain.mission import Mission, MissionPurpose, MissionState
from domain.place import Airspace
from geo.airspace import Volume, volumes
from geo.terrain import Point3
from runtime.ledger import Transaction
from services.patrol.departure import (
    Other,
    flown_path,
    planned_return,
    reasons,
    timed,
)
from services.patrol.flight import TAKE_OFFS, Flight, Step
from services.patrol.gate import refusals
from services.patrol.plan import PatrolGround
from services.patrol.policy import patience_s
from services.patrol.presence import Presence
from services.patrol.recall import Recall, Situation, recall
from services.patrol.refusal import Refusal
from services.patrol.sky.standing import SkyNow, sky_now
from services.patrol.surroundings import Surroundings
from services.patrol.way_home import return_height_rel_m

_IN_THE_AIR = (MissionState.EXECUTING, MissionState.UNKNOWN, MissionState.FLYING)


class NotPermitted(Exception):
    """A command may not go out now, and why."""

    def __init__(self, why: tuple[Refusal, ...]) -> None:
        super().__init__(" ".join(r.code for r in why))
        self.why = why


@dataclass(frozen=True, slots=True)
class Wish:
    """A command about to be intended."""

    flight: Flight
    step: Step
    actor: str
    others: tuple[Other, ...] = ()
    reason: str = ""


class Permits:
    """Keeps this part's leases and the sky as last read; asked before anything is commanded."""

    def __init__(self, around: Surroundings, presence: Presence) -> None:
        self._around = around
        self._presence = presence
        self.tokens: dict[str, int] = {}
        self.sky = SkyNow()
        self._renewed_at: datetime | None = None
        self._since: datetime | None = None

    async def refresh(self, at: datetime) -> None:
        """Renew the leases, read the sky, and plan round the zones that close soon."""
        around = self._around
        policy = around.policy
        self._since = self._since or at
        await self._renew(at)
        self.sky = await self._read(at)
        soon = at + timedelta(seconds=policy.rules.temporary.horizon_s)
        ground = around.ground
        zones = tuple(a for a in self._timed() if a.active_between(at, soon))
        if zones != ground.zones:
            around.ground = PatrolGround(ground.district, policy, ground.terrain, zones)

    async def _renew(self, at: datetime) -> None:
        """Take and renew leases, three times in the life of one."""
        around = self._around
        policy, rate = around.policy, around.clock.rate
        lasts_s = patience_s(policy.lease_s, policy.lease_wall_s, rate)
        since = self._renewed_at
        if since is not None and (at - since).total_seconds() < lasts_s / 3.0:
            return
        drones = {d.drone_sn for d in self._presence.docks.values()}
        self.tokens = await around.store.sky.take_leases(
            around.slot,
            {sn: self.tokens.get(sn) for sn in drones},
            at,
            at + timedelta(seconds=lasts_s),
            anew=since is None,
        )
        self._renewed_at = at

    def commands(self, drone_sn: str) -> bool:
        """Tell whether this part is a drone's commander."""
        return drone_sn in self.tokens

    def take_off(
        self, mission: Mission, others: tuple[Other, ...], at: datetime, *, prepared: bool = False
    ) -> tuple[Refusal, ...]:
        """Return why a mission may not take off now, as far as is known; empty means it may."""
        return self._take_off(mission, self.sky, others, at, prepared)

    def planned_return(self, mission: Mission, at: datetime) -> Mission:
        """Return a mission with the height its drone comes straight home at."""
        presence = self._presence
        dock, drone = presence.docks[mission.dock_sn], presence.drones[mission.drone_sn]
        return planned_return(self._around.ground, mission, drone, dock, self.sky, at)

    async def check(self, tx: Transaction, wish: Wish, at: datetime) -> int:
        """Return the token a command goes out under. Raises NotPermitted.

        Everything is read anew in `tx`, and stays as it is until `tx` ends.
        """
        store, mission = self._around.store.sky, wish.flight.mission
        await store.hold(tx, alone=False)
        slot, token = (await store.leases(tx)).get(mission.drone_sn, ("", 0))
        if slot != self._around.slot or token != self.tokens.get(mission.drone_sn):
            cure = f"slot {slot} commands {mission.drone_sn} under token {token}"
            raise NotPermitted((Refusal("lease_lost", "drone_sn", cure),))
        sky = await self._read(at, tx)
        control = sky.control(mission.drone_sn)
        if control is not None and wish.actor == "patrol":
            cure = f"{control.by} has {mission.drone_sn} in hand"
            raise NotPermitted((Refusal("person_in_control", "drone_sn", cure),))
        if wish.step in TAKE_OFFS:
            prepared = wish.step is Step.EXECUTE
            why = self._take_off(mission, sky, wish.others, at, prepared)
            if why:
                raise NotPermitted(why)
        return token

    async def still_commands(self, drone_sn: str) -> bool:
        """Ask the store whether the lease still stands."""
        held = await self._around.store.sky.leases()
        return held.get(drone_sn) == (self._around.slot, self.tokens.get(drone_sn))

    def recall(self, flight: Flight, at: datetime) -> Recall | None:
        """Return what the rules of recall order a flight now."""
        mission, around = flight.mission, self._around
        rule, rate = around.policy.rules.recall, around.clock.rate
        drone = self._presence.drones[mission.drone_sn]
        zones = self._zones_soon(at)
        return recall(
            flight,
            self._situation(flight, at, with_path=bool(zones)),
            zones,
            rule,
            around.policy.rules.policy(drone.model),
            around.ground.terrain,
            patience_s(rule.link_lost_s, rule.link_lost_wall_s, rate),
            at,
        )

    def others(
        self, flights: Sequence[Flight], drone_sn: str, at: datetime
    ) -> tuple[Other, ...]:
        """Return the paths from now on of every other drone's flight."""
        found = []
        for flight in flights:
            mission = flight.mission
            flies = flight.airborne() or flight.state in _IN_THE_AIR
            if mission.drone_sn == drone_sn or flight.carrier_id is not None or not flies:
                continue
            path = self._ahead(flight, at)
            if path:
                left_s = mission.wayline.flight_time_s * _share_left(flight)
                found.append(Other(mission.mission_id, timed(path, 0.0, max(left_s, 60.0))))
        return tuple(found)

    def _take_off(
        self,
        mission: Mission,
        sky: SkyNow,
        others: tuple[Other, ...],
        at: datetime,
        prepared: bool,
    ) -> tuple[Refusal, ...]:
        presence, around = self._presence, self._around
        dock, drone = presence.docks[mission.dock_sn], presence.drones[mission.drone_sn]
        stand, policy = presence.stand(dock), around.policy
        why = refusals(stand, at, presence.stale_s, policy, prepared=prepared)
        return why + reasons(around.ground, mission, drone, dock, sky, others, at)

    async def _read(self, at: datetime, tx: Transaction | None = None) -> SkyNow:
        rows = await self._around.store.sky.rows(at, tx)
        return sky_now(rows, self._around.ground.district.approvals, at)

    def _timed(self) -> list[Airspace]:
        """Return the airspaces that come and go: registered and announced."""
        registered = self._around.ground.district.airspaces
        timed_ones = [a for a in registered if a.valid_from is not None or a.valid_to is not None]
        return [*timed_ones, *self.sky.zones]

    def _zones_soon(self, at: datetime) -> tuple[Volume, ...]:
        rule, ground = self._around.policy.rules.recall, self._around.ground
        soon = at + timedelta(seconds=rule.zone_ahead_s)
        near = [a for a in self._timed() if a.active_between(at, soon)]
        return volumes(near, ground.frame, ground.terrain)

    def _situation(self, flight: Flight, at: datetime, *, with_path: bool) -> Situation:
        mission = flight.mission
        dock = self._presence.devices.get(mission.dock_sn)
        drone = self._presence.devices.get(mission.drone_sn)
        ahead = self._ahead(flight, at) if with_path else ()
        # Never heard by this process: silent since it began to listen.
        heard_at = drone.heard_at if drone is not None else self._since or at
        return Situation(
            ahead=ahead,
            way_home=self._way_home(mission, ahead) if ahead else (),
            wind_m_s=(dock.wind_m_s or 0.0) if dock is not None else 0.0,
            rain_level=(dock.rain_level or 0) if dock is not None else 0,
            silent_s=(at - heard_at).total_seconds(),
        )

    def _way_home(self, mission: Mission, ahead: tuple[Point3, ...]) -> tuple[Point3, ...]:
        """Return the straight way home from where a flight is: up to its return height, across."""
        base_m = self._presence.docks[mission.dock_sn].height_ellipsoid_m
        rel_m = return_height_rel_m(mission, self._around.policy)
        height_m = max(ahead[0][2], base_m + rel_m)
        return ahead[0], (*ahead[0][:2], height_m), (*ahead[-1][:2], height_m)

    def _ahead(self, flight: Flight, at: datetime) -> tuple[Point3, ...]:
        """Return a flight's way from where it is (or was last told to be) to its dock."""
        mission, ground = flight.mission, self._around.ground
        path = flown_path(ground, mission, self._presence.docks[mission.dock_sn])
        rest = path[1 + (flight.waypoint_index or 0) :] if flight.waypoint_index else path[1:]
        rest = rest or path[-1:]
        now = self._presence.here(mission.drone_sn, at)
        if now is None or now.position is None:
            return rest
        return ((*ground.local(now.position), rest[0][2]), *rest)


def _share_left(flight: Flight) -> float:
    last = len(flight.mission.wayline.waypoints) - 1
    if flight.mission.purpose is not MissionPurpose.PATROL or last < 1:
        return 1.0
    return 1.0 - (flight.waypoint_index or 0) / last
