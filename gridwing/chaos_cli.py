"""`gridwing chaos`: kill what can be killed, and count."""

import json

import click

from gridwing.cli import fail
from gridwing.premises import SetupError


@click.command()
@click.option("--seed", default=7, show_default=True, help="Which moments.")
@click.option("--rate", default=1500, show_default=True, help="Messages a second.")
@click.option("--kills", default=50, show_default=True, help="SIGKILLs of the ingest part.")
@click.option("--broker-restarts", default=10, show_default=True, help="Orderly restarts.")
@click.option("--outage", "outage_s", default=60.0, show_default=True, help="Database away, s.")
@click.option("--broker-kills", default=20, show_default=True, help="SIGKILLs of the broker.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def chaos(
    seed: int, rate: int, kills: int, broker_restarts: int, outage_s: float, broker_kills: int,
    as_json: bool,
) -> None:  # fmt: skip
    """Kill ingest, its broker and its database at random; count what was sent and is stored.

    Private servers only. Ends with exit 1 where anything was lost or doubled that must not be.
    """
    from gridwing.chaos import ChaosPlan, faults, run

    plan = ChaosPlan(seed, rate, kills, broker_restarts, outage_s, broker_kills)
    try:
        told = run(plan, lambda line: click.echo(line, err=True))
    except (SetupError, TimeoutError) as error:
        fail(str(error))
        return
    if as_json:
        click.echo(json.dumps(told))
    else:
        click.echo("\n".join(f"{name:24} {value}" for name, value in told.items()))
    if found := faults(told):
        fail("; ".join(found))
