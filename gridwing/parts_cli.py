"""Commands that run one part, or all of them, against given servers."""

import asyncio
import os
from pathlib import Path

import click
import psycopg

from gridwing import parts
from gridwing.cli import fail
from gridwing.parts import run_part
from gridwing.simulation import SimulationOptions, return_fault, simulate
from gridwing.stopping import run_until_stopped
from gridwing.supervisor import PartPlan, Supervisor
from runtime import log as logging
from runtime.settings import Settings

PART_NAMES = ("ingest", "watch", "patrol", "alerts", "web")
FIRST_STATUS_PORT = 8081


def settings() -> Settings:
    """Read the environment, or leave with one line that names the variable."""
    try:
        return Settings.from_environment(os.environ)
    except ValueError as error:
        fail(str(error), 2)
        raise


@click.command()
@click.option(
    "--retire", metavar="SLOT",
    help="Take in what waits for a stopped slot, end its session, and leave.",
)  # fmt: skip
def ingest(retire: str | None) -> None:
    """Read device bytes from MQTT_URL into DATABASE_URL.

    Several processes share the stream, each with a GRIDWING_SLOT of its own. A slot that is gone
    keeps its share of the messages: start it again under its name, or retire it.
    """
    if retire is None:
        run_part("ingest", parts.ingest, settings())
        return
    logging.set_up("ingest", settings().log_format)
    try:
        taken = run_until_stopped(parts.retire(settings(), retire))
    except (ValueError, RuntimeError, OSError, psycopg.Error) as error:
        fail(str(error) or "the broker did not answer")
        return
    click.echo(f"slot {retire} is retired; {taken} messages that waited for it are stored")


@click.command()
def watch() -> None:
    """Judge camera and drone frames; raise hazards."""
    run_part("watch", parts.watch, settings())


@click.command()
def patrol() -> None:
    """Plan missions and command docks."""
    run_part("patrol", parts.patrol, settings())


@click.command()
def alerts() -> None:
    """Turn hazards and reports into incidents and dispatches."""
    run_part("alerts", parts.alerts, settings())


@click.command()
def web() -> None:
    """Serve console, phone page and API on GRIDWING_HTTP_HOST:GRIDWING_HTTP_PORT."""
    run_part("web", parts.web, settings())


@click.command()
@click.option("--seed", default=7, show_default=True, help="Which district and which day.")
@click.option("--state", type=click.Path(path_type=Path), required=True, help="State folder.")
@click.option("--http-port", type=int, required=True, help="Port of the simulated cameras.")
@click.option("--rtsp-port", type=int, required=True, help="Port of the RTSP cameras.")
@click.option("--api", required=True, help="Address of the web part, for simulated responders.")
@click.option("--password", required=True, help="Password of the simulated responders' accounts.")
@click.option(
    "--return-fault", "faults", multiple=True, metavar="DOCK:FLIGHT:REASON:SECONDS",
    help="On its n-th flight the dock's aircraft gives up its return so long after it began.",
)  # fmt: skip
def simulators(
    seed: int,
    state: Path,
    http_port: int,
    rtsp_port: int,
    api: str,
    password: str,
    faults: tuple[str, ...],
) -> None:
    """Run simulated docks, drones, cameras and responders against a simulation broker."""
    try:
        given_up = tuple(return_fault(text) for text in faults)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--return-fault") from None
    options = SimulationOptions(seed, state, http_port, rtsp_port, api, password, given_up)
    run_part("simulators", lambda s: simulate(s, options), settings())


@click.command()
def up() -> None:
    """Run every part under a supervisor until Ctrl-C."""
    read = settings()
    plans = [
        PartPlan(
            name,
            (name,),
            FIRST_STATUS_PORT + i,
            {**os.environ, "GRIDWING_STATUS_PORT": str(FIRST_STATUS_PORT + i)},
        )
        for i, name in enumerate(PART_NAMES)
    ]

    async def main() -> None:
        async with Supervisor(plans, read.data_dir) as supervisor:
            await supervisor.until_ready()
            click.echo(f"all parts are ready; the console is at {read.public_url}")
            await asyncio.Event().wait()

    try:
        run_until_stopped(main())
    except KeyboardInterrupt:
        click.echo("stopped")
