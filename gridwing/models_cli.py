"""`gridwing models`: the weights that ship, and what they see in pictures of one's own."""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from domain.hazard import Detection
from models.catalogue import HAZARDS, THINGS, WeightsError, card, cards, whole
from models.labels import KIND_OF
from models.onnx_centre import CentreDetector
from models.onnx_nanodet import NanoDetector
from models.pictures import VIDEO_SUFFIXES, BadPicture, Image, read_picture, read_video_frames
from models.slices import detect_sliced
from models.together import SURE, TwoDetectors

BOTH = "both"
Look = Callable[[Image], Sequence[Detection]]
PICTURE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})


@click.group(name="models")
def models_group() -> None:
    """Detectors: list, check, detect, measure, train."""


@models_group.command("list")
def list_models() -> None:
    """Say which weights ship, their licence and what they were trained on."""
    for each in cards():
        click.echo(f"{each.name:20} {each.licence}\n{'':20} trained on {each.trained_on}")


@models_group.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def check(as_json: bool) -> None:
    """Check every weights file against its card; exit 1 when one is missing or differs."""
    rows = [
        {
            "model": each.name,
            "promoted": each.promoted,
            "licence": each.licence,
            "trained_on": each.trained_on,
            "whole": whole(each),
            "same_renderer": dict(each.figures),
        }
        for each in cards()
    ]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        for row in rows:
            click.echo(
                f"{row['model']:20} {'as its card says' if row['whole'] else 'NOT as its card'}"
            )
    if not all(row["whole"] for row in rows):
        raise SystemExit(1)


@models_group.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--model",
    type=click.Choice((BOTH, THINGS, HAZARDS)),
    default=BOTH,
    show_default=True,
    help=f"{THINGS}: people and vehicles. {HAZARDS}: hazards, persons and vehicles of the "
    f"simulated district. {BOTH}: people and vehicles by {THINGS}, hazards if {HAZARDS} is sure.",
)
@click.option("--least", type=click.FloatRange(0.01, 1.0), help="Show boxes from this score on.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def detect(paths: tuple[Path, ...], model: str, least: float | None, as_json: bool) -> None:
    """Print label, hazard kind, score and box for every picture, folder or video in PATHS.

    Large pictures are also looked at piece by piece for people and vehicles. The hazard network has
    seen nothing but renders, so beside the other it is heard only where it is very sure
    (docs/models.md has the figures). A file that is no whole picture is refused with its reason and
    the rest go on; the exit code is then 1.
    """
    try:
        look = _looker(model, least)
    except WeightsError as error:
        raise click.ClickException(str(error)) from error
    results = [_judged(look, path) for path in _expanded(paths)]
    if as_json:
        click.echo(json.dumps(results, ensure_ascii=False, indent=1))
    else:
        for result in results:
            _print(result)
    if any("refused" in result for result in results):
        raise SystemExit(1)


def _looker(model: str, least: float | None) -> Look:
    if model == HAZARDS:
        return CentreDetector(least=least).detect
    things = NanoDetector(least=least)
    if model == THINGS:
        return partial(detect_sliced, things)
    return TwoDetectors(things, CentreDetector(least=SURE if least is None else least)).detect


@models_group.command()
@click.option("--pictures", type=click.IntRange(1), default=300, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def measure(pictures: int, as_json: bool) -> None:
    """Measure the hazard network on fresh renders: AP50, precision, recall, false alarms."""
    from gridwing.hazard_figures import measured

    try:
        figures = measured(card(HAZARDS), pictures)
    except WeightsError as error:
        raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps(figures, indent=1))
    else:
        for name, value in figures.items():
            click.echo(f"{name:28} {value}")


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


def _expanded(paths: tuple[Path, ...]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            kinds = PICTURE_SUFFIXES | VIDEO_SUFFIXES
            yield from sorted(p for p in path.rglob("*") if p.suffix.lower() in kinds)
        else:
            yield path


def _judged(look: Look, path: Path) -> dict[str, Any]:
    try:
        if path.suffix.lower() in VIDEO_SUFFIXES:
            frames = read_video_frames(path)
            return {"path": str(path), "frames": [_boxes(look, f) for f in frames]}
        return {"path": str(path), "boxes": _boxes(look, read_picture(path))}
    except BadPicture as error:
        return {"path": str(path), "refused": str(error)}


def _boxes(look: Look, image: Image) -> list[dict[str, Any]]:
    return [
        {
            "label": box.label,
            "hazard": KIND_OF[box.label].value if box.label in KIND_OF else None,
            "score": round(box.score, 3),
            "box_px": [round(v, 1) for v in (box.x0_px, box.y0_px, box.x1_px, box.y1_px)],
        }
        for box in look(image)
    ]


def _print(result: dict[str, Any]) -> None:
    click.echo(result["path"])
    if "refused" in result:
        click.echo(f"  refused: {result['refused']}")
    for box in result.get("boxes", [b for f in result.get("frames", []) for b in f]):
        click.echo(f"  {box['label']:18} {box['score']:.2f}  {box['box_px']}")
