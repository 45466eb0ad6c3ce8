"""`gridwing bench`: measures that compare within one run. Ratios and CPU, never the clock alone."""

import json

import click

from gridwing.cli import fail

INGEST_WAYS = (
    "raw_copy", "broker_counter", "paho_counter", "single", "packed", "mq_bridge"
)  # fmt: skip


@click.group()
def bench() -> None:
    """Benchmarks: what ours does beside a peer or a bound."""


@bench.command()
@click.option("--only", multiple=True, help="Polygons whose name begins so; may be given again.")
@click.option("--quick", is_flag=True, help="Search every plan briefly.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def coverage(only: tuple[str, ...], quick: bool, as_json: bool) -> None:
    """Plan 25 polygons, beside Fields2Cover's paths and the bound area ÷ swath.

    The covered share is worked out anew from each path. Ends with exit 1 when a polygon is not
    covered to 99.9 %.
    """
    from gridwing.coverage_bench import names, run

    if only and not any(name.startswith(only) for name in names()):
        fail(f"--only names no polygon: there are {', '.join(names())}", 2)
    told = run(only, quick, lambda line: click.echo(line, err=True))
    click.echo(json.dumps(told) if as_json else json.dumps(told["summary"], indent=2))
    if told["summary"]["solved"] < told["summary"]["of"]:
        raise SystemExit(1)


@bench.command()
@click.option(
    "--only", multiple=True, type=click.Choice(INGEST_WAYS),
    help="Measure only these; may be given again.",
)  # fmt: skip
@click.option("--rounds", type=click.IntRange(1, 50), default=5, show_default=True)
@click.option(
    "--scale", type=click.FloatRange(0.01, 10), default=1.0, show_default=True,
    help="Of the 100,000 single and 20,000 packed messages a round.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def ingest(only: tuple[str, ...], rounds: int, scale: float, as_json: bool) -> None:
    """Ingest beside a raw COPY, a counting subscriber and mq-bridge, on private servers.

    Medians of interleaved rounds. CPU is of the client and its database backends.
    """
    from gridwing.ingest_bench import PartEnded, run
    from gridwing.premises import SetupError

    try:
        told = run(only, rounds, scale, lambda line: click.echo(line, err=True))
    except (SetupError, TimeoutError, PartEnded) as error:
        fail(str(error))
        return
    click.echo(json.dumps(told) if as_json else json.dumps(told, indent=2))


@bench.command()
@click.option(
    "--rows", type=click.IntRange(30_000, 1_000_000_000), default=20_000_000, show_default=True,
    help="Of telemetry, at least; 100,000,000 take 35 GB and half an hour.",
)  # fmt: skip
@click.option(
    "--questions", type=click.IntRange(2, 10_000), default=200, show_default=True,
    help="Asked of each kind.",
)  # fmt: skip
@click.option("--keep", is_flag=True, help="Keep the filled database, and take one kept before.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def queries(rows: int, questions: int, keep: bool, as_json: bool) -> None:
    """Tracks by device and by area, with their plans, on a private database filled for it.

    The same questions are asked of a tenth of the rows, and without the index they use.
    """
    from gridwing.premises import SetupError
    from gridwing.query_bench import NoRoom, run

    try:
        told = run(rows, questions, keep, lambda line: click.echo(line, err=True))
    except (SetupError, NoRoom) as error:
        fail(str(error))
        return
    click.echo(json.dumps(told) if as_json else json.dumps(told, indent=2, ensure_ascii=False))


@bench.command()
@click.option(
    "--only", multiple=True, type=click.Choice(("coverage", "fleet", "vrp", "divert")),
    help="Measure only these; may be given again.",
)  # fmt: skip
@click.option(
    "--instance", "instances", multiple=True,
    help="Fleet and vrp instances whose name begins so; may be given again.",
)  # fmt: skip
@click.option(
    "--seconds", type=click.FloatRange(0.5, 600), default=1.5, show_default=True,
    help="Wall time of each fleet search, ours and the peer's; vrp has four times as much.",
)  # fmt: skip
@click.option("--full", is_flag=True, help="All 24 fleet instances, not 20 of them.")
@click.option("--quick", is_flag=True, help="Search every coverage plan briefly.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def patrol(
    only: tuple[str, ...],
    instances: tuple[str, ...],
    seconds: float,
    full: bool,
    quick: bool,
    as_json: bool,
) -> None:
    """Coverage, the fleet's routes beside OR-Tools, gaps to best-known routes, diversions.

    Ends with exit 1 when the judge finds a violation in a released plan of ours.
    """
    from gridwing.patrol_bench import run

    told = run(only, instances, seconds, quick, full, lambda line: click.echo(line, err=True))
    click.echo(json.dumps(told) if as_json else json.dumps(told, indent=2, ensure_ascii=False))
    if any(row["violations"] for row in told.get("fleet", ())):
        raise SystemExit(1)


@bench.command()
@click.option(
    "--only", multiple=True,
    type=click.Choice(("backends", "stages", "idle", "hazards", "placing")),
    help="Measure only these; may be given again.",
)  # fmt: skip
@click.option("--rounds", type=click.IntRange(3, 10_000), default=40, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def vision(only: tuple[str, ...], rounds: int, as_json: bool) -> None:
    """Detectors in use on each backend beside a matrix product, and a frame's way to a hazard.

    CPU time on one thread, medians of interleaved rounds; frame_to_hazard_s is wall time. placing
    holds how far simulated aircraft and cameras place points off, beside the ellipses given.
    """
    import os

    from gridwing.vision_bench import run
    from models.catalogue import WeightsError
    from runtime.settings import Settings

    try:
        settings = Settings.from_environment(os.environ)
        told = run(
            only, settings.models_dir, settings.ultralytics_python, rounds,
            lambda line: click.echo(line, err=True),
        )  # fmt: skip
    except (ValueError, WeightsError) as error:
        fail(str(error))
        return
    click.echo(json.dumps(told) if as_json else json.dumps(told, indent=2))


@bench.command()
@click.option("--model", help="Of `models list`; the hazard network in use if not said.")
@click.option("--seed", type=int, default=7, show_default=True, help="Which simulated day.")
@click.option("--cameras", type=click.IntRange(1, 24), default=24, show_default=True)
@click.option("--hours", type=click.FloatRange(0.1, 240), default=8.0, show_default=True)
@click.option(
    "--rate", type=click.FloatRange(1, 60), default=30.0, show_default=True,
    help="Speed: at 30 an idle camera is read every 30 s of its day, a busy one every 6 s.",
)  # fmt: skip
@click.option(
    "--minutes", type=click.FloatRange(0.1, 6000), default=20.0, show_default=True,
    help="Of wall time, after which the day ends early.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def day(
    model: str | None,
    seed: int,
    cameras: int,
    hours: float,
    rate: float,
    minutes: float,
    as_json: bool,
) -> None:
    """Watch a seeded day before the simulated cameras and hold what was raised against the truth.

    Recall over hazards that five pictures or more showed, false alarms a camera-day, and the median
    delay after the first such picture, by kind.
    """
    import os

    from gridwing.day_replay import DayOptions, run_day
    from models.catalogue import Catalogue, WeightsError
    from runtime.settings import Settings

    try:
        catalogue = Catalogue(Settings.from_environment(os.environ).models_dir)
        card = catalogue.promoted("hazards") if model is None else catalogue.card(model)
        options = DayOptions(seed, cameras, hours, rate, minutes)
        told = run_day(options, card, lambda line: click.echo(line, err=True))
    except (ValueError, WeightsError) as error:
        fail(str(error))
        return
    click.echo(json.dumps(told) if as_json else json.dumps(told, indent=2))
