"""Datagrams become messages and vehicles: both versions, no bytes that stop it, a limit on all."""

import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.device import DeviceKind
from domain.place import Position
from gridwing.cli import main
from services.ingest.compact import read
from services.ingest.devices import Devices
from services.ingest.mavlink import TAKEN
from services.ingest.mavlink_vehicles import SILENT_S, VEHICLES_LIMIT, Outcome, Vehicles
from services.ingest.mavlink_wire import DATAGRAM_LIMIT_BYTES, NoParser, Said, Wire
from services.ingest.sample import SAMPLES_LIMIT
from simulators.mavlink_vehicle import MavlinkVehicle, VehicleOptions

dialect = pytest.importorskip(
    "pymavlink.dialects.v20.common", reason="pymavlink is not installed: no wheel for this machine"
)
AT = datetime(2026, 11, 23, 8, tzinfo=UTC)
AT_MS = round(AT.timestamp() * 1000)
HOME = ("127.0.0.1", 40001)
ELSEWHERE = ("127.0.0.1", 40002)
WIRE = Wire(dialect)


def packed(name: str, fields: dict[str, Any], *, system: int = 1, version_1: bool = False) -> bytes:
    packer = dialect.MAVLink(None, system, 1)
    message = getattr(packer, f"{name.lower()}_encode")(**fields)
    return bytes(message.pack(packer, force_mavlink1=version_1))


def flown(seconds: float) -> list[tuple[str, dict[str, Any]]]:
    vehicle = MavlinkVehicle(VehicleOptions(1, Position(22.5251, 113.3558), rounds_m=40.0), AT)
    said = []
    for i in range(round(seconds * 5)):
        said += list(vehicle.advance_to(AT + timedelta(seconds=(i + 1) / 5)))
    return said


SPOKEN = flown(1.0)


@pytest.mark.parametrize("version_1", [False, True])
def test_every_message_read_here_is_read_in_both_versions(version_1: bool) -> None:
    found: dict[str, tuple[Said, dict[str, Any]]] = {}
    for name, fields in SPOKEN:
        said, bad = WIRE.read(packed(name, fields, version_1=version_1))
        assert bad == 0
        found |= {one.name: (one, fields) for one in said}
    assert set(found) == set(TAKEN)
    for one, fields in found.values():
        assert (one.system, one.component) == (1, 1)
        for key, value in one.fields.items():
            assert value == pytest.approx(fields[key], rel=1e-6)


def test_several_messages_in_one_datagram_and_half_a_message_at_its_end() -> None:
    datagram = b"".join(packed(*one) for one in SPOKEN[:4])
    whole, bad = WIRE.read(datagram)
    assert (len(whole), bad) == (4, 0)
    assert WIRE.read(datagram[:-3]) == (whole[:3], 1)
    assert WIRE.read(datagram) == (whole, 0), "the half is not waited for"


def test_a_wrong_checksum_an_unknown_message_and_an_overlong_datagram() -> None:
    good = bytearray(packed(*SPOKEN[0]))
    good[12] ^= 1
    assert WIRE.read(bytes(good)) == ([], 1)
    unknown = packed("PING", {"time_usec": 1, "seq": 1, "target_system": 0, "target_component": 0})
    assert WIRE.read(unknown) == ([], 0)
    assert WIRE.read(bytes(DATAGRAM_LIMIT_BYTES + 1)) == ([], 1)
    assert WIRE.read(b"") == ([], 1)


