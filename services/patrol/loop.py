"""The patrol part: follows the ledger, hears the docks, plans, and commands.

`run` is the composition: a follower folds the ledger into the store, a listener takes replies, a
hearer keeps what docks say of themselves, and the drive loop decides each few clock seconds or as
soon as something new is known.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from functools import partial

import structlog

from domain.codec import instant_text
from domain.device import Dock
from domain.district import District
from domain.events import MissionDiverted, MissionPlanned
from domain.ids import derive
from domain.mission import Mission, MissionPurpose, MissionState, PassedOver
from geo.terrain import Terrain
from runtime.bus import Bus
from runtime.clock import Clock
from runtime.database import going_on
from runtime.follower import follow
from runtime.ledger import Entry, Ledger, Transaction, VersionConflict
from runtime.topics import osd
from services.patrol import divert, schedule, theme_sorties
from services.patrol.ahead import cells_ahead, in_air_s, remaining_s, stops_at
from services.patrol.aircraft.wpml import airframe
from services.patrol.aircraft.wpml_check import check
from services.patrol.break_point import rest_s, resumed
from services.patrol.commander import Commander
from services.patrol.conversation import Conversation
from services.patrol.demand import CellVisits, began_at
from services.patrol.dock_files import DockFiles
from services.patrol.dock_state import heard
from services.patrol.fleet.repair import repaired
from services.patrol.fleet.timetable import NoPlan, PlannedSortie, Timetable
from services.patrol.flight import Flight, Order, Step, touched
from services.patrol.fold import Fold
from services.patrol.gate import airtime_s, refusals
from services.patrol.history import counts_from, learned, together
from services.patrol.look_way import look_wayline, turns
from services.patrol.looks import WantedLook, in_order, may_divert
from services.patrol.plan import PatrolGround, sortie_of, wayline
from services.patrol.plan_shown import shown
from services.patrol.policy import PatrolPolicy, patience_s
from services.patrol.schedule import Standing, Wanted
from services.patrol.sites import errands, load_site_rules, sites_of
from services.patrol.sky.standing import STREAMS
from services.patrol.store import DroneTakenError, PatrolStore
from services.patrol.surroundings import Surroundings, Think, at_once
from services.patrol.theme_sorties import ThemeTurn
from services.patrol.themes import Theme, cells_of, factors, load_themes

log = structlog.get_logger(__name__)

FOLLOWER = "patrol"
_ON_WAYLINE_STEPS = (None, 24, 25)


async def run(
    ledger: Ledger,
    bus: Bus,
    store: PatrolStore,
    district: District,
    clock: Clock,
    policy: PatrolPolicy,
    wayline_url: Callable[[str], str],
    *,
    slot: str = "0",
    terrain: Terrain | None = None,
    area_url: Callable[[str], str] | None = None,
    think: Think = at_once,
) -> None:
    """Run until cancelled. `wayline_url` gives the address of a mission's KMZ for its dock,
    `area_url` that of a file of flight areas; `slot` names this part among several: each drone is
    commanded by one of them; `think` runs what takes long: at once, as virtual time needs it, or
    in a thread."""
    fold = Fold(store, district, policy)
    ground = PatrolGround(district, policy, terrain)
    around = Surroundings(ledger, store, fold, ground, clock, policy, wayline_url, slot, think)
    async with asyncio.TaskGroup() as tasks:
        conversation = Conversation(bus, clock, policy.late_replies_limit)
        commander = Commander(around, conversation, tasks.create_task)
        conversation.on_late = commander.wake.set
        files = DockFiles(commander, conversation, area_url)
        tasks.create_task(conversation.listen(commander.resource, files.answer, files.take))
        tasks.create_task(files.run())
        tasks.create_task(hear(bus, clock, commander))
        handle = partial(_fold_and_wake, fold, commander.wake)
        tasks.create_task(follow(ledger, FOLLOWER, handle))
        tasks.create_task(drive(commander))


async def _fold_and_wake(fold: Fold, wake: asyncio.Event, tx: Transaction, entry: Entry) -> None:
    await fold.entry(tx, entry)
    kinds = ("hazard.raised", "incident.verification_requested")
    stream, _, _ = entry.stream.partition("/")
    if touched(entry.event) or entry.kind in kinds or stream in STREAMS:
        tx.after_commit(wake.set)


async def hear(bus: Bus, clock: Clock, commander: Commander) -> None:
    """Keep the latest state of every dock and the aircraft it houses."""
    known = {sn for dock in commander.docks.values() for sn in (dock.sn, dock.drone_sn)}
    if not known:
        return
    # By name: hand-flown aircraft speak as often, and nobody here listens.
    async with bus.subscribe([osd(sn) for sn in sorted(known)], 0) as messages:
        async for message in messages:
            sn = message.topic.split("/")[2]
            if sn not in known:
                continue
            now = heard(commander.devices.get(sn), sn, message.payload, clock.now())
            if now is not None:
                commander.devices[sn] = now


async def drive(commander: Commander) -> None:
    """Decide and act, each tick or when woken, until cancelled."""
    around = commander.around
    policy, clock = around.policy, around.clock
    tick_s = patience_s(policy.tick_s, policy.tick_wall_s, clock.rate)
    planner = Planner(commander)
    while going_on():
        flights = await around.store.open_flights()
        await commander.take_late_replies(flights)
        await commander.advance(flights)
        await planner.give_looks()
        await planner.send_patrols()
        await _rest(clock, commander.wake, tick_s)


async def _rest(clock: Clock, wake: asyncio.Event, tick_s: float) -> None:
    timer = asyncio.ensure_future(clock.sleep(tick_s))
    woken = asyncio.ensure_future(wake.wait())
    try:
        await asyncio.wait({timer, woken}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()
        woken.cancel()
    wake.clear()


class Planner:
    """Turns wanted looks and neglected cells into missions."""

    def __init__(self, commander: Commander) -> None:
        self._commander = commander
        self._around = commander.around
        self._planned_at: datetime | None = None
        self._timetable: Timetable | None = None
        self._made_at: datetime | None = None
        self._planning = False
        self._known: object = None
        district = commander.around.ground.district
        self._theme_cells = {t.code: cells_of(t, district) for t in load_themes()}
        self._ground = commander.around.ground
        self._theme_grounds: dict[str, PatrolGround] = {}
        self._said: dict[str, str] = {}

    async def give_looks(self) -> None:
        """Choose a drone for each wanted look, the most urgent first."""
        around, at = self._around, self._around.clock.now()
        for look in in_order(await around.store.looks(), at, around.policy):
            if await around.store.flight(look.mission_id()) is not None:
                continue
            flights = await around.store.open_flights()
            if any(_same_errand(f.mission, look) for f in flights):
                continue
            target = around.ground.local(look.target)
            against: dict[str, str] = {}
            candidates = self._idle(flights, at, against)
            airborne = self._airborne(flights, at)
            if may_divert(look, at, around.policy):
                candidates += airborne
            else:
                against |= {c.drone.sn: "docked_first" for c in airborne}
            confirms = look.purpose is MissionPurpose.CONFIRM
            # Most looks are judged well before their limit; the reserve covers the others.
            look_s = self._commander.patience.look_s * around.policy.look_budget_share
            choice = divert.choose(
                around.ground, target, candidates, look_s, docked_first=not confirms
            )
            if isinstance(choice, divert.NoDrone):
                self._say(look.look_id, " ".join(f"{sn}:{why}" for sn, why in choice.reasons))
                continue
            passed_over = divert.passed_over(choice, candidates, against)
            await self._plan_look(look, choice, passed_over, flights, at)

    async def send_patrols(self) -> None:
        """Send off what the timetable has due; it is made anew when old, or when it fits no more.

        The leg in the air stays: open flights are given to the plan as they are.
        """
        around, at = self._around, self._around.clock.now()
        waited = self._planned_at
        resting = waited is not None and (at - waited).total_seconds() < around.policy.plan_every_s
        if resting or self._planning:
            return
        self._planned_at = at
        flights = await around.store.open_flights()
        ready = [c for c in self._idle(flights, at) if self._may_patrol(c, at)]
        fleet = self._standings(flights, {c.dock_sn for c in ready}, at)
        # A dock that is ready flies by a plan that knows what its last flight has seen.
        known = (
            {f.mission.mission_id: f.state for f in flights},
            {s.dock.sn: s.refused for s in fleet},
            {c.dock_sn for c in ready},
        )
        sky_changed = self._ground is not around.ground
        if sky_changed:
            self._theme_grounds.clear()
        table = self._timetable
        old = self._made_at is None or (
            (at - self._made_at).total_seconds() >= around.policy.replan_s
        )
        changed, self._known = known != self._known, known
        if old or sky_changed or (ready and changed):
            self._ground = around.ground
            self._made_at, self._planning = at, True
            wanted = await self._wanted(flights, at)
            turns, rested = await self._themes(flights, at)
            self._commander.spawn(self._replan(fleet, wanted, turns, rested, at))
            return
        for candidate in ready:
            if await self._take_up(candidate, flights, at):
                continue
            sortie = (
                schedule.due(table, candidate.dock_sn, at, around.policy.leave_early_s)
                if table is not None
                else None
            )
            if table is None or sortie is None:
                continue
            if await self._plan_patrol(candidate, sortie, at):
                table = self._timetable = schedule.without(table, sortie)

    async def _wanted(self, flights: Sequence[Flight], at: datetime) -> Wanted:
        """Return what a plan made now is asked for."""
        around = self._around
        visits = await around.store.visits()
        past = await around.store.incidents(counts_from(at, around.policy))
        risks = together(self._factors(at), learned(past, at, around.policy))
        in_air = {code for f in flights for code in sites_of(f.mission)}
        due = errands(
            around.ground,
            load_site_rules(),
            await around.store.site_visits(),
            in_air,
            began_at(visits, at),
            at,
        )
        return Wanted(visits, in_air_s(flights), risks, due)

    async def _themes(
        self, flights: Sequence[Flight], at: datetime
    ) -> tuple[list[ThemeTurn], frozenset[str]]:
        """Return the themes that are on, and the docks that did not fly for one last."""
        around, rain = self._around, self._rain_level()
        visits = await around.store.theme_visits()
        turns, rested = [], []
        for theme in load_themes():
            if not self._theme_cells[theme.code] or not theme.is_on(at, rain):
                continue
            own = [f.mission for f in flights if _theme_code(f.mission) == theme.code]
            in_air = frozenset(code for mission in own for code in mission.cell_codes)
            ground = self._themed(theme)
            turns.append(ThemeTurn(theme, ground, visits.get(theme.code, {}), in_air))
        for dock_sn in self._commander.docks if turns else ():
            last = await around.store.last_patrol(dock_sn)
            if last is None or last.mission.theme is None:
                rested.append(dock_sn)
        return turns, frozenset(rested)

    def _themed(self, theme: Theme) -> PatrolGround:
        """Return the ground at a theme's height; it keeps its sweeps while the sky is the same."""
        if theme.code not in self._theme_grounds:
            self._theme_grounds[theme.code] = schedule.themed(self._ground, theme)
        return self._theme_grounds[theme.code]

    def _rain_level(self) -> int:
        return max((d.rain_level or 0 for d in self._commander.devices.values()), default=0)

    def _factors(self, at: datetime) -> dict[str, float]:
        """Return what the themes of the hour and the weather make of each cell's risk."""
        return factors(load_themes(), self._theme_cells, at, self._rain_level())

    async def _take_up(
        self, candidate: divert.Candidate, flights: Sequence[Flight], at: datetime
    ) -> bool:
        """Fly the rest of a patrol that had to come home, where that is what the dock can do."""
        dock, visits = self._commander.docks[candidate.dock_sn], await self._around.store.visits()
        rest = await self._rest_of(dock, candidate, visits, in_air_s(flights), at)
        return rest is not None and await self._commit(rest, None, None, at)

    def _may_patrol(self, candidate: divert.Candidate, at: datetime) -> bool:
        """Long sorties waste less on the way; a drone that charges is kept for looks."""
        if not self._commander.rested(candidate.dock_sn, at):
            return False
        if candidate.battery_pct < self._around.policy.patrol_battery_pct:
            self._say(candidate.dock_sn, "charging")
            return False
        if airframe(candidate.drone.model) is None:
            self._say(candidate.dock_sn, f"model_unknown:{candidate.drone.model}")
            return False
        return True

    async def _replan(
        self,
        fleet: Sequence[Standing],
        wanted: Wanted,
        turns: Sequence[ThemeTurn],
        rested: Collection[str],
        at: datetime,
    ) -> None:
        around = self._around
        made = await around.think(
            partial(theme_sorties.plan, around.ground, fleet, wanted, turns, rested, at)
        )
        self._planning, self._planned_at = False, None
        self._commander.wake.set()
        if isinstance(made, NoPlan):
            self._timetable = None
            self._say("plan", f"{made.code}: {made.message}")
            return
        self._timetable = made
        visited = await around.store.site_visits()
        in_air = {code for f in await around.store.open_flights() for code in sites_of(f.mission)}
        told = shown(made, around.ground, load_site_rules(), visited, in_air)
        await around.store.put_plan(told)
        log.info(
            "planned",
            sorties=len(made.sorties),
            worst_idleness=round(made.worst_idleness, 2),
            lower_bound=round(made.lower_bound, 2),
        )

    def _standings(
        self, flights: Sequence[Flight], ready: set[str], at: datetime
    ) -> list[Standing]:
        commander, policy = self._commander, self._around.policy
        flying = {f.mission.drone_sn: f for f in flights}
        found = []
        for dock in commander.docks.values():
            drone = commander.drones.get(dock.drone_sn)
            if drone is None or airframe(drone.model) is None:
                continue
            stand = commander.stand(dock)
            battery = stand.battery_pct()
            flight = flying.get(drone.sn)
            if flight is not None:
                busy_s = max(1.0, remaining_s(flight)) + policy.climb_and_land_s
                used_pct = 100.0 * busy_s * policy.time_margin / drone.endurance_s
                left = None if battery is None else max(drone.reserve_pct, battery - used_pct)
                found.append(Standing(dock, drone, left, busy_s))
                continue
            against = refusals(stand, at, commander.stale_s, policy)
            # What a dock waits for by charging is part of the plan.
            why = tuple(r.code for r in against if r.code != "battery_low")
            charged = (battery or 0.0) >= policy.patrol_battery_pct
            busy_s = policy.rest_s if charged and dock.sn not in ready else 0.0
            found.append(Standing(dock, drone, battery, busy_s, why))
        return found

    async def _rest_of(
        self,
        dock: Dock,
        candidate: divert.Candidate,
        visits: Mapping[str, CellVisits],
        taken: Collection[str],
        at: datetime,
    ) -> Mission | None:
        """Return the rest of the dock's last patrol where it had to come home and can go on."""
        around, drone = self._around, candidate.drone
        last = await around.store.last_patrol(dock.sn)
        if last is None or last.open or last.mission.drone_sn != drone.sn:
            return None
        rest = resumed(last, visits, taken, around.policy.resume_within_s, at)
        if rest is None or rest.break_point is None:
            return None
        needed_s = rest_s(around.ground, last, rest.break_point, drone.cruise_m_s)
        enough = airtime_s(drone, candidate.battery_pct, around.policy) >= needed_s
        return rest if enough else None

    def _say(self, about: str, why: str) -> None:
        """Log a reason once, not each tick."""
        if self._said.get(about) != why:
            self._said[about] = why
            log.info("stays", about=about, why=why)

    def _idle(
        self, flights: Sequence[Flight], at: datetime, against: dict[str, str] | None = None
    ) -> list[divert.Candidate]:
        """Return the drones that could leave their docks now; `against` gets the others' codes."""
        commander, why_not = self._commander, {} if against is None else against
        busy = {f.mission.drone_sn for f in flights}
        found: list[divert.Candidate] = []
        if commander.permits.sky.stop is not None:
            self._say("all docks", "ground_stop")
            why_not |= {dock.drone_sn: "ground_stop" for dock in commander.docks.values()}
            return found
        for dock in commander.docks.values():
            drone = commander.drones.get(dock.drone_sn)
            if drone is None or drone.sn in busy or not commander.permits.commands(drone.sn):
                why_not[dock.drone_sn] = "on_flight" if dock.drone_sn in busy else "not_commanded"
                continue
            if commander.busy_s(dock.sn, at) > 0.0:
                self._say(dock.sn, "dock_busy")
                why_not[drone.sn] = "dock_busy"
                continue
            stand = commander.stand(dock)
            why = refusals(stand, at, commander.stale_s, self._around.policy)
            battery = stand.battery_pct()
            if why or battery is None:
                self._say(dock.sn, " ".join(refusal.code for refusal in why))
                why_not[drone.sn] = why[0].code if why else "battery_unknown"
                continue
            home = self._around.ground.docks[dock.sn]
            found.append(divert.Candidate(dock.sn, drone, home, home, battery))
        return found

    def _airborne(self, flights: Sequence[Flight], at: datetime) -> list[divert.Candidate]:
        """Patrols on their wayline, with nothing asked of them that is not yet answered."""
        commander, found = self._commander, []
        for flight in flights:
            on_way = (
                flight.mission.purpose is MissionPurpose.PATROL
                and flight.state is MissionState.FLYING
                and flight.status == "in_progress"
                and flight.current_step in _ON_WAYLINE_STEPS
                and flight.pending() is None
                and flight.last(Step.RETURN_HOME) is None
                and (flight.ordered is None or flight.ordered.order is Order.RESUME)
                and commander.permits.sky.control(flight.mission.drone_sn) is None
                and commander.permits.commands(flight.mission.drone_sn)
            )
            now = commander.here(flight.mission.drone_sn, at)
            if not on_way or now is None or now.position is None or now.battery_pct is None:
                continue
            mission, here = flight.mission, self._around.ground.local(now.position)
            found.append(
                divert.Candidate(
                    mission.dock_sn,
                    commander.drones[mission.drone_sn],
                    here,
                    self._around.ground.docks[mission.dock_sn],
                    now.battery_pct,
                    mission.mission_id,
                    remaining_s(flight),
                    stops_at(self._around.ground, flight, here),
                )
            )
        return found

    async def _plan_look(
        self,
        look: WantedLook,
        choice: divert.Choice,
        passed_over: tuple[PassedOver, ...],
        flights: Sequence[Flight],
        at: datetime,
    ) -> None:
        candidate, around = choice.candidate, self._around
        dock = self._commander.docks[candidate.dock_sn]
        look_s = self._commander.patience.look_s * around.policy.look_budget_share
        there, back = turns(around.ground, dock, choice)
        mission = Mission(
            mission_id=look.mission_id(),
            purpose=look.purpose,
            dock_sn=candidate.dock_sn,
            drone_sn=candidate.drone.sn,
            planned_at=at,
            cell_codes=(),
            wayline=look_wayline(around.ground, dock, choice, look_s),
            incident_id=look.incident_id,
            hazard_id=look.hazard_id,
            target=look.target,
            reason=choice.reason,
            kind=look.kind,
            passed_over=passed_over,
            turns=there,
            turns_back=back,
        )
        carrier = next((f for f in flights if f.mission.mission_id == candidate.patrol_id), None)
        if await self._commit(mission, carrier, choice, at):
            log.info("look given", mission=mission.mission_id, why=choice.why)
            self._repair(choice, carrier, at)

    def _repair(self, choice: divert.Choice, carrier: Flight | None, at: datetime) -> None:
        """Mend the timetable at once for the drone that is away; the next plan is made soon."""
        table, around = self._timetable, self._around
        self._made_at = None
        if table is None:
            return
        flights = [carrier] if carrier is not None else []
        ahead = () if choice.resumes or carrier is None else cells_ahead(carrier)
        fleet = schedule.docked(around.ground, self._standings(flights, set(), at))
        if choice.candidate.drone.sn not in fleet:
            return
        mended = repaired(
            table,
            fleet,
            around.ground.ways,
            schedule.rules(around.ground),
            drone_sn=choice.candidate.drone.sn,
            now_s=(at - table.made_at).total_seconds(),
            busy_s=choice.busy_s,
            released=schedule.visits_of(around.ground, choice.candidate.drone, ahead),
        )
        self._timetable = mended.timetable
        log.info("repaired", moved=len(mended.moved), dropped=len(mended.dropped))

    async def _plan_patrol(
        self, candidate: divert.Candidate, planned: PlannedSortie, at: datetime
    ) -> bool:
        drone, theme = candidate.drone, planned.theme
        ground = self._around.ground if theme is None else self._theme_grounds[theme.code]
        flown = sortie_of(ground, drone, planned)
        mission = Mission(
            mission_id=derive("mission", "patrol", candidate.dock_sn, instant_text(at)),
            purpose=MissionPurpose.PATROL,
            dock_sn=candidate.dock_sn,
            drone_sn=drone.sn,
            planned_at=at,
            cell_codes=flown.cell_codes,
            wayline=wayline(ground, drone, flown),
            reason="most_neglected" if theme is None else "theme_due",
            theme=theme,
        )
        # No file leaves here that a dock would refuse.
        faults = check(self._around.fold.wayline_file(mission) or b"")
        if faults:
            self._say(candidate.dock_sn, f"wayline_refused:{faults[0]}")
            return False
        return await self._commit(mission, None, None, at)

    async def _commit(
        self, mission: Mission, carrier: Flight | None, choice: divert.Choice | None, at: datetime
    ) -> bool:
        """Append the plan, and the diversion it needs, in one transaction; a drone taken or a
        flight moved on meanwhile leaves nothing behind. What could not take off is not planned."""
        around = self._around
        if carrier is None:
            permits = self._commander.permits
            mission = permits.planned_return(mission, at)
            others = permits.others(await around.store.open_flights(), mission.drone_sn, at)
            why = permits.take_off(mission, others, at)
            if why:
                self._say(mission.dock_sn, " ".join(f"{r.code}: {r.cure};" for r in why))
                return False
        try:
            async with around.ledger.transaction() as tx:
                if carrier is not None and choice is not None:
                    diverted = MissionDiverted(
                        carrier.mission.mission_id,
                        mission.mission_id,
                        () if choice.resumes else cells_ahead(carrier),
                        choice.reason,
                    )
                    stream = f"mission/{carrier.mission.mission_id}"
                    version = await tx.append(
                        stream, [diverted], at=at, actor="patrol", expected_version=carrier.version
                    )
                    await around.fold.event(tx, diverted, at, version)
                planned = MissionPlanned(mission)
                stream = f"mission/{mission.mission_id}"
                await tx.append(stream, [planned], at=at, actor="patrol", expected_version=0)
                await around.fold.event(tx, planned, at, 1)
        except (VersionConflict, DroneTakenError) as refusal:
            log.info("plan dropped", mission=mission.mission_id, why=repr(refusal))
            return False
        self._said.pop(mission.dock_sn, None)
        self._commander.wake.set()
        log.info(
            "mission planned",
            mission=mission.mission_id,
            purpose=mission.purpose.value,
            dock=mission.dock_sn,
            cells=len(mission.cell_codes),
            flight_s=mission.wayline.flight_time_s,
            why=mission.reason,
        )
        return True


def _theme_code(mission: Mission) -> str | None:
    return None if mission.theme is None else mission.theme.code


def _same_errand(mission: Mission, look: WantedLook) -> bool:
    if mission.purpose is not look.purpose:
        return False
    if look.incident_id is not None:
        return mission.incident_id == look.incident_id
    return mission.hazard_id == look.hazard_id
