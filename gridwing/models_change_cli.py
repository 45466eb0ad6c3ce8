"""`gridwing models change`: how good the change rule is, on rendered places before and after."""

import json

import click


@click.command()
@click.option(
    "--places", type=click.IntRange(2, 10_000), default=100, show_default=True,
    help="Something is built in every second one.",
)  # fmt: skip
@click.option("--first-seed", type=int, default=50_000, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def change(places: int, first_seed: int, as_json: bool) -> None:
    """Put the shipped change rule to rendered places: one first picture and six later ones each.

    Later pictures differ in light, shade, white balance, noise, JPEG, pose, cars and people; their
    boxes are taken as the renderer gives them, as of a detector that misses none.
    """
    from gridwing.change_measure import measured

    told = measured(places, first_seed)
    if as_json:
        click.echo(json.dumps(told, indent=1))
        return
    for name in ("all", "camera", "drone"):
        f = told[name]
        click.echo(
            f"{name:7} {f['places']:4} places, {f['built']} built on: {f['found']} found, "
            f"{f['false']} false; precision {f['precision']}, recall {f['recall']}; "
            f"{f['not_comparable']} of {f['looks']} looks not comparable"
        )
