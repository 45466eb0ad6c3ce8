"""`gridwing models`: which weights there are and which are in use, and what they see."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from gridwing.models_change_cli import change
from gridwing.models_compare_cli import compare
from gridwing.models_export_cli import export
from gridwing.models_labelled_cli import labelled, suspects
from gridwing.models_measure_cli import measure
from models.catalogue import TASKS, Card, Catalogue, WeightsError, whole
from models.runners import BACKENDS
from runtime.settings import Settings

BOTH = "both"
backend_option = click.option("--backend", type=click.Choice(list(BACKENDS)), help="What runs it.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


@click.group(name="models")
def models_group() -> None:
    """Detectors: list, check, detect, compare, promote, train."""


models_group.add_command(measure)
models_group.add_command(change)
models_group.add_command(compare)
models_group.add_command(export)
models_group.add_command(suspects)
models_group.add_command(labelled)


def settings_now() -> Settings:
    try:
        return Settings.from_environment(os.environ)
    except ValueError as error:
        raise click.ClickException(str(error)) from error


@contextmanager
def named_errors() -> Iterator[None]:
    """Turn what is wrong with weights or cards into one line."""
    try:
        yield
    except WeightsError as error:
        raise click.ClickException(str(error)) from error


@models_group.command("list")
@json_option
def list_models(as_json: bool) -> None:
    """Say which weights there are, for what, whose, and which are in use."""
    catalogue = Catalogue(settings_now().models_dir)
    with named_errors():
        every, in_use = catalogue.cards(), catalogue.in_use()
    if as_json:
        rows = [
            {"model": c.name, "task": c.task, "promoted": c.name in in_use, "licence": c.licence,
             "trained_on": c.trained_on, "not_for": c.not_for, "path": str(c.path)}
            for c in every
        ]  # fmt: skip
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    for each in every:
        mark = "in use" if each.name in in_use else ""
        click.echo(f"{each.name:24} {each.task:8} {each.licence:12} {mark}")
        click.echo(f"{'':24} trained on {each.trained_on}")


@models_group.command()
@json_option
def check(as_json: bool) -> None:
    """Check every weights file against its card; exit 1 when one is missing or differs.

    `independent` holds AP50 on the frozen second renderer, `same_renderer` on fresh pictures of
    the first; null where nothing was measured.
    """
    catalogue = Catalogue(settings_now().models_dir)
    with named_errors():
        in_use = catalogue.in_use()
        rows = [_checked(each, each.name in in_use) for each in catalogue.cards()]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        for row in rows:
            as_said = "as its card says" if row["whole"] else "NOT as its card"
            click.echo(f"{row['model']:24} {'in use' if row['promoted'] else '':7} {as_said}")
    if not all(row["whole"] for row in rows):
        raise SystemExit(1)


def _checked(each: Card, promoted: bool) -> dict[str, Any]:
    def measured(part: Any) -> dict[str, Any]:
        return {"map50": None, "per_class": {}} | dict(part)

    return {
        "model": each.name,
        "promoted": promoted,
        "licence": each.licence,
        "trained_on": each.trained_on,
        "independent": measured(each.independent),
        "same_renderer": measured(each.same_renderer),
        "task": each.task,
        "not_for": each.not_for,
        "whole": whole(each),
    }


@models_group.command()
@click.argument("name")
def promote(name: str) -> None:
    """Put the model NAME to use for its task, from the next start of a part on."""
    with named_errors():
        found = Catalogue(settings_now().models_dir).promote(name)
    click.echo(f"{found.name} is in use for {found.task}; parts take it up when they start")


@models_group.command()
@click.argument("task", type=click.Choice(TASKS), default=TASKS[0])
def rollback(task: str) -> None:
    """Put to use again what was before the last promotion for TASK (hazards if not named)."""
    with named_errors():
        found = Catalogue(settings_now().models_dir).roll_back(task)
    click.echo(f"{found.name} is in use for {task} again")


@models_group.command()
@click.argument("weights", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--task", type=click.Choice(TASKS[:2]), default=TASKS[0], show_default=True)
@click.option("--classes", default="", help="Names in the network's order, with commas between.")
@click.option("--licence", default="", help="Of the weights, as an SPDX name.")
@click.option("--trained-on", default="not said", help="What pictures it learnt from.")
def add(weights: Path, task: str, classes: str, licence: str, trained_on: str) -> None:
    """Take up WEIGHTS of one's own: a YOLO as .onnx (plain export), or an Ultralytics .pt.

    Copies the file into GRIDWING_MODELS_DIR with a card; thresholds are 0.4 until edited there.
    What Ultralytics wrote into the file (classes, AGPL-3.0) need not be said. A .pt runs what is
    pickled in it: only files you trust.
    """
    from models.describe import described, first_card

    settings = settings_now()
    names = [c.strip() for c in classes.split(",") if c.strip()]
    with named_errors():
        found = described(weights, settings.ultralytics_python)
        text = first_card(weights, found, task, names, licence, trained_on)
        made = Catalogue(settings.models_dir).add(weights, text)
    click.echo(f"{made.name}: {made.licence}, {', '.join(made.classes)}")


@models_group.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--model", default=BOTH, show_default=True,
    help=f"A model of `models list`. {BOTH}: people and vehicles by the one in use for them, "
    "hazards where the other is sure.",
)  # fmt: skip
@click.option("--least", type=click.FloatRange(0.01, 1.0), help="Show boxes from this score on.")
@click.option("--slices/--whole", default=None, help="Look piece by piece too, or at the whole.")
@backend_option
@json_option
def detect(
    paths: tuple[Path, ...],
    model: str,
    least: float | None,
    slices: bool | None,
    backend: str | None,
    as_json: bool,
) -> None:
    """Look at pictures, videos (a frame a second) and folders, and print every box.

    Large pictures are also looked at piece by piece for people and vehicles. The hazard network has
    seen nothing but renders, so beside the other it is heard only where it is very sure
    (docs/models.md has the figures). A file that is no whole picture is refused with its reason and
    the rest go on; the exit code is then 1.
    """
    from gridwing.models_detect import expanded, judged, lines, look_of_both, looker

    settings = settings_now()
    catalogue, on = Catalogue(settings.models_dir), backend or settings.vision_backend
    with named_errors():
        if model == BOTH:
            look = look_of_both(catalogue, on, least)
        else:
            found = catalogue.card(model)
            pieces = found.task == "things" if slices is None else slices
            look = looker(found, on, least, pieces, settings.ultralytics_python)
    results = [judged(look, path) for path in expanded(paths)]
    refused = sum("refused" in result for result in results)
    if as_json:
        click.echo(json.dumps(results, ensure_ascii=False, indent=1))
    else:
        for line in (line for result in results for line in lines(result)):
            click.echo(line)
    if refused:
        click.echo(f"{refused} of {len(results)} refused", err=True)
        raise SystemExit(1)


@models_group.command()
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option("--pictures", type=click.IntRange(16), default=7000, show_default=True)
@click.option("--epochs", type=click.IntRange(1), default=20, show_default=True)
@click.option("--judged", type=click.IntRange(1), default=300, show_default=True)
@click.option("--seed", type=int, default=7, show_default=True)
def train(out: Path, pictures: int, epochs: int, judged: int, seed: int) -> None:
    """Draw pictures, train the hazard network, export it and write its card, all in OUT.

    Started again with the same OUT it goes on where it was. Half an hour or more on two cores for
    the whole of it. Nothing in use changes: copy weights and card into models/weights to use them.
    """
    try:
        from gridwing.hazard_training import make_weights
        from models.training import TrainingPolicy
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"{error.name} is missing: .venv/bin/python -m pip install '.[train]'"
        ) from error
    policy = TrainingPolicy(epochs=epochs, seed=seed)
    try:
        made = make_weights(out, pictures, judged, policy, partial(click.echo, err=True))
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(str(made.path))
