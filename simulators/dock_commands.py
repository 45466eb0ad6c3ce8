"""What a dock answers to each service call, and what it then does.

Result codes are the vendor's (DJI Cloud API error codes); 0 is agreed.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from simulators.dock import DockMachine
from simulators.dock_memory import Prepared
from simulators.drone import look_at
from simulators.osd import MODELS
from simulators.reply import Reply
from simulators.sortie import BROKEN_BY_RETURN, STEP_LANDING, Sortie, SortieKind, Stage, Start
from simulators.weather import Sky

OK = 0
UNKNOWN_FLIGHT = 314004
BATTERY_TOO_LOW = 316009
NOT_READY = 316010
BUSY = 319001
BAD_PARAMETER = 325001
NOT_FLYING = 325012
LOWEST_START_PCT = 30.0
STRONGEST_WIND_M_S = 12.0
HEAVIEST_RAIN = 1
EXECUTE_TIME_TOLERANCE_S = 30.0
PREPARED_LIMIT = 50
REST_POSITIONS = ("latitude", "longitude", "height")


Handler = Callable[[DockMachine, dict[str, Any], datetime], Reply]


def answer(machine: DockMachine, method: str, data: dict[str, Any], at: datetime) -> Reply:
    """Carry out one service call received at `at` and return the reply."""
    handler = _HANDLERS.get(method)
    if handler is None:
        return Reply(BAD_PARAMETER)
    try:
        return handler(machine, data, at)
    except (KeyError, TypeError, ValueError):
        return Reply(BAD_PARAMETER)


def start_refusal(battery_pct: float, sky: Sky) -> int:
    """Return why a take-off is refused now, or OK."""
    if battery_pct < LOWEST_START_PCT:
        return BATTERY_TOO_LOW
    if sky.wind.speed_m_s > STRONGEST_WIND_M_S or sky.rain_level > HEAVIEST_RAIN:
        return NOT_READY
    return OK


def _prepare(machine: DockMachine, data: dict[str, Any], at: datetime) -> Reply:
    flight_id = str(data["flight_id"])
    if int(data.get("task_type", 0)) == 0:
        off_s = abs(at.timestamp() - int(data["execute_time"]) / 1000.0)
        if off_s > EXECUTE_TIME_TOLERANCE_S:
            return Reply(BAD_PARAMETER)
    if machine.sortie is not None:
        return Reply(BUSY)
    refusal = start_refusal(_battery(machine), machine.weather.sky(at))
    if refusal:
        return Reply(refusal)
    left = tuple(p for p in machine.state.prepared if p.flight_id != flight_id)
    prepared = Prepared(flight_id, float(data.get("rth_altitude", 60.0)), _start(data))
    machine.state = replace(machine.state, prepared=(*left, prepared)[-PREPARED_LIMIT:])
    machine.dirty = True
    return Reply(OK)


def _execute(machine: DockMachine, data: dict[str, Any], at: datetime) -> Reply:
    flight_id = str(data["flight_id"])
    if machine.sortie is not None:
        if machine.sortie.flight_id == flight_id:
            machine.count("repeated_commands")
        return Reply(BUSY)
    prepared = next((p for p in machine.state.prepared if p.flight_id == flight_id), None)
    if prepared is None:
        if flight_id in machine.state.flown:
            machine.count("repeated_commands")
        return Reply(UNKNOWN_FLIGHT)
    refusal = start_refusal(_battery(machine), machine.weather.sky(at))
    if refusal:
        return Reply(refusal)
    now = machine.state.at
    machine.begin(
        Sortie(
            flight_id,
            SortieKind.WAYLINE,
            at,
            now,
            rth_height_m=prepared.rth_height_m,
            start=prepared.start,
        )
    )
    return Reply(OK)


def _start(data: dict[str, Any]) -> Start | None:
    told = data.get("break_point")
    if told is None:
        return None
    index, state, progress = int(told["index"]), int(told["state"]), float(told["progress"])
    if index < 0 or state not in (0, 1) or not 0.0 <= progress <= 1.0:
        raise ValueError("break_point")
    return Start(index, state, progress)


def _take_off_to_point(machine: DockMachine, data: dict[str, Any], at: datetime) -> Reply:
    flight_id = str(data["flight_id"])
    if machine.sortie is not None:
        if machine.sortie.flight_id == flight_id:
            machine.count("repeated_commands")
        return Reply(BUSY)
    x_m, y_m = machine.frame.to_local(
        float(data["target_latitude"]), float(data["target_longitude"])
    )
    z_m = float(data["target_height"]) - machine.dock.height_ellipsoid_m
    if not 2.0 <= z_m <= 1500.0:
        return Reply(BAD_PARAMETER)
    refusal = start_refusal(_battery(machine), machine.weather.sky(at))
    if refusal:
        return Reply(refusal)
    sortie = Sortie(
        flight_id,
        SortieKind.POINT,
        at,
        machine.state.at,
        takeoff_height_m=float(data.get("security_takeoff_height", 30.0)),
        rth_height_m=float(data.get("rth_altitude", 60.0)),
        target_x_m=x_m,
        target_y_m=y_m,
        target_z_m=z_m,
        speed_m_s=_speed(data),
    )
    machine.begin(sortie)
    return Reply(OK)


def _fly_to_point(machine: DockMachine, data: dict[str, Any], _: datetime) -> Reply:
    sortie = machine.sortie
    if sortie is None or not sortie.airborne or sortie.stage is Stage.HOMING:
        return Reply(NOT_FLYING)
    point = data["points"][0]
    lat, lon, height_m = (float(point[name]) for name in REST_POSITIONS)
    x_m, y_m = machine.frame.to_local(lat, lon)
    z_m = height_m - machine.dock.height_ellipsoid_m
    if not 2.0 <= z_m <= 1500.0:
        return Reply(BAD_PARAMETER)
    machine.fly_to(str(data["fly_to_id"]), x_m, y_m, z_m, _speed(data))
    return Reply(OK)


def _update_fly_to(machine: DockMachine, data: dict[str, Any], _: datetime) -> Reply:
    sortie = machine.sortie
    if sortie is None or sortie.stage is not Stage.ASIDE:
        return Reply(NOT_FLYING)
    point = data["points"][0]
    lat, lon, height_m = (float(point[name]) for name in REST_POSITIONS)
    x_m, y_m = machine.frame.to_local(lat, lon)
    z_m = height_m - machine.dock.height_ellipsoid_m
    if str(data["fly_to_id"]) != sortie.fly_to_id or not 2.0 <= z_m <= 1500.0:
        return Reply(BAD_PARAMETER)
    machine.fly_elsewhere(x_m, y_m, z_m)
    return Reply(OK)


def _stop_fly_to(machine: DockMachine, _: dict[str, Any], __: datetime) -> Reply:
    if machine.sortie is None or machine.sortie.stage is not Stage.ASIDE:
        return Reply(NOT_FLYING)
    machine.stop_fly_to()
    return Reply(OK)


def _pause(machine: DockMachine, _: dict[str, Any], __: datetime) -> Reply:
    sortie = machine.sortie
    if sortie is None or sortie.kind is not SortieKind.WAYLINE:
        return Reply(NOT_FLYING)
    if sortie.stage is Stage.OUTBOUND:
        machine.pause()
        return Reply(OK)
    return Reply(OK if sortie.stage in (Stage.PAUSED, Stage.ASIDE, Stage.OVER) else NOT_FLYING)


def _recover(machine: DockMachine, _: dict[str, Any], __: datetime) -> Reply:
    sortie = machine.sortie
    if sortie is None or sortie.kind is not SortieKind.WAYLINE:
        return Reply(NOT_FLYING)
    if sortie.complete or sortie.stage not in (Stage.PAUSED, Stage.ASIDE, Stage.OVER):
        return Reply(NOT_FLYING)
    machine.resume()
    return Reply(OK)


def _return_home(machine: DockMachine, _: dict[str, Any], __: datetime) -> Reply:
    sortie = machine.sortie
    if sortie is None or not sortie.airborne:
        return Reply(NOT_FLYING)
    if sortie.stage is not Stage.HOMING:
        machine.go_home(BROKEN_BY_RETURN)
    return Reply(OK)


def _cancel_return(machine: DockMachine, _: dict[str, Any], __: datetime) -> Reply:
    sortie = machine.sortie
    if sortie is None or sortie.stage is not Stage.HOMING or sortie.step == STEP_LANDING:
        return Reply(NOT_FLYING)
    if sortie.kind is SortieKind.WAYLINE and sortie.broke_index is None:
        # Its wayline is flown to the end: there is nothing to stay out for.
        return Reply(NOT_FLYING)
    machine.break_off_return()
    return Reply(OK)


def _undo(machine: DockMachine, data: dict[str, Any], _: datetime) -> Reply:
    wanted = {str(flight_id) for flight_id in data["flight_ids"]}
    sortie = machine.sortie
    known = {p.flight_id for p in machine.state.prepared}
    if sortie is not None and sortie.flight_id in wanted:
        if sortie.stage is not Stage.PREFLIGHT:
            return Reply(BUSY)
        machine.cancel()
    elif not wanted & known:
        return Reply(UNKNOWN_FLIGHT)
    left = tuple(p for p in machine.state.prepared if p.flight_id not in wanted)
    machine.state = replace(machine.state, prepared=left)
    machine.dirty = True
    return Reply(OK)


def _enter_drc(machine: DockMachine, data: dict[str, Any], _: datetime) -> Reply:
    hz = int(data.get("osd_frequency", 5))
    if not 1 <= hz <= 30:
        return Reply(BAD_PARAMETER)
    # The machine steps at 5 Hz: a faster wish is served at that pace.
    machine.set_drc(min(5.0, float(hz)))
    return Reply(OK)


def _leave_drc(machine: DockMachine, _: dict[str, Any], __: datetime) -> Reply:
    machine.set_drc(0.0)
    return Reply(OK)


def _update_areas(machine: DockMachine, _: dict[str, Any], __: datetime) -> Reply:
    # The aircraft is in the dock and idle, or the areas wait until it is.
    if machine.sortie is not None:
        return Reply(BUSY)
    machine.ask_areas()
    return Reply(OK)


def _grab_payload(machine: DockMachine, data: dict[str, Any], _: datetime) -> Reply:
    if machine.sortie is None or not machine.sortie.airborne:
        return Reply(NOT_FLYING)
    if data["payload_index"] != MODELS[machine.drone.model][2]:
        return Reply(BAD_PARAMETER)
    machine.state = replace(machine.state, payload_held=True)
    machine.dirty = True
    return Reply(OK)


def _payload_refusal(machine: DockMachine, data: dict[str, Any]) -> int:
    """Why a camera takes no command: nothing flies, another camera is meant, or it was not taken
    in hand (the vendor documents no code of its own for that)."""
    if machine.sortie is None or not machine.sortie.airborne:
        return NOT_FLYING
    known = data["payload_index"] == MODELS[machine.drone.model][2]
    return OK if known and machine.state.payload_held else BAD_PARAMETER


def _look_at(machine: DockMachine, data: dict[str, Any], _: datetime) -> Reply:
    refusal = _payload_refusal(machine, data)
    if refusal:
        return Reply(refusal)
    lat, lon, height_m = (float(data[name]) for name in REST_POSITIONS)
    if not 2.0 <= height_m <= 10_000.0 or not isinstance(data["locked"], bool):
        return Reply(BAD_PARAMETER)
    turned = look_at(machine.state.flying, *machine.frame.to_local(lat, lon))
    machine.state = replace(machine.state, flying=turned)
    machine.dirty = True
    return Reply(OK)


def _take_photo(machine: DockMachine, data: dict[str, Any], _: datetime) -> Reply:
    refusal = _payload_refusal(machine, data)
    if not refusal:
        machine.take_photo()
    return Reply(refusal)


def _agree(_: DockMachine, __: dict[str, Any], ___: datetime) -> Reply:
    return Reply(OK)


def _battery(machine: DockMachine) -> float:
    return machine.state.flying.motion.battery_pct


def _speed(data: dict[str, Any]) -> float:
    return max(1.0, min(15.0, float(data.get("max_speed", 12))))


_HANDLERS: dict[str, Handler] = {
    "flighttask_prepare": _prepare,
    "flighttask_execute": _execute,
    "flighttask_pause": _pause,
    "flighttask_recovery": _recover,
    "flighttask_undo": _undo,
    "return_home": _return_home,
    "return_home_cancel": _cancel_return,
    "takeoff_to_point": _take_off_to_point,
    "fly_to_point": _fly_to_point,
    "fly_to_point_update": _update_fly_to,
    "fly_to_point_stop": _stop_fly_to,
    "drc_mode_enter": _enter_drc,
    "drc_mode_exit": _leave_drc,
    "flight_authority_grab": _agree,
    "payload_authority_grab": _grab_payload,
    "camera_look_at": _look_at,
    "camera_photo_take": _take_photo,
    "flight_areas_update": _update_areas,
}
