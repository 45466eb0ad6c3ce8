"""What the documents name is there: files they link to, commands and options they tell of."""

import re
from pathlib import Path

import click
import pytest

from gridwing.cli import COMMANDS, main

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
LINK = re.compile(r"\]\((?!https?:|#|mailto:)([^)#\s]+)")
COMMAND = re.compile(r"`(?:\S*python -m )?gridwing ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?([^`]*)`")
PLACES = re.compile(r"`((?:docs|geo|models|simulators|runtime|services|tests|tools|web)/[\w/.-]+)`")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_what_is_linked_or_named_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    linked = {document.parent / target for target in LINK.findall(text)}
    named = {ROOT / place for place in PLACES.findall(text)}
    assert {str(p) for p in linked | named if not p.exists()} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: p.name)
def test_commands_told_of_are_there_with_their_options(document: Path) -> None:
    context = click.Context(main)
    for name, second, rest in COMMAND.findall(document.read_text(encoding="utf-8")):
        assert name in COMMANDS, name
        command = main.get_command(context, name)
        if isinstance(command, click.Group) and second:
            command = command.get_command(context, second)
        assert command is not None, f"{name} {second}"
        known = {option for param in command.params for option in param.opts}
        assert set(re.findall(r"--[a-z-]+", rest)) <= known | {"--help"}
