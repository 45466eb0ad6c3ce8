"""`gridwing mavlink`: MAVLink vehicles onto our topics; and a vehicle to try it on."""

from collections.abc import Sequence
from urllib.parse import urlsplit

import click

from gridwing.cli import fail
from gridwing.parts_cli import settings
from services.ingest.fields import SERIAL

SYSTEMS = range(1, 256)


def udp_address(value: str) -> tuple[str, int]:
    """Return (host, port) of udp://host:port. Raises click.BadParameter."""
    try:
        parts = urlsplit(value)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port is None or parts.scheme != "udp" or parts.path:
        raise click.BadParameter(f"write udp://127.0.0.1:14550, not {value!r}")
    return host, port


def _named(value: str) -> tuple[int, str]:
    """Return (system id, serial) of SYSTEM=SERIAL. Raises click.BadParameter."""
    number, _, serial = value.partition("=")
    if not number.isdecimal() or int(number) not in SYSTEMS or not SERIAL.fullmatch(serial):
        raise click.BadParameter(f"write 1=SERIAL with a system id of 1..255, not {value!r}")
    return int(number), serial


def _devices(values: Sequence[str]) -> dict[int, str]:
    """Return system id → serial. Raises click.BadParameter, also where two vehicles are one."""
    named = dict(map(_named, values))
    if len(set(named.values())) < len(values):
        raise click.BadParameter("a system or a serial twice: each vehicle has one of its own")
    return named


@click.command()
@click.option(
    "--listen", default="udp://127.0.0.1:14550", show_default=True,
    callback=lambda _ctx, _param, value: udp_address(value),
    help="Address that vehicles, or a router of theirs, send to.",
)  # fmt: skip
@click.option(
    "--device", "devices", multiple=True, metavar="SYSTEM=SERIAL",
    callback=lambda _ctx, _param, values: _devices(values),
    help="The registered device of a MAVLink system id; may be given again. Others are not heard. "
    "Without any, system 7 speaks as mavlink-7.",
)  # fmt: skip
@click.option(
    "--rate", type=click.FloatRange(0.1, 20), default=5.0, show_default=True,
    help="At most so many samples a second of each vehicle.",
)  # fmt: skip
def mavlink(listen: tuple[str, int], devices: dict[int, str], rate: float) -> None:
    """Tell MQTT_URL where MAVLink vehicles are: UDP in, gridwing/telemetry/SERIAL out.

    Needs pymavlink (pip install 'gridwing[mavlink]'). It sends nothing to a vehicle. MAVLink proves
    nobody's identity: listen on loopback or on a network of the vehicles' own.
    """
    from gridwing.mavlink_part import bridge
    from gridwing.parts import run_part
    from services.ingest.mavlink_link import Where
    from services.ingest.mavlink_wire import NoParser, Wire

    read = settings()
    try:
        wire = Wire.load()
        run_part("mavlink", lambda s: bridge(s, wire, Where(*listen), devices, 1 / rate), read)
    except (NoParser, ValueError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"cannot listen on udp://{listen[0]}:{listen[1]}: {error}")


@click.command("mavlink-vehicle")
@click.option(
    "--to", "targets", multiple=True, default=("udp://127.0.0.1:14550",), show_default=True,
    callback=lambda _ctx, _param, values: tuple(map(udp_address, values)),
    help="Who hears the vehicle, and may command it; may be given again.",
)  # fmt: skip
@click.option("--system", type=click.IntRange(1, 255), default=1, show_default=True)
@click.option("--latitude", type=click.FloatRange(-85, 85), default=22.5251, show_default=True)
@click.option("--longitude", type=click.FloatRange(-180, 180), default=113.3558, show_default=True)
@click.option(
    "--rounds", "radius_m", type=click.FloatRange(5, 500), metavar="METRES",
    help="Take off at once and fly squares of this half side until the charge is low.",
)  # fmt: skip
def mavlink_vehicle(
    targets: tuple[tuple[str, int], ...],
    system: int,
    latitude: float,
    longitude: float,
    radius_m: float | None,
) -> None:
    """Fly a simulated MAVLink vehicle: it takes commands as PX4 does, and says what it does.

    Needs pymavlink, GRIDWING_SIMULATION=1 and addresses on loopback.
    """
    from domain.place import Position
    from gridwing.mavlink_part import refuse_the_real, simulated
    from gridwing.parts import run_part
    from simulators.mavlink_radio import load_dialect
    from simulators.mavlink_vehicle import VehicleOptions

    options = VehicleOptions(system, Position(latitude, longitude), rounds_m=radius_m)
    read = settings()
    try:
        refuse_the_real(read, targets)
        load_dialect()
    except PermissionError as error:
        fail(str(error))
    except ModuleNotFoundError as error:
        fail(f"{error.name} is missing: pip install 'gridwing[mavlink]'")
    run_part("mavlink-vehicle", lambda s: simulated(s, options, targets), read)
