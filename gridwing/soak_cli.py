"""`gridwing soak`: broken streams for an hour at speed; what became of each frame, and memory."""

import json
import os

import click

from gridwing.cli import fail


@click.command()
@click.option("--minutes", default=60.0, show_default=True, help="Minutes on the streams' clock.")
@click.option("--rate", default=6.0, show_default=True, help="Clock minutes a wall minute.")
@click.option("--seed", default=7, show_default=True, help="Which frames are broken how.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def soak(minutes: float, rate: float, seed: int, as_json: bool) -> None:
    """Stalls, cut and oversized pictures, poses and times that cannot be, through the real watch.

    No server and no camera is touched. Ends with exit 1 where a frame vanished or memory grew.
    """
    from gridwing.eyes import hazard_card
    from gridwing.soak import SoakPlan, faults, run
    from models.catalogue import WeightsError
    from runtime.settings import Settings

    try:
        card = hazard_card(Settings.from_environment(os.environ).models_dir)
        told = run(SoakPlan(minutes, rate, seed), card, lambda line: click.echo(line, err=True))
    except (ValueError, WeightsError) as error:
        fail(str(error))
        return
    if as_json:
        click.echo(json.dumps(told))
    else:
        click.echo("\n".join(f"{name:20} {value}" for name, value in told.items()))
    if found := faults(told):
        fail("; ".join(found))