def bent(message: tuple[str, dict[str, Any]]) -> st.SearchStrategy[bytes]:
    name, whole = message[0], packed(*message)
    size = dialect.mavlink_map[getattr(dialect, f"MAVLINK_MSG_ID_{name}")].unpacker.size
    return st.one_of(
        st.binary(max_size=400),
        st.binary(max_size=60).map(lambda noise: noise + whole),
        st.integers(0, len(whole)).map(lambda cut: whole[:cut]),
        st.binary(min_size=size, max_size=size).map(lambda payload: forged(name, payload)),
    )


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_no_bytes_stop_it_and_what_comes_of_them_the_ingest_part_takes(data: st.DataObject) -> None:
    """Noise, cut and bent messages, and whole ones with any numbers in them."""
    vehicles = Vehicles({1: "MAV1"}, 0.0)
    beat = packed("HEARTBEAT", dict(SPOKEN[2][1]))
    for said in WIRE.read(beat)[0]:
        vehicles.take(said, HOME, 0.0, AT_MS)
    for i in range(6):
        datagram = data.draw(st.sampled_from(SPOKEN).flatmap(bent))
        for said in WIRE.read(datagram)[0]:
            vehicles.take(said, HOME, i / 5, AT_MS + i * 200)
    for serial, samples in vehicles.unsent().items():
        heard = read(
            f"gridwing/telemetry/{serial}", orjson.dumps(samples), AT,
            Devices({"MAV1": DeviceKind.DRONE}, {}, {}),
        )  # fmt: skip
        assert len(heard.samples) == len(samples)


def forged(name: str, payload: bytes) -> bytes:
    """A message with a right checksum and any bytes inside."""
    kind = dialect.mavlink_map[getattr(dialect, f"MAVLINK_MSG_ID_{name}")]
    number = kind.id
    head = bytes([0xFD, len(payload), 0, 0, 0, 1, 1, number & 255, number >> 8 & 255, number >> 16])
    crc = dialect.x25crc(bytearray(head[1:] + payload + bytes([kind.crc_extra]))).crc
    return head + payload + bytes([crc & 255, crc >> 8])


def heartbeat(system: int, component: int = 1, autopilot: int = 12) -> Said:
    fields = {"autopilot": autopilot, "base_mode": 1, "system_status": 3}
    return Said(system, component, "HEARTBEAT", fields)


def position(boot_ms: int, system: int = 1) -> Said:
    fields = dict.fromkeys(TAKEN["GLOBAL_POSITION_INT"], 0)
    return Said(system, 1, "GLOBAL_POSITION_INT", {**fields, "time_boot_ms": boot_ms})


def test_who_is_heard_and_for_which_device() -> None:
    vehicles = Vehicles({1: "MAV1"}, 0.2)
    assert vehicles.take(position(5), HOME, 0.0, AT_MS) is Outcome.BEFORE_HEARTBEAT
    assert vehicles.take(heartbeat(2), HOME, 0.0, AT_MS) is Outcome.STRANGER
    assert vehicles.take(heartbeat(1, component=100), HOME, 0.0, AT_MS) is Outcome.NO_AUTOPILOT
    assert vehicles.take(heartbeat(1, autopilot=8), HOME, 0.0, AT_MS) is Outcome.NO_AUTOPILOT
    assert vehicles.take(heartbeat(0), HOME, 0.0, AT_MS) is Outcome.NO_AUTOPILOT
    assert vehicles.take(heartbeat(1), HOME, 0.0, AT_MS) is Outcome.MERGED
    assert vehicles.take(heartbeat(1), ELSEWHERE, 1.0, AT_MS) is Outcome.SECOND_ADDRESS
    assert vehicles.forget_silent(SILENT_S) == []
    assert vehicles.forget_silent(SILENT_S + 0.1) == ["MAV1"]
    assert vehicles.take(heartbeat(1), ELSEWHERE, 11.0, AT_MS) is Outcome.MERGED
    unnamed = Vehicles({}, 0.2)
    unnamed.take(heartbeat(7), HOME, 0.0, AT_MS)
    unnamed.take(position(5, 7), HOME, 1.0, AT_MS)
    assert list(unnamed.unsent()) == ["mavlink-7"]


