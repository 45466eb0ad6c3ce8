"""`gridwing models measure`: how good a detector is, on pictures it did not learn from."""

import json
import os
from pathlib import Path
from typing import Any

import click

from models.catalogue import HAZARDS, Catalogue, WeightsError
from models.pictures import BadPicture
from runtime.settings import Settings

SETS = ("heldout", "recoloured", "negatives", "renders", "real")


@click.command()
@click.option("--model", default=HAZARDS, show_default=True, help="Name or FILE.onnx by its card.")
@click.option(
    "--set", "names", multiple=True, type=click.Choice(SETS),
    help="heldout, recoloured and negatives are drawn by the frozen second renderer; all of them "
    "where neither this nor --labelled is given.",
)  # fmt: skip
@click.option(
    "--labelled", "folders", multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Pictures of one's own in YOLO form (images/, labels/, classes.txt).",
)  # fmt: skip
@click.option("--pictures", type=click.IntRange(1, 10_000), default=300, show_default=True)
@click.option(
    "--real", type=click.Path(path_type=Path, file_okay=False),
    help="Where fire_smoke_cctv and garbage_street lie; ../shared/data/real if not said.",
)  # fmt: skip
@click.option(
    "--sheet", type=click.Path(path_type=Path, file_okay=False),
    help="Also write a picture a class and set there: what was found, missed, made up.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def measure(
    model: str,
    names: tuple[str, ...],
    folders: tuple[Path, ...],
    pictures: int,
    real: Path | None,
    sheet: Path | None,
    as_json: bool,
) -> None:
    """Put a detector to sets of labelled pictures: AP50, precision and recall, confusion, alarms.

    A box is right from an overlap (intersection over union) of 0.5 on. Precision, recall, confusion
    and false alarms are at the card's thresholds; alarms are boxes per 100 pictures without any of
    the class. A class the detector does not know counts as 0. Photographs that are not there are
    passed over with a word.
    """
    from gridwing.detector_measure import LEAST, Example, measured, named_card
    from gridwing.labelled_sets import REAL, SetAbsent, labelled_sets, of_folder
    from models.heads import open_detector

    try:
        settings = Settings.from_environment(os.environ)
        card = named_card(model, Catalogue(settings.models_dir))
        detector = open_detector(card, least=LEAST, python=settings.ultralytics_python)
    except (WeightsError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    told: list[dict[str, Any]] = []
    sets = []
    try:
        sets += [of_folder(folder) for folder in folders]
        for name in names or (() if folders else SETS):
            try:
                sets += labelled_sets(name, pictures, real or REAL)
            except SetAbsent as absent:
                click.echo(f"{name}: {absent}", err=True)
        for each in sets:
            examples: list[Example] | None = None if sheet is None else []
            told.append(measured(detector, card, each, examples))
            if sheet is not None and examples is not None:
                _write_sheets(sheet, each.name, each.classes, examples)
            if not as_json:
                _print(told[-1])
    except (BadPicture, ValueError) as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps({"model": card.name, "sets": told}, indent=1))


def _write_sheets(folder: Path, name: str, classes: tuple[str, ...], examples: list[Any]) -> None:
    from gridwing.contact_sheet import contact_sheet, sheet_jpeg

    folder.mkdir(parents=True, exist_ok=True)
    for label in classes:
        if any(example.label == label for example in examples):
            path = folder / f"{name.replace('/', '-')}-{label}.jpg"
            path.write_bytes(sheet_jpeg(contact_sheet(label, examples)))


def _print(told: dict[str, Any]) -> None:
    click.echo(f"{told['set']}: {told['pictures']} pictures, mAP50 {told['map50']}")
    click.echo(f"  {'':20}  AP50  labelled  precision  recall  alarms per 100 without")
    for name, figures in told["per_class"].items():
        ap50 = "     -" if figures["ap50"] is None else f"{figures['ap50']:6.3f}"
        alarms = figures["false_alarms_per_100_without"]
        click.echo(
            f"  {name:20}{ap50}  {figures['labelled']:8}  {figures['precision']:9.3f}  "
            f"{figures['recall']:6.3f}  {'-' if alarms is None else alarms}"
        )
    if told["unknown"]:
        click.echo(f"  not known to the model: {', '.join(told['unknown'])}")
