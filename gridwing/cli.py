"""The command line. Each command's module is loaded when the command is called."""

import importlib
import logging
import sys
from collections.abc import Mapping
from typing import Any

import click
import structlog

from gridwing import __version__

COMMANDS: Mapping[str, tuple[str, str]] = {
    "demo": ("gridwing.demo_cli:demo", "Everything plus simulators, on private servers."),
    "up": ("gridwing.parts_cli:up", "All parts against DATABASE_URL and MQTT_URL."),
    "ingest": ("gridwing.parts_cli:ingest", "One part: device bytes into the database."),
    "watch": ("gridwing.parts_cli:watch", "One part: frames into hazards."),
    "patrol": ("gridwing.parts_cli:patrol", "One part: missions, waylines, docks."),
    "alerts": ("gridwing.parts_cli:alerts", "One part: incidents and dispatches."),
    "web": ("gridwing.parts_cli:web", "One part: console, phone page and API."),
    "simulators": ("gridwing.parts_cli:simulators", "One part: the hardware that is not here."),
    "mavlink": ("gridwing.mavlink_cli:mavlink", "The bridge from MAVLink vehicles to the broker."),
    "mavlink-vehicle": ("gridwing.mavlink_cli:mavlink_vehicle", "A simulated MAVLink vehicle."),
    "plan": ("gridwing.plan_cli:plan", "Plan a coverage path over a polygon."),
    "patrol-plan": ("gridwing.patrol_plan_cli:patrol_plan", "Who flies what when, and why."),
    "watch-rules": ("gridwing.watch_rules_cli:watch_rules", "What is a hazard; dry runs."),
    "watch-files": ("gridwing.watch_files_cli:watch_files", "Recorded pictures: what lies where."),
    "wayline": ("gridwing.wayline_cli:wayline", "Files and missions for real aircraft."),
    "grid": ("gridwing.grid_cli:grid", "Import, check and export grid polygons."),
    "import": ("gridwing.grid_cli:import_", "Import grid polygons, as `grid import` does."),
    "sky": ("gridwing.sky_cli:sky", "Ground stop, drones in hand, zones, flight applications."),
    "models": ("gridwing.models_cli:models_group", "Detectors: list, check, detect, train."),
    "admin": ("gridwing.admin_cli:admin", "Accounts."),
    "migrate": ("gridwing.admin_cli:migrate", "Bring the database to this version."),
    "ledger": ("gridwing.admin_cli:ledger", "Verify the ledger's hash chain."),
    "evidence": ("gridwing.evidence_cli:evidence", "Sealed originals: make a key, open one."),
    "device": ("gridwing.device_cli:device", "Registered devices and their broker accounts."),
    "dead-letter": ("gridwing.dead_letter_cli:dead_letter", "Messages that were refused."),
    "track": ("gridwing.track_cli:track", "Past flights: show, search an area, import files."),
    "replay": ("gridwing.replay:replay", "Play recorded flights into a scratch system."),
    "asyncapi": ("gridwing.asyncapi_cli:asyncapi", "What is said on the broker, as AsyncAPI 3.0."),
    "bench": ("gridwing.bench_cli:bench", "What ours does beside a peer or a bound."),
    "chaos": ("gridwing.chaos_cli:chaos", "Kill ingest and its servers, and count."),
    "soak": ("gridwing.soak_cli:soak", "Broken streams for an hour at speed, and count."),
    "doctor": ("gridwing.doctor_cli:doctor", "What is missing, and how to get it."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported on use, so that `--help` loads no model or driver."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module_name, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: Any = getattr(importlib.import_module(module_name), attribute)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gridwing")
def main() -> None:
    """Gridwing: a sub-district's watch from air and street, from device bytes to a close."""
    # stdout is for the answer. A part sets up more.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


def fail(message: str, code: int = 1) -> None:
    """Print one line on stderr and leave with `code`."""
    click.echo(f"gridwing: {message}", err=True)
    sys.exit(code)
