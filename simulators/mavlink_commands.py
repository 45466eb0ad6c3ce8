"""What a MAVLink vehicle answers: commands, parameters, missions, pings.

What it cannot do it refuses by name, as the protocol asks; it never says yes and does nothing.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from domain.place import Position
from simulators.mavlink_vehicle import MavlinkVehicle, Message

ACCEPTED, TEMPORARILY_REJECTED, DENIED, UNSUPPORTED = 0, 1, 2, 3
AUTOPILOT_COMPONENT = 1
BY_FORCE = 21196
AUTOPILOT_VERSION_ID, HOME_POSITION_ID = 148, 242
RELATIVE_FRAMES = (3, 6)
AUTO_MODE, HOLD_SUB_MODE, MISSION_SUB_MODE, RETURN_SUB_MODE, LAND_SUB_MODE = 4, 3, 4, 5, 6
REAL32 = 9
TAKE_OFF_LEAST_PCT = 30.0
HEIGHT_LIMIT_M = 500.0


@dataclass(frozen=True, slots=True)
class Order:
    """A command, long or int. NaN is a parameter left open."""

    p1: float
    p2: float
    p3: float
    lat_deg: float
    lon_deg: float
    height_m: float
    relative: bool


def hear(vehicle: MavlinkVehicle, name: str, said: Mapping[str, Any], sender: int) -> list[Message]:
    """Return the answers to one message of system `sender`; none to what is another's."""
    if said.get("target_system", 0) not in (0, vehicle.options.system):
        return []
    if said.get("target_component", 0) not in (0, AUTOPILOT_COMPONENT):
        return []
    if name in ("COMMAND_LONG", "COMMAND_INT"):
        return _command(vehicle, name, said, sender)
    if name == "PARAM_REQUEST_READ":
        return _parameter(vehicle, said)
    if name == "PARAM_REQUEST_LIST":
        return [_value(vehicle, i) for i in range(len(vehicle.parameters))]
    if name == "PARAM_SET":
        return _set(vehicle, said)
    if (answers := vehicle.missions.hear(name, said, sender, vehicle.now_s)) is not None:
        return answers
    if name == "MISSION_SET_CURRENT":
        return [vehicle.mission_current()] if vehicle.choose_item(said["seq"]) else []
    if name == "PING" and said["target_system"] == 0:
        to = {"target_system": sender, "target_component": 0}
        return [("PING", {**to, "time_usec": said["time_usec"], "seq": said["seq"]})]
    if name == "TIMESYNC" and said["tc1"] == 0:
        return [("TIMESYNC", {"tc1": vehicle.boot_ms * 1_000_000, "ts1": said["ts1"]})]
    return []


def _command(
    vehicle: MavlinkVehicle, name: str, said: Mapping[str, Any], sender: int
) -> list[Message]:
    whole = name == "COMMAND_INT"
    order = Order(
        said["param1"], said["param2"], said["param3"],
        said["x"] / 1e7 if whole else said["param5"], said["y"] / 1e7 if whole else said["param6"],
        said["z"] if whole else said["param7"], whole and said["frame"] in RELATIVE_FRAMES,
    )  # fmt: skip
    number = int(said["command"])
    told: list[Message] = []
    if number in (512, 520):
        wanted = AUTOPILOT_VERSION_ID if number == 520 else order.p1
        known = {AUTOPILOT_VERSION_ID: vehicle.version, HOME_POSITION_ID: vehicle.home_position}
        told = [tell() for message, tell in known.items() if message == wanted]
        result = ACCEPTED if told else UNSUPPORTED
    elif (does := COMMANDS.get(number)) is not None:
        result = does(vehicle, order)
    else:
        result = UNSUPPORTED
    reply = {"command": number, "result": result, "target_system": sender}
    return [("COMMAND_ACK", reply), *told]


def _arm(vehicle: MavlinkVehicle, order: Order) -> int:
    if order.p1 == 1:
        vehicle.arm()
        return ACCEPTED
    if vehicle.flying.airborne and order.p2 != BY_FORCE:
        return TEMPORARILY_REJECTED
    vehicle.disarm()
    return ACCEPTED


