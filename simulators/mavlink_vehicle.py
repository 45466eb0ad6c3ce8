"""A MAVLink vehicle as one machine in clock time: commands in, messages out.

It wears PX4's modes and stands for no product. Messages are (name, fields) of the common dialect;
`mavlink_radio` puts them on the wire.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from domain.place import Position
from geo.frames import LocalFrame
from simulators.drone import (
    HOMING,
    LANDING,
    LIVE,
    TAKING_OFF,
    WAYLINE,
    Leg,
    advance,
    depart,
    halt,
    homeward,
    redirect,
    standing,
)
from simulators.kinematics import STEP_S, Airframe, Wind
from simulators.mavlink_missions import Item, Missions

Message = tuple[str, dict[str, Any]]

TICKS_PER_S = round(1 / STEP_S)
BOOTED_BEFORE_MS = 10_000
"""How long it has been on when it is first heard."""
CATCH_UP_LIMIT_S = 2.0
"""A longer pause of its process is skipped, not flown."""
DISARM_AFTER_S = 2.0
CLIMB_M_S = 3.0
CRUISE_M_S = 8.0
RETURN_HEIGHT_M = 30.0
ROUNDS_HEIGHT_M = 30.0
ROUNDS_LEAST_PCT = 40.0
QUADROTOR, PX4 = 2, 12
ARMED, CUSTOM_MODE = 128, 1
STANDBY_STATE, ACTIVE_STATE = 3, 4
ON_GROUND, IN_AIR, TAKES_OFF, LANDS = 1, 2, 3, 4
NO_MISSION, NOT_STARTED, MISSION_ACTIVE, PAUSED, COMPLETE = 1, 2, 3, 4, 5
GO_HOME, LAND_HERE, TAKE_OFF, LOITER, WAYPOINT, CHANGE_SPEED = 20, 21, 22, 19, 16, 178
AUTO = 4 << 16
SUB_MODE = {TAKING_OFF: 2, WAYLINE: 4, HOMING: 5, LANDING: 6}
HOLD = 3
SENSORS = 1 | 2 | 4 | 32 | 0x1000_0000
"""Gyroscope, accelerometer, compass, GPS, ready to arm."""
CAPABILITIES = 4 | 8 | 8192 | 16384 | 32768 | 131072
"""MISSION_INT, COMMAND_INT, MAVLink 2, fence and rally missions, parameters as bytes."""
CELL_MV, CELLS = 3900, 4
UNUSED_CELL = 65535


@dataclass(frozen=True, slots=True)
class VehicleOptions:
    """`rounds_m`: half the side of the squares it flies by itself; None waits for commands."""

    system: int
    home: Position
    ground_msl_m: float = 11.0
    geoid_m: float = -4.5
    """Sea level above the ellipsoid."""
    battery_pct: float = 90.0
    rounds_m: float | None = None


class MavlinkVehicle:
    """One vehicle; all its times are the clock's."""

    def __init__(self, options: VehicleOptions, at: datetime) -> None:
        self.options = options
        self.started = self.at = at
        self.frame = LocalFrame(options.home)
        self.airframe, self.wind = Airframe(), Wind()
        self.flying = standing(0.0, 0.0, options.battery_pct)
        self.armed = False
        self.parameters = {"MIS_TAKEOFF_ALT": 10.0, "RTL_RETURN_ALT": RETURN_HEIGHT_M}
        self.missions = Missions()
        self.mission_seq = 0
        """The item done now, or next."""
        self.mission_state = NO_MISSION
        self._mission_of = 0
        self._told_leg = 0
        self._ticks = 0
        self._grounded_s = 0.0

    @property
    def now_s(self) -> float:
        return (self.at - self.started).total_seconds()

    @property
    def boot_ms(self) -> int:
        return BOOTED_BEFORE_MS + round((self.at - self.started).total_seconds() * 1000)

    def advance_to(self, at: datetime) -> Iterator[Message]:
        """Fly in whole steps up to `at`, and give what is said on the way."""
        behind_s = (at - self.at).total_seconds()
        if behind_s > CATCH_UP_LIMIT_S:
            self.at = at - timedelta(seconds=STEP_S)
        while (at - self.at).total_seconds() >= STEP_S:
            self.at += timedelta(seconds=STEP_S)
            self.flying = advance(self.flying, self.wind, self.airframe)
            self._settle()
            yield from self.missions.tick(self.now_s)
            yield from self._fly_mission()
            yield from self._often()
            if self._ticks % TICKS_PER_S == 0:
                yield from self._each_second()
            self._ticks += 1

    def arm(self) -> None:
        self.armed, self._grounded_s = True, 0.0

    def disarm(self) -> None:
        """Stop the motors; what is in the air comes down."""
        self.armed = False
        if self.flying.airborne:
            self.flying = standing(0.0, 0.0, self.flying.motion.battery_pct)

    def take_off(self, height_m: float) -> None:
        m = self.flying.motion
        self.flying = depart(self.flying, (Leg(m.x_m, m.y_m, height_m, CLIMB_M_S, TAKING_OFF),))

    def land(self) -> None:
        """Come down here; this is home from now on."""
        m = self.flying.motion
        leg = Leg(m.x_m, m.y_m, 0.0, 2.0, LANDING)
        self.flying = redirect(replace(self.flying, home_x_m=m.x_m, home_y_m=m.y_m), (leg,))

    def go_home(self) -> None:
        self.flying = homeward(self.flying, self.parameters["RTL_RETURN_ALT"], self.airframe)

    def hold(self) -> None:
        flying = halt(self.flying)
        self.flying = replace(flying, legs=tuple(replace(leg, mode=LIVE) for leg in flying.legs))

    def go_to(self, place: Position, height_rel_m: float) -> None:
        x_m, y_m = self.frame.to_local(place.lat_deg, place.lon_deg)
        self.flying = redirect(self.flying, (Leg(x_m, y_m, height_rel_m, CRUISE_M_S, LIVE),))

    def _notice_mission(self) -> None:
        """A mission that took another's place begins at its first item."""
        if self._mission_of != self.missions.changed:
            self._mission_of, self.mission_seq = self.missions.changed, 0
            self.mission_state = NOT_STARTED if self.missions.items else NO_MISSION

    def start_mission(self) -> bool:
        """Fly the stored mission from its current item; False where there is none to fly."""
        self._notice_mission()
        legs = self._mission_legs(self.mission_seq)
        if not legs or not self.armed:
            return False
        if self.flying.airborne:
            self.flying = redirect(self.flying, legs)
        else:
            self.flying = depart(self.flying, legs)
        self.mission_state, self._told_leg = MISSION_ACTIVE, 0
        return True

    def choose_item(self, seq: int) -> bool:
        """Go on with another item of the mission, at once where it is being flown."""
        if not 0 <= seq < len(self.missions.items):
            return False
        self.mission_seq = seq
        if self.mission_state == MISSION_ACTIVE:
            self.start_mission()
        return True

    def _mission_legs(self, first: int) -> tuple[Leg, ...]:
        """Return the legs of the mission's items from `first` up to a return or a landing."""
        legs: list[Leg] = []
        speed_m_s, m = CRUISE_M_S, self.flying.motion
        high_m = m.z_m
        for seq, item in enumerate(self.missions.items):
            if item.command == CHANGE_SPEED and item.p2 > 0:
                speed_m_s = item.p2
            if seq < first:
                continue
            if item.command == GO_HOME:
                break
            if item.command not in (TAKE_OFF, WAYPOINT, LOITER, LAND_HERE):
                continue
            x_m, y_m, z_m = self._item_place(item)
            if item.command == TAKE_OFF:
                # Straight up; a vehicle in the air climbs where it is.
                legs.append(Leg(m.x_m, m.y_m, z_m, CLIMB_M_S, TAKING_OFF, index=seq))
            elif item.command == LAND_HERE:
                legs.append(Leg(x_m, y_m, high_m, speed_m_s, WAYLINE))
                legs.append(Leg(x_m, y_m, 0.0, 2.0, LANDING, index=seq))
                break
            else:
                legs.append(Leg(x_m, y_m, z_m, speed_m_s, WAYLINE, hover_s=item.p1, index=seq))
            high_m = z_m
        if legs and not self.flying.airborne and legs[0].mode != TAKING_OFF:
            up_m = max(self.parameters["MIS_TAKEOFF_ALT"], legs[0].z_m)
            legs.insert(0, Leg(m.x_m, m.y_m, up_m, CLIMB_M_S, TAKING_OFF, index=first))
        return tuple(legs)

    def _item_place(self, item: Item) -> tuple[float, float, float]:
        x_m, y_m = self.frame.to_local(item.x / 1e7, item.y / 1e7)
        return x_m, y_m, item.z - (0.0 if item.relative else self.options.ground_msl_m)

    def _fly_mission(self) -> Iterator[Message]:
        """Tell each item that is behind; at the end of the legs go home where the mission says."""
        self._notice_mission()
        if self.mission_state != MISSION_ACTIVE:
            return
        flying, items = self.flying, self.missions.items
        left = flying.mode not in (WAYLINE, TAKING_OFF, LANDING) and flying.airborne
        if left:
            # Another order has taken the vehicle off its mission.
            self.mission_state = PAUSED
            return
        if not flying.airborne:
            # It has landed as its last item says.
            yield "MISSION_ITEM_REACHED", {"seq": self.mission_seq}
            self.mission_state = COMPLETE
            return
        for leg in flying.legs[self._told_leg : flying.leg]:
            climbed_first = leg.mode == TAKING_OFF and items[leg.index or 0].command != TAKE_OFF
            if leg.index is not None and not climbed_first:
                yield "MISSION_ITEM_REACHED", {"seq": leg.index}
                self.mission_seq = min(leg.index + 1, len(items) - 1)
        self._told_leg = flying.leg
        if flying.done:
            yield from self._end_mission(items)

    def _end_mission(self, items: tuple[Item, ...]) -> Iterator[Message]:
        self.mission_state, self.mission_seq = COMPLETE, len(items) - 1
        yield "MISSION_ITEM_REACHED", {"seq": len(items) - 1}
        if any(item.command == GO_HOME for item in items):
            self.go_home()
        else:
            self.hold()

    def _settle(self) -> None:
        """Disarm after landing; fly rounds where it is to."""
        self._grounded_s = 0.0 if self.flying.airborne else self._grounded_s + STEP_S
        if self.armed and self._grounded_s > DISARM_AFTER_S and self.flying.sorties:
            self.armed = False
        half_m = self.options.rounds_m
        if half_m is None or not self.flying.done:
            return
        enough = self.flying.motion.battery_pct > ROUNDS_LEAST_PCT
        if not self.flying.airborne and enough and not self.flying.sorties:
            self.arm()
            self.take_off(ROUNDS_HEIGHT_M)
        elif self.flying.airborne and enough:
            corners = ((-half_m, -half_m), (half_m, -half_m), (half_m, half_m), (-half_m, half_m))
            legs = tuple(
                Leg(x, y, ROUNDS_HEIGHT_M, CRUISE_M_S, WAYLINE, index=i)
                for i, (x, y) in enumerate(corners)
            )
            self.flying = redirect(self.flying, legs)
        elif self.flying.airborne:
            self.go_home()

    @property
    def _mode(self) -> int:
        """The PX4 mode: a climb that is done holds."""
        flying = self.flying
        if not flying.airborne or (flying.mode == TAKING_OFF and flying.done):
            return AUTO | HOLD << 24
        return AUTO | SUB_MODE.get(flying.mode, HOLD) << 24

    @property
    def _landed(self) -> int:
        if not self.flying.airborne:
            return ON_GROUND
        if self.flying.mode == LANDING:
            return LANDS
        return TAKES_OFF if self.flying.mode == TAKING_OFF and not self.flying.done else IN_AIR

    def _place(self) -> tuple[int, int, int]:
        """Return latitude and longitude in 1e-7 degrees, and mm above the sea."""
        m = self.flying.motion
        place = self.frame.to_position(m.x_m, m.y_m)
        msl_mm = round((self.options.ground_msl_m + m.z_m) * 1000)
        return round(place.lat_deg * 1e7), round(place.lon_deg * 1e7), msl_mm

    def _often(self) -> Iterator[Message]:
        m = self.flying.motion
        lat, lon, msl_mm = self._place()
        yield "GLOBAL_POSITION_INT", {
            "time_boot_ms": self.boot_ms, "lat": lat, "lon": lon, "alt": msl_mm,
            "relative_alt": round(m.z_m * 1000), "vx": round(m.vy_m_s * 100),
            "vy": round(m.vx_m_s * 100), "vz": round(-m.vz_m_s * 100),
            "hdg": round(m.heading_deg * 100) % 36000,
        }  # fmt: skip
        yaw_rad = math.remainder(math.radians(m.heading_deg), math.tau)
        yield "ATTITUDE", {
            "time_boot_ms": self.boot_ms, "roll": 0.0, "pitch": 0.0, "yaw": yaw_rad,
            "rollspeed": 0.0, "pitchspeed": 0.0, "yawspeed": 0.0,
        }  # fmt: skip

    def _each_second(self) -> Iterator[Message]:
        m, left_pct = self.flying.motion, int(self.flying.motion.battery_pct)
        lat, lon, msl_mm = self._place()
        unix_us = round(self.at.timestamp() * 1e6)
        yield "HEARTBEAT", {
            "type": QUADROTOR, "autopilot": PX4, "custom_mode": self._mode, "mavlink_version": 3,
            "base_mode": CUSTOM_MODE | (ARMED if self.armed else 0),
            "system_status": ACTIVE_STATE if self.armed else STANDBY_STATE,
        }  # fmt: skip
        yield "SYSTEM_TIME", {"time_unix_usec": unix_us, "time_boot_ms": self.boot_ms}
        yield "GPS_RAW_INT", {
            "time_usec": unix_us, "fix_type": 3, "lat": lat, "lon": lon, "alt": msl_mm,
            "eph": 80, "epv": 120, "vel": round(m.speed_m_s * 100), "cog": 65535,
            "satellites_visible": 17,
            "alt_ellipsoid": msl_mm + round(self.options.geoid_m * 1000),
        }  # fmt: skip
        yield "SYS_STATUS", {
            "onboard_control_sensors_present": SENSORS, "onboard_control_sensors_enabled": SENSORS,
            "onboard_control_sensors_health": SENSORS, "load": 250,
            "voltage_battery": CELL_MV * CELLS, "current_battery": -1,
            "battery_remaining": left_pct, "drop_rate_comm": 0, "errors_comm": 0,
            "errors_count1": 0, "errors_count2": 0, "errors_count3": 0, "errors_count4": 0,
        }  # fmt: skip
        yield "BATTERY_STATUS", {
            "id": 0, "battery_function": 0, "type": 1, "temperature": 32767,
            "voltages": [CELL_MV] * CELLS + [UNUSED_CELL] * (10 - CELLS), "current_battery": -1,
            "current_consumed": -1, "energy_consumed": -1, "battery_remaining": left_pct,
        }  # fmt: skip
        yield "EXTENDED_SYS_STATE", {"vtol_state": 0, "landed_state": self._landed}
        yield "VFR_HUD", {
            "airspeed": m.speed_m_s, "groundspeed": m.speed_m_s, "heading": int(m.heading_deg),
            "throttle": 50 if self.armed else 0, "alt": msl_mm / 1000, "climb": m.vz_m_s,
        }  # fmt: skip
        yield self.home_position()
        yield self.mission_current()

    def mission_current(self) -> Message:
        """A vehicle on its rounds says that it flies a mission, though it holds none."""
        state, seq = self.mission_state, self.mission_seq
        if state == NO_MISSION and self.flying.airborne and self.flying.mode == WAYLINE:
            state, seq = MISSION_ACTIVE, self.flying.waypoint or 0
        total = len(self.missions.items)
        return "MISSION_CURRENT", {"seq": seq, "total": total, "mission_state": state}

    def home_position(self) -> Message:
        home = self.options.home
        return "HOME_POSITION", {
            "latitude": round(home.lat_deg * 1e7), "longitude": round(home.lon_deg * 1e7),
            "altitude": round(self.options.ground_msl_m * 1000), "x": 0.0, "y": 0.0, "z": 0.0,
            "q": [1.0, 0.0, 0.0, 0.0], "approach_x": 0.0, "approach_y": 0.0, "approach_z": 0.0,
        }  # fmt: skip

    def version(self) -> Message:
        return "AUTOPILOT_VERSION", {
            "capabilities": CAPABILITIES, "flight_sw_version": 0, "middleware_sw_version": 0,
            "os_sw_version": 0, "board_version": 0, "flight_custom_version": [0] * 8,
            "middleware_custom_version": [0] * 8, "os_custom_version": [0] * 8,
            "vendor_id": 0, "product_id": 0, "uid": self.options.system,
        }  # fmt: skip