def test_no_more_vehicles_and_samples_than_there_is_room_for() -> None:
    vehicles = Vehicles({}, 0.0)
    outcomes = [vehicles.take(heartbeat(n), HOME, 0.0, AT_MS) for n in range(1, 256)]
    assert outcomes.count(Outcome.MERGED) == VEHICLES_LIMIT
    assert outcomes.count(Outcome.TOO_MANY) == 255 - VEHICLES_LIMIT
    for i in range(SAMPLES_LIMIT + 5):
        vehicles.take(position(1000 + i), HOME, i / 100, AT_MS + i)
    ((serial, samples),) = vehicles.unsent().items()
    assert (serial, len(samples), vehicles.dropped) == ("mavlink-1", SAMPLES_LIMIT, 5)
    assert samples[-1]["at"] == AT_MS + SAMPLES_LIMIT + 4, "the oldest give way"
    assert vehicles.unsent() == {}


@pytest.mark.parametrize(("sent_hz", "wanted"), [(50, 50), (5, 50), (4, 40), (1, 10)])
def test_samples_come_no_faster_than_asked_for(sent_hz: int, wanted: int) -> None:
    vehicles = Vehicles({}, 0.2)
    vehicles.take(heartbeat(1), HOME, 0.0, AT_MS)
    for i in range(10 * sent_hz):
        shake_s = 0.004 * (i % 3 - 1)
        vehicles.take(position(1000 + i), HOME, i / sent_hz + shake_s, AT_MS + i)
    assert len(vehicles.unsent()["mavlink-1"]) == pytest.approx(wanted, abs=1)


def test_a_position_told_twice_is_one_sample_and_without_one_the_heartbeat_tells() -> None:
    vehicles = Vehicles({}, 0.1)
    for i in range(4):
        vehicles.take(heartbeat(1), HOME, float(i), AT_MS + 1000 * i)
    assert [s["phase"] for s in vehicles.unsent()["mavlink-1"]] == ["idle"] * 3
    for boot_ms in (5000, 5000, 4900, 5200):
        vehicles.take(position(boot_ms), HOME, 4.0 + boot_ms / 1000, AT_MS)
    assert len(vehicles.unsent()["mavlink-1"]) == 2
    vehicles.take(position(100), HOME, 20.0, AT_MS)
    assert len(vehicles.unsent()["mavlink-1"]) == 1, "it has booted again"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--listen", "tcp://127.0.0.1:14550"], "write udp://127.0.0.1:14550"),
        (["--listen", "udp://127.0.0.1"], "write udp://127.0.0.1:14550"),
        (["--listen", "udp://127.0.0.1:99999"], "write udp://127.0.0.1:14550"),
        (["--device", "MAV1"], "write 1=SERIAL"),
        (["--device", "256=MAV1"], "write 1=SERIAL"),
        (["--device", "1=MAV/1"], "write 1=SERIAL"),
        (["--device", "1=MAV1", "--device", "2=MAV1"], "a system or a serial twice"),
        (["--device", "1=MAV1", "--device", "1=MAV2"], "a system or a serial twice"),
        (["--rate", "100"], "0.1<=x<=20"),
    ],
)
def test_what_cannot_be_is_told_with_its_cure(words: list[str], told: str) -> None:
    done = CliRunner().invoke(main, ["mavlink", *words])
    assert done.exit_code == 2
    assert told in done.output


def test_a_simulated_vehicle_stays_on_loopback_and_says_what_it_is() -> None:
    far = ["mavlink-vehicle", "--to", "udp://192.0.2.1:14550"]
    done = CliRunner().invoke(main, far, env={"GRIDWING_SIMULATION": "1"})
    assert (done.exit_code, "on loopback only" in done.output) == (1, True)
    done = CliRunner().invoke(main, ["mavlink-vehicle"])
    assert (done.exit_code, "GRIDWING_SIMULATION=1" in done.output) == (1, True)


def test_without_pymavlink_the_cure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymavlink.dialects.v20.common", None)
    with pytest.raises(NoParser, match=r"pip install 'gridwing\[mavlink\]'"):
        Wire.load()
    servers = {"MQTT_URL": "mqtt://127.0.0.1:9", "GRIDWING_SIMULATION": "1"}
    for command in ("mavlink", "mavlink-vehicle"):
        done = CliRunner().invoke(main, [command], env=servers)
        assert (done.exit_code, "pip install 'gridwing[mavlink]'" in done.output) == (1, True)