def _take_off(vehicle: MavlinkVehicle, order: Order) -> int:
    low = vehicle.flying.motion.battery_pct < TAKE_OFF_LEAST_PCT
    if not vehicle.armed or vehicle.flying.airborne or low:
        return TEMPORARILY_REJECTED
    height_m = order.height_m - vehicle.options.ground_msl_m
    if math.isnan(height_m):
        height_m = vehicle.parameters["MIS_TAKEOFF_ALT"]
    if not 1.0 <= height_m <= HEIGHT_LIMIT_M:
        return DENIED
    vehicle.take_off(height_m)
    return ACCEPTED


def _airborne(does: Callable[[MavlinkVehicle], None]) -> Callable[[MavlinkVehicle, Order], int]:
    def command(vehicle: MavlinkVehicle, order: Order) -> int:
        if not vehicle.flying.airborne:
            return TEMPORARILY_REJECTED
        does(vehicle)
        return ACCEPTED

    return command


def _go_to(vehicle: MavlinkVehicle, order: Order) -> int:
    if not vehicle.flying.airborne:
        return TEMPORARILY_REJECTED
    height_m = order.height_m - (0.0 if order.relative else vehicle.options.ground_msl_m)
    if math.isnan(height_m):
        height_m = vehicle.flying.motion.z_m
    within = abs(order.lat_deg) <= 85 and abs(order.lon_deg) <= 180
    if not within or not 1.0 <= height_m <= HEIGHT_LIMIT_M:
        return DENIED
    vehicle.go_to(Position(order.lat_deg, order.lon_deg), height_m)
    return ACCEPTED


def _set_mode(vehicle: MavlinkVehicle, order: Order) -> int:
    if order.p2 != AUTO_MODE:
        return UNSUPPORTED
    if order.p3 == HOLD_SUB_MODE and not vehicle.flying.airborne:
        return ACCEPTED
    if order.p3 == MISSION_SUB_MODE:
        return _start_mission(vehicle, order)
    does = MODES.get(order.p3)
    return UNSUPPORTED if does is None else _airborne(does)(vehicle, order)


def _start_mission(vehicle: MavlinkVehicle, order: Order) -> int:
    low = vehicle.flying.motion.battery_pct < TAKE_OFF_LEAST_PCT
    if low and not vehicle.flying.airborne:
        return TEMPORARILY_REJECTED
    return ACCEPTED if vehicle.start_mission() else TEMPORARILY_REJECTED


def _choose_item(vehicle: MavlinkVehicle, order: Order) -> int:
    whole = math.isfinite(order.p1) and order.p1 == int(order.p1)
    return ACCEPTED if whole and vehicle.choose_item(int(order.p1)) else DENIED


MODES: Mapping[float, Callable[[MavlinkVehicle], None]] = {
    HOLD_SUB_MODE: MavlinkVehicle.hold,
    RETURN_SUB_MODE: MavlinkVehicle.go_home,
    LAND_SUB_MODE: MavlinkVehicle.land,
}
"""PX4's sub-modes of AUTO that can be chosen."""


COMMANDS: Mapping[int, Callable[[MavlinkVehicle, Order], int]] = {
    20: _airborne(MavlinkVehicle.go_home),
    21: _airborne(MavlinkVehicle.land),
    22: _take_off,
    176: _set_mode,
    192: _go_to,
    224: _choose_item,
    300: _start_mission,
    400: _arm,
}
"""MAV_CMD → what it does: return, land, take off, set mode, reposition, set mission item, start
mission, arm or disarm."""


def _parameter(vehicle: MavlinkVehicle, said: Mapping[str, Any]) -> list[Message]:
    index = said["param_index"]
    if index < 0:
        names = list(vehicle.parameters)
        index = names.index(said["param_id"]) if said["param_id"] in names else -1
    return [_value(vehicle, index)] if 0 <= index < len(vehicle.parameters) else []


def _set(vehicle: MavlinkVehicle, said: Mapping[str, Any]) -> list[Message]:
    name, value = said["param_id"], said["param_value"]
    if name not in vehicle.parameters:
        return []
    if said["param_type"] == REAL32 and 1.0 <= value <= HEIGHT_LIMIT_M:
        vehicle.parameters[name] = value
    return [_value(vehicle, list(vehicle.parameters).index(name))]


def _value(vehicle: MavlinkVehicle, index: int) -> Message:
    name = list(vehicle.parameters)[index]
    return "PARAM_VALUE", {
        "param_id": name.encode(), "param_value": vehicle.parameters[name],
        "param_type": REAL32, "param_count": len(vehicle.parameters), "param_index": index,
    }  # fmt: skip
