"""`gridwing models export`: a model with its card and licence, to be used elsewhere."""

import os
import shutil
from pathlib import Path

import click

from models.catalogue import Catalogue, WeightsError, whole
from runtime.settings import Settings


@click.command()
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True)
def export(name: str, out: Path) -> None:
    """Copy the model NAME with its card, and the licence texts beside it, into OUT."""
    try:
        card = Catalogue(Settings.from_environment(os.environ).models_dir).card(name)
    except (WeightsError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    if not whole(card):
        raise click.ClickException(f"{card.path.name} is missing or differs from its card")
    out.mkdir(parents=True, exist_ok=True)
    files = [card.path, card.path.with_suffix(".toml"), *card.path.parent.glob("LICENSE*")]
    for path in files:
        shutil.copyfile(path, out / path.name)
        click.echo(str(out / path.name))
