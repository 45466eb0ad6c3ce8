"""A dock and its aircraft as one machine in clock time: commands in, properties and events out.

It decides and remembers; `dock_link` talks. All of its state is one value that can be saved, so a
dock whose simulator is killed goes on where it was, as the hardware would.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from domain.device import Dock, Drone
from domain.place import Position
from geo.frames import LocalFrame
from simulators import osd
from simulators.alarms import alarms_now
from simulators.dock_memory import DockPolicy, DockState, Said
from simulators.drone import (
    LIVE,
    PREPARING,
    STANDBY,
    WAYLINE,
    Flying,
    advance,
    depart,
    halt,
    homeward,
    redirect,
    to_point,
)
from simulators.flight_areas import KeepOut, locations
from simulators.kinematics import STEP_S, Airframe, homeward_pct
from simulators.return_fault import due
from simulators.sortie import (
    BROKEN_BY_BATTERY,
    CHECKS,
    REASON_TO_RESULT,
    RESOURCE,
    STEP_BEFORE_HOME,
    STEP_COVER,
    STEP_FLYING,
    STEP_LANDING,
    STEP_LEAVE,
    WRONG_RESUME_INDEX,
    Sortie,
    SortieKind,
    Stage,
    from_start,
    media_told,
    point_progress,
    resume_legs,
    takeoff_legs,
    wayline_legs,
    wayline_progress,
)
from simulators.wayline import FileWayline
from simulators.weather import Sky, Weather

FAILED_RESOURCE = 314009
TICKS_PER_S = round(1.0 / STEP_S)
OSD_EVERY_TICKS = 2 * TICKS_PER_S
PROGRESS_EVERY_TICKS = 10 * TICKS_PER_S
COVER_S = 5.0
BATTERY_MARGIN_PCT = 12.0
BATTERY_FLOOR_PCT = 20.0
BATTERY_FULL_PCT = 97.0
FLOWN_LIMIT = 200
PHOTOS_LIMIT = 100
ALARMS_EVERY_TICKS = 10 * TICKS_PER_S
AREAS_EVERY_TICKS = 10 * TICKS_PER_S
AREAS = "flight_areas_get"
ALARMS_REPEATED_TICKS = 300 * TICKS_PER_S


class DockMachine:
    """Steps a DockState. `count(name)` is told of take-offs, landings and repeated take-offs."""

    def __init__(
        self,
        dock: Dock,
        drone: Drone,
        frame: LocalFrame,
        weather: Weather,
        state: DockState,
        policy: DockPolicy,
        seed: int,
        count: Callable[[str], None],
    ) -> None:
        self.dock, self.drone, self.frame = dock, drone, frame
        self.weather, self.state, self.policy = weather, state, policy
        self.seed, self.count = seed, count
        self.airframe = Airframe(cruise_m_s=drone.cruise_m_s, endurance_s=drone.endurance_s)
        self.phase = sum(dock.sn.encode()) % OSD_EVERY_TICKS
        self.dirty = False
        self._said: list[Said] = []

    @property
    def sortie(self) -> Sortie | None:
        return self.state.sortie

    def position(self) -> Position:
        m = self.state.flying.motion
        return self.frame.to_position(m.x_m, m.y_m)

    # stepping

    def advance(self, at: datetime) -> list[Said]:
        """Step up to `at` and return what is to be said, in order."""
        while self.state.at + timedelta(seconds=STEP_S) <= at:
            self.state = replace(self.state, tick=self.state.tick + 1)
            self._tick()
        said, self._said = self._said, []
        return said

    def skip_to(self, at: datetime) -> None:
        """Go on at `at` without living the time between: the simulator was away."""
        ticks = int((at - self.state.began).total_seconds() / STEP_S)
        behind = ticks - self.state.tick
        if behind > 0:
            s = self.state
            self.state = replace(s, tick=ticks, told_tick=s.told_tick + behind)

    def _tick(self) -> None:
        sky = self.weather.sky(self.state.at)
        flying = self.state.flying
        if flying.airborne:
            self.state = replace(self.state, flying=advance(flying, sky.wind, self.airframe))
        elif flying.motion.battery_pct < BATTERY_FULL_PCT and self.sortie is None:
            charged = flying.motion.battery_pct + self.policy.charge_pct_s * STEP_S
            motion = replace(flying.motion, battery_pct=min(BATTERY_FULL_PCT, charged))
            self.state = replace(self.state, flying=replace(flying, motion=motion))
        if self.sortie is not None:
            self._fly(sky)
        self._show(sky)

    def _fly(self, sky: Sky) -> None:
        sortie = self.sortie
        assert sortie is not None
        if sortie.stage is Stage.PREFLIGHT:
            self._preflight(sortie)
        elif sortie.stage is Stage.CLOSING:
            self._close(sortie)
        elif sortie.stage is Stage.HOMING:
            self._home(sortie)
        else:
            self._on_task(sortie, sky)
        self._tell_progress()

    # stages

    def _preflight(self, sortie: Sortie) -> None:
        checks = CHECKS[sortie.kind]
        check = checks[sortie.check]
        if check.ask and not sortie.asked:
            data = {"flight_id": sortie.flight_id} if check.ask == RESOURCE else {}
            self._said.append(Said("ask", self.dock.sn, self.state.at, data, check.ask))
            sortie = replace(sortie, asked=True, since=self.state.at)
        waited_s = (self.state.at - sortie.since).total_seconds()
        waiting = check.ask is not None and not sortie.answered
        if waiting and waited_s < self.policy.answer_timeout_s:
            self._set(replace(sortie, step=check.step))
        elif waiting and check.ask == RESOURCE:
            self._fail(sortie, FAILED_RESOURCE)
        elif waited_s < check.lasts_s:
            self._set(replace(sortie, step=check.step))
        elif sortie.check + 1 < len(checks):
            sortie = replace(
                sortie, check=sortie.check + 1, asked=False, answered=False, since=self.state.at
            )
            self._set(replace(sortie, step=checks[sortie.check].step))
            self.dirty = True
        else:
            self._take_off(sortie)

    def _take_off(self, sortie: Sortie) -> None:
        if sortie.flight_id in self.state.flown:
            self.count("double_takeoffs")
        self.count("takeoffs")
        flown = (*self.state.flown, sortie.flight_id)[-FLOWN_LIMIT:]
        flying = depart(self.state.flying, takeoff_legs(sortie, self.state.flying))
        self.state = replace(
            self.state, flown=flown, flying=flying, jobs=self.state.jobs + 1, payload_held=False
        )
        self._set(replace(sortie, stage=Stage.OUTBOUND, step=STEP_FLYING, since=self.state.at))
        self.dirty = True

    def _on_task(self, sortie: Sortie, sky: Sky) -> None:
        flying = self.state.flying
        if self.state.tick % TICKS_PER_S == 0 and self._battery_low(flying, sky):
            self.go_home(BROKEN_BY_BATTERY)
            return
        if not flying.done:
            return
        if sortie.stage is Stage.OUTBOUND and sortie.kind is SortieKind.WAYLINE:
            self._set(replace(sortie, complete=True, step=STEP_BEFORE_HOME))
            self.go_home(None)
        elif sortie.stage in (Stage.OUTBOUND, Stage.ASIDE):
            complete = sortie.complete or sortie.kind is SortieKind.POINT
            self._set(replace(sortie, stage=Stage.OVER, complete=complete, since=self.state.at))
            self.dirty = True

    def _battery_low(self, flying: Flying, sky: Sky) -> bool:
        need = homeward_pct(flying.home_distance_m, flying.motion.z_m, sky.wind, self.airframe)
        return flying.motion.battery_pct <= max(BATTERY_FLOOR_PCT, need + BATTERY_MARGIN_PCT)

    def go_home(self, reason: int | None) -> None:
        """Turn for home; `reason` is the vendor's break reason, None after a finished flight."""
        sortie = self.sortie
        assert sortie is not None
        self._end_aside(sortie)
        self._over_giving_up()
        flying = self.state.flying
        if reason is not None and sortie.broke_index is None and not sortie.complete:
            sortie = self._broken(sortie)
        if sortie.kind is SortieKind.POINT and not sortie.complete:
            self._tell_point(sortie, "wayline_cancel")
        sortie = replace(
            sortie,
            stage=Stage.HOMING,
            step=STEP_BEFORE_HOME,
            break_reason=reason,
            fly_to_id=None,
            since=self.state.at,
            complete=sortie.complete and not self._left_undone(sortie),
        )
        self.state = replace(
            self.state, flying=homeward(flying, sortie.rth_height_m, self.airframe)
        )
        self._set(sortie)
        self.dirty = True

    def break_off_return(self) -> None:
        """Hover where it is: a wayline can be resumed, a flight to a point is over."""
        sortie = self.sortie
        assert sortie is not None
        paused = sortie.broke_index is not None
        stage, mode = (Stage.PAUSED, WAYLINE) if paused else (Stage.OVER, LIVE)
        self._set(replace(sortie, stage=stage, step=STEP_FLYING, since=self.state.at))
        self.state = replace(self.state, flying=halt(self.state.flying, mode), over_told=True)
        self.dirty = True

    def _gives_up(self, sortie: Sortie) -> bool:
        """Give up the return where a fault says so: hover, and tell."""
        homing_s, jobs = (self.state.at - sortie.since).total_seconds(), self.state.jobs
        fault = due(self.policy.return_faults, self.dock.sn, jobs, homing_s)
        if fault is None or self.state.gave_up_on_job == jobs or sortie.step == STEP_LANDING:
            return False
        self.break_off_return()
        self.state = replace(self.state, gave_up=fault.reason, gave_up_on_job=jobs)
        self._tell_giving_up(1, fault.reason)
        return True

    def _over_giving_up(self) -> None:
        """It does something else than hover after a return it gave up."""
        reason = self.state.gave_up
        if reason is not None:
            self.state = replace(self.state, gave_up=None)
            self._tell_giving_up(0, reason)

    def _tell_giving_up(self, action: int, reason: int) -> None:
        data = {"sn": self.dock.sn, "action": action, "reason": reason}
        self._event("device_exit_homing_notify", data)

    def _left_undone(self, sortie: Sortie) -> bool:
        return sortie.kind is SortieKind.WAYLINE and sortie.broke_index is not None

    def _home(self, sortie: Sortie) -> None:
        flying = self.state.flying
        if flying.airborne and self._gives_up(sortie):
            return
        if not flying.airborne:
            self.count("landings")
            self._set(replace(sortie, stage=Stage.CLOSING, step=STEP_COVER, since=self.state.at))
            self.dirty = True
        elif flying.leg >= 2 and sortie.step != STEP_LANDING:
            self._set(replace(sortie, step=STEP_LANDING))

    def _close(self, sortie: Sortie) -> None:
        waited_s = (self.state.at - sortie.since).total_seconds()
        if waited_s >= COVER_S and sortie.step == STEP_COVER:
            self._set(replace(sortie, step=STEP_LEAVE))
        elif waited_s >= 2 * COVER_S or sortie.cancelled or sortie.result:
            self._end(sortie)

    def _end(self, sortie: Sortie) -> None:
        if sortie.kind is SortieKind.WAYLINE:
            self._tell_wayline(sortie, sortie.ending)
        else:
            endings = {"failed": "wayline_failed", "canceled": "wayline_cancel"}
            self._tell_point(sortie, endings.get(sortie.ending, "task_finish"))
        if sortie.flight_id in self.state.flown:
            self._tell_media(sortie)
        self.state = replace(
            self.state, sortie=None, told="", over_told=False, payload_held=False
        )
        self.dirty = True

    def _tell_media(self, sortie: Sortie) -> None:
        """A wayline is recorded from its first point to its last; photographs come beside it."""
        over = self.frame.to_position(sortie.target_x_m, sortie.target_y_m)
        where = over if sortie.photos else self.position()
        for data in media_told(sortie, where, self.state.at):
            self._event("file_upload_callback", data)

    def _fail(self, sortie: Sortie, result: int) -> None:
        self._set(replace(sortie, stage=Stage.CLOSING, result=result, since=self.state.at))
        self.dirty = True

    # what the server answers

    def answered(self, method: str, flight_id: str | None) -> None:
        """The server answered what was asked before take-off."""
        sortie = self.sortie
        if sortie is None or sortie.stage is not Stage.PREFLIGHT:
            return
        check = CHECKS[sortie.kind][sortie.check]
        if check.ask == method and flight_id in (None, sortie.flight_id):
            self._set(replace(sortie, answered=True))

    def supply(self, flight_id: str, wayline: FileWayline | None) -> None:
        """Give the wayline's file, or None when it could not be had or was refused."""
        sortie = self.sortie
        if sortie is None or sortie.flight_id != flight_id or sortie.stage is not Stage.PREFLIGHT:
            return
        if wayline is None:
            self._fail(sortie, FAILED_RESOURCE)
            return
        legs = wayline_legs(wayline, self.frame, self.dock.height_ellipsoid_m)
        try:
            legs = from_start(legs, sortie.start) if sortie.start is not None else legs
        except ValueError:
            self._fail(sortie, REASON_TO_RESULT + WRONG_RESUME_INDEX)
            return
        sortie = replace(
            sortie,
            legs=legs,
            takeoff_height_m=wayline.takeoff_height_m,
            speed_m_s=wayline.transit_m_s,
            rth_height_m=max(sortie.rth_height_m, wayline.rth_height_m),
        )
        self._set(sortie)
        self.answered(RESOURCE, flight_id)
        self.dirty = True

    # flight commands (the checks are dock_commands')

    def begin(self, sortie: Sortie) -> None:
        left = tuple(p for p in self.state.prepared if p.flight_id != sortie.flight_id)
        self.state = replace(self.state, prepared=left, told="", over_told=False)
        self._set(sortie)
        self.dirty = True

    def pause(self) -> None:
        sortie = self.sortie
        assert sortie is not None
        self._set(replace(self._broken(sortie), stage=Stage.PAUSED, since=self.state.at))
        self.state = replace(self.state, flying=halt(self.state.flying))
        self.dirty = True

    def resume(self) -> None:
        sortie = self.sortie
        assert sortie is not None
        self._end_aside(sortie)
        self._over_giving_up()
        flying = redirect(self.state.flying, resume_legs(sortie))
        self.state = replace(self.state, flying=flying, over_told=False)
        self._set(
            replace(
                sortie,
                stage=Stage.OUTBOUND,
                fly_to_id=None,
                broke_index=None,
                break_reason=None,
                complete=False,
                step=STEP_FLYING,
            )
        )
        self.dirty = True

    def fly_to(self, fly_to_id: str, x_m: float, y_m: float, z_m: float, speed_m_s: float) -> None:
        sortie = self.sortie
        assert sortie is not None
        self._end_aside(sortie)
        self._over_giving_up()
        if sortie.stage is Stage.OUTBOUND and sortie.kind is SortieKind.WAYLINE:
            sortie = self._broken(sortie)
        self._set(
            replace(
                sortie,
                stage=Stage.ASIDE,
                fly_to_id=fly_to_id,
                target_x_m=x_m,
                target_y_m=y_m,
                target_z_m=z_m,
                since=self.state.at,
            )
        )
        flying = to_point(self.state.flying, x_m, y_m, z_m, speed_m_s)
        self.state = replace(self.state, flying=flying, over_told=False)
        self.dirty = True

    def fly_elsewhere(self, x_m: float, y_m: float, z_m: float) -> None:
        """Fly to another point than the one under way, under the same name."""
        sortie = self.sortie
        assert sortie is not None
        self._set(replace(sortie, target_x_m=x_m, target_y_m=y_m, target_z_m=z_m))
        flying = to_point(self.state.flying, x_m, y_m, z_m, sortie.speed_m_s)
        self.state = replace(self.state, flying=flying, told="", over_told=False)
        self.dirty = True

    def stop_fly_to(self) -> None:
        sortie = self.sortie
        assert sortie is not None
        self._end_aside(sortie)
        self.state = replace(self.state, flying=halt(self.state.flying), over_told=True)
        self._set(replace(sortie, stage=Stage.OVER, fly_to_id=None))
        self.dirty = True

    def take_photo(self) -> None:
        """Take a photograph: kept for the way home, and seen at once in the picture stream."""
        sortie, s = self.sortie, self.state
        assert sortie is not None
        self._set(replace(sortie, photos=(*sortie.photos, s.at)[-PHOTOS_LIMIT:]))
        self._said.append(
            Said(
                "frame", self.drone.sn, s.at, {}, flying=s.flying, flight_id=sortie.flight_id
            )
        )
        self.dirty = True

    def cancel(self) -> None:
        """Undo a flight that has not taken off."""
        sortie = self.sortie
        assert sortie is not None
        self._set(replace(sortie, stage=Stage.CLOSING, cancelled=True, since=self.state.at))
        self.dirty = True

    def ask_areas(self) -> None:
        """The server has other flight areas: ask for them."""
        self.tell_areas("wait_sync")
        self._said.append(Said("ask", self.dock.sn, self.state.at, {}, AREAS))

    def keep_areas(self, checksum: str, areas: tuple[KeepOut, ...]) -> None:
        self.state = replace(self.state, area_checksum=checksum, areas=areas)
        self.dirty = True

    def tell_areas(self, status: str, reason: int = 0, name: str = "", checksum: str = "") -> None:
        data = {"status": status, "reason": reason, "file": {"name": name, "checksum": checksum}}
        self._event("flight_areas_sync_progress", data)

    def set_drc(self, hz: float) -> None:
        self.state = replace(self.state, drc_hz=hz)

    def _broken(self, sortie: Sortie) -> Sortie:
        flying, m = self.state.flying, self.state.flying.motion
        return replace(
            sortie,
            broke_index=flying.waypoint or 0,
            broke_x_m=m.x_m,
            broke_y_m=m.y_m,
            broke_z_m=m.z_m,
        )

    def _end_aside(self, sortie: Sortie) -> None:
        if sortie.stage is Stage.ASIDE and sortie.fly_to_id is not None:
            self._tell_fly_to(sortie, "wayline_cancel")

    # what is said

    def _set(self, sortie: Sortie) -> None:
        self.state = replace(self.state, sortie=sortie)

    def _event(self, method: str, data: dict[str, Any]) -> None:
        self._said.append(Said("event", self.dock.sn, self.state.at, data, method))

    def _tell_progress(self) -> None:
        """Tell of the flight when its status, step or waypoint changed, and every ten seconds."""
        sortie = self.sortie
        if sortie is None:
            return
        key = f"{sortie.stage}/{sortie.step}/{self.state.flying.waypoint}/{sortie.fly_to_id}"
        late = self.state.tick - self.state.told_tick >= PROGRESS_EVERY_TICKS
        if key == self.state.told and not late:
            return
        self.state = replace(self.state, told=key, told_tick=self.state.tick)
        if sortie.kind is SortieKind.WAYLINE:
            self._tell_wayline(sortie, sortie.status)
        elif sortie.stage is Stage.PREFLIGHT:
            if sortie.step == CHECKS[SortieKind.POINT][-1].step:
                self._tell_point(sortie, "task_ready")
        elif sortie.stage is Stage.OUTBOUND:
            self._tell_point(sortie, "wayline_progress")
        self._tell_over(sortie)

    def _tell_over(self, sortie: Sortie) -> None:
        if sortie.stage is Stage.ASIDE:
            self._tell_fly_to(sortie, "wayline_progress")
        elif sortie.stage is Stage.OVER and not self.state.over_told:
            self.state = replace(self.state, over_told=True)
            if sortie.fly_to_id is not None:
                self._tell_fly_to(sortie, "wayline_ok")
            else:
                self._tell_point(sortie, "wayline_ok")

    def _tell_wayline(self, sortie: Sortie, status: str) -> None:
        where = self.frame.to_position(sortie.broke_x_m, sortie.broke_y_m)
        height_m = self.dock.height_ellipsoid_m + sortie.broke_z_m
        data = wayline_progress(sortie, self.state.flying, status, where, height_m)
        self._event("flighttask_progress", data)

    def _point_data(self, sortie: Sortie, status: str) -> dict[str, Any]:
        target = self.frame.to_position(sortie.target_x_m, sortie.target_y_m)
        height_m = self.dock.height_ellipsoid_m + sortie.target_z_m
        return point_progress(sortie, self.state.flying, status, target, height_m)

    def _tell_point(self, sortie: Sortie, status: str) -> None:
        data = self._point_data(sortie, status)
        data |= {"flight_id": sortie.flight_id, "track_id": sortie.flight_id}
        self._event("takeoff_to_point_progress", data)

    def _tell_fly_to(self, sortie: Sortie, status: str) -> None:
        data = self._point_data(sortie, status) | {"fly_to_id": sortie.fly_to_id}
        self._event("fly_to_point_progress", data)

    def _show(self, sky: Sky) -> None:
        s = self.state
        slot = (s.tick + self.phase) % OSD_EVERY_TICKS
        if slot in (0, 2, 4):
            data = osd.dock_osd(self._shown(), s.flying, sky)[slot // 2]
            self._said.append(Said("osd", self.dock.sn, s.at, data))
        elif slot in (6, 8):
            data = self._aircraft(sky)[(slot - 6) // 2]
            self._said.append(Said("osd", self.drone.sn, s.at, data))
        if s.flying.airborne:
            self._show_flight()
        if s.tick % ALARMS_EVERY_TICKS == 0:
            self._show_alarms()

    def _show_flight(self) -> None:
        s = self.state
        if s.drc_hz > 0 and s.tick % max(1, round(TICKS_PER_S / s.drc_hz)) == 0:
            data = osd.drc_pose(s.flying, self.position(), self.dock.height_ellipsoid_m)
            s = self.state = replace(s, drc_seq=s.drc_seq + 1)
            self._said.append(
                Said("drc", self.dock.sn, s.at, {"seq": s.drc_seq, "data": data}, "osd_info_push")
            )
        if s.areas and s.tick % AREAS_EVERY_TICKS == 0:
            m = s.flying.motion
            near = locations(s.areas, self.frame, m.x_m, m.y_m)
            if near:
                self._event("flight_areas_drone_location", {"drone_locations": near})
        sortie = self.sortie
        holding = sortie is not None and sortie.stage is Stage.OVER
        every_s = self.policy.frame_every_holding_s if holding else self.policy.frame_every_s
        if s.tick - s.frame_tick >= every_s / STEP_S and s.flying.motion.z_m > 5.0:
            self.state = replace(s, frame_tick=s.tick)
            flight_id = sortie.flight_id if sortie else None
            self._said.append(
                Said("frame", self.drone.sn, s.at, {}, flying=s.flying, flight_id=flight_id)
            )

    def _show_alarms(self) -> None:
        s = self.state
        alarms = alarms_now(self.seed, self.dock.sn, s.at)
        codes = tuple(a["code"] for a in alarms)
        late = bool(codes) and s.tick - s.alarms_tick >= ALARMS_REPEATED_TICKS
        if codes != s.alarms or late:
            self.state = replace(s, alarms=codes, alarms_tick=s.tick)
            self._event("hms", {"list": alarms})

    def _aircraft(self, sky: Sky) -> list[dict[str, Any]]:
        flying = self.state.flying
        if self.sortie is not None and not flying.airborne and flying.mode == STANDBY:
            flying = replace(flying, mode=PREPARING)
        return osd.aircraft_osd(
            flying, self.position(), self.dock.height_ellipsoid_m, sky, self.drone
        )

    def _shown(self) -> osd.DockShown:
        s, sortie = self.state, self.sortie
        step_code = 5
        if sortie is not None:
            step_code = {Stage.PREFLIGHT: 0, Stage.HOMING: 2, Stage.CLOSING: 2}.get(sortie.stage, 1)
        inside = not s.flying.airborne
        return osd.DockShown(
            position=self.dock.position,
            height_ellipsoid_m=self.dock.height_ellipsoid_m,
            drone_sn=self.drone.sn,
            model_key=osd.model_key(self.drone.model),
            working=sortie is not None,
            step_code=step_code,
            cover_open=sortie is not None and (sortie.step >= 7 or sortie.airborne),
            drone_inside=inside,
            charging=inside and sortie is None and s.flying.motion.battery_pct < BATTERY_FULL_PCT,
            jobs=s.jobs,
            first_power_on_ms=round(s.began.timestamp() * 1000),
        )
