"""`gridwing demo`: live with a console, headless with a summary, or all in one process."""

import json
from pathlib import Path
from typing import Any

import click

from gridwing.broker import BrokerBusy
from gridwing.cli import fail
from gridwing.demo import DemoOptions, run_headless, run_live
from gridwing.inprocess import run_in_process
from gridwing.premises import SetupError
from gridwing.stopping import run_until_stopped
from runtime import log

ROOT = Path(__file__).resolve().parent.parent
HEADLESS_RATE = 30.0
LIVE_RATE = 1.0


def say(text: str) -> None:
    click.echo(text, err=True)


@click.command()
@click.option("--headless", is_flag=True, help="No console to look at: run, measure, summarise.")
@click.option("--in-process", is_flag=True, help="All in one process in virtual time; repeatable.")
@click.option("--for", "for_s", default=120.0, show_default=True, help="Wall seconds to run.")
@click.option("--seed", default=7, show_default=True, help="Which simulated day.")
@click.option("--rate", type=float, help="Clock seconds a wall second [30 headless, else 1].")
@click.option("--summary", type=click.Path(path_type=Path), help="Write the summary here as JSON.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON document.")
def demo(
    headless: bool,
    in_process: bool,
    for_s: float,
    seed: int,
    rate: float | None,
    summary: Path | None,
    as_json: bool,
) -> None:
    """Everything plus simulators, on private servers of its own.

    Without options: a live console until Ctrl-C. Headless: exits 1 if anything was lost, refused
    or broken, and says what.
    """
    log.set_up("demo", "text")
    measured = headless or in_process
    options = DemoOptions(ROOT, seed, rate or (HEADLESS_RATE if measured else LIVE_RATE))
    try:
        if in_process:
            figures = run_in_process(options, for_s, say)
        elif headless:
            figures = run_until_stopped(run_headless(options, for_s, say))
        else:
            run_until_stopped(run_live(options, say))
            return
    except KeyboardInterrupt:
        say("stopped")
        return
    except (SetupError, BrokerBusy) as error:
        fail(str(error), 2)
        return
    _tell(figures, summary, as_json)


def _tell(figures: dict[str, Any], summary: Path | None, as_json: bool) -> None:
    text = json.dumps(figures, indent=2, ensure_ascii=False, default=str)
    if summary is not None:
        summary.write_text(text + "\n")
    if as_json or summary is None:
        click.echo(text)
    for complaint in figures["complaints"]:
        say(f"not good: {complaint}")
    if figures["complaints"]:
        raise SystemExit(1)
