"""`gridwing asyncapi`: the topics as a document, on stdout."""

import json

import click


@click.command()
def asyncapi() -> None:
    """Print docs/asyncapi.json: what is said on the broker, as AsyncAPI 3.0."""
    from gridwing.asyncapi import document

    click.echo(json.dumps(document(), indent=2, ensure_ascii=False))
