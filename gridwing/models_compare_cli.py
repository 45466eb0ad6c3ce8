"""`gridwing models compare`: two models on the same labelled pictures, before one is promoted."""

import json
import os
from pathlib import Path
from typing import Any

import click

from models.catalogue import Catalogue, WeightsError
from models.pictures import BadPicture
from runtime.settings import Settings


@click.command()
@click.argument("a")
@click.argument("b")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def compare(a: str, b: str, folder: Path, as_json: bool) -> None:
    """Put the models A and B to the labelled pictures in FOLDER (YOLO form: images/, labels/,
    classes.txt), and print each one's AP50, and what B's is more than A's.

    A class a model does not know counts as 0.
    """
    try:
        settings = Settings.from_environment(os.environ)
        rows = [_figures(name, folder, settings) for name in (a, b)]
    except (WeightsError, BadPicture, ValueError) as error:
        raise click.ClickException(str(error)) from error
    first, second = (row["per_class"] for row in rows)
    gained = {
        name: None if value["ap50"] is None else round(second[name]["ap50"] - value["ap50"], 3)
        for name, value in first.items()
    }
    if as_json:
        told = {"pictures": rows[0]["pictures"], "a": rows[0], "b": rows[1], "gained": gained}
        click.echo(json.dumps(told, ensure_ascii=False, indent=1))
        return
    click.echo(f"{'AP50':24} {a:>20} {b:>20} {'more':>8}")
    for name, value in first.items():
        if value["ap50"] is not None:
            pair = f"{value['ap50']:20.3f} {second[name]['ap50']:20.3f}"
            click.echo(f"{name:24} {pair} {gained[name]:+8.3f}")
    click.echo(f"{'mean':24} {rows[0]['map50']!s:>20} {rows[1]['map50']!s:>20}")


def _figures(name: str, folder: Path, settings: Settings) -> dict[str, Any]:
    from gridwing.detector_measure import LEAST, measured, named_card
    from gridwing.labelled_sets import of_folder
    from models.heads import open_detector

    card = named_card(name, Catalogue(settings.models_dir))
    detector = open_detector(
        card, settings.vision_backend, least=LEAST, python=settings.ultralytics_python
    )
    told = measured(detector, card, of_folder(folder))
    return {"model": card.name, **told}
