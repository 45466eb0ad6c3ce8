"""The property messages of docks, aircraft and remote controls (DJI Cloud API 1.11, M3D, Dock 2).

A device sends its properties in fragments: each function returns the fragments of one round, as
the `data` of one message each. Angles are -180..180 as the vendor gives them.
"""

from dataclasses import dataclass
from typing import Any

from domain.device import Drone
from domain.place import Position
from simulators.drone import Flying
from simulators.weather import Sky

# Model to (type, sub type, payload index): the vendor's product table.
MODELS: dict[str, tuple[int, int, str]] = {
    "M3D": (91, 0, "80-0-0"),
    "M3TD": (91, 1, "81-0-0"),
    "M3E": (77, 0, "66-0-0"),
    "M3T": (77, 1, "67-0-0"),
}
Properties = dict[str, Any]


@dataclass(frozen=True, slots=True)
class DockShown:
    """What a dock's properties are drawn from, beside its aircraft."""

    position: Position
    height_ellipsoid_m: float
    drone_sn: str
    model_key: str
    working: bool
    step_code: int
    cover_open: bool
    drone_inside: bool
    charging: bool
    jobs: int
    first_power_on_ms: int


def model_key(model: str) -> str:
    """Return an aircraft's `domain-type-subtype`; KeyError for a model not in MODELS."""
    kind, sub_kind, _ = MODELS[model]
    return f"0-{kind}-{sub_kind}"


def half_turn(bearing_deg: float) -> float:
    """Return a bearing as -180..180."""
    return round((bearing_deg + 180.0) % 360.0 - 180.0, 2)


def aircraft_osd(
    flying: Flying, position: Position, home_ellipsoid_m: float, sky: Sky, drone: Drone
) -> list[Properties]:
    """Return the two fragments of an aircraft's round: motion, then charge and payload."""
    m, payload_index = flying.motion, MODELS[drone.model][2]
    motion = {
        "mode_code": flying.mode,
        "latitude": round(position.lat_deg, 7),
        "longitude": round(position.lon_deg, 7),
        "height": round(home_ellipsoid_m + m.z_m, 2),
        "elevation": round(m.z_m, 2),
        "attitude_head": half_turn(m.heading_deg),
        "attitude_pitch": round(-1.5 * m.speed_m_s, 1),
        "attitude_roll": 0.0,
        "horizontal_speed": round(m.speed_m_s, 2),
        "vertical_speed": round(m.vz_m_s, 2),
        "wind_speed": round(10.0 * sky.wind.speed_m_s),
        "wind_direction": 1 + round(sky.wind.from_deg / 45.0) % 8,
        "home_distance": round(flying.home_distance_m, 1),
        "gear": 1,
        "height_limit": 120,
        "is_near_area_limit": 0,
        "is_near_height_limit": 0,
        "position_state": {"is_fixed": 2, "quality": 10, "gps_number": 28, "rtk_number": 31},
        "total_flight_time": round(flying.flight_s),
        "total_flight_distance": round(flying.flown_m),
        "total_flight_sorties": flying.sorties,
    }
    left_s = max(0.0, (m.battery_pct - 10.0) / 100.0 * drone.endurance_s)
    charge = {
        "battery": {
            "capacity_percent": round(m.battery_pct),
            "remain_flight_time": round(left_s),
            "return_home_power": 20,
            "landing_power": 10,
            "batteries": [
                {
                    "index": 0,
                    "capacity_percent": round(m.battery_pct),
                    "voltage": round(14_000 + 28 * m.battery_pct),
                    "temperature": 31.5,
                }
            ],
        },
        payload_index: {
            "payload_index": payload_index,
            "gimbal_pitch": round(flying.pitch_deg, 1),
            "gimbal_roll": 0.0,
            "gimbal_yaw": half_turn(flying.camera_yaw_deg),
        },
        "storage": {"total": 60_000_000, "used": 1_000_000},
    }
    return [motion, charge]


def dock_osd(shown: DockShown, flying: Flying, sky: Sky) -> list[Properties]:
    """Return the three fragments of a dock's round, grouped as Dock 2 groups them."""
    battery = round(flying.motion.battery_pct)
    power = {
        "job_number": shown.jobs,
        "first_power_on": shown.first_power_on_ms,
        "drone_charge_state": {
            "state": 1 if shown.charging else 0,
            "capacity_percent": battery,
        },
        "battery_store_mode": 2,
        "backup_battery": {"switch": 1, "voltage": 26_400, "temperature": 28.0},
        "electric_supply_voltage": 225,
        "working_voltage": 53_600,
        "working_current": 2_100 if shown.charging else 600,
    }
    link = {
        "wireless_link": {
            "4g_link_state": 0,
            "sdr_link_state": 1,
            "link_workmode": 0,
            "sdr_quality": 5,
        },
        "network_state": {"type": 2, "quality": 5, "rate": 820.0},
        "flighttask_step_code": shown.step_code,
        "media_file_detail": {"remain_upload": 0},
        "storage": {"total": 100_000_000, "used": 4_000_000},
    }
    place = {
        "mode_code": 4 if shown.working else 0,
        "latitude": round(shown.position.lat_deg, 7),
        "longitude": round(shown.position.lon_deg, 7),
        "height": shown.height_ellipsoid_m,
        "heading": 0.0,
        "home_position_is_valid": 1,
        "cover_state": 1 if shown.cover_open else 0,
        "drone_in_dock": 1 if shown.drone_inside else 0,
        "rainfall": sky.rain_level,
        "wind_speed": round(sky.wind.speed_m_s, 1),
        "environment_temperature": round(sky.temperature_c, 1),
        "temperature": round(sky.temperature_c + 2.0, 1),
        "humidity": round(sky.humidity_pct),
        "emergency_stop_state": 0,
        "alarm_state": 0,
        "supplement_light_state": 0,
        "sub_device": {
            "device_sn": shown.drone_sn,
            "device_model_key": shown.model_key,
            "device_online_status": 1,
            "device_paired": 1,
        },
        "position_state": {
            "is_calibration": 1,
            "is_fixed": 2,
            "quality": 10,
            "gps_number": 30,
            "rtk_number": 33,
        },
    }
    return [power, link, place]


def remote_osd(position: Position, height_ellipsoid_m: float) -> list[Properties]:
    """Return the one fragment of a remote control's round."""
    return [
        {
            "latitude": round(position.lat_deg, 7),
            "longitude": round(position.lon_deg, 7),
            "height": height_ellipsoid_m,
            "capacity_percent": 86,
            "wireless_link": {"sdr_quality": 5, "sdr_link_state": 1, "link_workmode": 0},
        }
    ]


def drc_pose(flying: Flying, position: Position, home_ellipsoid_m: float) -> Properties:
    """Return the data of one `osd_info_push`."""
    m = flying.motion
    return {
        "attitude_head": half_turn(m.heading_deg),
        "latitude": round(position.lat_deg, 7),
        "longitude": round(position.lon_deg, 7),
        "height": round(home_ellipsoid_m + m.z_m, 2),
        "speed_x": round(m.vy_m_s, 2),
        "speed_y": round(m.vx_m_s, 2),
        "speed_z": round(m.vz_m_s, 2),
        "gimbal_pitch": round(flying.pitch_deg, 1),
        "gimbal_roll": 0.0,
        "gimbal_yaw": half_turn(flying.camera_yaw_deg),
    }
