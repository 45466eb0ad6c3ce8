"""The simulated MAVLink vehicle: it does what it agrees to, and refuses what it cannot do."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.place import Position
from simulators.mavlink_commands import (
    ACCEPTED,
    BY_FORCE,
    DENIED,
    TEMPORARILY_REJECTED,
    UNSUPPORTED,
    hear,
)
from simulators.mavlink_vehicle import AUTO, HOLD, MavlinkVehicle, Message, VehicleOptions

AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
HOME = Position(22.5251, 113.3558)
GROUND_STATION = 245
NAN = float("nan")
ARM, TAKE_OFF, LAND, RETURN, SET_MODE, GO_TO = 400, 22, 21, 20, 176, 192


class Flight:
    def __init__(self, **options: Any) -> None:
        self.vehicle = MavlinkVehicle(VehicleOptions(1, HOME, **options), AT)
        self.at = AT
        self.said: list[Message] = []

    def fly(self, seconds: float) -> None:
        for _ in range(round(seconds * 5)):
            self.at += timedelta(seconds=0.2)
            self.said += self.vehicle.advance_to(self.at)

    def last(self, name: str) -> dict[str, Any]:
        return next(fields for one, fields in reversed(self.said) if one == name)

    def hear(self, name: str, **fields: Any) -> list[Message]:
        to = {"target_system": 1, "target_component": 1}
        return hear(self.vehicle, name, to | fields, GROUND_STATION)

    def order(self, command: int, *given: float) -> int:
        numbers = [*given, *[NAN] * (7 - len(given))]
        fields = {f"param{i}": number for i, number in enumerate(numbers, 1)}
        (name, reply), *_ = self.hear("COMMAND_LONG", command=command, **fields)
        assert (name, reply["command"], reply["target_system"]) == (
            "COMMAND_ACK", command, GROUND_STATION,
        )  # fmt: skip
        return int(reply["result"])


def test_a_flight_by_command() -> None:
    on = Flight()
    on.fly(1)
    assert on.order(TAKE_OFF) == TEMPORARILY_REJECTED, "not armed"
    assert on.order(ARM, 1) == ACCEPTED
    assert on.order(TAKE_OFF) == ACCEPTED
    on.fly(2)
    assert on.last("EXTENDED_SYS_STATE")["landed_state"] == 3
    assert on.order(ARM, 0) == TEMPORARILY_REJECTED, "in the air"
    on.fly(8)
    assert on.last("GLOBAL_POSITION_INT")["relative_alt"] == pytest.approx(10_000, abs=600)
    assert on.last("HEARTBEAT")["custom_mode"] == AUTO | HOLD << 24
    place = {"x": 225260000, "y": 1133558000, "z": 31.0, "frame": 5}
    (_, reply), *_ = on.hear(
        "COMMAND_INT", command=GO_TO, param1=-1, param2=1, param3=0, param4=NAN, **place
    )
    assert reply["result"] == ACCEPTED
    on.fly(25)
    there = on.last("GLOBAL_POSITION_INT")
    assert there["lat"] == pytest.approx(225260000, abs=200)
    assert there["alt"] == pytest.approx(31_000, abs=600)
    assert on.order(LAND) == ACCEPTED
    on.fly(25)
    assert on.last("EXTENDED_SYS_STATE")["landed_state"] == 1
    assert on.last("HEARTBEAT")["base_mode"] == 1, "it disarms by itself"
    assert on.last("GLOBAL_POSITION_INT")["lat"] == pytest.approx(225260000, abs=200)


def test_home_again_and_orders_out_of_season() -> None:
    on = Flight()
    for command in (LAND, RETURN):
        assert on.order(command) == TEMPORARILY_REJECTED
    assert on.order(31010) == UNSUPPORTED
    assert on.order(SET_MODE, 1, 4, HOLD) == ACCEPTED
    assert on.order(SET_MODE, 1, 7) == UNSUPPORTED
    assert on.order(ARM, 1) == ACCEPTED
    assert on.order(TAKE_OFF, 0, 0, 0, 0, NAN, NAN, 9000) == DENIED
    assert on.order(TAKE_OFF, 0, 0, 0, 0, NAN, NAN, 31) == ACCEPTED
    on.fly(15)
    assert on.order(GO_TO, -1, 1, 0, 0, 22.5262, 113.3558, 31) == ACCEPTED
    on.fly(3)
    assert on.order(SET_MODE, 1, 4, HOLD) == ACCEPTED
    on.fly(5)
    halfway = on.last("GLOBAL_POSITION_INT")
    assert 225251000 < halfway["lat"] < 225262000
    assert abs(halfway["vx"]) < 50
    assert on.order(RETURN) == ACCEPTED
    on.fly(60)
    assert on.last("GLOBAL_POSITION_INT")["lat"] == 225251000
    assert on.last("EXTENDED_SYS_STATE")["landed_state"] == 1


def test_motors_stopped_by_force_and_a_weak_battery() -> None:
    on = Flight(battery_pct=20.0)
    on.order(ARM, 1)
    assert on.order(TAKE_OFF) == TEMPORARILY_REJECTED
    on = Flight()
    on.order(ARM, 1)
    on.order(TAKE_OFF)
    on.fly(3)
    assert on.order(ARM, 0, BY_FORCE) == ACCEPTED
    on.fly(1)
    assert on.last("GLOBAL_POSITION_INT")["relative_alt"] == 0


def test_questions_are_answered_and_what_is_for_another_is_not() -> None:
    on = Flight()
    ack, version = on.hear("COMMAND_LONG", command=512, **dict.fromkeys(
        [f"param{i}" for i in range(2, 8)], 0.0), param1=148.0)  # fmt: skip
    assert (ack[1]["result"], version[0]) == (ACCEPTED, "AUTOPILOT_VERSION")
    assert on.order(512, 300.0) == UNSUPPORTED
    read = {"param_id": "MIS_TAKEOFF_ALT", "param_index": -1}
    assert on.hear("PARAM_REQUEST_READ", **read)[0][1]["param_value"] == 10.0
    assert on.hear("PARAM_REQUEST_READ", param_id="NOT_THERE", param_index=-1) == []
    wanted = {"param_id": "MIS_TAKEOFF_ALT", "param_value": 5.0, "param_type": 9}
    assert on.hear("PARAM_SET", **wanted)[0][1]["param_value"] == 5.0
    assert on.hear("PARAM_SET", **{**wanted, "param_value": NAN})[0][1]["param_value"] == 5.0
    assert len(on.hear("PARAM_REQUEST_LIST")) == 2
    assert on.hear("MISSION_REQUEST_LIST", mission_type=0)[0][1]["count"] == 0
    assert on.hear("MISSION_COUNT", mission_type=9, count=3)[0][1]["type"] == 3
    assert on.hear("MISSION_COUNT", mission_type=0, count=3)[0][1]["seq"] == 0
    ping = {"target_system": 0, "target_component": 0, "time_usec": 7, "seq": 3}
    assert on.hear("PING", **ping)[0][1]["seq"] == 3
    assert on.hear("PARAM_REQUEST_LIST", target_system=2) == []
    assert on.hear("PARAM_REQUEST_LIST", target_component=100) == []


def test_it_flies_rounds_and_comes_home_before_the_charge_is_low() -> None:
    on = Flight(rounds_m=40.0, battery_pct=42.0)
    on.fly(20)
    assert on.last("MISSION_CURRENT")["mission_state"] == 3
    assert on.last("HEARTBEAT")["base_mode"] & 128
    on.fly(200)
    assert on.last("EXTENDED_SYS_STATE")["landed_state"] == 1
    assert 30 < on.last("SYS_STATUS")["battery_remaining"] < 41
    on.fly(30)
    assert on.last("EXTENDED_SYS_STATE")["landed_state"] == 1, "and stays there"


def test_a_paused_process_does_not_fly_what_it_missed() -> None:
    on = Flight()
    on.fly(2)
    before = len(on.said)
    on.said += on.vehicle.advance_to(on.at + timedelta(hours=1))
    assert len(on.said) - before < 15
    assert on.vehicle.boot_ms > 3_600_000
